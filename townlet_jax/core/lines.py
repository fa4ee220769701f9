"""Who may pass when few may, and what happened within a day: counts by comparison, on plain arrays."""

import jax
import jax.numpy as jnp

from .blocks import once
from .masks import count


def pass_first(may: jax.Array, waited: jax.Array, priority: jax.Array, room: jax.Array) -> jax.Array:
    """Of those who may, as many as there is room for: who has waited longest first, then who has priority.

    Args:
        may: bool[A].
        waited: i16[A] in [0, 2**15).
        priority: i8[A] the least goes first; equal ones go by index.
        room: i8[] how many may pass, nobody if it is not positive.

    Returns:
        bool[A].
    """
    A = may.shape[0]  # at most 64, so that an order stays below 2**27
    order = (priority.astype(jnp.int32) - waited.astype(jnp.int32) * A) * A + jnp.arange(A, dtype=jnp.int32)
    may, order = once((may, order))
    ahead = count(may[None, :] & (order[None, :] < order[:, None]))
    return may & (ahead < room)


def last_day(counts: jax.Array, happens: jax.Array, tick: jax.Array, ticks_per_day: int) -> jax.Array:
    """How often something happened in each part of the last day, one tick later.

    The bucket of a part of the day is emptied as that part begins, so all buckets together hold the last day but for at most
    one part of it, the oldest.

    Args:
        counts: i16[A, parts] as of the tick before.
        happens: bool[A] whether it happens in this tick.
        tick: i32[] since a midnight.
        ticks_per_day: length of the day.

    Returns:
        i16[A, parts].
    """
    parts = counts.shape[1]
    part = lambda tick: (tick % ticks_per_day) * parts // ticks_per_day
    at = jnp.arange(parts, dtype=jnp.int32) == part(tick)
    kept = jnp.where(at & (part(tick) != part(tick - 1)), jnp.int16(0), counts)
    return kept + (at[None, :] & happens[:, None]).astype(jnp.int16)
