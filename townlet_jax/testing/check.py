"""The checker: types first, then random play under observation, then one town in every way of running it."""

from typing import Any

import jax
import numpy as np

from .. import engine
from ..types import Key, State, World
from .findings import WorldError, differences, same
from .play import tick, town_keys
from .shapes import check_types
from .watch import NEVER, watch, where

EAGER_TICKS = 3
_watch = jax.jit(watch, static_argnames="num_ticks")
_reset = jax.jit(engine.reset)
_tick = jax.jit(tick)


def check_world(world: World, *, num_towns: int = 4, num_ticks: int = 48, seed: int = 0) -> frozenset[str]:
    """Check that a world keeps the promises that learners, replays and viewers rely on; takes half a minute for
    the town and some minutes for `m5`.

    No floats in the state; `step` a fixed point of structure, shapes, dtypes and weak types; no system writes what it
    does not declare; observations, rewards and metrics finite, typed and in range; the rules of `invariants`; one
    result for one seed, in any batch and order of towns, with jit or without.

    Args:
        world: as `load` returns it; systems of your own included.
        num_towns: how many towns play, at least 2.
        num_ticks: for how many ticks, at least 1.
        seed: of the towns.

    Returns:
        The names of the rules that were watched in every tick and held, those of the world's own systems among them.

    Raises:
        WorldError: naming the rule, the leaf and, if it happened in play, the town and tick.
        ValueError: fewer than 2 towns or 1 tick.
        TypeError: something else than a world.
    """
    if not isinstance(world, World):
        raise TypeError(f"check_world wants a World, as `load` returns it, not {type(world).__name__}")
    if num_towns < 2 or num_ticks < 1:
        raise ValueError(f"{num_towns} towns and {num_ticks} ticks: at least 2 towns and 1 tick can be compared")
    check_types(world)
    keys = town_keys(seed, num_towns)
    states, first = jax.device_get(_watch(world, keys, num_ticks=num_ticks))
    _raise_first(world, first)
    _check_seeds(world, keys, states, num_ticks, seed)
    _check_runs(world, keys, states, num_ticks)
    return frozenset(path if rule == "invariant" else rule for rule, path in first)


def town(states: Any, index: int) -> Any:
    """One town of a batch."""
    return jax.tree.map(lambda leaf: leaf[index], states)


def _raise_first(world: World, first: dict[tuple[str, str], np.ndarray]) -> None:
    """Report the earliest fault of random play."""
    broken = {name: ticks for name, ticks in first.items() if ticks.min(initial=NEVER) != NEVER}
    if not broken:
        return
    rule, path = min(broken, key=lambda name: (broken[name].min(), name[0] != "ownership"))
    ticks = broken[rule, path]
    spot = np.unravel_index(ticks.argmin(), ticks.shape)
    others = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
    detail = f"broken in town {spot[0]} at tick {ticks.min()} of random play{others}"
    raise WorldError(rule, where(world, path, ticks), detail)


def _check_seeds(world: World, keys: Key, states: State, num_ticks: int, seed: int) -> None:
    """The same seed gives the same towns, in any order; every key gives a town of its own."""
    play = lambda keys: jax.device_get(_watch(world, keys, num_ticks=num_ticks)[0])
    same("same seed", states, play(keys), "two runs of one seed differ")
    backwards = jax.tree.map(lambda leaf: leaf[::-1], play(keys[::-1]))
    same("order of towns", states, backwards, "a town depends on its place in the batch")
    others = play(town_keys(seed + 1, len(keys)))
    twins = [(town(states, 0), town(others, 0), f"seeds {seed} and {seed + 1}")]
    twins += [(town(states, 0), town(states, i), f"towns 0 and {i}") for i in range(1, len(keys))]
    for one, other, names in twins:
        if not any(differences(one, other)):
            raise WorldError(
                "another seed", "state", f"{names} are the same after {num_ticks} ticks: the keys are not used"
            )


def _check_runs(world: World, keys: Key, states: State, num_ticks: int) -> None:
    """A batch in a scan gives what a loop over single towns and ticks gives; so do jit and eager."""
    single = state = _reset(world, keys[0])
    eager = engine.reset(world, keys[0])
    same("jit and eager", jax.device_get(single), jax.device_get(eager), "differs after reset")
    for number in range(min(EAGER_TICKS, num_ticks)):
        state, eager = _tick(world, state, keys[0]), tick(world, eager, keys[0])
        same("jit and eager", jax.device_get(state), jax.device_get(eager), f"differs after {number + 1} ticks")
    for index in range(len(keys)):
        single = _reset(world, keys[index])
        for _ in range(num_ticks):
            single = _tick(world, single, keys[index])
        wrong = next(differences(town(states, index), jax.device_get(single)), None)
        if wrong is not None:
            raise WorldError(
                _blame(world, keys, states, num_ticks), wrong, f"town {index} differs after {num_ticks} ticks"
            )


def _blame(world: World, keys: Key, states: State, num_ticks: int) -> str:
    """Whether it is the batch or the scan that makes the difference."""
    batch = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys)
    advance = jax.jit(jax.vmap(tick, (None, 0, 0)))
    for _ in range(num_ticks):
        batch = advance(world, batch, keys)
    return "scan and loop" if any(differences(states, jax.device_get(batch))) else "batch and single"
