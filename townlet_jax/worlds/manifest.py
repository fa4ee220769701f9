"""The offers of a world as plain values, and their checksum: what is sold and done there, whatever the YAML looked like."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..config.load import Document
from ..systems import ORDER
from ..systems.predicates import LEAST, MOST, variables
from ..types import System, World


def manifest(world: World) -> list[dict[str, Any]]:
    """One entry an offer, with all that decides what it asks and what it does.

    Args:
        world: as `load` or `reload` returns it; read from its arrays, so that it is true after a reload, too.

    Returns:
        For each offer its name, the kind of facility `at`, `ticks`, `hours` (ticks of the day), `price` (mills), `stock`
        (units used up), `capacity` (units that the facility is filled up to), `effects` (parts of `fixed.NEED`), `takes` and
        `gives` (items), and `requires` (boxes: variable -> least and most value; none if it asks nothing). The index of an
        offer is the number of its event: `slots.affordances` says when one is completed.
    """
    if "affordances" not in world.params:
        return []
    names, offers = world.static.names, world.params["affordances"]
    economy = world.params["economy"]
    row = lambda words, values: {word: int(value) for word, value in zip(words, values) if value}
    capacity = lambda kind: int(economy.capacity[names.kinds.index(kind)])
    return [
        {
            "name": name,
            "at": kind,
            "ticks": int(offers.ticks[o]),
            "hours": [int(offers.opens[o]), min(int(offers.closes[o]), world.static.ticks_per_day)],
            "price": int(economy.price[o]),
            "stock": int(offers.stock[o]),
            "capacity": capacity(kind),
            "effects": row(names.needs, np.asarray(offers.effect[o])),
            "takes": row(names.items, np.asarray(offers.takes[o])),
            "gives": row(names.items, np.asarray(offers.gives[o])),
            "requires": _boxes(world, o),
        }
        for o, (name, kind) in enumerate(zip(names.offers, names.offer_kinds))
    ]


def _boxes(world: World, offer: int) -> list[dict[str, list[int]]]:
    """The boxes of one offer by name; none if it requires nothing."""
    if "requires" not in world.params:
        return []
    table = world.params["requires"]
    low, high = np.asarray(table.low[offer]), np.asarray(table.high[offer])
    kept = (low <= high).all(-1)
    bound = (low > LEAST) | (high < MOST)
    words = _words(world)
    boxes = [
        {words[v]: [int(least[v]), int(most[v])] for v in np.flatnonzero(used)}
        for least, most, used in zip(low[kept], high[kept], bound[kept])
    ]
    return [box for box in boxes if box]


def _words(world: World) -> list[str]:
    """The variables of a world by name; utilities by number, whatever they are called."""
    static = world.static
    on = [system.name for system in static.systems]
    known = [v.name for v in variables(static.names, on, static.ticks_per_day, ())]
    return known + [f"utility.{i}" for i in range(world.params["requires"].low.shape[-1] - len(known))]


def manifest_checksum(source: World | Document, order: Sequence[System] = ORDER) -> str:
    """Names the offers of a world by their content.

    Args:
        source: a world, or a document that is compiled for it.
        order: every system that exists, for a document.

    Returns:
        The sha256 of the canonical JSON of `manifest`: 64 hexadecimal digits. Spelling, comments and the order of keys in the
        YAML do not matter, nor how an expression is written.

    Raises:
        ConfigError: the document cannot be compiled.
    """
    from . import compile_document

    world = compile_document(source, order) if isinstance(source, Document) else source
    text = json.dumps(manifest(world), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
