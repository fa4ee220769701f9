"""The masked categorical."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.distributions import MaskedCategorical

LOGITS = jnp.log(jnp.array([0.1, 0.2, 0.3, 0.4]))


def test_forbidden_actions_have_no_chance_and_the_rest_share_it():
    policy = MaskedCategorical(LOGITS, jnp.array([True, False, True, False]))
    assert policy.probs == pytest.approx([0.25, 0.0, 0.75, 0.0])
    assert policy.entropy() == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert policy.log_prob(jnp.int32(2)) == pytest.approx(np.log(0.75))
    assert int(policy.mode()) == 2


def test_draws_follow_the_chances():
    policy = MaskedCategorical(LOGITS, jnp.array([True, True, False, True]))
    draws = np.asarray(policy.sample(seed=jax.random.key(0), sample_shape=(20000,)))
    shares = np.bincount(draws, minlength=4) / 20000
    assert shares[2] == 0 and shares == pytest.approx([1 / 7, 2 / 7, 0, 4 / 7], abs=0.012)


def test_a_row_without_any_allowed_action_counts_as_free():
    policy = MaskedCategorical(LOGITS, jnp.zeros(4, bool))
    assert policy.probs == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert np.isfinite(policy.entropy())


@pytest.mark.parametrize("scale", [0.0, 1.0, 80.0, 1e4])
def test_draws_are_always_allowed(scale):
    """Random logits up to 1e4, one to four allowed actions, 4,096 rows: never a forbidden draw, all numbers finite."""
    key = jax.random.key(3)
    logits = jax.random.normal(key, (4096, 4)) * scale
    mask = jax.random.bernoulli(jax.random.key(4), 0.4, (4096, 4)).at[:, 1].set(True)
    policy = MaskedCategorical(logits, mask)
    draws, log_prob = policy.sample_and_log_prob(seed=jax.random.key(5))
    assert bool(jnp.take_along_axis(mask, draws[:, None], 1).all())
    assert bool(jnp.isfinite(log_prob).all() & jnp.isfinite(policy.entropy()).all())


def test_gradients_are_finite_where_the_mask_forbids():
    mask = jnp.array([True, False, True, False])
    slope = jax.grad(lambda x: MaskedCategorical(x, mask).log_prob(jnp.int32(0)) + MaskedCategorical(x, mask).entropy())
    gradient = slope(LOGITS)
    assert bool(jnp.isfinite(gradient).all()) and gradient[1] == 0 and gradient[3] == 0
