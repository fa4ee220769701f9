"""How an episode begins: the same for all slots, unless a resident is described on its own."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct

from ..core import fixed
from ..types import Array, Names
from .findings import Finding, outside, unknown
from .layout import Layout, start_cells


class Start(struct.PyTreeNode):
    """How an episode begins."""

    tick: Array  # i32[2] least and most
    needs: Array  # i32[2, A, N] least and most, parts of fixed.NEED
    wallet: Array  # i32[A] mills
    items: Array  # i8[A, I]
    joins: Array  # i8[A] ticks until somebody comes into the slot, 0 if somebody is there


def build(config: Any, names: Names) -> Start:
    """YAML to arrays.

    Args:
        config: a validated world.
        names: its words.
    """
    begin, A = config.start, config.num_agents
    needs = np.empty((2, A, len(names.needs)), np.int32)
    needs[:] = np.array([fixed.to_need(share) for share in begin.needs])[:, None, None]
    wallet = np.full(A, fixed.to_mills(begin.wallet), np.int32)
    row = lambda items: [items.get(item, 0) for item in names.items]
    items = np.array([row(begin.items)] * A, np.int8).reshape(A, len(names.items))
    joins = np.zeros(A, np.int8)
    for slot, resident in enumerate(begin.residents):
        for need, share in resident.needs.items():
            needs[:, slot, names.needs.index(need)] = fixed.to_need(share)
        wallet[slot] = wallet[slot] if resident.wallet is None else fixed.to_mills(resident.wallet)
        items[slot] = items[slot] if resident.items is None else row(resident.items)
        joins[slot] = resident.joins
    empty = joins > 0
    wallet[empty], items[empty] = 0, 0
    arrays = (jnp.array(array) for array in (needs, wallet, items, joins))
    return Start(jnp.array(begin.tick, jnp.int32), *arrays)


def cells(config: Any, layout: Layout) -> np.ndarray:
    """Where each slot's first resident begins: i64[A], at home unless it says otherwise."""
    found = start_cells(layout, config.num_agents)
    for slot, resident in enumerate(config.start.residents):
        if resident.cell is not None:
            found[slot] = resident.cell[0] * layout.ground.shape[1] + resident.cell[1]
    return found


def findings(config: Any, layout: Layout) -> list[Finding]:
    """Residents who do not fit into the world."""
    wrong, residents, (height, width) = [], config.start.residents, layout.ground.shape
    if len(residents) > config.num_agents:
        wrong.append(("start.residents", f"{len(residents)} residents, but num_agents is {config.num_agents}"))
    standable = (layout.neighbour != np.arange(height * width)[:, None]).any(1).reshape(height, width)
    for slot, resident in enumerate(residents):
        path = f"start.residents.{slot}"
        if resident.name in [other.name for other in residents[:slot]]:
            wrong.append((f"{path}.name", f"{resident.name!r} is the name of a resident above"))
        wrong += unknown(f"{path}.needs", resident.needs, config.needs, "need")
        wrong += outside(f"{path}.needs", resident.needs, 0.0, 1.0, "of a full need")
        wrong += unknown(f"{path}.items", resident.items or {}, config.items, "item")
        wrong += outside(f"{path}.items", resident.items or {}, 0, 100, "of an item")
        if resident.joins and config.systems.lifecycle is None:
            wrong.append((f"{path}.joins", "nobody moves in without the system 'lifecycle'"))
        if resident.cell is not None:
            row, column = resident.cell
            if not (0 <= row < height and 0 <= column < width and standable[row, column]):
                wrong.append((f"{path}.cell", f"nobody can stand on row {row}, column {column} (counted from 0)"))
    return wrong


def crowded(config: Any, layout: Layout) -> list[Finding]:
    """More agents than cells to stand on, or two who begin on the same; for a world without other findings."""
    try:
        where = cells(config, layout).tolist()
    except ValueError as error:
        return [("num_agents", str(error))]
    twice = [slot for slot, cell in enumerate(where) if cell in where[:slot]]
    spot = lambda slot: divmod(where[slot], layout.ground.shape[1])
    text = "slots {} and {} both begin at row {}, column {}"
    return [("start.residents", text.format(where.index(where[slot]), slot, *spot(slot))) for slot in twice[:1]]
