"""What people see of their ties, and of those around whom they could talk to."""

from functools import reduce

import jax.numpy as jnp

from ..core import blocks, fixed, ties
from ..systems import encounters, relationships
from ..types import NOBODY, Array, Feature, State, World

SHOWN = 2  # friends, and as many rivals
FAR = 64.0  # rows and columns that count as far away
ENTRIES = tuple(f"{i}_{part}" for i in range(SHOWN) for part in ("trust", "familiarity", "rivalry", "distance", "near"))
MOST_SILENT = 60.0  # ticks of silence that count as long


def of(table: Array, people: Array) -> Array:
    """The entries of a table [A, A, ...] for lists of people i16[A, n]: [A, n, ...]; 0 where there is nobody."""
    there = (people != NOBODY).reshape(*people.shape, *[1] * (table.ndim - 2))
    index = jnp.where(there, people.reshape(there.shape), 0).astype(jnp.int32)
    return jnp.where(
        there, jnp.take_along_axis(table, index, axis=1, mode="promise_in_bounds"), jnp.zeros((), table.dtype)
    )


def part(parts: Array) -> Array:
    """Parts of ties i16[...] as f32[...], -1 to 1."""
    return fixed.to_float(parts, fixed.TIE)


def ties_fields(world: World) -> list[Feature]:
    """Friends and rivals."""
    each = "trust, familiarity, rivalry as shares; rows and columns between / 64, at most 1; 1 if near"
    return [
        Feature("friend", len(ENTRIES), each, -1, 1, ENTRIES),
        Feature("rival", len(ENTRIES), each, -1, 1, ENTRIES),
        Feature("social", 4, "share, over the friends and rivals shown", -1, 1, AGGREGATES),
        Feature("rivalry_max", 1, "share, over all ties", 0, 1),
        Feature("rivalry_avoid_count", 1, "people avoided / ties that one keeps by rivalry, at most 1", 0, 1),
    ]


AGGREGATES = ("trust_mean", "trust_max", "rivalry_mean", "rivalry_max")


def ties_values(world: World, state: State) -> list[Array]:
    """Friends and rivals."""
    slot = state.slots["relationships"]
    rows, cols = ties.apart(state.agents.cell, world.static.width)
    way, near = jnp.minimum(rows + cols, jnp.int16(FAR)), encounters.near(world, state).astype(jnp.int16)
    people = jnp.concatenate(relationships.top(world, state, SHOWN), axis=1)
    table = blocks.once(jnp.stack([slot.trust, slot.familiarity, slot.rivalry, way, near], axis=-1))
    known = blocks.once(of(table, people))  # one look into one table: i16[A, friends and rivals, 5]
    unit = jnp.array([1.0 / fixed.TIE] * 3 + [1.0 / FAR, 1.0], jnp.float32)
    shown = known.astype(jnp.float32) * unit
    filled = people != NOBODY
    number = jnp.maximum(filled.sum(-1, dtype=jnp.int32), 1).astype(jnp.float32)
    total = lambda x: reduce(jnp.add, [x[:, i] for i in range(x.shape[1])])  # a handful, quicker than a reduction
    trust, rivalry = shown[:, :, 0], shown[:, :, 2]
    most = jnp.where(filled, trust, -2.0).max(-1)
    aggregates = [
        total(trust) / number,
        jnp.where(filled.any(-1), most, 0.0),
        total(rivalry) / number,
        rivalry.max(-1),
    ]
    avoided = relationships.avoids(world, state).sum(-1, dtype=jnp.int8).astype(jnp.float32)
    most_rivals = jnp.float32(max(world.params["relationships"].max_rivals, 1))
    return [
        shown[:, :SHOWN],
        shown[:, SHOWN:],
        jnp.stack(aggregates, axis=-1),
        fixed.to_float(slot.rivalry.max(-1), fixed.TIE),
        jnp.minimum(avoided / most_rivals, 1.0),
    ]


def chat_fields(world: World) -> list[Feature]:
    """Those around."""
    return [
        Feature("silence", 1, "ticks until one may speak again / 60, at most 1", 0, 1),
        Feature("beside_trust", encounters.NEAREST, "share, of the nearest within a cell", -1, 1),
        Feature("beside_rivalry", encounters.NEAREST, "share, of the nearest within a cell", 0, 1),
    ]


def chat_values(world: World, state: State) -> list[Array]:
    """Those around."""
    slot, people = state.slots["relationships"], encounters.nearby(world, state)
    silence = state.slots["chat"].cooldown.astype(jnp.float32) * jnp.float32(1.0 / MOST_SILENT)
    return [jnp.minimum(silence, 1.0), *(part(of(table, people)) for table in (slot.trust, slot.rivalry))]
