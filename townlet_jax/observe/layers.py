"""The map around each agent: static layers from a table, people and what they hold scattered into them.

`hybrid` has a thin map; `full` adds a layer for every kind of facility, which facilities are held, and which one could use now.
"""

import jax.numpy as jnp

from ..systems import affordances
from ..types import NOTHING, Array, State, World

NEAR = 5  # cells, each way, that count as around an agent in features
THIN = ("blocked", "door", "facility", "post")
PEOPLE = ("agent", "busy_agent")
HELD = ("reserved", "usable")


def layer_names(world: World) -> tuple[str, ...]:
    """The layers of a world's variant, in order; none in `compact`."""
    static = world.static
    kinds = tuple(f"kind_{kind}" for kind in static.names.kinds)
    return {"compact": (), "hybrid": (*THIN, *PEOPLE), "full": (*THIN, *kinds, *PEOPLE, *HELD)}[static.observation]


def spots(world: World, cells: Array, watchers: Array) -> Array:
    """Where cells u16[A, X] or u16[X] lie in each watcher's window: i32[A, X], side * side if outside."""
    side, width = world.static.window, jnp.uint16(world.static.width)
    row, col = (cells // width).astype(jnp.int32), (cells % width).astype(jnp.int32)
    down = row - (watchers // width).astype(jnp.int32)[:, None] + side // 2
    right = col - (watchers % width).astype(jnp.int32)[:, None] + side // 2
    seen = (down >= 0) & (down < side) & (right >= 0) & (right < side)
    return jnp.where(seen, down * side + right, side * side)


def scattered(at: Array, size: int) -> Array:
    """A layer with a 1 at each of the spots i32[A, X]: u8[A, size]; spots out of range are dropped."""
    empty = jnp.zeros((at.shape[0], size), jnp.uint8)
    return empty.at[jnp.arange(at.shape[0])[:, None], at].set(jnp.uint8(1), mode="drop")


def people_layers(world: World, state: State) -> list[Array]:
    """The others, and those of them for whom an offer runs: u8[A, w * w] each."""
    agents, A, size = state.agents, world.static.num_agents, world.static.window**2
    others = agents.alive[None, :] & ~jnp.eye(A, dtype=bool)
    spot = jnp.where(others, spots(world, agents.cell, agents.cell), size)
    runs = state.slots["affordances"].remaining > 0 if world.static.has("affordances") else jnp.zeros(A, bool)
    return [scattered(spot, size), scattered(jnp.where(runs[None, :], spot, size), size)]


def held_layers(world: World, state: State, can: Array | None = None) -> list[Array]:
    """Facilities that somebody holds, and those that the watcher could use now: u8[A, w * w] each; `can` as in `layers`."""
    cells, size = world.map.facility_cell, world.static.window**2
    nowhere = jnp.zeros((world.static.num_agents, size), jnp.uint8)
    if not world.static.has("affordances"):
        return [nowhere, nowhere]
    queues, here = state.slots["queues"], state.agents.cell
    holds = (queues.facility != NOTHING) & (queues.place == 0)
    held = spots(world, cells[jnp.where(holds, queues.facility, jnp.int16(0))], here)
    usable = spots(world, cells[affordances.routes(world, state)[0]], here)
    can = affordances.available(world, state) if can is None else can
    return [scattered(jnp.where(holds[None, :], held, size), size), scattered(jnp.where(can, usable, size), size)]


def layers(world: World, state: State, can: Array | None = None) -> Array:
    """u8[A, L, w, w], 0 or 1, the agent in the middle, north up; zeros for who is not alive. `layer_names` says what L are.

    `can` is `affordances.available`, if it is known already.
    """
    static, agents = world.static, state.agents
    A, side = static.num_agents, static.window
    if side == 0:
        return jnp.zeros((A, 0, 0, 0), jnp.uint8)
    still = world.map.window[agents.cell].reshape(A, -1, side * side)
    moving = people_layers(world, state) + (held_layers(world, state, can) if static.observation == "full" else [])
    stack = jnp.concatenate([still, jnp.stack(moving, axis=1)], axis=1)
    return jnp.where(agents.alive[:, None, None], stack, jnp.uint8(0)).reshape(A, -1, side, side)
