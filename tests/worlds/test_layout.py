"""From the drawing to tables: who stands, lives and works where."""

import numpy as np
import pytest

from townlet_jax import ConfigError

STREET = """
    ###########
    #W.B...C.@#
    #........,#
    #h..0.K.h1#
    ###########
"""


@pytest.fixture
def street(board):
    return board(STREET)


def spots(street, cells):
    return [divmod(int(cell), street.world.static.width) for cell in cells]


def test_things_are_counted_in_reading_order(street):
    table = street.world.map
    assert spots(street, table.facility_cell) == [(1, 1), (1, 3), (1, 7)]
    assert [street.world.static.names.kinds[k] for k in table.facility_kind] == ["shower", "bed", "counter"]
    assert spots(street, table.home_cell) == [(3, 1), (3, 8)]
    assert spots(street, table.post_cell) == [(3, 6)] and spots(street, table.entry_cell) == [(1, 9)]


def test_users_stand_south_of_the_facility_and_the_queue_behind(board):
    room = board("#####\n#hW.#\n#.0.#\n#...#\n#...#\n#####")
    assert spots(room, room.world.map.place_cell[0]) == [(2, 2), (3, 2), (4, 2)]


def test_a_queue_goes_around_what_is_in_its_way(board):
    room = board("#####\n#hW.#\n#.0.#\n#####")
    assert spots(room, room.world.map.place_cell[0]) == [(2, 2), (2, 1), (2, 3)]  # the nearest cells that are left


def test_a_user_stands_beside_where_the_south_is_closed(board):
    room = board("######\n#h..0#\n#...W#\n######")
    assert spots(room, room.world.map.place_cell[0][:1]) == [(2, 3)]  # west


def test_a_facility_within_the_ground_of_a_home_is_its_own(board):
    town = board(
        "#########\n#,W.B.W,#\n#,,...,,#\n#h.0.1.h#\n#########",
        **{"map.legend.W": {"facility": "shower", "ground": "grass"}},
    )
    assert town.world.map.facility_home.tolist() == [0, 32767, 1]
    cells = len(town.world.map.ground)
    for home in (0, 1):  # each resident is sent to the own shower from everywhere
        row = town.world.map.route[home * cells + town.cell(2, 3)]
        assert row.tolist() == [[0, 2][home], 1]


def test_ones_own_comes_before_a_nearer_public_one(board):
    # the home's own shower is at the far left, on its grass; a public one stands beside agent 0
    town = board(
        """
        #########
        #,,,..W.#
        #BS,..0.#
        #h,,....#
        #########
        """,
        **{"map.legend.S": {"facility": "shower", "ground": "grass"}},
        **{"systems.affordances.offers": [{"name": "wash", "at": "shower", "ticks": 30}]},
    )
    assert town.world.map.facility_home.tolist() == [32767, 32767, 0]
    assert int(town.world.map.route[town.cell(2, 6), 0]) == 2


def test_public_things_are_chosen_by_distance(board):
    town = board("#########\n#W.....W#\n#h..0...#\n#########")
    route = np.asarray(town.world.map.route)[:, 0]
    assert [int(route[town.cell(2, column)]) for column in (1, 3, 5, 7)] == [0, 0, 1, 1]


def test_homes_and_posts_are_dealt_in_turn(board):
    town = board("########\n#h.K.Kh#\n#01234.#\n#..W...#\n########")
    assert town.world.map.agent_home.tolist() == [0, 1, 0, 1, 0]
    assert town.world.map.agent_post.tolist() == [0, 1, 0, 1, 0]


def test_jobs_take_turns_before_a_job_fills_its_second_post(board):
    jobs = [{"name": name, "start": 100, "end": 160, "wage": 0.02} for name in ("clerk", "baker")]
    town = board(
        "########\n#h.K.K+#\n#012...#\n#..W...#\n########",
        **{"map.legend.+": {"post": "baker"}, "systems.employment.jobs": jobs},
    )
    assert town.world.map.agent_post.tolist() == [0, 2, 1]  # clerk, baker, clerk


def test_residents_begin_on_cells_of_their_own_near_home(board):
    town = board("#######\n#h....#\n#.012.#\n#..W..#\n#######")
    assert spots(town, town.world.map.start_cell)[0] == (1, 1)
    cells = town.world.map.start_cell.tolist()
    assert len(set(cells)) == 3 and all(int(town.world.map.distance[c, -1]) <= 1 for c in cells)


def test_nobody_begins_in_a_wall_of_the_town(town):
    steps = np.asarray(town.world.map.neighbour)
    start = np.asarray(town.world.map.start_cell)
    assert (steps[start] != start[:, None]).any(1).all() and len(set(start.tolist())) == 8


def test_every_place_of_the_town_is_a_cell_to_stand_on(town):
    steps, places = np.asarray(town.world.map.neighbour), np.asarray(town.world.map.place_cell)
    assert (steps[places] != places[..., None]).any(-1).all()
    assert len(set(places[:, 0].tolist())) == len(places)  # no two users share one


def test_nobody_uses_a_facility_from_the_other_side_of_the_map(board):
    town = board("...#...\n...h...\n.0.....\nW......\n#......")
    assert spots(town, town.world.map.place_cell[0][:1]) == [(3, 1)]


def test_a_queue_ends_at_the_edge_of_the_map(board):
    town = board(".......\n...h...\n.0.....\n..W....\n.......")
    assert spots(town, town.world.map.place_cell[0][:1]) == [(4, 2)]


def test_nobody_queues_in_a_wall(board):
    town = board("#####\n#hW##\n#0###\n#####", **{"systems.queues.places": 4})
    places = np.asarray(town.world.map.place_cell)[0]
    steps = np.asarray(town.world.map.neighbour)
    assert (steps[places] != places[:, None]).any(1).all()


def test_nobody_begins_where_no_home_leads(board):
    # three cells around the home, and a yard that nobody can enter
    town = board("########\n#h0#...#\n#1W#...#\n########", num_agents=3)
    steps, start = np.asarray(town.world.map.neighbour), np.asarray(town.world.map.start_cell)
    assert (steps[start] != start[:, None]).any(1).all()
    with pytest.raises(ConfigError, match="4 agents, but home 1 has only 3 cells within reach"):
        board("########\n#h0#...#\n#1W#...#\n########", num_agents=4)


def test_with_a_detour_homes_share_public_things_out(board):
    # three counters in a row; without a detour all who come from the left use the first
    drawing = """
        #################
        #h..h......C.C.C#
        #h.0h...........#
        #h..h...........#
        #################
    """
    alone, shared = board(drawing), board(drawing, **{"map.detour": 4})
    at = lambda town, home: int(town.world.map.route[home * 85 + town.cell(2, 5), 0])
    assert [at(alone, home) for home in range(6)] == [0] * 6
    picks = [at(shared, home) for home in range(6)]
    assert set(picks) == {0, 1, 2}
    near = board(drawing, **{"map.detour": 2})  # the third is four steps further than the first
    assert set(at(near, home) for home in range(6)) == {0, 1}
    rows_of = np.arange(6)[:, None] * 85 + np.arange(85)
    table, steps = np.asarray(shared.world.map.route), np.asarray(shared.world.map.route_distance)
    distance = np.asarray(shared.world.map.distance)[:, :9:3]
    for home in range(6):  # the steps are those to the facility of the table
        own = distance[np.arange(85), table[rows_of[home], 0]]
        np.testing.assert_array_equal(steps[rows_of[home], 0], own)
        assert (own <= np.minimum(distance.min(1).astype(int) + 4, 32767)).all()


def test_a_home_keeps_its_choice_while_its_people_walk_there(board):
    drawing = """
        #################
        #h..h......C.C.C#
        #h.0h...........#
        #h..h...........#
        #################
    """
    town = board(drawing, **{"map.detour": 4})
    hops, route, steps = (np.asarray(getattr(town.world.map, name)) for name in ("next_hop", "route", "neighbour"))
    for home in range(6):
        cell, choices = town.cell(2, 5), []
        for _ in range(20):
            choices.append(int(route[home * 85 + cell, 0]))
            hop = int(hops[cell, choices[0] * 3])
            cell = int(steps[cell, hop]) if hop < 4 else cell
        assert len(set(choices)) == 1


def test_too_many_places_are_refused(board):
    houses = "\n".join(["#".join("h" * 16), "#" * 31] * 8)
    with pytest.raises(ConfigError, match="map.rows: 128 homes and named places, allowed are at most 127"):
        board(houses + "\n" + "W".ljust(31, "."))
