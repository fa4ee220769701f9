"""Warmth: one of the needs follows the weather. Rain and cold take it out of doors, and it comes back wherever nothing takes it.

Only the cold out of doors takes the last of it: everywhere else at least `mild` is left, so that one freezes in cold weather
without shelter and nowhere else (specification §14). A coat keeps off a part of the loss. The need is an ordinary one in all else:
it may decay, offers may raise it, an empty one hurts, and `lifecycle.collapse` may name it.

reads  agents.alive, agents.cell, agents.items, slots.weather
writes agents.needs
"""

from typing import Annotated

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..types import Array, Section, State, System, World
from . import weather
from .weather import WEATHERS, Weather

Loss = Annotated[float, Field(ge=0, le=1)]


class Config(Section):
    """What takes warmth, and what keeps it. All numbers are shares of the full need."""

    need: str = Field("warmth", description="which of the world's needs it is")
    loss: dict[Weather, Loss] = Field(
        {"rainy": 0.002, "cold": 0.004}, description="weather -> share lost per tick out of doors"
    )
    gain: float = Field(0.01, gt=0, le=1, description="share that comes back per tick where none is lost")
    mild: float = Field(0.1, ge=0, le=1, description="the least share anywhere but in the cold out of doors")
    coat: str | None = Field(None, description="item that keeps one warm, if there is one")
    coat_keeps: float = Field(0.5, gt=0, le=1, description="share of the loss that a coat keeps off")


class Params(struct.PyTreeNode):
    """The same as arrays; W weathers."""

    need: Array  # bool[N] which one it is
    loss: Array  # i32[2, W] parts of fixed.NEED per tick, without a coat and in one
    gain: Array  # i32[] parts of fixed.NEED per tick
    mild: Array  # i32[] parts of fixed.NEED
    floor: Array  # i32[W] parts of fixed.NEED, what each weather leaves
    coat: Array | None  # bool[I] which item it is; None if there is none


def build(config, names) -> Params:
    """YAML to arrays."""
    loss = lambda share: [fixed.to_need(share * config.loss.get(name, 0.0)) for name in WEATHERS]
    mild = fixed.to_need(config.mild)
    return Params(
        need=jnp.array([name == config.need for name in names.needs]),
        loss=jnp.array([loss(1.0), loss(1.0 - config.coat_keeps)], jnp.int32),
        gain=jnp.int32(fixed.to_need(config.gain)),
        mild=jnp.int32(mild),
        floor=jnp.array([0 if name == "cold" else mild for name in WEATHERS], jnp.int32),
        coat=None if config.coat is None else jnp.array([item == config.coat for item in names.items]),
    )


def exposed(world: World, state: State) -> Array:
    """Who is out of doors in weather that takes warmth, a coat or not: bool[A]."""
    takes = world.params["warmth"].loss[0, state.slots["weather"].kind] > 0
    return state.agents.alive & takes & weather.outdoors(world, state)


def step(world: World, state: State, bits: Array) -> State:
    """Warmth goes or comes back, where one stands as the tick begins."""
    params, agents, kind = world.params["warmth"], state.agents, state.slots["weather"].kind
    level = jnp.where(params.need, agents.needs, 0).sum(-1, dtype=jnp.int32)
    loss = params.loss[0, kind]
    if params.coat is not None:
        loss = jnp.where(((agents.items > 0) & params.coat).any(-1), params.loss[1, kind], loss)
    colder = jnp.maximum(level - loss, params.floor[kind])
    warmer = jnp.maximum(jnp.minimum(level + params.gain, fixed.NEED), params.mild)
    after = jnp.where(exposed(world, state), colder, warmer)
    needs = jnp.where(agents.alive[:, None] & params.need, after[:, None], agents.needs)
    return state.replace(agents=agents.replace(needs=needs))


def metrics(world: World, state: State):
    """The share of the living who are out in weather that takes warmth; the need itself is reported with the others."""
    out = exposed(world, state).astype(jnp.float32)
    return {"warmth/exposed": masks.mean_where(out, state.agents.alive)}


def check(config) -> list[tuple[str, str]]:
    """The need and the coat exist, no rate vanishes, and nobody freezes where it is mild."""
    section, path = config.systems.warmth, "systems.warmth"
    wrong = []
    for field, known in (("need", config.needs), ("coat", config.items)):
        word = getattr(section, field)
        if word is not None and word not in known:
            wrong.append((f"{path}.{field}", f"there is no {word!r} (allowed: {', '.join(known) or 'none'})"))
    for field, share in {**{f"loss.{name}": loss for name, loss in section.loss.items()}, "gain": section.gain}.items():
        if share > 0 and fixed.to_need(share) == 0:
            wrong.append((f"{path}.{field}", f"{share} a tick is less than the town can count (2**-21)"))
    lives = config.systems.lifecycle
    critical = lives.collapse.get(section.need, 0.0) if lives else 0.0
    if critical > section.mild:
        text = f"{section.mild} is below {critical}, at which one collapses: one would freeze in a warm house"
        wrong.append((f"{path}.mild", text))
    return wrong


SYSTEM = System(
    "warmth",
    step,
    Config,
    build,
    metrics=metrics,
    writes=("agents.needs",),
    requires=("weather", "needs"),
    check=check,
)
