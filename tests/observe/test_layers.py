"""Map layers of a tiny board, cell by cell; north is up and the watcher in the middle."""

import jax.numpy as jnp
import pytest

from townlet_jax.observe import layer_names

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


@pytest.fixture
def full(board):
    drawing = ROOM.replace("#@....#", "#@.B..#")
    return board(drawing, **{"observation.variant": "full", "observation.window": 3})


def seen(room, state, agent, layer):
    """One layer as drawn rows, x for 1."""
    window = room.observe(state).layers[agent, layer_names(room.world).index(layer)]
    return ["".join(".x"[value] for value in row) for row in window.tolist()]


def test_the_layers_and_their_order(room, full):
    assert layer_names(room.world) == ("blocked", "door", "facility", "post", "agent", "busy_agent")
    assert layer_names(full.world) == (
        *("blocked", "door", "facility", "post", "kind_shower", "kind_bed"),
        *("agent", "busy_agent", "reserved", "usable"),
    )


def test_the_full_map_tells_kinds_apart(full):
    state = full.state()
    assert full.observe(state).layers.shape == (3, 10, 3, 3)
    assert seen(full, state, 1, "kind_shower") == ["x..", "...", "..."]
    assert seen(full, state, 1, "kind_bed") == EMPTY
    assert seen(full, state, 2, "kind_bed") == ["...", "...", ".x."]
    assert seen(full, state, 2, "facility") == ["...", "...", ".x."]


def test_the_full_map_shows_what_is_held_and_what_one_could_use(full):
    state = full.state()
    assert seen(full, state, 1, "reserved") == EMPTY
    assert seen(full, state, 1, "usable") == ["x..", "...", "..."]
    slot = state.slots["queues"].replace(
        facility=jnp.array([0, 0, 32767], jnp.int16), place=jnp.array([0, 1, 0], jnp.int8)
    )
    state = state.put(queues=slot).replace(agents=state.agents.replace(wallet=jnp.zeros(3, jnp.int32)))
    assert seen(full, state, 1, "reserved") == ["x..", "...", "..."]
    assert seen(full, state, 1, "usable") == EMPTY  # no money for the shower
    assert seen(full, state, 2, "usable") == ["...", "...", ".x."]  # a bed costs nothing


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
