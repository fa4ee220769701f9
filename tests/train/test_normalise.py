"""Running statistics by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from train import normalise
from train.normalise import RATE, blank, deviation, discounted, scaled, seen
from train.types import Scaling


def test_what_was_seen_once_counts_whole():
    """1, 3 and a dead 99: mean 2, deviation 1, whatever the weight of one update is; nothing seen divides by 1."""
    moments = seen(blank(), jnp.array([1.0, 3.0, 99.0]), jnp.array([True, True, False]), None)
    assert float(moments.weight) == pytest.approx(RATE) and float(deviation(moments)) == pytest.approx(1.0, rel=1e-5)
    assert float(deviation(blank())) == 1.0


def test_old_numbers_are_forgotten():
    """Deviation 10 at first, then 2 for long: 2 in the end."""
    moments = seen(blank(), jnp.array([-10.0, 10.0]), jnp.ones(2, bool), None)
    assert float(deviation(moments)) == pytest.approx(10.0, rel=1e-5)
    for _ in range(200):
        moments = seen(moments, jnp.array([-2.0, 2.0]), jnp.ones(2, bool), None)
    assert float(deviation(moments)) == pytest.approx(2.0, rel=1e-3)


def test_numbers_that_never_differ_divide_by_the_smallest():
    moments = seen(blank(), jnp.full(4, 7.0), jnp.ones(4, bool), None)
    assert float(deviation(moments)) == pytest.approx(normalise.SMALLEST)


def test_returns_so_far_end_with_the_life():
    """Rewards 1, 2, 4 at half a discount from a sum of 2: 2, 3, then an end, then 4 alone."""
    reward = jnp.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    ends = jnp.array([False, True, False]).reshape(3, 1, 1)
    last, returns = discounted(reward, ends, jnp.full((1, 1), 2.0), jnp.float32(0.5))
    assert returns.ravel().tolist() == [2.0, 3.0, 4.0] and last.ravel().tolist() == [4.0]


def test_rewards_are_divided_and_never_shifted():
    """6 and 2 of two towns: mean 4, deviation 2, so 3 and 1; the next sums begin at 6 and 2."""
    reward = jnp.array([[[6.0], [2.0]]])  # T = 1, two towns
    ends, alive = jnp.zeros((1, 2, 1), bool), jnp.ones((1, 2, 1), bool)
    start = Scaling(jnp.zeros((2, 1)), blank())
    after, found = scaled(start, reward, ends, alive, jnp.float32(0.9), None)
    assert np.allclose(found.ravel(), [3.0, 1.0], rtol=1e-5)
    assert after.returns.ravel().tolist() == [6.0, 2.0]
    again, _ = scaled(after, reward, ends, alive, jnp.float32(0.5), None)
    assert again.returns.ravel().tolist() == [9.0, 3.0]
