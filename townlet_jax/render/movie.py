"""Moving pictures: GIF by Pillow, MP4 by imageio, and a page for a browser."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..types import State, World
from . import clock, page, palette
from .card import Focus
from .pen import EXTRA, pillow
from .picture import frame
from .plan import plan
from .scene import meetings, sky

SUFFIXES = (".gif", ".html", ".mp4")
SAMPLES = 10  # frames from which the palette of a GIF is made
SPARSE = 9  # of so many pixels of such a frame one is looked at: a palette as near in a tenth of the time
HOLD = 4  # times as long as the others does a frame last in which people talk or quarrel, or nobody would see it
COLOURS = 255  # of a GIF; Pillow keeps one for what has not changed


def animate(
    world: World,
    states: Iterable[State],
    path: str | Path,
    *,
    fps: int = 12,
    scale: int = 12,
    panel: bool = True,
    ties: bool = True,
    focus: Sequence[Focus] | None = None,
) -> Path:
    """Write a film of one town.

    Args:
        world: the world.
        states: one town at one tick after the other, on the host.
        path: where to write; the suffix says how: `.gif`, `.mp4`, or `.html` for one page that needs no network.
        fps: frames a second, 1 to 50; one in which people talk or quarrel stands longer.
        scale: pixels a cell.
        panel: whether the table of people is drawn beside the map.
        ties: whether strong ties are drawn as lines between people.
        focus: whom each picture follows, one a state.

    Returns:
        The path.

    Raises:
        ValueError: the suffix is another, there are no states or not as many as `focus` says, or `fps` is out of bounds.
        RuntimeError: Pillow, or for MP4 imageio, is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"cannot write {path.name!r}: allowed are {', '.join(SUFFIXES)}")
    if not 1 <= fps <= 50:
        raise ValueError(f"fps is {fps}: allowed are 1 to 50")
    states = list(states)
    if not states:
        raise ValueError("there are no states to draw")
    foci = [None] * len(states) if focus is None else list(focus)
    if len(foci) != len(states):
        raise ValueError(f"there are {len(states)} states and {len(foci)} foci: allowed is one a state")
    drawn = (frame(world, state, scale, panel, ties, one) for state, one in zip(states, foci))
    if path.suffix.lower() == ".mp4":
        _mp4(path, drawn, holds(states), fps)
        return path
    samples = (frame(world, state, scale, panel, ties, foci[0]) for state in _samples(world, states))
    colours = _palette(samples, plan(world).signs)
    if path.suffix.lower() == ".gif":
        _gif(path, drawn, colours, holds(states), fps)
        return path
    words = [clock.clock(world, state).words for state in states]
    told = page.Telling(plan(world).name.replace("_", " ").capitalize(), words, holds(states), fps)
    page.write(path, (np.asarray(picture) for picture in _dull(drawn, colours)), colours, told)
    return path


def holds(states: list[State]) -> list[int]:
    """How many times as long as a usual one each frame lasts."""
    return [HOLD if meetings(state) else 1 for state in states]


def _samples(world: World, states: list[State]) -> list[State]:
    """A few states that show every light there is: the first at each step of darkness under each sky, then some in between."""
    lights: dict[tuple[int, str], State] = {}
    for state in states:
        lights.setdefault((clock.level(clock.clock(world, state).hours), sky(world, state)), state)
    every = max(len(lights) // SAMPLES, 1)
    return [*list(lights.values())[::every], *states[:: max(len(states) // 4, 1)]]


def _palette(frames: Iterable[Any], signs: tuple[str, ...]) -> np.ndarray:
    """One palette for all frames, u8[COLOURS, 3]: the colours of people, activities and marks, then those seen most."""
    fixed = [*palette.PEOPLE, *palette.ACTIVITY.values(), palette.INK, palette.PAPER, palette.RULE, (255, 255, 255)]
    fixed += [palette.MARKS.get(sign, palette.OFF) for sign in signs]
    Image = pillow().Image
    seen = Image.fromarray(np.concatenate([np.asarray(picture).reshape(-1, 1, 3)[::SPARSE] for picture in frames]))
    count = COLOURS - len(set(fixed))
    found = seen.quantize(count, method=Image.Quantize.MEDIANCUT, kmeans=1).getpalette() or []
    triples = [*fixed, *(tuple(found[i : i + 3]) for i in range(0, 3 * count, 3))]
    unused = ((1, 2, n) for n in range(256))  # Pillow wants every colour to be another
    return np.array(list(dict.fromkeys([*triples, *unused]))[:COLOURS], np.uint8)


def _dull(frames: Iterable[Any], colours: np.ndarray) -> Iterator[Any]:
    """Frames in the colours of a palette, without dither."""
    Image = pillow().Image
    mould = Image.new("P", (1, 1))
    mould.putpalette(colours.tobytes())
    return (picture.quantize(palette=mould, dither=Image.Dither.NONE) for picture in frames)


def _gif(path: Path, frames: Iterator[Any], colours: np.ndarray, holds: list[int], fps: int) -> None:
    """Frames without dither, of which only what has changed is stored; all share one table of colours."""
    dull = _dull(frames, colours)
    next(dull).save(
        path,
        save_all=True,
        append_images=dull,
        duration=[round(1000 / fps) * times for times in holds],
        loop=0,
        disposal=1,
        optimize=True,
        palette=colours.tobytes() + bytes(3),
        transparency=COLOURS,
    )


def _mp4(path: Path, frames: Iterator[Any], holds: list[int], fps: int) -> None:
    """H.264 in 4:2:0, which wants even sides: an odd one gets its last line twice."""
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401
    except ImportError as error:
        raise RuntimeError(f"MP4 needs imageio with ffmpeg, which is not installed: {EXTRA}") from error
    writer = imageio.get_writer(path, fps=fps, codec="libx264", macro_block_size=1, quality=8)
    with writer, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", r"os\.fork\(\) was called", RuntimeWarning
        )  # JAX warns; ffmpeg is run at once
        for picture, times in zip(frames, holds, strict=True):
            pixels = np.asarray(picture)
            odd = [(0, side % 2) for side in pixels.shape[:2]]
            pixels = np.pad(pixels, (*odd, (0, 0)), mode="edge")
            for _ in range(times):
                writer.append_data(pixels)
