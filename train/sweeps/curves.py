"""Pictures of many runs: curves with intervals, the end of each group, and how likely one is to beat another."""

from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.statistics import bootstrap_interval, iqm
from ..logging import COLOURS, RunError, disk

POINTS = 60  # of a curve at most; more are averaged
STYLES = ("-", "--", ":", "-.")


def thinned(x: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `POINTS` points: means of neighbours of x [U] and of values [..., U]."""
    parts = np.array_split(np.arange(len(x)), min(POINTS, len(x)))
    return np.array([x[part].mean() for part in parts]), np.stack([values[..., part].mean(-1) for part in parts], -1)


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IQM and 95 % interval over runs at each point: three f64[U] of values f64[runs, U]."""
    ends = np.array([bootstrap_interval(values[:, place], samples=500) for place in range(values.shape[1])])
    return iqm(values, axis=0), ends[:, 0], ends[:, 1]


def draw(path: Path, groups: dict[str, Any], result: dict[str, Any]) -> Path:
    """Draw a report.

    Args:
        path: of the PNG.
        groups: name -> `report.Group`.
        result: as `report.compared` returns it.

    Raises:
        RunError: matplotlib is missing, or the disk refuses.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RunError("report.png needs the extra: pip install 'townlet-jax[viz]'") from error
    height = max(5.0, 0.32 * len(groups) + 2.0)  # inches
    figure = Figure(figsize=(16.0, height), dpi=120)
    figure.set_layout_engine("constrained")
    figure.suptitle(result["title"], fontsize=13, fontweight="bold", parse_math=False)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1.0, 1.0))
    _curves(left, groups, result)
    _ends(middle, result)
    _chances(right, result)
    with disk(path):
        figure.savefig(path)
    return path


def _colour(place: int) -> tuple[str, str]:
    return COLOURS[place % len(COLOURS)], STYLES[place // len(COLOURS) % len(STYLES)]


def _curves(axes: Any, groups: dict[str, Any], result: dict[str, Any]) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for place, (name, group) in enumerate(groups.items()):
        x, values = thinned(group.steps, group.curves)
        middle, low, high = band(values)
        colour, style = _colour(place)
        marker = "o" if len(x) == 1 else None
        axes.plot(x, middle, style, color=colour, marker=marker, linewidth=1.6, label=name)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(title="Learning curves", xlabel="agent-steps of a run", ylabel=f"{result['unit']}, IQM and 95 % interval")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(groups) <= 12:
        axes.legend(fontsize=8, frameon=False, loc="best")


def _ends(axes: Any, result: dict[str, Any]) -> None:
    names = list(result["groups"])
    for place, name in enumerate(names):
        row, colour = result["groups"][name], _colour(place)[0]
        low, high = row["interval"]
        axes.plot([low, high], [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
        axes.plot(row["values"], [place] * len(row["values"]), "o", color=colour, markersize=3, alpha=0.7)
        axes.plot([row["iqm"]], [place], "|", color=colour, markersize=14, markeredgewidth=2.5)
    axes.set(title="The end: runs, IQM and 95 % interval", xlabel=result["unit"], ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _chances(axes: Any, result: dict[str, Any]) -> None:
    names = list(result["groups"])
    table = np.array([[result["improvement"][a].get(b, 0.5) for b in names] for a in names])
    image = axes.imshow(table, cmap="PuOr", vmin=0, vmax=1, aspect="auto")
    if len(names) <= 12:
        for row, column in np.ndindex(table.shape):
            if row != column:
                dark = abs(table[row, column] - 0.5) > 0.3
                text = f"{table[row, column]:.2f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set_title("Chance that a run of the row is better than one of the column")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="probability of improvement")
