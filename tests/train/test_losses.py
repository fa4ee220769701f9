"""The PPO loss by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.types import Observation
from train.losses import imitation_loss, normalised, ppo_loss, weights
from train.types import Hyper, Transition

HYPER = Hyper(*(jnp.float32(x) for x in (1e-3, 0.99, 0.95, 0.1, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0)))


def batch_of(value, log_prob, alive, acts):
    n = len(value)
    zeros, no = jnp.zeros(n), jnp.zeros(n, bool)
    observation = Observation(jnp.zeros((n, 1)), jnp.zeros((n, 0, 0, 0), jnp.uint8), jnp.ones((n, 2), bool))
    action = jnp.zeros(n, jnp.int32)
    return Transition(
        observation,
        no,
        action,
        jnp.array(log_prob),
        jnp.array(value),
        zeros,
        no,
        no,
        zeros,
        jnp.array(alive),
        jnp.array(acts),
        action,
    )


def test_value_loss_takes_the_worse_of_clipped_and_plain():
    """New (1, 1.5), target (1.2, 1), old (.8, 1.4), clip .1: max(.04, .09) and max(.25, .25) -> half of their mean."""
    batch = batch_of([0.8, 1.4], [0.0, 0.0], [True, True], [False, False])
    _, parts = ppo_loss(
        jnp.zeros((2, 2)),
        jnp.array([1.0, 1.5]),
        batch,
        jnp.zeros(2),
        jnp.array([1.2, 1.0]),
        HYPER,
    )
    assert parts["value_loss"] == pytest.approx(0.5 * np.mean([0.09, 0.25]))
    assert parts["policy_loss"] == 0 and parts["entropy"] == 0


def test_the_ratio_is_clipped():
    """Chance .5 now, .25 then: ratio 2, clipped to 1.1 where the advantage is positive, not where it is negative."""
    batch = batch_of([0.0, 0.0], [float(np.log(0.25))] * 2, [True, True], [True, True])
    _, parts = ppo_loss(
        jnp.zeros((2, 2)),
        jnp.zeros(2),
        batch,
        jnp.array([1.0, -1.0]),
        jnp.zeros(2),
        HYPER,
    )
    assert parts["policy_loss"] == pytest.approx(-(1.1 - 2.0) / 2, rel=1e-4)
    assert parts["clip_fraction"] == 1 and parts["entropy"] == pytest.approx(np.log(2), rel=1e-5)


def test_the_dead_and_the_busy_do_not_count():
    """The third row is dead: its value error of 1e6 and its advantage must not matter."""
    batch = batch_of([0.0, 0.0, 0.0], [float(np.log(0.5))] * 3, [True, True, False], [True, True, False])
    _, parts = ppo_loss(
        jnp.zeros((3, 2)),
        jnp.array([0.0, 0.0, 1e3]),
        batch,
        jnp.array([1.0, -1.0, 1e6]),
        jnp.zeros(3),
        HYPER,
    )
    assert parts["value_loss"] == 0 and abs(parts["policy_loss"]) < 1e-6


def test_masked_statistics():
    mask = jnp.array([True, True, False])
    assert weights(mask).tolist() == [0.5, 0.5, 0.0]
    assert normalised(jnp.array([1.0, 3.0, 99.0]), weights(mask))[:2] == pytest.approx([-1, 1], rel=1e-4)
    assert weights(jnp.array([False])).tolist() == [0.0]


def test_imitation_counts_where_the_lesson_is_allowed():
    """Chances (.5, .5), (.8, .2) and a lesson that is forbidden: mean of log 2 and log 1.25; both modes are right."""
    batch = batch_of([0.0] * 3, [0.0] * 3, [True] * 3, [True] * 3)
    mask = jnp.array([[True, True], [True, True], [False, True]])
    batch = batch.replace(observation=batch.observation.replace(action_mask=mask))
    logits = jnp.log(jnp.array([[0.5, 0.5], [0.8, 0.2], [0.5, 0.5]]))
    loss, parts = imitation_loss(logits, batch)
    assert float(loss) == pytest.approx((np.log(2) + np.log(1.25)) / 2, rel=1e-5)
    assert parts["imitation_accuracy"] == 1
