"""Rage: who waits too long in a queue, or is overtaken too often, storms off.

Being overtaken is to stand in a queue for a turn, and to see somebody ahead who was not ahead a tick ago: a friend whom the last
user lets in, somebody with the older claim, somebody who comes late and is let in first. Who has waited `patience_ticks`, or was
overtaken `overtaken` times since it came, and is not served in this tick, leaves the queue, gives up its claim, is free to choose
something else, and may not queue there again for `pause_ticks`. Those who overtook it are its rivals by `rivalry` more each, if
the world has relationships. The specification (§29) names the rage-quit and has no number for it; all numbers are ours.

Part of `systems.fairness`, whose record holds all of it.
"""

from typing import Any

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, fixed, masks
from ..types import NOBODY, NOTHING, Array, Section, State, World

MOST = 60  # times overtaken that are counted
LONGEST_PAUSE = 600  # ticks


class Config(Section):
    """When one has had enough of a queue."""

    patience_ticks: int = Field(90, ge=1, le=2000, description="ticks waited without a turn after which one storms off")
    overtaken: int = Field(3, ge=1, le=50, description="times overtaken in one queue after which one storms off")
    pause_ticks: int = Field(120, ge=1, le=LONGEST_PAUSE, description="ticks for which one does not queue there again")
    rivalry: float = Field(
        0.2, ge=0, le=1, description="rivalry towards each who overtook one, where there are relationships"
    )


class Params(struct.PyTreeNode):
    """The same as arrays."""

    patience: Array  # i16[] ticks
    overtaken: Array  # i8[] times
    pause: Array  # i16[] ticks
    change: Array  # i32[3] of trust, familiarity and rivalry, parts of fixed.TIE


class Record(struct.PyTreeNode):
    """What is remembered in a queue; forgotten with a turn, and a tick after one has left."""

    storms: Array  # bool[A] stormed off in this tick
    overtaken: Array  # i8[A] times overtaken in the queue where one waits, at most MOST
    by: Array  # bool[A, A] row: who waits, column: who has overtaken it there


def build(config: Config | None) -> Params | None:
    """YAML to arrays."""
    return config and Params(
        patience=jnp.int16(config.patience_ticks),
        overtaken=jnp.int8(config.overtaken),
        pause=jnp.int16(config.pause_ticks),
        change=jnp.array([0, 0, fixed.to_tie(config.rivalry)], jnp.int32),
    )


def init(world: World) -> Record | None:
    """Everybody is calm."""
    A = world.static.num_agents
    if world.params["queues"].fairness.rage is None:
        return None
    return Record(jnp.zeros(A, bool), jnp.zeros(A, jnp.int8), jnp.zeros((A, A), bool))


def overtakes(state: State, stays: Array, waits: Array, place: Array) -> tuple[Array, Array]:
    """Who has waited before and still does, and who was overtaken by whom in this tick.

    Args:
        state: one town, before the queues are changed.
        stays: bool[A] who stood in the same queue a tick ago.
        waits: bool[A] who stands in a queue now.
        place: i8[A] in it.

    Returns:
        bool[A], and bool[A, A]: row: who was overtaken, column: by whom.
    """
    before, facility = state.slots["queues"].place, state.intent.facility
    queues = stays & waits & (before > 0) & (place > 0)
    ahead = (facility[:, None] == facility[None, :]) & waits[None, :] & (place[None, :] < place[:, None])
    was_ahead = stays[None, :] & (before[None, :] < before[:, None])
    return queues, queues[:, None] & ahead & ~was_ahead


def leave(
    world: World, state: State, stays: Array, waits: Array, place: Array, record: dict[str, Any]
) -> tuple[Array, Array, dict[str, Any]]:
    """Let those go who have had enough; the others close up.

    Args:
        world: the world.
        state: one town, before the queues are changed.
        stays: bool[A] who stood in the same queue a tick ago.
        waits: bool[A] who stands in a queue now.
        place: i8[A] in it.
        record: the new entries of the slot, as of `fairness.settle`.

    Returns:
        `waits`, `place` and `record` without those who storm off.
    """
    params, facility, fair = world.params["queues"].fairness.rage, state.intent.facility, record["fair"]
    memory, nothing = state.slots["queues"].fair.rage, jnp.int16(NOTHING)
    queues, passed = overtakes(state, stays, waits, place)
    overtaken = jnp.where(queues, jnp.minimum(memory.overtaken + masks.count(passed), jnp.int8(MOST)), jnp.int8(0))
    storms = queues & ((fair.waited >= params.patience) | (overtaken >= params.overtaken))
    waits = waits & ~storms
    there = facility[:, None] == jnp.arange(world.static.num_facilities, dtype=jnp.int16)
    fair = fair.replace(
        waited=jnp.where(storms, jnp.int16(0), fair.waited),
        waited_for=jnp.where(storms, nothing, fair.waited_for),
        cooldown=jnp.where(there & storms[:, None], params.pause, fair.cooldown),
        refused=jnp.where(storms, facility, fair.refused),
        rage=Record(storms, overtaken, queues[:, None] & (memory.by | passed)),
    )
    return waits, auction.line_up(facility, waits, place), {**record, "fair": fair}


def remembered(state: State) -> Record | None:
    """What queues remember of those who may storm off; None where nobody does."""
    fair = state.slots["queues"].fair
    return None if fair is None else fair.rage


def stormed(state: State) -> Array:
    """Who storms off in this tick: bool[A]."""
    rage = remembered(state)
    return jnp.zeros(state.agents.alive.shape, bool) if rage is None else rage.storms


def upset(state: State) -> Array:
    """Who quarrels in a queue or storms out of it in this tick: bool[A]."""
    conflict, storms = state.slots["queues"].conflict, stormed(state)
    return storms if conflict is None else (conflict != NOBODY) | storms


def anger(world: World, state: State) -> Array:
    """How near each is to storming off: f32[A], 1 where it has had enough."""
    params, fair = world.params["queues"].fairness.rage, state.slots["queues"].fair
    waits = state.slots["queues"].place > 0
    longer = fair.waited.astype(jnp.float32) / params.patience.astype(jnp.float32)
    oftener = fair.rage.overtaken.astype(jnp.float32) / params.overtaken.astype(jnp.float32)
    return jnp.where(waits, jnp.minimum(jnp.maximum(longer, oftener), 1.0), 0.0)


def metrics(state: State) -> dict[str, Array]:
    """Agents who stormed off in this tick, and times overtaken so far of those who wait."""
    rage = state.slots["queues"].fair.rage
    return {
        "queues/rage_quits": masks.total(rage.storms).astype(jnp.float32),
        "queues/overtaken": masks.total(rage.overtaken).astype(jnp.float32),
    }


def rules(world: World, state: State) -> dict[str, Array]:
    """Who storms off stands nowhere and is refused; somebody has overtaken whoever was overtaken; the dead are calm."""
    slot, alive = state.slots["queues"], state.agents.alive
    rage, gone = slot.fair.rage, ~alive & ~state.terminated
    own = jnp.eye(world.static.num_agents, dtype=bool)
    return {
        "who storms off stands in no queue": (~rage.storms | (slot.facility == NOTHING)).all(),
        "times overtaken in bounds": ((rage.overtaken >= 0) & (rage.overtaken <= MOST)).all(),
        "overtaken by somebody": ((rage.overtaken > 0) == rage.by.any(-1)).all() & ~(rage.by & own).any(),
        "the dead are calm": (~gone | (~rage.storms & (rage.overtaken == 0))).all(),
    }
