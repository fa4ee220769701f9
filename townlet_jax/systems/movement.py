"""Movement: all agents step at once; one winner a cell; two who meet head on pass each other.

A step takes one tick, and after it one rests for what the cell's ground and the weather cost beyond that. Of those who claim one
cell the one with most failed tries goes first; among those with as many, chance decides, and patience where people differ in it.

Nobody enters a cell that somebody stands on, unless after `ghost_after` failed tries in a row: then one slips in (a ghost step),
so that a narrow door never blocks a town for ever. Who shares a cell after a ghost step is flagged until the two part. To rest is
not to fail, nor is to wait for somebody who rests.

reads  intent, agents.alive, agents.cell, slots.weather, slots.personality
writes agents.cell, slots.movement
"""

from typing import Annotated, Literal

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, blocks, fixed
from ..core.grid import GROUNDS
from ..types import Array, Feature, Key, Section, State, System, World
from . import personality, weather
from .intents import MOVE

MOST_COST = 16  # ticks
MOST_TRIES = 100  # that are counted
Cost = Annotated[int, Field(ge=1, le=MOST_COST)]
Walkable = Literal["floor", "door", "road", "grass", "park"]


class Config(Section):
    """How fast and how patient walkers are."""

    ghost_after: int = Field(3, ge=1, le=100, description="failed steps in a row after which one may enter a held cell")
    cost: dict[Walkable, Cost] = Field(
        {}, description="ground -> ticks that a step onto it takes; 1 for grounds not named"
    )


class Params(struct.PyTreeNode):
    """The same as arrays."""

    ghost_after: Array  # i8[]
    cost: Array | None = None  # i8[G] ticks by ground; None if every step takes one


class Slot(struct.PyTreeNode):
    """How the last step went."""

    blocked: Array  # i8[A] failed steps in a row, at most MOST_TRIES
    ghost: Array  # bool[A] shares its cell since a ghost step of its own
    rest: Array | None = None  # i8[A] ticks in which one cannot step yet; None in a world without costs


def build(config, names) -> Params:
    """YAML to arrays."""
    cost = [config.cost.get(ground, 1) for ground in GROUNDS]
    return Params(
        ghost_after=jnp.int8(config.ghost_after),
        cost=jnp.array(cost, jnp.int8) if set(cost) != {1} else None,
    )


def rests(world: World) -> bool:
    """Whether any step takes more than one tick; static."""
    return world.params["movement"].cost is not None or weather.slows(world)


def init(world: World, key: Key) -> Slot:
    """Nobody has tried yet."""
    zeros = jnp.zeros(world.static.num_agents, jnp.int8)
    return Slot(zeros, zeros.astype(bool), zeros if rests(world) else None)


def meets(here: Array, there: Array, alive: Array) -> Array:
    """Whether there[i] is the cell of another living agent j: bool[A, A]."""
    others = ~jnp.eye(here.shape[0], dtype=bool)
    return (there[:, None] == here[None, :]) & alive[None, :] & others


def precedence(world: World, state: State) -> Array:
    """Distinct numbers [A]; of those who claim one cell the least goes."""
    order = personality.arrival_order(world, state).astype(jnp.int16)
    return order - state.slots["movement"].blocked.astype(jnp.int16) * world.static.num_agents


def tire(world: World, state: State, goes: Array) -> Array:
    """Ticks i8[A] in which nobody may step on; `goes` are those who have just stepped onto their cell."""
    params, agents = world.params["movement"], state.agents
    cost = jnp.zeros(world.static.num_agents, jnp.int8)
    if params.cost is not None:
        cost = params.cost[world.map.ground[agents.cell]] - jnp.int8(1)
    if weather.slows(world):
        cost = cost + weather.step_cost(world, state)
    rest = jnp.where(goes, cost, jnp.maximum(state.slots["movement"].rest - jnp.int8(1), jnp.int8(0)))
    return jnp.where(agents.alive, rest, jnp.int8(0))


def step(world: World, state: State, bits: Array) -> State:
    """Settle all steps at once."""
    agents, slot, intent = state.agents, state.slots["movement"], state.intent
    alive, here = agents.alive, agents.cell
    moves = alive & (intent.verb == MOVE)
    if slot.rest is not None:
        moves = moves & (slot.rest == 0)
    there = jnp.where(moves, world.map.neighbour[here, jnp.clip(intent.arg, 0, 3)], here)
    tries = moves & (there != here)

    there, tries = blocks.once((there, tries))
    held, alone = blocks.once((meets(here, there, alive), ~meets(here, here, alive).any(-1)))
    passes = held & held.T & tries[None, :] & tries[:, None] & alone[None, :] & alone[:, None]
    stands = held & ~passes
    stopped = stands.any(-1)
    ghosts = tries & stopped & (slot.blocked >= world.params["movement"].ghost_after)
    goes = ghosts | auction.first(there, tries & ~stopped, precedence(world, state))

    cell = jnp.where(goes, there, here)
    shares = alive & meets(cell, cell, alive).any(-1)
    ghost = shares & (ghosts | (slot.ghost & ~goes))
    failed = jnp.minimum(slot.blocked + 1, MOST_TRIES)
    state = state.replace(agents=agents.replace(cell=cell))
    rest = None
    if slot.rest is not None:
        rest = tire(world, state, goes)
        failed = jnp.where((stands & (slot.rest > 0)[None, :]).any(-1), slot.blocked, failed)
    blocked = jnp.where(tries & ~goes, failed, 0).astype(jnp.int8)
    return state.put(movement=Slot(blocked, ghost, rest))


def metrics(world: World, state: State):
    """Walkers stopped in this tick, and agents who share a cell."""
    slot = state.slots["movement"]
    share = lambda mask: mask.astype(jnp.float32).mean()
    seen = {"movement/blocked": share(slot.blocked > 0), "movement/ghost": share(slot.ghost)}
    return seen if slot.rest is None else {**seen, "movement/rest": share(slot.rest > 0)}


def fields(world: World) -> list[Feature]:
    """How long one rests, where steps have costs."""
    return [Feature("rest", 1, "ticks until the next step / 8, at most 1", 0, 1)] if rests(world) else []


def features(world: World, state: State) -> list[Array]:
    """One array a field."""
    rest = state.slots["movement"].rest
    return [] if rest is None else [jnp.minimum(fixed.to_float(rest, 8), 1.0)]


def rules(world: World, state: State):
    """Nobody rests longer than a step can cost, and the dead not at all."""
    rest, gone = state.slots["movement"].rest, ~state.agents.alive & ~state.terminated
    if rest is None:
        return {}
    return {
        "rest in bounds": ((rest >= 0) & (rest < MOST_COST + weather.MOST_EXTRA)).all(),
        "the dead do not rest": (~gone | (rest == 0)).all(),
    }


SYSTEM = System(
    "movement",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("agents.cell", "slots.movement"),
    requires=("intents",),
    fields=fields,
    features=features,
    rules=rules,
)
