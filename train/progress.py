"""Live progress of a training run on stderr; stdout stays free for the final summary.

On a terminal: a spinner while a phase runs, then a bar, the speed, the time left and one line of measures.
Elsewhere (a pipe, a CI log): plain lines, the first, the last, and at most one every ten seconds between.
"""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 10.0  # between two plain lines


class _Shown(NamedTuple):
    """What the last update said; replaced whole, for the drawing thread reads it."""

    done: int
    total: int
    speed: str
    left: str
    measures: str


class Progress:
    """Context manager that shows how far a run is.

        with Progress() as progress:
            progress.phase("compiling")
            ...
            progress.update(3, 100, row)

    Leaving it, by Ctrl-C too, restores the terminal and passes every exception on.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        """Choose where to show.

        Args:
            stream: written to; None is stderr. Live only where it is a terminal.
            clock: seconds, rising.
        """
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        console = Console(file=self._stream)
        live = self._stream.isatty() and not console.is_dumb_terminal
        # stdout is left alone: rich would send it to the live console, which is stderr
        self._live = Live(self, console=console, refresh_per_second=8, redirect_stdout=False) if live else None
        self._phase: tuple[str, float] | None = None  # name and its start
        self._spinner = Spinner("dots")
        self._first: tuple[int, float] | None = None  # updates done and time at the first update, compile left out
        self._shown: _Shown | None = None
        self._printed_at: float | None = None
        self._pending: str | None = None  # a plain line held back

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._phase = None
        if self._live:
            self._live.stop()
        elif self._pending:
            self._print(self._pending)

    def phase(self, name: str) -> None:
        """Show that something without updates began; the next update or phase ends it.

        Args:
            name: what runs, "compiling" for example.
        """
        self._phase = (name, self._clock())
        if not self._live and self._due():
            self._print(f"{name} ...")

    def update(self, done: int, total: int, row: Mapping[str, float]) -> None:
        """Show the updates done and the measures of the last one.

        Args:
            done: updates done, those before a resume included.
            total: updates in the whole run.
            row: numbers by name as logged; absent measures are left out.
        """
        now = self._clock()
        self._phase = None
        first = self._first is None
        self._first = self._first or (done, now)
        left = _seconds_left(done - self._first[0], now - self._first[1], total - done)
        self._shown = _Shown(done, total, _speed(row), "--:--" if left is None else _duration(left), _measures(row))
        if self._live:
            return
        line = _plain_line(self._shown)
        if first or done >= total or self._due():
            self._print(line)
        else:
            self._pending = line

    def __rich__(self) -> RenderableType:
        """The live picture, drawn anew by rich's thread several times a second."""
        parts: list[RenderableType] = []
        shown, phase = self._shown, self._phase
        if shown:
            parts += [_bar(shown), Text(shown.measures, style="dim", no_wrap=True, overflow="ellipsis")]
        if phase:
            name, start = phase
            self._spinner.update(text=f"{name} {self._clock() - start:.0f} s")
            parts.append(self._spinner)
        return Group(*parts)

    def _due(self) -> bool:
        return self._printed_at is None or self._clock() - self._printed_at >= PLAIN_SECONDS

    def _print(self, line: str) -> None:
        """Write a plain line; a closed pipe must not end a run of hours."""
        self._printed_at = self._clock()
        self._pending = None
        with suppress(OSError):
            print(line, file=self._stream, flush=True)


def _seconds_left(done: int, seconds: float, remaining: int) -> float | None:
    """Seconds to the end at the pace since the first update, None before a pace is known."""
    if remaining <= 0:
        return 0.0
    return seconds / done * remaining if done > 0 else None


def _bar(shown: _Shown) -> Table:
    """One row: updates, bar, speed, time left."""
    row = Table.grid(padding=(0, 2))
    for _ in range(4):
        row.add_column(no_wrap=True)
    count = f"update {shown.done:,}/{shown.total:,}"
    bar = ProgressBar(total=max(shown.total, 1), completed=shown.done, width=30)
    row.add_row(count, bar, Text(shown.speed, style="cyan"), f"ETA {shown.left}")
    return row


def _plain_line(shown: _Shown) -> str:
    """All of an update in one line of ASCII."""
    share = 100 * shown.done // max(shown.total, 1)
    parts = (f"update {shown.done}/{shown.total} ({share}%)", shown.speed, f"ETA {shown.left}", shown.measures)
    return "  ".join(part for part in parts if part)


def _speed(row: Mapping[str, float]) -> str:
    """Agent-steps per second with a k, M or G; empty when the row has none."""
    if "steps_per_second" not in row:
        return ""
    value = float(row["steps_per_second"])
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.2f}{letter} agent-steps/s"
    return f"{value:.0f} agent-steps/s"


def _measures(row: Mapping[str, float]) -> str:
    """The line of measures: mean need (0 empty, 1 full), attendance share, coins, collapses and return an agent-day."""
    needs = [float(value) for key, value in row.items() if key == "needs" or key.startswith("needs/")]
    parts = [f"needs {sum(needs) / len(needs):.2f}"] if needs else []
    formats = {
        "attendance": "attendance {:.2f}",
        "wallet": "wallet {:.1f}",
        "collapses_per_day": "collapses/day {:.3f}",
        "return_per_day": "return/day {:.2f}",
    }
    return "  ".join(parts + [text.format(float(row[key])) for key, text in formats.items() if key in row])


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds as h:mm:ss, or m:ss under an hour."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"
