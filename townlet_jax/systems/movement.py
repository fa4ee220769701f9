"""Movement: all agents step at once; one winner a cell; two who meet head on pass each other.

Nobody enters a cell that somebody stands on, unless after `ghost_after` failed tries in a row: then one slips in (a ghost step),
so that a narrow door never blocks a town for ever. Who shares a cell after a ghost step is flagged until the two part.

reads  intent, agents.alive, agents.cell
writes agents.cell, slots.movement
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction
from ..types import Array, Key, Section, State, System, World
from .intents import MOVE


class Config(Section):
    """How patient walkers are."""

    ghost_after: int = Field(3, ge=1, le=100, description="failed steps in a row after which one may enter a held cell")


class Params(struct.PyTreeNode):
    """The same as an array."""

    ghost_after: Array  # i8[]


class Slot(struct.PyTreeNode):
    """How the last step went."""

    blocked: Array  # i8[A] failed steps in a row, at most 100
    ghost: Array  # bool[A] shares its cell since a ghost step of its own


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.int8(config.ghost_after))


def init(world: World, key: Key) -> Slot:
    """Nobody has tried yet."""
    A = world.static.num_agents
    return Slot(jnp.zeros(A, jnp.int8), jnp.zeros(A, bool))


def meets(here: Array, there: Array, alive: Array) -> Array:
    """Whether there[i] is the cell of another living agent j: bool[A, A]."""
    others = ~jnp.eye(here.shape[0], dtype=bool)
    return (there[:, None] == here[None, :]) & alive[None, :] & others


def step(world: World, state: State, key: Key) -> State:
    """Settle all steps at once."""
    agents, slot, intent = state.agents, state.slots["movement"], state.intent
    A, alive, here = world.static.num_agents, agents.alive, agents.cell
    moves = alive & (intent.verb == MOVE)
    there = jnp.where(moves, world.map.neighbour[here, jnp.clip(intent.arg, 0, 3)], here)
    tries = moves & (there != here)

    held = meets(here, there, alive)
    alone = ~meets(here, here, alive).any(-1)
    passes = held & held.T & tries[None, :] & tries[:, None] & alone[None, :] & alone[:, None]
    stopped = (held & ~passes).any(-1)
    ghosts = tries & stopped & (slot.blocked >= world.params["movement"].ghost_after)
    order = intent.priority.astype(jnp.int16) - slot.blocked.astype(jnp.int16) * A  # the most patient first
    goes = ghosts | auction.first(there, tries & ~stopped, order)

    cell = jnp.where(goes, there, here)
    shares = alive & meets(cell, cell, alive).any(-1)
    ghost = shares & (ghosts | (slot.ghost & ~goes))
    blocked = jnp.where(tries & ~goes, jnp.minimum(slot.blocked + 1, 100), 0).astype(jnp.int8)
    return state.replace(agents=agents.replace(cell=cell)).put(movement=Slot(blocked, ghost))


def metrics(world: World, state: State):
    """Walkers stopped in this tick, and agents who share a cell."""
    slot = state.slots["movement"]
    share = lambda mask: mask.astype(jnp.float32).mean()
    return {"movement/blocked": share(slot.blocked > 0), "movement/ghost": share(slot.ghost)}


SYSTEM = System(
    "movement",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("agents.cell", "slots.movement"),
    requires=("intents",),
)
