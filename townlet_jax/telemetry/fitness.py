"""How well people do in a town, as one number. For reports only: nothing in a town depends on it."""

from collections.abc import Mapping

from ..core import fixed
from ..types import World
from .leaving import exits_per_day
from .shapes import plain

WEIGHTS: Mapping[str, float] = {"return": 0.3, "needs": 0.4, "attendance": 0.2, "violations": 0.1}
NO_FAILURE = ("exits/age",)  # removals are not measured


def afi(world: World, means: Mapping[str, float], weights: Mapping[str, float] = WEIGHTS) -> float:
    """The agents' fitness index (specification §14), from means of `measure` over ticks (and towns).

        AFI = w_return * R + w_needs * (1 - D) + w_attendance * J - w_violations * V

    R is the mean reward of an agent-tick on the scale of the clip, 0 at -clip and 1 at +clip; D the mean deficit of all needs; J
    the ticks at the post over the ticks of all shifts; V the exits per agent and day for other reasons than age, at most 1. What a
    world does not measure (J without jobs, V without a lifecycle) is left out, and the weights of R, D and J that are left are
    scaled up to their sum. With the default weights, which are a choice of ours, the best is 0.9 and the worst -0.1.

    Args:
        world: the world.
        means: as `measure`, averaged.
        weights: of `return`, `needs`, `attendance` and `violations`.

    Returns:
        The index.

    Raises:
        ValueError: nothing of it was measured, or a mean is not one number.
    """
    plain("afi", means)
    found = {name: value for name, value in _parts(world, means).items() if value is not None}
    if not found:
        raise ValueError("a fitness needs the means of rewards, needs or shifts, and there are none of them")
    whole = sum(weights[name] for name in ("return", "needs", "attendance"))
    left = sum(weights[name] for name in found)
    gained = sum(weights[name] * value for name, value in found.items())
    return gained * whole / max(left, 1e-9) - weights["violations"] * violations(world, means)


def violations(world: World, means: Mapping[str, float]) -> float:
    """Exits per agent and day for reasons other than age and removal, at most 1."""
    return min(float(exits_per_day(world, means, but=NO_FAILURE)), 1.0)


def _parts(world: World, means: Mapping[str, float]) -> dict[str, float | None]:
    """Each part in [0, 1], None if it was not measured."""
    levels = [float(means[f"needs/{need}"]) for need in world.static.names.needs if f"needs/{need}" in means]
    parts: dict[str, float | None] = {"return": None, "needs": None, "attendance": None}
    if "reward/total" in means:
        clip = int(world.params["rewards"].clip) / fixed.MILLION
        parts["return"] = min(max(0.5 + 0.5 * float(means["reward/total"]) / clip, 0.0), 1.0)
    if levels:
        parts["needs"] = sum(levels) / len(levels)
    if float(means.get("shift/expected", 0.0)) > 0:
        parts["attendance"] = float(means["shift/present"]) / float(means["shift/expected"])
    return parts
