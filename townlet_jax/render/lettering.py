"""Words in Pillow's own font, which knows ASCII only: accents are drawn over their letters."""

import unicodedata
from functools import lru_cache
from typing import Any

from .pen import pillow

KNOWN = "±´·»«‘’“”…"
ACUTE, GRAVE, HAT, TILDE, DOTS, CARON, RING, CEDILLA, BAR = "\u0301\u0300\u0302\u0303\u0308\u030c\u030a\u0327\u0304"
STROKES: dict[
    str, tuple[tuple[tuple[float, float], ...], ...]
] = {  # lines, in shares of the size, from above the letter
    ACUTE: (((-0.03, 0.0), (0.10, -0.13)),),
    GRAVE: (((0.03, 0.0), (-0.10, -0.13)),),
    HAT: (((-0.12, 0.0), (0.0, -0.11), (0.12, 0.0)),),
    CARON: (((-0.12, -0.11), (0.0, 0.0), (0.12, -0.11)),),
    TILDE: (((-0.14, -0.02), (-0.05, -0.07), (0.05, -0.02), (0.14, -0.07)),),
    DOTS: (((-0.13, -0.05), (-0.08, -0.05)), ((0.08, -0.05), (0.13, -0.05))),
    RING: (((-0.06, -0.04), (0.0, -0.11), (0.06, -0.04), (0.0, 0.02), (-0.06, -0.04)),),
    BAR: (((-0.12, -0.05), (0.12, -0.05)),),
    CEDILLA: (((0.0, 0.72), (0.04, 0.80), (-0.04, 0.86)),),
}


@lru_cache(maxsize=64)
def font(size: int) -> Any:
    """Pillow's own font at a size in pixels; no font file is looked for."""
    return pillow().ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def spell(words: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    """The letters that the font has, `?` for those that it lacks, and the accents as (index of the letter, mark)."""
    letters, marks = "", []
    for letter in unicodedata.normalize("NFD", words):
        if unicodedata.combining(letter):
            marks.append((len(letters) - 1, letter))
        else:
            letters += letter if letter.isascii() or letter in KNOWN else "?"
    return letters, tuple(marks)


def width_of(words: str, size: int) -> float:
    """How wide words are, in pixels."""
    return font(size).getlength(spell(words)[0])


def shorten(words: str, size: int, room: float) -> str:
    """The words, cut with an ellipsis where they are wider than `room` pixels."""
    if width_of(words, size) <= room:
        return words
    while words and width_of(words.rstrip() + "…", size) > room:
        words = words[:-1]
    return words.rstrip() + "…" if words else ""


def write(
    draw: Any, at: tuple[float, float], words: str, colour: tuple[int, ...], size: int, anchor: str = "lm"
) -> None:
    """One line of words.

    Args:
        draw: a `PIL.ImageDraw`.
        at: pixels right and down.
        words: any text.
        colour: of the letters.
        size: of the letters, in pixels.
        anchor: which point of the text is `at`: l, m or r, then m for the middle.
    """
    letters, marks = spell(words)
    draw.text(at, letters, fill=colour, font=font(size), anchor=anchor)
    left = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * width_of(words, size)
    for index, mark in marks:
        if index < 0 or mark not in STROKES:
            continue
        letter = letters[index]
        middle = left + font(size).getlength(letters[:index]) + font(size).getlength(letter) / 2
        top = at[1] - size * (0.38 if letter.isupper() or letter in "bdfhklt" else 0.24)
        for line in STROKES[mark]:
            points = [(middle + x * size, top + y * size) for x, y in line]
            draw.line(points, fill=colour, width=max(round(size / 13), 1), joint="curve")
