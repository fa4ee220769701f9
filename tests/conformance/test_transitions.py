"""Every rule about two ticks can fail: a town and the same town a tick later, one thing wrong, and the rule that must notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from everything import EVERYTHING
from tampered import agents, slot

from townlet_jax import engine, load, testing
from townlet_jax.systems.economy import ACCOUNTS


@pytest.fixture(scope="module")
def world():
    return load("town", **{"observation.variant": "compact"})


@pytest.fixture(scope="module")
def pair(world):
    """A town, and the town after a tick in which all wait."""
    before = jax.jit(engine.reset)(world, jax.random.key(0))
    nobody = jnp.zeros(world.static.num_agents, jnp.int32)
    return before, jax.jit(engine.step)(world, before, nobody, jax.random.key(1))


CHECK = jax.jit(testing.transitions)


def line(state, *people):
    """The town with some people in the queue of facility 0, in that order."""
    for place, agent in enumerate(people):
        state = slot(state, "queues", agent, facility=0, place=place)
    return state


def using(state, remaining):
    return slot(state, "affordances", offer=0, remaining=remaining)


def leaves(state, agent=0):
    """One dies, and pays a point for it."""
    ends = state.terminated.at[agent].set(True), state.reward.at[agent].set(-1_000_000)
    return agents(state, agent, alive=False).replace(terminated=ends[0], reward=ends[1])


def carried(state, number):
    return agents(state, items=state.agents.items[0].at[0].add(number))


FAULTS = {
    "a tick is a tick": lambda old, new: (old, new.replace(tick=new.tick + 1)),
    "only the living leave": lambda old, new: (agents(old, alive=False), leaves(new)),
    "nobody vanishes": lambda old, new: (old, agents(new, alive=False)),
    "a birth is a generation": lambda old, new: (agents(old, alive=False), new),
    "a slot is empty before a birth": lambda old, new: (old, agents(new, generation=1)),
    "nobody jumps": lambda old, new: (old, agents(new, cell=new.agents.cell[5])),
    "goods come and go by offers": lambda old, new: (old, carried(new, 1)),
    "what runs runs on": lambda old, new: (using(old, 5), using(new, 5)),
    "who waits keeps the order": lambda old, new: (line(old, 0, 1, 2), line(new, 0, 2, 1)),
    "wages are what was earned": lambda old, new: (old, slot(new, "economy", ACCOUNTS.index("wages"), ledger=1)),
    "rewards within the clip": lambda old, new: (old, new.replace(reward=new.reward.at[0].set(200_001))),
}
FAIR = {
    "a loss": lambda old, new: (old, carried(new, -1)),
    "an end": lambda old, new: (old, leaves(new)),
    "a use": lambda old, new: (using(old, 5), using(new, 4)),
    "the holder to the tail": lambda old, new: (line(old, 0, 1, 2), line(new, 1, 2, 0)),
    "one leaves": lambda old, new: (line(old, 0, 1, 2), line(new, 0, 2)),
}


def broken(world, pair):
    return {rule for rule, holds in CHECK(world, *pair).items() if not holds}


def test_a_sound_tick_breaks_no_rule(world, pair):
    assert broken(world, pair) == set()


@pytest.mark.parametrize("rule", FAULTS)
def test_every_rule_notices(world, pair, rule):
    assert rule in broken(world, FAULTS[rule](*pair))


@pytest.mark.parametrize("change", FAIR)
def test_what_is_no_fault_is_none(world, pair, change):
    expected = {"goods come and go by offers"} if change == "a loss" else set()
    assert broken(world, FAIR[change](*pair)) == expected


def test_no_rule_is_left_out(world, pair):
    everything = load("town", **EVERYTHING)
    state = jax.eval_shape(engine.reset, everything, jax.random.key(0))
    assert set(jax.eval_shape(testing.transitions, everything, state, state)) < set(
        FAULTS
    )  # fair queues go by age, too
    assert set(testing.transitions(world, *pair)) == set(FAULTS)


def test_numbers_of_64_bits_are_no_other_action_and_a_batch_is_refused(world, pair):
    before, _ = pair
    far = np.full(world.static.num_agents, 2**32 + 1, np.int64)
    for wide in (far, -far, far.astype(np.uint64)):
        actions = engine.step(world, before, wide, jax.random.key(1)).actions
        assert ((actions < 0) | (actions >= len(world.static.actions.names))).all()  # counts as `wait`
    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), before)
    with pytest.raises(ValueError, match=r"people of shape \[3, 8\], allowed is one town of this world, \[8\]"):
        engine.step(world, many, jnp.zeros(8, jnp.int32), jax.random.key(1))
