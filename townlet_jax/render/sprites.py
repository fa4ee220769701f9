"""Bodies and badges of people: small transparent images, drawn once and pasted into every frame."""

from functools import lru_cache
from typing import Any

from ..core.grid import STEPS
from . import icons, palette
from .pen import Pen, reduce, sheet

FINE = 6  # times finer than the picture
BODY = 0.62  # radius in cells
SIDE = 2.0  # cells, side of a sprite
QUIET = ("walk", "idle", "away")  # activities without a badge


@lru_cache(maxsize=1024)
def body(index: int, facing: int, alive: bool, unit: int) -> Any:
    """One person, seen from above: RGBA image of SIDE x SIDE cells with the person in the middle.

    Args:
        index: the slot, shown from 1.
        facing: direction of a walk, -1 if none.
        alive: whether anybody lives in the slot.
        unit: pixels a cell.
    """
    colour = palette.person(index) if alive else palette.GONE
    picture, pen = sheet(SIDE, SIDE, unit, FINE, (*colour, 0))
    pen = pen.at(SIDE / 2, SIDE / 2)
    if facing >= 0:
        _pointer(pen, facing)
    pen.disc(0.0, 0.0, BODY, palette.INK)
    pen.disc(0.0, 0.0, BODY - 0.06, (255, 255, 255))
    pen.disc(0.0, 0.0, BODY - 0.13, colour)
    number = str(index + 1)
    pen.text(0.0, 0.0, number, (255, 255, 255), 0.84 if len(number) == 1 else 0.70)
    return reduce(picture, FINE)


def _pointer(pen: Pen, facing: int) -> None:
    """The small arrow of a walker."""
    down, right = STEPS[facing]
    tip, base, half = BODY + 0.36, BODY - 0.10, 0.40

    def corners(tip: float, base: float, half: float) -> tuple:
        left = (right * base - down * half, down * base + right * half)
        other = (right * base + down * half, down * base - right * half)
        return (right * tip, down * tip), left, other

    pen.poly(*corners(tip, base, half), fill=palette.INK)
    pen.poly(*corners(tip - 0.13, base, half - 0.10), fill=(255, 255, 255))


@lru_cache(maxsize=256)
def badge(activity: str, letter: str, unit: int) -> Any:
    """The round sign of an activity: RGBA image of `unit` x `unit` pixels."""
    colour = palette.ACTIVITY[activity]
    picture, pen = sheet(1.0, 1.0, unit, FINE, (*colour, 0))
    pen = pen.at(0.5, 0.5)
    pen.disc(0.0, 0.0, 0.5, (255, 255, 255))
    pen.disc(0.0, 0.0, 0.44, colour)
    icons.sign(pen, activity, letter, colour)
    return reduce(picture, FINE)
