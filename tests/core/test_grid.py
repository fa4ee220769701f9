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


def test_distances_around_a_wall():
    steps, width = table("""
        ....
        .##.
        .#..
    """)
    expected = [[2, 3, 4, 5], [1, X, X, 6], [0, X, 8, 7]]
    assert grid.distances(steps, 2 * width).reshape(3, 4).tolist() == expected


def test_distances_stop_at_a_closed_room():
    steps, _ = table("..#..")
    assert grid.distances(steps, 0).tolist() == [0, 1, X, X, X]


def test_hops_lead_around_the_wall_and_end_at_the_target():
    steps, width = table("""
        ...
        .#.
        .#.
    """)
    target = 2 * width  # bottom left
    hops = grid.hops(steps, grid.distances(steps, target)).reshape(3, 3)
    assert hops.tolist() == [[S, W, W], [S, ARRIVED, N], [ARRIVED, ARRIVED, N]]


def test_hops_break_a_tie_by_the_parity_of_the_cell():
    # from the middle row two ways lead to the corner 0: north or west; even cells take north, odd ones west
    steps, _ = table("""
        ...
        ...
        ...
    """)
    hops = grid.hops(steps, grid.distances(steps, 0))
    assert hops[4] == N  # even
    assert [hops[5], hops[7]] == [W, W]  # odd
    assert hops[8] == N


@pytest.mark.parametrize("target", range(0, 16 * 12, 7))
def test_hops_never_lead_away(target):
    rng = np.random.default_rng(target)
    steps = grid.neighbours(rng.random((12, 16)) < 0.7)
    distance = grid.distances(steps, target).astype(int)
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
