"""Movement: boards before and after; the digits are agents, `*` is a cell that two share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from townlet_jax import ConfigError, engine, schema
from townlet_jax.core import fixed, grid
from townlet_jax.systems import movement
from townlet_jax.systems.intents import MOVE, WAIT
from townlet_jax.testing import invariants

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


def assert_drawn(hall, state, drawing):
    assert hall.draw(state).split() == drawing.split()


def blocked(state):
    return np.asarray(state.slots["movement"].blocked).tolist()


def ghosts(state):
    return np.asarray(state.slots["movement"].ghost).tolist()


def test_each_walks_its_own_way(hall):
    state = moved(hall, placed(hall, HALL), "ESW")
    assert_drawn(hall, state, "####### #.0.2.# #..1..# #h...W# #######")
    assert blocked(state) == [0, 0, 0]


def test_nobody_walks_into_a_wall_and_a_wall_makes_nobody_impatient(hall):
    state = moved(hall, placed(hall, HALL), "NW.")
    assert_drawn(hall, state, "####### #01..2# #.....# #h...W# #######")
    assert blocked(state) == [0, 0, 0]


def test_nobody_walks_into_a_facility(hall):
    start = placed(hall, "####### #0.1..# #....2# #h...W# #######")
    assert_drawn(hall, moved(hall, start, "..S"), "####### #0.1..# #....2# #h...W# #######")


def test_who_stands_is_not_pushed_and_the_other_is_blocked(hall):
    start = placed(hall, "####### #01..2# #.....# #h...W# #######")
    state = moved(hall, start, "E..")
    assert_drawn(hall, state, "####### #01..2# #.....# #h...W# #######")
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
    assert_drawn(hall, state, after)
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
    assert_drawn(hall, state, "####### #.01.2# #.....# #h...W# #######")


def test_two_who_meet_head_on_pass_each_other(hall):
    start = placed(hall, "####### #.01.2# #.....# #h...W# #######")
    state = moved(hall, start, "EW.")
    assert_drawn(hall, state, "####### #.10.2# #.....# #h...W# #######")
    assert ghosts(state) == [False] * 3 and blocked(state) == [0] * 3


def test_three_in_a_row_do_not_move_up_in_one_tick(hall):
    # 0 wants 1's cell, 1 wants 2's, 2 steps aside: nobody enters a cell that somebody stands on
    start = placed(hall, "####### #012..# #.....# #h...W# #######")
    state = moved(hall, start, "EES")
    assert_drawn(hall, state, "####### #01...# #..2..# #h...W# #######")
    assert blocked(state) == [1, 1, 0]


def test_a_follower_keeps_a_gap_of_one_cell(hall):
    state = placed(hall, "####### #01..2# #.....# #h...W# #######")
    state = moved(hall, state, "EE.")
    assert_drawn(hall, state, "####### #0.1.2# #.....# #h...W# #######")
    state = moved(hall, state, "EE.")
    assert_drawn(hall, state, "####### #.0.12# #.....# #h...W# #######")
    assert blocked(state) == [0, 0, 0]  # the wait of the first tick is forgotten


def test_the_dead_block_nobody_and_do_not_move(hall):
    start = placed(hall, "####### #01..2# #.....# #h...W# #######", alive=(True, False, True))
    state = moved(hall, start, "EE.")
    assert_drawn(hall, state, "####### #.0..2# #.....# #h...W# #######")
    assert int(state.agents.cell[1]) == hall.cell(1, 2)
    assert ghosts(state) == [False] * 3


@pytest.mark.parametrize("ghost_after", [1, 2, 3])
def test_a_ghost_step_follows_exactly_so_many_failed_tries(hall, ghost_after):
    corridor = hall.tuned(movement={"ghost_after": jnp.int8(ghost_after)})
    state = placed(corridor, "####### #01..2# #.....# #h...W# #######")
    for tries in range(1, ghost_after + 1):
        state = moved(corridor, state, "E..")
        assert_drawn(corridor, state, "####### #01..2# #.....# #h...W# #######")
        assert blocked(state) == [tries, 0, 0] and ghosts(state) == [False] * 3
    state = moved(corridor, state, "E..")
    assert_drawn(corridor, state, "####### #.*..2# #.....# #h...W# #######")
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
    assert_drawn(hall, state, "####### #.*2..# #.....# #h...W# #######")
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


# Passing, and doors


CORRIDOR = """
    ########
    #0....1#
    ########
    #h2...W#
    ########
"""


def test_two_pass_in_a_one_wide_corridor(board):
    lane = board(CORRIDOR)
    state, rows = lane.state(), []
    for _ in range(5):
        state = lane.step(state, "move_east", "move_west")
        rows.append(lane.draw(state).split()[1])
        assert blocked(state) == [0, 0, 0] and ghosts(state) == [False] * 3
    assert rows == ["#.0..1.#", "#..01..#", "#..10..#", "#.1..0.#", "#1....0#"]


@pytest.mark.parametrize("seed", range(4))
def test_two_who_claim_the_cell_between_them_pass_one_tick_later(board, seed):
    lane = board(CORRIDOR)
    state, rows = lane.state(cell=[lane.cell(1, 1), lane.cell(1, 3), lane.cells[2]]), []
    for _ in range(3):
        state = lane.step(state, "move_east", "move_west", seed=seed)
        rows.append(lane.draw(state).split()[1])
    assert rows in (["#.01...#", "#.10...#", "#1..0..#"], ["#01....#", "#10....#", "#1.0...#"])


@pytest.mark.parametrize("ghost_after", [1, 2, 3, 7])
def test_a_blocked_doorway_dissolves(board, ghost_after):
    """1 stands in the door for good; 0 and 2 want through it from either side, and are through in time."""
    rooms = board("""
        #######
        #h.#..#
        #.01.2#
        #..#.W#
        #######
    """).tuned(movement={"ghost_after": jnp.int8(ghost_after)})
    state, columns = rooms.state(), []
    for _ in range(2 * ghost_after + 6):
        state = rooms.step(state, "move_east", "wait", "move_west")
        columns.append([int(cell) % 7 for cell in state.agents.cell])
    first = columns.index(next(row for row in columns if row[0] == 3))
    assert first == ghost_after  # so many failed tries come before the ghost step
    assert columns[-1][0] == 5 and columns[-1][2] == 1 and columns[-1][1] == 3
    assert not any(ghosts(state))


# Patience


class Traits(struct.PyTreeNode):
    """What the system `personality` keeps of people's characters."""

    traits: jnp.ndarray  # i16[A, 3] parts of fixed.SHARE


def patient(state, *shares):
    """The town with the patience of each agent set."""
    traits = np.asarray(state.slots["personality"].traits).copy()
    traits[:, 3] = [fixed.to_share(share) for share in shares]
    return state.put(personality=state.slots["personality"].replace(traits=jnp.array(traits)))


@pytest.fixture
def polite(board):
    return board(HALL, **{"systems.personality": {"patience": True}})


RIVALS = "####### #.0..2# #..1..# #h...W# #######"  # 0 wants east and 1 north, into row 1, column 3


@pytest.mark.parametrize(
    ("patience", "failed", "priority", "wins"),
    [
        ((0.0, 1.0, 0.0), (0, 0, 0), (0, 1, 2), 1),  # the far more patient one, whatever the draw
        ((1.0, -1.0, 0.0), (0, 0, 0), (1, 0, 2), 0),
        ((1.0, -1.0, 0.0), (0, 1, 0), (0, 1, 2), 1),  # but who has failed once comes before all who have not
        ((-1.0, 1.0, 0.0), (100, 99, 0), (1, 0, 2), 0),
        ((0.5, 0.5, 1.0), (0, 0, 0), (1, 0, 2), 1),  # chance decides between equals
        ((0.5, 0.5, 1.0), (0, 0, 0), (0, 1, 2), 0),
    ],
)
def test_the_more_patient_goes_first(hall, polite, patience, failed, priority, wins):
    state = placed(polite, RIVALS)
    tried = state.slots["movement"].replace(blocked=jnp.array(failed, jnp.int8))
    after = moved(polite, patient(state.put(movement=tried), *patience), "EN.", priority)
    assert [int(cell) for cell in after.agents.cell].index(hall.cell(1, 3)) == wins


def test_without_patience_chance_decides(hall):
    assert int(moved(hall, placed(hall, RIVALS), "EN.", (1, 0, 2)).agents.cell[1]) == hall.cell(1, 3)


# Costs: a step onto a cell of cost c takes c ticks, the step itself and c - 1 of rest

LANE = """
    ############
    #0.,,..,1..#
    #h2.......W#
    ############
"""
GRASS = {"systems.movement.cost": {"grass": 2}}


def columns(board, state, num_ticks, *names):
    """The column of agent 0 after each of some ticks."""
    return [int(s.agents.cell[0]) % board.world.static.width for s in board.run(state, num_ticks, *names)]


def test_a_way_takes_the_sum_of_its_costs(board):
    lane = board(LANE, **GRASS)
    away = lane.state(alive=[True, False, False])
    # cells 2 to 9 cost 1 2 2 1 1 2 1 1: each is entered when the costs before it are paid
    assert columns(lane, away, 12, "move_east") == [2, 3, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10]
    assert columns(board(LANE), away.put(movement=board(LANE).state().slots["movement"]), 9, "move_east") == [
        *range(2, 11)
    ]


def test_after_cost_c_the_next_step_comes_c_ticks_later(board):
    for cost in (1, 2, 5, 16):
        lane = board(LANE, **{"systems.movement.cost": {"grass": cost, "door": 2}})
        start = lane.state(alive=[True, False, False], cell=[lane.cell(1, 2), 0, 0])
        assert columns(lane, start, cost + 1, "move_east") == [3] * cost + [4]


def test_rest_is_no_failure(board):
    lane = board(LANE, **{"systems.movement.cost": {"grass": 9}})
    state = lane.state(alive=[True, False, False], cell=[lane.cell(1, 2), 0, 0])
    states = lane.run(state, 10, "move_east")
    assert all(blocked(state) == [0, 0, 0] and not any(ghosts(state)) for state in states)
    rests = [int(state.slots["movement"].rest[0]) for state in states]
    assert rests == [8, 7, 6, 5, 4, 3, 2, 1, 0, 8]


def test_one_rests_also_while_one_stands(board):
    lane = board(LANE, **{"systems.movement.cost": {"grass": 4}})
    start = lane.state(alive=[True, False, False], cell=[lane.cell(1, 2), 0, 0])
    state = lane.step(start, "move_east")
    for _ in range(3):
        state = lane.step(state)
    assert int(state.slots["movement"].rest[0]) == 0
    assert int(lane.step(state, "move_east").agents.cell[0]) == lane.cell(1, 4)


def test_who_waits_for_one_who_rests_does_not_lose_patience(board):
    """0 follows 1 over ground of six ticks a cell: no ghost step, although it waits longer than `ghost_after`."""
    meadow = board(
        """
        ##########
        #0,,,,,,.#
        #h1.2...W#
        ##########
        """,
        **{"systems.movement.cost": {"grass": 6}},
    )
    state = meadow.state(alive=[True, True, False], cell=[meadow.cell(1, 1), meadow.cell(1, 2), 0])
    rest = state.slots["movement"].rest.at[1].set(jnp.int8(5))  # 1 has just stepped there
    state = state.put(movement=state.slots["movement"].replace(rest=rest))
    for _ in range(40):
        state = meadow.step(state, "move_east", "move_east")
        assert blocked(state)[0] <= 1 and not any(ghosts(state))  # one failed try: 1 leaves in the tick in which 0 asks
    assert [int(cell) % 10 for cell in state.agents.cell[:2]] == [7, 8]


def test_who_only_stands_on_costly_ground_is_passed_all_the_same(board):
    lane = board(LANE, **{"systems.movement.cost": {"grass": 4}})
    state = lane.state(alive=[True, True, False], cell=[lane.cell(1, 2), lane.cell(1, 3), 0])
    rest = state.slots["movement"].rest.at[1].set(jnp.int8(3))
    state, tries = state.put(movement=state.slots["movement"].replace(rest=rest)), []
    for _ in range(7):
        state = lane.step(state, "move_east")
        tries.append(blocked(state)[0])
    assert tries == [0, 0, 0, 1, 2, 3, 0]  # three ticks for the rest of 1, three failed tries, a ghost step
    assert ghosts(state) == [True, False, False]


def test_two_pass_on_costly_ground_whoever_rests(board):
    """All pairs of rests: the two are past each other at last, and none needs a ghost step."""
    meadow = board("######\n#0,,1#\n#h2.W#\n######", **{"systems.movement.cost": {"grass": 3}})
    for first, second in np.ndindex(3, 3):
        state = meadow.state(cell=[meadow.cell(1, 2), meadow.cell(1, 3), meadow.cells[2]])
        rest = jnp.array([first, second, 0], jnp.int8)
        state = state.put(movement=state.slots["movement"].replace(rest=rest))
        for tick in range(max(first, second) + 1):
            assert [int(cell) % 6 for cell in state.agents.cell[:2]] == [2, 3], tick
            state = meadow.step(state, "move_east", "move_west")
            assert not any(ghosts(state)) and blocked(state)[0] == blocked(state)[1] == 0
        assert [int(cell) % 6 for cell in state.agents.cell[:2]] == [3, 2]
        assert state.slots["movement"].rest.tolist() == [2, 2, 0]


def test_the_dead_do_not_rest(board):
    lane = board(LANE, **GRASS)
    state = lane.state(alive=[False, True, True])
    state = state.put(movement=state.slots["movement"].replace(rest=jnp.array([5, 5, 0], jnp.int8)))
    assert not bool(invariants(lane.world, state)["the dead do not rest"])
    state = lane.step(state)
    assert state.slots["movement"].rest.tolist() == [0, 4, 0]
    assert bool(invariants(lane.world, state)["the dead do not rest"])


def test_a_rest_out_of_bounds_is_noticed(board):
    lane = board(LANE, **GRASS)
    for rest, holds in ((-1, False), (0, True), (31, True), (32, False)):
        state = lane.state()
        state = state.put(movement=state.slots["movement"].replace(rest=jnp.full(3, rest, jnp.int8)))
        assert bool(invariants(lane.world, state)["rest in bounds"]) == holds


def test_a_world_without_costs_has_nothing_of_them(board):
    plain, dear = board(LANE), board(LANE, **GRASS)
    assert plain.state().slots["movement"].rest is None and plain.world.params["movement"].cost is None
    assert dear.state().slots["movement"].rest.dtype == jnp.int8
    assert "rest in bounds" not in invariants(plain.world, plain.state())
    names = [[entry.name for entry in schema(board.world)] for board in (plain, dear)]
    assert "rest" not in names[0] and set(names[1]) - set(names[0]) == {"rest"}
    ones = board(LANE, **{"systems.movement.cost": {"grass": 1, "floor": 1}})
    assert ones.state().slots["movement"].rest is None
    for table in ("distance", "next_hop", "route", "route_distance"):
        np.testing.assert_array_equal(getattr(ones.world.map, table), getattr(plain.world.map, table))


def test_rest_is_seen(board):
    lane = board(LANE, **GRASS)
    at = next(entry.start for entry in schema(lane.world) if entry.name == "rest")
    state = lane.state()
    state = state.put(movement=state.slots["movement"].replace(rest=jnp.array([0, 2, 20], jnp.int8)))
    assert lane.observe(state).features[:, at].tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("cost", "fault"),
    [
        ({"wall": 2}, "systems.movement.cost.wall: 'wall' is not among the choices"),
        ({"grass": 0}, "systems.movement.cost.grass: 0 is below 1"),
        ({"grass": 17}, "systems.movement.cost.grass: 17 is above 16"),
        ({"grass": 1.5}, "systems.movement.cost.grass: 1.5 is not an integer"),
    ],
)
def test_a_cost_that_cannot_be_is_refused(board, cost, fault):
    with pytest.raises(ConfigError, match=fault):
        board(LANE, **{"systems.movement.cost": cost})


# Ways: the tables count ticks of walking

PARK = """
    ##############
    #0..,,,,+,,..#
    #.##,###,#,#.#
    #..#,,,@@#,..#
    #,.#+#,,##.#,#
    #,,,,#,+,...,#
    #.#..@@#,###,#
    #h..,,,#,..,W#
    ##############
"""
COSTS = {"grass": 3, "door": 5, "road": 2}


def arrivals(world, cells, num_ticks=120):
    """The tick i32[n] in which somebody alone who starts on each cell and goes home arrives there."""
    action = jnp.full(1, world.static.actions.options + world.static.actions.home, jnp.int32)
    home = world.map.home_cell[0]

    def one(cell):
        state = engine.reset(world, jax.random.key(0))
        state = state.replace(agents=state.agents.replace(cell=jnp.full(1, cell, jnp.uint16)))

        def tick(state, number):
            state = engine.step(world, state, action, jax.random.key(1))
            return state, jnp.where(state.agents.cell[0] == home, number, num_ticks + 1)

        when = jax.lax.scan(tick, state, jnp.arange(1, num_ticks + 1, dtype=jnp.int32))[1]
        return jnp.where(cell == home, 0, when.min())

    return np.asarray(jax.jit(jax.vmap(one))(jnp.array(cells, jnp.uint16)))


def home_table(world):
    """The walkable cells, and their distance from home."""
    distance = np.asarray(world.map.distance)[:, -1].astype(int)
    cells = np.flatnonzero(distance < grid.UNREACHABLE)
    return cells, distance[cells]


def test_who_walks_alone_arrives_in_exactly_the_ticks_of_the_table(board):
    world = board(PARK, **{"systems.movement.cost": COSTS}).world
    cells, distance = home_table(world)
    assert len(cells) > 55 and distance.max() == 30
    np.testing.assert_array_equal(arrivals(world, cells), distance)
    assert (distance > home_table(board(PARK).world)[1]).mean() > 0.8


def test_rain_makes_the_same_way_longer_by_its_extra(board):
    """Two ticks for each cell out of doors between the first and the last, and nothing else."""
    rain = {"start": {"rainy": 1.0}, "then": {name: {"rainy": 1.0} for name in ("sunny", "rainy", "cold")}}
    wet = board(PARK, **{"systems.movement.cost": COSTS, "systems.weather": {**rain, "extra_cost": {"rainy": 2}}}).world
    cells, distance = home_table(wet)
    ground, hops = np.asarray(wet.map.ground), np.asarray(wet.map.next_hop)[:, -1]
    outside = np.isin(ground, [grid.GROUNDS.index(name) for name in ("grass", "road")])
    steps, home = np.asarray(wet.map.neighbour), int(wet.map.home_cell[0])

    def extra(cell):
        cell, count = int(steps[cell, hops[cell]]) if cell != home else home, 0
        while cell != home:
            count += 2 * int(outside[cell])
            cell = int(steps[cell, hops[cell]])
        return count

    more = np.array([extra(cell) for cell in cells])
    assert 10 < more.max() and (more == 0).sum() > 1
    np.testing.assert_array_equal(arrivals(wet, cells), distance + more)
    dry = board(PARK, **{"systems.movement.cost": COSTS}).world
    np.testing.assert_array_equal(np.asarray(dry.map.distance), np.asarray(wet.map.distance))


def test_the_nearest_facility_is_the_one_that_takes_least_time(board):
    """From column 5 the left shower is three steps off over grass, the right one five over floor."""
    drawing = """
        #############
        #W,,,0.....W#
        #####h#######
        #############
    """
    plain, dear = board(drawing), board(drawing, **{"systems.movement.cost": {"grass": 3}})
    wash = [int(b.world.map.route[b.cell(1, 5), 0]) for b in (plain, dear)]
    assert wash == [0, 1]
    steps = [int(b.world.map.route_distance[b.cell(1, 5), 0]) for b in (plain, dear)]
    assert steps == [3, 5]  # by grass it would be 1 + 3 + 3 = 7


# Coming into town


def test_newcomers_step_off_the_road_one_after_the_other(board):
    """Both come at the one entry; the second one as soon as the first has walked on."""
    street = board("""
        ########
        #@.0.1.#
        #h....W#
        ########
    """)
    state = street.state(alive=[False, False])
    state = state.put(lifecycle=state.slots["lifecycle"].replace(arrives=jnp.array([1, 1], jnp.int8)))
    state = street.step(state)
    assert state.agents.alive.tolist() == [True, False] and int(state.agents.cell[0]) == street.cell(1, 1)
    state = street.step(state)  # 0 stands at the stop
    assert state.agents.alive.tolist() == [True, False]
    state = street.step(state, "move_east")
    assert state.agents.alive.tolist() == [True, True] and int(state.agents.cell[1]) == street.cell(1, 1)
    for _ in range(2):  # 1 keeps its distance for a tick
        state = street.step(state, "move_east", "move_east")
    assert [int(cell) % 8 for cell in state.agents.cell] == [4, 2]
    assert not any(ghosts(state))


def test_every_entry_of_the_town_is_at_the_roadside(town):
    world = town.world
    entries = np.asarray(world.map.entry_cell)
    assert len(entries) >= 4
    assert (np.asarray(world.map.ground)[entries] == grid.GROUNDS.index("road")).all()
    assert (np.asarray(world.map.distance)[entries] < grid.UNREACHABLE).all()


def test_the_order_of_those_who_claim_a_cell_is_of_distinct_numbers(polite):
    """Failed tries before patience and chance, also at the ends of the ranges; a tie would let two into one cell."""
    for shares in ((-1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (0.0, 0.0, 0.0)):
        for failed in ((100, 0, 0), (1, 0, 0), (100, 99, 100)):
            state = patient(placed(polite, RIVALS), *shares)
            tried = state.slots["movement"].replace(blocked=jnp.array(failed, jnp.int8))
            intent = state.intent.replace(priority=jnp.array([2, 0, 1], jnp.int8))
            order = np.asarray(
                movement.precedence(polite.world, state.put(movement=tried).replace(intent=intent))
            ).tolist()
            assert len(set(order)) == 3
            assert all(order[a] < order[b] for a in range(3) for b in range(3) if failed[a] > failed[b])
