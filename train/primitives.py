"""On foot: whoever chooses among options takes instead, in every tick, the primitive action with which the option would begin.

An option (Sutton, Precup and Singh 1999, https://doi.org/10.1016/S0004-3702(99)00052-1) walks, queues and uses on behalf of an
agent. Here its controller is asked what it would do in this tick, and the town sees only that: a step, a use, a talk. The player is
asked anew in every tick, so a policy over options without a memory becomes one over primitives without a memory, which a network
can clone.

In one way primitives are less than options: a step gives up the place in a queue. So who waits stands still until it is its turn.
"""

from functools import cache
from typing import Any

import jax.numpy as jnp

from townlet_jax.observe import action_mask
from townlet_jax.systems import affordances, encounters, intents
from townlet_jax.types import NOTHING, Key, State, World

from .players import Choice, Player
from .types import Array


def primitive(world: World, state: State, after: State) -> Array:
    """The primitive action i32[A] for what each agent is about to do, `wait` where that is not allowed.

    Args:
        world: the world.
        state: the town as it is.
        after: the same, after `intents` has said what the options do in this tick.
    """
    layout, intent, slot, queues = world.static.actions, after.intent, after.slots["intents"], state.slots["queues"]
    A, offers = world.static.num_agents, len(world.static.names.offers)
    offer = jnp.where(slot.option < offers, slot.option, 0).astype(jnp.int32)
    wants = (slot.option < offers) & (slot.facility != NOTHING)
    queued = wants & (queues.facility == slot.facility)
    taken = ((queues.facility[None, :] == slot.facility[:, None]) & ~jnp.eye(A, dtype=bool)).any(-1)
    _, steps = affordances.routes(world, state)
    near = jnp.take_along_axis(steps, offer[:, None], axis=1)[:, 0] <= world.params["queues"].reach
    stands = wants & jnp.where(queued, queues.place > 0, near & taken)
    walks = (intent.verb == intents.MOVE) & ~stands
    uses = jnp.where(wants, layout.use + offer, intents.WAIT_ACTION)
    action = jnp.where(walks, intents.FIRST_MOVE + intent.arg, uses)
    if layout.talk is not None:
        beside = encounters.nearby(world, state) == intent.arg[:, None]
        speaks = (intent.verb == intents.TALK) & beside.any(-1)
        action = jnp.where(speaks, layout.talk + jnp.argmax(beside, axis=-1), action)
    allowed = jnp.take_along_axis(action_mask(world, state), action[:, None], axis=1)[:, 0]
    return jnp.where(allowed, action, intents.WAIT_ACTION).astype(jnp.int32)


@cache
def _on_foot(chooses: Any, ways: bool) -> Any:
    """How a player on foot decides; the same for equal players, so that nothing is compiled twice."""

    def decide(params: Any, world: World, state: State, memory: Any, key: Key) -> tuple[Choice, Any]:
        known = world.replace(static=world.static._replace(ways=world.static.ways and ways))
        choice, memory = chooses(params, known, state, memory, key)
        after = intents.step(
            world, state.replace(actions=choice.action), jnp.zeros(world.static.num_agents, jnp.uint32)
        )
        return Choice(primitive(world, state, after), jnp.zeros_like(choice.log_prob), choice.value), memory

    return decide


def on_foot(player: Player, ways: bool = True) -> Player:
    """The player that takes in every tick the primitive action with which the option begins that another one chooses.

    Args:
        player: chooses options, or waits.
        ways: whether it can read the observations of a world with `observation.ways`; if not, it does not see them.
    """
    return Player(player.params, 1, player.begin, _on_foot(player.decide, ways))
