"""Small reductions with their type stated, so that neither x64 nor strict promotion changes them."""

import jax
import jax.numpy as jnp


def count(mask: jax.Array) -> jax.Array:
    """How many are True along the last axis: i8, so at most 127."""
    return mask.sum(-1, dtype=jnp.int8)


def total(x: jax.Array) -> jax.Array:
    """The sum of all elements as i32[]."""
    return x.sum(dtype=jnp.int32)


def mean_where(x: jax.Array, mask: jax.Array) -> jax.Array:
    """The mean of f32 x where the mask holds, f32[]; 0 where it holds nowhere."""
    return jnp.where(mask, x, 0.0).sum(dtype=jnp.float32) / jnp.maximum(mask.sum(dtype=jnp.int32), 1).astype(
        jnp.float32
    )
