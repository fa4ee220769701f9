"""One picture of a whole curriculum: its indicators over all stages, and the gates as lines."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..logging import COLOURS, Row, RunError, read_rows
from .chronicle import Event
from .stages import Plan, Requirement

PICTURE = "curriculum.png"
ALWAYS = ("return_per_day", "collapses_per_day", "attendance")  # drawn, gate or not, where they are logged
SMOOTH = 5  # rows of the running mean


class Visit(NamedTuple):
    """A stage as it was lived through."""

    stage: str
    before: int  # agent decisions of the stages before it
    rows: Sequence[Row]
    gate: tuple[Requirement, ...]
    why: str  # it ended; empty while it has not


def visits_of(folder: Path, plan: Plan, events: Sequence[Event]) -> list[Visit]:
    """The stages of a curriculum in the order in which they were lived through, those without rows left out."""
    begun = [i for i, event in enumerate(events) if event["event"] == "begin"]
    found = []
    for start, stop in zip(begun, [*begun[1:], len(events)]):
        first, last = events[start], events[stop - 1]
        rows = read_rows(folder / first["folder"])
        why = last["why"] if last["event"] in ("end", "miss") else ""
        if rows:
            found.append(Visit(first["stage"], first["agent_decisions"], rows, plan.gate(first["stage"]), why))
    return found


def smoothed(values: Sequence[float], size: int) -> list[float]:
    """The mean of each value and of up to `size` - 1 before it."""
    return [
        sum(values[max(0, i + 1 - size) : i + 1]) / len(values[max(0, i + 1 - size) : i + 1])
        for i in range(len(values))
    ]


def plot_curriculum(folder: Path, plan: Plan, events: Sequence[Event]) -> Path:
    """Draw a curriculum.

    Args:
        folder: of the curriculum.
        plan: the curriculum.
        events: what happened.

    Returns:
        The path of the written curriculum.png.

    Raises:
        RunError: matplotlib is missing, or nothing was logged yet.
    """
    try:
        from matplotlib.figure import Figure  # without pyplot, as in `logging.plot_curve`
    except ImportError as error:
        raise RunError(f"{PICTURE} needs the extra: pip install 'townlet-jax[viz]'") from error
    visits = visits_of(folder, plan, events)
    asked = [each.key for visit in visits for each in visit.gate]
    keys = [key for key in dict.fromkeys((*ALWAYS, *asked)) if any(key in visit.rows[0] for visit in visits)]
    if not keys:
        raise RunError(f"{folder} has nothing to draw yet")
    height = math.ceil(len(keys) / 2) if len(keys) > 3 else len(keys)
    columns = math.ceil(len(keys) / height)
    figure = Figure(figsize=(max(7.0, 1.1 * len(visits)) * columns, 2.4 * height + 0.6), dpi=110)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.08)  # inches
    figure.suptitle(
        f"{folder.resolve().name}: dashed, what the gate of a stage asks for", fontsize=12, parse_math=False
    )
    for place, key in enumerate(keys, start=1):
        draw(figure.add_subplot(height, columns, place), key, visits)
    try:
        figure.savefig(folder / PICTURE)
    except OSError as error:
        raise RunError(f"cannot write {folder / PICTURE}: {error.strerror or error}") from None
    return folder / PICTURE


def draw(axes: Any, key: str, visits: Sequence[Visit]) -> None:
    """Draw one indicator over the decisions of all stages."""
    from matplotlib.ticker import EngFormatter

    for number, visit in enumerate(visits):
        across = [visit.before + row["agent_decisions"] for row in visit.rows]
        end = across[-1]
        axes.axvspan(visit.before, end, color="#888888", alpha=0.14 if number % 2 else 0.04, linewidth=0)
        axes.text(
            (visit.before + end) / 2, 1.02, visit.stage, transform=axes.get_xaxis_transform(), ha="center", fontsize=8
        )
        if key in visit.rows[0]:
            values = [row[key] for row in visit.rows]
            axes.plot(across, values, color=COLOURS[0], alpha=0.3, linewidth=0.8)
            axes.plot(across, smoothed(values, SMOOTH), color=COLOURS[0], linewidth=1.6)
        for each in visit.gate:
            if each.key == key:
                held = visit.why.startswith("gate")
                axes.hlines(each.limit, visit.before, end, color=COLOURS[2] if held else COLOURS[1], linestyle="--")
    axes.set_title(key, fontsize=10, pad=16, parse_math=False)
    axes.set_xlabel("agent decisions, all stages", fontsize=8)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0)
    if axes.dataLim.y0 >= 0:
        axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
