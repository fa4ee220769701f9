"""Customs: the YAML of `relationships`, what each event means to people, and the same as arrays. Functions only."""

from typing import Annotated, Literal

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed
from ..types import Array, Section, World
from .occasions import EVENTS, MOST_TICKS

PARTS = ("trust", "familiarity", "rivalry")
STAGES = ("A", "B", "C1", "C2", "C3")
Change = tuple[  # of trust, familiarity and rivalry
    Annotated[float, Field(ge=-1, le=1)], Annotated[float, Field(ge=-1, le=1)], Annotated[float, Field(ge=-1, le=1)]
]


class Events(Section):
    """What events change: trust, familiarity and rivalry of both people, as shares of a full tie."""

    chat_success: Change = Field((0.05, 0.10, 0.0), description="a good chat, times its quality")
    chat_failure: Change = Field((0.0, -0.05, 0.05), description="a chat that went wrong")
    handover: Change = Field((0.05, 0.05, -0.05), description="handing a facility over to who waits")
    shared_meal: Change = Field((0.10, 0.25, 0.0), description="one ends a meal while the other eats beside")
    helped: Change = Field((0.20, 0.10, -0.10), description="one comes late and a colleague is on shift")
    took_shift: Change = Field((-0.10, 0.0, 0.30), description="one is absent and a colleague is on shift")
    blocked: Change = Field((0.0, -0.05, 0.15), description="a long wait behind who uses a facility")
    conflict: Change = Field((0.0, 0.0, 0.15), description="a quarrel in a queue, times its intensity")


class Config(Section):
    """How people come to like and to avoid each other."""

    stage: Literal["OFF", "A", "B", "C1", "C2", "C3"] = Field(
        "C1",
        description="OFF as without this section, `chat` and `arguments`, A ties and as without `chat`, B and chat, C1 and"
        " rewards for chats, C2 and for avoiding rivals, C3 and for good ties",
    )
    events: Events = Field(Events(), description="what each event changes")
    meals: tuple[str, ...] = Field((), max_length=24, description="offers that are meals when others eat beside")
    max_friends: int = Field(3, ge=0, le=8, description="ties that one keeps by trust + familiarity")
    max_rivals: int = Field(3, ge=0, le=8, description="ties that one keeps by rivalry")
    admit: float = Field(
        0.2, ge=0, le=2, description="|trust + familiarity - rivalry| above which a new tie may displace"
    )
    trust_fade: float = Field(0.002, ge=0, le=1, description="share lost an hour")
    familiarity_fade: float = Field(0.002, ge=0, le=1, description="share lost an hour")
    rivalry_fade: float = Field(0.02, ge=0, le=1, description="share lost an hour")
    faint: float = Field(0.02, ge=0, le=1, description="a tie with no part above this is forgotten on the hour")
    avoid: float = Field(0.7, gt=0, le=1, description="rivalry from which one avoids somebody")
    blocked_after: int = Field(
        30, ge=1, le=MOST_TICKS - 1, description="ticks behind who uses a facility until one feels blocked"
    )
    avoid_pause: int = Field(60, ge=1, le=MOST_TICKS, description="ticks until avoiding somebody counts again")
    avoid_reward: float = Field(0.005, ge=0, le=1, description="reward for avoiding somebody, from stage C2")
    quality_reward: float = Field(0.001, ge=0, le=1, description="reward a tick for fully trusted friends, in stage C3")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    stage: Array  # i8[] index into STAGES
    change: Array  # i32[E, 3] parts of fixed.TIE
    meal: Array  # bool[O]
    admit: Array  # i32[] parts of fixed.TIE
    fade: Array  # i16[3] parts of fixed.TIE an hour
    faint: Array  # i16[] parts of fixed.TIE
    avoid: Array  # i32[] parts of fixed.TIE
    blocked_after: Array  # i8[]
    avoid_pause: Array  # i8[]
    avoid_reward: Array  # i32[] millionths
    quality_reward: Array  # i32[] millionths
    max_friends: int = struct.field(pytree_node=False)
    max_rivals: int = struct.field(pytree_node=False)


def build(config, names) -> Params:
    """YAML to arrays."""
    fades = (config.trust_fade, config.familiarity_fade, config.rivalry_fade)
    return Params(
        stage=jnp.int8(STAGES.index(config.stage)),
        change=jnp.array([[fixed.to_tie(x) for x in getattr(config.events, event)] for event in EVENTS], jnp.int32),
        meal=jnp.array([offer in config.meals for offer in names.offers], bool),
        admit=jnp.int32(fixed.to_tie(config.admit)),
        fade=jnp.array([fixed.to_tie(rate) for rate in fades], jnp.int16),
        faint=jnp.int16(fixed.to_tie(config.faint)),
        avoid=jnp.int32(fixed.to_tie(config.avoid)),
        blocked_after=jnp.int8(config.blocked_after),
        avoid_pause=jnp.int8(config.avoid_pause),
        avoid_reward=jnp.int32(fixed.to_millionths(config.avoid_reward)),
        quality_reward=jnp.int32(fixed.to_millionths(config.quality_reward)),
        max_friends=config.max_friends,
        max_rivals=config.max_rivals,
    )


def meaning(world: World, event: str) -> Array:
    """What an event changes: i32[3], trust, familiarity and rivalry in parts of fixed.TIE, of whichever section says so."""
    if event == "overtaken":
        return world.params["queues"].fairness.rage.change
    if event == "argument":
        return world.params["arguments"].change
    return world.params["relationships"].change[EVENTS.index(event)]


def check(config) -> list[tuple[str, str]]:
    """Meals are offers, who is to chat can, and no rate vanishes."""
    section, systems = config.systems.relationships, config.systems
    offers = [offer.name for offer in systems.affordances.offers] if systems.affordances else []
    path = "systems.relationships"
    wrong = [
        (f"{path}.meals.{i}", f"there is no offer {meal!r} (allowed: {', '.join(offers) or 'none'})")
        for i, meal in enumerate(section.meals)
        if meal not in offers
    ]
    if section.stage != "A" and getattr(systems, "chat", None) is None:
        wrong.append((f"{path}.stage", f"{section.stage} is about chats: add `systems.chat`, or take stage A"))
    rates = {f"{part}_fade": getattr(section, f"{part}_fade") for part in PARTS}
    wrong += [
        (f"{path}.{name}", f"{rate} an hour is less than the town can count (2**-15)")
        for name, rate in rates.items()
        if rate > 0 and fixed.to_tie(rate) == 0
    ]
    return wrong
