"""Does a candidate become the release? It plays in the release's shadow, in the same held-out towns, window by window.

    python -m train.promote --run runs/NAME [--store promotions] [--windows 2] [--against scripted] [--variant-run runs/OTHER]
    python -m train.promote --rollback --reason "late shifts since Monday"

Ends with 0 PROMOTE, 1 HOLD or 2 FAIL; 2 is also what a user can get wrong. The gate is `configs/promotion/gate.yaml`.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from townlet_jax.types import World

from . import runs
from .cli import command
from .logging import RunError
from .players import Player
from .promotion import golden, releases
from .promotion.gates import FAIL, HOLD, PROMOTE, SCRIPTED, Candidate, candidate_of, decided, judge
from .promotion.shadow import Verdict
from .promotion.thresholds import Gate, load_gate
from .storage.manifest import now

CODES = {PROMOTE: 0, HOLD: 1, FAIL: 2}
SHOWN = ("return_per_day", "attendance", "collapses_per_day", "late_per_day", "switches_per_day")


def release(store: Path, world: World) -> Player:
    """The player of the release that is out.

    Raises:
        RunError: there is none, or it cannot play this world.
        CheckpointError: a file of it is damaged.
    """
    out = releases.current(store)
    if out is None:
        raise RunError(f"{store} has no release yet")
    return releases.player_of(releases.load(store, out.name), world)


def promote(store: Path, candidate: Candidate, gate: Gate) -> releases.Release:
    """Make a candidate the release: record its golden rollouts, copy it into the store, put it out."""
    before, memory = releases.current(store), gate.memory
    rollouts = golden.record(candidate.run.world, candidate.player, gate.seed, memory.towns, memory.days)
    previous = before.name if before else None
    made = releases.export(store, candidate.run, candidate.params, candidate.step, rollouts, previous)
    releases.load(store, made.name)  # what cannot be read back is not put out
    releases.put_out(store, made)
    releases.prune(store, gate.keep_releases)
    return made


def roll_back(store: Path, reason: str) -> str:
    """Bring the release before the present one back. Returns what was done, in words.

    Raises:
        RunError: there is none before it.
        CheckpointError: a file of it is damaged; the present one stays out.
    """
    out = releases.current(store)
    if out is None or out.previous is None:
        raise RunError(f"{store} has no {'release' if out is None else 'release before ' + out.name} to go back to")
    back = releases.load(store, out.previous).release
    releases.put_out(store, back)
    (store / releases.SHADOW).unlink(missing_ok=True)  # its windows were won against another release
    line = {"state": "rolled_back", "run": back.run, "step": back.step, "policy": back.policy, "release": back.name}
    releases.note(store, {**line, "from": out.name, "reasons": [reason or "no reason given"]})
    return f"rolled back from {out.name} to {back.name}, run {back.run!r} step {back.step}"


def table(verdicts: list[Verdict]) -> Table:
    """The windows as a table: candidate / release."""
    shown = Table(title="candidate / release, by window", box=SIMPLE_HEAD)
    shown.add_column("")
    for number in range(1, len(verdicts) + 1):
        shown.add_column(str(number), justify="right")
    for key in SHOWN:
        if key in verdicts[0].mine:
            cells = [f"{verdict.mine[key]:.3f} / {verdict.theirs[key]:.3f}" for verdict in verdicts]
            shown.add_row(key.replace("_", " "), *cells)
    shown.add_row("alerts", *[", ".join(alert.name for alert in verdict.alerts) or "-" for verdict in verdicts])
    shown.add_row("won", *["yes" if verdict.won else "no" for verdict in verdicts])
    return shown


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.promote`."""
    title = "Judge a candidate against the release, promote it, or roll back."
    options = argparse.ArgumentParser("python -m train.promote", description=title, allow_abbrev=False)
    options.add_argument("--run", type=Path, help="the run folder of the candidate")
    options.add_argument(
        "--step", type=runs.step_of, help="its checkpoint, or best; the default is the newest sound one"
    )
    options.add_argument("--store", type=Path, default=Path("promotions"), help="the folder of releases")
    options.add_argument("--config", default="gate", help="a shipped gate, or a YAML file; the default is gate")
    options.add_argument("--set", action="append", default=[], metavar="A.B=1", help="change the gate")
    options.add_argument("--windows", type=int, help="windows to play; the default is the gate's required_passes")
    options.add_argument("--against", choices=("release", SCRIPTED), default="release", help="who is to be beaten")
    options.add_argument("--variant-run", type=Path, help="a run on another observation variant, to compare with")
    options.add_argument("--dry-run", action="store_true", help="judge, but write nothing")
    options.add_argument("--rollback", action="store_true", help="bring the previous release back")
    options.add_argument("--reason", default="", help="why, for the history")
    return options


def checked(options: argparse.Namespace) -> None:
    """Refuse options that do not fit together, and numbers out of range.

    Raises:
        RunError: naming the option, its value and what is allowed.
    """
    if options.reason and not options.rollback:
        raise RunError("--reason belongs to --rollback")
    if options.rollback == (options.run is not None):
        raise RunError("one of --run and --rollback is needed, and not both")
    for flag in ("step", "windows", "variant_run", "dry_run"):
        if options.rollback and getattr(options, flag) not in (None, False):
            raise RunError(f"--{flag.replace('_', '-')} belongs to --run")
    if options.windows is not None and not 1 <= options.windows <= 1000:
        raise RunError(f"--windows {options.windows} is not allowed (1 to 1000)")
    for folder in (options.run, options.variant_run):
        if folder is not None:  # before a store is made
            runs.occupied(folder)


def work(options: argparse.Namespace) -> str:
    """Judge a candidate, tell, and write down what was decided. Returns the decision."""
    store, gate = options.store, load_gate(options.config, tuple(options.set))
    releases.history(store)  # a damaged one is told before anything is played
    present = releases.current(store)
    out, candidate = present and releases.load(store, present.name), candidate_of(options.run, options.step)
    if out and out.release.policy == candidate.policy:
        raise RunError(f"step {candidate.step} of {options.run} is the release already ({out.release.name})")
    scripted, count = options.against == SCRIPTED, options.windows or gate.required_passes
    judgement = judge(store, candidate, out, gate, scripted, options.variant_run, count)
    decision, state, reasons = decided(judgement, gate.required_passes)
    Console(width=None if sys.stdout.isatty() else 100).print(table(judgement.verdicts))
    print("\n".join([*judgement.notes, *(f"{decision}: {reason}" for reason in reasons)]))
    if options.dry_run:
        return decision
    who = {"run": candidate.run.config.name, "step": candidate.step, "policy": candidate.policy}
    windows = {"streak": judgement.streak, "windows": len(judgement.verdicts), "batch": judgement.batch}
    windows |= judgement.terms._asdict()
    if decision == PROMOTE:
        made = promote(store, candidate, gate)
        windows["release"] = made.name
        print(f"{store / releases.RELEASES / made.name}: sha256 of the policy {made.policy}")
    releases.seal(store / releases.SHADOW, {**who, **windows, "state": state, "when": now()})
    releases.note(store, {"state": state, **who, **windows, "decision": decision, "reasons": reasons})
    return decision


def main() -> None:
    """Run `python -m train.promote`."""
    options = parser().parse_args()
    checked(options)
    if options.rollback and not options.store.is_dir():
        raise RunError(f"{options.store} is no store of releases: nothing was promoted into it yet")
    with nullcontext() if options.dry_run else runs.alone(options.store, "at work in"):
        if not options.dry_run:
            releases.settle(options.store)
        if options.rollback:
            print(roll_back(options.store, options.reason))
            return
        decision = work(options)
    sys.exit(CODES[decision])


if __name__ == "__main__":
    command(main)
