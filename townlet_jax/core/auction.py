"""Who comes first: ranks, winners and queues by comparison. Dense [A, A], meant for A <= 64."""

import jax
import jax.numpy as jnp

from .blocks import once
from .masks import count


def random_rank(bits: jax.Array) -> jax.Array:
    """A permutation 0..A-1 as i8[A] from random bits u32[A]; equal bits go to the lower index."""
    index = jnp.arange(bits.shape[0], dtype=jnp.uint32)
    spread = once((bits & jnp.uint32(0xFFFF_FF00)) | index)  # distinct, so that the ranks are a permutation
    return count(spread[None, :] < spread[:, None])


def first(group: jax.Array, claims: jax.Array, order: jax.Array) -> jax.Array:
    """Of those who claim the same group, the one of least order.

    Args:
        group: [A] what is claimed; only equality counts.
        claims: bool[A] who claims at all.
        order: [A] distinct numbers; the least wins.

    Returns:
        bool[A], True for one winner of every group that is claimed.
    """
    group, claims, order = once((group, claims, order))
    rivals = (group[:, None] == group[None, :]) & claims[None, :] & (order[None, :] < order[:, None])
    return claims & ~rivals.any(-1)


def rank(waits: jax.Array, order: jax.Array) -> jax.Array:
    """The place of each in one line for everybody, as of `line_up` where all stand in the same queue.

    Args:
        waits: bool[A] who stands in it at all.
        order: [A] distinct; the least stands first.

    Returns:
        i8[A] place 0, 1, ... for those who wait, 0 for the others.
    """
    waits, order = once((waits, order))
    return jnp.where(waits, count(waits[None, :] & (order[None, :] < order[:, None])), jnp.int8(0))


def line_up(queue: jax.Array, waits: jax.Array, order: jax.Array) -> jax.Array:
    """The place of each in its queue.

    Args:
        queue: [A] which queue one stands in; only equality counts.
        waits: bool[A] who stands in one at all.
        order: [A] distinct within a queue; the least stands first.

    Returns:
        i8[A] place 0, 1, ... for those who wait, 0 for the others.
    """
    queue, waits, order = once((queue, waits, order))
    ahead = (queue[:, None] == queue[None, :]) & waits[None, :] & (order[None, :] < order[:, None])
    return jnp.where(waits, count(ahead), jnp.int8(0))
