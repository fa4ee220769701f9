"""Whose turn it is when a place falls free, and who quarrels over it. Dense [A, A], meant for A <= 64."""

import jax
import jax.numpy as jnp

from . import auction, fixed
from .blocks import once

MAX_WAITED = 10_000  # ticks of waiting that count
PER_PLACE = fixed.to_tie(0.05)  # what a place further behind costs in a handover, parts of TIE
PER_WAITER = fixed.to_share(0.25)  # what each further waiter adds to the intensity of a conflict
MILD, FIERCE = fixed.to_share(0.1), fixed.to_share(5.0)  # the bounds of an intensity


def arrive(
    queue: jax.Array, waits: jax.Array, stays: jax.Array, tail: jax.Array, place: jax.Array, priority: jax.Array
) -> jax.Array:
    """Places in order of arrival.

    Args:
        queue: i16[A] which queue one stands in; only equality counts.
        waits: bool[A] who stands in one at all.
        stays: bool[A] those of them who stood in it before.
        tail: bool[A] those of them who go behind all others.
        place: i8[A] where they stood.
        priority: i8[A] a permutation, the order of those who are new.

    Returns:
        i8[A] place 0, 1, ... for those who wait, 0 for the others.
    """
    A = jnp.int16(queue.shape[0])
    order = jnp.where(stays, place.astype(jnp.int16), A + priority.astype(jnp.int16))
    return auction.line_up(queue, waits, jnp.where(tail, order + A + A, order))


def age_order(place: jax.Array, waited: jax.Array, weight: jax.Array) -> jax.Array:
    """The order place - weight * waited, ties to the place (specification §6, assign_next).

    Args:
        place: i8[A], distinct within a queue.
        waited: i16[A] ticks, 0 to MAX_WAITED.
        weight: i32[] places a tick, parts of SHARE, 0 to SHARE.

    Returns:
        i32[A], distinct within a queue; the least is next.
    """
    place = place.astype(jnp.int32)
    return (place * fixed.SHARE - weight * waited.astype(jnp.int32)) * 128 + place


def take_turns(queue: jax.Array, waits: jax.Array, holds: jax.Array, place: jax.Array, order: jax.Array) -> jax.Array:
    """Places after each queue that nobody holds has let in the one of least order; the others keep theirs in turn.

    Args:
        queue: [A] which queue one stands in; only equality counts.
        waits: bool[A] who stands in one at all.
        holds: bool[A] who holds on to its reservation, at most one a queue.
        place: i8[A] in order of arrival.
        order: i32[A] distinct within a queue.

    Returns:
        i8[A] place 0, 1, ... for those who wait, 0 for the others.
    """
    queue, waits, holds = once((queue, waits, holds))
    taken = ((queue[:, None] == queue[None, :]) & holds[None, :]).any(-1)
    enters = auction.first(queue, waits & ~taken, order)
    return auction.line_up(queue, waits, jnp.where(holds | enters, jnp.int8(-1), place))


def favourites(may: jax.Array, affinity: jax.Array, index: jax.Array) -> jax.Array:
    """To whom each would hand over: affinity - .05 * index at its highest, if that is above 0 (specification §6).

    Args:
        may: bool[A, A], row: who hands over, column: those who wait.
        affinity: i32[A, A] trust + familiarity - rivalry of the row to the column, parts of TIE.
        index: i8[A] how many wait ahead of each; of equal scores the least wins.

    Returns:
        bool[A], True for those who are favoured.
    """
    index = index.astype(jnp.int32)
    score = affinity - PER_PLACE * index[None, :]
    score = jnp.where(may & (score > 0), score * 128 + 127 - index[None, :], 0)
    best = score.max(-1, keepdims=True)
    return ((score == best) & (score > 0)).any(0)


def partners(heat: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """With whom each quarrels; of several, with the one who stands foremost.

    Args:
        heat: i16[A, A] intensity, either way round, at most FIERCE; 0 without a quarrel.
        place: i8[A] in the queue.

    Returns:
        whether one quarrels bool[A], the partner i16[A] (0 without one), and the intensity i16[A].
    """
    # of at most 64 the order, the index and the intensity fit in one number, so that one maximum finds all three
    A = len(place)
    order = (127 - place.astype(jnp.int32)) * 64 + 63 - jnp.arange(A, dtype=jnp.int32)
    heat = heat.astype(jnp.int32)
    of_rows = jnp.where(heat > 0, order[None, :] * 8192 + heat, 0).max(-1)
    of_columns = jnp.where(heat > 0, order[:, None] * 8192 + heat, 0).max(0)
    most = jnp.maximum(of_rows, of_columns)
    some = most > 0
    return some, jnp.where(some, 63 - ((most >> 13) & 63), 0).astype(jnp.int16), (most & 8191).astype(jnp.int16)


def intensity(base: jax.Array, length: jax.Array) -> jax.Array:
    """clamp(base + .25 * max(length - 1, 0), .1, 5) as i16[...] parts of SHARE (specification §6).

    Args:
        base: i16[...] parts of SHARE.
        length: i8[...] how many wait.
    """
    more = jnp.maximum(length.astype(jnp.int16) - jnp.int16(1), jnp.int16(0))
    return jnp.clip(base + jnp.int16(PER_WAITER) * more, MILD, FIERCE).astype(jnp.int16)
