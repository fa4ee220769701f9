"""Fairness of queues: how long one may hold, who is refused for a while, who is next, and who quarrels about it.

A reservation ends after `max_hold` ticks. Who held it without using it while others waited, and who has used it while others
waited, may not queue there again for `cooldown_ticks`. When it falls free, the one of least place - age_weight * ticks waited is
next, unless the last user favours somebody by their ties and nobody before that one has waited for `max_hold` ticks. Who is kept
waiting, or ends a reservation, quarrels with the holder. `rage` lets those storm off who have had enough (`systems.storms`).

Part of the system `queues`, whose slot holds all of it.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import blocks, fixed, masks, turns
from ..types import NOBODY, NOTHING, Array, Section, State, World
from . import personality, relationships, storms

COUNTERS = ("cooldowns", "rotations", "timeouts")
LONGEST = 600  # ticks of a cooldown, at most
BLOCKED, IMPATIENT = fixed.to_share(1.5), fixed.to_share(0.4)  # the least intensity of a quarrel (specification §6)


class Config(Section):
    """What keeps queues fair."""

    max_hold: int | None = Field(
        None, ge=2, le=2000, description="ticks for which one may hold, use included; null is twice the longest offer"
    )
    cooldown_ticks: int = Field(
        60,
        ge=0,
        le=LONGEST,
        description="ticks for which one who used it, or blocked it, while others waited is refused",
    )
    age_weight: float = Field(0.1, ge=0, le=1, description="places in the queue that a tick of waiting counts for")
    impatient_after: int = Field(30, ge=1, le=1000, description="ticks behind one holder after which the two quarrel")
    rage: storms.Config | None = Field(None, description="who waits too long storms off; null is nobody")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    max_hold: Array  # i16[] ticks, 0 if it follows from the offers
    cooldown: Array  # i16[] ticks
    age_weight: Array  # i32[] places a tick, parts of fixed.SHARE
    impatient_after: Array  # i16[] ticks
    rage: storms.Params | None = None


class Record(struct.PyTreeNode):
    """What is remembered."""

    held: Array  # i16[A] ticks for which one has held the reservation, this one included, 0 without one
    waited: Array  # i16[A] ticks waited without a turn, at most turns.MAX_WAITED; falls while one is not in that queue
    waited_for: Array  # i16[A] the facility for which one waited, NOTHING if for none
    behind: Array  # i16[A] ticks behind the same holder since the last quarrel
    cooldown: Array  # i16[A, F] ticks for which one is refused
    refused: Array  # i16[A] the facility at which one is refused in this tick, NOTHING if at none
    counts: Array  # i32[COUNTERS] since the start
    now: Array  # i8[COUNTERS] in this tick
    rage: storms.Record | None = None


def build(config: Config | None) -> Params | None:
    """YAML to arrays."""
    return config and Params(
        max_hold=jnp.int16(config.max_hold or 0),
        cooldown=jnp.int16(config.cooldown_ticks),
        age_weight=jnp.int32(fixed.to_share(config.age_weight)),
        impatient_after=jnp.int16(config.impatient_after),
        rage=storms.build(config.rage),
    )


def init(world: World) -> dict[str, Any]:
    """The entries of the slot of `queues` before anything has happened."""
    A, F = world.static.num_agents, world.static.num_facilities
    zeros, nothing = jnp.zeros(A, jnp.int16), jnp.full(A, NOTHING, jnp.int16)
    counts = jnp.zeros(len(COUNTERS), jnp.int32)
    cooldowns = jnp.zeros((A, F), jnp.int16)
    fair = Record(zeros, zeros, nothing, zeros, cooldowns, nothing, counts, counts.astype(jnp.int8), storms.init(world))
    return {"conflict": nothing, "intensity": zeros, "handover": nothing, "fair": fair}


def limit(world: World) -> Array:
    """Ticks for which one may hold a reservation: i16[], by default so many that who begins in time can end."""
    params = world.params["queues"]
    longest = world.params["affordances"].ticks.max()
    by_offers = longest + jnp.maximum(longest, params.start_within.astype(jnp.int16))
    return jnp.where(params.fairness.max_hold > 0, params.fairness.max_hold, by_offers)


def cooldown(state: State, facility: Array) -> Array:
    """Ticks for which agents are refused at facilities i16[A] or i16[A, O]: i16 of that shape; 0 at NOTHING."""
    return at(state.slots["queues"].fair.cooldown, facility)


def at(table: Array, facility: Array) -> Array:
    """The entries of a table [A, F] for each agent's facilities [A] or [A, O]; 0 at NOTHING."""
    column = jnp.where(facility == NOTHING, jnp.int16(0), facility).astype(jnp.int32)
    found = jnp.take_along_axis(table, column.reshape(column.shape[0], -1), axis=1, mode="promise_in_bounds").reshape(
        facility.shape
    )
    return jnp.where(facility == NOTHING, jnp.zeros((), table.dtype), found)


class Past(NamedTuple):
    """What the last tick hands on."""

    had: Array  # bool[A] who held a reservation
    late: Array  # bool[A] whose reservation has come to its end without being given up
    rivals: Array  # bool[A, A] row: who stood somewhere, column: another who wants to stand there now
    left: Array  # i16[A, F] cooldowns, with those that begin now


def review(world: World, state: State, wants: Array, stays: Array, dawdles: Array) -> Past:
    """Which reservations end, and who is refused from now on; the arguments are those of `settle`."""
    params, slot, facility = world.params["queues"].fairness, state.slots["queues"], state.intent.facility
    doing, others = state.slots["affordances"], ~jnp.eye(world.static.num_agents, dtype=bool)
    had = (slot.place == 0) & (slot.facility != NOTHING)
    late = dawdles | (stays & had & (slot.fair.held >= limit(world)))
    left = jnp.maximum(slot.fair.cooldown - jnp.int16(1), jnp.int16(0))
    comes, facility = blocks.once((wants & (at(left, facility) == 0), facility))
    rivals = (slot.facility[:, None] == facility[None, :]) & comes[None, :] & others
    bars = rivals.any(-1) & ((late & (doing.remaining == 0)) | (had & doing.completed))
    there = slot.facility[:, None] == jnp.arange(world.static.num_facilities, dtype=jnp.int16)
    left = jnp.where(there & bars[:, None], params.cooldown, left)
    return Past(had, late, rivals, jnp.where(state.agents.alive[:, None], left, jnp.int16(0)))


def settle(
    world: World, state: State, wants: Array, stays: Array, dawdles: Array
) -> tuple[Array, Array, Array, dict[str, Any]]:
    """Who stands in which queue and at which place.

    Args:
        world: the world.
        state: one town.
        wants: bool[A] who is near the facility that it wants.
        stays: bool[A] those of them who stood in its queue before.
        dawdles: bool[A] those of them who have not begun in time.

    Returns:
        who waits and who was sent to the tail bool[A], the places i8[A], and the other entries of the slot by name.
    """
    slot, facility = state.slots["queues"], state.intent.facility
    past = review(world, state, wants, stays, dawdles)
    waits = wants & (at(past.left, facility) == 0)
    stays, tail = stays & waits, past.late & waits
    keeps = stays & past.had & ~past.late
    waited = jnp.where(slot.fair.waited_for == facility, slot.fair.waited, jnp.int16(0))
    done = past.had & state.slots["affordances"].completed & state.agents.alive
    serves = done[:, None] & past.rivals & (stays & (slot.place > 0))[None, :]

    arrival = turns.arrive(facility, waits, stays, tail, slot.place, personality.arrival_order(world, state))
    order = blocks.once(turns.age_order(arrival, waited, world.params["queues"].fairness.age_weight))
    favoured = favourites(world, state, serves) & ~overtakes(world, facility, waits & ~keeps, order, waited)
    place = turns.take_turns(facility, waits, keeps, arrival, jnp.where(favoured, jnp.iinfo(jnp.int32).min, order))

    takes = waits & (place == 0) & ~keeps
    rotates = (waits & past.had & (slot.facility == facility) & (place > 0)) | (favoured & (arrival > 0))
    passes = serves & takes[None, :]
    quarrels, behind = quarrel(world, past, slot.fair.behind, keeps, takes, stays & (place > 0), place)
    memory = remember(state, waits, keeps, place, waited)
    refused = jnp.where(wants & ~waits, facility, jnp.int16(NOTHING))
    asks = (refused != NOTHING) & (refused != slot.fair.refused)
    now = masks.count(jnp.stack([asks, rotates, past.late]))
    counts = slot.fair.counts + now.astype(jnp.int32)
    record = {
        **quarrels,
        "handover": jnp.where(passes.any(0), passes.argmax(0).astype(jnp.int16), jnp.int16(NOBODY)),
        "fair": Record(**memory, behind=behind, cooldown=past.left, refused=refused, counts=counts, now=now),
    }
    if world.params["queues"].fairness.rage is not None:
        waits, place, record = storms.leave(world, state, stays, waits, place, record)
    return waits, tail, place, record


def favourites(world: World, state: State, serves: Array) -> Array:
    """Whom the last user bool[A, A] (row: the user, column: who waits) lets in by its ties: bool[A]."""
    if not world.static.has("relationships"):
        return jnp.zeros(serves.shape[0], bool)
    return turns.favourites(serves, relationships.affinity(world, state), state.slots["queues"].place - jnp.int8(1))


def overtakes(world: World, facility: Array, queues: Array, order: Array, waited: Array) -> Array:
    """Who would be let in before somebody who has waited for as long as one may hold: bool[A], so that no wait is endless.

    Args:
        world: the world.
        facility: i16[A] what each wants.
        queues: bool[A] who waits there for a turn.
        order: i32[A] the least is next.
        waited: i16[A] ticks.
    """
    before = (facility[:, None] == facility[None, :]) & (order[None, :] < order[:, None])
    return (before & blocks.once(queues & (waited >= limit(world)))[None, :]).any(-1)


def quarrel(
    world: World, past: Past, behind: Array, keeps: Array, takes: Array, queues: Array, place: Array
) -> tuple[dict[str, Array], Array]:
    """Conflicts of this tick: with who was late, and with who has been long.

    Args:
        world: the world.
        past: what the last tick hands on.
        behind: i16[A] ticks behind the same holder so far.
        keeps: bool[A] who goes on holding.
        takes: bool[A] who holds from now on.
        queues: bool[A] who stood in a queue before, and waits behind somebody.
        place: i8[A] in the queue.

    Returns:
        the entries `conflict` and `intensity` of the slot, and the new `behind`.
    """
    blocked = past.late[:, None] & past.rivals & takes[None, :]
    follows = keeps[:, None] & past.rivals & queues[None, :]
    behind = jnp.where(follows.any(0), behind + jnp.int16(1), jnp.int16(0))
    bursts = behind >= world.params["queues"].fairness.impatient_after
    length = masks.count(past.rivals)[:, None]
    heat = jnp.where(follows & bursts[None, :], turns.intensity(jnp.int16(IMPATIENT), length), jnp.int16(0))
    heat = jnp.where(blocked, turns.intensity(jnp.int16(BLOCKED), length), heat)  # row: who holds or held
    some, partner, intensity = turns.partners(heat, place)
    conflict = jnp.where(some, partner, jnp.int16(NOBODY))
    return {"conflict": conflict, "intensity": intensity}, jnp.where(bursts, jnp.int16(0), behind)


def remember(state: State, waits: Array, keeps: Array, place: Array, waited: Array) -> dict[str, Array]:
    """How long one has held or waited, as entries of the record.

    A turn spends what one has waited. It fades tick by tick while one is not in that queue, and another queue replaces it.
    """
    fair, facility, alive = state.slots["queues"].fair, state.intent.facility, state.agents.alive
    one, none = jnp.int16(1), jnp.int16(0)
    holds, queues = waits & (place == 0), waits & (place > 0)
    stood = state.slots["queues"].facility == facility
    longer = jnp.where(stood, jnp.minimum(waited + one, jnp.int16(turns.MAX_WAITED)), waited)
    faded = jnp.where(alive & ~holds, jnp.maximum(fair.waited - one, none), none)
    ticks = jnp.where(queues, longer, faded)
    return {
        "held": jnp.where(holds, jnp.where(keeps, fair.held, none) + one, none),
        "waited": ticks,
        "waited_for": jnp.where(queues, facility, jnp.where(ticks > 0, fair.waited_for, jnp.int16(NOTHING))),
    }


def metrics(state: State) -> dict[str, Array]:
    """What was counted in this tick, agents who quarrel, and handovers."""
    slot = state.slots["queues"]
    found = {f"queues/{name}": slot.fair.now[i] for i, name in enumerate(COUNTERS)}
    found |= {
        "queues/quarrels": masks.count(slot.conflict != NOBODY),
        "queues/handovers": masks.count(slot.handover != NOBODY),
    }
    found = {name: number.astype(jnp.float32) for name, number in found.items()}
    return found if slot.fair.rage is None else found | storms.metrics(state)
