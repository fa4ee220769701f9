"""Weather: sun, rain and cold come and go over the whole town, and make steps out of doors take longer.

The weather is a chain of spells: each kind lasts for some ticks between its two bounds, then the next kind is drawn by the shares
that follow it. Agents see the weather and whether they are out in it, but not how long it will last.

reads  agents.alive, agents.cell
writes slots.weather
"""

from typing import Annotated, Literal, get_args

import jax
import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import chain, masks
from ..core.grid import GROUNDS, UNREACHABLE
from ..types import Array, Feature, Key, Section, State, System, World

Weather = Literal["sunny", "rainy", "cold"]
WEATHERS: tuple[str, ...] = get_args(Weather)
OUTDOORS = ("road", "grass", "park", "tree", "water")
MOST_EXTRA = 16  # ticks
Ticks = Annotated[int, Field(ge=1, le=30000)]
Extra = Annotated[int, Field(ge=0, le=MOST_EXTRA)]
Share = Annotated[float, Field(ge=0, le=1)]
Shares = dict[Weather, Share]


class Config(Section):
    """What the weather is like, and how it slows people down."""

    ticks: dict[Weather, tuple[Ticks, Ticks]] = Field(
        {"sunny": (240, 960), "rainy": (60, 300), "cold": (120, 480)},
        description="weather -> least and most ticks that it lasts",
    )
    then: dict[Weather, Shares] = Field(
        {
            "sunny": {"rainy": 0.6, "cold": 0.4},
            "rainy": {"sunny": 0.6, "cold": 0.4},
            "cold": {"sunny": 0.7, "rainy": 0.3},
        },
        description="weather -> weather that follows -> how often, relative to the others",
    )
    start: Shares = Field(
        {"sunny": 0.6, "rainy": 0.15, "cold": 0.25}, description="weather at the start -> how often, relatively"
    )
    extra_cost: dict[Weather, Extra] = Field(
        {"rainy": 1}, description="weather -> ticks that each step out of doors takes longer"
    )


class Params(struct.PyTreeNode):
    """The same as arrays; W weathers."""

    ticks: Array  # i32[W, 2]
    then: Array  # i32[W, W] cumulated chances of what follows, the last is fixed.CHANCE
    start: Array  # i32[W] the same for the first weather
    outdoors: Array  # bool[G] by ground
    extra: Array | None  # i8[W] ticks; None if there are none


class Slot(struct.PyTreeNode):
    """The sky. How long it will last is seen by nobody."""

    kind: Array  # i8[] index into WEATHERS
    left: Array  # i16[] further ticks that it lasts


def by_weather(table: dict[str, float], convert=float) -> list:
    """The entries of a table in the order of WEATHERS, 0 where it has none."""
    return [convert(table.get(name, 0)) for name in WEATHERS]


def build(config, names) -> Params:
    """YAML to arrays."""
    extra = by_weather(config.extra_cost, int)
    return Params(
        ticks=jnp.array([config.ticks[name] for name in WEATHERS], jnp.int32),
        then=jnp.array([chain.cumulated(by_weather(config.then[name])) for name in WEATHERS], jnp.int32),
        start=jnp.array(chain.cumulated(by_weather(config.start)), jnp.int32),
        outdoors=jnp.array([ground in OUTDOORS for ground in GROUNDS]),
        extra=jnp.array(extra, jnp.int8) if any(extra) else None,
    )


def spell(params: Params, chances: Array, bits: Array) -> Slot:
    """The first tick of a new spell, by the cumulated chances i32[W] and random bits u32[2]."""
    kind = chain.draw(chances, bits[0])
    ticks = chain.between(params.ticks[kind, 0], params.ticks[kind, 1], bits[1])
    return Slot(kind, (ticks - 1).astype(jnp.int16))


def init(world: World, key: Key) -> Slot:
    """A spell that may have begun some time ago."""
    params, bits = world.params["weather"], jax.random.bits(key, (3,), jnp.uint32)
    first = spell(params, params.start, bits[:2])
    left = chain.between(jnp.int32(0), first.left.astype(jnp.int32), bits[2])
    return first.replace(left=left.astype(jnp.int16))


def outdoors(world: World, state: State) -> Array:
    """Who is out of doors: bool[A]."""
    return world.params["weather"].outdoors[world.map.ground[state.agents.cell]]


def slows(world: World) -> bool:
    """Whether some weather makes steps take longer; static."""
    return world.static.has("weather") and world.params["weather"].extra is not None


def step_cost(world: World, state: State) -> Array:
    """Ticks that a step onto the cell where each agent stands takes longer in this weather, which `slows`: i8[A]."""
    extra = world.params["weather"].extra[state.slots["weather"].kind]
    return jnp.where(outdoors(world, state), extra, jnp.int8(0))


def way(world: World, state: State, ticks: Array) -> Array:
    """Ticks that a walk takes at most in this weather, if it takes so many i16[...] in the dry: i16[...]."""
    if not slows(world):
        return ticks
    extra = world.params["weather"].extra[state.slots["weather"].kind].astype(jnp.int32)
    return jnp.minimum(ticks.astype(jnp.int32) * (extra + 1), UNREACHABLE).astype(jnp.int16)


def step(world: World, state: State, bits: Array) -> State:
    """The sky goes on or changes."""
    params, slot = world.params["weather"], state.slots["weather"]
    fresh = spell(params, params.then[slot.kind], bits)
    over = slot.left == 0
    kind = jnp.where(over, fresh.kind, slot.kind)
    left = jnp.where(over, fresh.left, slot.left - jnp.int16(1))
    return state.put(weather=Slot(kind, left))


def fields(world: World) -> list[Feature]:
    """The weather now, and whether one is out in it; not how long it will last."""
    return [Feature("weather", len(WEATHERS), "one-hot", 0, 1, WEATHERS), Feature("outdoors", 1, "0 or 1", 0, 1)]


def features(world: World, state: State) -> list[Array]:
    """One array a field."""
    A, kind = world.static.num_agents, state.slots["weather"].kind
    sky = (kind == jnp.arange(len(WEATHERS), dtype=jnp.int8)).astype(jnp.float32)
    return [jnp.broadcast_to(sky, (A, len(WEATHERS))), outdoors(world, state).astype(jnp.float32)]


def metrics(world: World, state: State):
    """Which weather it is, 0 or 1, so that means over time are shares of it; and the share of the living out of doors."""
    kind, out = state.slots["weather"].kind, outdoors(world, state).astype(jnp.float32)
    seen = {f"weather/{name}": (kind == i).astype(jnp.float32) for i, name in enumerate(WEATHERS)}
    return {**seen, "weather/outdoors": masks.mean_where(out, state.agents.alive)}


def rules(world: World, state: State):
    """The sky is of some kind, and no spell lasts longer than the longest of its kind."""
    params, slot = world.params["weather"], state.slots["weather"]
    return {
        "weather exists": (slot.kind >= 0) & (slot.kind < len(WEATHERS)),
        "weather ends": (slot.left >= 0) & (slot.left.astype(jnp.int32) < params.ticks[slot.kind, 1]),
    }


def check(config) -> list[tuple[str, str]]:
    """Every weather ends, and something follows it."""
    section, path = config.systems.weather, "systems.weather"
    wrong = [(f"{path}.ticks", f"{name!r} is missing") for name in WEATHERS if name not in section.ticks]
    for name, (least, most) in section.ticks.items():
        if least > most:
            wrong.append((f"{path}.ticks.{name}", f"[{least}, {most}]: allowed are least <= most"))
    chains = {"start": section.start, **{f"then.{name}": section.then.get(name, {}) for name in WEATHERS}}
    for name, shares in chains.items():
        if not sum(shares.values()) > 0:
            wrong.append((f"{path}.{name}", "no weather has a share above 0"))
    return wrong


SYSTEM = System(
    "weather",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    draws=lambda world: 2,
    writes=("slots.weather",),
    requires=("movement",),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
