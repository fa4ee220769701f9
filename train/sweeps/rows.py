"""The files of a sweep's folder: a table of its members, and a row of arrays an update.

    runs/<name>/members.csv  metrics.jsonl

A row of metrics.jsonl has "block", "update", "agent_decisions", "agent_steps" and, for every measure, a list with a value for each
member of the block; null where a member has diverged. Rows are appended and read one at a time: memory does not grow with them.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..logging import ANOTHER, JSONL, disk, read_lines
from ..storage.exchange import exchanged

MEMBERS = "members.csv"
LINEAGE = "lineage.jsonl"  # of a population: who copied whom

Row = dict[str, Any]


def table_text(rows: list[Row]) -> str:
    """Rows of one shape as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plain(value: float) -> float | None:
    """A number as JSON can hold it: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def append(path: Path, rows: Iterable[Row]) -> None:
    """Append rows as JSON lines; they are on the disk on return."""
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    with disk(path), path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def read(path: Path) -> Iterator[Row]:
    """The rows of a file of JSON lines, one at a time; a last line that was cut off by a crash is left out.

    Raises:
        RunError: a line before the last is not a row, or the file cannot be read.
    """
    return read_lines(path, lambda row: isinstance(row, dict) and "update" in row, ANOTHER)


def keep(path: Path, block: int, update: int) -> None:
    """Drop the rows after an update of a block, and a half-written last line."""
    if not path.exists():
        return
    with disk(path), exchanged(path) as file:
        for row in read(path):
            if (row.get("block", 0), row["update"]) <= (block, update):
                file.write(json.dumps(row, allow_nan=False).encode() + b"\n")


def finals(folder: Path, count: int, key: str, last: int) -> np.ndarray:
    """The mean of a measure over the updates after `last`, f64[count]; NaN for members that diverged or have no such rows."""
    sums, numbers = np.zeros(count), np.zeros(count)
    for row in read(folder / JSONL):
        if row["update"] > last and key in row:
            values = np.array([math.nan if value is None else value for value in row[key]])
            first = row["block"] * len(values)
            sums[first : first + len(values)] += values
            numbers[first : first + len(values)] += 1
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), math.nan)
