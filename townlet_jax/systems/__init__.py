"""Every mechanic, in data-flow order. A world runs those that its YAML names."""

from ..types import System
from . import (
    affordances,
    arguments,
    chat,
    economy,
    employment,
    hiring,
    identities,
    intents,
    lifecycle,
    movement,
    needs,
    nights,
    personality,
    perturbations,
    queues,
    relationships,
    reputation,
    reviews,
    rewards,
    spirals,
    spoilage,
    timeline,
    timesheets,
    tuner,
    utilities,
    warmth,
    weather,
)

ORDER: tuple[System, ...] = (
    intents.SYSTEM,
    timeline.SYSTEM,
    perturbations.SYSTEM,
    utilities.SYSTEM,
    weather.SYSTEM,
    warmth.SYSTEM,
    needs.SYSTEM,
    movement.SYSTEM,
    queues.SYSTEM,
    affordances.SYSTEM,
    reputation.SYSTEM,
    spoilage.SYSTEM,
    economy.SYSTEM,
    employment.SYSTEM,
    timesheets.SYSTEM,
    hiring.SYSTEM,
    reviews.SYSTEM,
    tuner.SYSTEM,
    chat.SYSTEM,
    arguments.SYSTEM,
    relationships.SYSTEM,
    spirals.SYSTEM,
    nights.SYSTEM,
    lifecycle.SYSTEM,
    personality.SYSTEM,
    identities.SYSTEM,
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
