"""The folder of a run: its config, one row of numbers per update as JSON lines and CSV, and the learning curve.

    runs/<name>/config.yaml  metrics.jsonl  metrics.csv  curve.png

Knows nothing of the learner: a row is a flat mapping from names to numbers with an "update" among them.
"""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from .storage.exchange import exchanged

CONFIG, JSONL, CSV, CURVE = "config.yaml", "metrics.jsonl", "metrics.csv", "curve.png"

Row = dict[str, float | int]

ANOTHER = ": remove it or choose another --name"  # what to do about a damaged line


class RunError(RuntimeError):
    """A run folder cannot be used as asked; the message is one line and says what to do."""


class Panel(NamedTuple):
    """One plot of the curve."""

    title: str
    keys: tuple[str, ...]  # each draws the logged key itself and all "key/..."
    label: str  # of the vertical axis, with its unit
    limits: tuple[float | None, float | None] = (None, None)  # of the vertical axis; None follows the data
    prefixes: bool = False  # ticks read 20k or 1.5M


PANELS = (
    Panel("Return", ("return_per_day",), "reward per agent-day"),
    Panel("Collapses", ("collapses_per_day",), "collapses per agent-day", (0.0, None)),
    Panel("Needs", ("needs",), "level (0 empty, 1 full)", (-0.02, 1.02)),
    Panel("Attendance", ("attendance",), "share of shifts", (-0.02, 1.02)),
    Panel("Wallet", ("wallet",), "coins per agent"),
    Panel("Speed", ("steps_per_second",), "agent-steps per second", (0.0, None), prefixes=True),
)
# Okabe and Ito 2008: eight colours that colour-blind readers tell apart, its yellow left out as too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Run:
    """An open run folder; when `log` returns the system has the row, and a killed process loses none."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.columns: tuple[str, ...] | None = None  # fixed by the first row

    def log(self, row: Mapping[str, float | int]) -> None:
        """Append a row to metrics.jsonl and metrics.csv.

        Args:
            row: numbers by name (Python, numpy or jax scalars), "update" among them. The first row fixes the columns;
                a later row may lack some (an empty CSV cell) but not add any.

        Raises:
            RunError: a value is not a finite number, a key is new, "update" is missing, or the disk refuses.
        """
        numbers = {key: _number(key, value) for key, value in row.items()}
        if "update" not in numbers:
            raise RunError(f'a logged row needs the key "update"; saw {", ".join(numbers) or "none"}')
        columns = self.columns or tuple(numbers)
        new = [key for key in numbers if key not in columns]
        if new:
            raise RunError(f'new key "{new[0]}" at update {numbers["update"]}: the first row fixes the columns')
        self._append(JSONL, json.dumps(numbers, allow_nan=False) + "\n")
        self._append(CSV, _csv_text(columns, [numbers], header=self.columns is None))
        self.columns = columns

    def truncate_after(self, update: float) -> None:
        """Drop the rows past a restored update and a half-written last line, so that both files continue from it.

        The CSV is written anew from the JSON lines, which mends a crash between the two.

        Args:
            update: the last update to keep.

        Raises:
            RunError: metrics.jsonl is damaged before its last line, a row has what the first lacks, or the disk refuses.
        """
        rows = [row for row in read_rows(self.folder) if row["update"] <= update]
        self.columns = tuple(rows[0]) if rows else None
        for row in rows:
            new = [key for key in row if key not in rows[0]]
            if new:
                raise RunError(f'{self.folder / JSONL}: "{new[0]}" at update {row["update"]} is not in the first row')
        lines = [json.dumps(row, allow_nan=False) + "\n" for row in rows]
        write_whole(self.folder / JSONL, "".join(lines))
        write_whole(self.folder / CSV, _csv_text(self.columns, rows, header=True) if self.columns else "")

    def _append(self, name: str, text: str) -> None:
        """Append text; the file is closed, and so flushed, on return."""
        with disk(self.folder / name), (self.folder / name).open("a", encoding="utf-8", newline="") as file:
            file.write(text)


@contextmanager
def disk(path: Path, doing: str = "use") -> Iterator[None]:
    """Turn what the disk refuses into a RunError of one line: what could not be done, and with which path."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot {doing} {path}: {error.strerror or error}") from error


def write_whole(path: Path, text: str) -> None:
    """Exchange a whole file at once, its folder made if need be: a crash leaves the old one or the new one.

    Raises:
        RunError: the disk refuses.
    """
    with disk(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with exchanged(path) as file:
            file.write(text.encode())


def read_lines(path: Path, sound: Callable[[Any], bool], advice: str = "") -> Iterator[Any]:
    """The values of a file of JSON lines, one at a time; a last line that was cut off by a crash is left out.

    Args:
        path: of the file; there need be none.
        sound: whether a value is one of those that belong there.
        advice: what to do about a damaged line, for the message.

    Raises:
        RunError: a line before the last is not sound, or the file cannot be read.
    """
    with disk(path):
        if not path.exists():
            return
    with disk(path), path.open(encoding="utf-8", errors="replace") as file:
        damaged = 0
        for number, line in enumerate(file, start=1):
            if damaged:
                raise RunError(f"{path} line {damaged} is damaged{advice}")
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if value is not None and sound(value):
                yield value
            else:
                damaged = number


def vacant(folder: Path, *others: str) -> None:
    """Refuse a folder that holds a run.

    Args:
        folder: `runs/<name>`.
        *others: files that show that there is something besides those of a run.

    Raises:
        RunError: it does, or it cannot be read.
    """
    with disk(folder):
        if any((folder / name).exists() for name in (CONFIG, JSONL, CSV, *others)):
            raise RunError(f"{folder} already holds a run: continue it with --resume or choose another --name")


def open_run(folder: Path, config_text: str, resume: bool = False) -> Run:
    """Create a run folder, or take up an old one.

    Args:
        folder: `runs/<name>`; parents are created.
        config_text: the resolved YAML, written to config.yaml (on resume too: the config now in force).
        resume: continue the rows that are there; call `truncate_after` with the restored update next.

    Returns:
        The open run.

    Raises:
        RunError: the folder holds a run and `resume` is off, it cannot be written, or its metrics are damaged.
    """
    if not resume:
        vacant(folder)
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    if resume:
        run.truncate_after(math.inf)
    write_whole(folder / CONFIG, config_text)
    return run


def read_rows(folder: Path) -> list[Row]:
    """Read the rows of metrics.jsonl; a last line cut off by a crash is left out.

    Args:
        folder: `runs/<name>`.

    Returns:
        The rows in order; empty when nothing was logged.

    Raises:
        RunError: a line before the last is not a row, or the file cannot be read.
    """
    return list(read_lines(folder / JSONL, _is_row, ANOTHER))


def plot_curve(folder: Path) -> Path:
    """Draw the learning curve of a run from its metrics.jsonl.

    Args:
        folder: `runs/<name>`; its last part is the figure's title.

    Returns:
        The path of the written curve.png.

    Raises:
        RunError: matplotlib is missing, or no row has a key of `PANELS`.
    """
    try:
        from matplotlib.figure import Figure  # without pyplot: draws with Agg, needs no display, keeps no global state
    except ImportError as error:
        raise RunError("curve.png needs the extra: pip install 'townlet-jax[viz]'") from error
    rows = read_rows(folder)
    keys = tuple(rows[0]) if rows else ()  # the first row fixes the columns
    panels = [(panel, drawn) for panel in PANELS if (drawn := [key for key in keys if key.split("/")[0] in panel.keys])]
    if not panels:
        raise RunError(f"{folder / JSONL} has no row to plot: log at least one key of train.logging.PANELS")
    height = 1 if len(panels) <= 3 else 2
    width = math.ceil(len(panels) / height)
    figure = Figure(figsize=(4.2 * width + 0.8, 3.2 * height + 0.5), dpi=120)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.1)  # inches
    figure.suptitle(folder.resolve().name, fontsize=14, fontweight="bold", parse_math=False)
    for place, (panel, drawn) in enumerate(panels, start=1):
        _draw_panel(figure.add_subplot(height, width, place), panel, drawn, rows)
    path = folder / CURVE
    with disk(path):
        figure.savefig(path)
    return path


def _draw_panel(axes: Any, panel: Panel, keys: Sequence[str], rows: Sequence[Row]) -> None:
    """Draw the keys of one panel over agent-steps, or over updates where a row has none."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    across = "agent_steps" if all("agent_steps" in row for row in rows) else "update"
    for place, key in enumerate(keys):
        points = [(row[across], row[key]) for row in rows if key in row]
        style = ("-", "--", ":")[place // len(COLOURS) % 3]
        marker = "o" if len(points) == 1 else None  # a single point draws no line
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(*zip(*points), style, color=colour, marker=marker, linewidth=1.5, label=key.partition("/")[2] or key)
    axes.set(title=panel.title, xlabel=across.replace("_", "-"), ylabel=panel.label, ylim=panel.limits)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if panel.prefixes:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if any("/" in key for key in keys):  # beside the panel, where it hides no line
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False, ncols=1 + len(keys) // 13)


def _number(key: str, value: Any) -> float | int:
    """A plain finite Python number of a Python, numpy or jax scalar."""
    try:
        plain = value.item() if hasattr(value, "item") else value
        number = int(plain) if isinstance(plain, Integral) else float(plain)
    except (TypeError, ValueError) as error:
        raise RunError(f'"{key}" is not one number: {value!r}') from error
    if not math.isfinite(number):
        raise RunError(f'"{key}" is {number}: the run has diverged or a measure divides by zero')
    return number


def _is_row(value: Any) -> bool:
    """Whether a JSON value is a row: a mapping to finite numbers, "update" a whole one."""
    if not isinstance(value, dict) or type(value.get("update")) is not int:
        return False
    finite = lambda number: type(number) in (int, float) and abs(number) <= sys.float_info.max
    return all(map(finite, value.values()))


def _csv_text(columns: Sequence[str], rows: Sequence[Row], header: bool) -> str:
    """CSV lines of some rows, an empty cell where a row lacks a column."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
