"""Employment: shifts every day, on time, late or absent, a wage for each tick at the post.

    before start - notice   IDLE
    before start            AWAIT
    at the post             ON_TIME, or LATE once one has been late or absent
    away                    ON_TIME within the grace; LATE if one never came; ABSENT after `absence_slack` ticks away
    after the end           POST

Who arrives in town during a shift is not expected until the next day.

reads  tick, agents
writes agents.wallet, slots.employment, slots.economy
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..types import NOTHING, Array, Key, Section, State, System, World
from . import economy

STATES = ("idle", "await", "on_time", "late", "absent", "post")
IDLE, AWAIT, ON_TIME, LATE, ABSENT, POST = range(6)


class Job(Section):
    """One trade; the map says where its posts are."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="the word for it, as in the legend's `post:`")
    start: int = Field(ge=0, description="tick of the day")
    end: int = Field(ge=1, description="tick of the day after the last of the shift")
    wage: float = Field(ge=0, le=1, description="coins per tick at the post")
    late_fine: float = Field(0.0, ge=0, le=10, description="coins, once a shift")


class Config(Section):
    """Jobs; their order is their index."""

    jobs: tuple[Job, ...] = Field(min_length=1, max_length=16, description="the trades of the town")
    grace_ticks: int = Field(5, ge=0, le=120, description="ticks after the start within which one is on time")
    absence_slack: int = Field(20, ge=0, le=600, description="ticks away after which one counts as absent")
    absent_fine: float = Field(0.2, ge=0, le=5, description="coins, each time one becomes absent")
    attendance_window: int = Field(3, ge=1, le=14, description="shifts over which attendance is averaged")
    notice: int = Field(90, ge=0, le=600, description="ticks before the start from which one may go to work")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    start: Array  # i16[J]
    end: Array  # i16[J]
    wage: Array  # i32[J] mills per tick
    late_fine: Array  # i32[J] mills
    grace: Array  # i16[]
    slack: Array  # i16[]
    absent_fine: Array  # i32[] mills
    notice: Array  # i16[]
    no_shifts: Array  # i16[window] zeros; its length is the attendance window


class Slot(struct.PyTreeNode):
    """Each agent's shift."""

    shift: Array  # i8[A] index into STATES
    present: Array  # i16[A] ticks at the post in this shift
    away: Array  # i16[A] ticks away in a row in this shift
    pay: Array  # i32[A] mills earned in this tick
    attended: Array  # i16[A, window] share of each of the last shifts spent at the post, parts of fixed.SHARE


def build(config, names) -> Params:
    """YAML to arrays."""
    row = lambda field, dtype: jnp.array([field(job) for job in config.jobs], dtype)
    return Params(
        start=row(lambda job: job.start, jnp.int16),
        end=row(lambda job: job.end, jnp.int16),
        wage=row(lambda job: fixed.to_mills(job.wage), jnp.int32),
        late_fine=row(lambda job: fixed.to_mills(job.late_fine), jnp.int32),
        grace=jnp.int16(config.grace_ticks),
        slack=jnp.int16(config.absence_slack),
        absent_fine=jnp.int32(fixed.to_mills(config.absent_fine)),
        notice=jnp.int16(config.notice),
        no_shifts=jnp.zeros(config.attendance_window, jnp.int16),
    )


def fresh(world: World) -> Slot:
    """The slot of people who have never worked here; they get the benefit of the doubt."""
    A, window = world.static.num_agents, world.params["employment"].no_shifts
    zeros = jnp.zeros(A, jnp.int16)
    attended = jnp.broadcast_to(window + jnp.int16(fixed.SHARE), (A, window.shape[0]))
    return Slot(jnp.full(A, IDLE, jnp.int8), zeros, zeros, jnp.zeros(A, jnp.int32), attended)


def init(world: World, key: Key) -> Slot:
    """Nobody has worked yet."""
    return fresh(world)


def roster(world: World) -> tuple[Array, Array, Array]:
    """The job i32[A] of each slot, its first tick and the tick after its last i16[A]; nobody's job starts never."""
    params, post = world.params["employment"], world.map.agent_post
    employed = post != NOTHING
    job = world.map.post_job[jnp.where(employed, post, jnp.int16(0))].astype(jnp.int32)
    never = jnp.int16(NOTHING)
    return job, jnp.where(employed, params.start[job], never), jnp.where(employed, params.end[job], never)


def at_post(world: World, state: State) -> Array:
    """Who stands at the own post, or one step from it: bool[A]."""
    static, post = world.static, world.map.agent_post
    target = static.num_facilities * static.num_places + jnp.where(post == NOTHING, jnp.int16(0), post).astype(
        jnp.int32
    )
    return state.agents.alive & (post != NOTHING) & (world.map.distance[state.agents.cell, target] <= 1)


def time_of_day(world: World, tick: Array) -> Array:
    """Ticks since midnight at a tick i32[] of the episode: i16[]."""
    return (tick % world.static.ticks_per_day).astype(jnp.int16)


def may_work(world: World, state: State) -> Array:
    """Who may choose to go to work in the next tick: bool[A], from `notice` ticks before the shift to its end."""
    _, start, end = roster(world)
    time = time_of_day(world, state.tick + 1)
    until = until_start(world, time)
    soon = (until <= world.params["employment"].notice) & (world.map.agent_post != NOTHING)
    on_shift = (start < time) & (time < end) & on_duty(state.slots["employment"].shift)
    return state.agents.alive & (soon | on_shift)


def until_start(world: World, time: Array) -> Array:
    """Ticks from a tick of the day to the next start of each agent's shift, over midnight if need be: i16[A]."""
    _, start, _ = roster(world)
    return ((start - time).astype(jnp.int32) % world.static.ticks_per_day).astype(jnp.int16)


def on_duty(shift: Array) -> Array:
    """Which of the states of a shift i8[A] belong to its hours: bool[A]."""
    return (shift == ON_TIME) | (shift == LATE) | (shift == ABSENT)


def is_present(slot: Slot) -> Array:
    """Who is at the post in the own shift: bool[A]."""
    return on_duty(slot.shift) & (slot.away == 0)


def advance(params: Params, slot: Slot, time: Array, start: Array, present: Array) -> tuple[Array, Array, Array]:
    """The state i8[A] of those who are in their shift, with the ticks present and away i16[A]."""
    first = time == start
    came = jnp.where(first, jnp.int16(0), slot.present) + present.astype(jnp.int16)
    away = jnp.where(present, jnp.int16(0), jnp.where(first, jnp.int16(0), slot.away) + jnp.int16(1))
    before = jnp.where(first, jnp.int8(ON_TIME), slot.shift)
    here = jnp.where(before == ON_TIME, ON_TIME, LATE)
    never_came = jnp.where(time - start < params.grace, ON_TIME, LATE)
    gone = jnp.where(away > params.slack, ABSENT, jnp.where(came == 0, never_came, before))
    return jnp.where(present, here, gone).astype(jnp.int8), came, away


def step(world: World, state: State, key: Key) -> State:
    """Clock in and out, pay and fine."""
    params, slot, agents = world.params["employment"], state.slots["employment"], state.agents
    job, start, end = roster(world)
    time = time_of_day(world, state.tick)
    works = agents.alive & (time < end) & ((time == start) | (on_duty(slot.shift) & (time > start)))
    present = at_post(world, state) & works
    shift, came, away = advance(params, slot, time, start, present)

    before = jnp.where(time == start, jnp.int8(ON_TIME), slot.shift)
    fine = jnp.where(works & (shift == LATE) & (before == ON_TIME), params.late_fine[job], 0)
    fine = jnp.where(works & (shift == ABSENT) & (before != ABSENT), params.absent_fine, fine)
    pay = jnp.where(present, params.wage[job], 0)
    fine = jnp.minimum(fine, agents.wallet + pay)

    ends = (time == end % world.static.ticks_per_day) & on_duty(slot.shift)
    length = jnp.maximum(end - start, 1).astype(jnp.int32)
    sample = (slot.present.astype(jnp.int32) * fixed.SHARE // length).astype(jnp.int16)
    ring = jnp.concatenate([sample[:, None], slot.attended[:, :-1]], axis=1)
    soon = (until_start(world, time) <= params.notice) & (world.map.agent_post != NOTHING)
    rest = jnp.where(ends | ((slot.shift == POST) & (time >= end)), POST, jnp.where(soon, AWAIT, IDLE)).astype(jnp.int8)
    alive = agents.alive
    none = fresh(world)
    worked = Slot(
        shift=jnp.where(alive, jnp.where(works, shift, rest), none.shift),
        present=jnp.where(alive & works, came, none.present),
        away=jnp.where(alive & works, away, none.away),
        pay=pay,
        attended=jnp.where(alive[:, None], jnp.where(ends[:, None], ring, slot.attended), none.attended),
    )
    state = state.replace(agents=agents.replace(wallet=agents.wallet + pay - fine)).put(employment=worked)
    return economy.book(state, wages=masks.total(pay), fines=-masks.total(fine))


def attendance(state: State) -> Array:
    """The mean share of the last shifts that each agent spent at its post: f32[A]."""
    return fixed.to_float(state.slots["employment"].attended.astype(jnp.int32), fixed.SHARE).mean(-1)


def rewards(world: World, state: State):
    """`wage` is the coins earned in this tick, `punctuality` 1 for each tick at the post in a shift begun on time."""
    slot = state.slots["employment"]
    on_time = (slot.shift == ON_TIME) & is_present(slot)
    return {
        "wage": slot.pay * (fixed.MILLION // fixed.COIN),
        "punctuality": jnp.where(on_time, jnp.int32(fixed.MILLION), 0),
    }


def metrics(world: World, state: State):
    """Agents at their post and agents expected there; attendance is the ratio of their sums over time."""
    slot = state.slots["employment"]
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    return {"shift/present": number(is_present(slot)), "shift/expected": number(on_duty(slot.shift))}


SYSTEM = System(
    "employment",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    writes=("agents.wallet", "slots.employment", "slots.economy.ledger"),
    requires=("economy",),
    terms=("wage", "punctuality"),
)
