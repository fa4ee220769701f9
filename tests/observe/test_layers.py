"""Map layers of a tiny board, cell by cell; north is up and the watcher in the middle."""

import jax.numpy as jnp
import pytest

from townlet_jax.observe import LAYERS

ROOM = """
    #######
    #0.W..#
    ##+.1.#
    #h.2.K#
    #@....#
    #######
"""
EMPTY = ["...", "...", "..."]


@pytest.fixture
def room(board):
    return board(ROOM, **{"observation.variant": "hybrid", "observation.window": 3})


def seen(room, state, agent, layer):
    """One layer as drawn rows, x for 1."""
    window = room.observe(state).layers[agent, LAYERS.index(layer)]
    return ["".join(".x"[value] for value in row) for row in window.tolist()]


def test_the_layers_and_their_order():
    assert LAYERS == ("blocked", "door", "facility", "post", "agent", "busy_agent")


def test_shape_and_type(room):
    layers = room.observe(room.state()).layers
    assert layers.shape == (3, 6, 3, 3) and layers.dtype == jnp.uint8


def test_walls_and_facilities_block(room):
    assert seen(room, room.state(), 0, "blocked") == ["xxx", "x..", "xx."]
    assert seen(room, room.state(), 1, "blocked") == ["x..", "...", "..."]  # the shower at its upper left


def test_doors_facilities_and_posts(room):
    state = room.state()
    assert seen(room, state, 0, "door") == ["...", "...", "..x"]
    assert seen(room, state, 1, "facility") == ["x..", "...", "..."]
    assert seen(room, state, 1, "post") == ["...", "...", "..x"]
    assert seen(room, state, 0, "facility") == EMPTY


def test_others_are_seen_and_oneself_is_not(room):
    state = room.state()
    assert seen(room, state, 2, "agent") == ["..x", "...", "..."]  # 1 is one up, one to the right of 2
    assert seen(room, state, 1, "agent") == ["...", "...", "x.."]
    assert seen(room, state, 0, "agent") == EMPTY


def test_who_shares_my_cell_is_seen_in_the_middle(room):
    state = room.state(cell=[room.cell(3, 3)] * 3)
    assert seen(room, state, 0, "agent") == ["...", ".x.", "..."]


def test_the_busy_are_marked(room):
    state = room.state()
    slot = state.slots["affordances"].replace(remaining=jnp.array([0, 7, 0], jnp.int16))
    state = state.put(affordances=slot)
    assert seen(room, state, 2, "busy_agent") == ["..x", "...", "..."]
    assert seen(room, state, 1, "busy_agent") == EMPTY


def test_the_dead_see_nothing_and_are_not_seen(room):
    state = room.state(alive=[True, False, True])
    layers = room.observe(state).layers
    assert not bool(layers[1].any())
    assert seen(room, state, 2, "agent") == EMPTY


def test_beyond_the_edge_everything_is_blocked(board):
    wide = board(ROOM, **{"observation.variant": "hybrid", "observation.window": 5})
    assert seen(wide, wide.state(), 0, "blocked") == ["xxxxx", "xxxxx", "xx..x", "xxx..", "xx..."]


def test_the_compact_variant_has_no_layers(board):
    compact = board(ROOM)
    assert compact.observe(compact.state()).layers.shape == (3, 0, 0, 0)
