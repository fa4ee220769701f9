"""The schedule of a scenario: each resident does its own list of actions, again and again."""

import jax.numpy as jnp

from ..types import Array, Key, State, World


def scheduled(world: World, state: State, key: Key) -> Array:
    """The next action of each slot: i32[A]; the key is not used.

    The list begins at tick 0 of the episode's first day. What the mask forbids is tried all the same, as a schedule says.

    Raises:
        ValueError: the world's YAML has no `schedule`.
    """
    if "schedule" not in world.params:
        raise ValueError(f"the world {world.static.name!r} has no `schedule`, so its residents have nothing to follow")
    schedule = world.params["schedule"]
    place = state.tick % schedule.length
    return jnp.take_along_axis(schedule.actions, place[:, None], axis=1)[:, 0]
