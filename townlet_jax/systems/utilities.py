"""Utilities: power, water and the like. Kinds of facility need them; while one fails, what needs it stands still.

A utility fails for an event of `perturbations`, or by a fault of its own. What runs at a facility that is no longer served is
interrupted, and everything paid is given back (see `affordances.refund`).

reads  tick, slots.perturbations; its rules slots.queues, slots.affordances
writes slots.utilities
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field, model_validator

from ..core import agenda, fixed
from ..types import Array, Feature, Key, Section, State, System, World
from . import perturbations

MAX_TICKS = 10_000


class Config(Section):
    """What there is, who needs it, and how reliable it is."""

    utilities: tuple[str, ...] = Field(("power", "water"), min_length=1, max_length=8, description="in index order")
    needs: dict[str, tuple[str, ...]] = Field(description="utility -> the kinds of facility that need it")
    fault_per_day: float = Field(0.0, ge=0, le=30000, description="how often each fails by itself, if it works")
    fault_ticks: tuple[int, int] = Field((20, 60), description="how long such a fault lasts, least and most")

    @model_validator(mode="after")
    def ordered(self) -> "Config":
        """Least first."""
        if not 1 <= self.fault_ticks[0] <= self.fault_ticks[1] <= MAX_TICKS:
            raise ValueError(f"fault_ticks {list(self.fault_ticks)}: allowed are 1 <= least <= most <= {MAX_TICKS}")
        return self


class Params(struct.PyTreeNode):
    """The same as arrays."""

    needed: Array  # bool[U, K] which kinds of facility need it
    chance: Array  # i32[] of a fault, parts of fixed.CHANCE a day
    ticks: Array  # i32[2] least and most
    names: tuple[str, ...] = struct.field(pytree_node=False)


class Slot(struct.PyTreeNode):
    """Faults."""

    down: Array  # i16[U] ticks that a fault still lasts, this one included; 0 if there is none


def build(config: Config, names) -> Params:
    """YAML to arrays."""
    needed = [[kind in config.needs.get(utility, ()) for kind in names.kinds] for utility in config.utilities]
    return Params(
        needed=jnp.array(needed, bool),
        chance=jnp.int32(fixed.to_chance(config.fault_per_day)),
        ticks=jnp.array(config.fault_ticks, jnp.int32),
        names=config.utilities,
    )


def init(world: World, key: Key) -> Slot:
    """Everything works."""
    return Slot(jnp.zeros(len(world.params["utilities"].names), jnp.int16))


def works(world: World, state: State, tick: Array | None = None) -> Array:
    """Which utilities work: bool[U], in this tick or in a later one i32[], as far as it is known now."""
    ahead = jnp.int32(0) if tick is None else tick - state.tick
    fine = state.slots["utilities"].down.astype(jnp.int32) <= ahead
    return fine & ~perturbations.cut(world, state, tick) if world.static.has("perturbations") else fine


def serves(world: World, state: State, tick: Array | None = None) -> Array:
    """Which facilities have all that they need: bool[F]."""
    lacks = (world.params["utilities"].needed & ~works(world, state, tick)[:, None]).any(0)
    return ~lacks[world.map.facility_kind]


def step(world: World, state: State, bits: Array) -> State:
    """Faults pass, and new ones come."""
    params, down = world.params["utilities"], state.slots["utilities"].down
    bits = bits.reshape(2, -1)
    chance = agenda.per_tick(params.chance, world.static.ticks_per_day, jnp.int32(1))
    left = jnp.maximum(down - 1, 0).astype(jnp.int16)
    fails = (left == 0) & ((bits[0] >> 8).astype(jnp.int32) < chance)
    ticks = agenda.draw(bits[1], params.ticks[0], params.ticks[1]).astype(jnp.int16)
    return state.put(utilities=Slot(jnp.where(fails, ticks, left)))


def metrics(world: World, state: State):
    """Whether each utility works."""
    fine = works(world, state).astype(jnp.float32)
    return {f"utilities/{name}": fine[u] for u, name in enumerate(world.params["utilities"].names)}


def fields(world: World) -> list[Feature]:
    """What everybody notices."""
    names = world.params["utilities"].names
    return [Feature("utility", len(names), "0 or 1: it works", 0, 1, names)]


def features(world: World, state: State) -> list[Array]:
    """The same for everybody."""
    fine = works(world, state).astype(jnp.float32)
    return [jnp.broadcast_to(fine, (world.static.num_agents, fine.shape[0]))]


def rules(world: World, state: State):
    """Faults pass, and nothing runs without what it needs."""
    down, queues = state.slots["utilities"].down, state.slots["queues"]
    runs = state.slots["affordances"].remaining > 0
    facility = jnp.minimum(queues.facility, world.static.num_facilities - 1)
    return {
        "faults pass": ((down >= 0) & (down <= MAX_TICKS)).all(),
        "nothing runs without its utilities": (~runs | serves(world, state)[facility]).all(),
    }


def check(config) -> list[tuple[str, str]]:
    """Utilities and kinds that do not exist, and faults too rare to count."""
    section, path = config.systems.utilities, "systems.utilities"
    offers = config.systems.affordances.offers if config.systems.affordances else ()
    kinds = list(dict.fromkeys(offer.at for offer in offers))
    wrong = [
        (f"{path}.needs.{utility}", f"there is no such utility (allowed: {', '.join(section.utilities)})")
        for utility in section.needs
        if utility not in section.utilities
    ]
    for utility, needing in section.needs.items():
        unknown = [kind for kind in needing if kind not in kinds]
        text = "is no kind of facility that offers anything"
        wrong += [(f"{path}.needs.{utility}", f"{kind!r} {text} (allowed: {', '.join(kinds)})") for kind in unknown]
    for utility in dict.fromkeys(section.utilities):
        if not section.needs.get(utility):
            wrong.append((f"{path}.needs", f"nothing needs {utility!r}"))
        if section.utilities.count(utility) > 1:
            wrong.append((f"{path}.utilities", f"{utility!r} stands there twice"))
    if section.fault_per_day > 0 and fixed.to_chance(section.fault_per_day) * 256 // config.ticks_per_day == 0:
        text = f"{section.fault_per_day} a day is less than the town can count (2**-24 a tick)"
        wrong.append((f"{path}.fault_per_day", text))
    return wrong


SYSTEM = System(
    "utilities",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    draws=lambda world: 2 * len(world.params["utilities"].names),
    writes=("slots.utilities",),
    requires=("queues", "affordances"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
