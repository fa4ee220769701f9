"""The weather on the ground: what lies over all cells out of doors, drawn once a world, scale and sky."""

from functools import lru_cache
from typing import Any

import numpy as np

from ..systems.weather import OUTDOORS
from .pen import Pen, fineness, reduce, sheet
from .plan import Plan

FINE = 3  # times finer than the picture, at most
VEIL = {"rainy": (52, 74, 110, 72), "cold": (232, 243, 252, 104)}  # over the ground; the sun leaves it as it is
STREAK, FLAKE = (226, 238, 250, 190), (255, 255, 255, 240)


def lies_on(plan: Plan) -> np.ndarray:
    """The cells that are out of doors: bool[H, W]."""
    return np.isin(plan.ground, OUTDOORS)


@lru_cache(maxsize=8)
def cover(plan: Plan, unit: int, sky: str) -> Any:
    """Rain or frost over all that is out of doors: RGBA image of rows * unit x columns * unit pixels, None if there is none."""
    if sky not in VEIL:
        return None
    fine = fineness(plan.rows * plan.columns * unit * unit, FINE)
    picture, pen = sheet(plan.columns, plan.rows, unit, fine, (*VEIL[sky][:3], 0))
    for row, column in zip(*np.nonzero(lies_on(plan))):
        cell = pen.at(column, row)
        cell.box(0, 0, 1, 1, VEIL[sky])
        _weather(cell, sky, (5 * int(row) + 3 * int(column)) % 7 / 7)
    return reduce(picture, fine)


def _weather(pen: Pen, sky: str, shift: float) -> None:
    """A streak of rain or a flake of frost in one cell, somewhere else in each of its neighbours."""
    x, y = 0.2 + 0.6 * shift, 0.1 + 0.4 * (3 * shift % 1.0)
    if sky == "rainy":
        pen.line((x, y), (x - 0.16, y + 0.42), fill=STREAK, width=0.07)
    else:
        pen.disc(x, y + 0.2, 0.08, FLAKE)
