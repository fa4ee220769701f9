"""Which actions make sense now, from the same predicates that the systems use."""

import jax.numpy as jnp

from ..core import blocks
from ..systems import affordances, chat, employment, encounters, intents
from ..types import NOBODY, Array, State, World


def action_mask(world: World, state: State, can: Array | None = None) -> Array:
    """bool[A, num_actions], True = allowed; `wait` always is. `can` is `affordances.available`, if it is known already.

    While an agent is busy or committed, or not alive, it is the only one. An action that is not allowed does no harm: it counts
    as `wait`, or is tried and fails.
    """
    static, layout, agents = world.static, world.static.actions, state.agents
    A = static.num_agents
    if not static.has("intents"):
        return jnp.zeros((A, len(layout.names)), bool).at[:, 0].set(True)
    free = blocks.once(intents.may_choose(world, state))[:, None]
    moves = world.map.neighbour[agents.cell] != agents.cell[:, None]
    offers = affordances.available(world, state) if can is None else can
    _, steps = affordances.routes(world, state)
    near = steps <= world.params["queues"].reach
    talks, company = [], []
    if layout.talk is not None:
        ready, beside = chat.may_talk(world, state)[:, None], encounters.nearby(world, state)
        person = jnp.minimum(beside, A - 1).astype(jnp.int32)
        welcome = jnp.take_along_axis(encounters.welcome(world, state), person, axis=1, mode="promise_in_bounds")
        talks.append(ready & welcome & (beside != NOBODY))
        company.append(ready & (encounters.sought(world, state) != NOBODY)[:, None])
    options = [offers]
    if layout.work is not None:
        options.append(employment.may_work(world, state)[:, None])
    options += company
    options.append((agents.cell != world.map.home_cell[world.map.agent_home])[:, None])
    parts = blocks.once([free & part for part in (moves, offers & near, *talks, *options)])
    return jnp.concatenate([jnp.ones((A, 1), bool), *parts], axis=1)
