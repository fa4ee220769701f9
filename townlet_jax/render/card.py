"""The card of one person beside the map: a closer look, how they are, what they do and why. Stands where the table would."""

from typing import Any, NamedTuple

from ..core import fixed
from ..types import State, World
from . import caption, palette, sprites
from .clock import Clock, darkness
from .lettering import shorten, write
from .pen import pillow
from .people import SHIFTS, Person
from .scene import Scene, readable

HEAD = 5.4  # units, as high as the clock and the news
FACE, VIEW, ROW = 4.4, 15.0, 1.7  # units: the person, the closer look, a line of words
CLOSER = 2  # times larger than on the map are the cells of the closer look
LARGE = 20  # pixels a cell of a map that needs no closer look
MOST = 4  # thoughts that are shown
RING = 1.25, 0.16  # cells: radius and width of the ring around the person on the map


class Focus(NamedTuple):
    """Whom a picture follows, and what is known of why they do what they do."""

    agent: int
    title: str = ""  # of the thoughts
    thoughts: tuple[tuple[str, float | None], ...] = ()  # words and a share from 0 to 1, None for words alone


def height(unit: int, num_needs: int, scale: int, thinks: bool) -> int:
    """Pixels that a card needs; `thinks` is whether there are thoughts."""
    view = 0.0 if scale >= LARGE else VIEW + 0.8
    return round((HEAD + FACE + view + (num_needs + 2 + (MOST + 2) * thinks) * ROW) * unit)


def ring(picture: Any, x: float, y: float, index: int, unit: int) -> None:
    """A ring around a person on the map, in their colour with a white edge."""
    draw = pillow().ImageDraw.Draw(picture)
    radius, width = (max(part * unit, least) for part, least in zip(RING, (9, 2)))
    for grow, colour in ((width * 0.6, (255, 255, 255)), (0.0, palette.person(index))):
        r = radius + grow
        draw.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=round(width + 2 * grow))


def closer(ground: Any, spot: tuple[float, float], unit: int, size: tuple[int, int]) -> Any:
    """The part of a map around a spot, given in cells, moved so that it lies on the map as far as it can."""
    wide, high = size
    left, top = (round(part * unit - side / 2) for part, side in zip(spot, size))
    left, top = (
        max(min(at, most - side), 0) for at, most, side in ((left, ground.width, wide), (top, ground.height, high))
    )
    cut = ground.crop((left, top, min(left + wide, ground.width), min(top + high, ground.height)))
    view = pillow().Image.new("RGB", size, palette.RULE)
    view.paste(cut, ((wide - cut.width) // 2, (high - cut.height) // 2))
    return view


def carried(world: World, state: State, agent: int) -> str:
    """What a person has on them, in words."""
    items = zip(world.static.names.items, state.agents.items[agent].tolist())
    held = [f"{number} {readable(name)}" for name, number in items if number]
    coins = float(state.agents.wallet[agent]) / fixed.COIN
    return ", ".join([f"{coins:.2f} coins", *held])


class _Sheet(NamedTuple):
    """A card on which one writes from the top down."""

    picture: Any
    draw: Any
    unit: int

    def write(self, x: float, y: float, words: str, colour: Any, share: float, anchor: str = "lm") -> None:
        """A line of words at a point in units, cut at the right edge."""
        size = max(round(self.unit * share), 8)
        room = self.picture.width - (x + 0.6) * self.unit if anchor == "lm" else self.picture.width
        write(self.draw, (x * self.unit, y * self.unit), shorten(words, size, room), colour, size, anchor)

    def bar(self, x: float, y: float, wide: float, share: float, colour: Any) -> None:
        """A bar, full to the right; units."""
        u = self.unit
        box = (round(x * u), round((y - 0.36) * u), round((x + wide) * u), round((y + 0.36) * u))
        self.draw.rectangle(box, fill=palette.RULE)
        end = box[0] + round(wide * u * min(max(share, 0.0), 1.0))
        if end > box[0]:
            self.draw.rectangle((box[0], box[1], end, box[3]), fill=colour)


def card(
    size: tuple[int, int],
    unit: int,
    title: str,
    time: Clock,
    scene: Scene,
    someone: Person,
    needs: tuple[str, ...],
    has: str,
    focus: Focus,
    view: Any | None,
) -> Any:
    """The card at one tick: RGB image.

    Args:
        size: pixels across and down.
        unit: pixels of a unit.
        title: of the town.
        time: the clock.
        scene: what goes on.
        someone: the person.
        needs: names of the needs.
        has: what they have, see `carried`.
        focus: why they do it.
        view: a closer look at them, None if the map is close enough.
    """
    picture = pillow().Image.new("RGB", size, palette.PAPER)
    sheet, across = _Sheet(picture, pillow().ImageDraw.Draw(picture), unit), size[0] / unit
    _head(sheet, title, time, scene, across)
    face = sprites.body(someone.index, -1, someone.alive, round(2.0 * unit))
    picture.paste(face, (round(2.5 * unit - face.width / 2), round((HEAD + 1.6) * unit - face.height / 2)), face)
    called = someone.name or f"Number {someone.index + 1}"
    shift = f"{readable(someone.job)}, {SHIFTS[someone.shift]}" if someone.shift and someone.alive else ""
    sheet.write(5.0, HEAD + 0.7, called, palette.INK, 1.5)
    sheet.write(5.0, HEAD + 2.2, shift or "no job", palette.SHIFT.get(someone.shift, palette.FAINT), 0.92)
    badge = sprites.badge(someone.activity, someone.letter, round(1.3 * unit))
    picture.paste(badge, (round(5.0 * unit), round((HEAD + 3.4) * unit - badge.height / 2)), badge)
    sheet.write(6.8, HEAD + 3.4, someone.words, palette.INK, 1.1)
    y = HEAD + FACE + 0.4
    if view is not None:
        picture.paste(view, (round(0.8 * unit), round(y * unit)))
        y += VIEW + 0.8
    if someone.alive:
        y = _state(sheet, needs, someone, has, y + 0.6, across)
        _why(sheet, focus, someone.index, y, across)
    return picture


def view_size(width: int, unit: int) -> tuple[int, int]:
    """Pixels across and down of the closer look on a card of some width."""
    return round(width - 1.6 * unit), round(VIEW * unit)


def _head(sheet: _Sheet, title: str, time: Clock, scene: Scene, across: float) -> None:
    """Title, clock, the strip of the day, and the news."""
    sheet.write(0.8, 1.35, title, palette.INK, 1.5)
    sheet.write(across - 0.8, 1.35, time.words, palette.INK, 1.5, "rm")
    u, pieces, wide = sheet.unit, 48, across - 1.6
    for piece in range(pieces):
        colour = palette.mix((250, 206, 92), (46, 56, 112), darkness((piece + 0.5) * 24 / pieces))
        x0, x1 = (round((0.8 + wide * edge / pieces) * u) for edge in (piece, piece + 1))
        sheet.draw.rectangle((x0, round(2.7 * u), x1, round(3.3 * u)), fill=colour)
    x, r = (0.8 + wide * time.hours / 24) * u, 0.5 * u
    sheet.draw.ellipse((x - r, 3.0 * u - r, x + r, 3.0 * u + r), fill=(255, 255, 255), outline=palette.INK, width=2)
    caption.tell(sheet.picture, (0.8 * u, 4.3 * u), caption.parts(scene), max(round(0.92 * u), 8), wide * u)


def _state(sheet: _Sheet, needs: tuple[str, ...], someone: Person, has: str, y: float, across: float) -> float:
    """Needs as bars, then money and goods; returns how far down it has come."""
    for name, share in zip(needs, someone.needs):
        sheet.write(0.8, y, readable(name), palette.INK, 0.92)
        sheet.bar(7.0, y, across - 11.4, share, palette.need(share))
        sheet.write(across - 0.8, y, f"{share:.0%}", palette.INK, 0.92, "rm")
        y += ROW
    sheet.write(0.8, y, "has", palette.INK, 0.92)
    sheet.write(7.0, y, has, palette.INK, 0.92)
    return y + 1.4 * ROW


def _why(sheet: _Sheet, focus: Focus, index: int, y: float, across: float) -> None:
    """The thoughts, likeliest first."""
    if not focus.thoughts:
        return
    sheet.write(0.8, y, focus.title, palette.FAINT, 0.86)
    for words, share in focus.thoughts[:MOST]:
        y += ROW
        sheet.write(0.8, y, words, palette.INK, 0.92)
        if share is not None:
            sheet.bar(11.0, y, across - 15.4, share, palette.person(index))
            sheet.write(across - 0.8, y, f"{share:.0%}", palette.INK, 0.92, "rm")
