"""Which actions make sense now, from the same predicates that the systems use."""

import jax.numpy as jnp

from ..systems import affordances, employment, intents
from ..types import Array, State, World


def action_mask(world: World, state: State) -> Array:
    """bool[A, num_actions], True = allowed; `wait` always is.

    While an agent is busy or committed, or not alive, it is the only one. An action that is not allowed does no harm: it counts
    as `wait`, or is tried and fails.
    """
    static, layout, agents = world.static, world.static.actions, state.agents
    A = static.num_agents
    if not static.has("intents"):
        return jnp.zeros((A, len(layout.names)), bool).at[:, 0].set(True)
    free = intents.may_choose(world, state)[:, None]
    moves = world.map.neighbour[agents.cell] != agents.cell[:, None]
    offers = affordances.available(world, state)
    _, steps = affordances.routes(world, state)
    near = steps <= world.params["queues"].reach
    options = [offers]
    if layout.work is not None:
        options.append(employment.may_work(world, state)[:, None])
    options.append((agents.cell != world.map.home_cell[world.map.agent_home])[:, None])
    return jnp.concatenate(
        [jnp.ones((A, 1), bool)] + [free & part for part in (moves, offers & near, *options)], axis=1
    )
