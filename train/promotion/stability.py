"""Canaries: what goes wrong with a policy, seen in windows of rows (specification §17).

    alerts(windows_of(read_rows(run), limits.rows), town_of(world), limits)

A row is what `telemetry.kpis` makes of means of a town, or of all towns of an update: numbers by name. A window is some rows: so
many updates of a training run, or the towns of one stretch of an evaluation. A canary reads one number of a window and alerts
where it is above a limit. A world that does not measure what a canary reads has no such canary; `absent` says which and why.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from townlet_jax.types import World

from .thresholds import Stability

Row = Mapping[str, float]
Window = Sequence[Row]


class Town(NamedTuple):
    """The sizes that turn counts of a tick into counts of an agent-day."""

    num_agents: int
    ticks_per_day: int


class Canary(NamedTuple):
    """What is watched. It alerts where `value` is above `limit` for `windows` windows in a row."""

    name: str
    reads: tuple[str, ...]  # names in the rows; without all of them there is no canary
    unit: str
    value: Callable[[Window, Town, Stability], float]  # of the rows that have what it reads
    limit: Callable[[Stability, float], float]  # from the value of the baseline
    spike: bool = False  # whether the limit follows the baseline
    windows: Callable[[Stability], int] = lambda limits: 1
    rows: Callable[[Stability], int] = lambda limits: 1  # the least number of rows in a window


class Alert(NamedTuple):
    """A canary's limit was exceeded."""

    window: int  # from 0
    name: str
    value: float
    limit: float
    unit: str


def mean(rows: Window, name: str) -> float:
    """The mean of one number over rows."""
    return sum(float(row[name]) for row in rows) / len(rows)


def mean_of(name: str) -> Callable[[Window, Town, Stability], float]:
    """The value of a canary: a mean as it stands."""
    return lambda rows, town, limits: mean(rows, name)


def per_agent_day(name: str) -> Callable[[Window, Town, Stability], float]:
    """The value of a canary: a count of a town and tick as a count of an agent-day."""
    return lambda rows, town, limits: mean(rows, name) * town.ticks_per_day / town.num_agents


def ticks_of_day(name: str) -> Callable[[Window, Town, Stability], float]:
    """The value of a canary: a share of agents at a tick as ticks of an agent-day."""
    return lambda rows, town, limits: mean(rows, name) * town.ticks_per_day


def spread(rows: Window, town: Town, limits: Stability) -> float:
    """The variance of the return over its squared mean.

    The variance of single rewards, which the original watches against 0.25, cannot exceed 0.04: rewards are clipped to +-0.2.
    """
    centre = mean(rows, "return_per_day")
    variance = sum((float(row["return_per_day"]) - centre) ** 2 for row in rows) / len(rows)
    return variance / max(centre**2, limits.return_least**2)


def unfilled(rows: Window, town: Town, limits: Stability) -> float:
    """Posts that somebody without a post could fill: the lesser of both numbers, over rows."""
    return sum(min(float(row["hiring/vacant"]), float(row["hiring/unemployed"])) for row in rows) / len(rows)


def above(name: str) -> Callable[[Stability, float], float]:
    """A limit that is one number."""
    return lambda limits, baseline: getattr(limits, name)


def spike(name: str) -> Callable[[Stability, float], float]:
    """A limit that is a multiple of the baseline, but not below the least that counts as a spike."""
    return lambda limits, base: max(getattr(limits, f"{name}_factor") * base, getattr(limits, f"{name}_least"))


DAY = "per agent-day"
CANARIES = (
    Canary("starvation", ("collapses_per_day",), f"collapses {DAY}", mean_of("collapses_per_day"), above("starvation")),
    Canary("lateness", ("late_per_day",), f"late shifts {DAY}", mean_of("late_per_day"), spike("lateness"), spike=True),
    Canary(
        "option_thrash",
        ("switches_per_day",),
        f"changes of mind {DAY}",
        mean_of("switches_per_day"),
        spike("thrash"),
        spike=True,
        windows=lambda limits: limits.thrash_windows,
    ),
    Canary(
        "reward_variance",
        ("return_per_day",),
        "variance / mean ** 2",
        spread,
        above("return_variance"),
        rows=lambda limits: limits.least_rows,
    ),
    Canary("ghost_steps", ("movement/ghost",), f"ticks {DAY}", ticks_of_day("movement/ghost"), above("ghost_steps")),
    Canary("rotations", ("queues/rotations",), DAY, per_agent_day("queues/rotations"), above("rotations")),
    Canary("rivalry", ("ties/conflicts",), f"quarrels {DAY}", per_agent_day("ties/conflicts"), spike("rivalry"), True),
    Canary("affordance_failures", ("refunds",), f"refunds {DAY}", per_agent_day("refunds"), above("refunds")),
    Canary(
        "identity_reuse",
        ("identities/warning",),
        "share of ticks",
        mean_of("identities/warning"),
        above("identity_reuse"),
    ),
    Canary("exit_backlog", ("reviews/overflow",), "share of ticks", mean_of("reviews/overflow"), above("exit_backlog")),
    Canary("hiring_backlog", ("hiring/vacant", "hiring/unemployed"), "posts", unfilled, above("hiring_backlog")),
)


def town_of(world: World) -> Town:
    """The sizes of a world's towns."""
    return Town(world.static.num_agents, world.static.ticks_per_day)


def windows_of(rows: Sequence[Row], size: int) -> list[Window]:
    """Rows in windows of equal size; what is left at the end is no window yet."""
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]


def read(canary: Canary, window: Window, town: Town, limits: Stability) -> float | None:
    """What a canary reads of a window, None if the window does not have it."""
    rows = [row for row in window if all(name in row for name in canary.reads)]
    return canary.value(rows, town, limits) if len(rows) >= canary.rows(limits) else None


def alerts(
    windows: Sequence[Window], town: Town, limits: Stability, baseline: Sequence[Window] | None = None
) -> list[Alert]:
    """All that is wrong in some windows, in the order of time.

    Args:
        windows: one after the other.
        town: the sizes of the towns that the rows are about.
        limits: above which values there are alerts.
        baseline: what spikes are measured against, a window for each of `windows`; without it the first window, for all.

    Returns:
        The alerts; window numbers count from 0.
    """
    bases = [windows[0]] * len(windows) if baseline is None and windows else baseline or ()
    found: list[Alert] = []
    for canary in CANARIES:
        streak = 0
        for number, (window, base) in enumerate(zip(windows, bases, strict=True)):
            value = read(canary, window, town, limits)
            usual = read(canary, base, town, limits) if canary.spike else 0.0
            if value is None or usual is None:
                streak = 0
                continue
            limit = canary.limit(limits, usual)
            streak = streak + 1 if value > limit else 0
            if streak >= canary.windows(limits):
                found.append(Alert(number, canary.name, value, limit, canary.unit))
    return sorted(found, key=lambda alert: alert.window)


def absent(windows: Sequence[Window], limits: Stability) -> dict[str, str]:
    """The canaries that saw nothing in any window, and why: name -> what was missing."""
    found: dict[str, str] = {}
    for canary in CANARIES:
        counts = [sum(all(name in row for name in canary.reads) for row in window) for window in windows]
        if not any(counts):
            found[canary.name] = f"the rows have no {' and '.join(canary.reads)}"
        elif max(counts) < canary.rows(limits):
            found[canary.name] = f"{max(counts)} rows in a window, at least {canary.rows(limits)} are needed"
    return found


def fallen(rows: Sequence[Row], size: int, fall: float) -> Alert | None:
    """Whether a run is on its way down: its last rows against those before.

    The original holds where mean_last < 0.7 mean_previous. With a negative mean that would hold what rises; so the fall is
    measured in the size of the mean: mean_previous - mean_last > fall |mean_previous|, the same where both are positive.

    Args:
        rows: of a run.
        size: how many rows each; of a short run half of its rows, and none below 4 rows.
        fall: share.

    Returns:
        An alert of the last window if it fell, with the least return that would have done as its limit.
    """
    size = min(size, len(rows) // 2)
    if size < 2 or any("return_per_day" not in row for row in rows[-2 * size :]):
        return None
    before, last = mean(rows[-2 * size : -size], "return_per_day"), mean(rows[-size:], "return_per_day")
    limit = before - fall * abs(before)
    return Alert(len(rows) // size - 1, "return_fall", last, limit, f"reward {DAY}") if last < limit else None
