"""The table of events: what begins and what ends, by chance, by schedule or by hand. The inner part of `perturbations`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from ..core import agenda, fixed, masks
from ..types import NOTHING, Array, Key, State, World
from . import meetings
from .events import MAX_TICKS

CANCELLED = -1


class Slot(struct.PyTreeNode):
    """The table of events."""

    ends: Array  # i32[E] the first tick in which it is over; 0 if it is off, CANCELLED until the next tick sees it
    since: Array  # i32[E] the first tick in which it is or was on, NEVER at first
    ended: Array  # bool[E] it ended in this tick
    magnitude: Array  # i16[E] factor of prices, parts of fixed.SHARE
    ready: Array  # i32[E] tick from which it may begin by itself
    due: Array  # i32[E] tick to which it was put off, 0 if it was not
    past: Array  # i32[E, W] its last starts, newest first, NEVER if there are none
    elapsed: Array  # i32[] ticks since the episode began
    calm: Array  # i32[] tick from which people may have to leave again
    shut: Array | None  # i16[closures] the facility that is closed, NOTHING if all of the kind; None without closures
    people: meetings.People | None  # None without meetings


def init(world: World, key: Key) -> Slot:
    """Nothing is the matter."""
    params = world.params["perturbations"]
    E, closures = len(params.names), len(params.rows("closure"))
    zeros, never = jnp.zeros(E, jnp.int32), jnp.full(E, agenda.NEVER, jnp.int32)
    zero = jnp.zeros((), jnp.int32)
    return Slot(
        ends=zeros,
        since=never,
        ended=jnp.zeros(E, bool),
        magnitude=jnp.full(E, fixed.SHARE, jnp.int16),
        ready=zeros,
        due=zeros,
        past=jnp.full((E, params.memory), agenda.NEVER, jnp.int32),
        elapsed=zero,
        calm=zero,
        shut=jnp.full(closures, NOTHING, jnp.int16) if closures else None,
        people=meetings.init(world),
    )


def active(world: World, state: State, tick: Array | None = None) -> Array:
    """Which events are on: bool[E], in this tick or in a later one i32[], as far as it is known now."""
    return state.slots["perturbations"].ends > (state.tick if tick is None else tick)


class Plan(NamedTuple):
    """What is to begin in this tick; a row an event."""

    starts: Array  # bool[E]
    ticks: Array  # i32[E]
    magnitude: Array  # i32[E] parts of fixed.SHARE
    agents: Array  # bool[E, A] who is called, nobody if fairness is to choose


def begin(world: World, state: State, plan: Plan, bits: Array) -> State:
    """Begin what is planned, from this tick on; `bits` u32[F] choose what closes."""
    params = world.params["perturbations"]
    state, starts = meetings.call(world, state, plan.starts, plan.agents)
    slot, shut = state.slots["perturbations"], state.slots["perturbations"].shut
    for row, e in enumerate(params.rows("closure")):
        hit = params.at[e][world.map.facility_kind]
        one = jnp.argmax(jnp.where(hit, bits | jnp.uint32(1), jnp.uint32(0))).astype(jnp.int16)
        one = jnp.where(params.every[e], jnp.int16(NOTHING), one)
        shut = shut.at[row].set(jnp.where(starts[e], one, shut[row]))
    return state.put(
        perturbations=slot.replace(
            ends=jnp.where(starts, state.tick + jnp.clip(plan.ticks, 1, MAX_TICKS), slot.ends),
            since=jnp.where(starts, state.tick, slot.since),
            magnitude=jnp.where(starts, plan.magnitude.astype(jnp.int16), slot.magnitude),
            due=jnp.where(starts, 0, slot.due),
            past=agenda.remember(slot.past, starts, state.tick),
            shut=shut,
        )
    )


def end(world: World, state: State) -> State:
    """Let what is over end: its time is up, it was cancelled, or fewer than two are left of a meeting."""
    params, slot = world.params["perturbations"], state.slots["perturbations"]
    over = (slot.ends != 0) & (slot.ends <= state.tick)
    people, over = meetings.part(world, state, over)
    return state.put(
        perturbations=slot.replace(
            ends=jnp.where(over, 0, slot.ends),
            ended=over,
            ready=jnp.where(over, state.tick + params.cooldown, slot.ready),
            elapsed=slot.elapsed + 1,
            people=people,
        )
    )


def scheduled(world: World, state: State, plan: Plan) -> Plan:
    """A plan with what the schedule says of this tick instead, where it says something."""
    table = world.params["perturbations"].schedule
    if table is None:
        return plan
    E, day = plan.starts.shape[0], world.static.ticks_per_day
    by_clock = (table.tick == state.tick % day) & ((table.day < 0) | (table.day == state.tick // day))
    now = by_clock | (table.at == state.slots["perturbations"].elapsed)
    hits = now[None, :] & (table.event[None, :] == jnp.arange(E, dtype=jnp.int8)[:, None])  # [E, S]
    starts = hits.any(1)
    ticks, magnitude = (jnp.where(hits, x, 0).max(1) for x in (table.ticks, table.magnitude))
    agents = (hits[:, :, None] & table.agents[None, :, : world.static.num_agents]).any(1)
    return Plan(
        starts=starts,
        ticks=jnp.where(starts & (ticks > 0), ticks, plan.ticks),
        magnitude=jnp.where(starts & (magnitude > 0), magnitude, plan.magnitude),
        agents=agents,
    )


def by_chance(world: World, state: State, planned: Array, dice: Array) -> tuple[Array, Array]:
    """What begins by itself, bool[E], and to when each event is put off, i32[E].

    Args:
        world: the world.
        state: one town, with what is over ended.
        planned: bool[E] what begins anyway.
        dice: u32[3, E] random bits.
    """
    params, slot = world.params["perturbations"], state.slots["perturbations"]
    on = active(world, state)
    chaos = jnp.array([kind == "chaos" for kind in params.kinds])
    factor = jnp.where((on & chaos).any() & ~chaos, params.chaos, 1)
    drawn = (dice[0] >> 8).astype(jnp.int32) < agenda.per_tick(params.chance, world.static.ticks_per_day, factor)
    allowed = (params.limit == 0) | (agenda.recent(slot.past, state.tick, params.window) < params.limit)
    allowed = allowed & ~on & ~planned & (state.tick >= slot.ready) & meetings.possible(world, state)
    comes = jnp.where(slot.due > 0, slot.due <= state.tick, drawn)
    wants = allowed & comes
    room = params.max_concurrent - masks.total((on | planned) & ~chaos)
    starts = agenda.admit(wants & ~chaos, room, dice[1]) | (wants & chaos)
    later = state.tick + agenda.draw(dice[2], jnp.int32(1), params.stagger)
    return starts, jnp.where(wants & ~starts, later, jnp.where(comes, 0, slot.due))


def draws(world: World, dice: Array) -> Plan:
    """A plan in which nothing begins, with lengths and magnitudes drawn from u32[2, E]."""
    params = world.params["perturbations"]
    ticks, factor = (agenda.draw(bits, x[:, 0], x[:, 1]) for bits, x in zip(dice, (params.ticks, params.magnitude)))
    E = len(params.names)
    return Plan(jnp.zeros(E, bool), ticks, factor, jnp.zeros((E, world.static.num_agents), bool))


def trigger(
    world: World,
    state: State,
    event: int | Array,
    ticks: int | Array | None = None,
    magnitude: int | Array | None = None,
    agents: Array | None = None,
    key: Key | None = None,
) -> State:
    """Begin an event by hand, between two ticks; it is on at once and for the next `ticks` ticks.

    No cooldown, window or limit is asked. An event that is on begins anew.

    Args:
        world: the world.
        state: one town.
        event: index into `params.names`.
        ticks: i32[] how long, 1 to MAX_TICKS; drawn if None or 0.
        magnitude: i32[] factor of prices, parts of fixed.SHARE from SHARE to 4 SHARE; drawn if None or 0.
        agents: bool[A] who is called to a meeting; chosen if None or empty. Nothing begins if fewer than two of them are alive.
        key: for what is drawn; made from the tick if None.

    Returns:
        The state.
    """
    params, tick = world.params["perturbations"], state.tick
    key = jax.random.fold_in(jax.random.key(0), tick) if key is None else key
    E = len(params.names)
    bits = jax.random.bits(key, (2 * E + world.static.num_facilities,), jnp.uint32)
    plan = draws(world, bits[: 2 * E].reshape(2, E))
    starts = jnp.arange(E) == event
    if ticks is not None:
        given = jnp.full(E, ticks, jnp.int32)
        plan = plan._replace(ticks=jnp.where(given == 0, plan.ticks, given))
    if magnitude is not None:
        given = jnp.full(E, magnitude, jnp.int32)
        clipped = jnp.clip(given, fixed.SHARE, 4 * fixed.SHARE)
        plan = plan._replace(magnitude=jnp.where(given == 0, plan.magnitude, clipped))
    if agents is not None:
        plan = plan._replace(agents=jnp.asarray(agents, bool) & starts[:, None])
    state = begin(world, state.replace(tick=tick + 1), plan._replace(starts=starts), bits[2 * E :])
    return state.replace(tick=tick)


def cancel(world: World, state: State, event: int | Array) -> State:
    """End an event by hand, between two ticks: it is off at once, and the next tick reports its end."""
    slot = state.slots["perturbations"]
    hit = (jnp.arange(slot.ends.shape[0]) == event) & (slot.ends != 0)
    return state.put(
        perturbations=slot.replace(
            ends=jnp.where(hit, CANCELLED, slot.ends),
            due=jnp.where(jnp.arange(slot.ends.shape[0]) == event, 0, slot.due),
            people=meetings.dismiss(world, state, hit),
        )
    )
