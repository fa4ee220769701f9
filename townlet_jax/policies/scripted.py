"""The citizen: a competent creature of habit.

In this order: see to a need that is urgent, be at work in good time, keep the larder filled, see early to what runs low, talk
to somebody if people chat and one may again, else go home. For each need it takes the offer that gives most for the time, the way
and the money, and rather not one where somebody whom it avoids stands. What cannot be done now is passed over; who stands in a
queue keeps wanting the same thing and so keeps the place.
"""

import jax.numpy as jnp

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


def relief(world: World, state: State) -> Array:
    """How good each offer is for each need: i32[A, O, N], effect per tick of way and use, less its price.

    A bad reputation counts as a longer way.
    """
    params = world.params["affordances"]
    _, steps = affordances.routes(world, state)
    ticks = (steps + params.ticks).astype(jnp.int32)
    if world.static.has("reputation"):
        ticks = ticks + reputation.detour(world, state)
    poor = state.agents.wallet < 2 * world.params["economy"].rent
    cost = economy.price(world, state) * jnp.where(poor, 3 * THRIFT, THRIFT)[:, None]
    return params.effect // ticks[:, :, None] - cost[:, :, None]


def shunned(world: World, state: State) -> Array:
    """The offers whose facility, of each agent, somebody uses or queues for whom it avoids: bool[A, O]."""
    route, _ = affordances.routes(world, state)
    queue = state.slots["queues"].facility
    there = (route[:, :, None] == queue[None, None, :]) & relationships.avoids(world, state)[:, None, :]
    return there.any(-1)


def remedy(world: World, state: State, allowed: Array, below: float) -> tuple[Array, Array]:
    """The offer i32[A] that helps most with the lowest need below a share that anything helps, and whether there is one."""
    value = relief(world, state)
    helps = allowed[:, :, None] & (world.params["affordances"].effect > 0)
    if world.static.has("relationships"):
        value = value - jnp.where(shunned(world, state), SHUN, 0)[:, :, None]
    value = jnp.where(helps, value, jnp.iinfo(jnp.int32).min)
    level = jnp.where(helps.any(1), personality.felt(world, state), fixed.NEED)  # [A, N]
    need = jnp.argmin(level, axis=-1)
    best = jnp.argmax(jnp.take_along_axis(value, need[:, None, None], axis=2)[:, :, 0], axis=-1)
    return best.astype(jnp.int32), jnp.min(level, axis=-1) < fixed.to_need(below)


def provision(world: World, state: State, allowed: Array) -> tuple[Array, Array]:
    """The offer i32[A] that gives something the larder lacks, later items first (meals before what they are made of)."""
    gives = world.params["affordances"].gives > 0  # [O, I]
    lacks = state.agents.items < LARDER  # [A, I]
    affords = state.agents.wallet[:, None] >= economy.price(world, state) + world.params["economy"].rent
    useful = (lacks[:, None, :] & gives[None]) & (allowed & affords)[:, :, None]  # [A, O, I]
    rank = jnp.where(useful, jnp.arange(1, gives.shape[1] + 1, dtype=jnp.int32), 0).max(-1, initial=0)
    return jnp.argmax(rank, axis=-1).astype(jnp.int32), rank.max(-1) > 0


def due_at_work(world: World, state: State) -> Array:
    """Who should set out for work, or stay there: bool[A]."""
    way = weather.way(world, state, world.map.distance[state.agents.cell, employment.post_target(world, state)])
    until = employment.until_start(world, state, employment.time_of_day(world, state.tick))
    early = personality.early(world, state, EARLY_BIRD)
    return (until <= way + early) | employment.on_duty(state.slots["employment"].shift)


def scripted(world: World, state: State, key: Key) -> Array:
    """What the citizen of each slot does: i32[A], 0 (`wait`) while it is busy or committed; the key is not used.

    Needs the systems `needs`, `affordances` and `economy`, and their requirements; work is passed over in a world without jobs.
    """
    layout, num_offers = world.static.actions, len(world.static.names.offers)
    mask = action_mask(world, state)
    allowed = mask[:, layout.options : layout.options + num_offers]
    action = jnp.zeros(world.static.num_agents, jnp.int32)
    anyone = jnp.ones_like(action, bool)
    company = []
    if layout.company is not None:
        company.append((jnp.full_like(action, layout.company), mask[:, layout.options + layout.company]))
    wishes = [
        (jnp.full_like(action, layout.home), anyone),
        *company,
        remedy(world, state, allowed, EARLY),
        provision(world, state, allowed),
    ]
    if layout.work is not None:
        works = mask[:, layout.options + layout.work] & due_at_work(world, state)
        wishes.append((jnp.full_like(action, layout.work), works))
    wishes.append(remedy(world, state, allowed, URGENT))
    for option, wants in wishes:  # later ones win
        action = jnp.where(wants, layout.options + option, action)
    return jnp.where(jnp.take_along_axis(mask, action[:, None], axis=1)[:, 0], action, WAIT_ACTION)
