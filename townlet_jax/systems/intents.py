"""Intents: turn each action, a primitive or an option, into what the agent does in this tick.

An option is a small scripted controller over the distance tables: walk to the facility, keep one's place in the queue, use it.
An option that was chosen goes on for `commit_ticks`, unless it is finished sooner or a need falls below `override_need`.
`wait` carries on with what was chosen; without a choice it does nothing. Who is called to a meeting walks there instead and may
choose nothing; the choice waits until the meeting is over, unless a need falls below `override_need`.

With `possession` somebody outside may give orders (`systems.edits`): an order is taken as one's action in the next tick, whatever
one has chosen, unless one is busy. Who is possessed acts on orders only, and may choose nothing.

reads  actions, agents, slots.movement, slots.queues, slots.affordances, slots.hiring, slots.perturbations, slots.chat,
       slots.relationships, slots.personality
writes intent, slots.intents
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, blocks, fixed
from ..core.grid import ARRIVED
from ..types import NOBODY, NOTHING, Array, Intent, Key, Section, State, System, World
from . import employment, encounters, meetings, storms

VERBS = ("wait", "move", "use", "talk")
WAIT, MOVE, USE, TALK = range(4)
WAIT_ACTION = 0  # carries on with what was chosen
FIRST_MOVE = 1  # actions 1 to 4 are one step north, east, south, west
FIRST_USE = FIRST_MOVE + 4


class Config(Section):
    """How long a choice binds."""

    commit_ticks: int = Field(15, ge=1, le=120, description="ticks that a chosen option goes on")
    override_need: float = Field(
        0.15, ge=0, le=1, description="share of a need below which one may choose anew at once"
    )
    possession: bool = Field(False, description="whether somebody outside may possess people, or give them orders")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    commit_ticks: Array  # i8[]
    override: Array  # i32[] parts of fixed.NEED
    possession: bool = struct.field(pytree_node=False, default=False)


class Slot(struct.PyTreeNode):
    """What each agent has chosen."""

    option: Array  # i8[A] index of the option, num_options if none
    facility: Array  # i16[A] where it is to be done, NOTHING if nowhere
    commit: Array  # i8[A] ticks for which the choice still binds
    reset: Array  # bool[A] a new person or a sudden change: memories of the slot no longer fit
    partner: Array | None = None  # i16[A] whom one looks for to talk to, NOBODY if nobody; None without chats
    possessed: Array | None = None  # bool[A] acts on orders only; None without possession
    order: Array | None = None  # i16[A] the action to take in the next tick, WAIT_ACTION if there is no order; the same


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.int8(config.commit_ticks), jnp.int32(fixed.to_need(config.override_need)), config.possession)


def init(world: World, key: Key) -> Slot:
    """Nobody has chosen anything."""
    A = world.static.num_agents
    none = jnp.full(A, world.static.actions.num_options, jnp.int8)
    partner = None if world.static.actions.talk is None else jnp.full(A, NOBODY, jnp.int16)
    slot = Slot(none, jnp.full(A, NOTHING, jnp.int16), jnp.zeros(A, jnp.int8), jnp.ones(A, bool), partner)
    if not world.params["intents"].possession:
        return slot
    return slot.replace(possessed=jnp.zeros(A, bool), order=jnp.zeros(A, jnp.int16))


def finished(world: World, state: State) -> Array:
    """Who is done with what it chose: bool[A]."""
    ended = state.slots["affordances"].finished | storms.stormed(state)
    return ended if world.static.actions.talk is None else ended | encounters.over(world, state)


def may_choose(world: World, state: State) -> Array:
    """Who is free to choose at the next tick: bool[A], alive, not busy or called, and not committed or pressed by a need."""
    slot, running = state.slots["intents"], state.slots["affordances"].remaining > 0
    rests = state.agents.alive & ~running
    if meetings.held(world):
        rests = rests & ~called(world, state)[1]
    if slot.possessed is not None:
        rests = rests & ~slot.possessed
    rests, loose = blocks.once((rests, finished(world, state) | (slot.commit == 0)))
    presses = state.agents.needs < world.params["intents"].override
    # one reduction: a mask of many actions reads its result
    return (rests[:, None] & (loose[:, None] | presses)).any(-1)


def decided(world: World, state: State) -> Array:
    """The actions i32[A] that count: orders, or what one chose if one was free to; `wait` for the others."""
    slot, known = state.slots["intents"], (state.actions >= 0) & (state.actions < len(world.static.actions.names))
    action = jnp.where(may_choose(world, state) & known, state.actions, WAIT_ACTION)
    if slot.order is None:
        return action
    obeys = state.agents.alive & (state.slots["affordances"].remaining == 0) & (slot.order != WAIT_ACTION)
    return jnp.where(obeys, slot.order.astype(jnp.int32), action)


def called(world: World, state: State) -> tuple[Array, Array]:
    """The target i32[A] of the meeting to which each agent goes now, and who goes to one: bool[A], not busy, not pressed."""
    target, has = meetings.meeting(world, state)
    pressed = (state.agents.needs < world.params["intents"].override).any(-1)
    goes = has & ~pressed & (state.slots["affordances"].remaining == 0)
    possessed = state.slots["intents"].possessed
    return target, goes if possessed is None else goes & ~possessed


def answer(world: World, state: State, intent: Intent) -> tuple[Intent, Array]:
    """The intents, with those who are called on their way to the meeting; and who that is, bool[A]."""
    target, goes = called(world, state)
    hop = world.map.next_hop[state.agents.cell, target]
    walks = (hop != ARRIVED) & ~meetings.stands(world, state)
    return intent.replace(
        verb=jnp.where(goes, jnp.where(walks, jnp.int8(MOVE), jnp.int8(WAIT)), intent.verb),
        arg=jnp.where(goes, hop, intent.arg),
        facility=jnp.where(goes, jnp.int16(NOTHING), intent.facility),
    ), goes


def choose(world: World, state: State) -> tuple[Array, Slot]:
    """The accepted actions i32[A], `wait` where none was, and what is chosen after them."""
    layout, slot = world.static.actions, state.slots["intents"]
    doing = state.slots["affordances"]
    action = blocks.once(decided(world, state))
    chooses = action != WAIT_ACTION
    offer = jnp.clip(jnp.where(action >= layout.options, action - layout.options, action - layout.use), 0, None)
    at_facility = (action >= layout.use) & (offer < len(world.static.names.offers))

    goes_on = state.agents.alive & ((slot.commit > 0) | (doing.remaining > 0)) & ~finished(world, state)
    none, nowhere = jnp.int8(layout.num_options), jnp.int16(NOTHING)
    option = jnp.where(action >= layout.options, action - layout.options, layout.num_options).astype(jnp.int8)
    facility = jnp.where(at_facility, routed(world, state, offer), nowhere)
    binds = jnp.where(action >= layout.options, world.params["intents"].commit_ticks, 1).astype(jnp.int8)
    partner = slot.partner
    if partner is not None:
        seeks = chooses & (option == layout.company)
        stays = jnp.where(goes_on & ~chooses, partner, jnp.int16(NOBODY))
        partner = jnp.where(seeks, encounters.sought(world, state), stays)
    return action, Slot(
        option=jnp.where(chooses, option, jnp.where(goes_on, slot.option, none)),
        facility=jnp.where(chooses, facility, jnp.where(goes_on, slot.facility, nowhere)),
        commit=jnp.where(chooses, binds, jnp.where(goes_on, slot.commit, jnp.int8(0))),
        reset=~state.agents.alive,  # of who arrives later in this tick
        partner=partner,
        possessed=None if slot.possessed is None else slot.possessed & state.agents.alive,
        order=None if slot.order is None else jnp.zeros_like(slot.order),
    )


def routed(world: World, state: State, offer: Array) -> Array:
    """The facility that each agent would use for one offer i32[A]: i16[A]."""
    row = home_row(world, state)
    return world.map.route[row, jnp.minimum(offer, world.map.route.shape[1] - 1)]


def home_row(world: World, state: State) -> Array:
    """Where each agent, by its home and cell, stands in the tables of routes: i32[A]."""
    cells = world.map.ground.shape[0]
    return world.map.agent_home.astype(jnp.int32) * cells + state.agents.cell.astype(jnp.int32)


def walk_target(world: World, state: State, slot: Slot) -> tuple[Array, Array]:
    """The target i32[A] that each agent's option walks to, and whether it has one bool[A]."""
    static, layout, queues = world.static, world.static.actions, state.slots["queues"]
    num_places = static.num_places
    waits = (queues.facility == slot.facility) & (slot.facility != NOTHING)
    place = jnp.where(waits, jnp.minimum(queues.place, num_places - 1), jnp.int8(0))
    posts = static.num_facilities * num_places
    target = slot.facility.astype(jnp.int32) * num_places + place.astype(jnp.int32)
    has = (slot.option < layout.num_options) & (slot.facility != NOTHING)
    if layout.work is not None:
        post = employment.post_of(world, state).astype(jnp.int32)
        works = (slot.option == layout.work) & (post != NOTHING)
        target, has = jnp.where(works, posts + post, target), has | works
    goes_home = slot.option == layout.home
    target = jnp.where(goes_home, employment.home_target(world), target)
    return jnp.where(has | goes_home, target, 0), has | goes_home


def step(world: World, state: State, bits: Array) -> State:
    """Choose, then say what to do about it in this tick."""
    static, layout = world.static, world.static.actions
    action, slot = blocks.once(choose(world, state))
    busy = state.slots["affordances"].remaining > 0
    target, has_target = walk_target(world, state, slot)
    hop = world.map.next_hop[state.agents.cell, target]
    walks = has_target & (hop != ARRIVED) & ~busy
    first_in_line = (state.slots["queues"].facility == slot.facility) & (state.slots["queues"].place == 0)
    is_offer = slot.option < len(static.names.offers)
    uses_option = is_offer & has_target & (hop == ARRIVED) & first_in_line
    steps = (action >= FIRST_MOVE) & (action < FIRST_USE)
    uses = (action >= layout.use) & (action < layout.use + len(static.names.offers))

    verb = jnp.where(walks | steps, MOVE, jnp.where((uses_option | uses) & ~busy, USE, WAIT)).astype(jnp.int8)
    own = jnp.where(steps, action - FIRST_MOVE, action - layout.use).astype(jnp.int8)
    arg = jnp.where(steps | uses, own, jnp.where(walks, hop, slot.option))
    if slot.partner is not None:
        verb, arg = blocks.once(socialise(world, state, action, slot, verb, arg))
    intent = Intent(verb, arg, slot.facility, auction.random_rank(bits))
    commit = jnp.maximum(slot.commit - 1, 0).astype(jnp.int8)
    if meetings.held(world):
        intent, goes = answer(world, state, intent)
        commit = jnp.where(goes, slot.commit, commit)
    return state.replace(intent=intent).put(intents=slot.replace(commit=commit))


def socialise(world: World, state: State, action: Array, slot: Slot, verb: Array, arg: Array) -> tuple[Array, Array]:
    """The verb and argument i8[A] of those who speak to somebody, or walk up to somebody; the given ones of the others."""
    free = state.agents.alive & (state.slots["affordances"].remaining == 0)
    whom = encounters.addressed(world, state, action, slot.partner)
    hop = encounters.approach(world, state, slot.partner)
    speaks = free & (whom != NOBODY)
    follows = free & ~speaks & (slot.partner != NOBODY) & (hop != ARRIVED)
    verb = jnp.where(speaks, jnp.int8(TALK), jnp.where(follows, jnp.int8(MOVE), verb))
    return verb, jnp.where(speaks, whom.astype(jnp.int8), jnp.where(follows, hop, arg))


def heading(world: World, state: State) -> Array:
    """The direction i8[A] of the next step of each on its way, ARRIVED if there is none.

    That is the way to what its option is about, to whom it looks for, or to the meeting to which it is called. A view: it looks
    the way up once, for the one of the three that counts.
    """
    slot, cell = state.slots["intents"], state.agents.cell
    target, has = walk_target(world, state, slot)
    partner, follows = slot.partner, jnp.zeros_like(has)
    if partner is not None:
        follows = (partner != NOBODY) & ~encounters.over(world, state)
        target, has = jnp.where(follows, encounters.landmark(world, state, partner), target), has | follows
    if meetings.held(world):
        spot, goes = called(world, state)
        target, has, follows = jnp.where(goes, spot, target), has | goes, follows & ~goes
    hop = jnp.where(has, world.map.next_hop[cell, target], jnp.int8(ARRIVED))
    if partner is None:
        return hop
    return jnp.where(follows, encounters.closing(world, state, partner, target, hop), hop)


def metrics(world: World, state: State):
    """Share of the living who are idle: no option and nothing running."""
    idle = (state.slots["intents"].option == world.static.actions.num_options) & state.agents.alive
    living = jnp.maximum(state.agents.alive.sum(dtype=jnp.int32), 1).astype(jnp.float32)
    return {"idle": idle.sum(dtype=jnp.int32).astype(jnp.float32) / living}


def rules(world: World, state: State):
    """Orders are carried out, and the dead are free."""
    slot, gone = state.slots["intents"], ~state.agents.alive & ~state.terminated
    if slot.possessed is None:
        return {}
    known = (slot.order >= 0) & (slot.order < len(world.static.actions.names))
    return {
        "orders exist": known.all(),
        "nobody possesses the dead": (~gone | (~slot.possessed & (slot.order == WAIT_ACTION))).all(),
    }


SYSTEM = System(
    "intents",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    draws=lambda world: world.static.num_agents,
    writes=("intent", "slots.intents"),
    requires=("movement", "queues", "affordances"),
    rules=rules,
)
