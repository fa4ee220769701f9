"""Options on foot: what a player chose, carried out by primitive actions, tick by tick.

An option (https://doi.org/10.1016/S0004-3702(99)00052-1) walks, queues and uses on behalf of an agent. Here the same controller
works outside the town: it says which step, use or talk the option would take in this tick, and the town sees nothing else. So a
policy over options, written or learned, becomes one over primitives, which others can clone.

In two ways primitives are less than options. A step gives up the place in a queue, so one stands where one is until it is one's
turn. And whom one looks for in `go_talk` is told to nobody.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from townlet_jax.observe import action_mask
from townlet_jax.systems import affordances, encounters, intents
from townlet_jax.types import NOTHING, Key, State, World

from .players import Choice, Player
from .types import Array


def pursuing(state: State, slot: intents.Slot) -> State:
    """The town as it were if everybody pursued what `slot` says; who is new, or was changed from outside, pursues nothing."""
    real = state.slots["intents"]
    pick = lambda own, its: None if own is None else jnp.where(real.reset, its, own)
    return state.put(intents=jax.tree.map(pick, slot, real))


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
    action = jnp.where(
        walks, intents.FIRST_MOVE + intent.arg, jnp.where(wants, layout.use + offer, intents.WAIT_ACTION)
    )
    if layout.talk is not None:
        beside = encounters.nearby(world, state) == intent.arg[:, None]
        speaks = (intent.verb == intents.TALK) & beside.any(-1)
        action = jnp.where(speaks, layout.talk + jnp.argmax(beside, axis=-1), action)
    allowed = jnp.take_along_axis(action_mask(world, state), action[:, None], axis=1)[:, 0]
    return jnp.where(allowed, action, intents.WAIT_ACTION).astype(jnp.int32)


@cache
def _functions(player_begin: Any, player_decide: Any, every: int, ways: bool) -> tuple[Any, Any]:
    """How a player on foot begins and decides; the same for equal players, so that nothing is compiled twice."""

    def seen_by(world: World) -> World:
        return world.replace(static=world.static._replace(ways=world.static.ways and ways))

    def begin(world: World, state: State) -> Any:
        return player_begin(seen_by(world), state), state.slots["intents"], jnp.int32(0)

    def decide(params: Any, world: World, state: State, memory: Any, key: Key) -> tuple[Choice, Any]:
        before, slot, count = memory
        view, now = pursuing(state, slot), count % every == 0
        choice, after = player_decide(params, seen_by(world), view, before, key)
        kept = jax.tree.map(lambda new, old: jnp.where(now, new, old), after, before)
        chosen = jnp.where(now, choice.action, intents.WAIT_ACTION)
        moved = intents.step(world, view.replace(actions=chosen), jnp.zeros(world.static.num_agents, jnp.uint32))
        unknown = jnp.zeros_like(choice.log_prob)
        return Choice(primitive(world, state, moved), unknown, choice.value), (kept, moved.slots["intents"], count + 1)

    return begin, decide


def on_foot(player: Player, ways: bool = True) -> Player:
    """The player that carries out by primitive actions, one a tick, what another one chooses among options.

    Args:
        player: chooses options, or waits.
        ways: whether it can read the observations of a world with `observation.ways`; if not, it does not see them.
    """
    begin, decide = _functions(player.begin, player.decide, player.every, ways)
    return Player(player.params, 1, begin, decide)
