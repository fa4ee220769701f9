"""Towns on many devices: each device has its own part of the towns, and sums go over all of them."""

from typing import Any

import jax

TOWNS = "towns"  # the mesh axis


def total(x: Any, axis: str | None) -> Any:
    """The sum over the devices of a mesh axis, leaf by leaf; x itself without an axis."""
    return x if axis is None else jax.lax.psum(x, axis)


def mean(x: Any, axis: str | None) -> Any:
    """The mean over the devices of a mesh axis, leaf by leaf; x itself without an axis."""
    return x if axis is None else jax.lax.pmean(x, axis)
