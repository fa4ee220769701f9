"""Queues: order of arrival, gaps that close, holders who do not begin, and how long one waits at most."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.types import NOTHING

# the shower's user stands below it, the queue behind: places 0, 1 and 2 of the first shower are column 3, rows 2 to 4
BATH = """
    #######
    #..W.W#
    #0...3#
    #1....#
    #2....#
    #h....#
    #######
"""


@pytest.fixture
def bath(board):
    return board(BATH, **{"systems.queues.reach": 2})


def at(bath, rows_columns):
    return bath.state(cell=[bath.cell(*spot) for spot in rows_columns])


FAR = (5, 2)  # five steps from the first shower
NEAR = [(2, 3), (3, 3), (2, 2), (3, 2)]
ARRIVALS = [FAR, (2, 2), (3, 3), (2, 3)]  # at most two steps from it, agent 0 apart


def lined_up(bath, state, wants, priority=(0, 1, 2, 3), cells=None):
    """One tick of the queues alone; `wants` has a facility for each agent, or None."""
    facility = np.array([NOTHING if want is None else want for want in wants], np.int16)
    intent = state.intent.replace(facility=jnp.array(facility), priority=jnp.array(priority, jnp.int8))
    if cells is not None:
        where = jnp.array([bath.cell(*spot) for spot in cells], jnp.uint16)
        state = state.replace(agents=state.agents.replace(cell=where))
    return bath.only("queues", state.replace(intent=intent))


def places(state):
    """The place of each agent, None if it stands in no queue."""
    slot = state.slots["queues"]
    return [
        None if facility == NOTHING else place for facility, place in zip(slot.facility.tolist(), slot.place.tolist())
    ]


def test_the_cells_of_a_queue_stand_one_behind_the_other(bath):
    assert bath.world.map.place_cell[0].tolist() == [bath.cell(2, 3), bath.cell(3, 3), bath.cell(4, 3)]


def test_who_is_out_of_reach_stands_in_no_queue(bath):
    state = lined_up(bath, at(bath, [FAR, *ARRIVALS[1:]]), [0, 0, None, None])
    assert places(state) == [None, 0, None, None]


def test_three_who_arrive_one_after_the_other_stand_in_order_of_arrival(bath):
    spots, state = [FAR] * 4, at(bath, NEAR)
    seen = []
    for agent in (2, 0, 1):  # 2 comes first though its index is the highest
        spots = [NEAR[a] if a == agent else spot for a, spot in enumerate(spots)]
        state = lined_up(bath, state, [0, 0, 0, None], cells=spots)
        seen.append(places(state))
    assert seen == [[None, None, 0, None], [1, None, 0, None], [1, 2, 0, None]]


def test_no_priority_moves_a_newcomer_ahead_of_who_waits(bath):
    state = lined_up(bath, at(bath, NEAR), [None, 0, None, None], (3, 2, 1, 0))
    state = lined_up(bath, state, [0, 0, 0, 0], (0, 3, 2, 1))
    assert places(state) == [1, 0, 3, 2]


def test_arrivals_of_one_tick_are_settled_by_priority(bath):
    assert places(lined_up(bath, at(bath, NEAR), [0, 0, 0, 0], (2, 0, 3, 1))) == [2, 0, 3, 1]


def test_over_many_ticks_each_of_three_rivals_comes_first(board):
    trio = board(BATH)
    start = trio.state()
    first = [places(trio.step(start, *["go_wash"] * 3, seed=seed)).index(0) for seed in range(60)]
    assert (np.bincount(first, minlength=3) >= 8).all()  # 20 expected, 8 is over three standard deviations below


@pytest.mark.parametrize(("leaver", "after"), [(0, [None, 0, 1, 2]), (1, [0, None, 1, 2]), (3, [0, 1, 2, None])])
def test_a_gap_closes(bath, leaver, after):
    state = lined_up(bath, at(bath, NEAR), [0, 0, 0, 0])
    state = lined_up(bath, state, [None if agent == leaver else 0 for agent in range(4)])
    assert places(state) == after


def test_who_walks_off_loses_the_place(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, 0, None])
    state = lined_up(bath, state, [0, 0, 0, None], cells=[FAR, *NEAR[1:]])
    assert places(state) == [None, 0, 1, None]
    state = lined_up(bath, state, [0, 0, 0, None], cells=NEAR)
    assert places(state) == [2, 0, 1, None]


def test_who_changes_queue_starts_at_its_tail(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])
    both = [(2, 4)] * 4  # within two steps of either shower
    state = lined_up(bath, state, [0, 0, 1, None], cells=both)
    state = lined_up(bath, state, [1, 0, 1, None], cells=both)
    assert state.slots["queues"].facility.tolist() == [1, 0, 1, NOTHING]
    assert places(state) == [1, 0, 0, None]


def test_the_dead_stand_in_no_queue(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, 0, None])
    state = state.replace(agents=state.agents.replace(alive=jnp.array([False, True, True, True])))
    assert places(lined_up(bath, state, [0, 0, 0, None])) == [None, 0, 1, None]


def test_a_holder_who_does_not_begin_goes_to_the_tail_after_so_many_ticks(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])  # arrives, and holds
    for tick in range(1, 11):  # start_within is 10
        state = lined_up(bath, state, [0, 0, None, None])
        assert places(state)[:2] == [0, 1] and state.slots["queues"].idle.tolist()[0] == tick
    state = lined_up(bath, state, [0, 0, 0, None])  # and one who arrives in that tick stands before it, too
    assert places(state) == [2, 0, 1, None]


def test_a_holder_who_uses_the_facility_is_not_idle(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])
    using = state.slots["affordances"].replace(remaining=jnp.array([20, 0, 0, 0], jnp.int16))
    state = state.put(affordances=using)
    for _ in range(15):
        state = lined_up(bath, state, [0, 0, None, None])
    assert places(state)[:2] == [0, 1] and state.slots["queues"].idle.tolist() == [0] * 4


def test_a_holder_who_begins_in_its_last_tick_keeps_its_place(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])
    for _ in range(10):
        state = lined_up(bath, state, [0, 0, None, None])
    begun = state.slots["affordances"].replace(remaining=jnp.array([29, 0, 0, 0], jnp.int16))  # in this very tick
    assert places(lined_up(bath, state.put(affordances=begun), [0, 0, None, None])) == [0, 1, None, None]


def test_a_lone_holder_who_dawdles_keeps_the_facility(bath):
    state = at(bath, NEAR)
    for _ in range(25):
        state = lined_up(bath, state, [0, None, None, None])
    assert places(state) == [0, None, None, None]


def served(bath, again):
    """The ticks at which each of three agents has washed; all want to once, those in `again` again and again."""
    state, done = bath.state(), [[], [], []]
    for tick in range(1, 200):
        wish = ["go_wash" if not done[a] or (a in again) else "wait" for a in range(3)]
        state = bath.step(state, *wish)
        for agent in range(3):
            if bool(state.slots["affordances"].completed[agent]):
                done[agent].append(tick)
    return done


def test_the_wait_is_bounded_by_the_place_in_the_queue(board):
    # A use takes 30 ticks. Handing over takes 6 at most: the place falls free, three tries to pass the one who still
    # stands there, a ghost step, and the start. The first of all walks 2 steps. So the k-th is done by 3 + 36 (k + 1).
    ends = sorted(ticks[0] for ticks in served(board(BATH), again=()))
    assert all(end <= 3 + 36 * (k + 1) for k, end in enumerate(ends))
    assert ends[0] >= 30 and all(later - sooner >= 30 for sooner, later in zip(ends, ends[1:]))


def test_who_has_finished_goes_behind_those_who_wait(board):
    done = served(board(BATH), again=(0, 1, 2))
    assert all(ticks for ticks in done)
