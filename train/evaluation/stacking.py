"""Many policies in many worlds at once: what shares shapes and code is one program, vmapped over stacked leaves and keys.

Leaves that are the same in all worlds, such as the map, are passed once; the others are stacked. Towns are played by the chunk,
so that memory does not grow with the sweep.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax.types import Key, World

from ..players import Player
from .grid import Cell
from .scores import town_kpis, town_sums

MOST_TOWNS = 4096  # played at once; a town of eight with its views and a small network takes some ten kilobytes


class Stack(NamedTuple):
    """PyTrees of equal structure, with the leaves that differ kept apart."""

    structure: Any  # treedef
    shared: list[Any]  # leaves, None where they differ
    columns: list[list[np.ndarray] | None]  # leaves of each tree where they differ

    @property
    def axes(self) -> Any:
        """`in_axes` of the stacked tree."""
        return jax.tree.unflatten(self.structure, [None if column is None else 0 for column in self.columns])

    def rows(self, picked: Sequence[int]) -> Any:
        """The trees of those indices as one, leaves that differ with a leading axis."""
        pairs = zip(self.shared, self.columns)
        leaves = [leaf if column is None else jnp.stack([column[i] for i in picked]) for leaf, column in pairs]
        return jax.tree.unflatten(self.structure, leaves)


def stack(trees: Sequence[Any]) -> Stack:
    """Trees of equal structure, shapes and types as a `Stack`."""
    columns = list(zip(*map(jax.tree.leaves, trees)))
    shared, apart = [], []
    for column in columns:
        alike = all(leaf is column[0] for leaf in column)
        host = [column[0]] if alike else [np.asarray(leaf) for leaf in column]
        alike = alike or all(np.array_equal(host[0], leaf) for leaf in host[1:])
        shared.append(column[0] if alike else None)
        apart.append(None if alike else host)
    return Stack(jax.tree.structure(trees[0]), shared, apart)


def plain(world: World) -> World:
    """A world under no name: worlds that differ in numbers only have the same static part then."""
    return world.replace(static=world.static._replace(name="", version=0, config_id=""))


def kind(cell: Cell) -> Any:
    """What cells of one program have in common: structure, functions, shapes and types."""
    tree = plain(cell.place.world), cell.entrant.player
    leaves = [
        (jnp.shape(leaf), str(jnp.result_type(leaf)), getattr(leaf, "weak_type", True))
        for leaf in jax.tree.leaves(tree)
    ]
    return jax.tree.structure(tree), tuple(leaves)


def grouped(cells: Sequence[Cell]) -> list[list[int]]:
    """The indices of the cells of each program."""
    groups: dict[Any, list[int]] = {}
    for index, cell in enumerate(cells):
        groups.setdefault(kind(cell), []).append(index)
    return list(groups.values())


def sizes(cells: int, towns: int, most: int) -> tuple[int, int]:
    """How many cells and towns of each are played at once, so that they are at most `most` and chunks are about equal."""
    even = lambda number, limit: -(-number // -(-number // limit))
    town = even(towns, most)
    return even(cells, max(most // town, 1)), town


def chunks(number: int, size: int) -> list[list[int]]:
    """Indices in chunks of equal size; the last one is filled up with its last index."""
    last = number - 1
    return [[min(i, last) for i in range(start, start + size)] for start in range(0, number, size)]


def program(world_axes: Any, player_axes: Any, num_ticks: int) -> Any:
    """The program of a group: (worlds, players, lanes i32[cells], keys[towns]) -> name -> f32[cells, towns]."""

    def lane(world: World, player: Player, _: jax.Array, keys: Key) -> dict[str, jax.Array]:
        return jax.vmap(partial(town_sums, world, player, num_ticks))(keys)

    return jax.jit(jax.vmap(lane, (world_axes, player_axes, 0, None)))


def play_group(cells: Sequence[Cell], keys: Key, num_ticks: int, most: int) -> dict[str, np.ndarray]:
    """Play the cells of one program: name -> f32[cells, towns], whatever the chunks."""
    worlds, players = stack([plain(cell.place.world) for cell in cells]), stack([cell.entrant.player for cell in cells])
    size, towns = sizes(len(cells), len(keys), most)
    played, found = program(worlds.axes, players.axes, num_ticks), []
    for rows in chunks(len(cells), size):
        some, lanes = (worlds.rows(rows), players.rows(rows)), jnp.arange(size)
        parts = [jax.device_get(played(*some, lanes, keys[jnp.array(picked)])) for picked in chunks(len(keys), towns)]
        found.append({name: np.concatenate([part[name] for part in parts], 1)[:, : len(keys)] for name in parts[0]})
    return {name: np.concatenate([part[name] for part in found])[: len(cells)] for name in found[0]}


def play(
    cells: Sequence[Cell], keys: Key, days: float, most: int = MOST_TOWNS
) -> tuple[list[dict[str, np.ndarray]], int]:
    """Play every cell in the same held-out towns.

    Args:
        cells: who plays where.
        keys: keys[towns] of the towns.
        days: of each town; at least that long, in whole decisions of all policies.
        most: towns at once.

    Returns:
        The indicators of each cell, name -> f64[towns], and how many programs were compiled.
    """
    groups, found = grouped(cells), [{} for _ in cells]
    together = int(np.lcm.reduce([cell.entrant.player.every for cell in cells]))
    for number, group in enumerate(groups, 1):
        some = [cells[i] for i in group]
        world = some[0].place.world
        num_ticks = max(together, -(-int(days * world.static.ticks_per_day) // together) * together)
        told = f"program {number} of {len(groups)}: {len(some)} cells x {len(keys)} towns, {num_ticks} ticks each ..."
        print(told, file=sys.stderr, flush=True)
        sums = play_group(some, keys, num_ticks, most)
        for row, index in enumerate(group):
            found[index] = town_kpis(cells[index].place.world, {name: value[row] for name, value in sums.items()})
    return found, len(groups)
