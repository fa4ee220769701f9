"""The ways: with `observation.ways` agents see the first step to everything that an option would walk to."""

import jax.numpy as jnp
import numpy as np

from townlet_jax import explain, schema
from townlet_jax.core.grid import DIRECTIONS

# two rooms with one door between them, and a road behind; 0 is in the left one, 1 in the right one
ROOMS = """
    ###########
    #h...#..W.#
    #..0.#1...#
    #....+....#
    #....#..K.#
    #@...#...S#
    ###########
"""
WAYS = {"observation.ways": True}
OPTIONS = {"wash": "go_wash", "cook": "go_cook", "work": "go_work", "home": "go_home"}


def ways(board, state, agent=0):
    """Goal -> the direction that is shown, None for none."""
    words = explain(board.world, board.observe(state), agent)
    shown = {goal: [way for way in DIRECTIONS if words[f"first_step_{goal}_{way}"]] for goal in OPTIONS}
    assert all(len(found) <= 1 for found in shown.values())
    return {goal: found[0] if found else None for goal, found in shown.items()}


def moved(board, state, cells):
    """The state with everybody on other cells."""
    return state.replace(agents=state.agents.replace(cell=jnp.array(cells, jnp.uint16)))


def test_what_is_in_the_other_room_lies_behind_the_door(board):
    rooms = board(ROOMS, **WAYS)
    beside_the_door = moved(rooms, rooms.state(tick=1), [rooms.cell(3, 4), rooms.cell(1, 1)])
    seen = ways(rooms, beside_the_door)
    assert (seen["wash"], seen["cook"], seen["work"]) == ("east", "east", "east")
    assert seen["home"] in ("north", "west")  # both are shortest
    assert ways(rooms, beside_the_door, agent=1)["home"] is None  # there it is


def test_step_by_step_they_lead_there_on_a_shortest_way(board):
    rooms = board(ROOMS, **WAYS)
    world, state = rooms.world, rooms.state(tick=1)
    names, kinds = world.static.names.offers, ("shower", "stove")
    for offer, goal in enumerate(("wash", "cook")):
        assert names[offer] == goal
        cell, walked = int(state.agents.cell[0]), 0
        far = int(world.map.route_distance[cell, offer])  # of home 0
        while (way := ways(rooms, moved(rooms, state, [cell, int(rooms.cells[1])]))[goal]) is not None:
            cell, walked = int(world.map.neighbour[cell, DIRECTIONS.index(way)]), walked + 1
        facility = [world.static.names.kinds.index(kind) for kind in kinds][offer]
        number = world.map.facility_kind.tolist().index(facility)
        assert walked == far > 3 and cell == int(world.map.place_cell[number, 0])


def test_they_are_the_steps_that_options_take(board):
    rooms = board(ROOMS, **WAYS)
    state = rooms.state(tick=90)  # soon a shift begins
    here = int(state.agents.cell[0])
    for goal, option in OPTIONS.items():
        ahead = int(rooms.world.map.neighbour[here, DIRECTIONS.index(ways(rooms, state)[goal])])
        assert int(rooms.step(state, option).agents.cell[0]) == ahead != here


def test_in_a_queue_they_lead_to_ones_own_place(board):
    rooms = board(ROOMS, **WAYS)
    state = rooms.state(tick=1)
    shower = rooms.world.map.facility_kind.tolist().index(rooms.world.static.names.kinds.index("shower"))
    user, second = rooms.world.map.place_cell[shower, :2].tolist()
    both = rooms.step(moved(rooms, state, [user, second]), "use_wash", "use_wash")
    behind = both.slots["queues"].place.tolist().index(1)
    cells = [user, user]
    cells[behind] = second
    both = moved(rooms, both, cells)
    assert ways(rooms, both, 0)["wash"] is None and ways(rooms, both, 1)["wash"] is None  # each stands in its place
    turn = both.put(queues=both.slots["queues"].replace(place=jnp.zeros(2, jnp.int8)))
    assert ways(rooms, turn, behind)["wash"] is not None  # now to where the user stands


def test_they_are_seen_only_where_they_are_asked_for_and_behind_all_else(board):
    plain, more = board(ROOMS), board(ROOMS, **WAYS)
    known = schema(plain.world)
    assert schema(more.world)[: len(known)] == known
    assert [entry.name for entry in schema(more.world)[len(known) :]] == ["first_step"]
    state = plain.state(tick=1)
    assert np.array_equal(plain.observe(state).features, more.observe(state).features[:, : known[-1].stop])
