"""Occasions: what happened between people in this tick, read from the mechanics that a world runs. Functions only.

Each occasion is an i16[A, A] in parts of `fixed.SHARE`: how much of the event took place between the two. Those of `EVENTS` are
symmetric, and the YAML of `relationships` says what they change. The others belong to an optional mechanic, whose section says
so, and go one way: the row is who feels it.

reads  intent, agents, slots.chat, slots.queues, slots.arguments, slots.affordances, slots.employment
"""

import jax.numpy as jnp

from ..core import blocks, fixed, ties
from ..core.shifts import BECAME_ABSENT, BECAME_LATE
from ..types import NOBODY, NOTHING, Array, State, World
from . import employment, storms

EVENTS = ("chat_success", "chat_failure", "handover", "shared_meal", "helped", "took_shift", "blocked", "conflict")
OUTCOMES = ("none", "success", "failure", "avoided")  # of a talk
SILENCE, SUCCESS, FAILURE, AVOIDED = range(4)
ARRANGED = 4  # a talk that somebody outside has arranged for the next tick; no outcome of a tick
MOST_TICKS = 100  # at which a counter stays; what is to happen once happens below it
TABLE = 3  # cells within which people eat together, such as at the two counters of a café


def pairs(partner: Array, has: Array) -> Array:
    """Each agent with its partner i16[A], where it has one bool[A]: bool[A, A], row = the agent; never with oneself."""
    index = jnp.arange(partner.shape[0], dtype=jnp.int16)
    return has[:, None] & (partner[:, None] == index) & (index[:, None] != index)


def whole(met: Array) -> Array:
    """bool[A, A] in parts of SHARE."""
    return jnp.where(met, jnp.int16(fixed.SHARE), jnp.int16(0))


def chats(state: State) -> dict[str, Array]:
    """Talks that went well, by their quality, and talks that went wrong."""
    slot = state.slots["chat"]
    quality = jnp.where(pairs(slot.partner, slot.outcome == SUCCESS), slot.quality[:, None], jnp.int16(0))
    return {"chat_success": quality, "chat_failure": whole(pairs(slot.partner, slot.outcome == FAILURE))}


def queues(world: World, state: State, blocked: Array) -> dict[str, Array]:
    """Quarrels and handing over, as fair queues note them; in queues without, long waits are what makes rivals."""
    slot, alive = state.slots["queues"], state.agents.alive
    if slot.conflict is None or slot.intensity is None:
        here = (slot.facility[:, None] == slot.facility[None, :]) & (slot.place[None, :] == 0)
        found = {"blocked": whole(here & blocked[:, None])}
    else:
        found = {"conflict": jnp.where(pairs(slot.conflict, alive), slot.intensity[:, None], jnp.int16(0))}
    if slot.handover is not None:
        found["handover"] = whole(pairs(slot.handover, alive))
    rage = storms.remembered(state)
    if rage is not None:
        found["overtaken"] = whole(rage.storms[:, None] & rage.by)
    return found


def quarrels(state: State) -> Array | None:
    """Who quarrels with whom in this tick: bool[A, A], either way round; None where queues keep no account of it."""
    slot = state.slots.get("queues")
    if slot is None or slot.conflict is None:
        return None
    between = pairs(slot.conflict, slot.conflict != NOBODY)
    return between | between.T


def arguments(state: State) -> dict[str, Array]:
    """Who hears whom argue in public."""
    return {"argument": whole(state.slots["arguments"].witness)}


def meals(world: World, state: State) -> dict[str, Array]:
    """Who ends a meal while another eats, or ends one too, within `TABLE` cells."""
    slot, meal = state.slots["affordances"], world.params["relationships"].meal
    ends = slot.completed & meal[slot.offer]
    ends, eats = blocks.once((ends, ends | ((slot.remaining > 0) & meal[slot.offer])))
    rows, cols = ties.apart(state.agents.cell, world.static.width)
    others = ~jnp.eye(world.static.num_agents, dtype=bool)
    return {"shared_meal": whole(ends[:, None] & eats[None, :] & (jnp.maximum(rows, cols) <= TABLE) & others)}


def work(world: World, state: State) -> dict[str, Array]:
    """Who comes late or stays away, with each colleague of the same job who is on shift."""
    event, colleague = state.slots["employment"].event[:, None], employment.coworkers(world, state)
    return {
        "helped": whole(colleague & (event == BECAME_LATE)),
        "took_shift": whole(colleague & (event >= BECAME_ABSENT)),
    }


def occasions(world: World, state: State, blocked: Array) -> dict[str, Array]:
    """All that the mechanics of the world report: event -> i16[A, A] parts of SHARE, zero where somebody is not alive.

    Args:
        world: the world.
        state: one town, late in the tick.
        blocked: bool[A] who has waited too long for the one ahead, in this tick.
    """
    has, alive, found = world.static.has, state.agents.alive, {}
    if has("chat"):
        found |= chats(state)
    if has("queues"):
        found |= queues(world, state, blocked)
    if has("arguments"):
        found |= arguments(state)
    if has("affordances"):
        found |= meals(world, state)
    if has("employment"):
        found |= work(world, state)
    living = alive[:, None] & alive[None, :] & ~jnp.eye(alive.shape[0], dtype=bool)
    living, found = blocks.once((living, found))
    both = {event: jnp.maximum(amount, amount.T) if event in EVENTS else amount for event, amount in found.items()}
    return {event: jnp.where(living, amount, jnp.int16(0)) for event, amount in both.items()}


def waiting(world: World, state: State, behind: Array) -> tuple[Array, Array]:
    """How long each has stood behind who uses a facility, and who has had enough of it in this tick.

    Args:
        world: the world.
        state: one town.
        behind: i8[A] ticks in a row, before this one.

    Returns:
        i8[A], at most MOST_TICKS, and bool[A].
    """
    if not (world.static.has("queues") and world.static.has("affordances")):
        return behind, jnp.zeros(behind.shape, bool)
    queue, runs = state.slots["queues"], state.slots["affordances"].remaining > 0
    used = (queue.facility[:, None] == queue.facility[None, :]) & (runs & (queue.place == 0))[None, :]
    waits = state.agents.alive & (queue.place > 0) & used.any(-1)
    longer = jnp.where(waits, jnp.minimum(behind + jnp.int8(1), jnp.int8(MOST_TICKS)), jnp.int8(0))
    return longer, blocked(world, longer)


def blocked(world: World, behind: Array) -> Array:
    """Who has had enough, once in each wait, at i8[A] ticks in a row behind who uses a facility: bool[A]."""
    return behind == world.params["relationships"].blocked_after


def turns_away(world: World, state: State, avoids: Array, wanted: Array) -> tuple[Array, Array]:
    """Who keeps away from somebody in this tick: a talk that one thought better of, or a facility given up to a rival.

    Args:
        world: the world.
        state: one town.
        avoids: bool[A, A] whom each avoids.
        wanted: i16[A] the facility that each wanted in the last tick and had not used, NOTHING if none.

    Returns:
        bool[A], and the new `wanted`.
    """
    turned = jnp.zeros(wanted.shape, bool)
    if world.static.has("queues") and world.static.has("affordances"):
        there = wanted[:, None] == state.slots["queues"].facility[None, :]
        turned = (wanted != NOTHING) & (state.intent.facility != wanted) & (avoids & there).any(-1)
        undone = state.agents.alive & ~state.slots["affordances"].finished
        wanted = jnp.where(undone, state.intent.facility, jnp.int16(NOTHING))
    if world.static.has("chat"):
        turned = turned | (state.slots["chat"].outcome == AVOIDED)
    return turned, wanted
