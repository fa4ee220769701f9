"""Chains of spells: what comes next by relative shares, and how long it lasts. Chances are integers in parts of `fixed.CHANCE`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from . import fixed, masks


def cumulated(shares: Sequence[float]) -> list[int]:
    """Relative shares, at least one of them above 0, as cumulated chances; the last is fixed.CHANCE."""
    return [fixed.to_chance(sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]


def draw(chances: jax.Array, bits: jax.Array) -> jax.Array:
    """An index i8[] by cumulated chances i32[W], from random bits u32[]; what has no share is never drawn."""
    return masks.count((bits >> 16).astype(jnp.int32) >= chances)


def between(least: jax.Array, most: jax.Array, bits: jax.Array) -> jax.Array:
    """A whole number i32[] from least to most i32[], both included, from random bits u32[]."""
    span = (most - least + 1).astype(jnp.uint32)
    return least + (bits % span).astype(jnp.int32)
