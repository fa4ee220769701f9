"""Movement: boards before and after; the digits are agents, `*` is a cell that two share."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.systems.intents import MOVE, WAIT

HALL = """
    #######
    #0.1.2#
    #.....#
    #h...W#
    #######
"""
DIRECTIONS = "NESW"


@pytest.fixture
def hall(board):
    return board(HALL)


def placed(hall, drawing, alive=(True, True, True)):
    """The state of the hall with its agents where the drawing has them."""
    flat = "".join(drawing.split())
    return hall.state(cell=[flat.index(mark) if mark in flat else 0 for mark in "012"], alive=alive)


def moved(hall, state, moves, priority=(0, 1, 2)):
    """One tick of movement alone; `moves` has N, E, S, W or . for each agent."""
    verbs = [WAIT if move == "." else MOVE for move in moves]
    args = [max(DIRECTIONS.find(move), 0) for move in moves]
    as_i8 = lambda values: jnp.array(np.array(values, np.int8))
    intent = state.intent.replace(verb=as_i8(verbs), arg=as_i8(args), priority=as_i8(priority))
    return hall.only("movement", state.replace(intent=intent))


def same(hall, state, drawing):
    assert hall.draw(state).split() == drawing.split()


def blocked(state):
    return np.asarray(state.slots["movement"].blocked).tolist()


def ghosts(state):
    return np.asarray(state.slots["movement"].ghost).tolist()


def test_each_walks_its_own_way(hall):
    state = moved(hall, placed(hall, HALL), "ESW")
    same(hall, state, "####### #.0.2.# #..1..# #h...W# #######")
    assert blocked(state) == [0, 0, 0]


def test_nobody_walks_into_a_wall_and_a_wall_makes_nobody_impatient(hall):
    state = moved(hall, placed(hall, HALL), "NW.")
    same(hall, state, "####### #01..2# #.....# #h...W# #######")
    assert blocked(state) == [0, 0, 0]


def test_nobody_walks_into_a_facility(hall):
    start = placed(hall, "####### #0.1..# #....2# #h...W# #######")
    same(hall, moved(hall, start, "..S"), "####### #0.1..# #....2# #h...W# #######")


def test_who_stands_is_not_pushed_and_the_other_is_blocked(hall):
    start = placed(hall, "####### #01..2# #.....# #h...W# #######")
    state = moved(hall, start, "E..")
    same(hall, state, "####### #01..2# #.....# #h...W# #######")
    assert blocked(state) == [1, 0, 0]


@pytest.mark.parametrize(
    ("priority", "after"),
    [
        ((0, 1, 2), "####### #..0.2# #..1..# #h...W# #######"),
        ((1, 0, 2), "####### #.01.2# #.....# #h...W# #######"),
    ],
)
def test_of_two_who_claim_one_cell_the_lower_priority_number_wins(hall, priority, after):
    start = placed(hall, "####### #.0..2# #..1..# #h...W# #######")
    state = moved(hall, start, "EN.", priority)  # both want row 1, column 3
    same(hall, state, after)
    assert sorted(blocked(state)) == [0, 0, 1]


def test_over_many_ticks_either_of_two_rivals_wins(hall):
    start = placed(hall, "####### #.0..2# #..1..# #h...W# #######")
    wins = [
        int(hall.step(start, "move_east", "move_north", seed=seed).agents.cell[0]) == hall.cell(1, 3)
        for seed in range(40)
    ]
    assert 8 <= sum(wins) <= 32  # a fair coin leaves this range once in 10,000 tries


def test_the_most_patient_goes_first_whatever_the_priority(hall):
    start = placed(hall, "####### #.0..2# #..1..# #h...W# #######")
    waited = start.slots["movement"].replace(blocked=jnp.array([0, 1, 0], jnp.int8))
    state = moved(hall, start.put(movement=waited), "EN.", (0, 1, 2))
    same(hall, state, "####### #.01.2# #.....# #h...W# #######")


def test_two_who_meet_head_on_pass_each_other(hall):
    start = placed(hall, "####### #.01.2# #.....# #h...W# #######")
    state = moved(hall, start, "EW.")
    same(hall, state, "####### #.10.2# #.....# #h...W# #######")
    assert ghosts(state) == [False] * 3 and blocked(state) == [0] * 3


def test_three_in_a_row_do_not_move_up_in_one_tick(hall):
    # 0 wants 1's cell, 1 wants 2's, 2 steps aside: nobody enters a cell that somebody stands on
    start = placed(hall, "####### #012..# #.....# #h...W# #######")
    state = moved(hall, start, "EES")
    same(hall, state, "####### #01...# #..2..# #h...W# #######")
    assert blocked(state) == [1, 1, 0]


def test_a_follower_keeps_a_gap_of_one_cell(hall):
    state = placed(hall, "####### #01..2# #.....# #h...W# #######")
    state = moved(hall, state, "EE.")
    same(hall, state, "####### #0.1.2# #.....# #h...W# #######")
    state = moved(hall, state, "EE.")
    same(hall, state, "####### #.0.12# #.....# #h...W# #######")
    assert blocked(state) == [0, 0, 0]  # the wait of the first tick is forgotten


def test_the_dead_block_nobody_and_do_not_move(hall):
    start = placed(hall, "####### #01..2# #.....# #h...W# #######", alive=(True, False, True))
    state = moved(hall, start, "EE.")
    same(hall, state, "####### #.0..2# #.....# #h...W# #######")
    assert int(state.agents.cell[1]) == hall.cell(1, 2)
    assert ghosts(state) == [False] * 3


@pytest.mark.parametrize("ghost_after", [1, 2, 3])
def test_a_ghost_step_follows_exactly_so_many_failed_tries(hall, ghost_after):
    corridor = hall.tuned(movement={"ghost_after": jnp.int8(ghost_after)})
    state = placed(corridor, "####### #01..2# #.....# #h...W# #######")
    for tries in range(1, ghost_after + 1):
        state = moved(corridor, state, "E..")
        same(corridor, state, "####### #01..2# #.....# #h...W# #######")
        assert blocked(state) == [tries, 0, 0] and ghosts(state) == [False] * 3
    state = moved(corridor, state, "E..")
    same(corridor, state, "####### #.*..2# #.....# #h...W# #######")
    assert ghosts(state) == [True, False, False] and blocked(state) == [0, 0, 0]


def shared(hall):
    """0 has just stepped into the cell of 1."""
    state = placed(hall, "####### #01..2# #.....# #h...W# #######")
    for _ in range(4):
        state = moved(hall, state, "E..")
    return state


def test_the_flag_stays_while_the_two_share_a_cell(hall):
    state = moved(hall, shared(hall), "...")
    assert ghosts(state) == [True, False, False]


@pytest.mark.parametrize("moves", ["E..", ".E.", "WE."])
def test_the_flag_is_cleared_when_either_of_the_two_leaves(hall, moves):
    assert ghosts(moved(hall, shared(hall), moves)) == [False, False, False]


def test_who_shares_a_cell_passes_nobody(hall):
    # 0 and 1 share column 2; 2 stands in column 3 and comes towards them: a pass would put 2 onto the one who stays
    start = shared(hall)
    cells = start.agents.cell.at[2].set(jnp.uint16(hall.cell(1, 3)))
    state = moved(hall, start.replace(agents=start.agents.replace(cell=cells)), "E.W")
    same(hall, state, "####### #.*2..# #.....# #h...W# #######")
    assert blocked(state) == [1, 0, 1]


def test_a_stander_in_a_one_wide_corridor_stops_nobody_for_ever(board):
    street = board("""
        #######
        #0.1..#
        ####..#
        #h2..W#
        #######
    """)
    state, cells = street.state(), []
    for _ in range(8):
        state = street.step(state, "move_east")
        cells.append(int(state.agents.cell[0]) % 7)
    #        walks, three failed tries, through, and on to the end
    assert cells == [2, 2, 2, 2, 3, 4, 5, 5]
    assert not ghosts(state)[0]


def test_the_dead_lose_their_flag(hall):
    state = shared(hall)
    state = state.replace(agents=state.agents.replace(alive=jnp.array([False, True, True])))
    assert ghosts(moved(hall, state, "...")) == [False, False, False]
