"""From the home sandbox to the whole town: one learner climbs the stages of a curriculum, each a run folder of its own.

    python -m train.curriculum --config curriculum [--set ppo.num_envs=64] [--resume runs/NAME] [--advance | --hold | --stage m2]

A stage ends when its gate has held for some windows of updates in a row, or at its budget (`curricula/windows.py`). What was
learned is carried into the next one by name (`curricula/transfer.py`). What happened and why stands in stages.jsonl
(`curricula/chronicle.py`).
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from townlet_jax.config.load import dump

from . import runs
from .cli import command
from .curricula.chronicle import (
    DERIVED,
    STAGES,
    Event,
    order_event,
    orders_of,
    read_events,
    take_order,
    this_visit,
    window_event,
    write_events,
)
from .curricula.climb import begin_event, check, enter, limits_of
from .curricula.ladder import plot_curriculum
from .curricula.stages import Plan, load_plan
from .curricula.windows import ADVANCE, AUTO, HOLD, Tally, Verdict, judge
from .logging import Row, RunError, plot_curve, read_rows, vacant, write_whole
from .promotion.thresholds import Stability, load_gate
from .promotion.watch import watched
from .session import learn

DEFAULT, PLAN = "curriculum", "curriculum.yaml"


class Climb(NamedTuple):
    """A curriculum that runs."""

    plan: Plan
    folder: Path
    pictures: bool
    watch: Stability | None  # limits of the canaries that look at every stage


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.curriculum`."""
    title = "Train one learner through the stages of a curriculum."
    options = argparse.ArgumentParser("python -m train.curriculum", description=title, allow_abbrev=False)
    options.add_argument("--config", help="a shipped curriculum, or a YAML file; the default is curriculum")
    options.add_argument("--set", action="append", default=[], metavar="A=1", help="change the curriculum")
    options.add_argument("--name", help="folder below --runs; the default is the curriculum's name")
    options.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders are made")
    options.add_argument("--resume", type=Path, metavar="RUN", help="go on with the curriculum in this folder")
    orders = options.add_mutually_exclusive_group()
    orders.add_argument("--stage", metavar="NAME", help="begin with this stage, or with --resume go on with it now")
    orders.add_argument("--advance", action="store_true", help="with --resume: go on with the next stage now")
    orders.add_argument("--hold", action="store_true", help="stay in the present stage, whatever its gate says")
    orders.add_argument("--auto", action="store_true", help="with --resume: let the gate decide again")
    options.add_argument(
        "--watch", nargs="?", const="gate", metavar="GATE", help="tell what the canaries of a gate see in each stage"
    )
    options.add_argument("--print-config", action="store_true", help="print the curriculum, resolved, and stop")
    options.add_argument("--no-pictures", action="store_true", help="draw no curves")
    return options


def planned(options: argparse.Namespace) -> Climb:
    """The curriculum that the command line asks for, checked as far as can be without learning.

    Raises:
        ConfigError: it is not one.
        RunError: flags that do not go together, no such stage, or no such folder.
    """
    if options.resume:
        for flag in ("config", "set", "name"):
            if getattr(options, flag):
                raise RunError(f"--resume goes on with the curriculum as it is: --{flag} cannot change it")
        if not (options.resume / PLAN).is_file():
            raise RunError(f"{options.resume} holds no curriculum ({PLAN} is missing there)")
        plan, folder = load_plan(options.resume / PLAN), options.resume
    else:
        name = (f"name={options.name}",) if options.name else ()
        plan = load_plan(options.config or DEFAULT, (*options.set, *name))
        folder = options.runs / plan.curriculum.name
    if options.stage and options.stage not in plan.names:
        raise RunError(f"--stage {options.stage} is no stage (allowed: {', '.join(plan.names)})")
    if not options.resume and (options.advance or options.auto):
        raise RunError(f"--{'advance' if options.advance else 'auto'} needs --resume: nothing runs yet")
    limits = load_gate(options.watch).stability if options.watch else None
    return Climb(plan, folder, not options.no_pictures, limits)


def prepare(climb: Climb, options: argparse.Namespace) -> str:
    """Write down the curriculum and its first stage. Returns the order of the command line that is to be carried out, if any.

    Raises:
        RunError: the folder holds something already, its events are damaged, or the disk refuses.
    """
    plan, folder = climb.plan, climb.folder
    if not options.resume:
        vacant(folder, PLAN)
        write_whole(folder / PLAN, dump(plan.document.tree))
    word = ADVANCE if options.advance else HOLD if options.hold else AUTO if options.auto else ""
    events = read_events(folder)
    if events and not this_visit(events):
        raise RunError(f"{folder / STAGES} is damaged: no stage begins there")
    for event in events:
        for name in (event.get("stage"), event.get("next")):
            if name and name not in plan.names:
                raise RunError(f"{folder / STAGES}: there is no stage {name!r} (allowed: {', '.join(plan.names)})")
    if not events:
        write_events(folder, [begin_event(plan, [], folder, options.stage or plan.names[0])])
    elif events[-1]["event"] != "end":
        return options.stage or word
    elif options.stage:
        write_events(folder, [*events[:-1], {**events[-1], "next": options.stage}])
    return "" if word == ADVANCE else word  # it has just advanced


def stand(climb: Climb, run: runs.Setup, tally: Tally, events: list[Event]) -> tuple[Verdict, list[Event]]:
    """How the stage stands, and all events: orders are taken, and windows that are full now are noted and told."""
    visit, stage = this_visit(events), this_visit(events)[0]["stage"]
    before = len(events)
    events = take_order(climb.folder, climb.plan.names, events, tally.done)
    for event in events[before:]:
        print(f"{stage}: order {event['word']} after update {event['update']}", file=sys.stderr)
    visit = this_visit(events)
    verdict = judge(tally, orders_of(visit), limits_of(climb.plan, run))
    known = sum(event["event"] == "window" for event in visit)
    limits = climb.plan.curriculum.gates.get(stage, {})
    for window in verdict.windows[known:]:
        decisions = visit[0]["agent_decisions"] + window.last * run.train.steps_per_update
        events = [*events, window_event(stage, window, limits, decisions)]
        write_events(climb.folder, events)
        print(told(stage, events[-1]), file=sys.stderr)
    return verdict, events


def told(stage: str, event: Event) -> str:
    """A window in one line."""
    means = ", ".join(
        f"{key} {each['mean']:.4g} {'is' if each['holds'] else 'is not'} {each['limit']}"
        for key, each in event["gate"].items()
    )
    return f"{stage} updates {event['updates'][0]}-{event['updates'][1]}: {means} (streak {event['streak']})"


def cleared(climb: Climb, done: int) -> list[Event]:
    """The events, without windows that lie behind the update from which a stage goes on; they will come again."""
    events = read_events(climb.folder)
    visit = this_visit(events)
    later = lambda event: event["event"] in DERIVED and event.get("updates", (0, done + 1))[1] > done
    kept = [event for event in visit if not later(event)]
    events = [*events[: len(events) - len(visit)], *kept]
    write_events(climb.folder, events)
    return events


def live(climb: Climb, word: str) -> tuple[Verdict, str]:
    """Learn in the present stage until it ends, or somebody asks to stop.

    Args:
        climb: the curriculum.
        word: an order to begin with, or nothing.

    Returns:
        How the stage stands, and the name of the signal if any.
    """
    begun, asked = this_visit(read_events(climb.folder))[0], ""
    with runs.alone(climb.folder / begun["folder"]):
        run, log, runner = enter(climb.plan, climb.folder, begun)
        tally = Tally(climb.plan.gate(begun["stage"]), limits_of(climb.plan, run).window, read_rows(run.folder))
        events = cleared(climb, tally.done)
        if word:
            events = [*events, order_event(tally.done, word)]
            write_events(climb.folder, events)
        verdict, events = stand(climb, run, tally, events)
        canaries = watched(run.folder, run.world, climb.watch, run.train.num_updates)

        def follow(row: Row) -> bool:
            """Whether the stage is over with this row."""
            nonlocal verdict, events
            tally.add(row)
            if canaries:
                canaries(row)
            verdict, events = stand(climb, run, tally, events)
            return bool(verdict.why)

        if not verdict.why:
            print(f"{begun['stage']}: {run.train.num_updates} updates at most, in {run.config.world}", file=sys.stderr)
            _, asked = learn(run, log, runner, follow)
    if verdict.why:
        conclude(climb, begun, tally.done, verdict)
    return verdict, asked


def conclude(climb: Climb, begun: Event, done: int, verdict: Verdict) -> None:
    """Note how a stage ended, and draw."""
    stage, events = begun["stage"], read_events(climb.folder)
    follows = verdict.next or climb.plan.after(stage)
    kind = {"event": "miss"} if verdict.missed else {"event": "end", "next": follows}
    write_events(climb.folder, [*events, {**kind, "stage": stage, "update": done, "why": verdict.why}])
    print(f"{stage}: {done} updates; {verdict.why}", file=sys.stderr)
    if not climb.pictures:
        return
    try:
        if done:
            plot_curve(climb.folder / begun["folder"])
        print(f"curve    {plot_curriculum(climb.folder, climb.plan, read_events(climb.folder))}")
    except RunError as error:
        print(f"no picture: {error}", file=sys.stderr)


def work(climb: Climb, word: str) -> int:
    """Climb from where the events end, with an order to begin with. Returns the exit code: 1 if a stage missed its gate."""
    while True:
        events = read_events(climb.folder)
        last = events[-1]
        if last["event"] == "end":
            if not last["next"]:
                folder = climb.folder / this_visit(events)[0]["folder"]
                print(f"complete; evaluate python -m train.evaluate --run {folder}")
                return 0
            write_events(climb.folder, [*events, begin_event(climb.plan, events, climb.folder, last["next"])])
        verdict, asked = live(climb, word)
        word = ""
        if asked:
            print(f"stopped by {asked}; go on with: python -m train.curriculum --resume {climb.folder}")
            return 130 if asked == "SIGINT" else 0
        if verdict.missed:
            again = f"python -m train.curriculum --resume {climb.folder} --advance"
            print(f"{verdict.why}; go on with: {again} (or --stage NAME)", file=sys.stderr)
            return 1


def main() -> None:
    """Run `python -m train.curriculum`."""
    options = parser().parse_args()
    climb = planned(options)
    if options.print_config:
        print(dump(climb.plan.document.tree), end="")
        return
    if not options.resume:
        check(climb.plan, climb.folder)
    with runs.alone(climb.folder, "climbing in"):
        code = work(climb, prepare(climb, options))
    sys.exit(code)


if __name__ == "__main__":
    command(main)
