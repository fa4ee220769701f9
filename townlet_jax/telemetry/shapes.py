"""What measures are given, checked while tracing: one town, or numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..types import State, World


def one_map(what: str, world: World) -> None:
    """Refuse a pool.

    Raises:
        ValueError: with the number of its maps.
    """
    if world.map.ground.ndim != 1:
        maps = world.map.ground.shape[0]
        raise ValueError(f"{what} takes the world of one map, not a pool of {maps}: use pool.over_maps or pool.one")


def one_town(what: str, world: World, state: State) -> None:
    """Refuse anything but one town on one map.

    Raises:
        ValueError: with the shape of what was given.
    """
    one_map(what, world)
    if state.tick.ndim:
        raise ValueError(f"{what} takes one town, not {list(state.tick.shape)} of them: use jax.vmap")


def plain(what: str, means: Mapping[str, Any]) -> None:
    """Refuse means that are not one number each.

    Raises:
        ValueError: with the shape of the first that is not.
    """
    for name, value in means.items():
        if np.ndim(value):
            raise ValueError(
                f"{what} takes one number for {name!r}, the mean over ticks and towns, not {list(np.shape(value))}"
            )
