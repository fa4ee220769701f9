"""Cells, distances and directions on maps small enough to count by hand."""

import numpy as np
import pytest

from townlet_jax.core import grid
from townlet_jax.core.grid import ARRIVED, UNREACHABLE

N, E, S, W = range(4)
X = UNREACHABLE


def table(drawing):
    """The neighbour table and the width of a drawing in which `#` blocks."""
    walkable = np.array([[mark != "#" for mark in row] for row in drawing.split()])
    return grid.neighbours(walkable), walkable.shape[1]


def test_neighbours_of_a_corner():
    # cells 0 1 2
    #       3 4 5
    steps, _ = table("... .#.")
    assert steps[0].tolist() == [0, 1, 3, 0]  # N and W leave the map
    assert steps[1].tolist() == [1, 2, 1, 0]  # S is a wall
    assert steps[4].tolist() == [4, 4, 4, 4]  # nobody walks out of a wall
    assert steps.dtype == np.uint16


def test_neighbours_do_not_wrap_around_the_edge():
    steps, width = table("... ...")
    assert steps[width - 1, E] == width - 1
    assert steps[width, W] == width


def distances(steps, target):
    """Steps from every cell to one target."""
    return grid.distances_to(steps, np.array([target]))[:, 0]


def test_distances_around_a_wall():
    steps, width = table("""
        ....
        .##.
        .#..
    """)
    expected = [[2, 3, 4, 5], [1, X, X, 6], [0, X, 8, 7]]
    assert distances(steps, 2 * width).reshape(3, 4).tolist() == expected


def test_distances_stop_at_a_closed_room():
    steps, _ = table("..#..")
    assert distances(steps, 0).tolist() == [0, 1, X, X, X]


@pytest.mark.parametrize("seed", range(6))
def test_many_searches_at_once_find_what_each_finds_alone(seed):
    rng = np.random.default_rng(seed)
    steps = grid.neighbours(rng.random((14, 11)) < 0.7)
    targets = rng.integers(0, len(steps), 9)
    alone = np.stack([distances(steps, int(target)) for target in targets], axis=1)
    together = grid.distances_to(steps, targets)
    assert together.dtype == np.int16 and together.shape == (154, 9)
    np.testing.assert_array_equal(together, alone)
    assert grid.distances_to(steps, np.zeros(0, int)).shape == (154, 0)


def test_hops_lead_around_the_wall_and_end_at_the_target():
    steps, width = table("""
        ...
        .#.
        .#.
    """)
    target = 2 * width  # bottom left
    hops = grid.hops(steps, distances(steps, target)).reshape(3, 3)
    assert hops.tolist() == [[S, W, W], [S, ARRIVED, N], [ARRIVED, ARRIVED, N]]


def test_hops_break_a_tie_by_the_parity_of_the_cell():
    # from the middle row two ways lead to the corner 0: north or west; even cells take north, odd ones west
    steps, _ = table("""
        ...
        ...
        ...
    """)
    hops = grid.hops(steps, distances(steps, 0))
    assert hops[4] == N  # even
    assert [hops[5], hops[7]] == [W, W]  # odd
    assert hops[8] == N


@pytest.mark.parametrize("target", range(0, 16 * 12, 7))
def test_hops_never_lead_away(target):
    rng = np.random.default_rng(target)
    steps = grid.neighbours(rng.random((12, 16)) < 0.7)
    distance = distances(steps, target).astype(int)
    hops = grid.hops(steps, distance.astype(np.int16))
    walks = (distance > 0) & (distance < X)
    nearer = distance[steps[np.arange(len(steps)), np.minimum(hops, 3)]]
    np.testing.assert_array_equal(nearer[walks], distance[walks] - 1)
    assert (hops[~walks] == ARRIVED).all()


def test_every_hop_of_the_town_leads_one_step_nearer(town):
    steps, distance = np.asarray(town.world.map.neighbour), np.asarray(town.world.map.distance).astype(int)
    hops = np.asarray(town.world.map.next_hop)
    cells, targets = np.nonzero((distance > 0) & (distance < X))
    nearer = distance[steps[cells, hops[cells, targets]], targets]
    np.testing.assert_array_equal(nearer, distance[cells, targets] - 1)


def uphill(drawing):
    """The neighbour table, the costs and the width of a drawing in which a digit is the cost of a cell and `#` blocks."""
    steps, width = table(drawing)
    return steps, np.array([1 if mark == "#" else int(mark) for mark in "".join(drawing.split())]), width


def test_travel_counts_the_cells_between_and_one_tick_for_the_last_step():
    # to cell 0: from cell 1 one step; from cell 2 a step onto 1, three ticks there in all, and a step
    steps, cost, _ = uphill("93519")
    assert grid.travel(steps, cost, 0).tolist() == [0, 1, 1 + 3, 1 + 3 + 5, 1 + 3 + 5 + 1]
    assert grid.travel(steps, cost, 4).tolist() == [1 + 1 + 5 + 3, 1 + 1 + 5, 1 + 1, 1, 0]
    assert grid.travel(steps, cost, 0).dtype == np.int16


def test_travel_goes_around_costly_ground():
    # straight on are five cells of 1 + 4 + 4 + 4 + 1 ticks and a step (15); around them nine of one tick and a step (10)
    steps, cost, width = uphill("""
        1111111
        1#444#1
        1144411
    """)
    target, start = 2 * width + 6, 2 * width
    ticks = grid.travel(steps, cost, target)
    walk, cell = [], start
    while cell != target:
        hop = int(grid.hops(steps, ticks, cost)[cell])
        walk.append("NESW"[hop])
        cell = int(steps[cell, hop])
    assert ticks[start] == 1 + 9 and "".join(walk) == "NNEEEEEESS"
    assert distances(steps, target)[start] == 6  # the shortest way leads straight through


def test_travel_takes_the_costly_ground_where_the_way_around_is_longer():
    steps, cost, width = uphill("""
        1111111
        1#222#1
        1122211
    """)
    target, start = 2 * width + 6, 2 * width
    ticks = grid.travel(steps, cost, target)
    assert ticks[start] == 1 + 1 + 2 + 2 + 2 + 1 and grid.hops(steps, ticks, cost)[start] == E


def test_travel_without_costs_is_distance():
    rng = np.random.default_rng(3)
    for target in range(0, 192, 17):
        steps = grid.neighbours(rng.random((12, 16)) < 0.7)
        plain, ones = distances(steps, target), np.ones(len(steps), int)
        np.testing.assert_array_equal(grid.travel(steps, ones, target), plain)
        np.testing.assert_array_equal(grid.hops(steps, plain, ones), grid.hops(steps, plain))


def test_travel_is_the_cheapest_of_all_ways():
    """Against relaxation until nothing changes (Bellman-Ford), on 20 random boards."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        steps = grid.neighbours(rng.random((9, 11)) < 0.75)
        cost, target = rng.integers(1, 10, len(steps)), int(rng.integers(len(steps)))
        best = np.where(np.arange(len(steps)) == target, 0, 10**6)
        for _ in range(len(steps)):
            onward = np.where(steps == target, 1, cost[steps] + best[steps])
            onward = np.where(steps == np.arange(len(steps))[:, None], 10**6, onward).min(1)
            best = np.minimum(best, onward)
        np.testing.assert_array_equal(grid.travel(steps, cost, target), np.where(best >= 10**6, X, best))


@pytest.mark.parametrize("seed", range(8))
def test_weighted_hops_walk_exactly_the_ticks_of_the_table(seed):
    rng = np.random.default_rng(seed)
    steps = grid.neighbours(rng.random((10, 14)) < 0.75)
    cost, target = rng.integers(1, 17, len(steps)), int(rng.integers(len(steps)))
    ticks = grid.travel(steps, cost, target)
    hops = grid.hops(steps, ticks, cost)
    assert (hops[(ticks == 0) | (ticks == X)] == ARRIVED).all()
    for start in np.flatnonzero((ticks > 0) & (ticks < X)):
        cell, clock = int(start), 0
        while cell != target:
            cell = int(steps[cell, hops[cell]])
            clock += 1 if cell == target else int(cost[cell])
        assert clock == ticks[start]


def test_a_way_too_long_to_count_is_refused():
    steps, _ = table("." * 3000)
    with pytest.raises(ValueError, match="a way of 47969 ticks is too long"):
        grid.travel(steps, np.full(3000, 16), 0)  # 2998 cells of 16 ticks between, and one step


def test_flood_fills_one_room_and_no_diagonal():
    inside = np.array([mark == "." for mark in "..#.#.#...####.."])
    seen = grid.flood(0, inside, 4).reshape(4, 4).astype(int)
    assert seen.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_flood_does_not_wrap_around_the_edge():
    assert grid.flood(2, np.array([False, False, True, True, False, False]), 3).tolist() == [0, 0, 1, 0, 0, 0]


def test_windows_centre_on_the_cell_and_pad_with_outside():
    layer = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    found = grid.windows(layer[None], 3, np.array([9], np.uint8)).reshape(6, 3, 3)
    assert found[0].tolist() == [[9, 9, 9], [9, 1, 2], [9, 4, 5]]
    assert found[5].tolist() == [[2, 3, 9], [5, 6, 9], [9, 9, 9]]


def test_windows_keep_each_layers_own_outside():
    layers = np.zeros((2, 3, 3), np.uint8)
    found = grid.windows(layers, 3, np.array([1, 0], np.uint8)).reshape(9, 2, 3, 3)
    assert found[0].sum(axis=(1, 2)).tolist() == [5, 0]  # a corner sees five cells beyond the edge
    assert found[4].sum() == 0
