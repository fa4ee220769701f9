"""What holds in every town at the end of every tick, whatever anybody does."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp

from ..core import fixed, masks
from ..systems import affordances, economy, exits, lifecycle
from ..systems.intents import VERBS
from ..types import NOTHING, Array, State, World

Rules = Mapping[str, Array]


def invariants(world: World, state: State) -> dict[str, Array]:
    """Rules of the mechanics that a world runs, exact and jittable, so that a fuzzer can fold them in a scan.

    Args:
        world: any world; rules about systems that it does not run are left out.
        state: one town after a tick (or after `reset`).

    Returns:
        Rule -> bool[], True where it holds.
    """
    rules = dict(people(world, state))
    for system, more in BY_SYSTEM.items():
        if world.static.has(system):
            rules.update(more(world, state))
    for system in world.static.systems:
        rules.update(system.rules(world, state))
    return rules


def people(world: World, state: State) -> Rules:
    """Of everybody: bounds, one agent a cell unless one of the two is a ghost, and nothing left of the dead."""
    agents, dead = state.agents, ~state.agents.alive
    neighbour = world.map.neighbour[agents.cell]
    same = (agents.cell[:, None] == agents.cell[None, :]) & agents.alive[:, None] & agents.alive[None, :]
    same = same & ~jnp.eye(world.static.num_agents, dtype=bool)
    ghost = state.slots["movement"].ghost if world.static.has("movement") else jnp.zeros_like(dead)
    owns = (agents.needs != 0).any(-1) | (agents.wallet != 0) | (agents.items != 0).any(-1)
    return {
        "needs in bounds": ((agents.needs >= 0) & (agents.needs <= fixed.NEED)).all(),
        "wallets not negative": (agents.wallet >= 0).all(),
        "items in bounds": ((agents.items >= 0) & (agents.items <= affordances.MAX_CARRIED)).all(),
        "on walkable cells": (dead | (neighbour != agents.cell[:, None]).any(-1)).all(),
        "one agent a cell": (~same | ghost[:, None] | ghost[None, :]).all(),
        "the dead own nothing": (~dead | ~owns).all(),
        "who ended is dead": (~state.terminated | dead).all(),
        "no reward for the dead": (~dead | state.terminated | (state.reward == 0)).all(),
    }


def intents(world: World, state: State) -> Rules:
    """Indices in range, and the dead want nothing."""
    static, intent, slot = world.static, state.intent, state.slots["intents"]
    gone = ~state.agents.alive & ~state.terminated
    facility = lambda f: (f == NOTHING) | ((f >= 0) & (f < static.num_facilities))
    order = masks.count(intent.priority[None, :] < intent.priority[:, None])
    rests = (slot.option == static.actions.num_options) & (slot.facility == NOTHING) & (intent.verb == 0)
    return {
        "verbs exist": ((intent.verb >= 0) & (intent.verb < len(VERBS))).all(),
        "facilities exist": (facility(intent.facility) & facility(slot.facility)).all(),
        "options exist": ((slot.option >= 0) & (slot.option <= static.actions.num_options)).all(),
        "commitment not negative": (slot.commit >= 0).all(),
        "priority is an order": (order == intent.priority).all(),
        "the dead want nothing": (~gone | rests).all(),
    }


def movement(world: World, state: State) -> Rules:
    """Patience in bounds, and the dead haunt nobody."""
    slot, gone = state.slots["movement"], ~state.agents.alive & ~state.terminated
    return {
        "patience in bounds": ((slot.blocked >= 0) & (slot.blocked <= 100)).all(),
        "the dead are no ghosts": (~gone | ~(slot.ghost | (slot.blocked > 0))).all(),
    }


def queues(world: World, state: State) -> Rules:
    """The places of a queue are 0 to n - 1, each taken once; who is in no queue has place 0."""
    slot, gone = state.slots["queues"], ~state.agents.alive & ~state.terminated
    waits = slot.facility != NOTHING
    together = (slot.facility[:, None] == slot.facility[None, :]) & waits[:, None] & waits[None, :]
    rank = masks.count(together & (slot.place[None, :] < slot.place[:, None]))
    return {
        "queues without gaps": (rank == jnp.where(waits, slot.place, jnp.int8(0))).all(),
        "no place without a queue": (waits | ((slot.place == 0) & (slot.idle == 0))).all(),
        "the dead do not queue": (~gone | ~waits).all(),
    }


def offers(world: World, state: State) -> Rules:
    """An offer runs only for who holds the reservation and stands there; nothing runs for the dead."""
    slot, queue = state.slots["affordances"], state.slots["queues"]
    gone = ~state.agents.alive & ~state.terminated
    runs = slot.remaining > 0
    facility = jnp.where(queue.facility == NOTHING, jnp.int16(0), queue.facility)
    holds = (queue.facility != NOTHING) & (queue.place == 0)
    there = state.agents.cell == world.map.place_cell[facility, 0]
    kinds = world.static.names.kinds
    kind = jnp.array([kinds.index(kind) for kind in world.static.names.offer_kinds], jnp.int8)
    return {
        "remaining ticks in bounds": (
            (slot.remaining >= 0) & (slot.remaining <= world.params["affordances"].ticks.max())
        ).all(),
        "only the holder uses": (~runs | holds).all(),
        "users stand at it": (~runs | there).all(),
        "the facility makes the offer": (~runs | (world.map.facility_kind[facility] == kind[slot.offer])).all(),
        "nothing runs for the dead": (~gone | ~(runs | slot.finished | slot.completed)).all(),
    }


def money(world: World, state: State) -> Rules:
    """To the mill, wallets are what they were at the start and what the ledger says since; stock within its capacity."""
    slot, stock = state.slots["economy"], state.facilities.stock
    gone = ~state.agents.alive & ~state.terminated
    start = masks.total(world.params["start"].wallet)
    return {
        "money adds up": masks.total(state.agents.wallet) == start + masks.total(slot.ledger),
        "stock in bounds": ((stock >= 0) & (stock <= economy.full_stock(world))).all(),
        "unpaid days not negative": (slot.unpaid >= 0).all(),
        "the dead owe nothing": (~gone | (slot.unpaid == 0)).all(),
    }


def work(world: World, state: State) -> Rules:
    """Only the living work, attendance is a share."""
    slot, gone = state.slots["employment"], ~state.agents.alive & ~state.terminated
    return {
        "attendance is a share": ((slot.attended >= 0) & (slot.attended <= fixed.SHARE)).all(),
        "pay not negative": (slot.pay >= 0).all(),
        "the dead do not work": (
            ~gone | ((slot.shift == 0) & (slot.present == 0) & (slot.away == 0) & (slot.pay == 0))
        ).all(),
    }


def fates(world: World, state: State) -> Rules:
    """Counters in bounds; nothing positive is earned around a death; only the dead are replaced; caps are kept."""
    slot, alive = state.slots["lifecycle"], state.agents.alive
    guarded = lifecycle.guarded(world, state)
    counts = (slot.critical >= 0) & (slot.since >= 0) & (slot.since <= lifecycle.LONG_AGO) & (slot.arrives >= 0)
    rules = {
        "fates in bounds": counts.all(),
        "nobody comes to a living one's slot": (~alive | (slot.arrives == 0)).all(),
        "an end has a reason": ((slot.reason != 0) == state.terminated).all(),
        "generations not negative": (state.agents.generation >= 0).all(),
    }
    if world.static.has("rewards"):
        own = state.slots.get("rewards")
        earned = state.reward if own is None or own.shaped is None else state.reward - own.shaped  # moves no optimum
        rules["nothing earned around a death"] = (~guarded | (earned <= 0)).all()
    return {**rules, **clocks(world, state)}


def clocks(world: World, state: State) -> Rules:
    """Of the optional rules about exits: clocks in bounds and at rest for the dead, no more exits than the caps allow."""
    known, slot = world.params["lifecycle"].exits, state.slots["lifecycle"]
    now, gone, day = slot.clocks, ~state.agents.alive & ~state.terminated, world.static.ticks_per_day
    most = {
        "notice": None if known.recovery_ticks is None else known.recovery_ticks + jnp.int16(1),
        "jobless": None if known.jobless_days is None else known.jobless_days * day,
        "neglected": jnp.int16(-(-day // exits.HOURS)),
        "left": None if known.lifespan is None else known.lifespan[1] * day,
        "waiting": jnp.int16(exits.LONGEST_WAIT),
    }
    rules = {}
    for name, limit in most.items():
        clock = getattr(now, name)
        if clock is not None:
            idle = (clock == 0).reshape(gone.shape[0], -1).all(-1)
            rules[f"{name} in bounds, 0 for the dead"] = ((clock >= 0) & (clock <= limit)).all() & (~gone | idle).all()
    if known.per_day is not None:
        by_rule = masks.count(state.terminated & (slot.reason != lifecycle.REMOVED))
        rules["no more exits than a day allows"] = (now.today >= by_rule) & (now.today <= known.per_day)
        rules["exits keep their distance"] = (by_rule <= 1) | (known.cooldown == 0)
    return rules


BY_SYSTEM: Mapping[str, Callable[[World, State], Rules]] = {
    "intents": intents,
    "movement": movement,
    "queues": queues,
    "affordances": offers,
    "economy": money,
    "employment": work,
    "lifecycle": fates,
}
