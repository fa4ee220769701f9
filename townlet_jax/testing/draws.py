"""Random configurations: a shipped world with some of its numbers drawn anew, within what the schema allows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from pydantic import BaseModel

from ..config import allowed
from ..config.errors import ConfigError
from ..config.load import validate
from ..config.schema import world_model
from ..env import load
from ..systems import ORDER
from ..types import World
from ..worlds import read

Place = tuple[str, Any, allowed.Slot]  # dotted path, the number or list of numbers that stands there, what is allowed
FIXED = (
    "num_agents",
    "ticks_per_day",
    "version",
    "map.",
    "schedule.",
    "observation.",
)  # sizes, and what is no mechanic
FAR = 4.0  # most that a number without a bound is multiplied by


def is_number(value: Any) -> bool:
    """Whether it is an integer or a float; yes and no are no numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def numbers(value: Any, slot: allowed.Slot, path: str = "") -> Iterator[Place]:
    """Every number and list of numbers of a validated configuration, defaults included, and what is allowed there."""
    if is_number(value) or (isinstance(value, tuple) and value and all(map(is_number, value))):
        yield path, value, slot
        return
    if isinstance(value, BaseModel):
        slots = allowed.fields(type(value))
        parts = [(name, getattr(value, name), slots.get(name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        parts = [(name, part, allowed.below(slot, name)) for name, part in value.items()]
    elif isinstance(value, (tuple, list)):
        parts = [(str(i), part, allowed.below(slot, i)) for i, part in enumerate(value)]
    else:
        return
    for name, part, below in parts:
        yield from numbers(part, below or allowed.UNKNOWN, f"{path}.{name}" if path else name)


def bounds(slot: allowed.Slot) -> tuple[float | None, float | None]:
    """The least and the most that is allowed, None where there is no bound; a bound that is excluded counts as one."""
    low = high = None
    for choice in allowed.choices(slot):
        for rule in choice.constraints:
            low = next((x for x in (getattr(rule, "ge", None), getattr(rule, "gt", None)) if x is not None), low)
            high = next((x for x in (getattr(rule, "le", None), getattr(rule, "lt", None)) if x is not None), high)
    return low, high


def drawn(rng: np.random.Generator, number: Any, slot: allowed.Slot) -> Any:
    """Another number: a bound itself, anything between the bounds, or something near the old one; of a list each."""
    if isinstance(number, tuple):
        many = [drawn(rng, part, allowed.below(slot, i) or allowed.UNKNOWN) for i, part in enumerate(number)]
        return sorted(many) if list(number) == sorted(number) else many
    low, high = bounds(slot)
    low = min(number / FAR, 0) if low is None else low
    high = max(number * FAR, 1) if high is None else high
    way = rng.integers(6)
    if way < 2:
        new = (low, high)[way]
    elif way == 2:
        new = rng.uniform(low, high)
    else:
        new = float(np.clip(number * FAR ** rng.uniform(-1, 1), low, high))
    return round(new) if isinstance(number, int) else round(float(new), 6)


def random_settings(name: str | Path, rng: np.random.Generator, changes: int) -> dict[str, Any]:
    """Some numbers of a world, drawn anew: {dotted path: number}; they need not fit together.

    Args:
        name: a shipped world, or a path to a YAML file.
        rng: where the draws come from.
        changes: how many numbers are drawn.
    """
    model = world_model(ORDER)
    config = validate(model, read(name))
    places = [place for place in numbers(config, allowed.Slot(model)) if not place[0].startswith(FIXED)]
    chosen = rng.choice(len(places), size=min(changes, len(places)), replace=False)
    return {places[i][0]: drawn(rng, *places[i][1:]) for i in chosen}


def random_worlds(
    name: str | Path, seed: int, changes: int = 12, fixed: dict[str, Any] | None = None
) -> Iterator[tuple[dict[str, Any], World]]:
    """Worlds with some numbers drawn anew, without end; what is refused is drawn again with fewer changes.

    Args:
        name: a shipped world, or a path to a YAML file.
        seed: one seed, one row of worlds.
        changes: how many numbers differ at most.
        fixed: settings that all of them have, by dotted path.

    Yields:
        What was changed, and the world.
    """
    rng = np.random.default_rng(seed)
    while True:
        settings = random_settings(name, rng, changes)
        while settings:
            try:
                yield settings, load(name, **{**(fixed or {}), **settings})
                break
            except ConfigError as error:
                faults = [line.split(": ")[1] for line in error.messages if ": " in line]
                named = [path for path in settings if any(f"{path}.".startswith(f"{fault}.") for fault in faults)]
                for path in named or [next(iter(settings))]:
                    del settings[path]


def same_program(one: World, other: World) -> bool:
    """Whether a program that was compiled for one world runs the other."""
    kinds = lambda world: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (world.params, world.map))
    alike = one.static._replace(config_id="") == other.static._replace(config_id="")
    return (
        alike
        and jax.tree.structure(one) == jax.tree.structure(other.replace(static=one.static))
        and kinds(one) == kinds(other)
    )
