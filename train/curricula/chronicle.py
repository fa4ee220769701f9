"""What a curriculum did and why: stages.jsonl, one event a line; with the rows of its stages it is all that a resume needs.

| event | when |
|---|---|
| `begin` | a stage begins, with what is carried into it |
| `window` | a window of its rows was compared with its gate |
| `order` | somebody said how to go on |
| `end` | the stage is over, why, and what follows |
| `miss` | its budget is spent, and the curriculum waits for an order |
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from townlet_jax.config.errors import suggestion

from ..logging import RunError, read_lines, write_whole
from .windows import WORDS, Order, Window

STAGES, OVERRIDE = "stages.jsonl", "override"
DERIVED = ("window", "miss")  # follow from the rows: written anew on a resume
FIELDS: dict[str, dict[str, Any]] = {  # what each event must have
    "begin": {
        "stage": str,
        "folder": str,
        "visit": int,
        "after": str,
        "step": int,
        "agent_decisions": int,
        "curiosity": (int, float, type(None)),
    },
    "window": {"stage": str, "updates": list},
    "order": {"update": int, "word": str},
    "end": {"stage": str, "update": int, "why": str, "next": str},
    "miss": {"stage": str, "update": int, "why": str},
}

Event = dict[str, Any]


def read_events(folder: Path) -> list[Event]:
    """The events of a curriculum; a last line that was cut off is left out.

    Raises:
        RunError: it cannot be read, a line before the last is damaged, or an event lacks a field.
    """
    path = folder / STAGES
    events: list[Event] = []
    for event in read_lines(path, lambda value: isinstance(value, dict) and "event" in value):
        fault = fault_of(event)
        if fault:
            raise RunError(f"{path} line {len(events) + 1} is damaged: {fault}")
        events.append(event)
    return events


def fault_of(event: Event) -> str:
    """What makes an event none, in words; empty where it is sound."""
    kind = event["event"]
    if not isinstance(kind, str) or kind not in FIELDS:
        return f"there is no event {kind!r} (allowed: {', '.join(FIELDS)})"
    for key, form in FIELDS[kind].items():
        if key not in event:
            return f"{key} is missing from {kind}"
        if not isinstance(event[key], form) or isinstance(event[key], bool):
            return f"{key} of {kind} cannot be {event[key]!r}"
    if kind == "window" and [type(update) for update in event["updates"]] != [int, int]:
        return f"updates of window cannot be {event['updates']!r} (allowed: the first and the last)"
    return ""


def write_events(folder: Path, events: Sequence[Event]) -> None:
    """Exchange all events at once: a crash leaves the old ones or the new ones.

    Raises:
        RunError: the disk refuses.
    """
    write_whole(folder / STAGES, "".join(json.dumps(event, allow_nan=False) + "\n" for event in events))


def this_visit(events: Sequence[Event]) -> list[Event]:
    """The events since the last stage began, its `begin` first; [] if none did."""
    begun = [i for i, event in enumerate(events) if event["event"] == "begin"]
    return list(events[begun[-1] :]) if begun else []


def orders_of(visit: Sequence[Event]) -> list[Order]:
    """The orders that were given since a stage began."""
    return [Order(event["update"], event["word"]) for event in visit if event["event"] == "order"]


def window_event(stage: str, window: Window, limits: dict[str, str], decisions: int) -> Event:
    """A window as an event.

    Args:
        stage: its name.
        window: what it showed.
        limits: of the gate, as the YAML has them.
        decisions: of agents, up to its last update, those of the stages before included.
    """
    return {
        "event": "window",
        "stage": stage,
        "window": window.number,
        "updates": [window.first, window.last],
        "agent_decisions": decisions,
        "gate": {
            key: {"mean": mean, "limit": limits[key], "holds": key not in window.missed}
            for key, mean in window.means.items()
        },
        "streak": window.streak,
    }


def order_event(update: int, word: str, stamp: int = 0) -> Event:
    """An order as an event; the stamp is that of the file that it came in, 0 for one of the command line."""
    return {"event": "order", "update": update, "word": word, "stamp": stamp}


def take_order(folder: Path, stages: Sequence[str], events: Sequence[Event], update: int) -> list[Event]:
    """Take an order from the file `override`: it is noted first, and then the file removed, so that it counts once.

    Args:
        folder: of the curriculum.
        stages: that may be named.
        events: so far.
        update: after which it counts.

    Returns:
        The events, with the order if there is a new one. A word that means nothing is told, and its file removed.

    Raises:
        RunError: the disk refuses.
    """
    path, known = folder / OVERRIDE, (*WORDS, *stages)
    try:
        word, stamp = path.read_text(encoding="utf-8", errors="replace").strip(), os.stat(path).st_mtime_ns
    except OSError:
        return list(events)
    if not word:
        return list(events)  # somebody is writing it
    if word not in known:
        allowed = f"allowed: {', '.join(known)}"
        print(f"{path}: {word[:40]!r} is no order ({allowed}).{suggestion(word, known)}", file=sys.stderr)
    elif all(event.get("stamp") != stamp for event in events):  # else: noted by a process that was killed right then
        events = [*events, order_event(update, word, stamp)]
        write_events(folder, events)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot remove {path}: {error.strerror}") from None
    return list(events)
