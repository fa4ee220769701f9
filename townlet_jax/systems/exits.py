"""Exits: why people leave a town, and when they may. Pure functions, which the system `lifecycle` calls in its tick.

A cause or a limit that the YAML does not name is off: it has no array in the parameters or in the state, and costs nothing.

    cause         due while
    collapse      a need has been critical for `collapse_ticks` in a row
    eviction      rent is unpaid for `evict_after` days, and the recovery money was not there within `recovery.ticks`
    unemployment  no wage came for `unemployment.days`, with jobs in town
    neglect       some need was below `neglect.below` for `neglect.share` of the last 24 hours
    age           the lifespan that was drawn at birth is over

Those who are due wait in line while the caps hold them back; who is due no longer has left the line.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, lines, masks
from ..types import NOTHING, Array, Section, State, World
from . import economy, employment, reviews

REASONS = ("none", "collapse", "eviction", "unemployment", "neglect", "age", "dismissal", "removed")
REMOVED = REASONS.index("removed")
FACILITY_CAUSED = ("collapse", "neglect", "eviction")  # these wait while a city event keeps people from what they need
HOURS = 24  # parts in which the last day is counted
LONGEST_WAIT = 30_000  # ticks in line that are counted

Causes = Sequence[tuple[str, Array]]  # (reason, bool[A]); the first that holds is told


class Recovery(Section):
    """A way out of an eviction."""

    rent: float = Field(0.5, gt=0, le=1, description="share of a rent; who has more than that pays it and may stay")
    ticks: int = Field(1440, ge=1, le=30_000, description="ticks from the notice within which one must have it")


class Unemployment(Section):
    """Leaving for want of a wage."""

    days: int = Field(2, ge=1, le=60, description="days in a row without a wage while there are jobs")


class Neglect(Section):
    """Leaving after a bad day."""

    below: float = Field(0.1, gt=0, le=1, description="share of a need below which it is neglected")
    share: float = Field(0.25, gt=0, le=1, description="share of the last 24 hours with some need neglected")


class Age(Section):
    """Lives of limited length."""

    least: int = Field(10, ge=1, le=1000, description="days of the shortest life")
    most: int = Field(20, ge=1, le=1000, description="days of the longest life")


class Caps(Section):
    """No more than a few exits at a time; consoles are not bound by it."""

    exits_per_day: int = Field(2, ge=1, le=64, description="exits between two midnights, at most")
    exit_cooldown: int = Field(120, ge=0, le=30_000, description="ticks from one exit in town to the next, at least")


class Params(struct.PyTreeNode):
    """The optional rules; None where one is off."""

    recovery_rent: Array | None  # i32[] parts of fixed.SHARE
    recovery_ticks: Array | None  # i16[]
    jobless_days: Array | None  # i32[]
    neglect_below: Array | None  # i32[] parts of fixed.NEED
    neglect_share: Array | None  # i32[] parts of fixed.SHARE
    lifespan: Array | None  # i32[2] days, least and most
    per_day: Array | None  # i8[]
    cooldown: Array | None  # i16[] ticks


class Clocks(struct.PyTreeNode):
    """What the optional rules count; None where one is off. At rest for the dead."""

    notice: Array | None  # i16[A] ticks under notice, 0 if none, at most one more than the recovery may take
    jobless: Array | None  # i32[A] ticks since the last wage, at most those that make it due
    neglected: Array | None  # i16[A, HOURS] ticks with a neglected need in each hour of the last day
    left: Array | None  # i32[A] ticks left to live
    waiting: Array | None  # i16[A] ticks in line, at most LONGEST_WAIT
    today: Array | None  # i8[] exits since midnight
    since: Array | None  # i16[] ticks since the last exit in town, at most the cooldown


def build(config) -> Params:
    """The optional parts of the lifecycle's YAML as arrays."""
    either = lambda section, array: None if section is None else array(section)
    recovery, neglect, caps = config.recovery, config.neglect, config.caps
    return Params(
        recovery_rent=either(recovery, lambda part: jnp.int32(fixed.to_share(part.rent))),
        recovery_ticks=either(recovery, lambda part: jnp.int16(part.ticks)),
        jobless_days=either(config.unemployment, lambda part: jnp.int32(part.days)),
        neglect_below=either(neglect, lambda part: jnp.int32(fixed.to_need(part.below))),
        neglect_share=either(neglect, lambda part: jnp.int32(fixed.to_share(part.share))),
        lifespan=either(config.age, lambda part: jnp.array((part.least, part.most), jnp.int32)),
        per_day=either(caps, lambda part: jnp.int8(part.exits_per_day)),
        cooldown=either(caps, lambda part: jnp.int16(part.exit_cooldown)),
    )


def fresh(world: World, bits: Array) -> Clocks:
    """All clocks at rest, lifespans drawn from random bits u32[A]."""
    rules, A = world.params["lifecycle"].exits, world.static.num_agents
    zeros = lambda rule, dtype, *more: None if rule is None else jnp.zeros((A, *more), dtype)
    return Clocks(
        notice=zeros(rules.recovery_ticks, jnp.int16),
        jobless=zeros(rules.jobless_days, jnp.int32),
        neglected=zeros(rules.neglect_share, jnp.int16, HOURS),
        left=None if rules.lifespan is None else lifespan(world, bits),
        waiting=zeros(rules.per_day, jnp.int16),
        today=None if rules.per_day is None else jnp.int8(0),
        since=rules.cooldown,
    )


def lifespan(world: World, bits: Array) -> Array:
    """Ticks to live, all from the shortest to the longest life equally likely: i32[A] from random bits u32[A]."""
    ticks = world.params["lifecycle"].exits.lifespan * world.static.ticks_per_day
    return ticks[0] + (bits % (ticks[1] - ticks[0] + 1).astype(jnp.uint32)).astype(jnp.int32)


def advance(world: World, state: State) -> State:
    """One tick on all clocks; who is under notice and can recover does."""
    params, slot, agents = world.params["lifecycle"], state.slots["lifecycle"], state.agents
    rules, clocks, alive = params.exits, slot.clocks, agents.alive
    low = (agents.needs < params.critical).any(-1) & alive
    critical = jnp.where(low, jnp.minimum(slot.critical + 1, params.collapse_ticks), 0).astype(jnp.int8)
    if rules.recovery_ticks is not None:
        state, under = recover(world, state)
        notice = jnp.minimum(clocks.notice, rules.recovery_ticks) + jnp.int16(1)
        clocks = clocks.replace(notice=jnp.where(under, notice, jnp.int16(0)))
    if rules.jobless_days is not None:
        idle = alive & has_prospects(world, state) & (state.slots["employment"].pay == 0)
        most = rules.jobless_days * world.static.ticks_per_day
        clocks = clocks.replace(jobless=jnp.where(idle, jnp.minimum(clocks.jobless + 1, most), 0))
    if rules.neglect_share is not None:
        neglects = (agents.needs < rules.neglect_below).any(-1)
        neglected = lines.last_day(clocks.neglected, neglects, state.tick, world.static.ticks_per_day)
        clocks = clocks.replace(neglected=jnp.where(alive[:, None], neglected, jnp.int16(0)))
    if rules.lifespan is not None:
        clocks = clocks.replace(left=jnp.where(alive, jnp.maximum(clocks.left - 1, 0), 0))
    return state.put(lifecycle=slot.replace(critical=critical, clocks=clocks))


def recover(world: World, state: State) -> tuple[State, Array]:
    """Who is under notice and has more than the recovery money pays it, and has one unpaid day less to answer for.

    Returns:
        The state, and who is under notice still: bool[A].
    """
    params, agents, slot = world.params["lifecycle"], state.agents, state.slots["economy"]
    price = fixed.scale(world.params["economy"].rent, params.exits.recovery_rent)
    owes = agents.alive & (slot.unpaid >= params.evict_after)
    pays = owes & (agents.wallet > price)
    paid = jnp.where(pays, price, 0)
    unpaid = jnp.where(pays, params.evict_after - jnp.int8(1), slot.unpaid)
    state = state.replace(agents=agents.replace(wallet=agents.wallet - paid)).put(economy=slot.replace(unpaid=unpaid))
    return economy.book(state, rent=-masks.total(paid)), owes & ~pays


def has_prospects(world: World, state: State) -> Array:
    """Who has a post, or could have one that nobody living holds: bool[A]."""
    post = employment.post_of(world, state)
    held = jnp.where(state.agents.alive, post, jnp.int16(NOTHING))
    return (post != NOTHING) | employment.vacant(world, held).any()


def causes(world: World, state: State) -> Causes:
    """Who is due, by cause; the first cause that holds is told."""
    params, slot, alive = world.params["lifecycle"], state.slots["lifecycle"], state.agents.alive
    rules, clocks, day = params.exits, slot.clocks, world.static.ticks_per_day
    evicted = state.slots["economy"].unpaid >= params.evict_after
    if rules.recovery_ticks is not None:
        evicted = clocks.notice > rules.recovery_ticks
    found = [("collapse", slot.critical >= params.collapse_ticks), ("eviction", evicted)]
    if rules.jobless_days is not None:
        found.append(("unemployment", clocks.jobless >= rules.jobless_days * day))
    if rules.neglect_share is not None:
        found.append(("neglect", neglect(world, state) >= rules.neglect_share * day))
    if rules.lifespan is not None:
        found.append(("age", clocks.left == 0))
    if world.static.has("reviews"):
        found.append(("dismissal", reviews.dismissed(state)))
    return [(reason, due & alive) for reason, due in found]


def neglect(world: World, state: State) -> Array:
    """Ticks of the last day with a neglected need, in parts of fixed.SHARE: i32[A]."""
    return state.slots["lifecycle"].clocks.neglected.sum(-1, dtype=jnp.int16).astype(jnp.int32) * fixed.SHARE


def suppress(found: Causes, event: Array) -> Causes:
    """The causes that count while a city event is on, bool[]: nobody leaves for what it may have caused."""
    return [(reason, due & ~event if reason in FACILITY_CAUSED else due) for reason, due in found]


def first_reason(found: Causes) -> Array:
    """The first cause that holds for each agent: i8[A] index into REASONS, 0 if none does."""
    reason = jnp.zeros(found[0][1].shape, jnp.int8)
    for name, due in reversed(found):
        reason = jnp.where(due, jnp.int8(REASONS.index(name)), reason)
    return reason


def gate(world: World, state: State, due: Array, may: Array) -> tuple[Array, Clocks]:
    """Who leaves in this tick.

    Args:
        world: the world.
        state: one town, its clocks advanced.
        due: bool[A] who is in line.
        may: bool[A] who of them is free to go; the others keep their place.

    Returns:
        bool[A], and the clocks after it.
    """
    rules, clocks = world.params["lifecycle"].exits, state.slots["lifecycle"].clocks
    if rules.per_day is None:
        return may, clocks
    midnight = state.tick % world.static.ticks_per_day == 0
    today = jnp.where(midnight, jnp.int8(0), clocks.today)
    since = jnp.minimum(clocks.since, rules.cooldown - jnp.int16(1)) + jnp.int16(1)
    room = jnp.where(rules.cooldown > 0, jnp.minimum(rules.per_day - today, 1), rules.per_day - today)
    room = jnp.where(since >= rules.cooldown, room, jnp.int8(0))
    goes = lines.pass_first(may, clocks.waiting, state.intent.priority, room)
    waiting = jnp.where(due & ~goes, jnp.minimum(clocks.waiting, LONGEST_WAIT - 1) + jnp.int16(1), jnp.int16(0))
    since = jnp.where(goes.any(), jnp.int16(0), since)
    return goes, clocks.replace(waiting=waiting, today=today + masks.count(goes), since=since)
