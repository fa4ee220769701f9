"""From words to indices: a validated configuration becomes a `World`, once."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..core import grid
from ..core.grid import DIRECTIONS, UNREACHABLE
from ..observe.layers import NEAR, THIN
from ..systems import timeline
from ..systems.encounters import NEAREST
from ..types import NOTHING, Actions, Map, Names, Static, System, World
from . import expressions, schedule, start
from .draws import Draws
from .layout import Layout


def names_of(config: Any, layout: Layout) -> Names:
    """The words of a world, in index order."""
    offers = config.systems.affordances.offers if getattr(config.systems, "affordances", None) else ()
    jobs = config.systems.employment.jobs if getattr(config.systems, "employment", None) else ()
    return Names(
        needs=config.needs,
        items=config.items,
        kinds=tuple(dict.fromkeys(layout.facility_kind)),
        offers=tuple(offer.name for offer in offers),
        offer_kinds=tuple(offer.at for offer in offers),
        jobs=tuple(job.name for job in jobs),
        places=tuple(layout.place_names),
        residents=tuple(resident.name for resident in config.start.residents),
    )


def actions_of(names: Names, chats: bool = False) -> Actions:
    """The discrete action space: wait, moves, uses, talks if there are chats, then options."""
    uses = ("wait", *(f"move_{d}" for d in DIRECTIONS), *(f"use_{offer}" for offer in names.offers))
    primitives = (*uses, *(f"talk_{k}" for k in range(NEAREST if chats else 0)))
    extra = (*(("go_work",) if names.jobs else ()), *(("go_talk",) if chats else ()))
    options = (*(f"go_{offer}" for offer in names.offers), *extra, "go_home")
    work = options.index("go_work") if names.jobs else None
    company = options.index("go_talk") if chats else None
    return Actions(
        (*primitives, *options),
        use=5,
        options=len(primitives),
        num_options=len(options),
        work=work,
        home=len(options) - 1,
        talk=len(uses) if chats else None,
        company=company,
    )


def routes(
    layout: Layout, names: Names, distance: np.ndarray, num_places: int, detour: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The facility that a resident of home h on cell c would use for each offer, and the steps to it: i16[H * C, O] each.

    It is the nearest of the kind, among the home's own ones if it has any, else among the public ones; if there is neither,
    the steps are UNREACHABLE and the facility means nothing. With a detour each home has an order of its own for the public
    ones, and uses the first in it that is no more than so many steps further than the nearest.
    """
    kinds = np.array(layout.facility_kind)
    to_use = distance[:, : len(kinds) * num_places : num_places].astype(np.int32)  # [C, F]
    table = np.zeros((len(layout.home_cell), len(distance), len(names.offers)), np.int16)
    steps = np.full(table.shape, UNREACHABLE, np.int16)
    cells = np.arange(len(distance))
    for home in range(len(layout.home_cell)):
        order = np.array(Draws(home).shuffled(range(len(kinds))), np.int32)
        for o, kind in enumerate(names.offer_kinds):
            own = np.flatnonzero((kinds == kind) & (layout.facility_home == home))
            usable = own if own.size else np.flatnonzero((kinds == kind) & (layout.facility_home == NOTHING))
            if usable.size:
                ways = to_use[:, usable]
                near = ways <= ways.min(1, keepdims=True) + (0 if own.size else detour)
                rank = np.where(near, order[usable] if detour else np.arange(usable.size), len(kinds))
                table[home, :, o] = usable[rank.argmin(1)]
                steps[home, :, o] = to_use[cells, table[home, :, o]]
    rows = len(layout.home_cell) * len(distance)
    return table.reshape(rows, len(names.offers)), steps.reshape(rows, len(names.offers))


def assign_posts(layout: Layout, names: Names, num_agents: int) -> np.ndarray:
    """The post of each slot: i16[A], jobs in turn as long as they have free posts, then shared from the first again."""
    by_job = [[p for p, job in enumerate(layout.post_job) if job == name] for name in names.jobs]
    turns = [posts[k] for k in range(max(map(len, by_job), default=0)) for posts in by_job if k < len(posts)]
    return np.array([turns[a % len(turns)] if turns else NOTHING for a in range(num_agents)], np.int16)


def static_layers(layout: Layout, kinds: Sequence[str]) -> np.ndarray:
    """The map layers that never change: u8[L, H, W], those of `THIN` and one for each of some kinds of facility."""
    height, width = layout.ground.shape
    blocked = (layout.neighbour == np.arange(height * width)[:, None]).all(1)
    layers = np.zeros((len(THIN) + len(kinds), height * width), np.uint8)
    layers[0] = blocked
    layers[1] = layout.ground.reshape(-1) == grid.GROUNDS.index("door")
    layers[2, layout.facility_cell] = 1
    layers[3, layout.post_cell] = 1
    for layer, kind in enumerate(kinds, len(THIN)):
        layers[layer, layout.facility_cell[np.array(layout.facility_kind) == kind]] = 1
    return layers.reshape(-1, height, width)


def map_windows(layout: Layout, names: Names, variant: str, side: int) -> np.ndarray:
    """What each cell's window of static layers shows: u8[C, L * side * side]; nothing in the variant without a map."""
    if variant == "compact":
        return np.zeros((layout.ground.size, 0), np.uint8)
    layers = static_layers(layout, names.kinds if variant == "full" else ())
    outside = np.zeros(len(layers), np.uint8)
    outside[0] = 1
    return grid.windows(layers, side, outside)


def facilities_around(layout: Layout) -> np.ndarray:
    """How many facilities lie within `NEAR` cells of each cell, itself included: u8[C]."""
    side = 2 * NEAR + 1
    here = np.zeros((1, layout.ground.size), np.uint8)
    here[0, layout.facility_cell] = 1
    windows = grid.windows(here.reshape(1, *layout.ground.shape), side, np.zeros(1, np.uint8))
    return windows.sum(1).astype(np.uint8)


def ground_cost(config: Any, layout: Layout) -> np.ndarray | None:
    """Ticks for a step onto each cell, i64[C]; None where every step takes one, so that ticks of walking are steps."""
    movement = getattr(config.systems, "movement", None)
    by_ground = np.array([movement.cost.get(ground, 1) if movement else 1 for ground in grid.GROUNDS])
    return by_ground[layout.ground.reshape(-1)] if (by_ground != 1).any() else None


def ways(layout: Layout, targets: np.ndarray, cost: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """How far every cell is from every target i16[C, T], and the direction in which to walk there i8[C, T]."""
    if cost is None:
        distance = grid.distances_to(layout.neighbour, targets)
    else:
        distance = np.stack([grid.travel(layout.neighbour, cost, int(target)) for target in targets], axis=1)
    hop = [grid.hops(layout.neighbour, distance[:, t], cost) for t in range(len(targets))]
    return distance, np.stack(hop, axis=1)


def tables(config: Any, layout: Layout, names: Names) -> Map:
    """All the tables of a world."""
    num_places, num_agents = layout.place_cell.shape[1], config.num_agents
    variant, window = config.observation.variant, config.observation.window
    targets = np.concatenate([layout.place_cell.reshape(-1), layout.post_cell, layout.home_cell])
    distance, next_hop = ways(layout, targets, ground_cost(config, layout))
    route, route_distance = routes(layout, names, distance, num_places, config.map.detour)
    index = lambda words, table: np.array([table.index(word) for word in words], np.int8)
    return Map(
        ground=jnp.array(layout.ground.reshape(-1)),
        neighbour=jnp.array(layout.neighbour),
        facility_kind=jnp.array(index(layout.facility_kind, names.kinds)),
        facility_cell=jnp.array(layout.facility_cell, jnp.uint16),
        facility_home=jnp.array(layout.facility_home, jnp.int16),
        place_cell=jnp.array(layout.place_cell, jnp.uint16),
        post_cell=jnp.array(layout.post_cell, jnp.uint16),
        post_job=jnp.array(
            index(layout.post_job, names.jobs) if names.jobs else np.zeros(len(layout.post_job), np.int8)
        ),
        home_cell=jnp.array(layout.home_cell, jnp.uint16),
        entry_cell=jnp.array(layout.entry_cell, jnp.uint16),
        start_cell=jnp.array(start.cells(config, layout), jnp.uint16),
        agent_home=jnp.array(np.arange(num_agents) % len(layout.home_cell), jnp.int16),
        agent_post=jnp.array(assign_posts(layout, names, num_agents)),
        next_hop=jnp.array(next_hop),
        distance=jnp.array(distance),
        route=jnp.array(route),
        route_distance=jnp.array(route_distance),
        place_of=jnp.array(layout.place_of),
        around=jnp.array(facilities_around(layout)),
        window=jnp.array(map_windows(layout, names, variant, window)),
    )


def compile_world(config: Any, layout: Layout, order: Sequence[System], config_id: str) -> World:
    """Build the `World` of a validated configuration.

    Args:
        config: an instance of `schema.world_model(order)`.
        layout: its map, as read by `layout.read`.
        order: every system that exists, in data-flow order.
        config_id: hash of the resolved configuration.

    Returns:
        The world, with the parameters of its systems and its tables.
    """
    names = names_of(config, layout)
    systems = tuple(system for system in order if getattr(config.systems, system.name) is not None)
    chats = any(system.name == "chat" for system in systems)
    height, width = layout.ground.shape
    variant, window = config.observation.variant, config.observation.window
    static = Static(
        name=config.name,
        version=config.version,
        num_agents=config.num_agents,
        height=height,
        width=width,
        ticks_per_day=config.ticks_per_day,
        num_facilities=len(layout.facility_cell),
        num_places=layout.place_cell.shape[1],
        num_posts=len(layout.post_cell),
        names=names,
        actions=actions_of(names, chats),
        systems=systems,
        observation=variant,
        window=0 if variant == "compact" else window,
        config_id=config_id,
        ways=config.observation.ways,
    )
    params = {system.name: system.build(getattr(config.systems, system.name), names) for system in systems}
    params = {name: value for name, value in params.items() if value != ()}
    params["start"] = start.build(config, names)
    requires = expressions.table(config, names)
    params |= {} if requires is None else {"requires": requires}
    if config.schedule is not None:
        params["schedule"] = schedule.build(config, static.actions.names)
    if static.has("timeline"):
        params["timeline"] = timeline.compiled(config, static)
    world_map = tables(config, layout, names)
    if chats:
        world_map = world_map.replace(landmark=jnp.argmin(world_map.distance, axis=1).astype(jnp.int16))
    return World(params=params, map=world_map, static=static)
