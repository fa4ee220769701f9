"""Random network distillation: what is seen often is no longer new."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train import curiosity
from train.losses import weights

ADAM = optax.scale_by_adam()
OFTEN = jax.random.uniform(jax.random.key(1), (16, 6))
SELDOM = jax.random.uniform(jax.random.key(2), (16, 6)) + 3.0


def taught(steps):
    start = curiosity.init(jax.random.key(0), OFTEN, ADAM)
    weight = weights(jnp.ones(16, bool))
    step = lambda now, _: (curiosity.learn(now, OFTEN, weight, jnp.float32(1e-2), ADAM, None), None)
    return start, jax.jit(lambda start: jax.lax.scan(step, start, None, steps)[0])(start)


def test_what_is_seen_often_is_predicted_and_what_is_not_is_not():
    start, after = taught(300)
    miss = lambda curious, features: float(curiosity.surprise(curious, curious.predictor, features).mean())
    assert miss(after, OFTEN) < 0.02 * miss(start, OFTEN)
    assert miss(after, SELDOM) > 10 * miss(after, OFTEN)


def test_the_target_never_changes():
    start, after = taught(3)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), start.target, after.target)
    assert all(jax.tree.leaves(same))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), start.predictor, after.predictor)
    assert any(jax.tree.leaves(moved))


def test_novelty_is_in_deviations_and_nothing_is_new_to_the_dead():
    start, _ = taught(1)
    alive = jnp.arange(16) % 2 == 0
    after, found = curiosity.novelty(start, OFTEN, alive, None)
    raw = np.asarray(curiosity.surprise(start, start.predictor, OFTEN))
    assert np.allclose(found[::2], raw[::2] / raw[::2].std(), rtol=1e-3) and (found[1::2] == 0).all()
    assert float(after.moments.weight) > 0
