"""The table beside the map: who is who, what they do, how they are, and what time it is."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from . import caption, icons, marks, palette, sprites
from .clock import Clock, darkness
from .lettering import shorten, width_of, write
from .pen import pillow, reduce, sheet
from .people import SHIFTS, Person, gerund
from .plan import Plan
from .scene import Scene, readable

FULL = 16  # people; with more, the bars are left out
LEAST = 11  # pixels, the smallest unit of a panel
HEAD = 5.6  # units
ROW, TALLEST, SHORT = 2.3, 3.9, 1.75  # units: least and most of a full row, and a short one
LINE = 1.6  # units, a row of the legend
SIGNS = {
    "sleep": "asleep",
    "wash": "washing",
    "cook": "cooking",
    "eat": "eating",
    "buy": "buying",
    "work": "working",
    "wait": "waiting",
    "walk": "walking",
    "idle": "idle",
}


class Entry(NamedTuple):
    """One drawing of a legend."""

    group: str  # mark, kind or activity
    name: str

    @property
    def words(self) -> str:
        """What it means."""
        if self.group == "mark":
            return marks.meaning(self.name)
        return SIGNS[self.name] if self.group == "activity" else self.name.replace("_", " ")


@dataclass(frozen=True)
class Layout:
    """Where everything goes, in pixels; the same for every frame of a world."""

    unit: int
    width: int
    height: int
    people: int
    columns: int  # of people
    row: float  # height of one
    words: float  # width of the column of words
    bar: float  # width of the column of one need, 0 if there is none
    needs: tuple[str, ...]
    signs: tuple[str, ...]  # marks that the legend explains
    legends: int  # how many of the legends there is room for, see `legends`

    @property
    def column(self) -> float:
        """Width of a column of people."""
        return (self.width - self.unit) / self.columns


def layout(
    plan: Plan, offers: tuple[str, ...], needs: tuple[str, ...], unit: int, height: int, signs: tuple[str, ...] = ()
) -> Layout:
    """The layout of the panel beside a map.

    Args:
        plan: the town.
        offers: names of all offers.
        needs: names of all needs.
        unit: pixels a cell.
        height: pixels of the map.
        signs: the marks that may be on the map; there is always room for their legend.
    """
    u, number = max(unit, LEAST), len(plan.agent_homes)
    full = number <= FULL
    longest = (
        [f"walking to {place}" for place in plan.places]
        + [f"waiting for the {readable(kind)}" for kind in plan.kinds]
        + [f"{gerund(offer)} at home" for offer in offers]
        + ["moved away"]
    )
    words = min(max(width_of(text, _size(u, 0.92)) for text in longest) + 2.6 * u, 16 * u)
    widest = max([width_of(need.replace("_", " "), _size(u, 0.74)) for need in needs] + [2.4 * u])
    bar = min(widest + 0.8 * u, 5.0 * u) if full else 0.0
    column = 2.5 * u + words + bar * len(needs) + 3.6 * u
    columns = 1 if full else max(math.ceil(number * SHORT * u / max(height - (HEAD + 1) * u, 12 * SHORT * u)), 1)
    lines = math.ceil(number / columns)
    least = (ROW if full else SHORT) * u
    width = round(columns * column + u)
    high = [(LINE * _legend_rows(entries, u, width) + 0.8) * u for entries in legends(plan, signs)]
    height = max(height, math.ceil(HEAD * u + lines * least + (0.6 * u + high[0] if signs else u)))
    spare = [height - (HEAD + 0.6) * u - sum(high[:n]) for n in range(len(high) + 1)]
    fits = max([n for n, left in enumerate(spare) if left >= lines * least], default=0)
    row = min(spare[fits] / lines, (TALLEST if full else SHORT) * u)
    return Layout(u, width, height, number, columns, row, words, bar, needs if full else (), signs, fits)


def panel(layout: Layout, plan: Plan, time: Clock, folk: list[Person], scene: Scene) -> Any:
    """The panel at one tick: RGB image of layout.height x layout.width pixels."""
    picture = _blank(layout, plan).copy()
    draw = pillow().ImageDraw.Draw(picture)
    _time(draw, layout, time)
    u = layout.unit
    caption.tell(picture, (0.8 * u, 4.05 * u), caption.parts(scene), _size(u, 0.92), layout.width - 1.6 * u)
    lines = math.ceil(layout.people / layout.columns)
    signs = marks.of_people(scene.meetings)
    for place, someone in enumerate(folk):
        left = 0.5 * layout.unit + layout.column * (place // lines)
        top = HEAD * layout.unit + layout.row * (place % lines)
        _person(picture, draw, layout, someone, signs.get(someone.index, ""), left, top)
    return picture


def legends(plan: Plan, signs: tuple[str, ...]) -> list[list[Entry]]:
    """The entries of all legends, from the bottom up: marks if there are any, kinds of facilities, activities."""
    groups = {"mark": signs, "kind": dict.fromkeys(plan.kinds), "activity": SIGNS}
    return [[Entry(group, name) for name in names] for group, names in groups.items() if names or group != "mark"]


def _size(unit: int, share: float) -> int:
    return max(round(unit * share), 8)


def _write(
    draw: Any, layout: Layout, at: tuple[float, float], words: str, colour, share: float, anchor: str = "lm", room=None
) -> None:
    """One line of words, cut to `room` pixels."""
    size = _size(layout.unit, share)
    words = words if room is None else shorten(words, size, room)
    write(draw, at, words, colour, size, anchor)


@lru_cache(maxsize=8)
def _blank(layout: Layout, plan: Plan) -> Any:
    """What never changes: title, heads of columns, rules and the legend."""
    picture = pillow().Image.new("RGB", (layout.width, layout.height), palette.PAPER)
    draw, u = pillow().ImageDraw.Draw(picture), layout.unit
    title = plan.name.replace("_", " ").capitalize()
    _write(draw, layout, (0.8 * u, 1.35 * u), title, palette.INK, 1.5, room=layout.width - 13.5 * u)
    first = 0.5 * u + 2.5 * u + layout.words
    for index, need in enumerate(layout.needs):
        spot = (first + index * layout.bar, (HEAD - 0.6) * u)
        _write(draw, layout, spot, need.replace("_", " "), palette.FAINT, 0.74, room=layout.bar - 0.4 * u)
    for column in range(layout.columns):
        right = 0.5 * u + layout.column * (column + 1) - (0.4 if layout.columns == 1 else 1.2) * u
        _write(draw, layout, (right, (HEAD - 0.6) * u), "coins", palette.FAINT, 0.74, anchor="rm")
    lines = math.ceil(layout.people / layout.columns)
    for line in range(lines + 1):
        y = round(HEAD * u + line * layout.row)
        draw.line((0.5 * u, y, layout.width - 0.5 * u, y), fill=palette.RULE)
    bottom = layout.height - 0.2 * u
    for entries in legends(plan, layout.signs)[: layout.legends]:
        _legend(picture, draw, layout, entries, bottom)
        bottom -= (_legend_rows(entries, u, layout.width) * LINE + 0.4) * u
        draw.line((0.5 * u, round(bottom), layout.width - 0.5 * u, round(bottom)), fill=palette.RULE)
        bottom -= 0.4 * u
    return picture


def _time(draw: Any, layout: Layout, time: Clock) -> None:
    """The clock, and a strip of the day from midnight to midnight with a marker at now."""
    u = layout.unit
    _write(draw, layout, (layout.width - 0.8 * u, 1.35 * u), time.words, palette.INK, 1.5, anchor="rm")
    left, right, top, bottom = 0.8 * u, layout.width - 0.8 * u, 2.7 * u, 3.3 * u
    pieces = 48
    for piece in range(pieces):
        colour = palette.mix((250, 206, 92), (46, 56, 112), darkness((piece + 0.5) * 24 / pieces))
        x0, x1 = (left + (right - left) * edge / pieces for edge in (piece, piece + 1))
        draw.rectangle((round(x0), top, round(x1), bottom), fill=colour)
    x, middle, radius = left + (right - left) * time.hours / 24, (top + bottom) / 2, 0.52 * u
    face = palette.mix((255, 224, 110), (228, 232, 248), darkness(time.hours))
    draw.ellipse((x - radius, middle - radius, x + radius, middle + radius), fill=face, outline=palette.INK, width=2)


def _person(picture: Any, draw: Any, layout: Layout, someone: Person, sign: str, left: float, top: float) -> None:
    """One row of the table; who talks or quarrels has that mark for a badge."""
    u, middle = layout.unit, top + layout.row / 2
    full = layout.bar > 0
    unit = round(1.15 * u) if full else u
    face = sprites.body(someone.index, -1, someone.alive, unit)
    picture.paste(face, (round(left + 1.1 * u - face.width / 2), round(middle - face.height / 2)), face)
    words = left + 2.5 * u
    shift = _shift(someone) if full and someone.alive else ""
    name = someone.name if full and someone.alive else ""
    line = middle - 0.55 * u if shift or name else middle
    ink = palette.INK if someone.alive else palette.GONE
    badge = marks.mark(sign, round(1.2 * u)) if sign else sprites.badge(someone.activity, someone.letter, u)
    picture.paste(badge, (round(words), round(line - badge.height / 2)), badge)
    room = layout.words - 2.4 * u
    _write(draw, layout, (words + 1.35 * u, line), someone.words, ink, 0.92, room=room)
    if not someone.alive:
        return
    right = left + layout.column - (0.4 if layout.columns == 1 else 1.2) * u
    _write(draw, layout, (right, middle), f"{someone.coins:.2f}", palette.INK, 0.92, anchor="rm")
    colour = palette.SHIFT.get(someone.shift, palette.FAINT)
    told = f"{name} · " if name and shift else name
    _write(draw, layout, (words + 1.35 * u, middle + 0.55 * u), told, palette.INK, 0.78, room=room)
    wide = width_of(told, _size(u, 0.78))
    _write(draw, layout, (words + 1.35 * u + wide, middle + 0.55 * u), shift, colour, 0.78, room=max(room - wide, 0))
    for index, _ in enumerate(layout.needs):
        _bar(draw, layout, words + layout.words + index * layout.bar, middle, someone.needs[index])


def _shift(someone: Person) -> str:
    """`grocer · on time`, or nothing for who has no job."""
    return f"{someone.job.replace('_', ' ')} · {SHIFTS[someone.shift]}" if someone.shift else ""


def _bar(draw: Any, layout: Layout, left: float, middle: float, share: float) -> None:
    """A need, full to the right."""
    u, right = layout.unit, left + layout.bar - 0.7 * layout.unit
    box = (round(left), round(middle - 0.32 * u), round(right), round(middle + 0.32 * u))
    draw.rounded_rectangle(box, 0.2 * u, fill=palette.RULE)
    end = round(left + (right - left) * min(max(share, 0.0), 1.0))
    if end - box[0] >= 2:
        draw.rounded_rectangle(
            (box[0], box[1], end, box[3]), min(0.2 * u, (end - box[0]) / 2), fill=palette.need(share)
        )


def _legend_rows(entries: list[Entry], unit: int, width: int) -> int:
    """Rows that the legend takes."""
    return math.ceil(len(entries) / _across(entries, unit, width))


def _across(entries: list[Entry], unit: int, width: int) -> int:
    """Entries of the legend in a row."""
    widest = max([width_of(entry.words, _size(unit, 0.78)) for entry in entries] + [0.0]) + 2.0 * unit
    return max(int((width - 1.6 * unit) // widest), 1)


def _legend(picture: Any, draw: Any, layout: Layout, entries: list[Entry], bottom: float) -> None:
    """One legend, in rows that end at `bottom`."""
    u, across = layout.unit, _across(entries, layout.unit, layout.width)
    step = (layout.width - 1.6 * u) / across
    top = bottom - _legend_rows(entries, u, layout.width) * LINE * u
    for index, entry in enumerate(entries):
        x, y = 0.8 * u + step * (index % across), top + LINE * u * (index // across)
        drawn = _drawing(entry, u)
        picture.paste(drawn, (round(x), round(y)), drawn)
        _write(draw, layout, (x + 1.5 * u, y + 0.56 * u), entry.words, palette.INK, 0.78)


def _drawing(entry: Entry, unit: int) -> Any:
    """The drawing of an entry: RGBA image."""
    if entry.group == "activity":
        return sprites.badge(entry.name, "", round(1.15 * unit))
    if entry.group == "mark":
        return marks.mark(entry.name, round(1.2 * unit))
    icon, pen = sheet(1, 1, round(1.1 * unit), sprites.FINE, palette.PAPER)
    icons.facility(pen, entry.name)
    return reduce(icon, sprites.FINE).convert("RGBA")
