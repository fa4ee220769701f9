"""The results of an evaluation sweep: rows of numbers, a table, JSON and CSV."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from .grid import CITIZEN, Axis, Cell
from .scores import RARE, SHOWN, UNITS
from .statistics import bootstrap_interval, iqm

MOST_ROWS = 60  # of a table; all of them are in the files
Row = dict[str, Any]


def statistic(indicator: str) -> Callable[..., Any]:
    """What sums up an indicator over towns: the interquartile mean, or the plain mean of what most towns have none of."""
    return np.mean if indicator in RARE else iqm


def told(indicator: str, values: np.ndarray) -> dict[str, Any]:
    """Both means of an indicator f32[towns], and the 95 % interval of the one that sums it up, all in its own unit."""
    low, high = bootstrap_interval(values, statistic(indicator))
    both = {"iqm": float(iqm(values)), "mean": float(values.mean())}
    return {**both, "of": "mean" if indicator in RARE else "iqm", "interval": [low, high], "towns": len(values)}


def centre(value: Mapping[str, Any]) -> float:
    """The one number for an indicator."""
    return value[value["of"]]


def row(cell: Cell, found: Mapping[str, np.ndarray]) -> Row:
    """A cell in numbers: who, where, with which values, and every indicator of `UNITS` that the world has."""
    entrant, place = cell.entrant, cell.place
    return {
        "policy": entrant.name,
        "step": entrant.step,
        "world": place.name,
        "config_id": place.world.static.config_id,
        "settings": cell.settings,
        "indicators": {name: told(name, found[name]) for name in SHOWN if name in found},
    }


def flat(rows: Sequence[Row], axes: Sequence[Axis]) -> str:
    """The rows as CSV; an indicator takes four columns, and a parameter that a policy does not have is empty."""
    parts = ("iqm", "low", "high", "mean")
    columns = [
        "policy",
        "step",
        "world",
        *(axis.key for axis in axes),
        *(f"{name}_{part}" for name in SHOWN for part in parts),
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        line = {"policy": row["policy"], "step": row["step"], "world": row["world"], **row["settings"]}
        for name, value in row["indicators"].items():
            numbers = (value["iqm"], *value["interval"], value["mean"])
            line |= {f"{name}_{part}": number for part, number in zip(parts, numbers)}
        writer.writerow(line)
    return text.getvalue()


def short(key: str) -> str:
    """A parameter in a narrow column: its last two words."""
    return ".".join(key.split(".")[-2:])


def text(name: str, indicators: Mapping[str, Any]) -> str:
    """An indicator in a cell of a table."""
    if name not in indicators:
        return "-"
    value = indicators[name]
    return f"{value['mean']:.4f}" if name in RARE else number(value)


def table(rows: Sequence[Row], axes: Sequence[Axis], title: str) -> Table:
    """The first rows as a table: interquartile means with intervals; collapses and exits are means."""
    shown = Table(title=title, box=SIMPLE_HEAD)
    worlds = len({row["world"] for row in rows}) > 1
    for name in ("policy", *(["world"] if worlds else []), *(short(axis.key) for axis in axes)):
        shown.add_column(name, no_wrap=True)
    for name in SHOWN:
        shown.add_column(name.replace("_", " "), justify="right", no_wrap=name not in RARE)
    for row in rows[:MOST_ROWS]:
        chosen = (row["settings"].get(axis.key, "-") for axis in axes)
        numbers = (text(name, row["indicators"]) for name in SHOWN)
        shown.add_row(row["policy"], *([row["world"]] if worlds else []), *chosen, *numbers)
    return shown


def tuned(cells: Sequence[Cell], results: Sequence[Mapping[str, np.ndarray]], indicator: str) -> list[Row]:
    """What there is to gain by tuning the script, in each world whose script was varied.

    The best thresholds are chosen on every other town and measured, like those that are shipped, on the rest: the best of many
    looks better than it is in the towns in which it was chosen.
    """
    groups: dict[tuple, list[int]] = {}
    for index, cell in enumerate(cells):
        if cell.entrant.name == "scripted":
            groups.setdefault((cell.place.name, *cell.place.settings.items()), []).append(index)
    found = []
    for group in groups.values():
        varied = [i for i in group if any(key.startswith(CITIZEN) for key in cells[i].entrant.settings)]
        shipped = [i for i in group if not cells[i].entrant.settings]
        if not varied or not shipped or any(len(results[i].get(indicator, ())) < 2 for i in group):
            continue
        sign = -1 if indicator in RARE else 1
        best = max([*shipped, *varied], key=lambda i: sign * statistic(indicator)(results[i][indicator][::2]))
        place = cells[best].place
        was, now = (told(indicator, results[i][indicator][1::2]) for i in (shipped[0], best))
        gain = (centre(now) - centre(was)) / abs(centre(was)) if centre(was) else None
        best_of = {"world": place.name, "settings": place.settings, "thresholds": cells[best].entrant.settings}
        found.append({**best_of, "indicator": indicator, "shipped": was, "best": now, "gain": gain})
    return found


def number(value: Mapping[str, Any]) -> str:
    """A mean with its interval."""
    low, high = value["interval"]
    return f"{centre(value):.2f} [{low:.2f}, {high:.2f}]"


def gains(found: Sequence[Row]) -> list[str]:
    """`tuned` in words, a line each."""
    lines = []
    for one in found:
        where = " ".join([one["world"], *(f"{short(key)}={value}" for key, value in one["settings"].items())])
        best = " ".join(f"{key.removeprefix(CITIZEN)}={value}" for key, value in one["thresholds"].items())
        gain = "" if one["gain"] is None else f" ({one['gain']:+.1%})"
        lines.append(
            f"tuning the script in {where}: best {best or 'as shipped'}, {number(one['best'])}{gain};"
            f" shipped {number(one['shipped'])} {UNITS[one['indicator']]} (chosen in one half of the towns, measured in the other)"
        )
    return lines
