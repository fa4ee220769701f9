"""The feature vector: one group of fields for each system that the world runs."""

from collections.abc import Callable

import jax.numpy as jnp

from ..core import fixed
from ..core.grid import DIRECTIONS
from ..systems import affordances, employment
from ..systems.intents import MOVE
from ..types import Array, Feature, State, World

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
        Feature("attendance", 1, "share of the last shifts", 0, 1),
        Feature("at_post", 1, "0 or 1", 0, 1),
        Feature("post_distance", 1, "steps / 64, at most 1", 0, 1),
    ]


def employment_values(world: World, state: State) -> list[Array]:
    """Work."""
    static, post = world.static, world.map.agent_post
    job, start, end = employment.roster(world)
    time, shift = employment.time_of_day(world, state.tick), state.slots["employment"].shift
    employed = (start != end).astype(jnp.float32)
    day = jnp.float32(static.ticks_per_day)
    until = employment.until_start(world, time).astype(jnp.float32) / day
    left = jnp.where(employment.on_duty(shift), (end - time).astype(jnp.float32) / day, 0.0)
    target = static.num_facilities * static.num_places + jnp.where(start != end, post, jnp.int16(0)).astype(jnp.int32)
    distance = world.map.distance[state.agents.cell, target]
    return [
        one_hot(job, len(static.names.jobs)) * employed[:, None],
        employment.may_work(world, state).astype(jnp.float32),
        one_hot(shift, len(employment.STATES)),
        until * employed,
        left,
        employment.attendance(state),
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


def offers_values(world: World, state: State) -> list[Array]:
    """Offers."""
    route, steps = affordances.routes(world, state)
    queues = state.slots["queues"].facility
    others = ~jnp.eye(world.static.num_agents, dtype=bool)
    waiting = ((route[:, :, None] == queues[None, None, :]) & others[:, None, :]).sum(-1, dtype=jnp.int8)
    return [
        affordances.available(world, state).astype(jnp.float32),
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
        Feature("heading", 4, "one-hot, zeros if one stands", 0, 1, DIRECTIONS),
    ]


def options_values(world: World, state: State) -> list[Array]:
    """What one is doing."""
    slot, intent = state.slots["intents"], state.intent
    heading = jnp.where(intent.verb == MOVE, intent.arg, jnp.int8(4))
    return [one_hot(slot.option, world.static.actions.num_options), share(slot.commit, 120.0), one_hot(heading, 4)]


def crowd_fields(world: World) -> list[Feature]:
    """Others around."""
    return [
        Feature("blocked", 1, "0 or 1: the last step failed", 0, 1),
        Feature("queue_place", 1, "place / 4, at most 1", 0, 1),
        Feature("in_queue", 1, "0 or 1", 0, 1),
        Feature("neighbours", 1, "share of the others within 5 cells", 0, 1),
    ]


def crowd_values(world: World, state: State) -> list[Array]:
    """Others around."""
    static, agents, queues = world.static, state.agents, state.slots["queues"]
    row = (agents.cell // jnp.uint16(static.width)).astype(jnp.int16)
    col = (agents.cell % jnp.uint16(static.width)).astype(jnp.int16)
    near = (jnp.abs(row[:, None] - row[None, :]) <= 5) & (jnp.abs(col[:, None] - col[None, :]) <= 5)
    others = near & agents.alive[None, :] & ~jnp.eye(static.num_agents, dtype=bool)
    return [
        (state.slots["movement"].blocked > 0).astype(jnp.float32),
        share(queues.place, 4.0),
        (queues.facility < static.num_facilities).astype(jnp.float32),
        share(others.sum(-1, dtype=jnp.int8), max(static.num_agents - 1, 1)),
    ]


def fate_fields(world: World) -> list[Feature]:
    """Danger."""
    return [Feature("critical", 1, "ticks with a critical need / 30, at most 1", 0, 1)]


def fate_values(world: World, state: State) -> list[Array]:
    """Danger."""
    return [share(state.slots["lifecycle"].critical, 30.0)]


GROUPS: dict[str, tuple[Callable[[World], list[Feature]], Callable[[World, State], list[Array]]]] = {
    "needs": (needs_fields, needs_values),
    "economy": (economy_fields, economy_values),
    "employment": (employment_fields, employment_values),
    "affordances": (offers_fields, offers_values),
    "intents": (options_fields, options_values),
    "queues": (crowd_fields, crowd_values),
    "lifecycle": (fate_fields, fate_values),
}  # by system; another system brings its own, see `System.fields`


def fields(world: World) -> list[Feature]:
    """All fields of a world, in the order of its systems."""
    groups = [GROUPS.get(system.name, (system.fields, system.features)) for system in world.static.systems]
    return [field for fields_of, _ in groups for field in fields_of(world)]


def features(world: World, state: State) -> Array:
    """The feature vectors of a town: f32[A, D]; zeros for who is not alive."""
    A = world.static.num_agents
    groups = [GROUPS.get(system.name, (system.fields, system.features)) for system in world.static.systems]
    parts = [value.reshape(A, -1) for _, values_of in groups for value in values_of(world, state)]
    row = jnp.concatenate(parts, axis=1) if parts else jnp.zeros((A, 0), jnp.float32)
    return jnp.where(state.agents.alive[:, None], row, 0.0)
