"""Cells, directions and distances. Tables are made once with numpy, when a world is compiled."""

from collections import deque

import numpy as np

GROUNDS = ("wall", "floor", "door", "road", "grass", "park", "tree", "water", "shelf", "table")
BLOCKING = ("wall", "tree", "water", "shelf", "table")
DIRECTIONS = ("north", "east", "south", "west")
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))
ARRIVED = 4  # the direction of who need not walk
UNREACHABLE = 32767  # steps


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


def distances(neighbour: np.ndarray, target: int) -> np.ndarray:
    """Steps from every cell to the target: i16[C], UNREACHABLE where there is no way (breadth-first search)."""
    found = np.full(len(neighbour), UNREACHABLE, np.int16)
    found[target] = 0
    queue = deque([target])
    while queue:
        cell = queue.popleft()
        for other in neighbour[cell]:
            if found[other] == UNREACHABLE:
                found[other] = found[cell] + 1
                queue.append(int(other))
    return found


def hops(neighbour: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The direction that leads nearer: i8[C], ARRIVED at the target and where there is no way.

    Ties go to the direction whose index follows the cell's parity, so that walkers do not all take one side of a road.
    """
    around = distance[neighbour]
    parity = (np.arange(len(neighbour)) % 2)[:, None]
    tie = (np.arange(4)[None, :] + parity) % 2
    best = np.argmin(around.astype(np.int32) * 2 + tie, axis=1).astype(np.int8)
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
