"""What a curriculum YAML may say: stages in order, each a world, a budget and a gate; and the run that each stage is."""

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from townlet_jax.config.errors import ConfigError, suggestion
from townlet_jax.config.load import Document, find, resolve, validate
from townlet_jax.types import Section

from ..config import RUN_NAME, TrainConfig

GIVEN = ("name", "world", "total_timesteps", "curiosity_share")  # of a learner: what stages and the curriculum say
LIMIT = r"^(<=|>=|<|>) *-?\d+(\.\d+)?\Z"
SEEDS = 1009  # from the seed of one visit of a stage to that of the next


class Requirement(NamedTuple):
    """What the mean of a logged number over a window must be."""

    key: str
    sign: str  # one of <=, >=, <, >
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value fulfils it."""
        equal = value == self.limit and "=" in self.sign
        return equal or (value < self.limit if "<" in self.sign else value > self.limit)


class Stage(Section):
    """A step of the ladder."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,20}$", description="its run folder is runs/<curriculum>/<name>")
    world: str = Field(description="a shipped world, or a path to its YAML")
    world_set: tuple[str, ...] = Field((), description="changes to the world, such as systems.relationships.stage=C1")
    budget: int = Field(ge=1, description="agent decisions after which the stage ends, gate or not")
    ppo: dict[str, Any] = Field({}, description="keys of the learner that differ in this stage")


class Curriculum(Section):
    """Stages from an easy world to the whole town, and one learner that climbs them."""

    name: str = Field("curriculum", pattern=RUN_NAME, description="the folder is runs/<name>")
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=64, description="in order")
    gates: dict[str, dict[str, str]] = Field(
        {}, description="stage -> logged number -> limit such as '<= 0.01'; a stage without a gate lasts its budget"
    )
    window: int = Field(10, ge=1, le=10_000, description="updates whose mean is compared with the gate")
    required_windows: int = Field(2, ge=1, le=100, description="windows in a row in which the gate must hold")
    on_miss: Literal["stop", "advance"] = Field("stop", description="what follows a budget spent before the gate held")
    vf_factor: float = Field(0.25, gt=0, le=10, description="factor of vf_coef right after a switch of stages")
    vf_updates: int = Field(20, ge=0, le=10_000, description="updates until the factor is 1 again; it rises linearly")
    curiosity_until: str = Field(
        "", description="the first stage without curiosity, whose weight falls to 0 until then, or until the end"
    )
    ppo: dict[str, Any] = Field({}, description="the learner, as in configs/train; the stages say world and length")

    @model_validator(mode="after")
    def known(self) -> "Curriculum":
        """Stages differ in name, what names a stage names one that exists, and changes to worlds are lists."""
        names = [stage.name for stage in self.stages]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"stages: there are two of the name {name!r} (allowed: one of each)")
        of_stages = ((f"stages.{number}.ppo", stage.ppo) for number, stage in enumerate(self.stages))
        for path, ppo in (("ppo", self.ppo), *of_stages):
            words = ppo.get("world_set", [])
            if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
                raise ValueError(f"{path}.world_set: {words!r} is no list of texts (allowed: such as [num_agents=8])")
        if self.curiosity_until:
            named_stage("curiosity_until", self.curiosity_until, names)
        for name, gate in self.gates.items():
            named_stage("gates", name, names)
            for key, limit in gate.items():
                if not re.match(LIMIT, limit):
                    raise ValueError(
                        f"gates.{name}.{key}: {limit!r} is no limit (allowed: <=, >=, < or > and a number)"
                    )
        return self


def named_stage(path: str, name: str, names: list[str]) -> None:
    """Refuse a name that no stage has.

    Raises:
        ValueError: with the names that there are, and the nearest.
    """
    if name not in names:
        raise ValueError(f"{path}: there is no stage {name!r} (allowed: {', '.join(names)}).{suggestion(name, names)}")


class Plan(NamedTuple):
    """A curriculum, checked, and what each of its stages is made of."""

    curriculum: Curriculum
    document: Document

    @property
    def names(self) -> list[str]:
        """The stages in order."""
        return [stage.name for stage in self.curriculum.stages]

    def stage(self, name: str) -> Stage:
        """The stage of a name."""
        return self.curriculum.stages[self.names.index(name)]

    def gate(self, name: str) -> tuple[Requirement, ...]:
        """What a stage requires; () for one that lasts its budget."""
        split = {key: re.match(LIMIT, limit) for key, limit in self.curriculum.gates.get(name, {}).items()}
        return tuple(
            Requirement(key, found[1], float(found.string[len(found[1]) :])) for key, found in split.items() if found
        )

    def after(self, name: str) -> str:
        """The stage that follows, or nothing after the last."""
        return (self.names + [""])[self.names.index(name) + 1]

    def curious(self, name: str) -> list[str]:
        """The stages from this one on in which curiosity may weigh anything."""
        until = self.curriculum.curiosity_until
        end = self.names.index(until) if until else len(self.names)
        return self.names[self.names.index(name) : end]


def learner_of(plan: Plan, name: str, visit: int = 0, curiosity: float | None = None) -> tuple[TrainConfig, Document]:
    """The training configuration of a stage, and its document.

    Args:
        plan: the curriculum.
        name: of the stage.
        visit: how many stages were begun before; each has a seed of its own.
        curiosity: its weight at the start of the stage; None as the curriculum begins.

    Raises:
        ConfigError: the learner of the stage is not one, with file and line of each fault.
    """
    stage, number = plan.stage(name), plan.names.index(name)
    tree = {**plan.curriculum.ppo, **stage.ppo}
    lines = {(): plan.document.lines.get((), (plan.document.path, 1))}
    for around in (("ppo",), ("stages", number, "ppo")):
        lines |= {path[len(around) :]: at for path, at in plan.document.lines.items() if path[: len(around)] == around}
    given = [key for key in tree if key in GIVEN]
    tree |= {"name": name, "world": stage.world, "total_timesteps": stage.budget}
    tree["world_set"] = [*tree.get("world_set", ()), *stage.world_set]
    if visit:
        tree["seed"] = (tree.get("seed", 0) + SEEDS * visit) % 2**32
    if tree.get("curiosity"):
        tree |= curious_keys(plan, name, tree["curiosity"] if curiosity is None else curiosity)
    if given:
        source, line = lines.get((given[0],), lines[()])
        raise ConfigError(f"{source}:{line}: ppo.{given[0]}: the stages say that (allowed: other keys of a learner)")
    document = Document(plan.document.path, tree, lines)
    return validate(TrainConfig, document), document


def curious_keys(plan: Plan, name: str, weight: float) -> dict[str, float]:
    """The keys of the learner that let curiosity fall from a weight to 0 over the budgets of all stages that have it."""
    stages = plan.curious(name)
    if not stages:
        return {"curiosity": 0.0}
    left = sum(plan.stage(each).budget for each in stages)
    return {"curiosity": weight, "curiosity_share": left / plan.stage(name).budget}


def weight_left(config: TrainConfig, update: int, num_updates: int) -> float:
    """What curiosity weighs after some updates of a stage, see `learner.rewarded`."""
    return config.curiosity * max(1.0 - update / (num_updates * config.curiosity_share), 0.0)


def load_plan(name: str | Path, overrides: tuple[str, ...] = ()) -> Plan:
    """A curriculum with the learners of all its stages, checked.

    Args:
        name: a shipped curriculum such as "curriculum", or a path to a YAML file.
        overrides: assignments such as "stages.0.budget=100000" or "ppo.num_envs=64".

    Raises:
        ConfigError: with a line for each fault.
    """
    document = resolve(find(str(name), "curricula"), overrides)
    plan = Plan(validate(Curriculum, document), document)
    for stage in plan.names:
        learner_of(plan, stage)
    return plan
