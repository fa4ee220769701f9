"""Where things are: unit vectors towards offers, work and home, as the crow flies; and with `ways` the first steps on foot."""

import jax.numpy as jnp

from ..core import blocks
from ..core.grid import ARRIVED, DIRECTIONS, UNREACHABLE
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


def goals_of(world: World) -> tuple[str, ...]:
    """What directions and ways lead to: each offer, work if there are jobs, and home."""
    names = world.static.names
    return (*names.offers, *(["work"] if names.jobs else []), "home")


def direction_fields(world: World) -> list[Feature]:
    """Directions, as the crow flies."""
    static = world.static
    if static.observation == "compact" or not static.has("affordances"):
        return []
    goals = goals_of(world)
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


def way_fields(world: World) -> list[Feature]:
    """The first step of each way."""
    if not world.static.ways or not world.static.has("affordances"):
        return []
    entries = tuple(f"{goal}_{way}" for goal in goals_of(world) for way in DIRECTIONS)
    unit = "one-hot of each goal: the next step to it, to one's own place where one queues; zeros if none"
    return [Feature("first_step", len(entries), unit, 0, 1, entries)]


def way_values(world: World, state: State) -> list[Array]:
    """The first step of each way: as an option would walk, but along the tables to all goals at once."""
    if not way_fields(world):
        return []
    static, queues, cell = world.static, state.slots["queues"], state.agents.cell[:, None]
    route, steps = affordances.routes(world, state)
    own = jnp.minimum(queues.place, static.num_places - 1).astype(jnp.int32)
    place = jnp.where(queues.facility[:, None] == route, own[:, None], 0)
    hops = [world.map.next_hop[cell, route.astype(jnp.int32) * static.num_places + place]]
    hops[0] = jnp.where(steps < UNREACHABLE, hops[0], jnp.int8(ARRIVED))
    if static.names.jobs:
        hops.append(world.map.next_hop[cell, employment.post_target(world, state)[:, None]])
    hops.append(world.map.next_hop[cell, employment.home_target(world)[:, None]])
    hop = jnp.concatenate(hops, axis=1)
    return [(hop[:, :, None] == jnp.arange(len(DIRECTIONS), dtype=hop.dtype)).astype(jnp.float32)]
