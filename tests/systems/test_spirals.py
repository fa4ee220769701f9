"""Spirals: what counts as a mishap, which days are bad, what the day after is like, and what clears it."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError, schema
from townlet_jax.core import fixed
from townlet_jax.core.shifts import BECAME_ABSENT, BECAME_LATE, QUIET
from townlet_jax.systems import spirals
from townlet_jax.types import NOBODY

SQUARE = """
    #######
    #h.W.K#
    #.0.1.#
    #######
"""
NUMBERS = {"mishaps": 3, "good": 1, "low_need": 0.2, "factor": 1.1}
DAY = 200
WELL, POOR = fixed.to_need(0.6), fixed.to_need(0.2)
DECAY = jnp.array([fixed.to_need(rate) for rate in (0.01, 0.005, 0.0)], jnp.int32)


@pytest.fixture
def square(board):
    settings = {"systems.queues.fairness": {"rage": {}}, "systems.spirals": NUMBERS}
    return board(SQUARE, **settings).tuned(needs={"decay": DECAY})


def lived(board, state, tick, needs=(WELL, WELL, WELL), quarrels=False, event=QUIET, storms=False):
    """A tick of the spirals alone, in which that happens to agent 0."""
    levels = np.full((2, 3), WELL, np.int32)
    levels[0] = needs
    queues, work = state.slots["queues"], state.slots["employment"]
    rage = queues.fair.rage.replace(storms=jnp.array([storms, False]))
    state = state.replace(tick=jnp.int32(tick), agents=state.agents.replace(needs=jnp.array(levels)))
    state = state.put(
        queues=queues.replace(
            conflict=jnp.array([1 if quarrels else NOBODY, NOBODY], jnp.int16), fair=queues.fair.replace(rage=rage)
        ),
        employment=work.replace(event=jnp.array([event, QUIET], jnp.int8)),
    )
    return board.only("spirals", state)


def count(state):
    return spirals.mishaps(state).tolist()


def spiralling(state):
    return state.slots["spirals"].spirals.tolist()


def after_a_day(board, state, mishaps, day=1):
    """The state in the first tick of the next day, after a day with so many quarrels."""
    for tick in range(mishaps):
        state = lived(board, state, (day - 1) * DAY + 10 + tick, quarrels=True)
    assert count(state)[0] == mishaps
    return lived(board, state, day * DAY)


def test_without_it_there_is_nothing_of_it(board):
    square = board(SQUARE)
    assert "spirals" not in square.state().slots and "spirals" not in square.world.params
    assert not {"spiral", "mishaps"} & {entry.name for entry in schema(square.world)}


def test_a_need_counts_once_a_day_and_only_below_the_threshold(square):
    state = lived(square, square.state(), 10, needs=(POOR, POOR - 1, 0))
    assert count(state) == [2, 0]
    state = lived(square, state, 11, needs=(POOR, WELL, 0))
    assert count(state) == [2, 0]
    state = lived(square, state, 12, needs=(0, WELL, WELL))
    assert count(state) == [3, 0]
    assert count(lived(square, state, DAY, needs=(0, WELL, WELL))) == [1, 0]  # it is still so on the next day


def test_a_shift_counts_once_a_day(square):
    state = lived(square, square.state(), 110, event=BECAME_LATE)
    assert count(state) == [1, 0]
    assert count(lived(square, state, 130, event=BECAME_ABSENT)) == [1, 0]


def test_each_quarrel_counts_and_so_does_storming_off(square):
    state = lived(square, square.state(), 10, quarrels=True)
    state = lived(square, state, 11, storms=True)
    state = lived(square, state, 12, quarrels=True, storms=True)
    assert count(state) == [3, 0]


@pytest.mark.parametrize(
    ("before", "mishaps", "after"), [(False, 2, False), (False, 3, True), (True, 2, True), (True, 1, False)]
)
def test_a_day_with_3_is_bad_with_1_good_and_with_2_neither(square, before, mishaps, after):
    state = square.state()
    if before:
        state = after_a_day(square, state, 3)
        assert spiralling(state) == [True, False]
    assert spiralling(after_a_day(square, state, mishaps, day=2 if before else 1)) == [after, False]


def test_nothing_changes_before_midnight(square):
    state = square.state()
    for tick in (10, 11, 12, 199):
        state = lived(square, state, tick, quarrels=True)
    assert count(state) == [4, 0] and spiralling(state) == [False, False]


def test_after_a_bad_day_needs_fall_faster_by_a_tenth_and_never_more(square):
    """10486 and 5243 parts a tick, times 1126 / 1024, to the nearest part."""
    state, day = square.state(), 1
    for day in (1, 2, 3):
        state = after_a_day(square, state, 5, day)
    fallen = lambda state: (state.agents.needs - square.only("needs", state).agents.needs).tolist()
    assert fallen(state) == [[11531, 5765, 0], [10486, 5243, 0]]
    assert fallen(after_a_day(square, state, 0, 4)) == [[10486, 5243, 0]] * 2  # one good day clears it


def test_a_newcomer_begins_without(square):
    state = after_a_day(square, square.state(), 3)
    dead = state.replace(agents=state.agents.replace(alive=jnp.array([False, True])))
    dead = square.only("spirals", dead.replace(tick=jnp.int32(DAY + 1)))
    assert spiralling(dead) == [False, False] and count(dead) == [0, 0]


def test_two_days_of_a_town(board):
    """Nobody goes to work, and one of the two has two low needs: three mishaps against one, and a harder day after it.

    A day has 200 ticks. In tick 200 the day is judged; from tick 201 on hunger falls by 115 a tick in place of 105.
    """
    decay = jnp.array([fixed.to_need(0.0001), 0, 0], jnp.int32)
    square = board(SQUARE, **{"systems.spirals": NUMBERS}).tuned(needs={"decay": decay})
    levels = [[fixed.to_need(0.5), fixed.to_need(0.1), fixed.to_need(0.1)], [WELL] * 3]
    states = square.run(square.state(needs=levels), 202)
    assert count(states[98]) == [2, 0] and count(states[158]) == [3, 1]  # before and after the shift
    assert spiralling(states[198]) == [False, False] and spiralling(states[199]) == [True, False]
    hunger = [int(state.agents.needs[0, 0]) for state in states]
    assert hunger[198] - hunger[199] == 105 and hunger[199] - hunger[200] == 115 == hunger[200] - hunger[201]


def test_one_sees_how_ones_day_goes(square):
    start = {entry.name: entry.start for entry in schema(square.world)}
    state = lived(square, after_a_day(square, square.state(), 3), DAY + 1, quarrels=True)
    features = square.observe(state).features
    assert features[:, start["spiral"]].tolist() == [1, 0]
    assert features[:, start["mishaps"]].tolist() == [pytest.approx(1 / 3), 0]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"good": 3}, "spirals.good: 3 is not below mishaps 3: a day would be good and bad"),
        ({"factor": 1.0001}, "spirals.factor: 1.0001 is no more than 1 in the town's numbers"),
        ({"factor": 1.3}, "1 < factor <= 1.25"),
        ({"low_need": 0.6}, "0 < low_need <= 0.5"),
    ],
)
def test_days_that_make_no_sense_are_refused(board, numbers, said):
    with pytest.raises(ConfigError, match=said):
        board(SQUARE, **{"systems.spirals": {**NUMBERS, **numbers}})
