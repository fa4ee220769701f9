"""The town in a terminal: one character a cell. Needs no Pillow."""

import string

import numpy as np

from ..types import State, World
from . import caption, clock, palette
from .palette import Colour, mix
from .people import SHIFTS, Person, people
from .plan import Plan, labels, plan
from .scene import scene

MARKS = string.digits[1:] + string.ascii_uppercase + "αβγδεζηθικλμνξοπρστυφχψωΓΔΘΛΞ"  # people
GROUND = {
    "wall": "#",
    "floor": ".",
    "door": "+",
    "road": "=",
    "grass": " ",
    "park": ",",
    "tree": "^",
    "water": "~",
    "shelf": "%",
    "table": "*",
}
SHUT = "!"  # a facility out of service
RESET = "\x1b[0m"


def ansi(world: World, state: State, *, color: bool = True) -> str:
    """One town as text: a title, the map, a legend and a line for each agent.

    Args:
        world: the world.
        state: one town, on the host or the device.
        color: whether to write escape sequences for 24-bit colours.

    Returns:
        Lines; the second to the (rows + 1)-th are the map, one character a cell.

    Raises:
        ValueError: the state holds more than one town.
    """
    town, folk, time = plan(world), people(world, state), clock.clock(world, state)
    letters, inks, backs = _static(town)
    shade = clock.light(clock.level(time.hours)) if color else np.ones(3)
    now = scene(world, state, ties=False)
    news = [words for _, words in caption.parts(now)]
    lines = ["  ".join([town.name.replace("_", " ").capitalize(), time.words, *news])]
    shut = {int(town.facilities[facility]) for facility, _ in now.shut}
    bodies = {someone.cell: someone for someone in folk if someone.alive}
    for row in range(town.rows):
        cells = []
        for column in range(town.columns):
            someone = bodies.get(row * town.columns + column)
            back = tuple(int(part) for part in backs[row, column] * shade)
            if someone is not None:
                cells.append((mark(someone.index), (255, 255, 255), palette.person(someone.index), True))
            elif row * town.columns + column in shut:
                cells.append((SHUT, palette.MARKS["closed"], palette.GONE, True))
            else:
                cells.append((letters[row][column], tuple(inks[row, column].tolist()), back, False))
        lines.append(_painted(cells, color))
    needs = world.static.names.needs
    return "\n".join([*lines, *_legend(town, color, bool(shut)), *(_line(someone, needs, color) for someone in folk)])


def mark(index: int) -> str:
    """The character of the agent in one slot: 1 to 9, then A to Z, then Greek."""
    return MARKS[index] if index < len(MARKS) else "@"


def signs(town: Plan) -> dict[str, str]:
    """A lower-case letter for each kind of facility: the first of its name that is free, else any."""
    taken: dict[str, str] = {}
    for kind in dict.fromkeys(town.kinds):
        wishes = kind.replace("_", "") + string.ascii_lowercase
        taken[kind] = next((letter for letter in wishes if letter not in taken.values()), "?")
    return taken


def _static(town: Plan) -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """What never moves: letters, their colours u8[H, W, 3], and the colours behind them."""
    letters = [[GROUND[word] for word in row] for row in town.ground]
    backs = np.array([[palette.GROUND[word] for word in row] for row in town.ground], float)
    inks = (backs * 0.72).astype(np.uint8)
    for kind, cell in zip(town.kinds, town.facilities):
        row, column = divmod(int(cell), town.columns)
        letters[row][column], inks[row, column], backs[row, column] = signs(town)[kind], (255, 255, 255), (92, 78, 66)
    for place, (row, column) in labels(town, {p: len(name) for p, name in enumerate(town.places)}).items():
        living = town.residents[place]
        back = palette.person(living[0]) if living else palette.PAPER if place not in town.homes else palette.GONE
        for offset, letter in enumerate(town.places[place][: town.columns - column]):
            letters[row][column + offset] = letter
            inks[row, column + offset] = (255, 255, 255) if living else palette.INK
            backs[row, column + offset] = back
    return letters, inks, backs


def _painted(cells: list[tuple[str, Colour, Colour, bool]], color: bool) -> str:
    """A row of (letter, colour, colour behind it, bold); sequences are written only where the colours change."""
    if not color:
        return "".join(letter for letter, *_ in cells)
    text, last = "", None
    for letter, ink, back, bold in cells:
        if (ink, back, bold) != last:
            text += f"\x1b[{int(bold)};38;2;{';'.join(map(str, ink))};48;2;{';'.join(map(str, back))}m"
            last = (ink, back, bold)
        text += letter
    return text + RESET


def _ink(text: str, colour: Colour, color: bool) -> str:
    return f"\x1b[38;2;{';'.join(map(str, colour))}m{text}{RESET}" if color else text


def _legend(town: Plan, color: bool, shut: bool) -> list[str]:
    """What the characters of the map mean."""
    grounds = [f"{GROUND[word]} {word}" for word in GROUND if word != "grass" and (town.ground == word).any()]
    grounds += [f"{SHUT} out of service"] if shut else []
    kinds = [f"{letter} {kind.replace('_', ' ')}" for kind, letter in signs(town).items()]
    return [
        _ink("   ".join(entries), mix(palette.FAINT, (255, 255, 255), 0.3), color)
        for entries in (grounds, kinds)
        if entries
    ]


def _line(someone: Person, needs: tuple[str, ...], color: bool) -> str:
    """One agent in words."""
    cells = [(f" {mark(someone.index)} ", (255, 255, 255), palette.person(someone.index), True)]
    head = _painted(cells, color)
    if not someone.alive:
        return f"{head} {_ink(someone.words, palette.GONE, color)}"
    shares = [_ink(f"{need} {share:4.0%}", palette.need(share), color) for need, share in zip(needs, someone.needs)]
    shift = f"{someone.job.replace('_', ' ')}, {SHIFTS[someone.shift]}" if someone.shift else ""
    tail = _ink(shift, palette.SHIFT.get(someone.shift, palette.FAINT), color)
    words = f"{someone.name}: {someone.words}" if someone.name else someone.words
    return "  ".join([f"{head} {words:<24}", *shares, f"{someone.coins:6.2f} coins", tail]).rstrip()
