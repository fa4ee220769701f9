"""Many training runs in one compiled program: seeds, float hyper-parameters and numbers of the world.

    python -m train.sweep --config seeds_and_rates [--set seeds=4] [--resume runs/NAME] [--sweep runs/NAME --export-member 3]

What varies is `train/sweeps/members.py`, the program `train/sweeps/stack.py`, the folder `train/sweeps/crowd.py`.
"""

import argparse
import math
import sys
import time
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from townlet_jax.config.load import dump, read_yaml, validate

from . import runs
from .cli import command
from .logging import RunError
from .sweeps import crowd, stack
from .sweeps.crowd import Course, Crowd
from .sweeps.members import SWEEP, SweepConfig, base_of, load_shared, members_of

COURSE = Course(
    init=stack.init, update=lambda part: partial(stack.update, part), after=lambda whole, done, state: state
)


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.sweep`."""
    title = "Train many seeds and settings in one program."
    options = argparse.ArgumentParser("python -m train.sweep", description=title, allow_abbrev=False)
    options.add_argument("--config", help="a shipped sweep, or a YAML file")
    options.add_argument("--set", action="append", default=[], metavar="A=1", help="change the sweep")
    options.add_argument("--name", help="folder below --runs; the default is the sweep's name")
    options.add_argument("--runs", type=Path, default=Path("runs"), help="where folders are made")
    options.add_argument("--resume", type=Path, metavar="RUN", help="go on with the sweep in this folder")
    options.add_argument("--sweep", type=Path, metavar="RUN", help="whose member is written by --export-member")
    options.add_argument("--export-member", metavar="K", help="write this member, or the best, as an ordinary run")
    options.add_argument("--print-config", action="store_true", help="print the sweep, resolved, and stop")
    return options


def refuse_mixture(options: argparse.Namespace) -> None:
    """Refuse flags that do not go together.

    Raises:
        RunError: naming them.
    """
    old = options.resume or options.sweep
    if bool(options.sweep) != bool(options.export_member):
        raise RunError("--sweep and --export-member go together: --sweep runs/NAME --export-member 3")
    if options.resume and options.sweep:
        raise RunError("--resume and --sweep do not go together")
    if not old and not options.config:
        raise RunError("--config is missing: a shipped sweep, or a YAML file")
    for flag in ("config", "set", "name"):
        if old and getattr(options, flag):
            raise RunError(f"a sweep that was begun stays as it is: --{flag} cannot change it")
    if old and not (old / SWEEP).is_file():
        raise RunError(f"{old} holds no sweep ({SWEEP} is missing there)")


def fresh(options: argparse.Namespace) -> Crowd:
    """The sweep that the command line asks for."""
    name = (f"name={options.name}",) if options.name else ()
    config, document = load_shared(SweepConfig, options.config, (*options.set, *name))
    base = base_of(config)
    return crowd.crowd_of(options.runs / config.name, config, document, base, members_of(config, base), config.block)


def existing(folder: Path) -> Crowd:
    """The sweep of a folder.

    Raises:
        ConfigError, RunError: its files cannot be read, or are refused.
    """
    document = read_yaml(folder / SWEEP)
    config = validate(SweepConfig, document)
    base = base_of(config, folder)
    return crowd.crowd_of(folder, config, document, base, members_of(config, base), config.block)


def told(value: float) -> str:
    """A score in words."""
    return "diverged" if math.isnan(value) else f"{value:.2f}"


def table(whole: Crowd) -> Table:
    """The members with their scores, the best first."""
    found = crowd.scores(whole)
    shown = Table(
        title=f"{whole.folder}: {crowd.SCORE}, mean of the last {crowd.LAST_SHARE:.0%} of the updates", box=SIMPLE_HEAD
    )
    for head in ("member", "seed", "values", crowd.SCORE):
        shown.add_column(head, justify="left" if head == "values" else "right")
    order = sorted(range(len(found)), key=lambda k: (found[k] != found[k], -found[k]))
    for k in order[:20]:
        member = whole.members[k]
        shown.add_row(str(k), str(member.seed), member.group or "-", told(found[k]))
    return shown


def export(options: argparse.Namespace) -> None:
    """Write one member as an ordinary run."""
    whole, word = existing(options.sweep), options.export_member
    if word != "best" and not (word.isascii() and word.isdecimal()):
        raise RunError(f"--export-member {word} is not allowed (0 to {len(whole.members) - 1}, or best)")
    index = crowd.best_of(whole) if word == "best" else int(word)
    folder = crowd.export(whole, COURSE, index, options.sweep / "members" / f"{index:03d}")
    print(f"member {index}: python -m train.evaluate --run {folder}")


def main() -> None:
    """Run `python -m train.sweep`."""
    options = parser().parse_args()
    refuse_mixture(options)
    if options.export_member:
        return export(options)
    whole = existing(options.resume) if options.resume else fresh(options)
    if options.print_config:
        print(dump(whole.document.tree) + "---\n# the training configuration\n" + dump(whole.base.tree), end="")
        return
    with runs.alone(whole.folder):
        work(whole, options.resume is None)


def work(whole: Crowd, new: bool) -> None:
    """Begin or go on, learn, and show what came out."""
    if new:
        crowd.begin(whole)
    size = stack.member_bytes(whole.stack) * whole.block / stack.GIB
    print(f"{len(whole.members)} members in blocks of {whole.block}, about {size:.2f} GiB a block", file=sys.stderr)
    begun = time.perf_counter()
    asked = crowd.learn(whole, COURSE)
    print(f"{whole.folder}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    if asked:
        print(f"stopped by {asked}; go on with: python -m train.sweep --resume {whole.folder}")
        sys.exit(130 if asked == "SIGINT" else 0)
    Console(width=None if sys.stdout.isatty() else 100).print(table(whole))
    best = whole.folder / "best"
    if not best.exists():
        crowd.export(whole, COURSE, crowd.best_of(whole), best)
    print(f"report   python -m train.report --sweep {whole.folder}\nbest     python -m train.evaluate --run {best}")


if __name__ == "__main__":
    command(main)
