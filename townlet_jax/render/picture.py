"""The picture of one town at one tick."""

from collections import Counter
from typing import Any

import numpy as np

from ..types import State, World
from . import clock, palette, panel, sprites
from .backdrop import rooms, shade
from .lettering import width_of, write
from .pen import pillow
from .people import Person, happenings, people
from .plan import Plan, plan

BADGE = 1.0  # cells
ACROSS, DOWN = 32, 18  # cells of a map beside which the panel has units as large as its cells
LEAST = 12  # pixels of a unit of the panel of a small map


def image(world: World, state: State, *, scale: int = 14, panel: bool = True) -> np.ndarray:
    """A picture of one town at one tick.

    Rooms in which somebody is awake have light at night. What never changes is drawn once a world and scale and kept.

    Args:
        world: the world.
        state: one town, on the host or the device.
        scale: pixels a cell, 4 to 64.
        panel: whether the table of people is drawn beside the map; without it the clock is drawn on the map.

    Returns:
        u8[rows, columns, 3] red, green, blue.

    Raises:
        RuntimeError: Pillow is not installed.
        ValueError: the state holds more than one town, or the scale is out of bounds.
    """
    return np.asarray(frame(world, state, scale, panel))


def frame(world: World, state: State, scale: int, with_panel: bool) -> Any:
    """The same as a Pillow image, for `animate`."""
    if not 4 <= scale <= 64:
        raise ValueError(f"scale is {scale}: allowed are 4 to 64 pixels a cell")
    pillow()
    town, folk, time = plan(world), people(world, state), clock.clock(world, state)
    ground = _lit(town, folk, clock.level(time.hours), scale)
    _crowd(ground, town, folk, scale)
    if not with_panel:
        _clock_on_map(ground, time, scale)
        return ground
    names = world.static.names
    unit = min(scale, max(min(ground.width // ACROSS, ground.height // DOWN), LEAST))
    arranged = panel.layout(town, names.offers, names.needs, unit, ground.height)
    picture = pillow().Image.new("RGB", (ground.width + arranged.width, arranged.height), palette.INK)
    picture.paste(ground, (0, 0))
    picture.paste(panel.panel(arranged, town, time, folk, happenings(world, state)), (ground.width, 0))
    return picture


def _lit(town: Plan, folk: list[Person], step: int, unit: int) -> Any:
    """The map at a step of darkness, with light in the rooms where somebody is awake."""
    picture = shade(town, unit, step).copy()
    awake = {town.place(someone.cell) for someone in folk if someone.alive and someone.activity != "sleep"} - {-1}
    if step and awake:
        mask = np.isin(rooms(town), list(awake))
        lamps = pillow().Image.fromarray((mask * 255).astype(np.uint8)).resize(picture.size, 0)
        picture.paste(shade(town, unit, step, True), (0, 0), lamps)
    return picture


def _crowd(picture: Any, town: Plan, folk: list[Person], unit: int) -> None:
    """Everybody on the map; who shares a cell stands a little aside. Badges lie above all bodies."""
    living = [someone for someone in folk if someone.alive]
    shared, placed = Counter(someone.cell for someone in living), Counter()
    badges = []
    for someone in living:
        row, column = divmod(someone.cell, town.columns)
        aside = 0.8 * (placed[someone.cell] - (shared[someone.cell] - 1) / 2)
        placed[someone.cell] += 1
        x, y = (column + 0.5 + aside) * unit, (row + 0.5) * unit
        _paste(picture, sprites.body(someone.index, someone.facing, True, unit), x, y)
        if someone.activity not in sprites.QUIET:
            sign = sprites.badge(someone.activity, someone.letter, max(round(BADGE * unit), 4))
            badges.append((sign, x + 0.66 * unit, y - 0.66 * unit))
    for sign, x, y in badges:
        _paste(picture, sign, x, y)


def _paste(picture: Any, sprite: Any, x: float, y: float) -> None:
    picture.paste(sprite, (round(x - sprite.width / 2), round(y - sprite.height / 2)), sprite)


def _clock_on_map(picture: Any, time: clock.Clock, unit: int) -> None:
    """A chip with the time in the upper left corner."""
    draw, size = pillow().ImageDraw.Draw(picture), max(round(unit * 1.1), 10)
    width = width_of(time.words, size)
    draw.rounded_rectangle((size * 0.4, size * 0.4, size * 1.4 + width, size * 2.1), size * 0.4, fill=palette.PAPER)
    write(draw, (size * 0.9, size * 1.25), time.words, palette.INK, size)
