"""Ties between people as plain arrays [A, A], a row for each owner: who is near, who is kept, what fades and what is forgiven.

Parts of a tie are i16 in parts of `fixed.TIE`. Lists of a few people are i16[A, n], `NOBODY` where there are fewer.
"""

import jax
import jax.numpy as jnp

from . import fixed
from .blocks import once

NOBODY = 32767  # the same number as in `types`, which kernels do not know
LEAST = -(1 << 30)  # below every score
LOWER = 4 * fixed.TIE  # what puts a weak newcomer below every older tie: trust + familiarity spans 4 TIE


def apart(cell: jax.Array, width: int) -> tuple[jax.Array, jax.Array]:
    """Rows and columns between each two of some cells u16[A]: i16[A, A] each, not negative."""
    row, col = once(((cell // jnp.uint16(width)).astype(jnp.int16), (cell % jnp.uint16(width)).astype(jnp.int16)))
    return jnp.abs(row[:, None] - row[None, :]), jnp.abs(col[:, None] - col[None, :])


def strongest(score: jax.Array, able: jax.Array, number: int) -> jax.Array:
    """Who has one of the highest scores in each row.

    Args:
        score: i32[A, A] above LEAST, distinct within a row where able.
        able: bool[A, A] who may be taken at all.
        number: how many, a handful: each costs one pass.

    Returns:
        bool[A, A], True for at most `number` of each row.
    """
    if number == 0:
        return jnp.zeros_like(able)
    left = once(jnp.where(able, score, LEAST))
    most = left.max(-1, keepdims=True)
    for _ in range(number - 1):
        most = jnp.where(left < most, left, LEAST).max(-1, keepdims=True)
    return able & (left >= most)


def best(score: jax.Array, able: jax.Array, number: int) -> jax.Array:
    """The people of the highest scores in each row, best first; equal scores go to the lower index.

    Args:
        score: i32[A, A] in (LEAST / 64, -LEAST / 64), A at most 64.
        able: bool[A, A] who may be taken at all.
        number: how many, a handful: each costs one pass.

    Returns:
        i16[A, number], NOBODY where nobody is left.
    """
    index, found = jnp.arange(score.shape[1], dtype=jnp.int32), []
    # the index in the last six bits: one number to compare
    left = once(jnp.where(able, score * 64 + (63 - index), LEAST))
    most = jnp.full(score.shape[0], -LEAST)
    for _ in range(number):
        most = jnp.where(left < most[:, None], left, LEAST).max(-1)
        found.append(jnp.where(most == LEAST, NOBODY, 63 - (most & 63)).astype(jnp.int16))
    return jnp.stack(found, axis=-1) if found else jnp.zeros((score.shape[0], 0), jnp.int16)


def picked(people: jax.Array, number: int) -> jax.Array:
    """Lists of people i16[A, n] as bool[A, number]."""
    return (people[:, :, None] == jnp.arange(number, dtype=jnp.int16)).any(1)


def fade(part: jax.Array, rate: jax.Array) -> jax.Array:
    """A part of ties i16[A, A] one rate i16 nearer to 0, and exactly 0 where no more than that is left."""
    return jnp.sign(part) * jnp.maximum(jnp.abs(part) - rate, jnp.int16(0))


def exists(trust: jax.Array, familiarity: jax.Array, rivalry: jax.Array, faint: jax.Array | int = 0) -> jax.Array:
    """Where there is a tie: bool[A, A], some part of it is above `faint`."""
    return (jnp.abs(trust) > faint) | (jnp.abs(familiarity) > faint) | (rivalry > faint)


def keep(
    parts: tuple[jax.Array, jax.Array, jax.Array],
    old: jax.Array,
    order: jax.Array,
    friends: int,
    rivals: int,
    admit: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Which ties an owner can keep: the first few by trust + familiarity, and the first few by rivalry.

    A new tie of |trust + familiarity - rivalry| <= admit only takes a place that is free; a stronger one competes with the old.

    Args:
        parts: trust, familiarity and rivalry, i16[A, A] each.
        old: bool[A, A] the ties that there were before.
        order: i8[A] of equal ties the one with the person of higher order is kept, then of lower index; A at most 64.
        friends: places by trust + familiarity.
        rivals: places by rivalry, for ties with any.
        admit: i32[] parts of TIE.

    Returns:
        bool[A, A] the ties to keep, and the new ones that were too weak to compete.
    """
    trust, familiarity, rivalry = (part.astype(jnp.int32) for part in parts)
    there, kindness = exists(*parts), trust + familiarity
    weak = there & ~old & (jnp.abs(kindness - rivalry) <= admit)
    last = order.astype(jnp.int32) * 64 + 63 - jnp.arange(order.shape[0], dtype=jnp.int32)  # below 2**13
    rank = lambda value: (value - jnp.where(weak, LOWER, 0)) * 8192 + last
    dear = strongest(rank(kindness), there, friends)
    feared = strongest(rank(rivalry), there & (rivalry > 0), rivals)
    return dear | feared, weak


def forgive(change: jax.Array, forgiveness: jax.Array, grudge: bool) -> jax.Array:
    """What is left of a change of a tie in the eyes of a more or less forgiving owner.

    What makes a tie worse counts (1 - forgiveness / 2) times. Rivalry (a grudge) that falls counts (1 + forgiveness / 2) times.

    Args:
        change: i32[...] in [-2 TIE, 2 TIE]
        forgiveness: i32, parts of SHARE in [-SHARE, SHARE], shaped to fit.
        grudge: whether it is a change of rivalry, which is worse the higher it is.
    """
    softer = (change * (fixed.SHARE - (forgiveness >> 1))) >> 10
    if grudge:
        return jnp.where(change > 0, softer, (change * (fixed.SHARE + (forgiveness >> 1))) >> 10)
    return jnp.where(change < 0, softer, change)


def compete(change: jax.Array, ambition: jax.Array) -> jax.Array:
    """Rivalry i32[...] that a conflict adds, (1 + 0.3 ambition) times where it rises; ambition in parts of SHARE."""
    factor = jnp.maximum(fixed.SHARE + ((ambition * fixed.to_share(0.3)) >> 10), 0)
    return jnp.where(change > 0, (change * factor) >> 10, change)
