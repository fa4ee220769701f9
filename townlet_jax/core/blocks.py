"""A boundary for the compiler: numbers that several others are made of are computed once."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

TRIPS = 2  # a loop of one would be taken apart


def _clear(tree: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, tree)


def _keep(tree: Any) -> Any:
    return tree


def _loop(tree: Any) -> Any:
    turn = lambda trip, kept: jax.lax.cond(trip == TRIPS, _clear, _keep, kept)
    return jax.lax.fori_loop(0, TRIPS, turn, tree)


@partial(jax.jit, inline=True)  # so that a tick outside of jit compiles it for each kind of tree but once
def once(tree: Any) -> Any:
    """The same arrays, computed before whatever reads them.

    The compiler for CPUs fuses a chain of cheap steps into each of its readers. A mask of twenty actions then works out twenty
    times who is free, and a comparison of all pairs works each one's number out for every pair: 70 ns a town instead of 10, for
    one queue of eight. It does not look into loops, so a loop that keeps the arrays, in place, is a boundary; that it would clear
    them in a third trip, which never comes, the compiler cannot see. (`optimization_barrier` is gone before it fuses.) Elsewhere
    nothing is done.

    Where it pays: before vectors [A] or gathered rows are compared in pairs [A, A], and at the end of each system.

    Args:
        tree: arrays of any shape and type, not empty.

    Returns:
        A tree of the same arrays.
    """
    return jax.lax.platform_dependent(tree, cpu=_loop, default=_keep)
