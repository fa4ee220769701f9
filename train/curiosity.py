"""Curiosity by random network distillation (Burda et al. 2019, https://arxiv.org/abs/1810.12894).

A network learns to predict what another, random and fixed, makes of the features. What it predicts badly it has seldom seen:

    novelty = mean((predictor(features) - target(features))^2) / deviation of the novelty lately

The novelty is added to the reward with a weight that falls to 0 over the first part of a run.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from .networks import dense
from .normalise import blank, deviation, seen
from .sharding import total
from .types import Array, Curiosity

WIDTHS = (64, 32)  # of the hidden layer and of what is predicted


class Distilled(nn.Module):
    """An MLP over the features."""

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """f32[..., WIDTHS[-1]]."""
        x = nn.relu(dense(WIDTHS[0], 2**0.5, jnp.float32)(features))
        return dense(WIDTHS[1], 2**0.5, jnp.float32)(x)


def init(key: Array, features: Array, adam: optax.GradientTransformation) -> Curiosity:
    """A predictor that knows nothing yet, for features f32[..., D]."""
    target, predictor = (Distilled().init(each, features) for each in jax.random.split(key))
    return Curiosity(target, predictor, adam.init(predictor), blank())


def surprise(curiosity: Curiosity, predictor: Any, features: Array) -> Array:
    """The squared error of a predictor, f32[...] for features f32[..., D]."""
    wanted: Any = Distilled().apply(curiosity.target, features)
    found: Any = Distilled().apply(predictor, features)
    return ((found - jax.lax.stop_gradient(wanted)) ** 2).mean(-1)


def novelty(curiosity: Curiosity, features: Array, alive: Array, axis: str | None) -> tuple[Curiosity, Array]:
    """How new everything is to everybody, f32[...], in deviations of what was new lately; 0 for the dead."""
    found = surprise(curiosity, curiosity.predictor, features)
    moments = seen(curiosity.moments, found, alive, axis)
    return curiosity.replace(moments=moments), jnp.where(alive, found / deviation(moments), 0.0)


def learn(
    curiosity: Curiosity,
    features: Array,
    weight: Array,
    rate: Array,
    adam: optax.GradientTransformation,
    axis: str | None,
) -> Curiosity:
    """One gradient step of the predictor; `weight` f32[...] says how much each row counts, 1 in all."""
    loss = lambda predictor: (weight * surprise(curiosity, predictor, features)).sum()
    gradient = total(jax.grad(loss)(curiosity.predictor), axis)
    change, opt_state = adam.update(gradient, curiosity.opt_state)
    predictor = optax.apply_updates(curiosity.predictor, jax.tree.map(lambda c: -rate * c, change))
    return curiosity.replace(predictor=predictor, opt_state=opt_state)
