"""Employment: shifts every day, on time, late or absent, a wage for each tick at the post. `core.shifts` has the states.

Who arrives in town, or is hired, during a shift is not expected until the next day. Who holds which post is fixed, unless the
world runs `hiring`; whoever wants to know asks `post_of`.

reads  tick, agents, slots.hiring, slots.tuner
writes agents.wallet, slots.employment, slots.economy
"""

import jax.numpy as jnp
from flax import struct

from ..core import blocks, fixed, masks, shifts
from ..core.shifts import AWAIT, BECAME_LATE, IDLE, LATE, ON_TIME, POST, QUIET, on_duty
from ..core.shifts import STATES as STATES
from ..types import NOTHING, Array, Key, State, System, World
from . import economy, tuner
from .jobs import Config, Params, build


class Slot(struct.PyTreeNode):
    """Each agent's shift."""

    shift: Array  # i8[A] index into STATES
    present: Array  # i16[A] ticks at the post in this shift
    away: Array  # i16[A] ticks away in a row in this shift
    pay: Array  # i32[A] mills earned in this tick
    attended: Array  # i16[A, window] share of each of the last shifts spent at the post, parts of fixed.SHARE
    event: Array  # i8[A] what has just happened, index into shifts.EVENTS


def init(world: World, key: Key) -> Slot:
    """Nobody has worked yet; all have the benefit of the doubt."""
    A, params = world.static.num_agents, world.params["employment"]
    zeros, none = jnp.zeros(A, jnp.int16), jnp.zeros(A, jnp.int8)
    attended = jnp.broadcast_to(doubt(params), (A, params.no_shifts.shape[0]))
    return Slot(none, zeros, zeros, jnp.zeros(A, jnp.int32), attended, none)


def doubt(params: Params) -> Array:
    """The last shifts i16[window] of one who has never worked here."""
    return params.no_shifts + jnp.int16(fixed.SHARE)


def post_of(world: World, state: State) -> Array:
    """The post that each agent holds now: i16[A], NOTHING if it has none."""
    return state.slots["hiring"].post if world.static.has("hiring") else world.map.agent_post


def vacant(world: World, post: Array) -> Array:
    """Which posts nobody holds: bool[P], where agents hold those i16[A], NOTHING if none."""
    posts = jnp.arange(world.static.num_posts, dtype=jnp.int16)
    return ~(post[None, :] == posts[:, None]).any(-1)


def roster(world: World, state: State) -> tuple[Array, Array, Array]:
    """The job i32[A] of each slot, its first tick and the tick after its last i16[A]; nobody's job starts never."""
    params, post = world.params["employment"], post_of(world, state)
    employed = post != NOTHING
    job = world.map.post_job[jnp.where(employed, post, jnp.int16(0))].astype(jnp.int32)
    never = jnp.int16(NOTHING)
    return job, jnp.where(employed, params.start[job], never), jnp.where(employed, params.end[job], never)


def wage(world: World, state: State) -> Array:
    """What a tick at the post pays each agent now: i32[A] mills, at most a coin, 0 for who has no post."""
    job, start, _ = roster(world, state)
    wage = jnp.where(start != NOTHING, world.params["employment"].wage[job], 0)
    if world.static.has("tuner"):
        wage = jnp.minimum(fixed.scale(wage, tuner.wage_factor(world, state)), fixed.COIN)
    return wage


def post_target(world: World, state: State) -> Array:
    """Where each agent's post is in the tables of `Map`: i32[A]; the first post's for who has none."""
    post = post_of(world, state).astype(jnp.int32)
    return world.static.num_facilities * world.static.num_places + jnp.where(post == NOTHING, 0, post)


def home_target(world: World) -> Array:
    """Where each agent's home is in the tables of `Map`: i32[A]; homes come after the posts."""
    static = world.static
    return static.num_facilities * static.num_places + static.num_posts + world.map.agent_home.astype(jnp.int32)


def at_post(world: World, state: State) -> Array:
    """Who stands at the own post, or one step from it: bool[A]."""
    employed = post_of(world, state) != NOTHING
    return state.agents.alive & employed & (world.map.distance[state.agents.cell, post_target(world, state)] <= 1)


def time_of_day(world: World, tick: Array) -> Array:
    """Ticks since midnight at a tick i32[] of the episode: i16[]."""
    return (tick % world.static.ticks_per_day).astype(jnp.int16)


def may_work(world: World, state: State) -> Array:
    """Who may choose to go to work in the next tick: bool[A], from `notice` ticks before the shift to its end."""
    _, start, end = roster(world, state)
    time = time_of_day(world, state.tick + 1)
    soon = (until_start(world, state, time) <= world.params["employment"].notice) & (start != NOTHING)
    on_shift = (start < time) & (time < end) & on_duty(state.slots["employment"].shift)
    return state.agents.alive & (soon | on_shift)


def until_start(world: World, state: State, time: Array) -> Array:
    """Ticks from a tick of the day to the next start of each agent's shift, over midnight if need be: i16[A]."""
    _, start, _ = roster(world, state)
    return ((start - time).astype(jnp.int32) % world.static.ticks_per_day).astype(jnp.int16)


def is_present(slot: Slot) -> Array:
    """Who is at the post in the own shift: bool[A]."""
    return on_duty(slot.shift) & (slot.away == 0)


def coworkers(world: World, state: State) -> Array:
    """Who could stand in for whom: bool[A, A], j of row i is another one of i's trade who is at work just now."""
    job, start, _ = roster(world, state)
    employed, present = state.agents.alive & (start != NOTHING), is_present(state.slots["employment"])
    job, employed, present = blocks.once((job, employed, employed & present))
    others = ~jnp.eye(world.static.num_agents, dtype=bool)
    return (job[:, None] == job[None, :]) & employed[:, None] & present[None, :] & others


def step(world: World, state: State, bits: Array) -> State:
    """Clock in and out, pay and fine."""
    params, slot, agents = world.params["employment"], state.slots["employment"], state.agents
    job, start, end = roster(world, state)
    time, employed = time_of_day(world, state.tick), agents.alive & (start != NOTHING)
    works = employed & (time < end) & ((time == start) | (on_duty(slot.shift) & (time > start)))
    present = at_post(world, state) & works
    shift, came, away, event = shifts.advance(
        slot.shift, slot.present, slot.away, time - start, present, params.grace[job], params.slack[job]
    )
    event = jnp.where(works, event, jnp.int8(QUIET))

    once = jnp.where(event == BECAME_LATE, params.late_fine[job], params.absent_fine[job])
    fine = jnp.where(event == QUIET, 0, once) + jnp.where(
        works & (shift == LATE) & ~present, params.late_tick_fine[job], 0
    )
    pay = jnp.where(present, wage(world, state), 0)
    fine = jnp.minimum(fine, agents.wallet + pay)

    ends = (time == end % world.static.ticks_per_day) & on_duty(slot.shift) & employed
    length = jnp.maximum(end - start, 1).astype(jnp.int32)
    sample = (slot.present.astype(jnp.int32) * fixed.SHARE // length).astype(jnp.int16)
    ring = jnp.concatenate([sample[:, None], slot.attended[:, :-1]], axis=1)
    soon = (until_start(world, state, time) <= params.notice) & employed
    over = ends | ((slot.shift == POST) & (time >= end) & employed)
    rest = jnp.where(over, POST, jnp.where(soon, AWAIT, IDLE)).astype(jnp.int8)
    worked = Slot(
        shift=jnp.where(works, shift, rest),
        present=jnp.where(works, came, jnp.int16(0)),
        away=jnp.where(works, away, jnp.int16(0)),
        pay=pay,
        attended=jnp.where(agents.alive[:, None], jnp.where(ends[:, None], ring, slot.attended), doubt(params)),
        event=event,
    )
    state = state.replace(agents=agents.replace(wallet=agents.wallet + pay - fine)).put(employment=worked)
    return economy.book(state, wages=masks.total(pay), fines=-masks.total(fine))


def attendance(state: State) -> Array:
    """The mean share of the last shifts that each agent spent at its post: f32[A]."""
    attended = state.slots["employment"].attended
    return fixed.to_float(attended.sum(-1, dtype=jnp.int32), fixed.SHARE) / attended.shape[-1]


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


def rules(world: World, state: State):
    """What happens is one of four things, and nothing happens to the dead."""
    event, gone = state.slots["employment"].event, ~state.agents.alive & ~state.terminated
    return {
        "shift events exist": ((event >= QUIET) & (event < len(shifts.EVENTS))).all(),
        "nothing happens to the dead": (~gone | (event == QUIET)).all(),
    }


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
    rules=rules,
)
