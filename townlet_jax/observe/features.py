"""The feature vector: one group of fields for each system that the world runs.

`hybrid` and `full` have directions behind them, so that what `compact` has comes first in all three. Where the original Townlet
had a feature of the same meaning, the field with its entry, joined by `_`, bears the name that it had there (`need_hunger`,
`shift_on_time`).
"""

from collections.abc import Callable

import jax.numpy as jnp

from ..core import blocks, fixed, ties
from ..core.grid import DIRECTIONS
from ..systems import affordances, employment, exits, intents
from ..types import NOTHING, Array, Feature, State, World
from . import social
from .directions import direction_fields, direction_values, way_fields, way_values
from .layers import NEAR

FAR = 64.0  # steps that count as far away


def share(value: Array, whole: float) -> Array:
    """Value / whole as f32, at most 1."""
    return jnp.minimum(value.astype(jnp.float32) * jnp.float32(1.0 / whole), 1.0)


def one_hot(index: Array, size: int) -> Array:
    """f32[A, size], a zero row where the index is out of range."""
    return (index[:, None] == jnp.arange(size, dtype=index.dtype)).astype(jnp.float32)


def needs_fields(world: World) -> list[Feature]:
    """Needs."""
    return [Feature("need", len(world.static.names.needs), "share, 1 is satisfied", 0, 1, world.static.names.needs)]


def needs_values(world: World, state: State) -> list[Array]:
    """Needs."""
    return [fixed.to_float(state.agents.needs, fixed.NEED)]


def economy_fields(world: World) -> list[Feature]:
    """Money and time."""
    items = world.static.names.items
    return [
        Feature("wallet", 1, "w / (w + 5 coins)", 0, 1),
        Feature("item", len(items), "carried / 8, at most 1", 0, 1, items),
        Feature("rent_unpaid", 1, "days / 4, at most 1", 0, 1),
        Feature("time", 2, "2 pi x tick of the day / ticks a day", -1, 1, ("sin", "cos")),
    ]


def economy_values(world: World, state: State) -> list[Array]:
    """Money and time."""
    coins = fixed.to_float(state.agents.wallet, fixed.COIN)
    day = world.static.ticks_per_day
    angle = (state.tick % day).astype(jnp.float32) * jnp.float32(2.0 * jnp.pi / day)
    clock = jnp.stack([jnp.sin(angle), jnp.cos(angle)])
    return [
        coins / (coins + 5.0),
        share(state.agents.items, 8.0),
        share(state.slots["economy"].unpaid, 4.0),
        jnp.broadcast_to(clock, (world.static.num_agents, 2)),
    ]


def employment_fields(world: World) -> list[Feature]:
    """Work."""
    return [
        Feature("job", len(world.static.names.jobs), "one-hot", 0, 1, world.static.names.jobs),
        Feature("may_work", 1, "0 or 1", 0, 1),
        Feature("shift", len(employment.STATES), "one-hot", 0, 1, employment.STATES),
        Feature("until_shift", 1, "ticks to the next start / ticks a day", 0, 1),
        Feature("shift_left", 1, "ticks to the end / ticks a day, 0 outside", 0, 1),
        Feature("attendance_ratio", 1, "share of the last shifts", 0, 1),
        Feature("on_shift", 1, "0 or 1: at the post in the own shift", 0, 1),
        Feature("at_post", 1, "0 or 1", 0, 1),
        Feature("post_distance", 1, "steps / 64, at most 1", 0, 1),
    ]


def employment_values(world: World, state: State) -> list[Array]:
    """Work."""
    static = world.static
    job, start, end = employment.roster(world, state)
    time, shift = employment.time_of_day(world, state.tick), state.slots["employment"].shift
    employed = (start != end).astype(jnp.float32)
    day = jnp.float32(static.ticks_per_day)
    until = employment.until_start(world, state, time).astype(jnp.float32) / day
    left = jnp.where(employment.on_duty(shift), (end - time).astype(jnp.float32) / day, 0.0)
    distance = world.map.distance[state.agents.cell, employment.post_target(world, state)]
    return [
        one_hot(job, len(static.names.jobs)) * employed[:, None],
        employment.may_work(world, state).astype(jnp.float32),
        one_hot(shift, len(employment.STATES)),
        until * employed,
        left,
        employment.attendance(state),
        employment.is_present(state.slots["employment"]).astype(jnp.float32),
        employment.at_post(world, state).astype(jnp.float32),
        share(distance, FAR),
    ]


def offers_fields(world: World) -> list[Feature]:
    """Offers."""
    offers = world.static.names.offers
    return [
        Feature("can", len(offers), "0 or 1: one could begin it now", 0, 1, offers),
        Feature("distance", len(offers), "steps / 64, at most 1", 0, 1, offers),
        Feature("queue", len(offers), "others in the queue / 4, at most 1", 0, 1, offers),
        Feature("busy", 1, "ticks left / 60, at most 1", 0, 1),
    ]


def offers_values(world: World, state: State, can: Array | None = None) -> list[Array]:
    """Offers; `can` is `affordances.available`, if it is known already."""
    route, steps = affordances.routes(world, state)
    queue = state.slots["queues"].facility
    others = ~jnp.eye(world.static.num_agents, dtype=bool)
    waiting = ((route[:, :, None] == queue[None, None, :]) & others[:, None, :]).sum(-1, dtype=jnp.int8)
    return [
        (affordances.available(world, state) if can is None else can).astype(jnp.float32),
        share(steps, FAR),
        share(waiting, 4.0),
        share(state.slots["affordances"].remaining, 60.0),
    ]


def options_fields(world: World) -> list[Feature]:
    """What one is doing."""
    layout = world.static.actions
    return [
        Feature("option", layout.num_options, "one-hot, zeros if none", 0, 1, layout.names[layout.options :]),
        Feature("commit", 1, "ticks / 120, that the choice still binds", 0, 1),
        Feature(
            "path_hint",
            4,
            "one-hot: the next step to what or whom one looks for, or to one's meeting; zeros if none",
            0,
            1,
            DIRECTIONS,
        ),
        Feature("home_distance", 1, "steps / 64, at most 1", 0, 1),
        Feature("ctx_reset_flag", 1, "0 or 1: a new person, or moved or changed from outside", 0, 1),
    ]


def options_values(world: World, state: State) -> list[Array]:
    """What one is doing."""
    slot, static = state.slots["intents"], world.static
    home = world.map.distance[state.agents.cell, employment.home_target(world)]
    return [
        one_hot(slot.option, static.actions.num_options),
        share(slot.commit, 120.0),
        one_hot(intents.heading(world, state), 4),
        share(home, FAR),
        slot.reset.astype(jnp.float32),
    ]


def crowd_fields(world: World) -> list[Feature]:
    """Others around."""
    return [
        Feature("blocked", 1, "0 or 1: the last step failed", 0, 1),
        Feature("queue_place", 1, "place / 4, at most 1", 0, 1),
        Feature("in_queue", 1, "0 or 1", 0, 1),
        Feature("reservation_active", 1, "0 or 1: first in the queue", 0, 1),
        Feature("neighbor_agent_ratio", 1, "share of the others within 5 cells", 0, 1),
        Feature("neighbor_object_ratio", 1, "facilities within 5 cells / 16, at most 1", 0, 1),
        Feature(
            "reserved_tile_ratio",
            1,
            "agents within 5 cells, oneself included, who hold a reservation / 4, at most 1",
            0,
            1,
        ),
        Feature("nearest_agent_distance", 1, "cells / 5, 1 if nobody is within 5", 0, 1),
    ]


def crowd_values(world: World, state: State) -> list[Array]:
    """Others around."""
    static, agents, slot = world.static, state.agents, state.slots["queues"]
    gap = jnp.maximum(*ties.apart(agents.cell, static.width))  # Chebyshev, i16[A, A]
    others = (gap <= NEAR) & agents.alive[None, :] & ~jnp.eye(static.num_agents, dtype=bool)
    waits = slot.facility != NOTHING
    gap, others, holds = blocks.once((gap, others, waits & (slot.place == 0)))
    nearest = jnp.where(others, gap, jnp.int16(NEAR)).min(-1)
    return [
        (state.slots["movement"].blocked > 0).astype(jnp.float32),
        share(slot.place, 4.0),
        waits.astype(jnp.float32),
        holds.astype(jnp.float32),
        share(others.sum(-1, dtype=jnp.int8), max(static.num_agents - 1, 1)),
        share(world.map.around[agents.cell], 16.0),
        share(((gap <= NEAR) & holds[None, :]).sum(-1, dtype=jnp.int8), 4.0),
        share(nearest, NEAR),
    ]


def fate_fields(world: World) -> list[Feature]:
    """Danger, and what makes people leave as far as the world knows it."""
    rules = world.params["lifecycle"].exits
    known = {
        "notice": (rules.recovery_ticks, "ticks under notice / ticks in which to recover, at most 1"),
        "jobless": (rules.jobless_days, "ticks without a wage / ticks after which one leaves"),
        "neglected": (
            rules.neglect_share,
            "ticks of the last day with a neglected need / ticks after which one leaves",
        ),
        "in_line": (rules.per_day, "0 or 1: one is about to leave"),
    }
    more = [Feature(name, 1, unit, 0, 1) for name, (rule, unit) in known.items() if rule is not None]
    return [
        Feature("critical", 1, "ticks with a critical need / those that one survives, at most 1", 0, 1),
        Feature("episode_progress", 1, "share of the episode gone by", 0, 1),
        *more,
    ]


def fate_values(world: World, state: State) -> list[Array]:
    """Danger, and what makes people leave as far as the world knows it."""
    slot, rules, day = state.slots["lifecycle"], world.params["lifecycle"].exits, world.static.ticks_per_day
    ratio = lambda count, most: jnp.minimum(count.astype(jnp.float32) / most.astype(jnp.float32), 1.0)
    episode = world.params["lifecycle"].episode_ticks
    gone = jnp.clip(episode - (slot.ends - state.tick), 0, episode)  # whole ticks: the same bits however it is compiled
    progress = jnp.broadcast_to(ratio(gone, episode), (world.static.num_agents,))
    values = [ratio(slot.critical, world.params["lifecycle"].collapse_ticks), progress]
    if rules.recovery_ticks is not None:
        values.append(ratio(slot.clocks.notice, rules.recovery_ticks))
    if rules.jobless_days is not None:
        values.append(ratio(slot.clocks.jobless, rules.jobless_days * day))
    if rules.neglect_share is not None:
        values.append(ratio(exits.neglect(world, state), rules.neglect_share * day))
    if rules.per_day is not None:
        values.append((slot.clocks.waiting > 0).astype(jnp.float32))
    return values


GROUPS: dict[str, tuple[Callable[[World], list[Feature]], Callable[[World, State], list[Array]]]] = {
    "needs": (needs_fields, needs_values),
    "economy": (economy_fields, economy_values),
    "employment": (employment_fields, employment_values),
    "affordances": (offers_fields, offers_values),
    "intents": (options_fields, options_values),
    "queues": (crowd_fields, crowd_values),
    "lifecycle": (fate_fields, fate_values),
    "relationships": (social.ties_fields, social.ties_values),
    "chat": (social.chat_fields, social.chat_values),
}  # by system; what else there is to see a system brings itself, see `System.fields`


def groups(world: World) -> list[tuple[Callable[[World], list[Feature]], Callable[[World, State], list[Array]]]]:
    """What each system of a world shows: its group, then what it brings itself."""
    own = [[GROUPS.get(system.name), (system.fields, system.features)] for system in world.static.systems]
    shown = [group for pair in own for group in pair if group is not None]
    return [*shown, (direction_fields, direction_values), (way_fields, way_values)]


def fields(world: World) -> list[Feature]:
    """All fields of a world, in the order of its systems."""
    return [field for fields_of, _ in groups(world) for field in fields_of(world)]


def features(world: World, state: State, can: Array | None = None) -> Array:
    """The feature vectors of a town: f32[A, D]; zeros for who is not alive. `can` is `affordances.available`, if known already."""
    A, parts = world.static.num_agents, []
    for _, values_of in groups(world):
        values = offers_values(world, state, can) if values_of is offers_values else values_of(world, state)
        parts += [jnp.where(state.agents.alive[:, None], value.reshape(A, -1), 0.0) for value in values]
    return jnp.concatenate(parts, axis=1) if parts else jnp.zeros((A, 0), jnp.float32)
