"""Many towns, many ticks, people who behave as badly as they can: every invariant is folded into the scan.

A failure names config_id, seed, town, tick and rule; `towns(seed, town + 1)` then plays that very town again.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, load, testing
from townlet_jax.policies import random, scripted

NEVER = np.iinfo(np.int32).max
CROWD = ("allowed", "anything", "one option", "one offer", "absurd", "primitives", "citizen", "fickle citizen")


def anything(world, state, key):
    """Any action id there is, and some that there are not."""
    actions = len(world.static.actions.names)
    bits = jax.random.bits(key, (world.static.num_agents,), jnp.uint32)
    return (bits % jnp.uint32(actions + 4)).astype(jnp.int32) - 2


def behave(world, state, town, key):
    """The actions of one town; towns take turns in the ways of `CROWD`."""
    layout, A = world.static.actions, world.static.num_agents
    bits = jax.random.bits(engine.stream(key, "fuzz"), (A,), jnp.uint32)
    whim = anything(world, state, engine.stream(key, "anything"))
    citizen = scripted(world, state, key)
    fad = (state.tick // 97 + town.astype(jnp.int32)) % layout.num_options
    offer = (town // len(CROWD)).astype(jnp.int32) % len(world.static.names.offers)
    ways = jnp.stack(
        [
            random(world, state, engine.stream(key, "allowed")),
            whim,
            jnp.broadcast_to(layout.options + fad, (A,)),
            jnp.broadcast_to(layout.options + offer, (A,)),
            bits.astype(jnp.int32),
            (bits % jnp.uint32(layout.options)).astype(jnp.int32),
            citizen,
            jnp.where(bits & 7 == 0, whim, citizen),
        ]
    )
    return ways[town % len(CROWD)]


def play(world, seed, num_towns, num_ticks):
    """The first tick at which each rule was broken in each town: {rule: i32[B]}, NEVER if it always held."""

    def one(town):
        key = jax.random.fold_in(jax.random.key(seed), town)

        def tick(carry, number):
            state, first = carry
            now = engine.tick_key(key, state)
            state = engine.step(world, state, behave(world, state, town, engine.stream(now, "policy")), now)
            holds = testing.invariants(world, state)
            first = {rule: jnp.where(holds[rule], first[rule], jnp.minimum(first[rule], number)) for rule in holds}
            return (state, first), None

        state = engine.reset(world, key)
        never = {rule: jnp.int32(NEVER) for rule in testing.invariants(world, state)}
        return jax.lax.scan(tick, (state, never), jnp.arange(num_ticks, dtype=jnp.int32))[0]

    return jax.vmap(one)(jnp.arange(num_towns, dtype=jnp.uint32))


_play = jax.jit(play, static_argnums=(2, 3))


def fuzz(world, seed=0, num_towns=256, num_ticks=2000):
    """Play, and a line for each rule that was broken."""
    state, first = jax.device_get(_play(world, jnp.uint32(seed), num_towns, num_ticks))
    lines = []
    for rule, ticks in first.items():
        if ticks.min() != NEVER:
            town = int(ticks.argmin())
            broken = int((ticks != NEVER).sum())
            lines.append(
                f"config {world.static.config_id[:12]} seed {seed} town {town} ({CROWD[town % len(CROWD)]})"
                f" tick {ticks[town]}: {rule} (in {broken} of {num_towns} towns)"
            )
    return state, lines
