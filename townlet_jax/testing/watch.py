"""Random play under observation: every tick is checked inside the scan, and the first tick of each fault is kept."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine
from ..env import timestep
from ..observe import schema
from ..types import Array, Key, State, System, World
from .findings import leaves, within
from .invariants import invariants
from .play import random_actions

Flags = dict[tuple[str, str], Array]  # (rule, path) -> bool[...], True = broken
NEVER = np.iinfo(np.int32).max
TERM = 1_000_000  # the most that a reward term may be


def trespasses(system: System, before: State, after: State) -> Flags:
    """Which leaves a system changed that it does not declare; what it hands on untouched costs nothing."""
    old, new = leaves(before), leaves(after)
    touched = {path: leaf for path, leaf in new.items() if leaf is not old[path] and not within(path, system.writes)}
    return {
        ("ownership", f"{path} changed by {system.name}"): (leaf != old[path]).any() for path, leaf in touched.items()
    }


def step(world: World, state: State, actions: Array, key: Key) -> tuple[State, Flags]:
    """`engine.step`, and which system wrote what it does not declare."""
    flags: Flags = {}

    def watched(system: System) -> System:
        def step(_, state: State, bits: Array) -> State:
            after = system.step(world, state, bits)
            flags.update(trespasses(system, state, after))
            return after

        return system._replace(step=step)

    systems = tuple(watched(system) for system in world.static.systems)
    after = engine.step(world.replace(static=world.static._replace(systems=systems)), state, actions, key)
    flags["clock", "tick"] = after.tick != state.tick + 1
    flags["clock", "actions"] = (after.actions != actions).any()
    return after, flags


def observations(world: World, state: State) -> Flags:
    """Finite, inside the schema's ranges, `wait` always allowed, the dead see and may do nothing."""
    out = timestep(world, state)
    seen, dead = out.observation, ~state.agents.alive
    entries = schema(world)
    bound = lambda side: np.array([getattr(e, side) for e in entries for _ in range(e.stop - e.start)], np.float32)
    outside = (seen.features < bound("low")) | (seen.features > bound("high"))
    return {
        ("observation finite", "features"): ~jnp.isfinite(seen.features).all(0),
        ("observation in range", "features"): (outside & ~dead[:, None]).any(0),
        ("dead see nothing", "features"): (dead[:, None] & (seen.features != 0)).any(0),
        ("dead see nothing", "layers"): (dead[:, None, None, None] & (seen.layers != 0)).any(),
        ("dead may only wait", "action_mask"): (dead[:, None] & seen.action_mask[:, 1:]).any(),
        ("wait is allowed", "action_mask"): ~seen.action_mask[:, 0].all(),
        ("reward finite", "reward"): ~jnp.isfinite(out.reward).all(),
    }


def reports(world: World, state: State) -> Flags:
    """Reward terms within [-1e6, 1e6], metrics finite."""
    flags: Flags = {}
    for system in world.static.systems:
        for term, value in system.rewards(world, state).items():
            flags["rewards in range", f"{term} of {system.name}"] = (jnp.abs(value) > TERM).any()
        for name, value in system.metrics(world, state).items():
            flags["metrics finite", f"{name} of {system.name}"] = ~jnp.isfinite(value)
    return flags


def tick(world: World, state: State, key: Key) -> tuple[State, Flags]:
    """`play.tick`, and all that can go wrong in it."""
    now = engine.tick_key(key, state)
    actions = random_actions(world, state, engine.stream(now, "policy"))
    state, flags = step(world, state, actions, now)
    broken: Flags = {("invariant", name): ~holds for name, holds in invariants(world, state).items()}
    return state, {**flags, **observations(world, state), **reports(world, state), **broken}


def watch(world: World, keys: Key, num_ticks: int) -> tuple[State, dict[tuple[str, str], Array]]:
    """Many towns at random play.

    Args:
        world: what is the same for every town.
        keys: key[B] the towns' own keys.
        num_ticks: how many ticks.

    Returns:
        The last states, and for each (rule, path) the first tick at which it was broken i32[B, ...], NEVER if it held.
    """

    def town(key: Key):
        def body(state: State, number: Array):
            state, flags = tick(world, state, key)
            return state, {name: jnp.where(broken, number, jnp.int32(NEVER)) for name, broken in flags.items()}

        state, when = jax.lax.scan(body, engine.reset(world, key), jnp.arange(num_ticks, dtype=jnp.int32))
        return state, jax.tree.map(lambda ticks: ticks.min(0), when)

    return jax.vmap(town)(keys)


def where(world: World, path: str, first: Any) -> str:
    """The leaf in words; for features the field in which it happened."""
    if path != "features":
        return path
    column = int(np.argwhere(np.asarray(first) != NEVER)[0][-1])
    return "features." + next(entry.name for entry in schema(world) if entry.start <= column < entry.stop)
