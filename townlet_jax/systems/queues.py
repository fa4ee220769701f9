"""Queues: who is next at each facility.

Whoever is near a facility and wants it stands in its queue; the place is the order of arrival, and one random priority settles
arrivals in the same tick. Place 0 holds the reservation. An agent is in one queue at most, by construction. A holder who does not
begin within `start_within` ticks goes to the tail, as does who is done and wants the same again; who walks off, dies or wants
something else loses the place.

reads  intent, agents, slots.affordances
writes slots.queues
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction
from ..types import NOTHING, Array, Key, Section, State, System, World


class Config(Section):
    """How a queue is joined and left."""

    places: int = Field(
        3, ge=1, le=8, description="cells on which people stand for a facility: its user, then who waits"
    )
    reach: int = Field(6, ge=1, le=30, description="steps from the facility within which one can stand in its queue")
    start_within: int = Field(10, ge=1, le=100, description="ticks in which a holder must begin, or go to the tail")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    reach: Array  # i16[] steps
    start_within: Array  # i8[] ticks


class Slot(struct.PyTreeNode):
    """Where each agent queues."""

    facility: Array  # i16[A] NOTHING if in no queue
    place: Array  # i8[A] 0 holds the reservation
    idle: Array  # i8[A] ticks held without using it, at most 100


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.int16(config.reach), jnp.int8(config.start_within))


def init(world: World, key: Key) -> Slot:
    """All queues are empty."""
    A = world.static.num_agents
    return Slot(jnp.full(A, NOTHING, jnp.int16), jnp.zeros(A, jnp.int8), jnp.zeros(A, jnp.int8))


def step(world: World, state: State, key: Key) -> State:
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
    A = jnp.int16(static.num_agents)
    order = jnp.where(stays, slot.place.astype(jnp.int16), A + state.intent.priority.astype(jnp.int16))
    place = auction.line_up(facility, waits, jnp.where(tail, order + A + A, order))

    idles = stays & (place == 0) & (slot.place == 0) & ~runs & ~tail
    idle = jnp.where(idles, jnp.minimum(slot.idle + 1, 100), 0).astype(jnp.int8)
    return state.put(queues=Slot(jnp.where(waits, facility, jnp.int16(NOTHING)), place, idle))


def load(world: World, state: State) -> Array:
    """How many stand in the queue of each facility, its user included: i8[F]."""
    facility = state.slots["queues"].facility
    return jnp.zeros(world.static.num_facilities, jnp.int8).at[facility].add(jnp.int8(1), mode="drop")


def metrics(world: World, state: State):
    """Share of all agents who wait behind somebody."""
    return {"queues/waiting": (state.slots["queues"].place > 0).astype(jnp.float32).mean()}


SYSTEM = System(
    "queues", step, Config, build, init, metrics=metrics, writes=("slots.queues",), requires=("intents", "affordances")
)
