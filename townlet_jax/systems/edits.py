"""Edits: what somebody outside may change in a town, between ticks or, from a timeline, within one.

Each is a pure function of (world, state, who, ...) -> (state, whether it was done bool[]); what cannot be done changes nothing. An
agent is an index i32[], which may be traced. Who is moved or changed is flagged (`slots.intents.reset`), so that a learner may
forget what it remembered. Money that is given or taken is booked, so that the books still balance.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..core import fixed
from ..types import Array, State, World
from . import economy

MOST = 1 << 24  # mills that an edit leaves in a wallet at most, about 16,777 coins


def only(world: World, who: Array, done: Array) -> Array:
    """A mask bool[A] of the one agent, empty where nothing is to be done."""
    return (jnp.arange(world.static.num_agents, dtype=jnp.int32) == who) & done


def flag(world: World, state: State, who: Array) -> State:
    """Mark agents bool[A] as changed from outside."""
    if not world.static.has("intents"):
        return state
    slot = state.slots["intents"]
    return state.put(intents=slot.replace(reset=slot.reset | who))


def busy(world: World, state: State) -> Array:
    """Who uses something: bool[A]."""
    if not world.static.has("affordances"):
        return jnp.zeros(world.static.num_agents, bool)
    return state.slots["affordances"].remaining > 0


def exists(world: World, state: State, who: Array) -> Array:
    """Whether there is a living agent of that index: bool[]."""
    return only(world, who, state.agents.alive).any()


def teleport(world: World, state: State, who: Array, cell: Array) -> tuple[State, Array]:
    """Put an agent on a flat cell i32[] that can be stood on and is free; not while it uses something."""
    agents, spot = state.agents, jnp.clip(cell, 0, world.map.ground.shape[0] - 1).astype(jnp.uint16)
    stands = (world.map.neighbour[spot] != spot).any() & (spot.astype(jnp.int32) == cell)
    taken = ((agents.cell == spot) & agents.alive).any()
    done = exists(world, state, who) & stands & ~taken & ~only(world, who, busy(world, state)).any()
    moved = only(world, who, done)
    state = state.replace(agents=agents.replace(cell=jnp.where(moved, spot, agents.cell)))
    return flag(world, state, moved), done


def set_need(world: World, state: State, who: Array, need: Array, value: Array) -> tuple[State, Array]:
    """Set one need, an index i32[], to i32[] parts of fixed.NEED, clipped to what a need can be."""
    agents, num_needs = state.agents, len(world.static.names.needs)
    done = exists(world, state, who) & (need >= 0) & (need < num_needs)
    cell = only(world, who, done)[:, None] & (jnp.arange(num_needs, dtype=jnp.int32) == need)[None, :]
    needs = jnp.where(cell, jnp.clip(value, 0, fixed.NEED), agents.needs)
    return flag(world, state.replace(agents=agents.replace(needs=needs)), only(world, who, done)), done


def give(world: World, state: State, who: Array, mills: Array) -> tuple[State, Array]:
    """Give an agent money, or take it, i32[] mills; nobody falls below 0 or rises above `MOST`."""
    agents = state.agents
    done = exists(world, state, who)
    wallet = jnp.where(only(world, who, done), jnp.clip(agents.wallet + mills, 0, MOST), agents.wallet)
    gift = (wallet - agents.wallet).sum(dtype=jnp.int32)
    state = flag(world, state.replace(agents=agents.replace(wallet=wallet)), only(world, who, done))
    return (economy.book(state, gifts=gift) if world.static.has("economy") else state), done


class Edit(NamedTuple):
    """One edit as numbers; what `who`, `which` and `amount` mean depends on the verb."""

    verb: Array  # i32[] index into VERBS
    who: Array  # i32[] an agent
    which: Array  # i32[] a cell, a need
    amount: Array  # i32[] parts of fixed.NEED, mills


VERBS: dict[str, Callable[[World, State, Edit], tuple[State, Array]]] = {
    "nothing": lambda world, state, edit: (state, jnp.bool_(True)),
    "teleport": lambda world, state, edit: teleport(world, state, edit.who, edit.which),
    "need": lambda world, state, edit: set_need(world, state, edit.who, edit.which, edit.amount),
    "give": lambda world, state, edit: give(world, state, edit.who, edit.amount),
}


def apply(world: World, state: State, edit: Edit) -> tuple[State, Array]:
    """Do one edit, whose verb may be traced; a verb that does not exist does nothing and is not done."""
    known = (edit.verb >= 0) & (edit.verb < len(VERBS))
    branches = [partial(function, world) for function in VERBS.values()]
    state, done = jax.lax.switch(jnp.where(known, edit.verb, 0), branches, state, edit)
    return state, done & known
