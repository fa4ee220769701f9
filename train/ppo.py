"""One PPO run from the command line: begin or resume, learn, log, save, and show what was learned.

    python -m train.ppo --config ppo_town [--set learning_rate=1e-3] [--world-set num_agents=6]
    python -m train.ppo --resume runs/NAME
    python -m train.ppo --from runs/NAME [--step best] --name other [--set bc_coef=2]

The learner itself is `train/learner.py`.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import jax

from townlet_jax.config.load import dump

from . import runs
from .checkpoint import rewind, silent, to_stderr
from .cli import command
from .config import TrainConfig, load_config
from .episode import show
from .hardware import machines, memory
from .logging import CONFIG, Run, RunError, open_run, plot_curve, vacant
from .promotion.thresholds import Stability, load_gate
from .promotion.watch import watched
from .session import learn, scored
from .sharding import whole
from .types import Runner

DEFAULT = "ppo_town"
FIXED = ("config", "set", "world_set", "name", "step")  # flags that a resume refuses


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.ppo`."""
    options = argparse.ArgumentParser("python -m train.ppo", description="Train PPO on a town.", allow_abbrev=False)
    options.add_argument("--config", help="a shipped training configuration, or a YAML file; the default is ppo_town")
    options.add_argument("--set", action="append", default=[], metavar="A=1", help="change the configuration")
    options.add_argument("--world-set", action="append", default=[], metavar="A.B=1", help="change the world")
    options.add_argument("--name", help="run folder below --runs; the default is the configuration's name")
    options.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders are made")
    start = options.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    start.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="RUN",
        help="begin another run with the networks, the world and the configuration of this one",
    )
    options.add_argument(
        "--step", type=runs.step_of, help="checkpoint of --from, or best; the newest sound one if left out"
    )
    options.add_argument(
        "--watch", nargs="?", const="gate", metavar="GATE", help="tell what the canaries of a gate see"
    )
    options.add_argument(
        "--print-config", action="store_true", help="print configuration and world, resolved, and stop"
    )
    options.add_argument("--no-pictures", action="store_true", help="write no curve.png, replay.npz and episode.gif")
    machines.flags(options)
    return options


def configured(options: argparse.Namespace) -> runs.Setup:
    """The new run that the command line asks for, its world compiled; nothing is written, so that a refused run leaves no folder.

    Raises:
        RunError: flags that do not go together, or the run cannot be.
        ConfigError: the configuration is wrong.
    """
    name = (f"name={options.name}",) if options.name else ()
    if not options.source:
        if options.step is not None:
            raise RunError("--step belongs to --from")
        config, document = load_config(options.config or DEFAULT, (*options.set, *name))
        return runs.new(options.runs / config.name, config, document, tuple(options.world_set))
    if options.config or options.world_set:
        flag = "config" if options.config else "world-set"
        raise RunError(f"--from takes the configuration and the world of its run: --{flag} cannot be given, too")
    runs.keep_world(options.set, f"{options.source}'s")
    source = runs.existing(options.source)
    config, document = load_config(options.source / CONFIG, (*options.set, *name))
    return runs.setup(options.runs / config.name, config, document, source.world_document)


class New(NamedTuple):
    """A run that is to begin."""

    run: runs.Setup
    runner: Runner | None = None  # where it begins; None for a fresh one
    files: dict[str, str] | None = None  # what else belongs into its folder, name -> text


def planned(options: argparse.Namespace) -> New:
    """A new run, with the networks of another one if that is asked for; nothing is written yet.

    Raises:
        RunError: the run cannot be, its folder holds one, or those networks do not fit it.
        CheckpointError: they cannot be loaded.
    """
    run = configured(options)
    if run.config.best_by != TrainConfig().best_by:
        shapes = jax.eval_shape(run.train.init, jax.random.key(0))
        scored(run, jax.eval_shape(run.train.update, shapes)[1])
    if not options.source:
        return New(run)
    vacant(run.folder)
    report = to_stderr if machines.first() else silent
    return New(run, *runs.begun_with(run, runs.existing(options.source), options.step, report))


def begin(new: New) -> tuple[runs.Setup, Run, Runner]:
    """A run at its start: its folder is made now."""
    run = new.run
    saved = None if new.runner is None else whole(run.mesh, new.runner)
    with machines.agreed() as same:
        log, same["configuration"] = Run(run.folder), runs.texts(run)
        if machines.first():
            log = runs.begin(run, saved, new.files)
    announce(run)
    return run, log, runs.fresh(run) if new.runner is None else new.runner


def announce(run: runs.Setup) -> None:
    """Say how much memory an update will need, and warn if there is not so much."""
    here = 1 if run.mesh is None else len(run.mesh.local_devices)
    if machines.first():
        need = memory.estimate(run.world, run.config, 1 if run.mesh is None else run.mesh.size)
        print("\n".join(memory.report(need, here)), file=sys.stderr)


def unchanged(options: argparse.Namespace, *flags: str) -> None:
    """Refuse flags that would change a run which is to go on.

    Raises:
        RunError: names the first of them.
    """
    for flag in flags:
        if getattr(options, flag) not in (None, False, []):
            raise RunError(f"--resume goes on with the run as it is: --{flag.replace('_', '-')} cannot change it")


def resume(folder: Path) -> tuple[runs.Setup, Run, Runner]:
    """A run at its newest sound checkpoint, or at its start if it never finished saving one; what was logged after it is dropped.

    Raises:
        CheckpointError: there are checkpoints and none is sound; nothing is deleted then.
    """
    with machines.agreed() as same:
        run = runs.existing(folder, learns=True)
        store, runner, step = runs.checkpoints(run), None, 0
        if runs.finished_saves(run):
            runner, manifest = runs.load_runner(run, report=to_stderr if machines.first() else silent)
            step = manifest.step
        same["configuration"], same["checkpoint"] = runs.texts(run), step
    with machines.agreed():
        log = Run(run.folder)
        if machines.first():
            log = open_run(run.folder, runs.texts(run)[0], resume=True)
            rewind(store, step if runner is not None else -1)
            log.truncate_after(step)
    announce(run)
    return run, log, runs.fresh(run) if runner is None else runner


def pictures(run: runs.Setup, runner: Runner) -> None:
    """Draw the curve and an episode; without the packages for it, say so: the run itself is complete."""
    try:
        print(f"curve    {plot_curve(run.folder)}")
        print(f"picture  {show(run, jax.device_get(runner.params), run.folder)}")
    except RunError as error:
        print(f"no picture: {error}", file=sys.stderr)


def main() -> None:
    """Run `python -m train.ppo`."""
    options = parser().parse_args()
    with machines.joined(options):
        if options.print_config:
            print_config(options)
        else:
            train(options)


def print_config(options: argparse.Namespace) -> None:
    """Print configuration and world, resolved; of the run that --resume names, its own."""
    if options.resume:
        unchanged(options, *FIXED)
    run = runs.existing(options.resume) if options.resume else configured(options)
    if machines.first():
        print(dump(run.document.tree) + "---\n# the world\n" + runs.texts(run)[1], end="")


def train(options: argparse.Namespace) -> None:
    """Learn in a folder of one's own; of many processes the first one has it."""
    with ExitStack() as stack:
        with machines.agreed():
            limits = load_gate(options.watch).stability if options.watch else None
            if options.resume:
                unchanged(options, *FIXED)
                if not options.resume.is_dir():
                    raise RunError(f"{options.resume} holds no run")
            new = None if options.resume else planned(options)
            if machines.first():
                stack.enter_context(runs.alone(new.run.folder if new else options.resume))
        work(options, new, limits)


def work(options: argparse.Namespace, new: New | None, limits: Stability | None = None) -> None:
    """Begin a new run or resume one, learn, and show what was learned; with limits, watch."""
    run, log, runner = begin(new) if new else resume(options.resume)
    begun = time.perf_counter()
    watch = watched(run.folder, run.world, limits, run.train.num_updates) if machines.first() else None
    runner, asked = learn(run, log, runner, watch)
    done, total = int(runner.update), run.train.num_updates
    machines.leave()
    if not machines.first():
        return
    print(f"{run.folder}: {done} of {total} updates, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    if asked:
        print(f"stopped by {asked}; go on with: python -m train.ppo --resume {run.folder}")
        sys.exit(130 if asked == "SIGINT" else 0)
    if not options.no_pictures:
        pictures(run, runner)
    print(f"evaluate python -m train.evaluate --run {run.folder}\nreplay   python -m train.replay --run {run.folder}")


if __name__ == "__main__":
    command(main)
