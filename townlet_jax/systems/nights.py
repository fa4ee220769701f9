"""Nights: at one tick of the day everybody wakes up at home, rested and with a clean slate (specification §3, nightly reset).

Meant for first lessons and small tests: people are moved without walking. Who is in the middle of something stays where it is, and
so does who finds somebody at home; all get their needs back and begin their shifts anew. A queue closes up behind who leaves it.

reads  tick, agents, intent.priority, slots.affordances
writes agents.cell, agents.needs, slots.intents, slots.queues, slots.movement, slots.employment, slots.nights
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, fixed
from ..types import NOTHING, Array, Key, Section, State, System, World
from . import employment


class Config(Section):
    """When the town is put to bed."""

    at: int = Field(0, ge=0, description="tick of the day")
    needs: float = Field(0.5, ge=0, le=1, description="share that every need has afterwards, at least")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    at: Array  # i32[]
    needs: Array  # i32[] parts of fixed.NEED


class Slot(struct.PyTreeNode):
    """Who was put to bed."""

    moved: Array  # bool[A] was moved home in this tick


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.int32(config.at), jnp.int32(fixed.to_need(config.needs)))


def init(world: World, key: Key) -> Slot:
    """Nobody has been moved."""
    return Slot(jnp.zeros(world.static.num_agents, bool))


def is_night(world: World, state: State) -> Array:
    """Whether people are put to bed in this tick: bool[]."""
    return state.tick % world.static.ticks_per_day == world.params["nights"].at


def sent_home(world: World, state: State) -> tuple[Array, Array]:
    """Who is moved home bool[A], and the cell of each home u16[A]: whoever is free, and nobody stands there; one a home."""
    agents, busy = state.agents, state.slots["affordances"].remaining > 0
    home = world.map.home_cell[world.map.agent_home]
    taken = ((home[:, None] == agents.cell[None, :]) & agents.alive[None, :]).any(-1)
    index = jnp.arange(world.static.num_agents, dtype=jnp.int16)
    order = state.intent.priority.astype(jnp.int16) * world.static.num_agents + index
    return auction.first(home, agents.alive & is_night(world, state) & ~busy & ~taken, order), home


def leave_queues(world: World, state: State, leaves: Array) -> State:
    """Some, bool[A], want nothing any more and leave their queues; the others close up."""
    intents, queues = state.slots["intents"], state.slots["queues"]
    nowhere, zero, none = jnp.int16(NOTHING), jnp.int8(0), jnp.int8(world.static.actions.num_options)
    facility = jnp.where(leaves, nowhere, queues.facility)
    place = auction.line_up(facility, facility != NOTHING, queues.place)
    fair = queues.fair
    if fair is not None:  # who moves up holds it from this tick on
        holds = (facility != NOTHING) & (place == 0)
        fair = fair.replace(held=jnp.where(holds, jnp.maximum(fair.held, jnp.int16(1)), jnp.int16(0)))
    return state.put(
        queues=queues.replace(facility=facility, place=place, idle=jnp.where(leaves, zero, queues.idle), fair=fair),
        intents=intents.replace(
            option=jnp.where(leaves, none, intents.option),
            facility=jnp.where(leaves, nowhere, intents.facility),
            commit=jnp.where(leaves, zero, intents.commit),
        ),
    )


def step(world: World, state: State, bits: Array) -> State:
    """At its tick, home, needs and shifts; in every other nothing."""
    agents, resets = state.agents, is_night(world, state) & state.agents.alive
    moved, home = sent_home(world, state)
    needs = jnp.where(resets[:, None], jnp.maximum(agents.needs, world.params["nights"].needs), agents.needs)
    state = leave_queues(world, state, resets & (state.slots["affordances"].remaining == 0))
    state = state.replace(agents=agents.replace(cell=jnp.where(moved, home, agents.cell), needs=needs))
    if world.static.has("movement"):
        walk = state.slots["movement"]
        state = state.put(movement=walk.replace(ghost=walk.ghost & ~moved))
    if world.static.has("employment"):
        work, zero = state.slots["employment"], jnp.int16(0)
        shift = jnp.where(resets, jnp.int8(employment.IDLE), work.shift)
        present, away = jnp.where(resets, zero, work.present), jnp.where(resets, zero, work.away)
        state = state.put(employment=work.replace(shift=shift, present=present, away=away))
    return state.put(nights=Slot(moved))


def metrics(world: World, state: State):
    """Agents moved home in this tick."""
    return {"nights/moved": state.slots["nights"].moved.sum(dtype=jnp.int32).astype(jnp.float32)}


def rules(world: World, state: State):
    """Who was moved home is there; in the tick of the reset nobody's need is below its floor, newcomers apart."""
    home = world.map.home_cell[world.map.agent_home]
    arrived = state.agents.alive & state.slots["nights"].moved
    return {"who was put to bed is at home": (~arrived | (state.agents.cell == home)).all()}


def check(config) -> list[tuple[str, str]]:
    """A reset that no day would see."""
    at, day = config.systems.nights.at, config.ticks_per_day
    return (
        []
        if at < day
        else [("systems.nights.at", f"{at} is not allowed (allowed: 0 to {day - 1}: the ticks of a day)")]
    )


SYSTEM = System(
    "nights",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=(
        "agents.cell",
        "agents.needs",
        "slots.intents",
        "slots.queues",
        "slots.movement",
        "slots.employment",
        "slots.nights",
    ),
    requires=("intents",),
    rules=rules,
    check=check,
)
