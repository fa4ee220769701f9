"""The caption of a picture: day and time, weather, what fails, and the events that are on."""

from typing import Any

from . import marks, palette
from .clock import Clock
from .lettering import shorten, width_of, write
from .pen import pillow
from .plan import Plan
from .scene import Scene, readable

LEAST, MOST = 11, 18  # pixels, size of the letters of a strip
LINE = 1.6  # sizes of letters, height of a line


def parts(scene: Scene) -> list[tuple[str, str]]:
    """What is said of a scene: pairs of a mark, "" for none, and words."""
    sky = [(scene.sky, scene.sky)] if scene.sky else []
    events = [("", ", ".join(map(readable, scene.events)))] if scene.events else []
    return [*sky, *((name, f"{readable(name)} off") for name in scene.off), *events]


def tell(picture: Any, at: tuple[float, float], said: list[tuple[str, str]], size: int, room: float) -> None:
    """Marks and words in a line, cut where there are more than `room` pixels.

    Args:
        picture: what is drawn on.
        at: pixels right and down of the middle of the left edge.
        said: as `parts` gives them.
        size: of the letters, in pixels.
        room: pixels.
    """
    draw, (x, y), end = pillow().ImageDraw.Draw(picture), at, at[0] + room
    for sign, words in said:
        if sign and x + 1.3 * size <= end:
            drawn = marks.mark(sign, round(1.15 * size))
            picture.paste(drawn, (round(x), round(y - drawn.height / 2)), drawn)
            x += 1.5 * size
        words = shorten(words, size, end - x)
        write(draw, (x, y), words, palette.INK, size)
        x += width_of(words, size) + size


def num_lines(plan: Plan) -> int:
    """Lines of a strip: a second one only in worlds in which something may fail or happen."""
    return 2 if plan.has_news else 1


def strip(plan: Plan, width: int, unit: int, time: Clock, scene: Scene) -> Any:
    """The caption as a picture of its own, as wide as a map: RGB image.

    Args:
        plan: the town.
        width: pixels.
        unit: pixels a cell of the map.
        time: the clock.
        scene: what goes on.
    """
    size = min(max(unit, LEAST), MOST)
    while size > 8 and width_of("Day 100  00:00   ", size) + 5.5 * size > width:
        size -= 1
    lines, margin = num_lines(plan), 0.6 * size
    picture = pillow().Image.new("RGB", (width, round((lines * LINE + 0.4) * size)), palette.PAPER)
    said, room, middle = parts(scene), width - 2 * margin, (0.2 + LINE / 2) * size
    sky = said[: bool(scene.sky)]
    tell(picture, (margin, middle), [("", time.words), *sky], size, room)
    tell(picture, (margin, middle + LINE * size), said[len(sky) :], size, room)
    return picture
