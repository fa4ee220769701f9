"""The schedule of a scenario: each resident does its own list of actions, again and again."""

import jax.numpy as jnp

from ..types import Array, Key, State, World


def scheduled(world: World, state: State, key: Key) -> Array:
    """The next action of each slot: i32[A]; the key is not used.

    The lists begin with the episode, if it always begins at the same tick of the day. What the mask forbids is tried all the
    same, as a schedule says.

    Raises:
        ValueError: the world's YAML has no `schedule`.
    """
    if "schedule" not in world.params:
        raise ValueError(f"the world {world.static.name!r} has no `schedule`, so its residents have nothing to follow")
    schedule = world.params["schedule"]
    place = (state.tick - world.params["start"].tick[0]) % schedule.length
    return jnp.take_along_axis(schedule.actions, place[:, None], axis=1)[:, 0]
