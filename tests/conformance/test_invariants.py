"""Every invariant can fail: a sound town, one thing wrong in it, and the rule that must notice."""

import jax
import jax.numpy as jnp
import pytest

from townlet_jax import engine, load, testing
from townlet_jax.core import fixed
from townlet_jax.types import NOTHING


@pytest.fixture(scope="module")
def world():
    return load("town", **{"observation.variant": "compact"})


@pytest.fixture(scope="module")
def sound(world):
    return jax.jit(engine.reset)(world, jax.random.key(0))


CHECK = jax.jit(testing.invariants)


def agents(state, agent=0, **fields):
    """The town with some fields of one agent replaced."""
    new = {name: getattr(state.agents, name).at[agent].set(value) for name, value in fields.items()}
    return state.replace(agents=state.agents.replace(**new))


def slot(state, name, agent=0, **fields):
    """The town with some fields of one system's private state replaced, for one agent."""
    old = state.slots[name]
    return state.put(
        **{name: old.replace(**{field: getattr(old, field).at[agent].set(v) for field, v in fields.items()})}
    )


def intent(state, **fields):
    """The town with some fields of agent 0's intent replaced."""
    return state.replace(
        intent=state.intent.replace(**{n: getattr(state.intent, n).at[0].set(v) for n, v in fields.items()})
    )


def dead(state, **fields):
    """The town with agent 0 long dead."""
    return agents(state, alive=False, **{"needs": 0, "wallet": 0, "items": 0, **fields})


def uses(state, offer=0, facility=0):
    """The town with agent 0 using a facility from where it is."""
    state = slot(state, "queues", facility=facility)
    return slot(state, "affordances", offer=offer, remaining=3)


def cell_of(state, agent):
    return state.agents.cell[agent]


FAULTS = {
    "needs in bounds": lambda w, s: agents(s, needs=fixed.NEED + 1),
    "wallets not negative": lambda w, s: agents(s, wallet=-1),
    "items in bounds": lambda w, s: agents(s, items=101),
    "on walkable cells": lambda w, s: agents(s, cell=0),
    "one agent a cell": lambda w, s: agents(s, cell=cell_of(s, 1)),
    "the dead own nothing": lambda w, s: dead(s, wallet=1),
    "who ended is dead": lambda w, s: s.replace(terminated=s.terminated.at[0].set(True)),
    "no reward for the dead": lambda w, s: dead(s).replace(reward=s.reward.at[0].set(1)),
    "verbs exist": lambda w, s: intent(s, verb=3),
    "facilities exist": lambda w, s: intent(s, facility=w.static.num_facilities),
    "options exist": lambda w, s: slot(s, "intents", option=-1),
    "commitment not negative": lambda w, s: slot(s, "intents", commit=-1),
    "priority is an order": lambda w, s: intent(s, priority=1),
    "the dead want nothing": lambda w, s: slot(dead(s), "intents", option=0),
    "patience in bounds": lambda w, s: slot(s, "movement", blocked=-1),
    "the dead are no ghosts": lambda w, s: slot(dead(s), "movement", ghost=True),
    "queues without gaps": lambda w, s: slot(s, "queues", facility=0, place=1),
    "no place without a queue": lambda w, s: slot(s, "queues", facility=NOTHING, idle=1),
    "the dead do not queue": lambda w, s: slot(dead(s), "queues", facility=0),
    "remaining ticks in bounds": lambda w, s: slot(s, "affordances", remaining=-1),
    "only the holder uses": lambda w, s: slot(s, "affordances", remaining=3),
    "users stand at it": lambda w, s: uses(s),
    "the facility makes the offer": lambda w, s: uses(s, offer=4),
    "nothing runs for the dead": lambda w, s: slot(dead(s), "affordances", finished=True),
    "money adds up": lambda w, s: agents(s, wallet=s.agents.wallet[0] + 1),
    "stock in bounds": lambda w, s: s.replace(facilities=s.facilities.replace(stock=s.facilities.stock + jnp.int16(1))),
    "unpaid days not negative": lambda w, s: slot(s, "economy", unpaid=-1),
    "the dead owe nothing": lambda w, s: slot(dead(s), "economy", unpaid=1),
    "attendance is a share": lambda w, s: slot(s, "employment", attended=fixed.SHARE + 1),
    "pay not negative": lambda w, s: slot(s, "employment", pay=-1),
    "the dead do not work": lambda w, s: slot(dead(s), "employment", present=1),
    "fates in bounds": lambda w, s: slot(s, "lifecycle", since=101),
    "nobody comes to a living one's slot": lambda w, s: slot(s, "lifecycle", arrives=1),
    "an end has a reason": lambda w, s: slot(s, "lifecycle", reason=1),
    "generations not negative": lambda w, s: agents(s, generation=-1),
    "nothing earned around a death": lambda w, s: slot(s, "lifecycle", since=3).replace(reward=s.reward.at[0].set(1)),
}


def broken(world, state):
    return {rule for rule, holds in CHECK(world, state).items() if not holds}


def test_a_fresh_town_is_sound(world, sound):
    played = jax.jit(engine.step)(world, sound, jnp.zeros(world.static.num_agents, jnp.int32), jax.random.key(1))
    assert broken(world, played) == set()


@pytest.mark.parametrize("rule", FAULTS)
def test_every_rule_notices(world, sound, rule):
    started = sound.replace(intent=sound.intent.replace(priority=jnp.arange(world.static.num_agents, dtype=jnp.int8)))
    assert broken(world, started) == set()
    assert rule in broken(world, FAULTS[rule](world, started))


def test_no_rule_is_left_out(world, sound):
    assert set(testing.invariants(world, sound)) == set(FAULTS)


def test_two_on_a_cell_are_allowed_if_one_is_a_ghost(world, sound):
    shared = agents(sound, cell=cell_of(sound, 1))
    assert "one agent a cell" not in broken(world, slot(shared, "movement", agent=1, ghost=True))
