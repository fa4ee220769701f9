"""Nights: at midnight, which is tick 200 here, everybody wakes up at home. Homes are in turn: 0 and 2 left, 1 and 3 right."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError
from townlet_jax.core import fixed
from townlet_jax.systems.employment import IDLE, LATE
from townlet_jax.types import NOTHING

DORM = """
    #########
    #h..W..h#
    #0.1.2.3#
    #.......#
    #@.....K#
    #########
"""
LEFT, RIGHT = (1, 1), (1, 7)
HALF, TENTH = fixed.to_need(0.5), fixed.to_need(0.1)


@pytest.fixture
def dorm(board):
    return board(DORM, **{"systems.nights": {}})


def night(dorm, state, priority=(0, 1, 2, 3), tick=200):
    """The tick of the reset, of this system alone."""
    order = state.intent.replace(priority=jnp.array(priority, jnp.int8))
    return dorm.only("nights", state.replace(tick=jnp.int32(tick), intent=order))


def test_one_a_home_is_moved_and_the_others_stay(dorm):
    state = night(dorm, dorm.state())
    assert dorm.draw(state) == "\n".join(
        [
            "#########",
            "#0..W..1#",
            "#....2.3#",
            "#.......#",
            "#@.....K#",
            "#########",
        ]
    )
    assert state.slots["nights"].moved.tolist() == [True, True, False, False]


def test_priority_says_who_gets_the_bed(dorm):
    moved = night(dorm, dorm.state(), priority=(3, 1, 0, 2)).slots["nights"].moved
    assert moved.tolist() == [False, True, True, False]


def test_where_somebody_stands_nobody_is_put(dorm):
    away = dorm.state(cell=[dorm.cell(2, 1), dorm.cell(2, 3), dorm.cell(*LEFT), dorm.cell(2, 7)])
    state = night(dorm, away, priority=(0, 3, 1, 2))
    assert state.slots["nights"].moved.tolist() == [False, False, False, True]  # 2 is at home already
    assert int(state.agents.cell[3]) == dorm.cell(*RIGHT)


def test_the_dead_stay_where_they_are_and_are_in_nobodys_way(dorm):
    cells = [dorm.cell(*LEFT), *dorm.cells[1:]]
    state = night(dorm, dorm.state(cell=cells, alive=[False, True, True, True]))
    assert state.slots["nights"].moved.tolist() == [False, True, True, False]
    assert state.agents.needs[0].tolist() == dorm.state().agents.needs[0].tolist()


def test_needs_are_at_least_a_half_afterwards(dorm):
    state = night(dorm, dorm.state(needs=[TENTH, HALF + 9, fixed.NEED]))
    assert state.agents.needs.tolist() == [[HALF, HALF + 9, fixed.NEED]] * 4


def test_the_shift_begins_anew_and_attendance_is_kept(dorm):
    state = dorm.state()
    work = state.slots["employment"]
    worked = work.replace(
        shift=jnp.full(4, LATE, jnp.int8),
        present=jnp.full(4, 7, jnp.int16),
        away=jnp.full(4, 3, jnp.int16),
        attended=jnp.full_like(work.attended, 300),
    )
    after = night(dorm, state.put(employment=worked)).slots["employment"]
    assert after.shift.tolist() == [IDLE] * 4
    assert after.present.tolist() == after.away.tolist() == [0] * 4
    assert (after.attended == 300).all()


def in_line(dorm, *agents, busy=()):
    """Some stand in the queue of the shower in this order."""
    state, A = dorm.state(), dorm.world.static.num_agents
    facility, place, remaining = np.full(A, NOTHING, np.int16), np.zeros(A, np.int8), np.zeros(A, np.int16)
    facility[list(agents)], place[list(agents)] = 0, np.arange(len(agents))
    remaining[list(busy)] = 9
    slots = state.slots
    return state.put(
        queues=slots["queues"].replace(facility=jnp.array(facility), place=jnp.array(place)),
        intents=slots["intents"].replace(
            facility=jnp.array(facility), option=jnp.zeros(A, jnp.int8), commit=jnp.full(A, 5, jnp.int8)
        ),
        affordances=slots["affordances"].replace(remaining=jnp.array(remaining)),
    )


def test_who_is_free_leaves_the_queue_and_wants_nothing(dorm):
    state = night(dorm, in_line(dorm, 2, 0, 1))
    assert state.slots["queues"].facility.tolist() == [NOTHING] * 4
    assert state.slots["queues"].place.tolist() == [0] * 4
    intents = state.slots["intents"]
    assert intents.option.tolist() == [dorm.world.static.actions.num_options] * 4
    assert intents.facility.tolist() == [NOTHING] * 4 and intents.commit.tolist() == [0] * 4


def test_who_uses_something_goes_on_with_it(dorm):
    state = night(dorm, in_line(dorm, 2, 0, 1, busy=[2]))
    assert state.slots["nights"].moved.tolist() == [True, True, False, False]
    assert state.slots["queues"].facility.tolist() == [NOTHING, NOTHING, 0, NOTHING]
    assert state.slots["queues"].place.tolist() == [0, 0, 0, 0]
    assert int(state.slots["affordances"].remaining[2]) == 9 and int(state.slots["intents"].commit[2]) == 5
    assert int(state.agents.cell[2]) == int(dorm.cells[2])


def test_the_queue_closes_up_behind_the_dead_and_the_leaving(dorm):
    # 3 is gone since this tick and is still listed; who stays moves up behind it
    state = in_line(dorm, 0, 3, 2, busy=[2])
    state = state.replace(agents=state.agents.replace(alive=jnp.array([True, True, True, False])))
    after = night(dorm, state).slots["queues"]
    assert after.facility.tolist() == [NOTHING, NOTHING, 0, 0] and after.place.tolist() == [0, 0, 1, 0]


def test_who_is_moved_is_a_ghost_no_more(dorm):
    state = dorm.state()
    state = state.put(movement=state.slots["movement"].replace(ghost=jnp.ones(4, bool)))
    assert night(dorm, state).slots["movement"].ghost.tolist() == [False, False, True, True]


@pytest.mark.parametrize("tick", [199, 201, 300])
def test_at_any_other_tick_nothing_happens(dorm, tick):
    before = in_line(dorm, 2, 0, 1)
    after = night(dorm, before.replace(agents=before.agents.replace(needs=before.agents.needs // 9)), tick=tick)
    assert after.agents.needs.tolist() == (before.agents.needs // 9).tolist()
    assert after.agents.cell.tolist() == before.agents.cell.tolist()
    assert after.slots["queues"].place.tolist() == before.slots["queues"].place.tolist()
    assert after.slots["intents"].commit.tolist() == [5] * 4 and not after.slots["nights"].moved.any()


def test_a_day_has_the_tick_of_the_reset(board):
    with pytest.raises(ConfigError, match=r"systems\.nights\.at: 200 is not allowed"):
        board(DORM, **{"systems.nights": {"at": 200}})


def test_who_moves_up_in_a_fair_queue_holds_the_place_from_now_on(board):
    """0 has held the shower for 7 ticks and is put to bed; 3 was next, has just left town, and stands first for a tick."""
    dorm = board(DORM, **{"systems.nights": {}, "systems.queues.fairness": {}})
    state = in_line(dorm, 0, 3, 2, busy=[2])
    queue = state.slots["queues"]
    queue = queue.replace(fair=queue.fair.replace(held=jnp.array([7, 0, 0, 0], jnp.int16)))
    state = state.replace(agents=state.agents.replace(alive=jnp.array([True, True, True, False]))).put(queues=queue)
    after = night(dorm, state).slots["queues"]
    assert after.place.tolist() == [0, 0, 1, 0] and after.fair.held.tolist() == [0, 0, 0, 1]
