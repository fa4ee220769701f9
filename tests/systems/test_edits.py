"""Edits from outside: each does what it says, and nothing where it cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, testing
from townlet_jax.core import fixed
from townlet_jax.systems import edits

ROOM = "#######\n#h.W.C#\n#0.1..#\n#@....#\n#######"
TELEPORT = jax.jit(edits.teleport)


@pytest.fixture
def room(board):
    return board(ROOM)


@pytest.fixture
def state(room):
    return room.step(room.state())  # a tick later nobody is new


def sound(room, state):
    broken = [rule for rule, holds in testing.invariants(room.world, state).items() if not bool(holds)]
    assert broken == []


def test_a_teleport_moves_one_and_flags_it(room, state):
    after, done = TELEPORT(room.world, state, jnp.int32(1), jnp.int32(room.cell(3, 5)))
    assert bool(done)
    assert after.agents.cell.tolist() == [room.cell(2, 1), room.cell(3, 5)]
    assert after.slots["intents"].reset.tolist() == [False, True]
    sound(room, after)


@pytest.mark.parametrize(
    ("who", "spot"),
    [(1, (0, 0)), (1, (1, 3)), (1, (2, 1)), (2, (3, 5)), (-1, (3, 5)), (1, (-9, 0)), (1, (90, 0))],
    ids=["a wall", "a shower", "somebody there", "no such agent", "nobody", "before the map", "beyond the map"],
)
def test_a_teleport_that_cannot_be_changes_nothing(room, state, who, spot):
    after, done = TELEPORT(room.world, state, jnp.int32(who), jnp.int32(room.cell(*spot)))
    assert not bool(done)
    jax.tree.map(np.testing.assert_array_equal, after, state)


def test_who_uses_something_is_not_teleported(room):
    user = room.cell(2, 3)  # below the shower
    state = room.run(room.state(cell=[user, room.cell(3, 5)]), 2, "go_wash")[-1]
    assert int(state.slots["affordances"].remaining[0]) > 0
    assert not bool(TELEPORT(room.world, state, jnp.int32(0), jnp.int32(room.cell(3, 4)))[1])


@pytest.mark.parametrize(("value", "expected"), [(0.25, 0.25), (7.0, 1.0), (-1.0, 0.0)])
def test_a_need_is_set_within_its_bounds(room, state, value, expected):
    after, done = edits.set_need(room.world, state, jnp.int32(0), jnp.int32(1), jnp.int32(int(value * fixed.NEED)))
    assert bool(done) and int(after.agents.needs[0, 1]) == int(expected * fixed.NEED)
    others = np.asarray(after.agents.needs) != np.asarray(state.agents.needs)
    assert others.sum() == 1


@pytest.mark.parametrize(("mills", "wallet"), [(500, 10_500), (-500, 9_500), (-99_999, 0)])
def test_gifts_are_booked(room, state, mills, wallet):
    after, done = edits.give(room.world, state, jnp.int32(0), jnp.int32(mills))
    assert bool(done) and int(after.agents.wallet[0]) == wallet
    sound(room, after)


def test_the_largest_gift_fills_a_wallet_and_the_largest_loss_empties_it(room, state):
    rich, done = edits.give(room.world, state, 0, 2**31 - 1)
    assert bool(done) and int(rich.agents.wallet[0]) == edits.MOST
    poor, _ = edits.give(room.world, rich, 0, -(2**31))
    assert int(poor.agents.wallet[0]) == 0
    sound(room, poor)


def test_only_whole_numbers_are_taken(room, state):
    for edit in (
        lambda: edits.give(room.world, state, 0, 1.5),
        lambda: edits.set_need(room.world, state, 0, 0, float("nan")),
        lambda: edits.teleport(room.world, state, 0, 12.0),
        lambda: edits.remove(room.world, state, True),
    ):
        with pytest.raises(TypeError, match="whole numbers"):
            edit()


def test_the_dead_are_not_edited(room, state):
    state = state.replace(agents=state.agents.replace(alive=jnp.array([True, False])))
    for edit in (
        edits.teleport(room.world, state, jnp.int32(1), jnp.int32(room.cell(3, 5))),
        edits.set_need(room.world, state, jnp.int32(1), jnp.int32(0), jnp.int32(9)),
        edits.give(room.world, state, jnp.int32(1), jnp.int32(9)),
    ):
        assert not bool(edit[1])
        jax.tree.map(np.testing.assert_array_equal, edit[0], state)


def test_edits_of_many_towns_at_once(room):
    keys = jax.random.split(jax.random.key(0), 3)
    states = jax.vmap(engine.reset, (None, 0))(room.world, keys)
    give = jax.vmap(edits.give, (None, 0, 0, None))
    after, done = give(room.world, states, jnp.array([0, 1, 5], jnp.int32), jnp.int32(100))
    assert done.tolist() == [True, True, False]
    assert (after.agents.wallet - states.agents.wallet).tolist() == [[100, 0], [0, 100], [0, 0]]
