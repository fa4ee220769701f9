"""Spoilage: what is carried too long goes bad.

Units are counted by age in midnights of spoilage. What is used up is taken from the oldest; what comes in, by whatever way, is
fresh (so is what a closing facility gives back). Once a day all grow a day older, and those past their shelf life are gone.

reads  tick, agents
writes agents.items, slots.spoilage
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import blocks
from ..types import Array, Feature, Key, Section, State, System, World

MOST_DAYS = 14  # of a shelf life


class Config(Section):
    """What goes bad, and when."""

    shelf_life: dict[str, int] = Field(description="item -> days, each ending at `at`, for which one can keep it")
    at: int = Field(0, ge=0, description="tick of the day at which things grow older")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    spoils: Array  # bool[I, D] of which item and age units go bad next; D is the longest shelf life
    keeps: Array  # bool[I] items that never do
    at: Array  # i32[]


class Slot(struct.PyTreeNode):
    """The ages of what is carried."""

    units: Array  # i8[A, I, D] units of each item by age in days, 0 for items that never spoil
    spoilt: Array  # i16[] units that went bad in this tick


def build(config, names) -> Params:
    """YAML to arrays."""
    life = [config.shelf_life.get(item, 0) for item in names.items]
    return Params(
        spoils=jnp.array([[age == days - 1 for age in range(max(life))] for days in life], bool),
        keeps=jnp.array([days == 0 for days in life], bool),
        at=jnp.int32(config.at),
    )


def init(world: World, key: Key) -> Slot:
    """What people begin with is fresh in the first tick."""
    shape = world.params["spoilage"].spoils.shape
    return Slot(jnp.zeros((world.static.num_agents, *shape), jnp.int8), jnp.int16(0))


def restock(units: Array, items: Array) -> Array:
    """Bring the ages up to date with what is carried now.

    Args:
        units: i8[A, I, D] by age, 100 in all at most.
        items: i8[A, I] carried now, 0 to 100.

    Returns:
        i8[A, I, D] that add up to `items`: what is missing is taken from the oldest, what is more is fresh.
    """
    ages = jnp.arange(units.shape[-1], dtype=jnp.int8)
    older = jnp.where(ages[None, :] > ages[:, None], units[..., None, :], jnp.int8(0)).sum(-1, dtype=jnp.int8)
    more = blocks.once(items - units.sum(-1, dtype=jnp.int8))[..., None]
    missing, fresh = jnp.maximum(-more, jnp.int8(0)), jnp.maximum(more, jnp.int8(0))
    taken = jnp.clip(missing - older, jnp.int8(0), units)
    return units - taken + jnp.where(ages == 0, fresh, jnp.int8(0))


def spoils_next(world: World, state: State) -> Array:
    """Units that each agent will lose the next time unless it uses them: i8[A, I]."""
    units = state.slots["spoilage"].units
    return jnp.where(world.params["spoilage"].spoils, units, jnp.int8(0)).sum(-1, dtype=jnp.int8)


def step(world: World, state: State, bits: Array) -> State:
    """Take stock of what is carried; once a day, throw away."""
    params, agents = world.params["spoilage"], state.agents
    tracked = jnp.where(params.keeps | ~agents.alive[:, None], jnp.int8(0), agents.items)
    units = blocks.once(restock(state.slots["spoilage"].units, blocks.once(tracked)))
    due = state.tick % world.static.ticks_per_day == params.at
    bad = jnp.where(params.spoils & due, units, jnp.int8(0))
    kept = units - bad
    aged = jnp.concatenate([jnp.zeros_like(kept[..., :1]), kept[..., :-1]], axis=-1)
    lost = bad.sum(-1, dtype=jnp.int8)
    slot = Slot(jnp.where(due, aged, kept), lost.sum(dtype=jnp.int16))
    return state.replace(agents=agents.replace(items=agents.items - lost)).put(spoilage=slot)


def metrics(world: World, state: State):
    """Units that went bad in this tick."""
    return {"spoilt": state.slots["spoilage"].spoilt.astype(jnp.float32)}


def features(world: World, state: State) -> list[Array]:
    """What goes bad next."""
    units = spoils_next(world, state).astype(jnp.float32)
    return [jnp.minimum(units * jnp.float32(0.125), 1.0)]


def rules(world: World, state: State):
    """Ages count what one may carry, in no other column than a shelf life has; the dead keep nothing."""
    params, slot = world.params["spoilage"], state.slots["spoilage"]
    gone = ~state.agents.alive & ~state.terminated
    life = jnp.where(params.keeps, 0, jnp.argmax(params.spoils, axis=-1).astype(jnp.int32) + 1)
    beyond = jnp.arange(params.spoils.shape[1], dtype=jnp.int32) >= life[:, None]
    return {
        "ages not negative": (slot.units >= 0).all(),
        "nothing older than its shelf life": ((slot.units == 0) | ~beyond).all(),
        "ages of what one can carry": (slot.units.sum(-1, dtype=jnp.int16) <= 100).all(),
        "the dead keep nothing": (~gone[:, None, None] | (slot.units == 0)).all(),
    }


def check(config) -> list[tuple[str, str]]:
    """The items exist, and shelf lives are days."""
    section, path = config.systems.spoilage, "systems.spoilage.shelf_life"
    wrong = [] if section.shelf_life else [(path, "no item is named, so that nothing would spoil")]
    for item, days in section.shelf_life.items():
        if item not in config.items:
            wrong.append((f"{path}.{item}", f"there is no such item (allowed: {', '.join(config.items) or 'none'})"))
        if not 1 <= days <= MOST_DAYS:
            wrong.append((f"{path}.{item}", f"{days} is not allowed (allowed: 1 to {MOST_DAYS} days)"))
    if section.at >= config.ticks_per_day:
        text = f"{section.at} is not allowed (allowed: 0 to {config.ticks_per_day - 1})"
        wrong.append(("systems.spoilage.at", text))
    return wrong


SYSTEM = System(
    "spoilage",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("agents.items", "slots.spoilage"),
    requires=("affordances",),
    fields=lambda world: [
        Feature(
            "spoils", len(world.static.names.items), "units lost next / 8, at most 1", 0, 1, world.static.names.items
        )
    ],
    features=features,
    rules=rules,
    check=check,
)
