"""Anything that is allowed, with equal chances."""

import jax
import jax.numpy as jnp

from ..observe.action_mask import action_mask
from ..types import Array, Key, State, World


def random(world: World, state: State, key: Key) -> Array:
    """One of the allowed actions of each agent, all equally likely: i32[A]."""
    allowed = action_mask(world, state)
    ranks = jnp.where(allowed, jax.random.bits(key, allowed.shape, jnp.uint32) >> 1, 0)
    return jnp.argmax(ranks, axis=-1).astype(jnp.int32)
