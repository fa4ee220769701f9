"""What happens when: chances by the day, rings of past starts, who is let in and who is called."""

import jax
import jax.numpy as jnp

from . import auction, fixed
from .masks import count

DRAW = 1 << 24  # certainty; chances by the day are small, so that a tick's is compared with 24 random bits
NEVER = -(1 << 30)  # a tick long before any town


def per_tick(chance: jax.Array, ticks_per_day: int, factor: jax.Array) -> jax.Array:
    """The chance of one tick, as is compared with 24 random bits.

    Args:
        chance: i32[...] parts of CHANCE a day, at most 30,000 a day (below 2**31).
        ticks_per_day: at most 30,000.
        factor: i32[], 1 to 10.

    Returns:
        i32[...] parts of DRAW; DRAW is certain. Exact, rounded down before the factor.
    """
    whole, rest = jnp.minimum(chance // ticks_per_day, fixed.CHANCE), chance % ticks_per_day
    return jnp.minimum((whole * 256 + rest * 256 // ticks_per_day) * factor, DRAW)


def draw(bits: jax.Array, least: jax.Array, most: jax.Array) -> jax.Array:
    """A number i32[...] from least to most, both included, from random bits u32[...]."""
    return least + ((bits >> 8) % (most - least + 1).astype(jnp.uint32)).astype(jnp.int32)


def recent(past: jax.Array, tick: jax.Array, window: jax.Array) -> jax.Array:
    """How many of the remembered ticks i32[..., W] lie in the window that ends at `tick`: i8[...]."""
    return count(past > tick - window)


def remember(past: jax.Array, now: jax.Array, tick: jax.Array) -> jax.Array:
    """Put the tick i32[] in front of those rows of the ring i32[E, W], newest first, that are `now` bool[E]."""
    newer = jnp.concatenate([jnp.broadcast_to(tick, (past.shape[0], 1)), past], axis=1)[:, : past.shape[1]]
    return jnp.where(now[:, None], newer, past)


def admit(wants: jax.Array, free: jax.Array, bits: jax.Array) -> jax.Array:
    """Who of those who want in are let in while places are free, in random order.

    Args:
        wants: bool[E].
        free: i32[] places, none if negative.
        bits: u32[E] random.

    Returns:
        bool[E].
    """
    place = auction.rank(wants, auction.random_rank(bits))
    return wants & (place.astype(jnp.int32) < free)


def least_called(eligible: jax.Array, calls: jax.Array, priority: jax.Array, number: jax.Array) -> jax.Array:
    """Those who have been called least; among equals priority i8[A] decides, then the lower index.

    Args:
        eligible: bool[A].
        calls: i16[A] times that each has been called.
        priority: i8[A].
        number: i8[] how many are wanted.

    Returns:
        bool[A], True for at most `number`.
    """
    index = jnp.arange(calls.shape[0], dtype=jnp.int32)
    order = (calls.astype(jnp.int32) * 128 + priority.astype(jnp.int32)) * 128 + index
    return eligible & (auction.rank(eligible, order) < number)


def dearest_pair(tie: jax.Array, eligible: jax.Array) -> jax.Array:
    """The two who together feel most for each other; nobody if no two feel anything.

    Args:
        tie: i16[A, A] what each, a row, feels for the others, within fixed.TIE.
        eligible: bool[A].

    Returns:
        bool[A], True for two or none; the lower indices among equals.
    """
    A = tie.shape[0]
    index = jnp.arange(A, dtype=jnp.int32)
    may = eligible[:, None] & eligible[None, :] & (index[:, None] < index[None, :])
    both = jnp.where(may, tie.astype(jnp.int32) + tie.T.astype(jnp.int32), 0)
    most = (both * A * A + (A * A - 1 - index[:, None] * A - index[None, :])).max()  # the pair in the last digits
    pair = A * A - 1 - most % (A * A)
    return ((index == pair // A) | (index == pair % A)) & (most >= A * A)
