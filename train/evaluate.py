"""How good is a run? Learned, scripted and random citizens in the same held-out towns, thousands in one program.

    python -m train.evaluate --run runs/NAME [--num-envs 256] [--seeds 3] [--days 5]
    python -m train.evaluate --run runs/A --run runs/B --world town --vary systems.economy.rent=0.5,1.0,1.4
    python -m train.evaluate --vary citizen.urgent=0.3,0.5,0.7 --vary citizen.early=0.7,0.8,0.9

The first writes evaluation.json into the run folder and prints a table: interquartile means over towns with 95 % bootstrap
intervals (Agarwal et al. 2021, https://arxiv.org/abs/2108.13264). The others are sweeps: every policy in every world with every
value, as many as share shapes and code in one program; they write sweep.json, sweep.csv and sweep.png.
"""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from townlet_jax import policies
from townlet_jax.types import Key, World

from . import runs
from .cli import command
from .evaluation import grid, heatmap, sheets, stacking
from .evaluation.scores import RARE, SHOWN, held_out_keys, town_kpis, town_sums
from .evaluation.statistics import overlap, probability_of_improvement
from .logging import RunError, disk, write_whole
from .players import Player, memoryless
from .program import learned

RESULT = "evaluation.json"
SWEEP = "sweep"  # the name of its files, before their endings
MOST = {"num_envs": 10**6, "seeds": 1000, "max_towns": 10**6}


@partial(jax.jit, static_argnames="num_ticks")
def play(world: World, keys: Key, player: Player, num_ticks: int) -> dict[str, jax.Array]:
    """`town_sums` of many towns, name -> f32[towns]; played again without compiling if only numbers differ."""
    return jax.vmap(lambda key: town_sums(world, player, num_ticks, key))(keys)


def evaluate(
    world: World, players: dict[str, Player], num_envs: int, seeds: int, num_ticks: int, most: int = stacking.MOST_TOWNS
) -> dict[str, dict[str, np.ndarray]]:
    """Let every policy play the same held-out towns.

    Args:
        world: the world.
        players: by name.
        num_envs: towns a seed.
        seeds: how many held-out seeds.
        num_ticks: ticks a town.
        most: towns at once.

    Returns:
        name -> indicator -> f64[seeds * num_envs]; attendance only of towns in which a shift was due.
    """
    keys, results = held_out_keys(num_envs, seeds), {}
    together = stacking.chunks(len(keys), stacking.sizes(1, len(keys), most)[1])
    for name, player in players.items():
        print(f"{name}: {len(keys)} towns, {num_ticks} ticks each ...", file=sys.stderr, flush=True)
        parts = [jax.device_get(play(world, keys[np.array(some)], player, num_ticks=num_ticks)) for some in together]
        sums = jax.tree.map(lambda *each: np.concatenate(each)[: len(keys)], *parts)
        results[name] = town_kpis(world, sums)
    return results


def summary(results: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Every indicator of every policy as `sheets.told` sums it up, and how the learned one compares."""
    rows = {name: {key: sheets.told(key, values) for key, values in found.items()} for name, found in results.items()}
    returns = {name: found["return_per_day"] for name, found in results.items()}
    against = {
        other: {
            "probability_of_improvement": float(probability_of_improvement(returns["learned"], returns[other])),
            "intervals_overlap": overlap(
                tuple(rows["learned"]["return_per_day"]["interval"]), tuple(rows[other]["return_per_day"]["interval"])
            ),
        }
        for other in returns
        if other != "learned"
    }
    return {"policies": rows, "learned_against": against}


def table(result: dict[str, Any]) -> Table:
    """The result as a table; collapses and exits are means with theirs, since most towns have none."""
    shown = Table(
        title=f"{result['towns']} held-out towns, {result['days']:g} days: IQM [95 % interval]", box=SIMPLE_HEAD
    )
    shown.add_column("")
    for name in result["policies"]:
        shown.add_column(name, justify="right", no_wrap=True)
    for key in SHOWN:
        cells = []
        for found in result["policies"].values():
            cells.append(sheets.text(key, found) + " (mean)" * (key in RARE and key in found))
        shown.add_row(key.replace("_", " "), *cells)
    return shown


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.evaluate`."""
    title = "Evaluate runs and scripts on held-out towns, in one world or many."
    options = argparse.ArgumentParser("python -m train.evaluate", description=title, allow_abbrev=False)
    add = options.add_argument
    add(
        "--run",
        type=Path,
        action="append",
        default=[],
        help="a run folder; alone, it is compared with script and chance",
    )
    add("--policy", action="append", default=[], choices=grid.POLICIES, help="a policy that needs no run, in a sweep")
    add(
        "--world",
        action="append",
        default=[],
        metavar="NAME",
        help="sweep: play in this world instead of that of the run",
    )
    add("--world-set", action="append", default=[], metavar="KEY=VALUE", help="sweep: change all worlds")
    varied = "sweep: the values of a world's parameter in turn, or of a threshold of the script, such as citizen.urgent"
    add("--vary", action="append", default=[], metavar="KEY=VALUE,...", help=varied)
    tuned = f"sweep: what the picture shows and the script is tuned for; the default is {SHOWN[0]}"
    add("--indicator", choices=SHOWN, help=tuned)
    add("--out", type=Path, help="sweep: the folder of its files; the default is that of the only run, else runs/sweep")
    add(
        "--max-towns",
        type=int,
        default=stacking.MOST_TOWNS,
        help="towns that are played at once, for the memory",
    )
    add("--step", type=runs.step_of, help="checkpoint to evaluate, or best; the default is the newest sound one")
    add("--num-envs", type=int, default=256, help="towns a seed")
    add("--seeds", type=int, default=3, help="held-out seeds")
    add("--days", type=float, default=5.0, help="days a town")
    add("--greedy", action="store_true", help="take the likeliest action instead of drawing one")
    return options


def sweeping(options: argparse.Namespace) -> bool:
    """Whether a sweep is asked for: anything but one run in its own world."""
    return len(options.run) != 1 or bool(options.policy or options.world or options.world_set or options.vary)


def checked(options: argparse.Namespace) -> None:
    """Refuse numbers out of range, and options that would do nothing.

    Raises:
        RunError: naming the option, its value and what is allowed.
    """
    counted(num_envs=options.num_envs, seeds=options.seeds, max_towns=options.max_towns)
    if not 0 < options.days <= 1000:
        raise RunError(f"--days {options.days} is not allowed (above 0, at most 1000)")
    if options.step is not None and not options.run:
        raise RunError(f"--step {options.step} is about runs: name one with --run")
    if options.greedy and not options.run:
        raise RunError("--greedy is about runs: name one with --run")
    for flag in ("out", "indicator"):
        if getattr(options, flag) and not sweeping(options):
            allowed = "with --policy, --world, --world-set, --vary or another --run"
            raise RunError(f"--{flag} {getattr(options, flag)} belongs to a sweep (allowed {allowed})")


def write(path: Path, text: str | None) -> None:
    """Write a result; None only tries whether it could be written, and leaves an earlier one as it is.

    Raises:
        RunError: it cannot be written.
    """
    if text is not None:
        return write_whole(path, text)
    with disk(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


def counted(**numbers: int) -> None:
    """Refuse numbers of towns and seeds out of range.

    Raises:
        RunError: naming the option, its value and what is allowed.
    """
    for name, value in numbers.items():
        if not 1 <= value <= MOST[name]:
            raise RunError(f"--{name.replace('_', '-')} {value} is not allowed (1 to {MOST[name]})")


def show(table: Table) -> None:
    """Print a table, as wide as it is where there is no terminal."""
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def compare(options: argparse.Namespace) -> None:
    """One run against the scripted and the random citizen, in its own world."""
    run = runs.existing(options.run[0])
    runner, manifest = runs.load_runner(run, options.step)
    every = run.config.ticks_per_decision
    num_ticks = max(every, int(options.days * run.world.static.ticks_per_day) // every * every)
    players = {
        "learned": learned(run.world, run.config, runner.params, options.greedy),
        "scripted": memoryless(policies.scripted),
        "random": memoryless(policies.random),
    }
    begun = time.perf_counter()
    results = evaluate(run.world, players, options.num_envs, options.seeds, num_ticks, options.max_towns)
    result = {
        "run": run.config.name,
        "step": manifest.step,
        "world": run.world.static.config_id,
        "towns": options.num_envs * options.seeds,
        "days": num_ticks / run.world.static.ticks_per_day,
        "seconds": time.perf_counter() - begun,
        **summary(results),
    }
    show(table(result))
    write(run.folder / RESULT, json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(f"{run.folder / RESULT}: {result['seconds']:.0f} s")


def planned(options: argparse.Namespace) -> tuple[list[grid.Cell], tuple[grid.Axis, ...]]:
    """The cells of a sweep and its axes.

    Raises:
        RunError: a run, a policy or a value cannot be used, and why.
        ConfigError: the loader refuses a world or a value.
    """
    axes = grid.axes(options.vary)
    of_script = [axis for axis in axes if axis.key.startswith(grid.CITIZEN)]
    of_world = [axis for axis in axes if axis not in of_script]
    scripts = ["scripted"] if of_script or not (options.run or options.policy) else []
    found = grid.entrants(options.run, [*options.policy, *scripts], of_script, options.step, options.greedy)
    homes = {} if options.world else grid.home_names(found)
    sources = {name: name for name in dict.fromkeys(options.world)}
    for entrant, folder in zip(found, options.run if homes else ()):
        if entrant.home is not None:
            sources.setdefault(homes[entrant.home.static.config_id], str(folder / runs.WORLD))
    sources = sources or {"town": "town"}
    grounds = {name: grid.places(name, source, options.world_set, of_world) for name, source in sources.items()}
    return grid.cells(found, grounds, homes), axes


def sweep(options: argparse.Namespace) -> None:
    """Every policy in every world with every value."""
    cells, axes = planned(options)
    folder = options.out or (options.run[0] if len(options.run) == 1 else Path("runs/sweep"))
    write(folder / f"{SWEEP}.json", None)  # a folder that cannot be written is told before the work
    begun = time.perf_counter()
    keys = held_out_keys(options.num_envs, options.seeds)
    results, programs = stacking.play(cells, keys, options.days, options.max_towns)
    rows = [sheets.row(cell, found) for cell, found in zip(cells, results)]
    indicator = options.indicator or SHOWN[0]
    tuned = sheets.tuned(cells, results, indicator)
    result = {
        "days": options.days,
        "towns": len(keys),
        "seeds": options.seeds,
        "axes": {axis.key: list(axis.values) for axis in axes},
        "programs": programs,
        "seconds": time.perf_counter() - begun,
        "cells": rows,
        "tuned": tuned,
    }
    write(folder / f"{SWEEP}.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    write(folder / f"{SWEEP}.csv", sheets.flat(rows, axes))
    title = f"{len(keys)} held-out towns, {options.days:g} days: IQM with 95 % interval"
    show(sheets.table(rows, axes, title))
    print(*sheets.gains(tuned), sep="\n", end="\n" * bool(tuned))
    if len(rows) > sheets.MOST_ROWS:
        print(f"the first {sheets.MOST_ROWS} of {len(rows)} rows; all of them are in {folder / SWEEP}.csv")
    try:
        print(f"picture {heatmap.draw(rows, axes, indicator, title, folder / f'{SWEEP}.png')}")
    except RunError as error:
        print(f"no picture: {error}", file=sys.stderr)
    compiled = f"{len(cells)} cells in {programs} compiled program{'s' * (programs > 1)}"
    print(f"{folder / SWEEP}.json and .csv: {compiled}, {result['seconds']:.0f} s")


def main() -> None:
    """Run `python -m train.evaluate`."""
    options = parser().parse_args()
    checked(options)
    if sweeping(options):
        sweep(options)
    else:
        compare(options)


if __name__ == "__main__":
    command(main)
