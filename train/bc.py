"""Behaviour cloning from the command line: learn to do what a dataset's policy did.

    python -m train.capture --policy scripted --every 15 --num-envs 256 --days 5 --out data/scripted
    python -m train.bc --data data/scripted --config bc_town
    python -m train.evaluate --run runs/bc_town
    python -m train.ppo --resume runs/bc_town

What is left behind is a run that has not been updated yet: evaluate it, replay it, or go on with PPO. `bc.jsonl` has a row for each
epoch, `bc.json` the verdict. The exit code is 1 if the accuracy on the held-out towns is below `bc.gate`.

Each epoch is saved: after a signal or a kill the same command goes on from the last one, bit for bit.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from townlet_jax.config.load import read_yaml

from . import runs
from .checkpoint import Store, finished, open_store, restore, save
from .cli import Stop, command
from .cloning import Cloning, Learner, cloning, epoch, held_out
from .config import TrainConfig, load_config
from .datasets import shards
from .datasets.dataset import Dataset, open_dataset, split
from .logging import Row, RunError, vacant
from .storage.agreement import agree
from .types import Runner

DEFAULT = "bc_town"
ROWS, RESULT = "bc.jsonl", "bc.json"
CLONING = "cloning"  # the folder of its epochs in that of the run, until the clone is complete
FORBIDDEN = 0.01  # share of the recorded decisions that may be actions which the policy may not take


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.bc`."""
    title = "Clone the behaviour in a dataset."
    options = argparse.ArgumentParser("python -m train.bc", description=title, allow_abbrev=False)
    options.add_argument("--data", type=Path, required=True, help="a dataset of train.capture")
    options.add_argument("--config", help="a shipped training configuration, or a YAML file; the default is bc_town")
    options.add_argument("--set", action="append", default=[], metavar="A=1", help="change the configuration")
    options.add_argument("--name", help="run folder below --runs; the default is the configuration's name")
    options.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders are made")
    return options


def setup(options: argparse.Namespace, dataset: Dataset) -> runs.Setup:
    """A run in the dataset's own world that has not begun; nothing is written yet. Its configuration names that world.

    Raises:
        RunError: decisions of the dataset are of another length than those of the configuration, another world is asked for, or the
            dataset has no values to learn from.
        ConfigError: the configuration is wrong, or does not fit the world.
    """
    runs.keep_world(options.set, "the dataset's")
    name = (f"name={options.name}",) if options.name else ()
    place = (f"world={json.dumps(str(dataset.folder / shards.WORLD))}", "world_set=[]")
    config, document = load_config(options.config or DEFAULT, (*options.set, *name, *place))
    every = dataset.schema.ticks_per_decision
    if config.ticks_per_decision != every:
        raise RunError(
            f"ticks_per_decision {config.ticks_per_decision} is not that of {dataset.folder}, {every}:"
            f" capture with --every {config.ticks_per_decision}, or --set ticks_per_decision={every}"
        )
    values_known(config, dataset)
    return runs.setup(options.runs / config.name, config, document, read_yaml(dataset.folder / shards.WORLD))


def values_known(config: TrainConfig, dataset: Dataset) -> None:
    """Refuse a dataset whose policies expected nothing, or in another scale than the learner's, where values are learned from them.

    Raises:
        RunError: names the policy, or the scale.
    """
    for sample in dataset.manifest.samples if config.bc.value == "teacher" else ():
        if sample.policy.split()[0] in ("scripted", "random"):
            raise RunError(f"bc.value 'teacher': the policy {sample.policy!r} of {dataset.folder} expects nothing")
        if sample.reward_scale != config.reward_scale:
            raise RunError(
                f"bc.value 'teacher': the values of {dataset.folder} have reward_scale {sample.reward_scale}, the"
                f" configuration has {config.reward_scale}: --set reward_scale={sample.reward_scale}"
            )


def program_for(run: runs.Setup, learns: Dataset) -> Cloning:
    """How a run learns from a dataset.

    Raises:
        RunError: there are fewer towns than a batch has.
    """
    config = run.config
    batches = sum(len(pick) for pick in learns.picks) // config.bc.num_towns
    if not batches:
        raise RunError(
            f"bc.num_towns {config.bc.num_towns} is more than the {learns.num_towns} towns to learn from: lower it with --set"
        )
    per_epoch = batches * -(-learns.schema.timesteps // config.bc.num_steps)
    return cloning(run.world, config, per_epoch * config.bc.epochs)


def standing(run: runs.Setup, program: Cloning, store: Store, whose: dict[str, Any]) -> tuple[Learner, list[Row]]:
    """Where the clone stands: at its start, or after the last epoch that was saved; and the rows so far.

    Raises:
        CheckpointError: what was saved is of another clone, or none of it is sound.
    """
    params = runs.fresh(run).params
    learner = Learner(params, program.optimiser.init(params))
    if not finished(store.folder):
        return learner, []
    fits = lambda manifest: agree(whose, manifest.meta, f"the unfinished clone in {store.folder}")
    learner, manifest = restore(store, learner, agree=fits)
    print(f"goes on after epoch {manifest.step}", file=sys.stderr)
    return learner, manifest.meta[ROWS]


def clone(run: runs.Setup, learns: Dataset, tests: Dataset) -> tuple[Any, list[Row], str]:
    """Learn for all epochs, from where the clone stands, or until somebody asks to stop; each epoch is saved.

    Returns:
        The weights, a row for each epoch, and the name of the signal if any.

    Raises:
        RunError: the dataset's policy did what this one may not do.
        CheckpointError: an epoch cannot be saved, or what was saved cannot be used.
    """
    config, program = run.config, program_for(run, learns)
    store, whose = open_store(run.folder / CLONING, keep=2), {**runs.identity(run), "samples": samples(learns)}
    learner, rows = standing(run, program, store, whose)
    with Stop() as stop:
        for number in range(len(rows) + 1, config.bc.epochs + 1):
            begun = time.perf_counter()
            learner, seen = epoch(program, learner, learns, number - 1)
            if seen["forbidden"] > FORBIDDEN:
                raise RunError(
                    f"{seen['forbidden']:.0%} of the decisions in {learns.folder} are actions that"
                    f" actions={config.actions!r} forbids"
                )
            unseen = held_out(program, learner.params, tests)
            rows = [*rows, {"epoch": number, **seen, **{f"held_out/{name}": value for name, value in unseen.items()}}]
            save(store, number, learner, {**whose, ROWS: rows})
            print(
                f"epoch {number} of {config.bc.epochs}: loss {seen['loss']:.3f}, accuracy {seen['accuracy']:.3f},"
                f" held out {unseen['accuracy']:.3f}, {time.perf_counter() - begun:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            if stop.asked:
                break
    return learner.params, rows, stop.asked if len(rows) < config.bc.epochs else ""


def samples(dataset: Dataset) -> dict[str, str]:
    """The shards of a dataset, name -> sha256."""
    return {sample.sample: sample.sha256 for sample in dataset.manifest.samples}


def write(run: runs.Setup, runner: Runner, rows: list[Row], result: dict[str, Any]) -> None:
    """The folder of the run, with a checkpoint of it at its start; whole or not at all.

    Raises:
        RunError: the folder cannot be written.
        CheckpointError: the checkpoint cannot.
    """
    ordered = [{"epoch": row["epoch"], **dict(sorted(row.items()))} for row in rows]  # a checkpoint forgets the order
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in ordered)
    runs.begin(run, runner, {ROWS: lines, RESULT: json.dumps(result, indent=1, allow_nan=False) + "\n"})


def main() -> None:
    """Run `python -m train.bc`."""
    options = parser().parse_args()
    dataset = open_dataset(options.data)
    run = setup(options, dataset)
    with runs.alone(run.folder):
        vacant(run.folder)
        learns, tests = split(dataset, run.config.bc.held_out, run.config.seed)
        params, rows, asked = clone(run, learns, tests)
        if asked:
            print(f"stopped by {asked} after epoch {len(rows)} of {run.config.bc.epochs}; the same command goes on")
            sys.exit(128 + signal.Signals[asked].value)
        runner = runs.fresh(run).replace(params=params)
        accuracy, gate = rows[-1]["held_out/accuracy"], run.config.bc.gate
        passed = accuracy >= gate
        result = {
            "dataset": str(options.data),
            "samples": samples(dataset),
            "towns": learns.num_towns,
            "held_out_towns": tests.num_towns,
            "held_out_accuracy": accuracy,
            "gate": gate,
            "passed": passed,
            "last_epoch": rows[-1],
        }
        write(run, runner, rows, result)
        shutil.rmtree(run.folder / CLONING)
    print(f"held-out accuracy {accuracy:.3f} in {tests.num_towns} towns, {'at least' if passed else 'below'} {gate:g}")
    if passed:
        print(f"go on    python -m train.anneal --clone {run.folder}, or python -m train.ppo --resume {run.folder}")
    else:
        print(
            "more towns to learn from, more bc.epochs or a larger network may help; train.anneal wants --any-clone now"
        )
    print(f"evaluate python -m train.evaluate --run {run.folder}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    command(main)
