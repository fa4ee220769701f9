"""States as bytes: what comes back is what went in, or an error says why not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import load
from townlet_jax.io import states

ROOM = "#####\n#h.B#\n#0.1#\n#####"


@pytest.fixture
def room(board):
    return board(ROOM)


def test_a_state_comes_back_bit_for_bit(room):
    state = room.run(room.state(), 3, "go_sleep", "go_home")[-1]
    back = states.from_bytes(room.world, state, states.to_bytes(room.world, state))
    same = lambda one, other: np.testing.assert_array_equal(one, other, strict=True)
    jax.tree.map(lambda one, other: same(np.asarray(one), other), state, back)
    after = [room.step(state, "go_home"), room.step(back, "go_home")]
    jax.tree.map(np.testing.assert_array_equal, *after)


def test_a_state_of_another_configuration_is_refused(room):
    data = states.to_bytes(room.world, room.state())
    with pytest.raises(ValueError, match="a state of the configuration board, this world has"):
        states.from_bytes(load("town"), room.state(), data)


def test_a_state_that_does_not_fit_is_refused(room):
    state, data = room.state(), states.to_bytes(room.world, room.state())
    wider = state.replace(reward=jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match=r"\.reward int32\[2\], wanted is \.reward int32\[3\]"):
        states.from_bytes(room.world, wider, data)
    fewer = state.replace(slots={name: slot for name, slot in state.slots.items() if name != "queues"})
    with pytest.raises(ValueError, match="wanted"):
        states.from_bytes(room.world, fewer, data)


def test_no_damaged_byte_goes_unnoticed(room):
    state = room.state()
    data = states.to_bytes(room.world, state)
    rng, refused = np.random.default_rng(0), 0
    for place in rng.integers(0, len(data), 60).tolist():
        damaged = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        try:
            back = states.from_bytes(room.world, state, damaged)
        except ValueError:
            refused += 1
            continue
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), back)  # a byte that means nothing
    assert refused > 30


@pytest.mark.parametrize("data", [b"", b"PK", b"nothing at all", b"\x93NUMPY"])
def test_what_is_no_state_is_refused(room, data):
    with pytest.raises(ValueError, match="not a readable state"):
        states.from_bytes(room.world, room.state(), data)
