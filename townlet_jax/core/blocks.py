"""A boundary for the compiler: numbers that several others are made of are computed once."""

from typing import Any

import jax
import jax.numpy as jnp

TRIPS = 2  # a loop of one would be taken apart


def once(tree: Any) -> Any:
    """The same arrays, computed before whatever reads them.

    The compiler for CPUs fuses a chain of cheap steps into each of its readers, so that a mask of twenty actions computes twenty
    times who is free; it does not look into loops, so one that takes the arrays in its first trip and keeps them in its second
    is a boundary. (`optimization_barrier` is gone before it fuses.) Elsewhere nothing is done.

    Args:
        tree: arrays of any shape and type, not empty.

    Returns:
        A tree of the same arrays.
    """

    def loop(tree: Any) -> Any:
        clear = lambda kept: jax.tree.map(jnp.zeros_like, kept)
        keep = lambda kept: kept
        return jax.lax.fori_loop(0, TRIPS, lambda trip, kept: jax.lax.cond(trip == TRIPS, clear, keep, kept), tree)

    return jax.lax.platform_dependent(tree, cpu=loop, default=lambda tree: tree)
