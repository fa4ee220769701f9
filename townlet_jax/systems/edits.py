"""Edits: what somebody outside may change in a town, between ticks or, from a timeline, within one.

Each is a pure function of (world, state, who, ...) -> (state, whether it was done bool[]); what cannot be done changes nothing. An
agent is an index i32[], which may be traced; numbers that are not whole are refused with a TypeError. Who is moved or changed is
flagged (`slots.intents.reset`), so that a learner may forget what it remembered. Money that is given or taken is booked, so that
the books still balance. What a world does not run cannot be edited: there is nothing to be done then.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from ..core import fixed
from ..types import NOBODY, Array, State, World
from . import economy, lifecycle, occasions, perturbations, relationships, reviews

MOST = 1 << 24  # mills that an edit leaves in a wallet at most, about 16,777 coins


def whole(state: State, *values: Array | int) -> list[Array]:
    """Numbers as i32[].

    Raises:
        TypeError: one is not an integer; a state holds no others.
        ValueError: the state is a batch of towns.
    """
    if state.tick.ndim:
        raise ValueError(f"an edit changes one town, not {list(state.tick.shape)} of them: use jax.vmap")
    found = [jnp.asarray(value) for value in values]
    for value in found:
        if not jnp.issubdtype(value.dtype, jnp.integer):
            raise TypeError(f"an edit takes whole numbers, not {value.dtype}: shares are parts of NEED, SHARE or TIE")
    return [value.astype(jnp.int32) for value in found]


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
    who, cell = whole(state, who, cell)
    agents, spot = state.agents, jnp.clip(cell, 0, world.map.ground.shape[0] - 1).astype(jnp.uint16)
    stands = (world.map.neighbour[spot] != spot).any() & (spot.astype(jnp.int32) == cell)
    taken = ((agents.cell == spot) & agents.alive).any()
    done = exists(world, state, who) & stands & ~taken & ~only(world, who, busy(world, state)).any()
    moved = only(world, who, done)
    state = state.replace(agents=agents.replace(cell=jnp.where(moved, spot, agents.cell)))
    return flag(world, state, moved), done


def set_need(world: World, state: State, who: Array, need: Array, value: Array) -> tuple[State, Array]:
    """Set one need, an index i32[], to i32[] parts of fixed.NEED, clipped to what a need can be."""
    who, need, value = whole(state, who, need, value)
    agents, num_needs = state.agents, len(world.static.names.needs)
    done = exists(world, state, who) & (need >= 0) & (need < num_needs)
    cell = only(world, who, done)[:, None] & (jnp.arange(num_needs, dtype=jnp.int32) == need)[None, :]
    needs = jnp.where(cell, jnp.clip(value, 0, fixed.NEED), agents.needs)
    return flag(world, state.replace(agents=agents.replace(needs=needs)), only(world, who, done)), done


def give(world: World, state: State, who: Array, mills: Array) -> tuple[State, Array]:
    """Give an agent money, or take it, i32[] mills; nobody falls below 0 or is given more than makes `MOST`."""
    who, mills = whole(state, who, mills)
    agents = state.agents
    done = exists(world, state, who)
    wallet = jnp.where(
        only(world, who, done),
        jnp.clip(agents.wallet + jnp.clip(mills, -MOST, MOST), 0, jnp.maximum(agents.wallet, MOST)),
        agents.wallet,
    )
    gift = (wallet - agents.wallet).sum(dtype=jnp.int32)
    state = flag(world, state.replace(agents=agents.replace(wallet=wallet)), only(world, who, done))
    return (economy.book(state, gifts=gift) if world.static.has("economy") else state), done


def tie(world: World, state: State, who: Array, other: Array, parts: tuple[Array, Array, Array]) -> tuple[State, Array]:
    """Set what two people are to each other, both ways: trust, familiarity and rivalry i32[], parts of fixed.TIE."""
    who, other, *levels = whole(state, who, other, *parts)
    done = exists(world, state, who) & exists(world, state, other) & (who != other)
    if not world.static.has("relationships"):
        return state, done & False
    return relationships.set_tie(state, jnp.where(done, who, -1), jnp.where(done, other, -2), *levels), done


def chat(world: World, state: State, who: Array, other: Array, quality: Array) -> tuple[State, Array]:
    """Have one talk to another in the next tick, wherever they are; it goes well, with a quality i32[] parts of fixed.SHARE.

    Not while one of the two uses something, or is to talk already, nor in a town at stage A, which knows no talks.
    """
    who, other, quality = whole(state, who, other, quality)
    if not world.static.has("chat"):
        return state, jnp.bool_(False)
    slot, people = state.slots["chat"], state.agents.alive & ~busy(world, state)
    arranged = slot.outcome == occasions.ARRANGED
    free = people & ~arranged & ~occasions.pairs(slot.partner, arranged).any(0)
    done = only(world, who, free).any() & only(world, other, free).any() & (who != other)
    done = done & relationships.reaches(world, "B")
    speaks, least = only(world, who, done), world.params["chat"].quality_least
    return state.put(
        chat=slot.replace(
            partner=jnp.where(speaks, other.astype(jnp.int16), slot.partner),
            outcome=jnp.where(speaks, jnp.int8(occasions.ARRANGED), slot.outcome),
            quality=jnp.where(speaks, jnp.clip(quality, least, fixed.SHARE).astype(jnp.int16), slot.quality),
        )
    ), done


def event(
    world: World, state: State, which: Array, ticks: Array, magnitude: Array, called: Array
) -> tuple[State, Array]:
    """Begin an event, an index i32[], that calls those bool[A] called; a length or magnitude of 0 is drawn.

    See `perturbations.trigger`.
    """
    which, ticks, magnitude = whole(state, which, ticks, magnitude)
    if not world.static.has("perturbations"):
        return state, jnp.bool_(False)
    known = (which >= 0) & (which < len(world.params["perturbations"].names))
    state = perturbations.trigger(world, state, which, ticks, magnitude, called)
    began = jnp.arange(state.slots["perturbations"].since.shape[0], dtype=jnp.int32) == which
    done = known & (began & (state.slots["perturbations"].since == state.tick + 1)).any()
    return flag(world, state, called & done), done


def cancel(world: World, state: State, which: Array) -> tuple[State, Array]:
    """End an event that is on, an index i32[]."""
    (which,) = whole(state, which)
    if not world.static.has("perturbations"):
        return state, jnp.bool_(False)
    index = jnp.arange(len(world.params["perturbations"].names), dtype=jnp.int32)
    done = ((index == which) & perturbations.active(world, state)).any()
    return perturbations.cancel(world, state, jnp.where(done, which, -1)), done


def remove(world: World, state: State, who: Array) -> tuple[State, Array]:
    """Have one leave town in the next tick, whatever the rules about exits say."""
    (who,) = whole(state, who)
    if not world.static.has("lifecycle"):
        return state, jnp.bool_(False)
    done = exists(world, state, who)
    return lifecycle.remove(state, jnp.where(done, who, -1)), done


def spawn(world: World, state: State, who: Array) -> tuple[State, Array]:
    """Have a newcomer come into an empty slot in the next tick, or as soon after as the entry is free."""
    (who,) = whole(state, who)
    if not world.static.has("lifecycle"):
        return state, jnp.bool_(False)
    slot = state.slots["lifecycle"]
    comes = only(world, who, ~state.agents.alive)
    return state.put(lifecycle=slot.replace(arrives=jnp.where(comes, jnp.int8(0), slot.arrives))), comes.any()


def possess(world: World, state: State, who: Array) -> tuple[State, Array]:
    """Have one act on orders only, from the next tick on; not while it uses something. What it had chosen is forgotten."""
    (who,) = whole(state, who)
    if not obeys(world):
        return state, jnp.bool_(False)
    slot, layout = state.slots["intents"], world.static.actions
    free = state.agents.alive & ~busy(world, state) & ~slot.possessed
    mine = only(world, who, free)
    slot = slot.replace(
        possessed=slot.possessed | mine,
        option=jnp.where(mine, jnp.int8(layout.num_options), slot.option),
        commit=jnp.where(mine, jnp.int8(0), slot.commit),
        partner=None if slot.partner is None else jnp.where(mine, jnp.int16(NOBODY), slot.partner),
    )
    return flag(world, state.put(intents=slot), mine), mine.any()


def release(world: World, state: State, who: Array) -> tuple[State, Array]:
    """Let one who is possessed act for itself again."""
    (who,) = whole(state, who)
    if not obeys(world):
        return state, jnp.bool_(False)
    slot = state.slots["intents"]
    mine = only(world, who, slot.possessed)
    return flag(world, state.put(intents=slot.replace(possessed=slot.possessed & ~mine)), mine), mine.any()


def command(world: World, state: State, who: Array, action: Array) -> tuple[State, Array]:
    """Order one, possessed or not, to take an action i32[] in the next tick; not while it uses something.

    An order to take an option is a goal: it is pursued as long as a choice binds, and who is possessed goes on with it then only
    if ordered again. The last of several orders counts.
    """
    who, action = whole(state, who, action)
    if not obeys(world):
        return state, jnp.bool_(False)
    slot = state.slots["intents"]
    known = (action >= 0) & (action < len(world.static.actions.names))
    mine = only(world, who, state.agents.alive & ~busy(world, state) & known)
    order = jnp.where(mine, action.astype(jnp.int16), slot.order)
    return state.put(intents=slot.replace(order=order)), mine.any()


def judge(world: World, state: State, who: Array, verdict: Callable[[State, Array], State]) -> tuple[State, Array]:
    """Decide the case of one who stands in the exit queue: `reviews.approve` or `reviews.defer` it."""
    (who,) = whole(state, who)
    if not world.static.has("reviews"):
        return state, jnp.bool_(False)
    done = only(world, who, state.slots["reviews"].pending).any()
    return verdict(state, jnp.where(done, who, NONE)), done


def obeys(world: World) -> bool:
    """Whether people in this world take orders; static."""
    return world.static.has("intents") and world.params["intents"].possession


class Edit(NamedTuple):
    """One edit as numbers; what those after `other` mean depends on the verb."""

    verb: Array  # i32[] index into VERBS
    who: Array  # i32[] an agent
    other: Array  # i32[] another agent, or nobody (-1)
    which: Array  # i32[] a cell, a need, an event, an action
    amount: Array  # i32[] parts of fixed.NEED, mills, ticks of an event, quality, trust
    second: Array  # i32[] magnitude of an event, familiarity
    third: Array  # i32[] rivalry


Change = Callable[[World, State, Edit], tuple[State, Array]]
VERBS: dict[str, Change] = {
    "nothing": lambda world, state, edit: (state, jnp.bool_(True)),
    "teleport": lambda world, state, edit: teleport(world, state, edit.who, edit.which),
    "need": lambda world, state, edit: set_need(world, state, edit.who, edit.which, edit.amount),
    "give": lambda world, state, edit: give(world, state, edit.who, edit.amount),
    "tie": lambda world, state, edit: tie(world, state, edit.who, edit.other, (edit.amount, edit.second, edit.third)),
    "chat": lambda world, state, edit: chat(world, state, edit.who, edit.other, edit.amount),
    "event": lambda world, state, edit: event(
        world, state, edit.which, edit.amount, edit.second, guests(world, edit.who, edit.other)
    ),
    "cancel": lambda world, state, edit: cancel(world, state, edit.which),
    "remove": lambda world, state, edit: remove(world, state, edit.who),
    "spawn": lambda world, state, edit: spawn(world, state, edit.who),
    "possess": lambda world, state, edit: possess(world, state, edit.who),
    "release": lambda world, state, edit: release(world, state, edit.who),
    "command": lambda world, state, edit: command(world, state, edit.who, edit.which),
    "approve": lambda world, state, edit: judge(world, state, edit.who, reviews.approve),
    "defer": lambda world, state, edit: judge(world, state, edit.who, reviews.defer),
}
NONE = -1  # no agent, no cell, need, event or action


def guests(world: World, who: Array, other: Array) -> Array:
    """The two who are called to a meeting: bool[A]; nobody if they are not agents."""
    yes = jnp.bool_(True)
    return only(world, who, yes) | only(world, other, yes)


def perform(world: World, state: State, verb: str, edit: Edit, now: Array | bool = True) -> tuple[State, Array]:
    """Do one edit of a verb that is known while tracing, if it is for `now`, bool[]; the edit's own verb does not matter."""
    nobody = lambda index: jnp.where(now, index, NONE)
    edit = edit._replace(who=nobody(edit.who), other=nobody(edit.other), which=nobody(edit.which))
    state, done = VERBS[verb](world, state, edit)
    return state, done & now


def apply(world: World, state: State, edit: Edit) -> tuple[State, Array]:
    """Do one edit, whose verb may be traced; a verb that does not exist does nothing and is not done."""
    done = jnp.bool_(False)
    for number, verb in enumerate(VERBS):
        state, did = perform(world, state, verb, edit, edit.verb == number)
        done = done | did
    return state, done
