"""Money is conserved up to its declared sources and sinks: checked in every tick of a year in which people misbehave.

A day has 100 ticks. Half of the people play at random or press anything, the others live as citizens do; hiring, reviews, tuned
prices and wages, spoilage, a stipend, dear days and outages are on, and somebody outside gives money and takes it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, policies, testing
from townlet_jax.core import fixed, masks
from townlet_jax.systems import economy, edits, utilities
from townlet_jax.systems.economy import ACCOUNTS
from townlet_jax.testing.transitions import uses

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
SHOCKS = [
    {
        "name": "dear_day",
        "kind": "price_spike",
        "chance_per_day": 1.0,
        "ticks": [10, 40],
        "magnitude": [1.2, 2.0],
        "offers": ["wash", "eat", "shop"],
    },
    {"name": "blackout", "kind": "outage", "chance_per_day": 2.0, "ticks": [2, 5], "utility": "power"},
    {"name": "drought", "kind": "outage", "chance_per_day": 2.0, "ticks": [2, 5], "utility": "water"},
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
    "systems.economy.stipend": 0.029,
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
    "systems.utilities": {
        "needs": {"power": ["counter", "stove"], "water": ["shower"]},
        "fault_per_day": 0.3,
        "fault_ticks": [2, 5],
    },
    "systems.perturbations": {"events": SHOCKS, "global_cooldown_ticks": 0, "max_per_window": 0, "grace_ticks": 0},
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


def present(world, state, key):
    """The town after somebody outside has given one up to 3 coins, or taken up to 2, every 200 ticks or so; and how much i32[]."""
    bits = (jax.random.bits(key, (3,), jnp.uint32) >> 1).astype(jnp.int32)
    who = jnp.where(bits[0] % 200 == 0, bits[1] % world.static.num_agents, edits.NONE)
    richer, _ = edits.give(world, state, who, bits[2] % 5001 - 2000)
    return richer, masks.total(richer.agents.wallet - state.agents.wallet)


def trade(world, before, after):
    """What was paid and given back in a tick, worked out from who began and who was interrupted: {what: i32[] mills}."""
    old, new = before.slots["affordances"], after.slots["affordances"]
    begins, refunded = uses(before, after)
    facility = jnp.minimum(before.slots["queues"].facility, world.static.num_facilities - 1)
    dark = ~utilities.serves(world, after)[facility]
    sale = after.put(tuner=before.slots["tuner"])  # which sets the prices after the sales of its tick
    calm = sale.put(perturbations=sale.slots["perturbations"].replace(ends=jnp.zeros(len(SHOCKS), jnp.int32)))
    paid, usual = (jnp.where(begins, economy.price(world, state)[new.offer], 0) for state in (sale, calm))
    back = jnp.where(refunded, old.paid, 0)
    return {
        "prices": masks.total(paid),
        "spikes": masks.total(paid - usual),
        "refunds": masks.total(back),
        "refunds of outages": masks.total(jnp.where(dark, back, 0)),
    }


def stipends(world, before, after):
    """What all were given in a tick by the town, i32[] mills."""
    params, living = world.params["economy"], masks.total(before.agents.alive.astype(jnp.int32))
    return jnp.where(after.tick % world.static.ticks_per_day == params.rent_at, living * params.stipend, 0)


def checks(world, before, after):
    """What must hold between two ticks: {rule: bool[]}."""
    traded = trade(world, before, after)
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
        "sales are prices less refunds": flow["sales"] == traded["refunds"] - traded["prices"],
        "a stipend for everybody": flow["gifts"] == stipends(world, before, after),
        "refunds give back no more than was paid": spent["sales"] <= 0,
    }
    signed = {f"the sign of {name}": flow[name] * SIGNS[name] >= 0 for name in SIGNS if name != "sales"}
    return rules | signed


def tally(world, before, after, given):
    """Of one tick what the books do not tell apart: {what: i32[] mills}."""
    outside = {"gifts": jnp.maximum(given, 0), "losses": jnp.minimum(given, 0)}
    return {**outside, "stipends": stipends(world, before, after), **trade(world, before, after)}


@jax.jit
def play(world, keys, num_ticks):
    """The last states; the first tick at which each rule was broken; extremes of the tuned prices; and what `tally` added up to."""

    def one(key):
        def tick(number, carry):
            early, first, tuned, sums = carry
            now = engine.tick_key(key, early)
            before, given = present(world, early, engine.stream(now, "present"))
            after = engine.step(world, before, behave(world, before, engine.stream(now, "policy")), now)
            holds = checks(world, before, after)
            first = {rule: jnp.where(holds[rule], first[rule], jnp.minimum(first[rule], number)) for rule in holds}
            factor = after.slots["tuner"].factor
            sums = jax.tree.map(jnp.add, sums, tally(world, before, after, given))
            return after, first, jnp.stack([jnp.minimum(tuned[0], factor), jnp.maximum(tuned[1], factor)]), sums

        state = engine.reset(world, key)
        first = {rule: jnp.int32(NEVER) for rule in checks(world, state, state)}
        sums = jax.tree.map(jnp.zeros_like, tally(world, state, state, jnp.int32(0)))
        start = state, first, jnp.full(2, fixed.SHARE, jnp.int16), sums
        return jax.lax.fori_loop(jnp.int32(0), num_ticks, tick, start)

    return jax.vmap(one)(keys)


@pytest.mark.parametrize("days", [120, pytest.param(365, marks=pytest.mark.slow)])
def test_a_year(board, days):
    world = board(HAMLET, **HARSH).world
    keys = jax.random.split(jax.random.key(0), 4)
    state, first, tuned, sums = jax.device_get(play(world, keys, jnp.int32(days * 100)))
    broken = [f"{rule}: tick {t.min()} in town {t.argmin()}" for rule, t in first.items() if t.min() != NEVER]
    assert not broken, "\n".join(broken)
    assert (state.tick == days * 100).all()
    books = dict(zip(ACCOUNTS, state.slots["economy"].ledger.T))
    flows = {**{name: books[name] for name in SIGNS}, **sums}
    for name, mills in flows.items():  # five coins and more a year of each, or this test shows nothing
        assert (np.abs(mills) > 5_000 * days / 365).all(), name
    assert (books["gifts"] == sums["gifts"] + sums["losses"] + sums["stipends"]).all()
    assert (books["sales"] == sums["refunds"] - sums["prices"]).all()
    start = int(world.params["start"].wallet.sum())
    assert (state.agents.wallet.sum(-1) == start + state.slots["economy"].ledger.sum(-1)).all()
    assert (state.agents.generation.sum(-1) > 100 * days / 365).all()  # people came and went
    assert (tuned[:, 0] < fixed.SHARE).any() and (tuned[:, 1] > fixed.SHARE).all()  # prices went both ways


def test_a_mill_that_nobody_books_is_found(board):
    world = board(HAMLET, **HARSH).world
    state = jax.jit(engine.reset)(world, jax.random.key(0))
    richer = state.replace(agents=state.agents.replace(wallet=state.agents.wallet.at[0].add(1)))
    broken = {rule for rule, holds in jax.jit(checks)(world, state, richer).items() if not holds}
    assert broken == {"money adds up", "wallets are the start and the books", "wallets change by what is booked"}
