"""The map around each agent: static layers from a table, people scattered into them."""

import jax.numpy as jnp

from ..types import Array, State, World

STATIC = ("blocked", "door", "facility", "post")
DYNAMIC = ("agent", "busy_agent")
LAYERS = (*STATIC, *DYNAMIC)


def layers(world: World, state: State) -> Array:
    """u8[A, L, w, w], 0 or 1, the agent in the middle, north up; zeros for who is not alive. L is 0 without a map window."""
    static, agents = world.static, state.agents
    A, side = static.num_agents, static.window
    if side == 0:
        return jnp.zeros((A, 0, 0, 0), jnp.uint8)
    fixed = world.map.window[agents.cell].reshape(A, len(STATIC), side * side)
    row = (agents.cell // jnp.uint16(static.width)).astype(jnp.int32)
    col = (agents.cell % jnp.uint16(static.width)).astype(jnp.int32)
    down = row[None, :] - row[:, None] + side // 2
    right = col[None, :] - col[:, None] + side // 2
    seen = (down >= 0) & (down < side) & (right >= 0) & (right < side)
    seen = seen & agents.alive[None, :] & ~jnp.eye(A, dtype=bool)
    spot = jnp.where(seen, down * side + right, side * side)
    runs = state.slots["affordances"].remaining > 0 if static.has("affordances") else jnp.zeros(A, bool)
    busy = jnp.where(runs[None, :], spot, side * side)
    empty = jnp.zeros((A, side * side), jnp.uint8)
    watcher = jnp.arange(A)[:, None]
    people = [empty.at[watcher, at].set(jnp.uint8(1), mode="drop") for at in (spot, busy)]
    stack = jnp.concatenate([fixed, jnp.stack(people, axis=1)], axis=1)
    return jnp.where(agents.alive[:, None, None], stack, jnp.uint8(0)).reshape(A, len(LAYERS), side, side)
