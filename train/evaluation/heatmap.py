"""Pictures of an evaluation sweep: a heat map for two parameters, lines for one of numbers, bars otherwise. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from townlet_jax.config.schema import world_model
from townlet_jax.policies.scripted import THRESHOLDS
from townlet_jax.systems import ORDER

from ..logging import COLOURS, RunError
from .grid import CITIZEN, Axis
from .scores import UNITS
from .sheets import Row, centre, short

EXTRA = "a picture needs matplotlib, which is not installed: pip install 'townlet-jax[viz]'"
COLOUR_MAP = "cividis"  # made for colour-blind readers, and as good in grey
MOST_PANELS = 12
MOST_TEXTS = 144  # cells of a heat map in which there is room for numbers


def meaning(key: str) -> str:
    """What a parameter is measured in, as its documentation says; nothing if it does not say."""
    if key.startswith(CITIZEN):
        known = THRESHOLDS.get(key.removeprefix(CITIZEN))
        return known.unit if known else ""
    model, words = world_model(ORDER), ""
    for part in key.split("."):
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            break
        words = field.description or ""
        inside = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((one for one in inside if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return words


def label(key: str) -> str:
    """An axis: the parameter, and its unit below it."""
    unit = meaning(key)
    return f"{key}\n{unit}" if unit else key


def numbers(values: Sequence[str]) -> list[float] | None:
    """Values as numbers, None if one is not."""
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def panels(rows: Sequence[Row], axes: Sequence[Axis]) -> dict[str, list[Row]]:
    """Rows by panel: one for each policy, world, and values of the parameters that are not among the axes."""
    found: dict[str, list[Row]] = {}
    keys = {axis.key for axis in axes}
    worlds = len({row["world"] for row in rows}) > 1
    for row in rows:
        if not keys <= set(row["settings"]):
            continue
        others = [f"{short(key)}={value}" for key, value in row["settings"].items() if key not in keys]
        title = ", ".join([row["policy"], *([row["world"]] if worlds else []), *others])
        found.setdefault(title, []).append(row)
    return found


def grid_of(rows: Sequence[Row], across: Axis, up: Axis, indicator: str) -> tuple[np.ndarray, np.ndarray]:
    """The means f64[up, across] of a panel and their intervals f64[up, across, 2], NaN where there is none."""
    means, intervals = (
        np.full((len(up.values), len(across.values)), np.nan),
        np.full((len(up.values), len(across.values), 2), np.nan),
    )
    for row in rows:
        at = up.values.index(row["settings"][up.key]), across.values.index(row["settings"][across.key])
        value = row["indicators"].get(indicator)
        if value:
            means[at], intervals[at] = centre(value), value["interval"]
    return means, intervals


def heat(figure: Any, rows: Sequence[Row], across: Axis, up: Axis, indicator: str) -> None:
    """A heat map for each panel, all on one scale of colours, with numbers where there is room."""
    found = dict(list(panels(rows, (across, up)).items())[:MOST_PANELS])
    columns = min(len(found), 3)
    lines = -(-len(found) // columns)
    figure.set_size_inches(
        2.0 + columns * max(1.1 * len(across.values), 3.6), 1.4 + lines * max(0.75 * len(up.values), 2.6)
    )
    grids = {title: grid_of(some, across, up, indicator) for title, some in found.items()}
    every = np.concatenate([means.ravel() for means, _ in grids.values()])
    low, high = np.nanmin(every), np.nanmax(every)
    squares = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in squares.flat[len(found) :]:
        axes.set_visible(False)
    image = None
    for axes, (title, (means, intervals)) in zip(squares.flat, grids.items()):
        image = axes.imshow(means, cmap=COLOUR_MAP, origin="lower", aspect="auto", vmin=low, vmax=high)
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(across.values)), across.values)
        axes.set_yticks(range(len(up.values)), up.values)
        if means.size <= MOST_TEXTS:
            inscribe(axes, means, intervals, (low + high) / 2)
    figure.supxlabel(label(across.key), fontsize=10)
    figure.supylabel(label(up.key), fontsize=10)
    figure.colorbar(image, ax=list(squares.flat), label=f"{indicator.replace('_', ' ')} ({UNITS[indicator]})")


def inscribe(axes: Any, means: np.ndarray, intervals: np.ndarray, middle: float) -> None:
    """The number of each square, its interval below it."""
    for (up, across), mean in np.ndenumerate(means):
        if np.isfinite(mean):
            low, high = intervals[up, across]
            ink = "black" if mean > middle else "white"
            axes.text(across, up + 0.06, f"{mean:.2f}", ha="center", va="bottom", color=ink, fontsize=9)
            axes.text(across, up - 0.06, f"[{low:.2f}, {high:.2f}]", ha="center", va="top", color=ink, fontsize=7)


def span(value: Mapping[str, Any]) -> list[list[float]]:
    """An interval as the lengths below and above the mean that an error bar wants."""
    low, high = value["interval"]
    return [[max(centre(value) - low, 0.0)], [max(high - centre(value), 0.0)]]


def curves(figure: Any, rows: Sequence[Row], axis: Axis, indicator: str) -> None:
    """The indicator over one parameter, a line with intervals for each panel; bars if its values are words."""
    figure.set_size_inches(8.0, 4.6)
    axes, places = figure.subplots(), numbers(axis.values)
    found = panels(rows, (axis,))
    for number, (title, some) in enumerate(found.items()):
        at = [axis.values.index(row["settings"][axis.key]) for row in some]
        values = [row["indicators"][indicator] for row in some]
        errors = np.concatenate([span(value) for value in values], 1)
        means, colour = [centre(value) for value in values], COLOURS[number % len(COLOURS)]
        if places:
            order = np.argsort([places[i] for i in at])
            x = np.array([places[i] for i in at])[order]
            style = ("-", "--", ":")[number // len(COLOURS) % 3]
            axes.errorbar(
                x, np.array(means)[order], errors[:, order], fmt="o" + style, color=colour, capsize=3, label=title
            )
        else:
            wide = 0.8 / len(found)
            x = np.array(at) + wide * (number - (len(found) - 1) / 2)
            axes.bar(x, means, wide, yerr=errors, color=colour, capsize=3, label=title)
    if not places:
        axes.set_xticks(range(len(axis.values)), axis.values)
    axes.set(xlabel=label(axis.key), ylabel=f"{indicator.replace('_', ' ')}\n{UNITS[indicator]}")
    finish(figure, axes, len(found))


def bars(figure: Any, rows: Sequence[Row], indicator: str) -> None:
    """The indicator of each policy in each world."""
    figure.set_size_inches(8.0, 4.6)
    axes = figure.subplots()
    worlds, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("world", "policy"))
    for number, name in enumerate(names):
        some = [row for row in rows if row["policy"] == name]
        wide = 0.8 / len(names)
        x = [worlds.index(row["world"]) + wide * (number - (len(names) - 1) / 2) for row in some]
        values = [row["indicators"][indicator] for row in some]
        errors = np.concatenate([span(value) for value in values], 1)
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(x, [centre(value) for value in values], wide, yerr=errors, color=colour, capsize=3, label=name)
    axes.set_xticks(range(len(worlds)), worlds)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="world", ylabel=f"{indicator.replace('_', ' ')}\n{UNITS[indicator]}")
    finish(figure, axes, len(names))


def finish(figure: Any, axes: Any, entries: int) -> None:
    """What lines and bars have in common: a light grid, and a legend beside them."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8, ncols=1 + entries // 25)


def draw(rows: Sequence[Row], axes: Sequence[Axis], indicator: str, title: str, path: Path) -> Path:
    """Draw a sweep: the first two parameters with more than one value as a heat map, one as lines, none as bars.

    Raises:
        RunError: matplotlib is missing, no cell has the indicator, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RunError(EXTRA) from None
    if not any(indicator in row["indicators"] for row in rows):
        raise RunError(f"no world of the sweep has {indicator}, so there is nothing to draw")
    varied = [axis for axis in axes if len(axis.values) > 1]
    drawn = [row for row in rows if indicator in row["indicators"]]
    if len(varied) > 1 and not panels(drawn, varied[:2]):
        varied = varied[:1]  # no policy has both, as when the world and the script are varied with a run alone
    figure = Figure(layout="constrained")
    if len(varied) > 1:
        heat(figure, drawn, *varied[:2], indicator)
    elif varied:
        curves(figure, drawn, varied[0], indicator)
    else:
        bars(figure, drawn, indicator)
    figure.suptitle(title, fontsize=11)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None
    return path
