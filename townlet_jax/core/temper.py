"""How a character colours numbers: factors in parts of SHARE, traits from -SHARE to SHARE; exact in 32 bits."""

import jax
import jax.numpy as jnp

from . import fixed
from .masks import count


def over(value: jax.Array, factor: jax.Array) -> jax.Array:
    """The quotient value / factor, rounded down: i32[...] in [0, 2**24] and a factor of 0.1 to 8."""
    return (value // factor) * fixed.SHARE + (value % factor) * fixed.SHARE // factor


def favour(value: jax.Array, factor: jax.Array) -> jax.Array:
    """What is pleasant times the factor, what is not divided by it (specification §10): i32[...] in [-2**24, 2**24]."""
    size = jnp.abs(value)
    return jnp.where(value >= 0, fixed.scale(size, factor), -over(size, factor))


def nearest(traits: jax.Array, table: jax.Array) -> jax.Array:
    """The row i8[A] of a table i16[P, T] that is nearest to i16[A, T] by squared distance; of equally near ones the first."""
    apart = traits.astype(jnp.int32)[:, None, :] - table.astype(jnp.int32)  # at most 2**11
    return jnp.argmin((apart * apart).sum(-1, dtype=jnp.int32), axis=-1).astype(jnp.int8)


def defer(patience: jax.Array, order: jax.Array) -> jax.Array:
    """The order of those who arrive together: the patient rather sooner, give or take chance.

    Args:
        patience: i32[A] parts of SHARE, -SHARE to SHARE.
        order: [A] a random permutation; from its first to its last is worth as much as patience from 0 to SHARE.

    Returns:
        i8[A] a permutation; the same as `order` if all are equally patient.
    """
    A = order.shape[0]
    turn = order.astype(jnp.int32)
    late = (turn * fixed.SHARE // max(A - 1, 1) - patience) * A + turn  # distinct; below 2**18
    return count(late[None, :] < late[:, None])
