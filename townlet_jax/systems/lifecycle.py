"""Lifecycle: who collapses or is evicted, who moves in instead, and when the episode is cut short.

A slot outlives its person: a newcomer arrives at the edge of the map some ticks later, with a starter kit and no memories. While
a slot is empty every system resets its own part of it.

reads  tick, agents, slots.economy
writes agents, terminated, truncated, slots.lifecycle, slots.economy
"""

import jax
import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, fixed, masks
from ..types import Array, Key, Section, State, System, World
from . import economy

REASONS = ("none", "collapse", "eviction")
LONG_AGO = 100  # ticks since an exit, at most


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
    kit_items: dict[str, int] = Field({}, description="the belongings of a newcomer")


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
    items: Array  # i8[I]


class Slot(struct.PyTreeNode):
    """Each slot's fate."""

    ends: Array  # i32[] tick at which the episode is cut short
    critical: Array  # i8[A] ticks in a row with a critical need
    since: Array  # i8[A] ticks since the last exit from this slot, at most LONG_AGO
    arrives: Array  # i8[A] ticks until a newcomer comes, 0 if alive or waiting for a free entry
    reason: Array  # i8[A] why the agent left in this tick, index into REASONS


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        episode_ticks=jnp.int32(config.episode_ticks),
        critical=jnp.array([fixed.to_need(config.collapse.get(need, 0.0)) for need in names.needs], jnp.int32),
        collapse_ticks=jnp.int8(config.collapse_ticks),
        evict_after=jnp.int8(config.evict_after),
        arrive_after=jnp.array(config.arrive_after, jnp.int32),
        guard=jnp.int8(config.guard_ticks),
        needs=jnp.full(len(names.needs), fixed.to_need(config.kit_needs), jnp.int32),
        wallet=jnp.int32(fixed.to_mills(config.kit_wallet)),
        items=jnp.array([config.kit_items.get(item, 0) for item in names.items], jnp.int8),
    )


def init(world: World, key: Key) -> Slot:
    """All are well. `ends` counts from tick 0; the engine moves it to the tick at which the episode begins."""
    A = world.static.num_agents
    zeros = jnp.zeros(A, jnp.int8)
    return Slot(world.params["lifecycle"].episode_ticks, zeros, jnp.full(A, LONG_AGO, jnp.int8), zeros, zeros)


def leave(world: World, state: State, key: Key) -> tuple[State, Array]:
    """Those who collapse or are evicted go, and what they own with them. Returns who left, bool[A]."""
    params, slot, agents = world.params["lifecycle"], state.slots["lifecycle"], state.agents
    low = (agents.needs < params.critical).any(-1) & agents.alive
    critical = jnp.where(low, slot.critical + 1, 0).astype(jnp.int8)
    collapses = critical >= params.collapse_ticks
    evicted = agents.alive & (state.slots["economy"].unpaid >= params.evict_after)
    gone = collapses | evicted
    least, most = params.arrive_after[0], params.arrive_after[1]
    bits = jax.random.bits(key, (world.static.num_agents,), jnp.uint32) >> 16
    wait = (least + (bits % (most - least + 1).astype(jnp.uint32)).astype(jnp.int32)).astype(jnp.int8)
    estate = masks.total(jnp.where(gone, agents.wallet, 0))
    agents = agents.replace(
        alive=agents.alive & ~gone,
        needs=jnp.where(gone[:, None], 0, agents.needs),
        wallet=jnp.where(gone, 0, agents.wallet),
        items=jnp.where(gone[:, None], jnp.int8(0), agents.items),
    )
    slot = slot.replace(
        critical=jnp.where(gone, jnp.int8(0), critical),
        since=jnp.where(gone, 0, jnp.minimum(slot.since + 1, LONG_AGO)).astype(jnp.int8),
        arrives=jnp.where(gone, wait, jnp.maximum(slot.arrives - 1, 0)),
        reason=jnp.where(collapses, 1, jnp.where(evicted, 2, 0)).astype(jnp.int8),
    )
    state = state.replace(agents=agents, terminated=gone).put(lifecycle=slot)
    return economy.book(state, estates=-estate), gone


def arrive(world: World, state: State, gone: Array) -> State:
    """Newcomers step off the bus where their entry is free, one at a time."""
    params, slot, agents = world.params["lifecycle"], state.slots["lifecycle"], state.agents
    entries = world.map.entry_cell
    index = jnp.arange(world.static.num_agents, dtype=jnp.int32)
    entry = entries[index % entries.shape[0]]
    free = ~((entry[:, None] == agents.cell[None, :]) & agents.alive[None, :]).any(-1)
    waits = ~agents.alive & ~gone & (slot.arrives == 0) & free
    comes = auction.first(entry, waits, index)
    agents = agents.replace(
        alive=agents.alive | comes,
        generation=agents.generation + comes.astype(jnp.int16),
        cell=jnp.where(comes, entry, agents.cell),
        needs=jnp.where(comes[:, None], params.needs, agents.needs),
        wallet=jnp.where(comes, params.wallet, agents.wallet),
        items=jnp.where(comes[:, None], params.items, agents.items),
    )
    kits = masks.total(jnp.where(comes, params.wallet, 0))
    return economy.book(state.replace(agents=agents), kits=kits)


def step(world: World, state: State, key: Key) -> State:
    """People leave, people arrive, and at its last tick the episode is cut short."""
    state, gone = leave(world, state, key)
    state = arrive(world, state, gone)
    return state.replace(truncated=state.tick >= state.slots["lifecycle"].ends)


def guarded(world: World, state: State) -> Array:
    """Who may earn no positive reward: bool[A], while a need is critical and for some ticks after an exit."""
    slot = state.slots["lifecycle"]
    return (slot.critical > 0) | (slot.since <= world.params["lifecycle"].guard)


def rewards(world: World, state: State):
    """Survival = 1 for each tick alive; terminal = -1 in the tick of an exit."""
    return {
        "survival": jnp.where(state.agents.alive, jnp.int32(fixed.MILLION), 0),
        "terminal": jnp.where(state.terminated, jnp.int32(-fixed.MILLION), 0),
    }


def metrics(world: World, state: State):
    """Agents alive, and exits in this tick by reason."""
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    reason = state.slots["lifecycle"].reason
    return {"alive": number(state.agents.alive), "collapses": number(reason == 1), "evictions": number(reason == 2)}


SYSTEM = System(
    "lifecycle",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    writes=("agents", "terminated", "truncated", "slots.lifecycle", "slots.economy.ledger"),
    requires=("economy",),
    terms=("survival", "terminal"),
)
