"""How many people leave: one count of exits for all that report them."""

from collections.abc import Collection, Mapping
from typing import Any

from ..types import World

NAMES = ("collapses", "evictions")  # exits that have a name of their own; of all others it begins with `PREFIX`
PREFIX = "exits/"


def exits_per_day(world: World, means: Mapping[str, Any], but: Collection[str] = ()) -> Any:
    """Exits per agent and day, for all reasons that the world measures.

    Args:
        world: the world.
        means: as `measure`, averaged over ticks: a number or an array of towns each.
        but: names of those that do not count.

    Returns:
        A number, or an array of towns; 0 without a lifecycle.
    """
    told = [name for name in means if (name in NAMES or name.startswith(PREFIX)) and name not in but]
    return sum(means[name] for name in told) * world.static.ticks_per_day / world.static.num_agents
