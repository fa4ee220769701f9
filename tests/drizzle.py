"""A mechanic of one's own in one file: now and then it rains, and the rain makes people who walk dirty."""

import jax.numpy as jnp
import pydantic
from flax import struct

from townlet_jax.core import fixed
from townlet_jax.systems.intents import MOVE
from townlet_jax.types import Array, Feature, Key, Section, State, System, World

UNIT = 1 << 16  # a chance of 1


class Config(Section):
    """How often and how hard it rains."""

    chance: float = pydantic.Field(0.02, ge=0, le=1, description="chance in a tick that rain begins")
    ticks: int = pydantic.Field(60, ge=1, le=10_000, description="how long it lasts")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    chance: Array  # u32[] parts of UNIT
    ticks: Array  # i16[]


class Slot(struct.PyTreeNode):
    """The sky."""

    remaining: Array  # i16[] ticks of rain to come, 0 if it is dry
    wet: Array  # i16[A] ticks in a row in the rain, at most 1000


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(jnp.uint32(round(config.chance * UNIT)), jnp.int16(config.ticks))


def init(world: World, key: Key) -> Slot:
    """Sunshine."""
    return Slot(jnp.zeros((), jnp.int16), jnp.zeros(world.static.num_agents, jnp.int16))


def step(world: World, state: State, bits: Array) -> State:
    """Rain begins, goes on and ends."""
    params, slot = world.params["drizzle"], state.slots["drizzle"]
    begins = (bits[0] >> 16 < params.chance) & (slot.remaining == 0)
    remaining = jnp.where(begins, params.ticks, jnp.maximum(slot.remaining - jnp.int16(1), jnp.int16(0)))
    walks = state.agents.alive & (state.intent.verb == MOVE) & (remaining > 0)
    wet = jnp.where(walks, jnp.minimum(slot.wet + jnp.int16(1), jnp.int16(1000)), jnp.int16(0))
    return state.put(drizzle=Slot(remaining, wet))


def rewards(world: World, state: State):
    """Soaked = -1 for each tick in the rain."""
    return {"soaked": jnp.where(state.slots["drizzle"].wet > 0, jnp.int32(-fixed.MILLION), jnp.int32(0))}


def fields(world: World) -> list[Feature]:
    """What it adds to the feature vector."""
    return [Feature("rain", 1, "ticks of rain to come / 60, at most 1", 0, 1)]


def features(world: World, state: State) -> list[Array]:
    """One array a field: f32[A]."""
    share = jnp.minimum(fixed.to_float(state.slots["drizzle"].remaining, 60), 1.0)
    return [jnp.broadcast_to(share, (world.static.num_agents,))]


def metrics(world: World, state: State):
    """Whether it rains."""
    return {"rain": (state.slots["drizzle"].remaining > 0).astype(jnp.float32)}


SYSTEM = System(
    "drizzle",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    draws=lambda world: 1,
    writes=("slots.drizzle",),
    requires=("intents",),
    terms=("soaked",),
    fields=fields,
    features=features,
)
