"""Where things are: unit vectors towards offers, work and home, as the crow flies; not in `compact`."""

import jax.numpy as jnp

from ..core import blocks
from ..core.grid import UNREACHABLE
from ..systems import affordances, employment
from ..types import NOTHING, Array, Feature, State, World


def towards(world: World, state: State, cell: Array) -> tuple[Array, Array]:
    """The unit vectors from agents to cells u16[A, X]: east and south, f32[A, X] each; 0 where one is there."""
    width, (cell, here) = jnp.uint16(world.static.width), blocks.once((cell, state.agents.cell[:, None]))
    east = (cell % width).astype(jnp.float32) - (here % width).astype(jnp.float32)
    south = (cell // width).astype(jnp.float32) - (here // width).astype(jnp.float32)
    east, south = blocks.once((east, south))
    length = jnp.maximum(jnp.sqrt(east * east + south * south), 1.0)
    return east / length, south / length


def direction_fields(world: World) -> list[Feature]:
    """Directions, as the crow flies."""
    static = world.static
    if static.observation == "compact" or not static.has("affordances"):
        return []
    goals = (*static.names.offers, *(["work"] if static.names.jobs else []), "home")
    return [Feature(f"{way}_of", len(goals), f"unit vector, {way}", -1, 1, goals) for way in ("east", "south")]


def direction_values(world: World, state: State) -> list[Array]:
    """Directions, as the crow flies."""
    if not direction_fields(world):
        return []
    route, steps = affordances.routes(world, state)
    goals = [jnp.where(steps < UNREACHABLE, world.map.place_cell[route, 0], state.agents.cell[:, None])]
    if world.static.names.jobs:
        post = employment.post_of(world, state)
        works = world.map.post_cell[jnp.where(post == NOTHING, jnp.int16(0), post)]
        goals.append(jnp.where(post == NOTHING, state.agents.cell, works)[:, None])
    goals.append(world.map.home_cell[world.map.agent_home][:, None])
    return list(towards(world, state, jnp.concatenate(goals, axis=1)))
