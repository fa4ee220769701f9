"""From the drawn map to plain arrays: who lives where, where people stand, which way to walk. Numpy, once a world."""

from typing import NamedTuple

import numpy as np

from ..core import grid
from ..types import NOTHING
from .schema import MapConfig

MOST_PLACES = 127  # homes and named rooms, for their index is an int8
PREFERRED = ((1, 0), (0, -1), (0, 1), (-1, 0))  # sides of a facility on which its user stands, best first


class Layout(NamedTuple):
    """What the drawing says, before distances."""

    ground: np.ndarray  # u8[H, W]
    neighbour: np.ndarray  # u16[C, 4]
    facility_cell: np.ndarray  # i64[F]
    facility_kind: list[str]  # [F]
    facility_home: np.ndarray  # i64[F] NOTHING if public
    place_cell: np.ndarray  # i64[F, Q]
    post_cell: np.ndarray  # i64[P]
    post_job: list[str]  # [P]
    home_cell: np.ndarray  # i64[homes]
    entry_cell: np.ndarray  # i64[E]
    place_of: np.ndarray  # i8[C]
    place_names: list[str]


def read(config: MapConfig, num_places: int) -> Layout:
    """Read the drawing.

    Args:
        config: rows and legend.
        num_places: cells for each facility: one for its user, the others for its queue.

    Returns:
        The layout; facilities, posts and homes in reading order.

    Raises:
        ValueError: a facility has no free cell beside it, or there are too many places.
    """
    rows = (config.rows or "").rstrip("\n").split("\n")
    marks = [config.marks[mark] for row in rows for mark in row]
    width = len(rows[0])
    ground = np.array([grid.GROUNDS.index(mark.ground) for mark in marks], np.uint8)
    blocks = np.isin(ground, [grid.GROUNDS.index(name) for name in grid.BLOCKING])
    solid = blocks | np.array([mark.facility is not None for mark in marks])
    neighbour = grid.neighbours(~solid.reshape(len(rows), width))
    cells = lambda has: np.array([c for c, mark in enumerate(marks) if has(mark)], np.int64)
    homes, posts = cells(lambda m: m.home), cells(lambda m: m.post)
    facilities, entries = cells(lambda m: m.facility), cells(lambda m: m.entry)
    room = lambda cell: grid.flood(int(cell), ground == ground[cell], width)
    rooms = [room(cell) for cell in homes]
    owner = np.full(len(marks), NOTHING)
    for index, inside in enumerate(rooms):
        owner[inside] = index
    place_of, names = _places(marks, rooms, room)
    return Layout(
        ground=ground.reshape(len(rows), width),
        neighbour=neighbour,
        facility_cell=facilities,
        facility_kind=[marks[c].facility or "" for c in facilities],
        facility_home=owner[facilities] if len(facilities) else np.zeros(0, np.int64),
        place_cell=_stand(facilities, set(posts.tolist()), neighbour, width, num_places),
        post_cell=posts,
        post_job=[marks[c].post or "" for c in posts],
        home_cell=homes,
        entry_cell=entries,
        place_of=place_of,
        place_names=names,
    )


def in_order(layout: Layout) -> Layout:
    """Facilities by kind, posts by job, places by name, and only then in reading order.

    Two maps with the same number of everything then share their words and the meaning of every index but those of cells.
    """
    by = lambda words: np.argsort(np.array(words, str), kind="stable")
    facilities, posts, names = (
        by(layout.facility_kind),
        by(layout.post_job),
        by(layout.place_names[len(layout.home_cell) :]),
    )
    homes = np.arange(len(layout.home_cell))
    order = np.concatenate([homes, len(homes) + names]).astype(np.int64)
    rank = np.append(np.argsort(order), -1).astype(np.int8)  # outdoors stays -1
    return layout._replace(
        facility_cell=layout.facility_cell[facilities],
        facility_kind=[layout.facility_kind[f] for f in facilities],
        facility_home=layout.facility_home[facilities],
        place_cell=layout.place_cell[facilities],
        post_cell=layout.post_cell[posts],
        post_job=[layout.post_job[p] for p in posts],
        place_of=rank[layout.place_of],
        place_names=[layout.place_names[p] for p in order],
    )


def _places(marks, rooms, room) -> tuple[np.ndarray, list[str]]:
    """Which named place each cell belongs to, i8[C] with -1 for none; homes are places, too."""
    place_of = np.full(len(marks), -1, np.int8)
    names = []
    for index, inside in enumerate(rooms):
        place_of[inside] = len(names)
        names.append(f"Home {index + 1}")
    for cell, mark in enumerate(marks):
        if mark.place is not None:
            place_of[room(cell)] = len(names)
            names.append(mark.place)
    if len(names) > MOST_PLACES:
        raise ValueError(f"{len(names)} homes and named places, allowed are at most {MOST_PLACES}")
    return place_of, names


def _stand(facilities, posts: set[int], neighbour, width: int, num_places: int) -> np.ndarray:
    """The cells for each facility's user and queue: i64[F, Q], the user's beside it (south first), the queue behind.

    First every facility gets a cell for its user, then the queues take what is left, so that no queue stands in a user's way.
    """
    walkable = np.array([bool((neighbour[c] != c).any()) for c in range(len(neighbour))])
    height = len(neighbour) // width

    def beyond(cell: int, step: tuple[int, int]) -> int | None:
        """The walkable cell one step on, or None."""
        row, col = cell // width + step[0], cell % width + step[1]
        inside = 0 <= row < height and 0 <= col < width
        return row * width + col if inside and walkable[row * width + col] else None

    taken, users = set(posts), []
    for cell in facilities.tolist():
        free = [(on, step) for step in PREFERRED if (on := beyond(cell, step)) is not None and on not in taken]
        if not free:
            raise ValueError(
                f"the facility at row {cell // width + 1}, column {cell % width + 1} has no free cell beside it"
            )
        users.append(free[0])
        taken.add(free[0][0])
    places = []
    ways = grid.distances_to(neighbour, np.array([user for user, _ in users], np.int64)).T
    for (user, step), steps in zip(users, ways):
        near = [c for c in np.argsort(steps, kind="stable").tolist() if steps[c] < grid.UNREACHABLE and c not in taken]
        line = [user]
        while len(line) < num_places:
            straight = beyond(line[-1], step)
            fits = straight is not None and straight in near and steps[straight] <= 2 * num_places
            line.append(straight if fits else near[0] if near else user)
            near = [c for c in near if c != line[-1]]
        places.append(line)  # queues of neighbours may share waiting cells
    return np.array(places, np.int64).reshape(len(places), num_places)


def start_cells(layout: Layout, num_agents: int) -> np.ndarray:
    """Where each slot's first resident begins: i64[A], distinct cells in or near the home.

    Raises:
        ValueError: there are more agents than cells within reach of their homes.
    """
    steps = grid.distances_to(layout.neighbour, layout.home_cell).T
    taken: set[int] = set()
    cells = []
    for agent in range(num_agents):
        way = steps[agent % len(steps)]
        free = [c for c in np.argsort(way, kind="stable").tolist() if c not in taken and way[c] < grid.UNREACHABLE]
        if not free:
            raise ValueError(
                f"{num_agents} agents, but home {agent % len(steps) + 1} has only {agent} cells within reach"
            )
        taken.add(free[0])
        cells.append(free[0])
    return np.array(cells)
