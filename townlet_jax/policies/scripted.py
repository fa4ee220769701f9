"""The citizen: a competent creature of habit.

In this order: see to a need that is urgent, be at work in good time, keep the larder filled, see early to what runs low, talk
to somebody if people chat and one may again, else go home. For each need it takes the offer that gives most for the time, the way
and the money, and rather not one where somebody whom it avoids stands. What cannot be done now is passed over; who stands in a
queue keeps wanting the same thing and so keeps the place. `citizen` makes citizens of other habits.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import struct

from ..core import fixed
from ..observe.action_mask import action_mask
from ..systems import affordances, economy, employment, personality, relationships, reputation, weather
from ..systems.intents import WAIT_ACTION
from ..types import Array, Key, State, World

URGENT = 0.5  # share of a need below which it comes before work
EARLY = 0.8  # share below which it is seen to in free time
LARDER = 1  # of each item that can be made or bought, kept at home
SHUN = 1 << 28  # worse than any price, so that somewhere else is better
EARLY_BIRD = 12  # ticks that one wants to be early at work
THRIFT = 20  # parts of a need per tick that a mill is worth, see `relief`
REQUIRES = ("needs", "affordances", "economy")  # systems without which it cannot live
MOTIVES = ("home", "company", "early", "larder", "work", "urgent")  # why, each stronger than the one before it


class Threshold(NamedTuple):
    """What a threshold of the citizen may be."""

    shipped: float
    least: float
    most: float
    whole: bool  # whether only integers make sense
    unit: str


THRESHOLDS = {
    "urgent": Threshold(URGENT, 0, 1, False, "share of a need"),
    "early": Threshold(EARLY, 0, 1, False, "share of a need"),
    "early_bird": Threshold(EARLY_BIRD, 0, 240, True, "ticks"),
    "thrift": Threshold(THRIFT, 0, 1000, True, "parts of a need per tick and mill"),
    "larder": Threshold(LARDER, 0, affordances.MAX_CARRIED, True, "of each item"),
}


class Habits(struct.PyTreeNode):
    """The thresholds of a citizen; leaves can be stacked and vmapped."""

    urgent: Array | int  # i32[] parts of fixed.NEED
    early: Array | int  # i32[] parts of fixed.NEED
    early_bird: Array | int  # i32[] ticks
    thrift: Array | int  # i32[] parts of fixed.NEED per tick and mill
    larder: Array | int  # i8[] of each item


SHIPPED = Habits(fixed.to_need(URGENT), fixed.to_need(EARLY), EARLY_BIRD, THRIFT, LARDER)


def relief(world: World, state: State, habits: Habits) -> Array:
    """How good each offer is for each need: i32[A, O, N], effect per tick of way and use, less its price.

    A bad reputation counts as a longer way.
    """
    params = world.params["affordances"]
    _, steps = affordances.routes(world, state)
    ticks = (steps + params.ticks).astype(jnp.int32)
    if world.static.has("reputation"):
        ticks = ticks + reputation.detour(world, state)
    poor = state.agents.wallet < 2 * world.params["economy"].rent
    cost = economy.price(world, state) * jnp.where(poor, 3 * habits.thrift, habits.thrift)[:, None]
    return params.effect // ticks[:, :, None] - cost[:, :, None]


def shunned(world: World, state: State) -> Array:
    """The offers whose facility, of each agent, somebody uses or queues for whom it avoids: bool[A, O]."""
    route, _ = affordances.routes(world, state)
    queue = state.slots["queues"].facility
    there = (route[:, :, None] == queue[None, None, :]) & relationships.avoids(world, state)[:, None, :]
    return there.any(-1)


def remedy(world: World, state: State, allowed: Array, below: Array | int, habits: Habits) -> tuple[Array, Array]:
    """The offer i32[A] that helps most with the lowest need below i32[] that anything helps, and whether there is one."""
    value = relief(world, state, habits)
    helps = allowed[:, :, None] & (world.params["affordances"].effect > 0)
    if world.static.has("relationships"):
        value = value - jnp.where(shunned(world, state), SHUN, 0)[:, :, None]
    value = jnp.where(helps, value, jnp.iinfo(jnp.int32).min)
    level = jnp.where(helps.any(1), personality.felt(world, state), fixed.NEED)  # [A, N]
    need = jnp.argmin(level, axis=-1)
    best = jnp.argmax(jnp.take_along_axis(value, need[:, None, None], axis=2)[:, :, 0], axis=-1)
    return best.astype(jnp.int32), jnp.min(level, axis=-1) < below


def provision(world: World, state: State, allowed: Array, habits: Habits) -> tuple[Array, Array]:
    """The offer i32[A] that gives something the larder lacks, later items first (meals before what they are made of)."""
    gives = world.params["affordances"].gives > 0  # [O, I]
    lacks = state.agents.items < habits.larder  # [A, I]
    affords = state.agents.wallet[:, None] >= economy.price(world, state) + world.params["economy"].rent
    useful = (lacks[:, None, :] & gives[None]) & (allowed & affords)[:, :, None]  # [A, O, I]
    rank = jnp.where(useful, jnp.arange(1, gives.shape[1] + 1, dtype=jnp.int32), 0).max(-1, initial=0)
    return jnp.argmax(rank, axis=-1).astype(jnp.int32), rank.max(-1) > 0


def due_at_work(world: World, state: State, habits: Habits) -> Array:
    """Who should set out for work, or stay there: bool[A]."""
    way = weather.way(world, state, world.map.distance[state.agents.cell, employment.post_target(world, state)])
    until = employment.until_start(world, state, employment.time_of_day(world, state.tick))
    early = personality.early(world, state, habits.early_bird)
    return (until <= way + early) | employment.on_duty(state.slots["employment"].shift)


def weigh(world: World, state: State, habits: Habits) -> tuple[Array, Array]:
    """What the citizen of each slot does, i32[A], 0 (`wait`) while it is busy or committed, and why: i32[A] index into MOTIVES.

    Needs the systems of `REQUIRES`, and their requirements; work is passed over in a world without jobs.
    """
    layout, num_offers = world.static.actions, len(world.static.names.offers)
    mask = action_mask(world, state)
    allowed = mask[:, layout.options : layout.options + num_offers]
    action, motive = (jnp.zeros(world.static.num_agents, jnp.int32) for _ in range(2))
    anyone = jnp.ones_like(action, bool)
    wishes = {"home": (jnp.full_like(action, layout.home), anyone)}
    if layout.company is not None:
        wishes["company"] = (jnp.full_like(action, layout.company), mask[:, layout.options + layout.company])
    wishes["early"] = remedy(world, state, allowed, habits.early, habits)
    wishes["larder"] = provision(world, state, allowed, habits)
    if layout.work is not None:
        works = mask[:, layout.options + layout.work] & due_at_work(world, state, habits)
        wishes["work"] = (jnp.full_like(action, layout.work), works)
    wishes["urgent"] = remedy(world, state, allowed, habits.urgent, habits)
    for name, (option, wants) in wishes.items():  # later ones win
        action = jnp.where(wants, layout.options + option, action)
        motive = jnp.where(wants, MOTIVES.index(name), motive)
    return jnp.where(jnp.take_along_axis(mask, action[:, None], axis=1)[:, 0], action, WAIT_ACTION), motive


def act(habits: Habits, world: World, state: State, key: Key) -> Array:
    """What citizens of those habits do: i32[A]; the key is not used."""
    return weigh(world, state, habits)[0]


def scripted(world: World, state: State, key: Key) -> Array:
    """What the citizen of each slot does: i32[A], see `weigh`; the key is not used. It is `citizen()`."""
    return act(SHIPPED, world, state, key)


def habits(**thresholds: Any) -> Habits:
    """Thresholds as a citizen keeps them.

    Args:
        thresholds: numbers or arrays by name, see `THRESHOLDS`; the others are as shipped. Numbers are checked, arrays of a
            traced program are not.

    Raises:
        ValueError: there is no such threshold, or a number is out of bounds.
    """
    for name, value in thresholds.items():
        if name not in THRESHOLDS:
            raise ValueError(f"the citizen has no threshold {name!r} (allowed: {', '.join(THRESHOLDS)})")
        if isinstance(value, int | float | np.ndarray | np.generic):
            _, least, most, whole, _ = THRESHOLDS[name]
            fits = (np.asarray(value) >= least) & (np.asarray(value) <= most)
            if not (fits & (not whole or np.asarray(value) % 1 == 0)).all():
                kind = "integers" if whole else "shares"
                raise ValueError(f"{name} is {value}: allowed are {kind} from {least} to {most}")
    given = {name: jnp.asarray(thresholds.get(name, known.shipped)) for name, known in THRESHOLDS.items()}
    share = lambda name: jnp.round(given[name].astype(jnp.float32) * fixed.NEED).astype(jnp.int32)
    number = lambda name: given[name].astype(jnp.int32)
    larder = given["larder"].astype(jnp.int8)
    return Habits(share("urgent"), share("early"), number("early_bird"), number("thrift"), larder)


def citizen(**thresholds: Any) -> Callable[[World, State, Key], Array]:
    """A citizen of other habits: a policy (world, state, key) -> actions i32[A].

    Args:
        thresholds: numbers, or arrays of a traced program, see `habits`.

    Raises:
        ValueError: as `habits`.
    """
    return partial(act, habits(**thresholds))
