"""Every mechanic, in data-flow order. A world runs those that its YAML names."""

from ..types import System
from . import affordances, economy, employment, intents, lifecycle, movement, needs, queues, rewards

ORDER: tuple[System, ...] = (
    intents.SYSTEM,
    needs.SYSTEM,
    movement.SYSTEM,
    queues.SYSTEM,
    affordances.SYSTEM,
    economy.SYSTEM,
    employment.SYSTEM,
    lifecycle.SYSTEM,
    rewards.SYSTEM,
)


def insert(system: System, before: str = "lifecycle", order: tuple[System, ...] = ORDER) -> tuple[System, ...]:
    """The order with one more system in it.

    Args:
        system: the new mechanic.
        before: the name of the system that it comes before.
        order: the order so far.

    Returns:
        A new order.

    Raises:
        ValueError: `before` names no system, or a system of that name is there already.
    """
    names = [other.name for other in order]
    if before not in names:
        raise ValueError(f"no system {before!r} to come before (there are: {', '.join(names)})")
    if system.name in names:
        raise ValueError(f"a system called {system.name!r} is there already")
    place = names.index(before)
    return (*order[:place], system, *order[place:])
