"""Marks of what goes on: the sky, what is out of service, meetings of two, and ties. Small transparent images, drawn once."""

from functools import lru_cache
from math import cos, pi, sin
from typing import Any

from . import palette
from .pen import Colour, Pen, reduce, sheet
from .scene import CLOSED, TALKS, Meeting, readable

FINE = 6  # times finer than the picture
WHITE = (255, 255, 255)
MEETINGS = (*TALKS.values(), "quarrel")
BONDS = ("friend", "rival")
MEANING = {  # of marks in the legend
    "success": "good talk",
    "failure": "failed talk",
    "avoided": "keeps away",
    "quarrel": "quarrel",
    "friend": "friends",
    "rival": "rivals",
    CLOSED: "closed",
}


def meaning(sign: str) -> str:
    """What a mark means, in words; a utility's is that it fails."""
    return MEANING.get(sign) or f"{readable(sign)} off"


def of_people(meetings: tuple[Meeting, ...]) -> dict[int, str]:
    """The mark of each who is in a meeting; somebody from whom another keeps away is in none. A quarrel is louder than a talk."""
    found = {}
    for one, other, sign in sorted(meetings, key=lambda meeting: MEETINGS.index(meeting.sign)):
        found |= {one: sign} if sign == "avoided" else {one: sign, other: sign}
    return found


@lru_cache(maxsize=256)
def mark(sign: str, unit: int) -> Any:
    """A mark by its sign: RGBA image of `unit` x `unit` pixels; a sign that is not known is a utility that fails."""
    picture, pen = sheet(1.0, 1.0, unit, FINE, (*palette.MARKS.get(sign, palette.OFF), 0))
    pen = pen.at(0.5, 0.5)
    if sign in palette.SKY:
        _sky(pen, sign)
    elif sign in MEETINGS:
        _meeting(pen, sign)
    elif sign in BONDS:
        _edged(pen, ((-0.5, 0.2), (0.5, -0.2)), palette.MARKS[sign], 0.14)
    elif sign == CLOSED:
        _cross(pen, palette.MARKS[CLOSED], 0.36, 0.20)
    else:
        _utility(pen, sign)
    return reduce(picture, FINE)


def _edged(pen: Pen, points: tuple, colour: Colour, width: float, edge: float = 0.10) -> None:
    """A line with a white edge to both sides."""
    pen.line(*points, fill=WHITE, width=width + 2 * edge)
    pen.line(*points, fill=colour, width=width)


def _cross(pen: Pen, colour: Colour, arm: float, width: float, edge: float = 0.06) -> None:
    """Two strokes with a white edge around both."""
    strokes = (((-arm, -arm), (arm, arm)), ((-arm, arm), (arm, -arm)))
    for stroke in strokes if edge else ():
        pen.line(*stroke, fill=WHITE, width=width + 2 * edge)
    for stroke in strokes:
        pen.line(*stroke, fill=colour, width=width)


def _meeting(pen: Pen, sign: str) -> None:
    """A speech bubble with a tick, a cross or a stroke; a burst with an exclamation mark."""
    colour = palette.MARKS[sign]
    if sign == "quarrel":
        for radius, fill in ((0.5, WHITE), (0.42, colour)):
            spokes = [(radius * (1.0 if n % 2 else 0.66), n * pi / 9) for n in range(18)]
            pen.poly(*((r * sin(turn), -r * cos(turn)) for r, turn in spokes), fill=fill)
        pen.box(-0.06, -0.24, 0.06, 0.08, WHITE)
        pen.disc(0.0, 0.18, 0.075, WHITE)
        return
    for grow, fill in ((0.0, WHITE), (0.07, colour)):
        pen.box(-0.5 + grow, -0.42 + grow, 0.5 - grow, 0.26 - grow, fill, 0.16)
        pen.poly((-0.24 + grow, 0.18), (0.16 - grow, 0.18), (-0.20 + grow, 0.5 - 1.5 * grow), fill=fill)
    pen = pen.at(0.0, -0.08)
    if sign == "success":
        pen.line((-0.22, 0.0), (-0.06, 0.16), (0.24, -0.16), fill=WHITE, width=0.12)
    elif sign == "failure":
        _cross(pen, WHITE, 0.15, 0.12, 0.0)
    else:
        pen.line((-0.22, 0.0), (0.22, 0.0), fill=WHITE, width=0.12)


def _sky(pen: Pen, sky: str) -> None:
    """A sun, a moon, a cloud with rain, or a snowflake."""
    colour = palette.SKY[sky]
    if sky == "sunny":
        for turn in (n * pi / 4 for n in range(8)):
            pen.line((0.0, 0.0), (0.47 * cos(turn), 0.47 * sin(turn)), fill=colour, width=0.09)
        pen.disc(0.0, 0.0, 0.33, palette.PAPER)
        pen.disc(0.0, 0.0, 0.26, colour)
    elif sky == "clear":
        pen.disc(0.0, 0.0, 0.42, colour)
        pen.disc(0.20, -0.12, 0.34, palette.PAPER)
    elif sky == "rainy":
        for x in (-0.22, 0.02, 0.26):
            pen.line((x, 0.12), (x - 0.14, 0.46), fill=colour, width=0.08)
        for x, y, radius in ((-0.22, -0.06, 0.22), (0.06, -0.18, 0.28), (0.28, -0.02, 0.18)):
            pen.disc(x, y, radius, palette.CLOUD)
        pen.box(-0.24, -0.06, 0.30, 0.16, palette.CLOUD, 0.08)
    else:
        for turn in (n * pi / 3 for n in range(6)):
            at = lambda r, aside=0.0, turn=turn: (r * cos(turn + aside), r * sin(turn + aside))
            pen.line((0.0, 0.0), at(0.46), fill=colour, width=0.08)
            for aside in (-0.42, 0.42):
                pen.line(at(0.26), at(0.42, aside), fill=colour, width=0.07)


def _utility(pen: Pen, name: str) -> None:
    """A white bolt, drop or initial on a red disc: this fails."""
    pen.disc(0.0, 0.0, 0.5, WHITE)
    pen.disc(0.0, 0.0, 0.44, palette.OFF)
    if "power" in name or "electric" in name:
        pen.poly((0.08, -0.38), (-0.25, 0.07), (-0.03, 0.07), (-0.08, 0.38), (0.25, -0.08), (0.03, -0.08), fill=WHITE)
    elif "water" in name:
        pen.disc(0.0, 0.10, 0.22, WHITE)
        pen.poly((-0.20, 0.02), (0.0, -0.36), (0.20, 0.02), fill=WHITE)
    else:
        pen.text(0.0, 0.02, name[:1].upper(), WHITE, 0.66)
