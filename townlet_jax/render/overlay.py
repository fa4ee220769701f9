"""What is drawn over a map at one tick: what is out of service, ties, and talks and quarrels of two. All lengths are in cells."""

from collections import Counter
from math import hypot
from typing import Any

from . import marks, palette
from .pen import Pen, fineness, pillow, reduce
from .people import Person
from .plan import Plan
from .scene import CLOSED, Bond, Meeting

Spot = tuple[float, float]  # right and down
ASIDE = 0.8  # between people on one cell
MARK = 1.3  # side of a mark of a meeting
LEAST = 18  # pixels, the same on a small picture
BESIDE = 1.15  # from the middle between two people to their mark
BOW, STEEPER = 0.95, 0.05  # how far a tie swings out, and how much further for each cell between the two
TIE, EDGE = 0.16, 0.10  # width of a tie, and of the white edges along it
WIDEST = 3.0, 1.5  # pixels, the same two on a large picture
OPACITY = (200,)  # of ties, of 255
GREY = 0.72  # share of grey in what is out of service
FINE = 3  # times finer than the picture, at most


def spots(town: Plan, folk: list[Person]) -> dict[int, Spot]:
    """Where the middle of each of the living is; who shares a cell stands a little aside."""
    living = [someone for someone in folk if someone.alive]
    shared, placed, found = Counter(someone.cell for someone in living), Counter(), {}
    for someone in living:
        row, column = divmod(someone.cell, town.columns)
        aside = ASIDE * (placed[someone.cell] - (shared[someone.cell] - 1) / 2)
        placed[someone.cell] += 1
        found[someone.index] = (column + 0.5 + aside, row + 0.5)
    return found


def put(picture: Any, sprite: Any, x: float, y: float) -> None:
    """Paste a sprite with its middle at a point in pixels."""
    picture.paste(sprite, (round(x - sprite.width / 2), round(y - sprite.height / 2)), sprite)


def out_of_service(picture: Any, town: Plan, shut: tuple[tuple[int, str], ...], unit: int) -> None:
    """Facilities without colour: crossed out if they are closed, else with the utility that they lack."""
    for facility, reason in shut:
        row, column = divmod(int(town.facilities[facility]), town.columns)
        box = (column * unit, row * unit, (column + 1) * unit, (row + 1) * unit)
        cell = picture.crop(box)
        grey = pillow().Image.blend(
            cell.convert("L").convert("RGB"), pillow().Image.new("RGB", cell.size, palette.GONE), 0.3
        )
        picture.paste(pillow().Image.blend(cell, grey, GREY), box)
        side = unit if reason == CLOSED else max(round(0.8 * unit), 8)
        put(picture, marks.mark(reason, side), (column + 0.5) * unit, (row + 0.5) * unit)


def bonds(picture: Any, ties: tuple[Bond, ...], spots: dict[int, Spot], unit: int) -> None:
    """Bows between people with a strong tie, in the colour of friends or rivals with white edges."""
    bows = {sign: [_bow(spots[one], spots[other]) for one, other, kind in ties if kind == sign] for sign in marks.BONDS}
    every = [bow for some in bows.values() for bow in some]
    tie, edge = (min(wide, pixels / unit) for wide, pixels in zip((TIE, EDGE), WIDEST))
    strokes = [((255, 255, 255), tie + 2 * edge, every)]
    strokes += [(palette.MARKS[sign], tie, some) for sign, some in bows.items()]
    fine = fineness(picture.width * picture.height, FINE)
    for colour, width, some in strokes:
        if not some:
            continue
        mask = pillow().Image.new("L", (picture.width * fine, picture.height * fine), 0)
        pen = Pen(pillow().ImageDraw.Draw(mask), unit * fine)
        for bow in some:
            pen.line(*bow, fill=OPACITY, width=width)
        picture.paste(colour, (0, 0), reduce(mask, fine))


def _bow(start: Spot, end: Spot, pieces: int = 24) -> list[Spot]:
    """Points along a bow that swings to the right or down, so that it can be seen beside people in one line."""
    away = _aside(start, end)
    swing = -2 * (BOW + STEEPER * hypot(end[0] - start[0], end[1] - start[1]))
    middle = tuple((a + b) / 2 + swing * part for a, b, part in zip(start, end, away))
    shares = [piece / pieces for piece in range(pieces + 1)]
    along = lambda i, s: (1 - s) ** 2 * start[i] + 2 * s * (1 - s) * middle[i] + s * s * end[i]
    return [(along(0, share), along(1, share)) for share in shares]


def _aside(one: Spot, other: Spot) -> Spot:
    """A step of length 1 at right angles to the line between two spots, up or else to the left."""
    right, down = other[0] - one[0], other[1] - one[1]
    length = hypot(right, down) or 1.0
    x, y = (down / length, -right / length) if right or down else (0.0, -1.0)
    return (x, y) if y < -1e-9 or (abs(y) <= 1e-9 and x < 0) else (-x, -y)


def placed(found: tuple[Meeting, ...], spots: dict[int, Spot], unit: int, size: Spot) -> list[tuple[Meeting, Spot]]:
    """Where the mark of each meeting lies: beside the middle between the two, further out where there is a mark already.

    Who only keeps away from somebody has the mark to itself. What is mutual is told by both, and has one mark.

    Args:
        found: the meetings.
        spots: where people are; who is not there has left in this tick.
        unit: pixels a cell.
        size: of the map, in cells; marks lie inside it.
    """
    side, taken = _side(unit), []
    between = lambda meeting: meeting[:2] if meeting.sign == "avoided" else frozenset(meeting[:2])
    for meeting in {(between(meeting), meeting.sign): meeting for meeting in found}.values():
        if meeting.one not in spots or meeting.other not in spots:
            continue
        one, other = spots[meeting.one], spots[meeting.other]
        away, start = _aside(one, other), tuple((a + b) / 2 for a, b in zip(one, other))
        if meeting.sign == "avoided":
            away, start = (0.6, -0.8), one
        taken.append((meeting, _free(start, away, side, size, [spot for _, spot in taken])))
    return taken


def _free(start: Spot, away: Spot, side: float, size: Spot, taken: list[Spot]) -> Spot:
    """The first spot beside a start, on this side or the other, where a mark lies on the map and covers no other."""
    inside = lambda spot: tuple(min(max(part, side / 2), end - side / 2) for part, end in zip(spot, size))
    clear = lambda spot: all(max(abs(spot[0] - x), abs(spot[1] - y)) >= 0.9 * side for x, y in taken)
    far = (way * (BESIDE + 0.5 * step) for step in range(8) for way in (1, -1))
    tries = [tuple(part + steps * along for part, along in zip(start, away)) for steps in far]
    x, y = next((spot for spot in tries if clear(spot) and inside(spot) == spot), inside(tries[0]))
    return x, y


def _side(unit: int) -> float:
    """The side of a mark, large enough to be read on a small picture."""
    return max(MARK, LEAST / unit)


def links(picture: Any, placed: list[tuple[Meeting, Spot]], spots: dict[int, Spot], unit: int) -> None:
    """Lines from each mark of a meeting to the two whom it is about."""
    pen = Pen(pillow().ImageDraw.Draw(picture), unit)
    for meeting, middle in placed:
        if meeting.sign == "avoided":
            continue
        points = (spots[meeting.one], middle, spots[meeting.other])
        pen.line(*points, fill=(255, 255, 255), width=0.34)
        pen.line(*points, fill=palette.MARKS[meeting.sign], width=0.16)


def meetings(picture: Any, placed: list[tuple[Meeting, Spot]], unit: int) -> None:
    """A mark for each two people who talk or quarrel in this tick."""
    for meeting, (x, y) in placed:
        put(picture, marks.mark(meeting.sign, round(_side(unit) * unit)), x * unit, y * unit)
