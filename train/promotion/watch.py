"""Canaries while a run learns: each window of updates is read as soon as it is full, and what is wrong is told and kept."""

import json
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from townlet_jax.types import World

from ..logging import RunError, read_rows
from .stability import CANARIES, Alert, Row, Window, absent, alerts, town_of
from .thresholds import Stability

ALERTS = "alerts.jsonl"


class Watch:
    """The canaries of a run. It keeps the first window, which is the baseline of spikes, and as many as an alert looks back on."""

    def __init__(self, folder: Path, world: World, limits: Stability, tell: Callable[[str], None] | None = None):
        """Take up a run where its rows end; alerts.jsonl is written anew from them.

        Raises:
            RunError: the rows are damaged, or the disk refuses.
        """
        self.path, self.town, self.limits = folder / ALERTS, town_of(world), limits
        self.tell = tell or (lambda line: print(line, file=sys.stderr))
        self.rows: list[Row] = []
        self.first: Window | None = None
        self.recent: deque[Window] = deque(maxlen=max(canary.windows(limits) for canary in CANARIES))
        self.number = 0  # of windows that were full
        known = [line for row in read_rows(folder) for line in self._lines(row)]
        if known or self.path.exists():
            self._write("w", known)

    def __call__(self, row: Row) -> None:
        """Read another row; alerts of a full window are told and kept in alerts.jsonl, after the first also what cannot be seen."""
        before, lines = self.number, self._lines(row)
        if before == 0 and self.first:
            for name, reason in absent([self.first], self.limits).items():
                self.tell(f"no canary {name}: {reason}")
        if lines:
            self._write("a", lines)
        for line in lines:
            self.tell(
                "canary {name} at update {update}: {value:.4g} {unit}, the limit is {limit:.4g}".format(
                    **json.loads(line)
                )
            )

    def _lines(self, row: Row) -> list[str]:
        """The alerts of the window that this row fills, as JSON lines."""
        self.rows.append(row)
        if len(self.rows) < self.limits.rows:
            return []
        self.recent.append(self.rows)
        self.first = self.first or self.rows
        self.rows, self.number = [], self.number + 1
        found = alerts(list(self.recent), self.town, self.limits, [self.first] * len(self.recent))
        newest = len(self.recent) - 1
        return [self._line(row, alert) for alert in found if alert.window == newest]

    def _line(self, row: Row, alert: Alert) -> str:
        named = {"update": row["update"], **alert._asdict(), "window": self.number - 1}
        return json.dumps(named, allow_nan=False) + "\n"

    def _write(self, mode: str, lines: list[str]) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}") from None


def watched(folder: Path, world: World, limits: Stability | None, num_updates: int) -> Watch | None:
    """The canaries of a run, None without limits; that a run is too short for a single window is told.

    Args:
        folder: of the run, its rows cut off where it goes on.
        world: of the run.
        limits: above which canaries alert.
        num_updates: of the whole run.

    Raises:
        RunError: the rows are damaged, or the disk refuses.
    """
    if limits is None:
        return None
    if num_updates < limits.rows:
        print(f"--watch reads {limits.rows} updates at a time, and {folder} has fewer", file=sys.stderr)
    return Watch(folder, world, limits)
