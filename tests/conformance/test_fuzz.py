"""Many towns, many ticks, people who behave as badly as they can: every invariant is folded into the loop.

A failure names config_id, seed, town, tick and rule; the same call of `fuzz` plays that very town again.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, load, testing
from townlet_jax.core import fixed
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

        def tick(number, carry):
            state, first = carry
            now = engine.tick_key(key, state)
            state = engine.step(world, state, behave(world, state, town, engine.stream(now, "policy")), now)
            holds = testing.invariants(world, state)
            first = {rule: jnp.where(holds[rule], first[rule], jnp.minimum(first[rule], number)) for rule in holds}
            return state, first

        state = engine.reset(world, key)
        never = {rule: jnp.int32(NEVER) for rule in testing.invariants(world, state)}
        return jax.lax.fori_loop(jnp.int32(0), num_ticks, tick, (state, never))

    return jax.vmap(one)(jnp.arange(num_towns, dtype=jnp.uint32))


_play = jax.jit(play, static_argnums=2)


def fuzz(world, seed=0, num_towns=256, num_ticks=2000):
    """Play, and a line for each rule that was broken."""
    state, first = jax.device_get(_play(world, jnp.uint32(seed), num_towns, jnp.int32(num_ticks)))
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


def tuned(world, **params):
    """The world with other parameters: `tuned(world, needs={"decay": 20000})`; nothing is compiled anew."""
    tables = dict(world.params)
    for system, fields in params.items():
        old = {name: getattr(tables[system], name) for name in fields}
        new = {
            name: jnp.broadcast_to(jnp.asarray(value, old[name].dtype), old[name].shape)
            for name, value in fields.items()
        }
        tables[system] = tables[system].replace(**new)
    return world.replace(params=tables)


HARSH = {
    "plague": {"needs": {"decay": 20000}, "lifecycle": {"collapse_ticks": 1, "arrive_after": 1, "guard": 99}},
    "impatience": {"queues": {"start_within": 1}, "movement": {"ghost_after": 1}, "intents": {"commit_ticks": 1}},
    "long queues": {"queues": {"reach": 30, "start_within": 2}, "intents": {"commit_ticks": 120}},
    "rent": {"economy": {"rent": 3900}, "lifecycle": {"evict_after": 1, "wallet": 0}},
    "fines": {"employment": {"absent_fine": 5000, "late_fine": 10000, "grace": 0, "slack": 0}},
    "panic": {"intents": {"override": fixed.NEED}, "movement": {"ghost_after": 100}},
    "closing time": {"affordances": {"opens": 100, "closes": 117}, "economy": {"rent_at": 110}},
    "haste": {"affordances": {"ticks": 1}, "economy": {"price": 0}},
    "wealth": {"economy": {"capacity": 10000}, "start": {"wallet": 1_000_000}, "employment": {"wage": 1000}},
    "short lives": {"lifecycle": {"episode_ticks": 10, "critical": fixed.NEED // 2}},
}


@pytest.fixture(scope="module")
def world():
    return load("town", **{"observation.variant": "compact"})


def report(lines):
    """One assertion for all rules, so that a failure lists each with its town and tick."""
    assert not lines, "\n" + "\n".join(lines)


def test_town(world):
    state, lines = fuzz(world)
    report(lines)
    deaths = state.agents.generation.reshape(-1, len(CROWD), world.static.num_agents).sum((0, 2))
    assert (deaths[:4] > 0).all()  # the fuzz reaches the ends of lives,
    assert (np.abs(state.slots["economy"].ledger).max(0) > 0).all()  # and every account


@pytest.mark.parametrize("name", HARSH)
def test_harsh_towns(world, name):
    report(fuzz(tuned(world, **HARSH[name]), seed=1, num_ticks=600)[1])


def test_a_truck_that_comes_before_a_refund(world):
    """What is given back at closing time does not overfill the shelves."""
    report(fuzz(tuned(world, economy={"restock_at": 1319}))[1])


def test_large_gifts(world):
    """A hundred more than one can carry does not wrap around."""
    report(fuzz(tuned(world, affordances={"gives": 100}), num_ticks=600)[1])


def test_a_broken_rule_is_reported(world):
    gifted = tuned(world, lifecycle={"items": 101})
    _, lines = fuzz(gifted, num_ticks=600)
    assert len(lines) == 1
    assert lines[0].startswith(f"config {world.static.config_id[:12]} seed 0 town ")
    assert "items in bounds" in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_towns_for_long(world, seed):
    report(fuzz(world, 100 + seed, 1024, 10_000)[1])
