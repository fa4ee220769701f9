"""Queues: who is next at each facility.

Whoever is near a facility and wants it stands in its queue; the place is the order of arrival, and one random priority settles
arrivals in the same tick. Place 0 holds the reservation. An agent is in one queue at most, by construction. A holder who does not
begin within `start_within` ticks goes to the tail, as does who is done and wants the same again; who walks off, dies or wants
something else loses the place. `fairness` adds the rules of `systems.fairness`.

reads  intent, agents, slots.affordances, slots.relationships, slots.personality
writes slots.queues
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import blocks, fixed, turns
from ..types import NOBODY, NOTHING, Array, Feature, Key, Section, State, System, World
from . import fairness, personality, storms
from .intents import home_row

Fairness = fairness.Config


class Config(Section):
    """How a queue is joined and left."""

    places: int = Field(
        3, ge=1, le=8, description="cells on which people stand for a facility: its user, then who waits"
    )
    reach: int = Field(6, ge=1, le=30, description="steps from the facility within which one can stand in its queue")
    start_within: int = Field(10, ge=1, le=100, description="ticks in which a holder must begin, or go to the tail")
    fairness: Fairness | None = Field(None, description="cooldowns, longest reservations, quarrels; null is none")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    reach: Array  # i16[] steps
    start_within: Array  # i8[] ticks
    fairness: fairness.Params | None


class Slot(struct.PyTreeNode):
    """Where each agent queues."""

    facility: Array  # i16[A] NOTHING if in no queue
    place: Array  # i8[A] 0 holds the reservation
    idle: Array  # i8[A] ticks held without using it, at most 100
    conflict: Array | None = None  # i16[A] with whom one quarrels in this tick, NOBODY if with nobody
    intensity: Array | None = None  # i16[A] how much, parts of fixed.SHARE, 102 to 5120; 0 without a quarrel
    handover: Array | None = None  # i16[A] who was done and left it to this agent in this tick, NOBODY if nobody
    fair: fairness.Record | None = None


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.int16(config.reach), jnp.int8(config.start_within), fairness.build(config.fairness))


def init(world: World, key: Key) -> Slot:
    """All queues are empty."""
    A = world.static.num_agents
    slot = Slot(jnp.full(A, NOTHING, jnp.int16), jnp.zeros(A, jnp.int8), jnp.zeros(A, jnp.int8))
    return slot if world.params["queues"].fairness is None else slot.replace(**fairness.init(world))


def step(world: World, state: State, bits: Array) -> State:
    """Let people join and leave, then line them up."""
    static, params, slot = world.static, world.params["queues"], state.slots["queues"]
    agents, facility = state.agents, state.intent.facility
    somewhere = facility != NOTHING
    target = jnp.where(somewhere, facility, jnp.int16(0)).astype(jnp.int32) * static.num_places
    near = world.map.distance[agents.cell, target] <= params.reach
    waits = agents.alive & somewhere & near

    doing = state.slots["affordances"]
    runs = doing.remaining > 0
    stays = waits & (slot.facility == facility) & ~doing.finished
    tail = stays & (slot.idle >= params.start_within) & ~runs
    if params.fairness is None:
        place = turns.arrive(facility, waits, stays, tail, slot.place, personality.arrival_order(world, state))
        record = {}
    else:
        waits, tail, place, record = fairness.settle(world, state, waits, stays, tail)

    idles = stays & waits & (place == 0) & (slot.place == 0) & ~runs & ~tail
    idle = jnp.where(idles, jnp.minimum(slot.idle + 1, 100), 0).astype(jnp.int8)
    slot = slot.replace(facility=jnp.where(waits, facility, jnp.int16(NOTHING)), place=place, idle=idle, **record)
    return state.put(queues=slot)


def load(world: World, state: State) -> Array:
    """How many stand in the queue of each facility, its user included: i8[F]."""
    facility = state.slots["queues"].facility
    return jnp.zeros(world.static.num_facilities, jnp.int8).at[facility].add(jnp.int8(1), mode="drop")


def admits(world: World, state: State, facility: Array) -> Array:
    """Whether agents may stand in the queues of facilities i16[A] or i16[A, O] in the next tick: bool of that shape."""
    if world.params["queues"].fairness is None:
        return jnp.ones(facility.shape, bool)
    return fairness.cooldown(state, facility) <= 1


def metrics(world: World, state: State):
    """Share of all agents who wait behind somebody; with fairness, what it counted in this tick."""
    waiting = {"queues/waiting": (state.slots["queues"].place > 0).astype(jnp.float32).mean()}
    return waiting if world.params["queues"].fairness is None else {**waiting, **fairness.metrics(state)}


def rules(world: World, state: State):
    """No reservation outlasts its limit, who is refused stands nowhere, and nothing is left of the dead."""
    if world.params["queues"].fairness is None:
        return {}
    slot, gone = state.slots["queues"], ~state.agents.alive & ~state.terminated
    fair, waits = slot.fair, slot.facility != NOTHING
    holds = waits & (slot.place == 0)
    clean = (slot.conflict == NOBODY) & (slot.handover == NOBODY) & (fair.waited == 0) & (fair.refused == NOTHING)
    partner = (slot.conflict == NOBODY) | ((slot.conflict >= 0) & (slot.conflict < world.static.num_agents))
    more = {} if fair.rage is None else storms.rules(world, state)
    return {
        **more,
        "no reservation beyond its limit": (fair.held <= fairness.limit(world)).all(),
        "held by holders only": ((fair.held > 0) == holds).all(),
        "the refused do not queue": (~waits | (fairness.cooldown(state, slot.facility) == 0)).all(),
        "cooldowns in bounds": ((fair.cooldown >= 0) & (fair.cooldown <= fairness.LONGEST)).all(),
        "waiting in bounds": ((fair.waited >= 0) & (fair.waited <= turns.MAX_WAITED) & (fair.behind >= 0)).all(),
        "queue counters not negative": ((fair.counts >= fair.now.astype(jnp.int32)) & (fair.now >= 0)).all(),
        "quarrels have a partner": (partner & ((slot.intensity > 0) == (slot.conflict != NOBODY))).all(),
        "the dead neither wait nor quarrel": (~gone | (clean & (fair.cooldown == 0).all(-1))).all(),
    }


def fields(world: World) -> list[Feature]:
    """Where one is refused, and how angry one is."""
    offers, fair = world.static.names.offers, world.params["queues"].fairness
    refused = Feature("cooldown", len(offers), "ticks until one may queue there again / 60, at most 1", 0, 1, offers)
    unit = "the larger of ticks waited / patience and times overtaken / limit, at most 1"
    angry = [] if fair is None or fair.rage is None else [Feature("anger", 1, unit, 0, 1)]
    return [] if fair is None else [refused, *angry]


def features(world: World, state: State) -> list[Array]:
    """Where one is refused, and how angry one is."""
    fair = world.params["queues"].fairness
    if fair is None:
        return []
    ticks = blocks.once(fairness.cooldown(state, world.map.route[home_row(world, state)]))
    angry = [] if fair.rage is None else [storms.anger(world, state)]
    return [jnp.minimum(ticks.astype(jnp.float32) * jnp.float32(1.0 / 60.0), 1.0), *angry]


def check(config) -> list[tuple[str, str]]:
    """A reservation must last for every offer, begun as late as one may: else nobody would ever be served. No number vanishes."""
    section, systems = config.systems.queues.fairness, config.systems
    start = systems.queues.start_within
    offers = systems.affordances.offers if systems.affordances else ()
    if section is None:
        return []
    wrong = []
    if section.rage is not None and section.rage.rivalry > 0 and fixed.to_tie(section.rage.rivalry) == 0:
        text = f"{section.rage.rivalry} is less than the town can count (2**-15)"
        wrong.append(("systems.queues.fairness.rage.rivalry", text))
    return wrong + [
        (
            "systems.queues.fairness.max_hold",
            f"{section.max_hold} ticks are not enough for {offer.name!r}, which takes {offer.ticks} and may begin"
            f" {start} ticks late (allowed: {offer.ticks + start} and more)",
        )
        for offer in offers
        if section.max_hold is not None and section.max_hold < offer.ticks + start
    ]


SYSTEM = System(
    "queues",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.queues",),
    requires=("intents", "affordances"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
