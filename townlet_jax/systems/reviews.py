"""Reviews: who is absent too often stands in the exit queue, and is dismissed when the case has been reviewed.

    absent shifts >= max_absent_shifts        enters the queue; those of one tick in the order of its priority
    in it for `review_ticks`                  the case is due
    due, first in the queue, cap not reached  dismissed; `daily_exit_cap` counts from midnight
    approved                                  dismissed at once, whatever the cap; it counts for the day
    deferred                                  out of the queue, absences struck

`approve` and `defer` are for people: edits of a state between two ticks. The decision is kept until the dismissed is gone:
`dismissed` is for the lifecycle, which decides when.

reads  tick, agents.alive, intent.priority, slots.timesheets
writes slots.reviews
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction
from ..types import Array, Feature, Key, Section, State, System, World
from . import timesheets

MOST_EXITS = 100  # exits of a day that are counted


class Config(Section):
    """How many absences are too many, and how fast the town acts."""

    max_absent_shifts: int = Field(3, ge=1, le=20, description="absent shifts that lead into the exit queue")
    review_ticks: int = Field(1440, ge=0, le=100_000, description="ticks in the queue until a case is due")
    daily_exit_cap: int = Field(2, ge=0, le=50, description="due cases a day that end in an exit; 0 for no limit")
    exit_queue_limit: int = Field(8, ge=0, le=100, description="cases above which the queue is reported as too long")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    max_absent: Array  # i8[]
    review: Array  # i32[] ticks
    cap: Array  # i32[] MOST_EXITS for no limit
    limit: Array  # i32[] cases


class Slot(struct.PyTreeNode):
    """The exit queue."""

    pending: Array  # bool[A] stands in it
    place: Array  # i8[A] 0 is the next; 0 for who is not in it
    waited: Array  # i32[A] ticks in it, at most 100,000
    approved: Array  # bool[A] to go at once
    dismissed: Array  # bool[A] decided; stays until the slot is empty
    exits: Array  # i8[] dismissals since midnight, at most MOST_EXITS


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        max_absent=jnp.int8(config.max_absent_shifts),
        review=jnp.int32(config.review_ticks),
        cap=jnp.int32(config.daily_exit_cap or MOST_EXITS),
        limit=jnp.int32(config.exit_queue_limit),
    )


def init(world: World, key: Key) -> Slot:
    """An empty queue."""
    A = world.static.num_agents
    no, zero = jnp.zeros(A, bool), jnp.zeros(A, jnp.int8)
    return Slot(no, zero, jnp.zeros(A, jnp.int32), no, no, jnp.int8(0))


def approve(state: State, agent: Array | int) -> State:
    """Let the exit of an agent in the queue take effect in the next tick, past the cap of reviews; others are not touched.

    Where `lifecycle.caps` limits all exits of a day, the dismissed wait for their turn to leave like everybody else.
    """
    slot = state.slots["reviews"]
    who = slot.pending & (jnp.arange(slot.pending.shape[0], dtype=jnp.int32) == agent)
    return state.put(reviews=slot.replace(approved=slot.approved | who))


def defer(state: State, agent: Array | int) -> State:
    """Take an agent out of the queue and strike its absences; who is not in the queue is not touched."""
    slot = state.slots["reviews"]
    who = slot.pending & (jnp.arange(slot.pending.shape[0], dtype=jnp.int32) == agent)
    left = slot.pending & ~who
    slot = slot.replace(
        pending=left,
        place=auction.rank(left, slot.place),
        waited=jnp.where(left, slot.waited, 0),
        approved=slot.approved & left,
    )
    return timesheets.excuse(state.put(reviews=slot), who)


def dismissed(state: State) -> Array:
    """Whose exit has been decided, and who has not left yet: bool[A]."""
    return state.slots["reviews"].dismissed & state.agents.alive


def enqueue(world: World, state: State) -> tuple[Array, Array, Array]:
    """Who is in the queue bool[A], at which place i8[A], for how many ticks i32[A], with this tick's cases behind the old ones."""
    slot, A = state.slots["reviews"], world.static.num_agents
    stays = slot.pending & state.agents.alive
    caught = timesheets.absences(state) >= world.params["reviews"].max_absent
    enters = state.agents.alive & caught & ~stays & ~slot.dismissed
    order = jnp.where(stays, slot.place.astype(jnp.int16), A + state.intent.priority.astype(jnp.int16))
    pending = stays | enters
    waited = jnp.where(stays, jnp.minimum(slot.waited + 1, 100_000), 0)
    return pending, auction.rank(pending, order), waited


def step(world: World, state: State, bits: Array) -> State:
    """Line the cases up, and decide those that are due."""
    params, slot, alive = world.params["reviews"], state.slots["reviews"], state.agents.alive
    midnight = state.tick % world.static.ticks_per_day == 0
    exits = jnp.where(midnight, 0, slot.exits.astype(jnp.int32))
    pending, place, waited = enqueue(world, state)

    approved = pending & slot.approved
    exits = exits + approved.sum(dtype=jnp.int32)
    due = pending & ~approved & (waited >= params.review)
    turn = auction.rank(due, place).astype(jnp.int32)
    goes = due & ((turn < params.cap - exits) | (params.cap == MOST_EXITS))
    exits = exits + goes.sum(dtype=jnp.int32)

    left = pending & ~approved & ~goes
    return state.put(
        reviews=Slot(
            pending=left,
            place=auction.rank(left, place),
            waited=jnp.where(left, waited, 0),
            approved=jnp.zeros_like(left),
            dismissed=alive & (slot.dismissed | approved | goes),
            exits=jnp.minimum(exits, MOST_EXITS).astype(jnp.int8),
        )
    )


def metrics(world: World, state: State):
    """Cases in the queue, whether they are too many, and dismissals of today."""
    slot = state.slots["reviews"]
    number = slot.pending.sum(dtype=jnp.int32)
    return {
        "reviews/pending": number.astype(jnp.float32),
        "reviews/overflow": (number > world.params["reviews"].limit).astype(jnp.float32),
        "reviews/today": slot.exits.astype(jnp.float32),
    }


def fields(world: World) -> list[Feature]:
    """One's own case."""
    return [
        Feature("exit_pending", 1, "0 or 1", 0, 1),
        Feature("reviewed", 1, "ticks in the exit queue / (ticks + review_ticks)", 0, 1),
    ]


def features(world: World, state: State) -> list[Array]:
    """One's own case."""
    slot = state.slots["reviews"]
    waited = slot.waited.astype(jnp.float32)
    review = world.params["reviews"].review.astype(jnp.float32)
    return [slot.pending.astype(jnp.float32), waited / jnp.maximum(waited + review, 1.0)]


def rules(world: World, state: State):
    """The places of the queue are 0 to n - 1; nobody is in it who has been dismissed; the dead have no case."""
    slot, gone = state.slots["reviews"], ~state.agents.alive & ~state.terminated
    rank = auction.rank(slot.pending, slot.place)
    outside = (slot.place == 0) & (slot.waited == 0) & ~slot.approved
    return {
        "the exit queue has no gaps": (rank == slot.place).all(),
        "no case outside the exit queue": (slot.pending | outside).all(),
        "the dismissed wait no longer": ~(slot.pending & slot.dismissed).any(),
        "the dead have no case": (~gone | ~(slot.pending | slot.dismissed)).all(),
        "exits of a day in bounds": (slot.exits >= 0) & (slot.exits <= MOST_EXITS),
    }


def check(config) -> list[tuple[str, str]]:
    """The timesheets must be able to count as far as the limit."""
    most, sheets = config.systems.reviews.max_absent_shifts, config.systems.timesheets
    if sheets is None or most <= sheets.days:
        return []
    text = f"{most} absences: the timesheets count {sheets.days} at most (systems.timesheets.days)"
    return [("systems.reviews.max_absent_shifts", text)]


SYSTEM = System(
    "reviews",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.reviews",),
    requires=("intents", "timesheets", "lifecycle"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
