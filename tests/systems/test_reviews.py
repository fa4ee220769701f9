"""Reviews: three absences lead into the exit queue; due cases are decided in order, a few a day; approve and defer."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError
from townlet_jax.systems import lifecycle, reviews, timesheets

OFFICE = """
    #######
    #h.WK@#
    #01234#
    #######
"""
ON = {"systems.timesheets": {}, "systems.reviews": {"review_ticks": 50, "daily_exit_cap": 1}}


@pytest.fixture
def office(board):
    return board(OFFICE, **ON)


def absent(state, *days):
    """The town in which agent a was absent on the last `days[a]` days, today included."""
    sheet = state.slots["timesheets"]
    ring = jnp.array([[day < number for day in range(7)] for number in days])
    return state.put(timesheets=sheet.replace(absent=ring))


def review(office, state, num_ticks=1, priority=(0, 1, 2, 3, 4), alive=None):
    """The reviews of some ticks, and nothing else."""
    state = state.replace(intent=state.intent.replace(priority=jnp.array(priority, jnp.int8)))
    if alive is not None:
        state = state.replace(agents=state.agents.replace(alive=jnp.array(alive)))
    for _ in range(num_ticks):
        state = office.only("reviews", state.replace(tick=state.tick + 1))
    return state


def queue(state):
    """The agents in the queue, first one first."""
    slot = state.slots["reviews"]
    waiting = np.flatnonzero(slot.pending)
    return waiting[np.argsort(np.asarray(slot.place)[waiting])].tolist()


def gone(state):
    return np.flatnonzero(reviews.dismissed(state)).tolist()


def test_three_absences_lead_into_the_queue(office):
    state = review(office, absent(office.state(), 2, 3, 0, 4, 0))
    assert queue(state) == [1, 3] and gone(state) == []
    assert queue(review(office, state, 5)) == [1, 3]  # once, and as long as it takes
    assert queue(review(office, absent(state, 0, 0, 0, 0, 0))) == [1, 3]  # even if the days go by


def test_who_is_caught_first_comes_first_and_priority_settles_the_rest(office):
    state = review(office, absent(office.state(), 0, 0, 0, 3, 0))
    state = review(office, absent(state, 3, 3, 0, 3, 3), priority=(3, 1, 0, 4, 2))
    assert queue(state) == [3, 1, 4, 0]


def test_a_case_is_due_after_the_review_and_the_cap_holds_it_back(office):
    state = review(office, absent(office.state(), 3, 3, 0, 0, 0))
    state = review(office, state, 49)  # 49 ticks in the queue
    assert queue(state) == [0, 1]
    state = review(office, state)
    assert queue(state) == [1] and gone(state) == [0]
    assert int(state.slots["reviews"].exits) == 1
    state = review(office, state, 148)  # ticks 52 to 199: the day's cap of one is reached
    assert (int(state.tick), queue(state), gone(state)) == (199, [1], [0])
    state = review(office, state)
    assert (int(state.tick), queue(state), gone(state)) == (200, [], [0, 1])


def test_cap_one_and_two_cases_then_a_manual_approval(office):
    at_once = office.tuned(reviews={"review": jnp.int32(0)})
    state = review(at_once, absent(at_once.state(), 3, 3, 0, 0, 0))
    assert queue(state) == [1] and gone(state) == [0]
    state = review(at_once, state, 5)
    assert queue(state) == [1]
    state = review(at_once, reviews.approve(state, 1))
    assert queue(state) == [] and gone(state) == [0, 1]
    assert int(state.slots["reviews"].exits) == 2  # it counts, though the cap is one


def test_an_approval_uses_up_the_cap_of_the_others(office):
    state = review(office, absent(office.state(), 3, 3, 3, 0, 0), 51)
    assert gone(state) == [0]
    fresh = review(office, absent(office.state(), 3, 3, 3, 0, 0), 50)
    state = review(office, reviews.approve(fresh, 2))
    assert gone(state) == [2] and queue(state) == [0, 1]


def test_without_a_cap_all_due_cases_go(office):
    free = office.tuned(reviews={"cap": jnp.int32(reviews.MOST_EXITS)})
    state = review(free, absent(free.state(), 3, 3, 3, 3, 3), 51)
    assert gone(state) == [0, 1, 2, 3, 4] and int(state.slots["reviews"].exits) == 5


def test_no_cap_is_written_as_zero(board):
    world = board(OFFICE, **{**ON, "systems.reviews": {"daily_exit_cap": 0}}).world
    assert int(world.params["reviews"].cap) == reviews.MOST_EXITS


def test_an_exit_storm_takes_two_a_day(board):
    calm = board(OFFICE, **{**ON, "systems.reviews": {"review_ticks": 0}})
    state, left = absent(calm.state(), 7, 7, 7, 7, 7), []
    for day in range(3):
        state = review(calm, state, 1 if day == 0 else 200)
        left.append(len(gone(state)))
    assert left == [2, 4, 5]


def test_who_is_deferred_begins_anew(office):
    state = review(office, absent(office.state(), 3, 3, 3, 0, 0), 10)
    state = reviews.defer(state, 1)
    assert queue(state) == [0, 2]
    assert state.slots["reviews"].place.tolist() == [0, 0, 1, 0, 0]
    assert timesheets.absences(state).tolist() == [3, 0, 3, 0, 0]
    state = review(office, state)
    assert queue(state) == [0, 2] and int(state.slots["reviews"].waited[1]) == 0
    assert queue(review(office, absent(state, 3, 3, 3, 0, 0))) == [0, 2, 1]


def test_only_cases_in_the_queue_can_be_decided_by_hand(office):
    state = absent(office.state(), 3, 2, 0, 0, 0)
    state = review(office, state)
    for edit in (reviews.approve, reviews.defer):
        for agent in (1, 5, 99):
            after = review(office, edit(state, agent))
            assert queue(after) == [0] and gone(after) == []
            assert timesheets.absences(after).tolist() == [3, 2, 0, 0, 0]


def test_the_dead_lose_their_place_and_their_dismissal(office):
    state = review(office, absent(office.state(), 3, 3, 3, 0, 0), 51)
    assert queue(state) == [1, 2] and gone(state) == [0]
    state = review(office, state, alive=[False, False, True, True, True])
    assert queue(state) == [2] and gone(state) == []
    assert not state.slots["reviews"].dismissed.any()


def test_the_queue_is_measured(board):
    full = board(OFFICE, **{**ON, "systems.reviews": {"exit_queue_limit": 2}})
    at = lambda *days: {
        name: float(x)
        for name, x in reviews.SYSTEM.metrics(full.world, review(full, absent(full.state(), *days))).items()
    }
    assert at(3, 3, 0, 0, 0) == {"reviews/pending": 2, "reviews/overflow": 0, "reviews/today": 0}
    assert at(3, 3, 3, 0, 0) == {"reviews/pending": 3, "reviews/overflow": 1, "reviews/today": 0}


def test_one_sees_the_own_case(office):
    state = review(office, absent(office.state(), 3, 0, 0, 0, 0), 26)
    pending, reviewed = reviews.SYSTEM.features(office.world, state)
    assert pending.tolist() == [1, 0, 0, 0, 0]
    assert reviewed.tolist() == pytest.approx([25 / 75, 0, 0, 0, 0])


@pytest.mark.skipif("dismissal" not in lifecycle.REASONS, reason="the lifecycle of this version knows no dismissal")
def test_who_is_dismissed_leaves_the_town_in_the_same_tick(board):
    strict = board(OFFICE, **{**ON, "systems.reviews": {"review_ticks": 0, "daily_exit_cap": 1}})
    state = strict.step(absent(strict.state(tick=10), 3, 3, 0, 0, 0))
    assert state.terminated.sum() == 1
    leaver = int(np.flatnonzero(state.terminated)[0])
    assert lifecycle.REASONS[int(state.slots["lifecycle"].reason[leaver])] == "dismissal"
    later = strict.step(state)
    assert not later.slots["reviews"].dismissed.any() and not later.slots["timesheets"].absent[leaver].any()


def test_what_may_not_be_said(board):
    refused = [
        ({"systems.timesheets": None}, "reviews: needs the system 'timesheets'"),
        ({"systems.timesheets": {"days": 2}}, "max_absent_shifts: 3 absences: the timesheets count 2 at most"),
    ]
    for overrides, message in refused:
        with pytest.raises(ConfigError, match=message):
            board(OFFICE, **{**ON, **overrides})
