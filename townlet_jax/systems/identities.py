"""Identities: a number for each person that a network can look up, kept out of use for a while after the person has left.

Identities stand in one line. A birth takes the first of the line; an exit puts the identity of who left at its end. So those that
were never used go first, the lowest first, and then the one that has been free for longest. If even that one has not been free for
the whole cooldown, the reuse is forced, and counted. It comes after lifecycle: who leaves frees the identity in the same tick.

reads  tick, agents.alive, agents.generation
writes slots.identities
"""

from typing import Any

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, fixed, masks
from ..types import NOBODY, Array, Feature, Key, Section, State, System, World


class Config(Section):
    """How many identities there are, and how long they rest."""

    max_slots: int = Field(64, ge=1, le=256, description="identities; as many as agents at least")
    cooldown_ticks: int = Field(2880, ge=0, le=1_000_000, description="ticks that an identity rests after an exit")
    warning_share: float = Field(
        0.05, ge=0, le=0.5, description="share of births by forced reuse that calls for a warning"
    )


class Params(struct.PyTreeNode):
    """The same as arrays."""

    cooldown: Array  # i32[] ticks
    warning: Array  # i32[] parts of fixed.CHANCE
    line: Array  # i32[S] 0 to S - 1; its length is the number of identities


class Slot(struct.PyTreeNode):
    """Who is who."""

    identity: Array  # i16[A] 0 to S - 1, NOBODY for the dead
    seen: Array  # i16[A] generation of the person whose identity this is
    turn: Array  # i32[S] how many births come before the one that takes it; below `allocated` while it is in use
    released: Array  # i32[S] tick at which it became free; of those in use and never used it means nothing
    allocated: Array  # i32[] births so far
    forced: Array  # i32[] of these by forced reuse


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        cooldown=jnp.int32(config.cooldown_ticks),
        warning=jnp.int32(fixed.to_chance(config.warning_share)),
        line=jnp.arange(config.max_slots, dtype=jnp.int32),
    )


def init(world: World, key: Key) -> Slot:
    """The first residents have the first identities; a slot that begins empty has none."""
    A, line = world.static.num_agents, world.params["identities"].line
    there, index = world.params["start"].joins == 0, jnp.arange(A, dtype=jnp.int8)
    first = auction.rank(there, index).astype(jnp.int16)
    identity = jnp.where(there, first, jnp.int16(NOBODY))
    return Slot(identity, jnp.zeros(A, jnp.int16), line, jnp.zeros_like(line), masks.total(there), jnp.int32(0))


def release(world: World, state: State) -> Slot:
    """Who is not alive has no identity; what was theirs goes to the end of the line, in order of their slots."""
    line, slot = world.params["identities"].line, state.slots["identities"]
    index = jnp.arange(world.static.num_agents, dtype=jnp.int8)
    has = slot.identity != NOBODY
    leaves = has & ~state.agents.alive
    length = line.shape[0] - has.sum(dtype=jnp.int32)  # of the line, before anybody leaves
    before = auction.rank(leaves, index).astype(jnp.int32)
    theirs = (slot.identity.astype(jnp.int32)[:, None] == line) & leaves[:, None]  # [A, S]
    turn = jnp.where(theirs, (slot.allocated + length + before)[:, None], 0).sum(0, dtype=jnp.int32)
    freed = theirs.any(0)
    return slot.replace(
        identity=jnp.where(leaves, jnp.int16(NOBODY), slot.identity),
        turn=jnp.where(freed, turn, slot.turn),
        released=jnp.where(freed, state.tick, slot.released),
    )


def step(world: World, state: State, bits: Array) -> State:
    """Those who left give their identities back, then newcomers take theirs, in order of their slots."""
    params, slot, agents = world.params["identities"], release(world, state), state.agents
    comes = agents.alive & (agents.generation != slot.seen)
    index = jnp.arange(world.static.num_agents, dtype=jnp.int8)
    before = auction.rank(comes, index).astype(jnp.int32)
    takes = (slot.turn == (slot.allocated + before)[:, None]) & comes[:, None]  # [A, S] one a row
    identity = jnp.where(takes, params.line, 0).sum(-1, dtype=jnp.int32).astype(jnp.int16)
    used = slot.turn >= params.line.shape[0]  # the first line has the turns 0 to S - 1
    forced = (takes & used & (state.tick - slot.released < params.cooldown)).any(-1)
    slot = slot.replace(
        identity=jnp.where(comes, identity, slot.identity),
        seen=jnp.where(comes, agents.generation, slot.seen),
        allocated=slot.allocated + masks.total(comes),
        forced=slot.forced + masks.total(forced),
    )
    return state.put(identities=slot)


def identity(world: World, state: State) -> Array:
    """The row of each agent in a table of S + 1 learned vectors: i32[A], the last row for who is not alive."""
    last = world.params["identities"].line.shape[0]
    return jnp.minimum(state.slots["identities"].identity.astype(jnp.int32), last)


def warns(world: World, state: State) -> Array:
    """Whether more than the warning share of all births so far was by forced reuse: bool[]."""
    slot = state.slots["identities"]
    share = slot.forced.astype(jnp.float32) / jnp.maximum(slot.allocated, 1).astype(jnp.float32)
    return share > fixed.to_float(world.params["identities"].warning, fixed.CHANCE)


def metrics(world: World, state: State):
    """Births and forced reuses so far, and whether these are too many."""
    slot = state.slots["identities"]
    return {
        "identities/allocated": slot.allocated.astype(jnp.float32),
        "identities/forced": slot.forced.astype(jnp.float32),
        "identities/warning": warns(world, state).astype(jnp.float32),
    }


def rules(world: World, state: State):
    """The living have an identity each and the dead none; the line has no gap; counters fit together."""
    slot, alive, last = state.slots["identities"], state.agents.alive, world.params["identities"].line.shape[0]
    same = (slot.identity[:, None] == slot.identity[None, :]) & ~jnp.eye(world.static.num_agents, dtype=bool)
    exists = (slot.identity >= 0) & (slot.identity < last)
    free = slot.turn >= slot.allocated
    in_line = (slot.turn[:, None] - slot.allocated == world.params["identities"].line) & free[:, None]  # [S, S]
    length = last - alive.sum(dtype=jnp.int32)
    births = masks.total(world.params["start"].joins == 0) + masks.total(state.agents.generation)
    return {
        "the living have an identity": (~alive | exists).all(),
        "the dead have no identity": (alive | (slot.identity == NOBODY)).all(),
        "identities are unique": (~(same & alive[:, None] & alive[None, :])).all(),
        "those in line are free": free.sum(dtype=jnp.int32) == length,
        "the line has no gap": (in_line.any(0) == (world.params["identities"].line < length)).all(),
        "every birth has an identity": slot.allocated == births,
        "forced reuses in bounds": (slot.forced >= 0) & (slot.forced <= jnp.maximum(slot.allocated - last, 0)),
        "released in the past": (slot.released <= state.tick).all(),
    }


def check(config: Any) -> list[tuple[str, str]]:
    """Everybody must find an identity."""
    slots, agents = config.systems.identities.max_slots, config.num_agents
    if slots >= agents:
        return []
    return [("systems.identities.max_slots", f"{slots} is less than {agents} agents (allowed: num_agents to 256)")]


SYSTEM = System(
    "identities",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.identities",),
    fields=lambda world: [Feature("embedding_slot_norm", 1, "identity / identities", 0, 1)],
    features=lambda world, state: [
        fixed.to_float(identity(world, state), world.params["identities"].line.shape[0]),
    ],
    rules=rules,
    check=check,
)
