"""When a stage of a curriculum ends: its gate against windows of its rows, and what people said meanwhile.

    tally = Tally(gate, limits.window)
    tally.add(row)  # each of the stage
    verdict = judge(tally, orders, limits)

A window is some updates; the mean of each number over it is compared with the gate. The verdict follows from the rows and the
orders alone, so that a run that was killed comes to the same one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .stages import Requirement

Row = Mapping[str, float]
ADVANCE, HOLD, AUTO = WORDS = ("advance", "hold", "auto")  # orders; any other is the name of a stage


class Order(NamedTuple):
    """What somebody said while a stage ran."""

    update: int  # after which it counts
    word: str  # one of `WORDS`, or the stage that is to follow


class Window(NamedTuple):
    """What a window showed."""

    number: int  # from 0
    first: int  # update
    last: int
    means: dict[str, float]  # of what the gate asks for
    missed: tuple[str, ...]  # requirements that do not hold
    streak: int  # windows in a row, this one included, in which all hold


class Limits(NamedTuple):
    """How long a stage may last, and what it takes to end it."""

    window: int  # updates
    required: int  # windows in a row
    budget: int  # updates
    advances: bool  # whether a stage that missed its gate is followed by the next


class Verdict(NamedTuple):
    """How a stage stands."""

    windows: tuple[Window, ...]
    why: str = ""  # it ended, and why; empty while it goes on
    missed: bool = False  # it ended, and nothing follows
    next: str = ""  # the stage that is to follow, if somebody named one


def window_of(rows: Sequence[Row], gate: Sequence[Requirement], number: int, streak: int) -> Window:
    """What some rows show.

    Args:
        rows: of one window.
        gate: of the stage.
        number: of the window, from 0.
        streak: of the window before.
    """
    means = {each.key: sum(row[each.key] for row in rows) / len(rows) for each in gate}
    missed = tuple(each.key for each in gate if not each.holds(means[each.key]))
    first, last = int(rows[0]["update"]), int(rows[-1]["update"])
    return Window(number, first, last, means, missed, 0 if missed else streak + 1)


class Tally:
    """The windows of a stage so far; of its rows it keeps those of the window that is not full.

    Args:
        gate: of the stage; () if it lasts its budget, then there are no windows.
        size: updates in a window.
        rows: with which to begin.
    """

    def __init__(self, gate: Sequence[Requirement], size: int, rows: Iterable[Row] = ()):
        self.gate, self.size = gate, size
        self.done = 0  # updates
        self.windows: tuple[Window, ...] = ()
        self._open: list[Row] = []
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Count another update."""
        self.done += 1
        if not self.gate:
            return
        self._open.append(row)
        if len(self._open) == self.size:
            streak = self.windows[-1].streak if self.windows else 0
            self.windows += (window_of(self._open, self.gate, len(self.windows), streak),)
            self._open.clear()


def judge(tally: Tally, orders: Sequence[Order], limits: Limits) -> Verdict:
    """How a stage stands after some updates.

    Args:
        tally: of its rows so far.
        orders: in the order in which they were given.
        limits: of the stage.

    Returns:
        The verdict after the last row. An order to go on counts at once; else a gate that has held for long enough ends the
        stage, unless it is held; else the budget does.
    """
    windows, done = tally.windows, tally.done
    heard = [order for order in orders if order.update <= done]
    for order in heard:
        if order.word not in (HOLD, AUTO):
            return Verdict(windows, f"order: {order.word}", next="" if order.word == ADVANCE else order.word)
    held = bool(heard) and heard[-1].word == HOLD
    streak = windows[-1].streak if windows else 0
    if windows and streak >= limits.required and not held:
        return Verdict(windows, f"gate: held for {streak} windows")
    if done < limits.budget:
        return Verdict(windows)
    if held:
        return Verdict(windows, "budget: spent while the stage was held", missed=True)
    if not tally.gate:
        return Verdict(windows, "budget: spent, and there is no gate")
    last = ", ".join(windows[-1].missed) if windows else "no window was full"
    return Verdict(
        windows, f"budget: spent before the gate held ({last or 'the streak is too short'})", not limits.advances
    )
