"""GAE against numbers worked out by hand and against the sum that it abbreviates."""

import jax.numpy as jnp
import numpy as np
import pytest

from train.advantages import gae


def run(reward, value, last, terminated, truncated, final, discount=0.9, lam=0.8):
    as_f32 = lambda x: jnp.array(x, jnp.float32)
    advantage, target = gae(
        as_f32(reward),
        as_f32(value),
        as_f32(last),
        jnp.array(terminated),
        jnp.array(truncated),
        as_f32(final),
        jnp.float32(discount),
        jnp.float32(lam),
    )
    return np.asarray(advantage), np.asarray(target)


def test_one_step():
    """R = 1, V = .5, bootstrap .4, discount .99: delta = 1 + .396 - .5 = .896, target 1.396."""
    advantage, target = run([1.0], [0.5], 0.4, [False], [False], [0.0], 0.99, 0.95)
    assert advantage[0] == pytest.approx(0.896) and target[0] == pytest.approx(1.396)


def test_three_steps_by_hand():
    """Deltas 1.4, 1.4, 1.4 with V = 0.5 -> 1 everywhere: A2 = .9*.5... summed with weights (.72)^k."""
    advantage, _ = run([1, 1, 1], [0.5, 0.5, 0.5], 0.5, [False] * 3, [False] * 3, [0, 0, 0])
    delta = 1 + 0.9 * 0.5 - 0.5
    assert advantage == pytest.approx([delta * (1 + 0.72 + 0.72**2), delta * (1 + 0.72), delta])


def test_termination_stops_value_and_advantage():
    advantage, _ = run([1, 1, 7], [0.5, 0.5, 0.5], 9.0, [False, True, False], [False] * 3, [0, 0, 0])
    assert advantage[1] == pytest.approx(1 - 0.5)
    assert advantage[0] == pytest.approx(1 + 0.9 * 0.5 - 0.5 + 0.72 * 0.5)


def test_truncation_bootstraps_from_the_last_state_and_cuts_the_advantage():
    """The row after a truncation belongs to another town: its value 100 must not leak in, the final value 2 must."""
    advantage, _ = run([1, 1], [0.5, 100.0], 100.0, [False, False], [True, False], [2.0, 0.0])
    assert advantage[0] == pytest.approx(1 + 0.9 * 2.0 - 0.5)


def test_one_who_died_in_the_tick_of_truncation_has_no_future():
    advantage, _ = run([1.0], [0.5], 3.0, [True], [True], [2.0])
    assert advantage[0] == pytest.approx(0.5)


def test_lambda_one_is_the_discounted_return():
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=6), rng.normal(size=6)
    advantage, target = run(reward, value, 0.3, [False] * 6, [False] * 6, [0] * 6, 0.9, 1.0)
    returns = sum(0.9**k * reward[k] for k in range(6)) + 0.9**6 * 0.3
    assert target[0] == pytest.approx(returns, rel=1e-5) and advantage[0] == pytest.approx(returns - value[0], rel=1e-5)
