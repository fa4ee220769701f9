"""The static tables of a world on the host, and where its labels go. Made once a world."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..core.grid import GROUNDS
from ..types import NOTHING, World
from .scene import signs


@dataclass(frozen=True, eq=False)
class Plan:
    """What stands where. Cells are flat, place -1 is outdoors. Equal only to itself: a key of caches."""

    name: str
    rows: int
    columns: int
    ground: np.ndarray  # [H, W] words of `core.grid.GROUNDS`
    place_of: np.ndarray  # i64[H, W], furniture and doors count as in the room beside them
    places: tuple[str, ...]
    residents: tuple[tuple[int, ...], ...]  # of each place: the agents whose home it is
    homes: frozenset[int]  # places that are homes
    kinds: tuple[str, ...]  # [F] the kind of each facility
    facilities: np.ndarray  # i64[F] cells
    stands: np.ndarray  # i64[F, Q] cells of users and queues
    posts: np.ndarray  # i64[P] cells
    owners: tuple[tuple[int, ...], ...]  # of each post: the agents who always work there, none if people are hired
    trades: tuple[str, ...]  # [P] the trade of each post
    agent_homes: np.ndarray  # i64[A]
    entries: np.ndarray  # i64[E] cells where newcomers arrive
    signs: tuple[str, ...]  # marks that pictures of it may show, see `scene.signs`
    has_news: bool  # whether something may fail or happen that a caption tells of

    def place(self, cell: int) -> int:
        """The place of a flat cell, -1 outdoors."""
        return int(self.place_of[divmod(int(cell), self.columns)])


class _Order(NamedTuple):
    """A world as a key of the cache: two of the same configuration are the same."""

    config_id: str
    world: World

    def __hash__(self) -> int:
        return hash(self.config_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Order) and self.config_id == other.config_id


def plan(world: World) -> Plan:
    """The plan of a world; the same object for the same configuration."""
    return _plan(_Order(world.static.config_id, world))


@lru_cache(maxsize=16)
def _plan(order: _Order) -> Plan:
    static, tables = order.world.static, order.world.map
    host = lambda table: np.asarray(table).astype(np.int64)
    shape = (static.height, static.width)
    ground = np.array(GROUNDS)[host(tables.ground)].reshape(shape)
    place_of = _spread(host(tables.place_of).reshape(shape), ground)
    homes, posts = host(tables.agent_home), host(tables.agent_post)
    home_place = place_of.reshape(-1)[host(tables.home_cell)]
    living_in = lambda place: tuple(a for a, home in enumerate(homes) if home_place[home] == place)
    stays = posts if not static.has("hiring") else np.full_like(posts, NOTHING)
    return Plan(
        name=static.name,
        rows=static.height,
        columns=static.width,
        ground=ground,
        place_of=place_of,
        places=static.names.places,
        residents=tuple(living_in(place) for place in range(len(static.names.places))),
        homes=frozenset(home_place.tolist()),
        kinds=tuple(static.names.kinds[kind] for kind in host(tables.facility_kind)),
        facilities=host(tables.facility_cell),
        stands=host(tables.place_cell),
        posts=host(tables.post_cell),
        owners=tuple(tuple(np.flatnonzero(stays == post).tolist()) for post in range(static.num_posts)),
        trades=tuple(static.names.jobs[job] if static.names.jobs else "" for job in host(tables.post_job)),
        agent_homes=homes,
        entries=host(tables.entry_cell),
        signs=signs(order.world),
        has_news=static.has("perturbations") or static.has("utilities"),
    )


def _spread(place_of: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Places i64[H, W] with furniture, doors and what grows or flows in a place counted to the place beside it."""
    wide = np.pad(place_of, 1, constant_values=-1)
    beside = np.stack([wide[:-2, 1:-1], wide[1:-1, 2:], wide[2:, 1:-1], wide[1:-1, :-2]])
    joins = (place_of < 0) & np.isin(ground, ("door", "shelf", "table", "water", "tree"))
    indoors = ~np.isin(ground, ("tree", "water")) | ((beside >= 0).sum(0) >= 2)
    return np.where(joins & indoors, beside.max(0), place_of)


def labels(plan: Plan, widths: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Where the names of places go: on a wall if there is one, never on a door or a facility if there is a choice.

    Args:
        plan: the town.
        widths: place -> the label's width in cells; labels are one cell high.

    Returns:
        place -> (row, column) of the label's left cell.
    """
    cost = np.full((plan.rows, plan.columns), 2.0)
    for word, price in {
        "wall": 0.0,
        "door": 60.0,
        "tree": 1.0,
        "road": 4.0,
        "floor": 3.0,
        "table": 5.0,
        "shelf": 5.0,
    }.items():
        cost[plan.ground == word] = price
    flat = cost.reshape(-1)
    flat[plan.stands.reshape(-1)] += 8.0
    flat[plan.posts] += 20.0
    flat[plan.facilities] += 30.0
    spots = {}
    for place, width in widths.items():
        spot = _best_spot(plan, cost, place, width)
        if spot is not None:
            spots[place] = spot
            cost[spot[0], spot[1] : spot[1] + width] += 1000.0
    return spots


def _best_spot(plan: Plan, cost: np.ndarray, place: int, width: int) -> tuple[int, int] | None:
    """The cheapest cells for a label of that width on or around a place, near the middle of its upper edge."""
    rows, columns = np.nonzero((plan.place_of == place) & (plan.ground != "door"))
    if not len(rows):
        return None
    middle = (columns.min() + columns.max() + 1) / 2 - width / 2
    best, found = np.inf, None
    for row in range(max(rows.min() - 1, 0), min(rows.max() + 2, plan.rows)):
        for column in range(max(columns.min() - 1, 0), min(columns.max() + 2, plan.columns) - width + 1):
            price = cost[row, column : column + width].sum() + abs(column - middle) + 0.02 * (row - rows.min())
            if price < best:
                best, found = price, (row, column)
    start = int(min(max(middle, 0), max(plan.columns - width, 0)))
    return found or (max(int(rows.min()) - 1, 0), start)
