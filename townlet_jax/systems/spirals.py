"""Spirals: after a day on which much went wrong the next one is harder, until one good day clears it.

What goes wrong in a day: each need that falls below `low_need`, once; the shift, if one came late, left or missed it, once; and
each tick in which one quarrels in a queue or storms out of it. At midnight a day with `mishaps` of these or more was bad, one with
`good` or fewer was good, and one between leaves things as they are. After a bad day all needs fall `factor` times as fast, from
the tick after midnight on: never more than that, however many bad days there were. A newcomer begins without. The specification
(§29) names the spiral-day debuff and has no number for it; all numbers are ours.

reads  tick, agents, slots.employment, slots.queues
writes slots.spirals
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..core.shifts import QUIET
from ..types import Array, Feature, Key, Section, State, System, World
from . import storms

MOST = 60  # quarrels of a day that are counted


class Config(Section):
    """What a bad day is, and what it brings."""

    mishaps: int = Field(3, ge=1, le=20, description="things that go wrong on a bad day, at least")
    good: int = Field(1, ge=0, le=19, description="things that go wrong on a good day, at most")
    low_need: float = Field(0.2, gt=0, le=0.5, description="share below which a need has gone wrong")
    factor: float = Field(1.1, gt=1, le=1.25, description="how many times as fast needs fall after a bad day")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    mishaps: Array  # i8[]
    good: Array  # i8[]
    low: Array  # i32[] parts of fixed.NEED
    factor: Array  # i32[] parts of fixed.SHARE


class Slot(struct.PyTreeNode):
    """Today so far, and what yesterday has left."""

    wrong: Array  # bool[A, N + 1] each need, and the shift: has gone wrong today
    quarrels: Array  # i8[A] ticks of today in which one quarrelled or stormed off, at most MOST
    spirals: Array  # bool[A] the last day that was good or bad was bad


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        mishaps=jnp.int8(config.mishaps),
        good=jnp.int8(config.good),
        low=jnp.int32(fixed.to_need(config.low_need)),
        factor=jnp.int32(fixed.to_share(config.factor)),
    )


def init(world: World, key: Key) -> Slot:
    """Nothing has gone wrong."""
    A, N = world.static.num_agents, len(world.static.names.needs)
    return Slot(jnp.zeros((A, N + 1), bool), jnp.zeros(A, jnp.int8), jnp.zeros(A, bool))


def mishaps(state: State) -> Array:
    """What has gone wrong today: i8[A]."""
    slot = state.slots["spirals"]
    return masks.count(slot.wrong) + slot.quarrels


def happens(world: World, state: State) -> tuple[Array, Array]:
    """What goes wrong in this tick: bool[A, N + 1], needs and the shift, and who quarrels bool[A]."""
    fails = quarrels = jnp.zeros(world.static.num_agents, bool)
    if world.static.has("employment"):
        fails = state.slots["employment"].event != QUIET
    if world.static.has("queues"):
        quarrels = storms.upset(state)
    low = state.agents.needs < world.params["spirals"].low
    return jnp.concatenate([low, fails[:, None]], axis=1), quarrels


def step(world: World, state: State, bits: Array) -> State:
    """At midnight judge the day and turn the page, then write down this tick."""
    params, slot, alive = world.params["spirals"], state.slots["spirals"], state.agents.alive
    midnight = state.tick % world.static.ticks_per_day == 0
    count = mishaps(state)
    judged = (count >= params.mishaps) | (slot.spirals & (count > params.good))
    wrong, quarrels = happens(world, state)
    so_far = jnp.where(midnight, jnp.int8(0), slot.quarrels)
    quarrels = jnp.minimum(so_far + quarrels.astype(jnp.int8), jnp.int8(MOST))
    return state.put(
        spirals=Slot(
            wrong=((slot.wrong & ~midnight) | wrong) & alive[:, None],
            quarrels=jnp.where(alive, quarrels, jnp.int8(0)),
            spirals=jnp.where(midnight, judged, slot.spirals) & alive,
        )
    )


def harder(world: World, state: State, decay: Array) -> Array:
    """What people lose of each need in a tick i32[N] or i32[A, N], after a bad day `factor` times as much."""
    if not world.static.has("spirals"):
        return decay
    factor = jnp.where(state.slots["spirals"].spirals, world.params["spirals"].factor, fixed.SHARE)
    return fixed.scale(decay, factor[:, None])


def metrics(world: World, state: State):
    """Of the living: the share who have a bad day behind them, and the mean of what has gone wrong today."""
    alive = state.agents.alive
    return {
        "spirals/share": masks.mean_where(state.slots["spirals"].spirals.astype(jnp.float32), alive),
        "spirals/mishaps": masks.mean_where(mishaps(state).astype(jnp.float32), alive),
    }


def fields(world: World) -> list[Feature]:
    """One's own days."""
    return [
        Feature("spiral", 1, "0 or 1: needs fall faster after a bad day", 0, 1),
        Feature("mishaps", 1, "today's / those of a bad day, at most 1", 0, 1),
    ]


def features(world: World, state: State) -> list[Array]:
    """One's own days."""
    share = mishaps(state).astype(jnp.float32) / world.params["spirals"].mishaps.astype(jnp.float32)
    return [state.slots["spirals"].spirals.astype(jnp.float32), jnp.minimum(share, 1.0)]


def rules(world: World, state: State):
    """Counts in bounds, and the dead have no days."""
    slot, gone = state.slots["spirals"], ~state.agents.alive & ~state.terminated
    return {
        "quarrels of a day in bounds": ((slot.quarrels >= 0) & (slot.quarrels <= MOST)).all(),
        "the dead have no bad day": (~gone | ((mishaps(state) == 0) & ~slot.spirals)).all(),
    }


def check(config) -> list[tuple[str, str]]:
    """A day is not good and bad, and the next is harder."""
    section, path = config.systems.spirals, "systems.spirals"
    wrong = []
    if section.good >= section.mishaps:
        text = f"{section.good} is not below mishaps {section.mishaps}: a day would be good and bad"
        wrong.append((f"{path}.good", text))
    if fixed.to_share(section.factor) == fixed.SHARE:
        wrong.append((f"{path}.factor", f"{section.factor} is no more than 1 in the town's numbers (1/1024)"))
    return wrong


SYSTEM = System(
    "spirals",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.spirals",),
    requires=("needs",),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
