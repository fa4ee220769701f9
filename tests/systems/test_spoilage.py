"""Spoilage: units are counted by age; the oldest are used first; what is past its shelf life goes at tick 10 of 200."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError
from townlet_jax.systems import spoilage

PANTRY = """
    ########
    #h.S.C@#
    #0.1.2.#
    ########
"""
RAW, MEAL = 0, 1
ON = {"systems.spoilage": {"shelf_life": {"raw": 3, "meal": 1}, "at": 10}}


@pytest.fixture
def pantry(board):
    return board(PANTRY, **ON)


def carries(state, *items):
    return state.replace(agents=state.agents.replace(items=jnp.array(items, jnp.int8)))


def ages(state, agent=0, item=RAW):
    return state.slots["spoilage"].units[agent, item].tolist()


def at(pantry, state, tick):
    return pantry.only("spoilage", state.replace(tick=jnp.int32(tick)))


def test_what_comes_in_is_fresh_and_grows_older(pantry):
    state = at(pantry, carries(pantry.state(), [2, 1], [0, 0], [0, 0]), 5)
    assert (ages(state), ages(state, item=MEAL)) == ([2, 0, 0], [1, 0, 0])
    state = at(pantry, state, 10)
    assert (ages(state), ages(state, item=MEAL)) == ([0, 2, 0], [0, 0, 0])
    assert state.agents.items.tolist()[0] == [2, 0]  # the meal keeps for one night
    state = at(pantry, carries(state, [5, 0], [0, 0], [0, 0]), 11)
    assert ages(state) == [3, 2, 0]
    state = at(pantry, at(pantry, state, 210), 410)
    assert (ages(state), state.agents.items.tolist()[0]) == ([0, 0, 3], [3, 0])  # two of the five are gone
    state = at(pantry, state, 610)
    assert (ages(state), state.agents.items.tolist()[0]) == ([0, 0, 0], [0, 0])


def test_the_oldest_are_used_first(pantry):
    state = carries(pantry.state(), [9, 0], [9, 0], [9, 0])
    units = jnp.array([[[2, 3, 4], [0, 0, 0]]] * 3, jnp.int8)
    state = state.put(spoilage=state.slots["spoilage"].replace(units=units))
    state = at(pantry, carries(state, [7, 0], [3, 0], [1, 0]), 11)
    assert [ages(state, agent) for agent in range(3)] == [[2, 3, 2], [2, 1, 0], [1, 0, 0]]


def test_ages_follow_a_queue_of_single_units(pantry):
    """Any sequence of gains, uses and days does what a list of units with their ages does."""
    draw, state, shelf = np.random.default_rng(0), carries(pantry.state(), *[[0, 0]] * 3), [[] for _ in range(3)]
    for tick in range(1, 200):
        night = tick % 4 == 0
        for row in shelf:
            change = int(draw.integers(-6, 9))
            row[:] = row[-change:] if change < 0 else (row + [0] * change)[:100] if len(row) + change <= 100 else row
        state = carries(state, *[[len(row), 0] for row in shelf])
        state = at(pantry, state, 10 if night else 11)
        if night:
            shelf = [[age + 1 for age in row if age < 2] for row in shelf]
        expected = [[row.count(age) for age in range(3)] for row in shelf]
        assert [ages(state, agent) for agent in range(3)] == expected, tick
        assert state.agents.items[:, RAW].tolist() == [len(row) for row in shelf]


def test_a_hundred_units_do_not_wrap_around(pantry):
    state = at(pantry, carries(pantry.state(), *[[100, 100]] * 3), 11)
    assert ages(state) == [100, 0, 0]
    state = at(pantry, state, 10)
    assert ages(state) == [0, 100, 0] and int(state.slots["spoilage"].spoilt) == 300
    state = at(pantry, carries(state, *[[0, 0]] * 3), 11)
    assert ages(state) == [0, 0, 0]


def test_what_is_not_named_keeps_for_ever(board):
    keeps = board(PANTRY, **{"systems.spoilage": {"shelf_life": {"meal": 2}}})
    state = carries(keeps.state(), *[[4, 4]] * 3)
    for tick in (0, 200, 400):
        state = at(keeps, state, tick)
    assert state.agents.items.tolist() == [[4, 0]] * 3
    assert not state.slots["spoilage"].units[:, RAW].any()


def test_the_dead_keep_nothing(pantry):
    state = at(pantry, carries(pantry.state(), *[[2, 2]] * 3), 11)
    dead = state.replace(agents=state.agents.replace(alive=jnp.zeros(3, bool), items=jnp.zeros((3, 2), jnp.int8)))
    assert not at(pantry, dead, 12).slots["spoilage"].units.any()


def test_cooking_takes_the_oldest_in_a_whole_tick(pantry):
    state = pantry.state(tick=3, cell=[pantry.cell(2, 3), pantry.cell(2, 1), pantry.cell(2, 5)])
    states = pantry.run(state, 12, "use_cook")  # two raw each; one goes into the pan
    before, after = states[5], states[6]  # ticks 9 and 10
    assert (int(before.tick), ages(before), ages(before, 1)) == (9, [1, 0, 0], [2, 0, 0])
    assert (int(after.tick), ages(after), ages(after, 1)) == (10, [0, 1, 0], [0, 2, 0])
    assert states[-1].agents.items[:, RAW].tolist() == [1, 2, 2]


def test_one_sees_what_goes_bad_next(pantry):
    state = at(pantry, carries(pantry.state(), [4, 2], [0, 100], [0, 0]), 11)
    assert spoilage.SYSTEM.features(pantry.world, state)[0].tolist() == [[0, 0.25], [0, 1], [0, 0]]
    state = at(pantry, at(pantry, state, 10), 210)
    assert spoilage.SYSTEM.features(pantry.world, state)[0].tolist() == [[0.5, 0], [0, 0], [0, 0]]
    assert float(spoilage.SYSTEM.metrics(pantry.world, at(pantry, state, 410))["spoilt"]) == 4


REFUSED = {
    "an unknown item": ({"shelf_life": {"rwa": 1}}, r"shelf_life.rwa: there is no such item \(allowed: raw, meal\)"),
    "no day at all": ({"shelf_life": {"raw": 0}}, "shelf_life.raw: 0 is not allowed .allowed: 1 to 14 days"),
    "too many days": ({"shelf_life": {"raw": 15}}, "shelf_life.raw: 15 is not allowed"),
    "nothing": ({"shelf_life": {}}, "no item is named"),
    "another day": ({"shelf_life": {"raw": 1}, "at": 200}, "spoilage.at: 200 is not allowed"),
}


@pytest.mark.parametrize(("section", "message"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_said(board, section, message):
    with pytest.raises(ConfigError, match=message):
        board(PANTRY, **{"systems.spoilage": section})
