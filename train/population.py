"""A population that learns and copies: all members in one compiled program, hyper-parameters that change on the way.

    python -m train.population --config pbt_town [--set members=8] [--resume runs/NAME]

Who copies whom is `train/sweeps/evolve.py`, the folder `train/sweeps/crowd.py`; every copy is a row of lineage.jsonl.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from pydantic import Field, model_validator

from townlet_jax.config.load import Document, dump, read_yaml, validate
from townlet_jax.engine import stream

from . import runs
from .cli import command
from .logging import RunError
from .sweeps import crowd, rows, stack
from .sweeps.crowd import Course, Crowd
from .sweeps.evolve import Population, Rules, evolve, rules_of, smoothed
from .sweeps.members import (
    BASE,
    SWEEP,
    Member,
    Shared,
    Span,
    base_of,
    check_names,
    drawn,
    load_shared,
    member_of,
    one_program,
)
from .sweeps.stack import Stack
from .types import Array


class PopulationConfig(Shared):
    """Members with values of their own, which copy each other."""

    members: int = Field(16, ge=4, le=4096, description="how many; member k has the seed k")
    ranges: dict[str, Span] = Field(description="hyper-parameter -> range, of the first draws and ever after")
    random_seed: int = Field(0, ge=0, lt=2**32, description="of the first values, and of all that changes later")
    updates_per_chunk: int = Field(10, ge=1, description="updates between two rounds of copying")
    share: float = Field(
        0.25, gt=0, le=0.5, description="share of the members that copies, and of those that are copied"
    )
    resample: float = Field(
        0.25, ge=0, le=1, description="chance that a copied value is drawn anew instead of times 0.8 or 1.25"
    )
    smoothing: float = Field(0.9, ge=0, lt=1, description="weight of the past in the smoothed return")

    @model_validator(mode="after")
    def fits(self) -> "PopulationConfig":
        """There are ranges, of float hyper-parameters."""
        if not self.ranges:
            raise ValueError("ranges is empty (allowed: at least one hyper-parameter)")
        check_names(tuple(self.ranges))
        return self


def members_of(config: PopulationConfig, base: Document) -> list[Member]:
    """The members at their start.

    Raises:
        ConfigError: an end of a range is refused, by its name.
    """
    for end in ("low", "high"):
        member_of(base, 0, {key: getattr(span, end) for key, span in config.ranges.items()}, {})
    values = drawn(config.ranges, config.members, config.random_seed)
    found = [member_of(base, seed, one, {}) for seed, one in enumerate(values)]
    one_program([(member.group, member.config) for member in found])
    return found


def begin(config: PopulationConfig, part: Stack) -> Population:
    """A population at its start."""
    score = jnp.full(part.count, jnp.nan, jnp.float32)
    return Population(stack.init(part), score, stream(jax.random.key(config.random_seed), "population"))


def update(
    config: PopulationConfig, part: Stack, values: tuple[Array, ...], population: Population
) -> tuple[Population, dict[str, Array]]:
    """One update of every member: the population, and metrics {name: f32[M]}."""
    runner, metrics = stack.update(part, values, population.runner)
    day = part.program.world.static.ticks_per_day
    score = smoothed(population.score, metrics["reward/total"] * day, config.smoothing)
    hyper = {f"hyper/{name}": getattr(population.runner.hyper, name) for name in config.ranges}
    return population.replace(runner=runner, score=score), {**metrics, **hyper}


def lineage(rules: Rules, done: int, before: Population, after: Population, source: Array) -> list[rows.Row]:
    """A row for each member that copied: from whom, with which scores, and its values before and after."""
    told = jax.device_get((source, before.score, before.runner.hyper, after.runner.hyper))
    source, score, old, new = told
    values = lambda hyper, k: {name: float(getattr(hyper, name)[k]) for name in rules.names}
    return [
        {
            "update": done,
            "member": k,
            "source": int(source[k]),
            "score": rows.plain(score[k]),
            "source_score": rows.plain(score[source[k]]),
            "before": values(old, k),
            "after": values(new, k),
        }
        for k in range(len(source))
        if source[k] != k
    ]


def course_of(config: PopulationConfig) -> Course:
    """How a population is trained."""
    rules = rules_of(config.ranges, config.members, config.share, config.resample)
    change = jax.jit(evolve)

    def after(whole: Crowd, done: int, population: Population) -> Population:
        if done % config.updates_per_chunk or done == whole.total:
            return population
        changed, source = change(rules, population)
        rows.append(whole.folder / rows.LINEAGE, lineage(rules, done, population, changed, source))
        return changed

    return Course(init=partial(begin, config), update=lambda part: partial(update, config, part), after=after)


def crowd_of(folder: Path, config: PopulationConfig, document: Document, base: Document) -> Crowd:
    """A population that can be begun or continued.

    Raises:
        ConfigError, RunError: it is refused; all members must fit into memory at once.
    """
    whole = crowd.crowd_of(folder, config, document, base, members_of(config, base), 0)
    if whole.block < config.members:
        raise RunError(f"memory_gib {config.memory_gib:g} holds {whole.block} members, not {config.members} at once")
    return whole


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.population`."""
    title = "Train a population whose worst members copy the best."
    options = argparse.ArgumentParser("python -m train.population", description=title, allow_abbrev=False)
    options.add_argument("--config", help="a shipped population, or a YAML file")
    options.add_argument("--set", action="append", default=[], metavar="A=1", help="change the population")
    options.add_argument("--name", help="folder below --runs; the default is the population's name")
    options.add_argument("--runs", type=Path, default=Path("runs"), help="where folders are made")
    options.add_argument("--resume", type=Path, metavar="RUN", help="go on with the population in this folder")
    options.add_argument("--print-config", action="store_true", help="print the population, resolved, and stop")
    return options


def setup(options: argparse.Namespace) -> Crowd:
    """The population that the command line asks for.

    Raises:
        RunError: flags are missing or do not go together.
    """
    if options.resume:
        for flag in ("config", "set", "name"):
            if getattr(options, flag):
                raise RunError(f"--resume goes on with the population as it is: --{flag} cannot change it")
        if not (options.resume / SWEEP).is_file() or not (options.resume / BASE).is_file():
            raise RunError(f"{options.resume} holds no population ({SWEEP} and {BASE} are missing there)")
        document = read_yaml(options.resume / SWEEP)
        config = validate(PopulationConfig, document)
        return crowd_of(options.resume, config, document, base_of(config, options.resume))
    if not options.config:
        raise RunError("--config is missing: a shipped population, or a YAML file")
    name = (f"name={options.name}",) if options.name else ()
    config, document = load_shared(PopulationConfig, options.config, (*options.set, *name))
    return crowd_of(options.runs / config.name, config, document, base_of(config))


def main() -> None:
    """Run `python -m train.population`."""
    options = parser().parse_args()
    whole = setup(options)
    if options.print_config:
        print(dump(whole.document.tree) + "---\n# the training configuration\n" + dump(whole.base.tree), end="")
        return
    with runs.alone(whole.folder):
        if not options.resume:
            crowd.begin(whole)
        work(whole)


def work(whole: Crowd) -> None:
    """Learn, and write the best member as an ordinary run."""
    course, begun = course_of(whole.shared), time.perf_counter()
    asked = crowd.learn(whole, course)
    print(f"{whole.folder}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    if asked:
        print(f"stopped by {asked}; go on with: python -m train.population --resume {whole.folder}")
        sys.exit(130 if asked == "SIGINT" else 0)
    best, index = whole.folder / "best", crowd.best_of(whole)
    if not best.exists():
        crowd.export(whole, course, index, best)
    print(f"best     member {index}, {crowd.scores(whole)[index]:.2f} a day: python -m train.evaluate --run {best}")
    print(f"report   python -m train.report --sweep {whole.folder}")


if __name__ == "__main__":
    command(main)
