"""Money is conserved up to its declared sources and sinks: checked in every tick of a year in which people misbehave.

A day has 100 ticks. Half of the people play at random or press anything, the others live as citizens do; hiring, reviews, tuned
prices and wages, and spoilage are on.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, policies, testing
from townlet_jax.core import fixed, masks
from townlet_jax.systems.economy import ACCOUNTS

HAMLET = """
    ###########
    #hB.S.C.W.#
    #h.0.1.2..#
    #..3.4.5.K#
    #@......K.#
    ###########
"""
OFFERS = [
    {"name": "wash", "at": "shower", "ticks": 3, "effects": {"hygiene": 0.45, "energy": -0.03}},
    {"name": "sleep", "at": "bed", "ticks": 5, "effects": {"energy": 0.8}},
    {"name": "shop", "at": "counter", "ticks": 1, "gives": {"raw": 2}, "stock": 1, "hours": [20, 80]},
    {"name": "cook", "at": "stove", "ticks": 4, "effects": {"hunger": 0.1}, "takes": {"raw": 1}, "gives": {"meal": 1}},
    {"name": "eat", "at": "counter", "ticks": 3, "effects": {"hunger": 0.4}, "stock": 1, "hours": [20, 80]},
    {"name": "dine", "at": "stove", "ticks": 2, "effects": {"hunger": 0.5}, "takes": {"meal": 1}},
]
HARSH = {
    "ticks_per_day": 100,
    "start.wallet": 1.0,
    "systems.needs.decay": {"hunger": 0.005, "hygiene": 0.002, "energy": 0.002},
    "systems.affordances.offers": OFFERS,
    "systems.economy.prices": {"wash": 0.033, "eat": 0.207, "shop": 0.09},
    "systems.economy.stock": {"counter": 20},
    "systems.economy.restock_at": 15,
    "systems.economy.rent": 0.41,
    "systems.economy.rent_at": 75,
    "systems.employment.jobs": [{"name": "clerk", "start": 30, "end": 70, "wage": 0.021, "late_fine": 0.05}],
    "systems.employment.late_tick_fine": 0.003,
    "systems.lifecycle.collapse_ticks": 10,
    "systems.lifecycle.kit_wallet": 0.7,
    "systems.lifecycle.episode_ticks": 10_000_000,
    "systems.timesheets": {},
    "systems.hiring": {"hire_at": 20, "quit_after": 5},
    "systems.reviews": {"review_ticks": 150},
    "systems.tuner": {"staples": ["eat", "shop"], "wages": True, "band": [0.5, 0.9]},
    "systems.spoilage": {"shelf_life": {"raw": 2, "meal": 1}},
}
SIGNS = {"sales": -1, "rent": -1, "wages": 1, "fines": -1, "kits": 1, "estates": -1}
NEVER = np.iinfo(np.int32).max


def behave(world, state, key):
    """Each agent is a citizen, a random player or a vandal in each tick; half of them are citizens nearly always."""
    A, num_actions = world.static.num_agents, len(world.static.actions.names)
    bits = jax.random.bits(engine.stream(key, "mood"), (A,), jnp.uint32)
    citizen = policies.scripted(world, state, key)
    player = policies.random(world, state, engine.stream(key, "player"))
    vandal = ((bits >> 8) % jnp.uint32(num_actions + 4)).astype(jnp.int32) - 2
    moody = jnp.arange(A, dtype=jnp.int32) % 2 == 0
    wild = jnp.where(bits & 1 == 0, player, vandal)
    return jnp.where(moody | (bits & 63 == 0), wild, citizen)


def checks(world, before, after):
    """What must hold between two ticks: {rule: bool[]}."""
    old, new = (state.slots["economy"].ledger for state in (before, after))
    flow = dict(zip(ACCOUNTS, new - old))
    spent = dict(zip(ACCOUNTS, new))
    born = after.agents.generation - before.agents.generation
    kit, rent = world.params["lifecycle"].wallet, world.params["economy"].rent
    start = masks.total(world.params["start"].wallet)
    rules = dict(testing.invariants(world, after))
    rules |= {
        "wallets are the start and the books": masks.total(after.agents.wallet) == start + masks.total(new),
        "wallets change by what is booked": masks.total(after.agents.wallet - before.agents.wallet)
        == masks.total(new - old),
        "a kit for each newcomer": flow["kits"] == masks.total(born.astype(jnp.int32)) * kit,
        "wages are what was earned": flow["wages"] == masks.total(after.slots["employment"].pay),
        "whole rents": (flow["rent"] % rent == 0) & (-flow["rent"] <= rent * world.static.num_agents),
        "refunds give back no more than was paid": spent["sales"] <= 0,
    }
    signed = {f"the sign of {name}": flow[name] * SIGNS[name] >= 0 for name in SIGNS if name != "sales"}
    return rules | signed


@jax.jit
def play(world, keys, num_ticks):
    """The last states and ledgers; and for each rule the first tick at which it was broken in each town."""

    def one(key):
        def tick(number, carry):
            before, first, tuned = carry
            now = engine.tick_key(key, before)
            after = engine.step(world, before, behave(world, before, engine.stream(now, "policy")), now)
            holds = checks(world, before, after)
            first = {rule: jnp.where(holds[rule], first[rule], jnp.minimum(first[rule], number)) for rule in holds}
            factor = after.slots["tuner"].factor
            return after, first, jnp.stack([jnp.minimum(tuned[0], factor), jnp.maximum(tuned[1], factor)])

        state = engine.reset(world, key)
        first = {rule: jnp.int32(NEVER) for rule in checks(world, state, state)}
        return jax.lax.fori_loop(jnp.int32(0), num_ticks, tick, (state, first, jnp.full(2, fixed.SHARE, jnp.int16)))

    return jax.vmap(one)(keys)


@pytest.mark.parametrize("days", [120, pytest.param(365, marks=pytest.mark.slow)])
def test_a_year(board, days):
    world = board(HAMLET, **HARSH).world
    keys = jax.random.split(jax.random.key(0), 4)
    state, first, tuned = jax.device_get(play(world, keys, jnp.int32(days * 100)))
    broken = [f"{rule}: tick {t.min()} in town {t.argmin()}" for rule, t in first.items() if t.min() != NEVER]
    assert not broken, "\n".join(broken)
    assert (state.tick == days * 100).all()
    books = dict(zip(ACCOUNTS, state.slots["economy"].ledger.T))
    for name in SIGNS:  # ten coins and more a year in every account, or this test shows nothing
        assert (np.abs(books[name]) > 10_000 * days / 365).all(), name
    assert (state.agents.generation.sum(-1) > 100 * days / 365).all()  # people came and went
    assert (tuned[:, 0] < fixed.SHARE).all() and (tuned[:, 1] > fixed.SHARE).all()  # prices went both ways


def test_a_mill_that_nobody_books_is_found(board):
    world = board(HAMLET, **HARSH).world
    state = jax.jit(engine.reset)(world, jax.random.key(0))
    richer = state.replace(agents=state.agents.replace(wallet=state.agents.wallet.at[0].add(1)))
    broken = {rule for rule, holds in jax.jit(checks)(world, state, richer).items() if not holds}
    assert broken == {"money adds up", "wallets are the start and the books", "wallets change by what is booked"}
