"""Timesheets: what employers write down about each of their people, and what hiring and reviews go by.

Times late in a life, ticks late and wages withheld today, and on which of the last days one was absent from the shift. Every
tick of a shift is either paid or withheld. A day counts as one absence however often one ran away on it.

reads  tick, agents.alive, slots.employment
writes slots.timesheets
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..core.shifts import BECAME_LATE, LATE, on_duty
from ..types import Array, Feature, Key, Section, State, System, World
from . import employment

MOST_LATE = 1000  # times that are counted


class Config(Section):
    """How long absences are remembered."""

    days: int = Field(7, ge=1, le=30, description="days, today included, over which absent shifts are counted")


class Params(struct.PyTreeNode):
    """The same as an array."""

    no_days: Array  # bool[days] its length is how long absences are remembered


class Slot(struct.PyTreeNode):
    """One sheet an agent."""

    lateness: Array  # i16[A] shifts to which one came late, or not until it was over, at most MOST_LATE
    late_ticks: Array  # i16[A] ticks late today, there or not
    paid: Array  # i32[A] mills earned today
    withheld: Array  # i32[A] mills that today's ticks away from the post would have paid
    absent: Array  # bool[A, days] absent from the shift today, yesterday, ...


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.zeros(config.days, bool))


def init(world: World, key: Key) -> Slot:
    """Clean sheets."""
    A, days = world.static.num_agents, world.params["timesheets"].no_days
    none, nothing = jnp.zeros(A, jnp.int16), jnp.zeros(A, jnp.int32)
    return Slot(none, none, nothing, nothing, jnp.broadcast_to(days, (A, days.shape[0])))


def absences(state: State) -> Array:
    """Absent shifts of each agent in the last days: i8[A]."""
    return masks.count(state.slots["timesheets"].absent)


def excuse(state: State, who: Array) -> State:
    """Strike the absences of some agents bool[A]."""
    slot = state.slots["timesheets"]
    return state.put(timesheets=slot.replace(absent=slot.absent & ~who[:, None]))


def loses(world: World, state: State) -> Array:
    """What each agent did not earn in this tick, being away from the post in its shift: i32[A] mills."""
    slot = state.slots["employment"]
    return jnp.where(on_duty(slot.shift) & (slot.away > 0), employment.wage(world, state), 0)


def step(world: World, state: State, bits: Array) -> State:
    """At midnight turn the page, then write down this tick."""
    slot, work, alive = state.slots["timesheets"], state.slots["employment"], state.agents.alive
    midnight = state.tick % world.static.ticks_per_day == 0
    today = lambda count: jnp.where(midnight, jnp.zeros_like(count), count)
    turned = jnp.concatenate([jnp.zeros_like(slot.absent[:, :1]), slot.absent[:, :-1]], axis=1)
    absent = jnp.where(midnight, turned, slot.absent)
    absent = absent.at[:, 0].set(absent[:, 0] | (work.event > BECAME_LATE))
    came_late = (work.event == BECAME_LATE).astype(jnp.int16)
    mine = lambda count: jnp.where(alive, count, jnp.zeros_like(count))
    return state.put(
        timesheets=Slot(
            lateness=mine(jnp.minimum(slot.lateness + came_late, jnp.int16(MOST_LATE))),
            late_ticks=mine(today(slot.late_ticks) + (work.shift == LATE).astype(jnp.int16)),
            paid=mine(today(slot.paid) + work.pay),
            withheld=mine(today(slot.withheld) + loses(world, state)),
            absent=absent & alive[:, None],
        )
    )


def metrics(world: World, state: State):
    """In this tick: agents who became late, or absent, and the coins withheld; of the living, the mean absent shifts."""
    event = state.slots["employment"].event
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    return {
        "shift/late": number(event == BECAME_LATE),
        "shift/absent": number(event > BECAME_LATE),
        "shift/withheld": fixed.to_float(masks.total(loses(world, state)), fixed.COIN),
        "shift/absences": masks.mean_where(absences(state).astype(jnp.float32), state.agents.alive),
    }


def fields(world: World) -> list[Feature]:
    """One's own sheet."""
    return [
        Feature("lateness", 1, "times late / 10, at most 1", 0, 1),
        Feature("withheld", 1, "today's coins / (coins + 1)", 0, 1),
        Feature("absences", 1, "absent shifts / days remembered", 0, 1),
    ]


def features(world: World, state: State) -> list[Array]:
    """One's own sheet."""
    slot = state.slots["timesheets"]
    coins, days = fixed.to_float(slot.withheld, fixed.COIN), slot.absent.shape[1]
    return [
        jnp.minimum(slot.lateness.astype(jnp.float32) * jnp.float32(0.1), 1.0),
        coins / (coins + 1.0),
        absences(state).astype(jnp.float32) * jnp.float32(1.0 / days),
    ]


def rules(world: World, state: State):
    """Counts in bounds, and no sheet for the dead."""
    slot, gone = state.slots["timesheets"], ~state.agents.alive & ~state.terminated
    counts = (slot.lateness, slot.late_ticks, slot.paid, slot.withheld)
    written = jnp.stack([count != 0 for count in (*counts, absences(state))]).any(0)
    day = world.static.ticks_per_day
    return {
        "timesheets not negative": jnp.stack([(count >= 0).all() for count in counts]).all(),
        "late within the day": (slot.late_ticks <= day).all() & (slot.lateness <= MOST_LATE).all(),
        "a day pays a coin a tick at most": (slot.paid + slot.withheld <= day * fixed.COIN).all(),
        "the dead have no timesheet": (~gone | ~written).all(),
    }


SYSTEM = System(
    "timesheets",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.timesheets",),
    requires=("employment",),
    fields=fields,
    features=features,
    rules=rules,
)
