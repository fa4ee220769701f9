"""What many runs say together: interquartile means, intervals, probabilities of improvement, curves.

    python -m train.report --sweep runs/NAME
    python -m train.report --run runs/A --run runs/B --run runs/C

Runs that differ in nothing but their seed (and name) form a group, and each is one sample of it. Statistics are those of
`train/evaluation/statistics.py`, over runs: a group of n runs has n values, each the mean of the measure over the last share of
its updates.
"""

import argparse
import csv
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from townlet_jax.config.errors import listed, suggestion
from townlet_jax.config.load import read_yaml

from .cli import command
from .evaluation.statistics import bootstrap_interval, iqm, overlap, probability_of_improvement
from .logging import CONFIG, JSONL, RunError, read_rows, write_whole
from .runs import SOURCE, WORLD, occupied
from .sweeps import rows
from .sweeps.curves import draw
from .sweeps.members import SWEEP

UNITS = {
    "return_per_day": "reward per agent-day",
    "attendance": "attendance, share of shifts",
    "collapses_per_day": "collapses per agent-day",
    "exits_per_day": "exits per agent-day",
    "wallet": "coins per agent",
}
ENOUGH = 5  # runs in a group, for an interval to be more than their range
COLUMNS = ("group", "runs", "diverged", "iqm", "low", "high", "mean", "lowest", "highest", "better_than_first")


class Group(NamedTuple):
    """Runs that differ in their seed only."""

    steps: np.ndarray  # f64[U] agent-steps of a run
    curves: np.ndarray  # f64[runs, U]
    diverged: int  # runs that have no finite end, left out of `curves`


def grouped(names: list[str], steps: np.ndarray, curves: np.ndarray) -> dict[str, Group]:
    """Groups of runs by the name of each.

    Args:
        names: of the group of each run.
        steps: f64[U].
        curves: f64[runs, U]; NaN where a run has diverged.

    Raises:
        RunError: every run of a group has diverged.
    """
    found = {}
    for name in dict.fromkeys(names):
        mine = curves[[place for place, its in enumerate(names) if its == name]]
        sound = np.isfinite(mine).all(axis=1)
        if not sound.any():
            raise RunError(f"every run of the group {name!r} has diverged: there is nothing to compare")
        found[name] = Group(steps, mine[sound], int((~sound).sum()))
    return found


def of_sweep(folder: Path, metric: str) -> dict[str, Group]:
    """The groups of a sweep, or the one group of a population.

    Raises:
        RunError: there is no sweep, it is damaged or not complete, or the measure is not logged.
    """
    if not (folder / SWEEP).is_file() or not (folder / rows.MEMBERS).is_file():
        raise RunError(f"{folder} holds no sweep ({SWEEP} and {rows.MEMBERS} are missing there)")
    tree = read_yaml(folder / SWEEP).tree
    try:
        with (folder / rows.MEMBERS).open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot read {folder / rows.MEMBERS}: {error}") from None
    values = lambda row: ", ".join(
        f"{key}={value}" for key, value in row.items() if key not in ("member", "block", "seed")
    )
    names = ["population" if "ranges" in tree else values(row) or "all" for row in table]
    curves: dict[int, list[np.ndarray]] = {}
    steps: dict[int, float] = {}
    for row in rows.read(folder / JSONL):
        check(metric, row, list)
        at_update = vector(folder, row, metric)
        mine = curves.setdefault(row["block"], [])
        mine.append(at_update)
        if len(at_update) != len(mine[0]):
            raise RunError(f"{folder / JSONL}: {metric} at update {row['update']} has another number of members")
        steps[row["update"]] = row["agent_steps"]
    lengths = {len(found) for found in curves.values()}
    if sum(len(found[0]) for found in curves.values()) != len(table) or len(lengths) != 1:
        raise RunError(f"{folder} is not complete: go on with --resume {folder}")
    joined = np.concatenate([np.stack(curves[block], axis=1) for block in sorted(curves)])
    return grouped(names, np.array(list(steps.values())), joined)


def vector(folder: Path, row: rows.Row, metric: str) -> np.ndarray:
    """A measure of the members of a block: f64[members], NaN where one has diverged.

    Raises:
        RunError: a value is neither a number nor null, or a counter of the row is no number.
    """
    for key in ("block", "update", "agent_steps"):
        if type(row.get(key)) is not int:
            raise RunError(f"{folder / JSONL} is damaged: {key} is {row.get(key)!r} in a row, not a whole number")
    for value in row[metric]:
        if value is not None and type(value) not in (int, float):
            where = f"{folder / JSONL} is damaged: {metric} at update {row['update']}"
            raise RunError(f"{where} has {value!r} (allowed: numbers and null)")
    return np.array([math.nan if value is None else float(value) for value in row[metric]])


def check(metric: str, row: rows.Row, kind: type | tuple[type, ...]) -> None:
    """Refuse a measure that is not logged; its values are of a kind: lists in a sweep, numbers in a run.

    Raises:
        RunError: naming those that are.
    """
    measures = [name for name, value in row.items() if isinstance(value, kind) and name not in ("block", "update")]
    if metric not in measures:
        names = [name for name in measures if name not in ("steps_per_second", "decisions_per_second")]
        raise RunError(
            f"--metric {metric!r} is not logged (allowed: {listed(sorted(names))}).{suggestion(metric, names)}"
        )


def of_runs(folders: list[Path], metric: str) -> dict[str, Group]:
    """The groups of ordinary runs, by their labels.

    Raises:
        RunError: a folder holds no run, or no row; or runs of one group logged different numbers of updates.
    """
    twice = [str(folder) for i, folder in enumerate(folders) if folder.resolve() in {f.resolve() for f in folders[:i]}]
    if twice:
        raise RunError(f"--run {twice[0]} is given twice")
    kinds: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    names: dict[str, list[str]] = {}
    for folder in folders:
        occupied(folder)
        tree = {key: value for key, value in read_yaml(folder / CONFIG).tree.items() if key not in ("name", "seed")}
        found = read_rows(folder)
        if not found:
            raise RunError(f"{folder} has logged nothing")
        check(metric, found[0], (int, float))
        for key in ("agent_steps", metric):
            if any(key not in row for row in found):
                raise RunError(f"{folder / JSONL} is damaged: a row has no {key}")
        kind = json.dumps([tree, read_yaml(folder / WORLD).tree, (folder / SOURCE).exists()], sort_keys=True)
        names.setdefault(kind, []).append(folder.resolve().name)
        curve = (
            np.array([row[metric] for row in found], float),
            np.array([r["agent_steps"] for r in found]),
        )
        kinds.setdefault(kind, []).append(curve)
    groups: dict[str, Group] = {}
    for name, curves in zip(labels(list(names.values())), kinds.values()):
        if len({len(curve) for curve, _ in curves}) > 1:
            raise RunError(f"the runs like {name} differ in their number of updates: resume the shorter ones")
        if name in groups:
            raise RunError(f"two folders are named {name} and are of different groups: rename one")
        groups |= grouped([name] * len(curves), curves[0][1], np.stack([curve for curve, _ in curves]))
    return groups


def labels(names: list[list[str]]) -> list[str]:
    """A label for each group of runs: what their names begin with, as `ppo_m3_s*`; the first name where that tells too little."""
    starts = [os.path.commonprefix(its) for its in names]
    told = [f"{start}*" if len(its) > 1 and start else its[0] for its, start in zip(names, starts)]
    return [label if told.count(label) == 1 else its[0] for its, label in zip(names, told)]


def compared(groups: dict[str, Group], metric: str, last: float, title: str) -> dict[str, Any]:
    """The statistics of groups.

    Args:
        groups: by name.
        metric: that was read.
        last: share of the updates at the end over which a run is averaged.
        title: of the report.

    Returns:
        Plain JSON: title, metric, unit, last, groups {name: runs, diverged, values, iqm, interval, mean} and improvement
        {name: {other: chance that a run of name is above one of other}}, and `intervals_overlap` of the same shape.
    """
    ends = {name: end_of(group, last) for name, group in groups.items()}
    intervals = {name: bootstrap_interval(values) for name, values in ends.items()}
    others = lambda name: [other for other in ends if other != name]
    return {
        "title": title,
        "metric": metric,
        "unit": UNITS.get(metric, metric),
        "last": last,
        "groups": {
            name: {
                "runs": len(values),
                "diverged": groups[name].diverged,
                "values": [float(value) for value in values],
                "iqm": float(iqm(values)),
                "interval": list(intervals[name]),
                "mean": float(values.mean()),
            }
            for name, values in ends.items()
        },
        "improvement": {a: {b: probability_of_improvement(ends[a], ends[b]) for b in others(a)} for a in ends},
        "intervals_overlap": {a: {b: overlap(intervals[a], intervals[b]) for b in others(a)} for a in ends},
    }


def end_of(group: Group, last: float) -> np.ndarray:
    """The mean of each run over the last share of its updates, at least one: f64[runs]."""
    count = max(1, round(group.curves.shape[1] * last))
    return group.curves[:, -count:].mean(axis=1)


def first_of(result: dict[str, Any]) -> str:
    """The group that the others are compared with."""
    return next(iter(result["groups"]))


def few(result: dict[str, Any]) -> str:
    """A warning where a group has so few runs that its interval says little."""
    least = min(group["runs"] for group in result["groups"].values())
    return f"Of {least} runs in a group an interval says little." if least < ENOUGH else ""


def lines(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The result as rows of a table, the highest IQM first."""
    first = first_of(result)
    order = sorted(result["groups"], key=lambda name: -result["groups"][name]["iqm"])
    found = []
    for name in order:
        row = result["groups"][name]
        numbers = (row["iqm"], *row["interval"], row["mean"], min(row["values"]), max(row["values"]))
        against = result["improvement"][name].get(first)
        found.append(dict(zip(COLUMNS, (name, row["runs"], row["diverged"], *numbers, against))))
    return found


def told(value: Any) -> str:
    """A cell."""
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def markdown(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    what = f"{result['metric']} ({result['unit']}), mean over the last {result['last']:.0%} of the updates."
    against = f"`better_than_first` is the chance to beat a run of {first_of(result)}."
    head = f"# {result['title']}\n\n{' '.join(filter(None, (what, against, few(result))))}\n"
    body = [[told(value) for value in row.values()] for row in lines(result)]
    table = ["| " + " | ".join(cells) + " |" for cells in (list(COLUMNS), ["---"] * len(COLUMNS), *body)]
    return head + "\n" + "\n".join(table) + "\n"


def terminal(result: dict[str, Any]) -> Table:
    """The table on the screen."""
    shown = Table(title=f"{result['title']}: {result['metric']} ({result['unit']})", box=SIMPLE_HEAD)
    shown.caption = few(result) or None
    for head in ("group", "runs", "IQM [95 % interval]", "mean", f"P(better than {first_of(result)})"):
        shown.add_column(head, justify="left" if head == "group" else "right")
    for row in lines(result):
        runs = f"{row['runs']}" + (f" (+{row['diverged']} diverged)" if row["diverged"] else "")
        middle = f"{row['iqm']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        shown.add_row(row["group"], runs, middle, f"{row['mean']:.2f}", told(row["better_than_first"]))
    return shown


def write(folder: Path, groups: dict[str, Group], result: dict[str, Any]) -> None:
    """Write report.json, report.csv, report.md and report.png; without matplotlib, say so."""
    write_whole(folder / "report.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    write_whole(folder / "report.csv", rows.table_text(lines(result)))
    write_whole(folder / "report.md", markdown(result))
    try:
        print(f"picture  {draw(folder / 'report.png', groups, result)}")
    except RunError as error:
        print(f"no picture: {error}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.report`."""
    title = "Compare groups of runs."
    options = argparse.ArgumentParser("python -m train.report", description=title, allow_abbrev=False)
    options.add_argument("--run", type=Path, action="append", default=[], metavar="RUN", help="a run")
    options.add_argument("--sweep", type=Path, metavar="RUN", help="a sweep or a population")
    options.add_argument("--metric", default="return_per_day", help="which logged measure")
    options.add_argument("--last", type=float, default=0.1, help="share of the updates at the end that is averaged")
    options.add_argument("--out", type=Path, help="folder of the report; the default is the sweep, or runs/report")
    return options


def main() -> None:
    """Run `python -m train.report`."""
    options = parser().parse_args()
    if bool(options.run) == bool(options.sweep):
        raise RunError("--run or --sweep is missing (allowed: --sweep runs/NAME, or --run runs/A --run runs/B)")
    if not 0 < options.last <= 1:
        raise RunError(f"--last {options.last} is not allowed (above 0, at most 1)")
    groups = of_sweep(options.sweep, options.metric) if options.sweep else of_runs(options.run, options.metric)
    title = str(options.sweep.resolve().name if options.sweep else f"{len(options.run)} runs")
    result = compared(groups, options.metric, options.last, title)
    folder = options.out or options.sweep or Path("runs/report")
    Console(width=None if sys.stdout.isatty() else 110).print(terminal(result))
    write(folder, groups, result)
    print(f"report   {folder / 'report.md'}, report.json, report.csv")


if __name__ == "__main__":
    command(main)
