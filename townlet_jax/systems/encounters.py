"""Encounters: who could be talked to, whom one would look for, and how one walks up to somebody who walks. Functions only.

There is no table of ways to moving people. Whoever looks for somebody walks, by the tables of the map, to the target (a facility's
place, post or home) that is nearest to that person; once about as near to it as they are, it goes as the crow flies, step by
step. Both are right nearly always, since people are nearly always near a target; where a wall between the two misleads, the
option ends with its commitment.

reads  agents, slots.affordances, slots.intents, slots.chat, slots.relationships, slots.personality
"""

import jax.numpy as jnp

from ..core import blocks, fixed, ties
from ..core.grid import ARRIVED, UNREACHABLE
from ..types import NOBODY, Array, State, World
from . import employment
from .relationships import affinity, avoids

NEAREST = 4  # people whom the primitives talk_0 to talk_3 name
SHADOW = 2  # steps by which one may be farther from the target than who is looked for
NORTH, EAST, SOUTH, WEST = range(4)  # as in `core.grid.DIRECTIONS`
EFFORT = fixed.to_tie(0.02)  # affinity that a step of the way is worth


def near(world: World, state: State) -> Array:
    """Which two living people stand within one cell of each other, also across a corner: bool[A, A]."""
    rows, cols = ties.apart(state.agents.cell, world.static.width)
    alive = state.agents.alive
    others = alive[:, None] & alive[None, :] & ~jnp.eye(alive.shape[0], dtype=bool)
    return (jnp.maximum(rows, cols) <= 1) & others


def nearby(world: World, state: State) -> Array:
    """The nearest of those whom each could talk to, nearest first: i16[A, NEAREST], NOBODY where there are fewer.

    Of two who are equally near the one of lower index comes first: it names people, and gives nobody an advantage.
    """
    rows, cols = ties.apart(state.agents.cell, world.static.width)
    return ties.best(-(rows + cols).astype(jnp.int32), near(world, state), NEAREST)


def welcome(world: World, state: State) -> Array:
    """Whom each may approach for a talk in the next tick: bool[A, A], alive, not busy then, and not avoided."""
    alive, free = state.agents.alive, state.slots["affordances"].remaining <= 1
    others = alive[:, None] & (alive & free)[None, :] & ~jnp.eye(alive.shape[0], dtype=bool)
    return others & ~avoids(world, state)


def sought(world: World, state: State) -> Array:
    """Whom each would look for: i16[A], NOBODY if there is nobody.

    Of those who are welcome, the one of greatest affinity, less EFFORT for each row and column between: a friend who is not too
    far, else the nearest stranger. Somebody whom one cannot walk to does not count.
    """
    static, cell = world.static, state.agents.cell
    rows, cols = ties.apart(cell, static.width)
    in_town = blocks.once(world.map.distance[cell, employment.home_target(world)] < UNREACHABLE)
    able = welcome(world, state) & in_town[:, None] & in_town[None, :]
    score = affinity(world, state) - (rows + cols).astype(jnp.int32) * EFFORT
    return ties.best(score, able, 1)[:, 0]


def over(world: World, state: State) -> Array:
    """Whose search for company has come to its end: bool[A], they have talked, or there is nobody to talk to any more."""
    partner = state.slots["intents"].partner
    person = jnp.minimum(partner, world.static.num_agents - 1).astype(jnp.int32)
    still = jnp.take_along_axis(welcome(world, state), person[:, None], axis=1, mode="promise_in_bounds")[:, 0] & (
        partner != NOBODY
    )
    talked = state.slots["chat"].outcome != 0
    return (state.slots["intents"].option == world.static.actions.company) & (talked | ~still)


def landmark(world: World, state: State, partner: Array) -> Array:
    """The target of the map that is nearest to each partner i16[A]: i32[A]; any target where there is no partner."""
    assert world.map.landmark is not None  # since the world has chats
    here = state.agents.cell
    return world.map.landmark[here[jnp.minimum(partner, here.shape[0] - 1)]].astype(jnp.int32)


def closing(world: World, state: State, partner: Array, target: Array, hop: Array) -> Array:
    """The direction i8[A] in which each walks up to a partner i16[A]; ARRIVED beside it.

    Args:
        world: the world.
        state: one town.
        partner: whom each looks for; for who looks for nobody the answer means nothing.
        target: the partner's `landmark`, i32[A].
        hop: the way there by the tables i8[A], which is right from afar.
    """
    town, here, width = world.map, state.agents.cell, jnp.uint16(world.static.width)
    there = here[jnp.minimum(partner, here.shape[0] - 1)]
    behind = town.distance[here, target] - town.distance[there, target]
    down = (there // width).astype(jnp.int16) - (here // width).astype(jnp.int16)
    across = (there % width).astype(jnp.int16) - (here % width).astype(jnp.int16)
    behind, down, across, hop = blocks.once((behind, down, across, hop))
    upright, sideways = jnp.abs(down), jnp.abs(across)
    free = blocks.once(town.neighbour[here] != here[:, None])
    may_rise = (down != 0) & jnp.where(down < 0, free[:, NORTH], free[:, SOUTH])
    may_turn = (across != 0) & jnp.where(across > 0, free[:, EAST], free[:, WEST])
    rise = jnp.where(down < 0, jnp.int8(NORTH), jnp.int8(SOUTH))
    turn = jnp.where(across > 0, jnp.int8(EAST), jnp.int8(WEST))
    first = (upright > sideways) | ((upright == sideways) & (rise < turn))  # the longer side of the way
    crow = jnp.where(may_rise & (first | ~may_turn), rise, turn)
    way = jnp.where((may_rise | may_turn) & (behind <= SHADOW), crow, hop)
    return jnp.where(jnp.maximum(upright, sideways) <= 1, jnp.int8(ARRIVED), way)


def approach(world: World, state: State, partner: Array) -> Array:
    """The direction i8[A] in which each walks up to a partner i16[A]; ARRIVED if there is none, or one is beside it."""
    target = landmark(world, state, partner)
    hop = world.map.next_hop[state.agents.cell, target]
    return jnp.where(partner != NOBODY, closing(world, state, partner, target, hop), jnp.int8(ARRIVED))


def addressed(world: World, state: State, action: Array, partner: Array) -> Array:
    """To whom each speaks in this tick: i16[A], NOBODY if to nobody; the nearest of a talk_<k>, or the partner once near."""
    layout, number = world.static.actions, world.static.num_agents
    assert layout.talk is not None  # since the world has chats
    which = action - layout.talk
    picks = (which >= 0) & (which < NEAREST)
    named = jnp.take_along_axis(
        nearby(world, state), jnp.clip(which, 0, NEAREST - 1)[:, None], axis=1, mode="promise_in_bounds"
    )[:, 0]
    person = jnp.minimum(partner, number - 1).astype(jnp.int32)
    beside = jnp.take_along_axis(near(world, state), person[:, None], axis=1, mode="promise_in_bounds")[:, 0] & (
        partner != NOBODY
    )
    return jnp.where(picks, named, jnp.where(beside, partner, jnp.int16(NOBODY)))
