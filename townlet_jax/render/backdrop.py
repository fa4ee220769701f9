"""All that never moves: ground, walls, furniture, facilities and the names of places. Drawn once a world and scale."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from . import icons, palette
from .clock import LEVELS, light
from .lettering import shorten, width_of, write
from .palette import mix
from .pen import Pen, fineness, pillow, reduce, sheet
from .plan import Plan, labels
from .sky import cover

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
LAMPS = np.array([0.97, 0.90, 0.76])  # what lamps give of red, green and blue
INDOORS = ("floor", "shelf", "table")


@lru_cache(maxsize=8)
def backdrop(plan: Plan, unit: int) -> Any:
    """The town by day, without names: RGB image of rows * unit x columns * unit pixels."""
    fine = fineness(plan.rows * plan.columns * unit * unit, 4)
    picture, pen = sheet(plan.columns, plan.rows, unit, fine, palette.GROUND["grass"])
    cells = [(row, column) for row in range(plan.rows) for column in range(plan.columns)]
    for row, column in cells:
        _ground(pen.at(column, row), plan, row, column)
    for row, column in cells:
        _furniture(pen.at(column, row), plan, row, column)
    _road_marks(pen, plan)
    for cell in plan.entries:
        _bus_stop(_pen_at(pen, plan, cell))
    for post, cell in enumerate(plan.posts):
        _post(_pen_at(pen, plan, cell), plan, post)
    for kind, cell in zip(plan.kinds, plan.facilities):
        icons.facility(_pen_at(pen, plan, cell), kind)
    for row, column in cells:
        if plan.ground[row, column] == "tree":
            _tree(pen.at(column, row), row * plan.columns + column)
    return reduce(picture, fine)


@lru_cache(maxsize=12)
def shade(plan: Plan, unit: int, step: int, lamps: bool = False, sky: str = "") -> Any:
    """The town with its names under a sky at a step of darkness, or as if every room had its lamps on: RGB image."""
    share = np.maximum(light(step), LAMPS) if lamps and step else light(step)
    day, above = backdrop(plan, unit), cover(plan, unit, sky)
    if above is not None:
        day = day.copy()
        day.paste(above, (0, 0), above)
    picture = pillow().Image.fromarray((np.asarray(day) * share).astype(np.uint8))
    _names(picture, plan, unit, 1.0 - 0.35 * step / LEVELS)
    return picture


def rooms(plan: Plan) -> np.ndarray:
    """The place of each cell under a roof, -1 elsewhere: i64[H, W]; only rooms have lamps."""
    return np.where(np.isin(plan.ground, INDOORS), plan.place_of, -1)


def _pen_at(pen: Pen, plan: Plan, cell: int) -> Pen:
    row, column = divmod(int(cell), plan.columns)
    return pen.at(column, row)


def _grain(cell: int) -> float:
    """A number between 0 and 1 that looks random and is the same each time."""
    mixed = (cell * 2654435761) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 2246822519) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 13)) / 0xFFFFFFFF


def _floor(plan: Plan, row: int, column: int) -> palette.Colour:
    """The colour of the floor: homes alike, every other place its own, checked like tiles."""
    place = int(plan.place_of[row, column])
    if place < 0:
        return palette.GROUND["floor"]
    if place in plan.homes:
        return palette.HOME_FLOOR
    public = [other for other in range(len(plan.places)) if other not in plan.homes]
    colour = palette.FLOORS[public.index(place) % len(palette.FLOORS)]
    return mix(colour, WHITE, 0.22) if (row + column) % 2 else colour


def _ground(pen: Pen, plan: Plan, row: int, column: int) -> None:
    """The lowest layer of one cell."""
    word, above = plan.ground[row, column], plan.ground[max(row - 1, 0), column]
    cell = row * plan.columns + column
    if word in INDOORS or word == "door":
        colour = _floor(plan, row, column)
        pen.box(0, 0, 1, 1, colour)
        if int(plan.place_of[row, column]) in plan.homes:
            for y in (0.0, 0.5):
                pen.box(0, y, 1, y + 0.05, mix(colour, BLACK, 0.07))
        if above == "wall":
            pen.box(0, 0, 1, 0.18, mix(colour, BLACK, 0.18))
    elif word == "wall":
        below = plan.ground[min(row + 1, plan.rows - 1), column]
        pen.box(0, 0, 1, 1, mix(palette.GROUND["wall"], WHITE, 0.16))
        if below != "wall":
            pen.box(0, 0.55, 1, 1, mix(palette.GROUND["wall"], BLACK, 0.14))
    elif word == "road":
        pen.box(0, 0, 1, 1, palette.GROUND["road"])
        _kerb(pen, plan, row, column)
    else:
        colour = palette.GROUND["park" if plan.place_of[row, column] >= 0 else "grass"]
        pen.box(0, 0, 1, 1, mix(colour, BLACK, 0.035 * _grain(cell)))
        if word in ("grass", "park") and _grain(cell + 7919) < 0.22:
            x, y = 0.2 + 0.6 * _grain(cell + 1), 0.3 + 0.5 * _grain(cell + 2)
            for lean in (-0.12, 0.0, 0.12):
                pen.line((x, y), (x + lean, y - 0.2), fill=mix(colour, BLACK, 0.20), width=0.06)


def _kerb(pen: Pen, plan: Plan, row: int, column: int) -> None:
    """A line where the road ends."""
    soft = lambda r, c: (
        plan.ground[min(max(r, 0), plan.rows - 1), min(max(c, 0), plan.columns - 1)] not in ("road", "door")
    )
    edges = {(-1, 0): (0, 0, 1, 0.09), (1, 0): (0, 0.91, 1, 1), (0, -1): (0, 0, 0.09, 1), (0, 1): (0.91, 0, 1, 1)}
    for (down, right), corners in edges.items():
        if soft(row + down, column + right):
            pen.box(*corners, mix(palette.GROUND["road"], BLACK, 0.22))


def _road_marks(pen: Pen, plan: Plan) -> None:
    """Dashes along the middle of every road that is two cells wide."""
    road = np.pad(plan.ground == "road", 2)
    for row, column in zip(*np.nonzero(plan.ground == "road")):
        r, c = row + 2, column + 2
        across = lambda line: line[1] and line[2] and not line[0] and not line[3]
        if across(road[r - 1 : r + 3, c]) and column % 2 == 0:
            pen.box(column + 0.1, row + 0.95, column + 0.9, row + 1.05, WHITE)
        if across(road[r, c - 1 : c + 3]) and row % 2 == 0:
            pen.box(column + 0.95, row + 0.1, column + 1.05, row + 0.9, WHITE)


def _furniture(pen: Pen, plan: Plan, row: int, column: int) -> None:
    """Doors, shelves, tables and water."""
    word, cell = plan.ground[row, column], row * plan.columns + column
    if word == "door":
        living = plan.residents[place] if (place := int(plan.place_of[row, column])) >= 0 else ()
        colour = palette.person(living[0]) if living else palette.GROUND["door"]
        pen.box(0, 0.08, 1, 0.92, mix(colour, BLACK, 0.35))
        pen.box(0.08, 0.18, 0.92, 0.82, colour)
        pen.disc(0.74, 0.5, 0.08, WHITE)
    elif word == "shelf":
        pen.box(0.03, 0.05, 0.97, 0.97, mix(palette.GROUND["shelf"], BLACK, 0.35), 0.06)
        for y in (0.12, 0.54):
            for place in range(3):
                goods = (icons.RED, icons.AMBER, icons.GREEN, icons.BLUE, icons.WHITE)
                pen.box(0.11 + 0.27 * place, y, 0.33 + 0.27 * place, y + 0.34, goods[(cell + place + int(y * 5)) % 5])
    elif word == "table":
        pen.disc(0.5, 0.5, 0.46, mix(palette.GROUND["table"], BLACK, 0.35))
        pen.disc(0.5, 0.48, 0.40, palette.GROUND["table"])
        pen.disc(0.5, 0.48, 0.16, WHITE)
    elif word == "water":
        _water(pen, plan, row, column)


def _water(pen: Pen, plan: Plan, row: int, column: int) -> None:
    """A pond with round corners, and waves."""
    blue, wet = palette.GROUND["water"], np.pad(plan.ground == "water", 1)
    pen.box(0, 0, 1, 1, blue, 0.35)
    halves = {(-1, 0): (0, 0, 1, 0.5), (1, 0): (0, 0.5, 1, 1), (0, -1): (0, 0, 0.5, 1), (0, 1): (0.5, 0, 1, 1)}
    for (down, right), corners in halves.items():
        if wet[row + 1 + down, column + 1 + right]:
            pen.box(*corners, blue)
    for y in (0.36, 0.66):
        pen.line((0.2, y), (0.4, y - 0.08), (0.6, y), (0.8, y - 0.08), fill=(214, 238, 250), width=0.07)


def _tree(pen: Pen, cell: int) -> None:
    """A crown with its shadow, each a little different."""
    size = 0.48 + 0.12 * _grain(cell)
    colour = mix(palette.GROUND["tree"], (120, 160, 60), 0.5 * _grain(cell + 31))
    pen.disc(0.56, 0.60, size, mix(palette.GROUND["grass"], BLACK, 0.30))
    pen.disc(0.5, 0.5, size, mix(colour, BLACK, 0.16))
    pen.disc(0.46, 0.44, size * 0.80, colour)
    pen.disc(0.38, 0.36, size * 0.38, mix(colour, WHITE, 0.22))


def _bus_stop(pen: Pen) -> None:
    """Where newcomers arrive: a blue sign with a bus."""
    pen.box(0.04, 0.04, 0.96, 0.96, (38, 92, 176), 0.18)
    pen.box(0.18, 0.24, 0.82, 0.70, WHITE, 0.10)
    pen.box(0.25, 0.32, 0.75, 0.48, (38, 92, 176))
    for x in (0.34, 0.66):
        pen.disc(x, 0.72, 0.09, WHITE)


def _post(pen: Pen, plan: Plan, post: int) -> None:
    """A mat in the colour of who works there, with a desk unless a facility is beside it."""
    owners = plan.owners[post]
    colour = palette.person(owners[0]) if owners else palette.FAINT
    pen.box(0.04, 0.04, 0.96, 0.96, colour, 0.16)
    pen.box(0.14, 0.14, 0.86, 0.86, mix(colour, WHITE, 0.62), 0.10)
    steps = (-plan.columns, plan.columns, -1, 1)
    cell = int(plan.posts[post])
    if not set(plan.facilities.tolist()) & {cell + step for step in steps}:
        icons.desk(pen.at(0, -0.62))


class Label(NamedTuple):
    """The name of a place on the map, in pixels."""

    words: str
    left: float
    top: float
    right: float
    bottom: float


def signposts(plan: Plan, unit: int) -> dict[int, Label]:
    """The labels of all places, each inside the map; what is too long for the map is cut."""
    size, across, down = max(round(unit * 0.86), 7), plan.columns * unit, plan.rows * unit
    frame = [(0.9 + 0.6 * min(max(len(living) - 1, 0), 6)) * unit for living in plan.residents]
    words = [shorten(name, size, across - 1 - edge) for name, edge in zip(plan.places, frame)]
    long = [width_of(text, size) + edge for text, edge in zip(words, frame)]
    widths = {place: int(np.ceil(wide / unit)) for place, wide in enumerate(long)}
    high, found = max(1.12 * unit, size + 3), {}
    for place, (row, column) in labels(plan, widths).items():
        spans = np.nonzero((plan.place_of == place).any(1))[0]
        away = -0.2 if row < spans.min() else 0.2 if row > spans.max() else 0.0
        left, top = column * unit + (widths[place] * unit - long[place]) / 2, (row + away - 0.06) * unit
        top = max(min(top, down - 1 - high), 0)
        found[place] = Label(words[place], left, top, left + long[place], top + high)
    return found


def _names(picture: Any, plan: Plan, unit: int, bright: float) -> None:
    """Write the names of all places; a home's has the colour of who lives there, and a dot for each other resident."""
    draw, size = pillow().ImageDraw.Draw(picture), max(round(unit * 0.86), 7)
    for place, (words, *corners) in signposts(plan, unit).items():
        living = plan.residents[place]
        dim = lambda colour: mix(BLACK, colour, bright)
        known = palette.person(living[0]) if living else palette.GONE
        back, ink = (dim(known), WHITE) if place in plan.homes else (dim(palette.PAPER), palette.INK)
        left, _, right, _ = corners
        middle = (corners[1] + corners[3]) / 2
        box = tuple(round(corner) for corner in corners)
        draw.rounded_rectangle(box, 0.3 * unit, fill=back, outline=dim(WHITE if place in plan.homes else palette.INK))
        write(draw, (left + 0.45 * unit, middle), words, ink, size)
        others = living[1:7]
        for dot, other in enumerate(others):
            x, r = right - 0.55 * unit * (len(others) - dot) - 0.1 * unit, 0.2 * unit
            draw.ellipse((x - r, middle - r, x + r, middle + r), fill=palette.person(other), outline=WHITE)
