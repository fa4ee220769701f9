"""What a sweep varies: its YAML, and the members that follow from it.

A member is a training run of its own: a seed, float hyper-parameters (leaves of `Runner.hyper`) and values of the world's YAML that
change numbers in `World.params` only. Everything else is the same for all, so that one compiled program trains them.
"""

import itertools
import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from townlet_jax.config.errors import ConfigError, listed, suggestion
from townlet_jax.config.load import Document, find, resolve, validate
from townlet_jax.types import Section
from townlet_jax.worlds import read

from ..config import RUN_NAME, TrainConfig
from ..types import Hyper

SWEEP, BASE = "sweep.yaml", "base.yaml"  # in the folder of a sweep: what varies, and what all members share
MOST = 4096  # members of a sweep
HYPER = tuple(name for name in Hyper.__dataclass_fields__ if name not in ("mix", "bc_coef"))  # those two need a teacher

Value = bool | int | float | str
Values = dict[str, Any]


class Span(Section):
    """A range from which values are drawn."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    scale: Literal["linear", "log"] = Field("linear", description="in which scale the draws are even")

    @model_validator(mode="after")
    def ordered(self) -> "Span":
        """The ends are in order, and a logarithm exists."""
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"low {self.low} must be above 0 in the scale log")
        return self

    def at(self, share: float) -> float:
        """The value at a share of the range, as f32 can hold it."""
        if self.scale == "log":
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return float(np.float32(value))


class Shared(Section):
    """What sweeps and populations have in common."""

    name: str = Field("sweep", pattern=RUN_NAME, description="the folder is runs/<name>")
    base: str = Field(
        "ppo_town", description="the training configuration of all members: a shipped one, or a YAML file"
    )
    changes: dict[str, Any] = Field({}, description="key of the training configuration -> value, for all members")
    memory_gib: float = Field(4.0, gt=0, le=4096, description="GiB that a program may take, by the estimate")

    @model_validator(mode="after")
    def seeds_are_of_members(self) -> Self:
        """No seed is changed for all members."""
        if "seed" in self.changes:
            raise ValueError(
                "changes.seed: each member has its own (of a sweep see seeds; member k of a population has the seed k)"
            )
        return self


class SweepConfig(Shared):
    """Seeds x grid x draws x worlds, each a member."""

    seeds: int | tuple[int, ...] = Field(1, description="how many seeds (0, 1, 2, ...), or which")
    grid: dict[str, tuple[float, ...]] = Field({}, description="hyper-parameter -> values; all combinations")
    random: dict[str, Span] = Field({}, description="hyper-parameter -> range; each draw draws all of them")
    draws: int = Field(0, ge=0, le=MOST, description="how many draws of `random`")
    random_seed: int = Field(0, ge=0, lt=2**32, description="of the draws")
    world_grid: dict[str, tuple[Value, ...]] = Field({}, description="key of the world -> values; all combinations")
    block: int = Field(0, ge=0, le=MOST, description="members in one program at most; 0 for what memory allows")

    @model_validator(mode="after")
    def fits(self) -> "SweepConfig":
        """Names are those of float hyper-parameters, no list is empty, and there are not too many members."""
        check_names((*self.grid, *self.random))
        both = sorted({*self.grid} & {*self.random})
        if both:
            raise ValueError(f"{both[0]} is in grid and in random (allowed: one of them)")
        if bool(self.random) != bool(self.draws):
            raise ValueError(f"draws {self.draws} with {len(self.random)} ranges in random (allowed: both, or neither)")
        for key, values in (("seeds", self.numbers()), *self.grid.items(), *self.world_grid.items()):
            if not values:
                raise ValueError(f"{key} has no values (allowed: at least one)")
            if len({*values}) < len(values):
                raise ValueError(f"{key} {list(values)} has a value twice")
        if any(not 0 <= seed < 2**32 for seed in self.numbers()):
            raise ValueError(f"seeds {list(self.numbers())}: a seed is from 0 to 4294967295")
        if self.count() > MOST:
            raise ValueError(f"{self.count()} members are too many (allowed: {MOST})")
        return self

    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(range(min(self.seeds, MOST + 1))) if isinstance(self.seeds, int) else self.seeds

    def count(self) -> int:
        """The number of members."""
        lists = (*self.grid.values(), *self.world_grid.values())
        return math.prod(map(len, lists)) * len(self.numbers()) * max(self.draws, 1)


class Member(NamedTuple):
    """One run of a sweep."""

    seed: int
    hyper: dict[str, float]  # the float hyper-parameters that vary
    world: dict[str, Value]  # the values of the world's YAML that vary
    config: TrainConfig
    document: Document  # that `config` came from
    world_document: Document

    @property
    def group(self) -> str:
        """All that varies but the seed, in words; members of one group are samples of the same thing."""
        return ", ".join(
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in self.values
        )

    @property
    def values(self) -> tuple[tuple[str, Value], ...]:
        """All that varies but the seed, by name."""
        return (*self.hyper.items(), *self.world.items())


def check_names(names: tuple[str, ...]) -> None:
    """Refuse what is not a float hyper-parameter.

    Raises:
        ValueError: naming it, and those there are.
    """
    for name in names:
        if name not in HYPER:
            raise ValueError(
                f"{name!r} is not a float hyper-parameter (allowed: {', '.join(HYPER)}).{suggestion(name, HYPER)}"
            )


def load_shared(kind: type[Shared], path: str | Path, overrides: tuple[str, ...]) -> tuple[Any, Document]:
    """A sweep or a population from its YAML, checked, and the document that it came from.

    Raises:
        ConfigError: with a line for each fault.
    """
    document = resolve(find(str(path), "sweeps"), overrides)
    return validate(kind, document), document


def base_of(shared: Shared, folder: Path | None = None) -> Document:
    """The training configuration that all members share, as it stands in the folder of a sweep or as its YAML names it.

    Raises:
        ConfigError: there is none, or the changes do not fit it.
    """
    if folder is not None:
        return resolve(folder / BASE)
    changes = tuple(f"{key}={json.dumps(value)}" for key, value in shared.changes.items())
    document = resolve(find(shared.base, "train"), changes, "changes", counted=False)
    validate(TrainConfig, document)
    return document


def member_of(base: Document, seed: int, hyper: dict[str, float], world: dict[str, Value]) -> Member:
    """A member: the base with its seed and its values.

    Raises:
        ConfigError: a value is out of range; the message names it.
    """
    changed = {**base.tree, "seed": seed, **hyper}
    lines = {**base.lines, **{(key,): (f"the value {key}={value}", 1) for key, value in hyper.items()}}
    document = Document(base.path, changed, lines)
    config = validate(TrainConfig, document)
    words = tuple(f"{key}={json.dumps(value)}" for key, value in world.items())
    found = read(config.world, config.world_set)
    if words:
        found = read(config.world, (*config.world_set, *words), f"world_grid {', '.join(words)}")
    return Member(seed, hyper, world, config, document, found)


def drawn(spans: dict[str, Span], count: int, seed: int) -> list[dict[str, float]]:
    """Draws from ranges: a draw is a value for each; the same seed draws the same."""
    shares = np.random.default_rng(seed).random((count, len(spans)))
    return [{key: span.at(float(share)) for (key, span), share in zip(spans.items(), row)} for row in shares]


def members_of(config: SweepConfig, base: Document) -> list[Member]:
    """Every member of a sweep, those of one group side by side.

    Raises:
        ConfigError: a value is refused, by its name.
    """
    grid = [dict(zip(config.grid, values)) for values in itertools.product(*config.grid.values())]
    worlds = [dict(zip(config.world_grid, values)) for values in itertools.product(*config.world_grid.values())]
    draws = drawn(config.random, config.draws, config.random_seed) or [{}]
    every = itertools.product(worlds, grid, draws, config.numbers())
    found = [member_of(base, seed, {**point, **draw}, world) for world, point, draw, seed in every]
    one_program([(member.group, member.config) for member in found])
    return found


def one_program(configs: list[tuple[str, TrainConfig]]) -> None:
    """Refuse members whose programs would differ.

    Raises:
        ConfigError: curiosity is on for some and off for others.
    """
    on = {bool(config.curiosity) for _, config in configs}
    if len(on) > 1:
        off = [group for group, config in configs if not config.curiosity]
        raise ConfigError(
            f"curiosity is 0 for {listed(off[:1])} and above 0 for others (allowed: one or the other for all)"
        )
