"""Needs: how they fall and what an empty one costs."""

import jax.numpy as jnp
import pytest

from townlet_jax.core import fixed
from townlet_jax.systems import needs

SQUARE = "#####\n#h.W#\n#0.1#\n#####"
to_need = fixed.to_need


@pytest.fixture
def falling(board):
    decay = [to_need(rate) for rate in (0.01, 0.005, 0.0)]
    return board(SQUARE).tuned(needs={"decay": jnp.array(decay, jnp.int32)})


def test_one_tick_from_80_70_and_60_per_cent(falling):
    start = [to_need(0.8), to_need(0.7), to_need(0.6)]
    after = falling.only("needs", falling.state(needs=start)).agents.needs[0].tolist()
    assert after == [start[0] - to_need(0.01), start[1] - to_need(0.005), start[2]]
    assert after[0] / fixed.NEED == pytest.approx(0.79, abs=1e-6) and after[1] / fixed.NEED == pytest.approx(
        0.695, abs=1e-6
    )


def test_needs_stop_at_empty(falling):
    assert falling.only("needs", falling.state(needs=[1, to_need(0.005), 5])).agents.needs[0].tolist() == [0, 0, 5]


def test_the_dead_have_none(falling):
    state = falling.only("needs", falling.state(alive=[True, False]))
    assert state.agents.needs[1].tolist() == [0, 0, 0] and int(state.agents.needs[0, 0]) > 0


@pytest.mark.parametrize(
    ("shares", "pain"),
    [
        ((1.0, 1.0, 1.0), 0.0),
        ((0.0, 0.0, 0.0), 1.0),
        ((0.4, 0.4, 0.4), 0.36),  # 0.6^2
        ((0.0, 1.0, 1.0), 1.0 / 2.4),  # weights 1, 0.6 and 0.8 of 2.4 in all
        ((1.0, 0.5, 1.0), 0.6 * 0.25 / 2.4),
        ((0.8, 0.5, 0.5), (0.04 + 0.6 * 0.25 + 0.8 * 0.25) / 2.4),
    ],
)
def test_pain_is_the_weighted_square_of_the_deficit(falling, shares, pain):
    state = falling.state(needs=[to_need(share) for share in shares])
    reward = needs.rewards(falling.world, state)["needs"]
    assert reward.dtype == jnp.int32
    assert int(reward[0]) / 1e6 == pytest.approx(-pain, abs=0.0025)


def test_the_dead_feel_nothing(falling):
    state = falling.state(needs=0, alive=[True, False])
    assert needs.rewards(falling.world, state)["needs"].tolist()[1] == 0
