"""Cells, directions and distances. Tables are made once with numpy, when a world is compiled."""

from collections import deque

import numpy as np

GROUNDS = ("wall", "floor", "door", "road", "grass", "park", "tree", "water", "shelf", "table")
BLOCKING = ("wall", "tree", "water", "shelf", "table")
DIRECTIONS = ("north", "east", "south", "west")
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))
ARRIVED = 4  # the direction of who need not walk
UNREACHABLE = 32767  # steps or ticks


def neighbours(walkable: np.ndarray) -> np.ndarray:
    """Where a step N, E, S, W leads: u16[C, 4]; the cell itself where the way is blocked or leaves the map.

    Args:
        walkable: bool[rows, columns].
    """
    height, width = walkable.shape
    cells = np.arange(height * width).reshape(height, width)
    table = np.repeat(cells.reshape(-1, 1), 4, axis=1)
    for d, (down, right) in enumerate(STEPS):
        rows, cols = np.mgrid[0:height, 0:width]
        r, c = rows + down, cols + right
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        r, c = np.where(inside, r, 0), np.where(inside, c, 0)
        opens = inside & walkable[r, c] & walkable
        table[:, d] = np.where(opens, cells[r, c], cells).reshape(-1)
    return table.astype(np.uint16)


def distances_to(neighbour: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Steps from every cell to each target: i16[C, T], UNREACHABLE where there is no way.

    Breadth-first: the searches from all targets go outwards one step at a time, together.
    """
    cells, starts = len(neighbour), np.asarray(targets, np.int64)
    table = neighbour.astype(np.int64)
    found = np.full(len(starts) * cells, UNREACHABLE, np.int16)  # search by search
    claim = np.zeros(found.shape, np.int32)
    front, steps = np.arange(len(starts)) * cells + starts, 0
    while front.size:
        found[front] = steps
        cell = front % cells
        nexts = ((front - cell)[:, None] + table[cell]).reshape(-1)
        nexts = nexts[found[nexts] == UNREACHABLE]
        claim[nexts] = np.arange(nexts.size, dtype=np.int32)  # of those who reach a cell together the last goes on
        front, steps = nexts[claim[nexts] == np.arange(nexts.size, dtype=np.int32)], steps + 1
    return np.ascontiguousarray(found.reshape(len(starts), cells).T)


def travel(neighbour: np.ndarray, cost: np.ndarray, target: int) -> np.ndarray:
    """Ticks of walking from every cell to the target: i16[C], UNREACHABLE where there is no way (Dijkstra, in buckets).

    A step takes one tick, and from a cell of cost c the next step comes c ticks after the one that led there. So the cells on
    the way count their cost, the first one is left at once, and the target is reached in one tick from the cells beside it:
    ticks(cell) = min over the neighbours of 1 if it is the target, else cost[neighbour] + ticks(neighbour).

    Args:
        neighbour: u16[C, 4].
        cost: [C] ticks for a step onto each cell, at least 1.
        target: a flat cell.

    Raises:
        ValueError: there is a way, and it takes UNREACHABLE ticks or more.
    """
    found = np.full(len(neighbour), np.iinfo(np.int64).max)
    found[target] = 0
    ticks, due = 0, {0: [target]}  # cells by ticks; costs are small, so that there is no long wait for the next
    while due:
        nearest = [cell for cell in due.pop(ticks, ()) if found[cell] == ticks]
        for cell in nearest:
            after = ticks + (1 if cell == target else int(cost[cell]))
            for other in neighbour[cell].tolist():
                if after < found[other]:
                    found[other] = after
                    due.setdefault(after, []).append(other)
        ticks += 1
    reached = found < np.iinfo(np.int64).max
    if found[reached].max() >= UNREACHABLE:
        raise ValueError(f"a way of {found[reached].max()} ticks is too long (allowed: less than {UNREACHABLE})")
    return np.where(reached, found, UNREACHABLE).astype(np.int16)


def hops(neighbour: np.ndarray, distance: np.ndarray, cost: np.ndarray | None = None) -> np.ndarray:
    """The direction that leads nearer: i8[C], ARRIVED at the target and where there is no way.

    Ties go to the direction whose index follows the cell's parity, so that walkers do not all take one side of a road.

    Args:
        neighbour: u16[C, 4].
        distance: i16[C] as of `distances_to` one target, or of `travel`.
        cost: [C] as given to `travel`; None for steps.
    """
    around = distance[neighbour].astype(np.int32)
    if cost is not None:
        around = around + np.where(around == 0, 1, cost[neighbour].astype(np.int32))
    parity = (np.arange(len(neighbour)) % 2)[:, None]
    tie = (np.arange(4)[None, :] + parity) % 2
    best = np.argmin(around * 2 + tie, axis=1).astype(np.int8)
    stays = (distance == 0) | (distance == UNREACHABLE)
    return np.where(stays, np.int8(ARRIVED), best)


def flood(start: int, inside: np.ndarray, width: int) -> np.ndarray:
    """The cells that hang together with the start: bool[C].

    Args:
        start: a flat cell.
        inside: bool[C], which cells may belong.
        width: columns of the map.
    """
    seen = np.zeros(inside.shape, bool)
    seen[start] = True
    queue = deque([start])
    while queue:
        cell = queue.popleft()
        row, col = divmod(cell, width)
        for down, right in STEPS:
            r, c = row + down, col + right
            if 0 <= c < width and 0 <= r < inside.size // width:
                other = r * width + c
                if inside[other] and not seen[other]:
                    seen[other] = True
                    queue.append(other)
    return seen


def windows(layers: np.ndarray, side: int, outside: np.ndarray) -> np.ndarray:
    """The map around every cell: u8[C, L * side * side].

    Args:
        layers: u8[L, rows, columns].
        side: cells, odd.
        outside: u8[L], what lies beyond the edge.
    """
    num_layers, height, width = layers.shape
    radius = side // 2
    padded = np.empty((num_layers, height + 2 * radius, width + 2 * radius), np.uint8)
    padded[:] = outside[:, None, None]
    padded[:, radius : radius + height, radius : radius + width] = layers
    view = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    return np.ascontiguousarray(view.transpose(1, 2, 0, 3, 4)).reshape(height * width, -1)
