"""Lifecycle: who leaves and why, who moves in instead, and when the episode is cut short.

A slot outlives its person: a newcomer arrives at the edge of the map some ticks later, with a starter kit and no memories. While
a slot is empty every system resets its own part of it. The causes, and what holds those who are due back, stand in `exits`.

reads  tick, agents, intent.priority, slots.economy, slots.employment, slots.hiring, slots.reviews, slots.perturbations
writes agents, terminated, truncated, slots.lifecycle, slots.economy
"""

import jax
import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, blocks, fixed, masks
from ..types import Array, Key, Section, State, System, World
from . import economy, exits, perturbations
from .exits import REASONS, REMOVED

LONG_AGO = 100  # ticks since an exit, at most
BLAMELESS = ("age", "removed")  # reasons that cost nothing, unless `penalty` says so


class Config(Section):
    """When lives and episodes end."""

    episode_ticks: int = Field(7200, ge=1, le=10_000_000, description="ticks after which the episode is cut short")
    collapse: dict[str, float] = Field({"hunger": 0.03}, description="need -> share below which it is critical")
    collapse_ticks: int = Field(30, ge=1, le=100, description="ticks in a row that one survives in that state")
    evict_after: int = Field(2, ge=1, le=100, description="days of unpaid rent in a row")
    arrive_after: tuple[int, int] = Field((5, 20), description="ticks until a newcomer comes, least and most")
    guard_ticks: int = Field(10, ge=0, le=99, description="ticks after an exit without positive reward")
    kit_needs: float = Field(0.6, gt=0, le=1, description="the needs of a newcomer, as a share")
    kit_wallet: float = Field(3.0, ge=0, le=1000, description="the money of a newcomer, in coins")
    kit_rents: float | None = Field(None, ge=0, le=20, description="the money of a newcomer in rents, not `kit_wallet`")
    kit_items: dict[str, int] = Field({}, description="the belongings of a newcomer")
    mortality: bool = Field(True, description="whether anybody leaves at all, consoles apart; off in first lessons")
    penalty: dict[str, float] = Field({}, description="reason -> share of `terminal`; 1, but 0 for age and removed")
    recovery: exits.Recovery | None = Field(None, description="a way out of an eviction; off without it")
    unemployment: exits.Unemployment | None = Field(None, description="who earns no wage leaves; off without it")
    neglect: exits.Neglect | None = Field(None, description="who neglects a need for long leaves; off without it")
    age: exits.Age | None = Field(None, description="lives have a length; off without it")
    caps: exits.Caps | None = Field(None, description="how many may leave at a time; off without it")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    episode_ticks: Array  # i32[]
    critical: Array  # i32[N] parts of fixed.NEED, 0 for needs that nobody dies of
    collapse_ticks: Array  # i8[]
    evict_after: Array  # i8[]
    arrive_after: Array  # i32[2]
    guard: Array  # i8[]
    needs: Array  # i32[N]
    wallet: Array  # i32[] mills
    rents: Array | None  # i32[] money of a newcomer in rents, parts of fixed.SHARE
    items: Array  # i8[I]
    mortality: Array  # bool[]
    penalty: Array  # i32[REASONS] millionths
    exits: exits.Params  # the optional rules


class Slot(struct.PyTreeNode):
    """Each slot's fate."""

    ends: Array  # i32[] tick at which the episode is cut short
    critical: Array  # i8[A] ticks in a row with a critical need
    since: Array  # i8[A] ticks since the last exit from this slot, at most LONG_AGO
    arrives: Array  # i8[A] ticks until a newcomer comes, 0 if alive or waiting for a free entry
    reason: Array  # i8[A] why the agent left in this tick, index into REASONS
    clocks: exits.Clocks  # what the optional rules count


def build(config, names) -> Params:
    """YAML to arrays."""
    cost = [config.penalty.get(reason, 0.0 if reason in BLAMELESS else 1.0) for reason in REASONS]
    return Params(
        episode_ticks=jnp.int32(config.episode_ticks),
        critical=jnp.array([fixed.to_need(config.collapse.get(need, 0.0)) for need in names.needs], jnp.int32),
        collapse_ticks=jnp.int8(config.collapse_ticks),
        evict_after=jnp.int8(config.evict_after),
        arrive_after=jnp.array(config.arrive_after, jnp.int32),
        guard=jnp.int8(config.guard_ticks),
        needs=jnp.full(len(names.needs), fixed.to_need(config.kit_needs), jnp.int32),
        wallet=jnp.int32(fixed.to_mills(config.kit_wallet)),
        rents=None if config.kit_rents is None else jnp.int32(round(config.kit_rents * fixed.SHARE)),
        items=jnp.array([config.kit_items.get(item, 0) for item in names.items], jnp.int8),
        mortality=jnp.array(config.mortality),
        penalty=jnp.array([fixed.to_millionths(share) for share in cost], jnp.int32),
        exits=exits.build(config),
    )


def init(world: World, key: Key) -> Slot:
    """All are well. `ends` counts from tick 0; the engine moves it to the tick at which the episode begins."""
    A = world.static.num_agents
    zeros, clocks = jnp.zeros(A, jnp.int8), exits.fresh(world, jax.random.bits(key, (A,), jnp.uint32))
    return Slot(world.params["lifecycle"].episode_ticks, zeros, jnp.full(A, LONG_AGO, jnp.int8), zeros, zeros, clocks)


def remove(state: State, agent: int | Array) -> State:
    """Have one leave in the next tick, whatever the rules say; for consoles. A slot that holds nobody stays as it is.

    Args:
        state: one town between two ticks.
        agent: index of the slot.

    Returns:
        The state, in which the agent still lives.
    """
    slot = state.slots["lifecycle"]
    asked = jnp.arange(slot.reason.shape[0], dtype=jnp.int32) == agent
    return state.put(lifecycle=slot.replace(reason=jnp.where(asked, jnp.int8(REMOVED), slot.reason)))


def sentence(world: World, state: State, event: Array | None = None) -> tuple[Array, exits.Clocks]:
    """Why each agent leaves in this tick.

    Args:
        world: the world.
        state: one town, its clocks advanced.
        event: bool[] a city event is on, or its grace; nobody leaves then for what it may have caused.

    Returns:
        i8[A] index into REASONS, 0 if it stays; and the clocks after it.
    """
    found, mortal = exits.causes(world, state), world.params["lifecycle"].mortality
    due = jnp.where(mortal, exits.first_reason(found), jnp.int8(0))
    free = due if event is None else jnp.where(mortal, exits.first_reason(exits.suppress(found, event)), jnp.int8(0))
    goes, clocks = exits.gate(world, state, due != 0, free != 0)
    return jnp.where(goes, free, jnp.int8(0)), clocks


def leave(world: World, state: State, bits: Array) -> tuple[State, Array]:
    """Those for whom it is time go, and what they own with them. Returns who left, bool[A]."""
    params, removed = world.params["lifecycle"], state.slots["lifecycle"].reason == REMOVED
    state = exits.advance(world, state)
    event = perturbations.suppresses(world, state) if world.static.has("perturbations") else None
    reason, clocks = sentence(world, state, event)
    reason = jnp.where(removed & state.agents.alive, jnp.int8(REMOVED), reason)
    reason = blocks.once(reason)
    slot, agents, gone = state.slots["lifecycle"], state.agents, reason != 0
    least, most = params.arrive_after[0], params.arrive_after[1]
    wait = (least + ((bits >> 16) % (most - least + 1).astype(jnp.uint32)).astype(jnp.int32)).astype(jnp.int8)
    estate = masks.total(jnp.where(gone, agents.wallet, 0))
    agents = agents.replace(
        alive=agents.alive & ~gone,
        needs=jnp.where(gone[:, None], 0, agents.needs),
        wallet=jnp.where(gone, 0, agents.wallet),
        items=jnp.where(gone[:, None], jnp.int8(0), agents.items),
    )
    slot = slot.replace(
        critical=jnp.where(gone, jnp.int8(0), slot.critical),
        since=jnp.where(gone, 0, jnp.minimum(slot.since + 1, LONG_AGO)).astype(jnp.int8),
        arrives=jnp.where(gone, wait, jnp.maximum(slot.arrives - 1, 0)),
        reason=reason,
        clocks=clocks,
    )
    state = state.replace(agents=agents, terminated=gone).put(lifecycle=slot)
    return economy.book(state, estates=-estate), gone


def arrive(world: World, state: State, gone: Array, bits: Array) -> State:
    """Newcomers step off the bus where their entry is free, one at a time."""
    params, slot, agents = world.params["lifecycle"], state.slots["lifecycle"], state.agents
    entries = world.map.entry_cell
    index = jnp.arange(world.static.num_agents, dtype=jnp.int32)
    entry = entries[index % entries.shape[0]]
    free = ~((entry[:, None] == agents.cell[None, :]) & agents.alive[None, :]).any(-1)
    waits = ~agents.alive & ~gone & (slot.arrives == 0) & free
    comes = blocks.once(auction.first(entry, waits, index))
    money = params.wallet if params.rents is None else fixed.scale(world.params["economy"].rent, params.rents)
    agents = agents.replace(
        alive=agents.alive | comes,
        generation=agents.generation + comes.astype(jnp.int16),
        cell=jnp.where(comes, entry, agents.cell),
        needs=jnp.where(comes[:, None], params.needs, agents.needs),
        wallet=jnp.where(comes, money, agents.wallet),
        items=jnp.where(comes[:, None], params.items, agents.items),
    )
    if params.exits.lifespan is not None:
        left = jnp.where(comes, exits.lifespan(world, bits), slot.clocks.left)
        state = state.put(lifecycle=slot.replace(clocks=slot.clocks.replace(left=left)))
    kits = masks.total(jnp.where(comes, money, 0))
    return economy.book(state.replace(agents=agents), kits=kits)


def step(world: World, state: State, bits: Array) -> State:
    """People leave, people arrive, and at its last tick the episode is cut short."""
    state, gone = leave(world, state, bits)  # the same bits for both: nobody leaves and arrives in one tick
    state = arrive(world, state, gone, bits)
    return state.replace(truncated=state.tick >= state.slots["lifecycle"].ends)


def guarded(world: World, state: State) -> Array:
    """Who may earn no positive reward: bool[A], while a need is critical, in line for an exit, and some ticks after one."""
    slot = state.slots["lifecycle"]
    around = (slot.critical > 0) | (slot.since <= world.params["lifecycle"].guard)
    return around if slot.clocks.waiting is None else around | (slot.clocks.waiting > 0)


def rewards(world: World, state: State):
    """Survival = 1 for each tick alive; terminal = minus the `penalty` of the reason in the tick of an exit, 1 for most."""
    penalty = world.params["lifecycle"].penalty[state.slots["lifecycle"].reason]
    return {
        "survival": jnp.where(state.agents.alive, jnp.int32(fixed.MILLION), 0),
        "terminal": jnp.where(state.terminated, -penalty, 0),
    }


def metrics(world: World, state: State):
    """Agents alive, exits in this tick by reason, and who waits in line, as far as the world has them."""
    number = lambda mask: masks.total(mask).astype(jnp.float32)
    slot, told = state.slots["lifecycle"], {"collapse": "collapses", "eviction": "evictions"}
    known = [reason for reason, _ in exits.causes(world, state)]
    found = {told.get(reason, f"exits/{reason}"): number(slot.reason == REASONS.index(reason)) for reason in known}
    line = {} if slot.clocks.waiting is None else {"waiting_to_leave": number(slot.clocks.waiting > 0)}
    return {"alive": number(state.agents.alive), **found, **line}


def check(config) -> list[tuple[str, str]]:
    """Reasons that do not exist, penalties and lifespans out of range, and causes that nothing could bring about."""
    section, path = config.systems.lifecycle, "systems.lifecycle"
    wrong = [
        (f"{path}.penalty.{reason}", f"{share}: allowed are 0.0 to 1.0 for {', '.join(REASONS[1:])}")
        for reason, share in section.penalty.items()
        if reason not in REASONS[1:] or not 0 <= share <= 1
    ]
    if section.age is not None and section.age.least > section.age.most:
        wrong.append((f"{path}.age", f"{section.age.least} to {section.age.most} days: allowed are least <= most"))
    if section.unemployment is not None and config.systems.employment is None:
        wrong.append((f"{path}.unemployment", "needs the system 'employment', which this world does not run"))
    if section.recovery is not None and config.systems.economy is not None and not config.systems.economy.rent:
        wrong.append((f"{path}.recovery", "is a way out of an eviction, but there is no rent to owe"))
    return wrong


SYSTEM = System(
    "lifecycle",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    draws=lambda world: world.static.num_agents,
    writes=("agents", "terminated", "truncated", "slots.lifecycle", "slots.economy"),
    requires=("economy",),
    terms=("survival", "terminal"),
    check=check,
)
