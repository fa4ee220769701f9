"""From a clone to a policy of its own: the teacher takes fewer and fewer decisions, then PPO goes on alone.

    python -m train.anneal --clone runs/bc_town [--name anneal_town] [--set mix=0.8] [--set anneal.until=0.5]
    python -m train.anneal --resume runs/anneal_town

At first `mix` of all decisions are the teacher's, and the loss has the cross entropy of what it would do with the weight `bc_coef`.
Both fall to 0 together over the share `anneal.until` of the run. They stand still while an indicator, averaged over `anneal.window`
updates, is more than `anneal.freeze_drop` below what the teacher reaches alone. After that it is plain PPO.

In the end the policy plays held-out towns against the citizen, who decides in every tick: `anneal_results.json`, and the exit code
0 (PASS) if it keeps the share `anneal.keep` of every indicator, 1 (HOLD) if the teacher's part never reached 0, 2 (FAIL) else.
"""

import argparse
import json
import signal
import sys
from collections import deque
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from townlet_jax import policies

from . import ppo, runs
from .bc import RESULT as CLONED
from .cli import command
from .config import load_config
from .evaluate import counted, evaluate, show, summary, table, write
from .logging import CONFIG, Row, Run, RunError, read_rows, vacant
from .players import memoryless
from .program import learned
from .session import learn
from .types import Runner

TEACHER, RESULT = "anneal.json", "anneal_results.json"
WATCHED = ("return_per_day", "attendance", "needs_ok")  # indicators that the policy is to keep, if the world has them
STEERING = ("return_per_day", "attendance")  # those of them that an update logs
VERDICTS = ("PASS", "HOLD", "FAIL")  # by exit code
BASE_TOWNS = 64  # in which the teacher plays alone, to know what is to be kept
DAYS = 5.0
NAME = "anneal"  # of a run, if none is given
DEFAULTS = ("teacher=scripted", "mix=0.8", "bc_coef=1.0")  # over the configuration of the clone


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.anneal`."""
    title = "Go from a teacher's decisions to one's own."
    options = argparse.ArgumentParser("python -m train.anneal", description=title, allow_abbrev=False)
    start = options.add_mutually_exclusive_group(required=True)
    start.add_argument("--clone", type=Path, metavar="RUN", help="begin with the policy of this run of train.bc")
    start.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    options.add_argument("--any-clone", action="store_true", help="also begin with a clone that missed its gate")
    options.add_argument("--set", action="append", default=[], metavar="A=1", help="change the clone's configuration")
    options.add_argument("--name", help="run folder below --runs; the default is anneal")
    options.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders are made")
    options.add_argument("--num-envs", type=int, default=256, help="held-out towns a seed in the end")
    options.add_argument("--seeds", type=int, default=3, help="held-out seeds in the end")
    options.add_argument("--no-pictures", action="store_true", help="write no curve.png, replay.npz and episode.gif")
    return options


class Steering:
    """Lowers `mix` and `bc_coef` after each update, unless an indicator has fallen too far.

    What it does follows from the runner and the logged rows alone, so that a resumed run is steered as an uninterrupted one.
    """

    def __init__(self, run: runs.Setup, teacher: dict[str, float]):
        self.config, self.num_updates, self.teacher = run.config, run.train.num_updates, teacher
        self.recent = deque(read_rows(run.folder), maxlen=run.config.anneal.window)

    def fallen(self) -> list[str]:
        """The indicators that are too far below the teacher's on average over the window."""
        mean = lambda name: sum(row[name] for row in self.recent) / len(self.recent)
        least = lambda name: self.teacher[name] - self.config.anneal.freeze_drop * abs(self.teacher[name])
        known = [name for name in STEERING if name in self.teacher and all(name in row for row in self.recent)]
        return [name for name in known if self.recent and mean(name) < least(name)]

    def __call__(self, runner: Runner, row: Row) -> Runner:
        """The runner with the mix of the next update."""
        self.recent.append(row)
        if self.fallen():
            return runner
        config, hyper = self.config, runner.hyper
        parts = ((hyper.mix, config.mix), (hyper.bc_coef, config.bc_coef))
        left = next((float(now) / first for now, first in parts if first), 0.0)  # they fall together: one tells both
        share = left - 1.0 / (config.anneal.until * self.num_updates)
        share = share if share > 1e-4 else 0.0  # what rounding leaves is nothing
        hyper = hyper.replace(mix=jnp.float32(share * config.mix), bc_coef=jnp.float32(share * config.bc_coef))
        return runner.replace(hyper=hyper)


def passed(path: Path) -> bool:
    """Whether a clone passed its gate, by its `bc.json`; a run that is no clone has none, and may begin all the same.

    Raises:
        RunError: the file is damaged.
    """
    try:
        return json.loads(path.read_text())["passed"] is True
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error!r}") from None


def prepared(options: argparse.Namespace) -> ppo.New:
    """A run that begins with a clone's weights; nothing is written yet.

    Raises:
        RunError: the clone missed its gate, or does not fit what is asked for.
        ConfigError: the configuration is wrong.
    """
    runs.keep_world(options.set, "the clone's")
    source = runs.existing(options.clone)
    if not options.any_clone and not passed(options.clone / CLONED):
        told = f"(see {options.clone / CLONED}): clone it better, or take it with --any-clone"
        raise RunError(f"{options.clone} missed its gate {told}")
    overrides = (*DEFAULTS, *options.set, f"name={options.name or NAME}")
    config, document = load_config(options.clone / CONFIG, overrides)
    run = runs.setup(options.runs / config.name, config, document, source.world_document)
    if config.teacher == runs.NOBODY:
        raise RunError("teacher 'none' teaches nothing: leave it out, or train with train.ppo")
    return ppo.New(run, *runs.begun_with(run, source))


def alone(run: runs.Setup) -> dict[str, float]:
    """What the teacher reaches when it decides as often as the policy does: indicator -> mean over towns."""
    players = {"teacher": runs.teacher_of(run.world, run.config)}
    found = evaluate(run.world, players, BASE_TOWNS, 1, round(DAYS * run.world.static.ticks_per_day))["teacher"]
    return {name: float(values.mean()) for name, values in found.items()}


def begin(new: ppo.New) -> Run:
    """Make the folder of a run, with what its teacher reaches alone."""
    vacant(new.run.folder)  # before the teacher plays
    teacher = json.dumps(alone(new.run), indent=1, allow_nan=False) + "\n"
    return runs.begin(new.run, new.runner, {**(new.files or {}), TEACHER: teacher})


def taught(run: runs.Setup) -> dict[str, float]:
    """What the teacher reached when the run began.

    Raises:
        RunError: the run was not begun by this command, or its file is damaged.
    """
    path = run.folder / TEACHER
    try:
        return {str(name): float(value) for name, value in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        raise RunError(f"{run.folder} was not begun by train.anneal: {TEACHER} is missing there") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def verdict(run: runs.Setup, runner: Runner, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What became of the policy, from the indicators of `learned` and `scripted` by name: {key: {"iqm": ...}}.

    An indicator is lost below theirs - (1 - keep) * |theirs|, so that one which is not above 0 counts, too.
    """
    pairs = {
        name: (found["learned"][name]["iqm"], found["scripted"][name]["iqm"])
        for name in WATCHED
        if name in found["scripted"]
    }
    may_lose = 1.0 - run.config.anneal.keep
    lost = [name for name, (ours, theirs) in pairs.items() if ours < theirs - may_lose * abs(theirs)]
    left = {"mix": float(runner.hyper.mix), "bc_coef": float(runner.hyper.bc_coef)}
    said = VERDICTS[2 if lost else 1 if any(left.values()) else 0]
    kept = {name: ours / theirs for name, (ours, theirs) in pairs.items() if theirs > 0}
    return {"verdict": said, "kept": kept, "lost": lost, **left}


def judge(run: runs.Setup, runner: Runner, options: argparse.Namespace) -> int:
    """Play held-out towns, print and write what came of it. Returns the exit code."""
    players = {"learned": learned(run.world, run.config, runner.params), "scripted": memoryless(policies.scripted)}
    num_ticks = round(DAYS * run.world.static.ticks_per_day)
    results = summary(evaluate(run.world, players, options.num_envs, options.seeds, num_ticks))
    result = {
        **verdict(run, runner, results["policies"]),
        "run": run.config.name,
        "updates": int(runner.update),
        "towns": options.num_envs * options.seeds,
        "days": DAYS,
        **results,
    }
    show(table(result))
    write(run.folder / RESULT, json.dumps(result, indent=1, allow_nan=False) + "\n")
    kept = ", ".join(f"{name} {max(share, 0):.0%}" for name, share in result["kept"].items()) or "no share of any"
    lost = f", too little of {', '.join(result['lost'])}" if result["lost"] else ""
    print(f"{result['verdict']}: of the citizen's indicators the policy keeps {kept}{lost}; {run.folder / RESULT}")
    return VERDICTS.index(result["verdict"])


def work(options: argparse.Namespace, run: runs.Setup, log: Run, runner: Runner) -> int:
    """Learn, and judge what was learned. Returns the exit code: the verdict's, or that of a signal."""
    runner, stopped = learn(run, log, runner, steer=Steering(run, taught(run)))
    if stopped:
        print(f"stopped by {stopped}; go on with: python -m train.anneal --resume {run.folder}")
        return 128 + signal.Signals[stopped].value
    if not options.no_pictures:
        ppo.pictures(run, runner)
    return judge(run, runner, options)


def main() -> None:
    """Run `python -m train.anneal`."""
    options = parser().parse_args()
    counted(num_envs=options.num_envs, seeds=options.seeds)
    if options.resume:
        if not options.resume.is_dir():
            raise RunError(f"{options.resume} holds no run")
        ppo.unchanged(options, "set", "name", "any_clone")
        with runs.alone(options.resume):
            sys.exit(work(options, *ppo.resume(options.resume)))
    new = prepared(options)
    with runs.alone(new.run.folder):
        sys.exit(work(options, new.run, begin(new), new.runner))


if __name__ == "__main__":
    command(main)
