"""A street on which much may go on, and how to bring it about; for tests of pictures."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax.core import fixed
from townlet_jax.render import image
from townlet_jax.systems import perturbations, relationships
from townlet_jax.types import NOBODY

SCALE, WIDTH, HEIGHT = 20, 12, 7
NOON, NIGHT = 100, 195  # of a day of 200 ticks
# below the rooms there is a strip of grass; whoever uses something stands below it
STREET = """
    ############
    #..W..#.B.C#
    #.....#....#
    #.01..+.2..#
    #h.3..######
    #,,,,,,,,,,#
    ############
"""
SKY = {"systems.weather": {}}
TROUBLE = {
    "systems.utilities": {"needs": {"power": ["bed"], "water": ["shower"]}},
    "systems.perturbations": {
        "events": [
            {"name": "blackout", "kind": "outage", "ticks": [5, 5], "utility": "power"},
            {"name": "dry_taps", "kind": "outage", "ticks": [5, 5], "utility": "water"},
            {"name": "repair", "kind": "closure", "ticks": [5, 5], "at": ["counter"]},
        ]
    },
}
COMPANY = {"systems.relationships": {"stage": "C1"}, "systems.chat": {}, "systems.queues.fairness": {}}
BLACKOUT, DRY_TAPS, REPAIR = range(3)
SHOWER, BED, COUNTER = (1, 3), (1, 8), (1, 10)


def streets(board):
    """`street(**overrides)` is the street with more in it, under a name of its own, since plans are kept by name."""

    def street(drawing=STREET, **overrides):
        made = board(drawing, **overrides)
        name = str(zlib.crc32((drawing + json.dumps(overrides)).encode()))
        return made._replace(world=made.world.replace(static=made.world.static._replace(config_id=name)))

    return street


def at_noon(street, tick=NOON):
    return jax.device_get(street.state(tick=tick))


def under(state, kind):
    return state.put(weather=state.slots["weather"].replace(kind=np.int8(kind)))


def on(street, state, event):
    return jax.device_get(perturbations.trigger(street.world, jax.tree.map(jnp.asarray, state), event, 5))


def talk(state, one, other, outcome):
    slot, who = state.slots["chat"], np.arange(4) == one
    partner = np.where(who, other, NOBODY).astype(np.int16)
    return state.put(chat=slot.replace(partner=partner, outcome=np.where(who, outcome, 0).astype(np.int8)))


def quarrel(state, *conflict):
    return state.put(queues=state.slots["queues"].replace(conflict=np.array(conflict, np.int16)))


def tie(state, one, other, **parts):
    ties = [fixed.to_tie(parts.get(part, 0.0)) for part in ("trust", "familiarity", "rivalry")]
    return jax.device_get(relationships.set_tie(state, one, other, *ties))


def bare(street, state, **options):
    """The map and the caption of a town."""
    picture = image(street.world, state, scale=SCALE, panel=False, **options)
    return picture[: HEIGHT * SCALE], picture[HEIGHT * SCALE :]


def differing(before, after):
    """The cells in which two maps differ."""
    rows, columns = np.nonzero((before != after).any(-1))
    return {(int(row), int(column)) for row, column in zip(rows // SCALE, columns // SCALE)}


def count(picture, colour):
    return int((picture == np.array(colour)).all(-1).sum())


def cell(picture, spot):
    row, column = spot
    return picture[row * SCALE : (row + 1) * SCALE, column * SCALE : (column + 1) * SCALE]
