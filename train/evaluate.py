"""How good is a run? Learned, scripted and random citizens in the same held-out towns, thousands in one program.

    python -m train.evaluate --run runs/NAME [--num-envs 256] [--seeds 3] [--days 5]

Writes evaluation.json into the run folder and prints a table: interquartile means over towns with 95 % bootstrap intervals
(Agarwal et al. 2021, https://arxiv.org/abs/2108.13264).
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from townlet_jax import engine, policies
from townlet_jax.core import fixed
from townlet_jax.telemetry import exits_per_day, measure
from townlet_jax.telemetry.days import well
from townlet_jax.types import Key, State, World

from . import runs
from .cli import command
from .logging import RunError
from .players import Player, memoryless, unroll
from .program import learned
from .statistics import bootstrap_interval, iqm, overlap, probability_of_improvement

HELD_OUT = "evaluation"  # the stream of keys that no training run draws from
RESULT = "evaluation.json"
SHOWN = ("return_per_day", "attendance", "collapses_per_day", "exits_per_day", "wallet_gain", "needs_ok")


def town_sums(world: World, player: Player, num_ticks: int, key: Key) -> dict[str, jax.Array]:
    """One town from its reset on: means over ticks of `measure`, and of what the table needs, name -> f32[].

    Args:
        world: the world.
        player: who decides.
        num_ticks: at least; the last decision is played to its end.
        key: the town's key.
    """

    def look(state: State) -> dict[str, jax.Array]:
        return {**measure(world, state), "needs_ok": well(state).astype(jnp.float32).mean()}

    start, num_decisions = engine.reset(world, key), -(-num_ticks // player.every)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(look, start))
    add = lambda sums, state: (jax.tree.map(jnp.add, sums, look(state)), ())
    last, sums, _ = unroll(world, player, start, key, num_decisions, add, zeros)
    num_ticks = num_decisions * player.every
    gain = (last.agents.wallet - start.agents.wallet).astype(jnp.float32).mean() / fixed.COIN
    return {**jax.tree.map(lambda total: total / num_ticks, sums), "wallet_gain": gain}


@partial(jax.jit, static_argnames="num_ticks")
def play(world: World, keys: Key, player: Player, num_ticks: int) -> dict[str, jax.Array]:
    """`town_sums` of many towns, name -> f32[towns]; played again without compiling if only numbers differ."""
    return jax.vmap(lambda key: town_sums(world, player, num_ticks, key))(keys)


def town_kpis(world: World, means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The indicators of each town, f64[towns] by name, from the means of `town_sums`."""
    day, agents = world.static.ticks_per_day, world.static.num_agents
    found = {name: np.asarray(value, np.float64) for name, value in means.items() if name.startswith("needs")}
    found["wallet_gain"] = means["wallet_gain"]
    found["return_per_day"] = means["reward/total"] * day
    if "shift/expected" in means:
        worked = means["shift/expected"] > 0  # towns in which a shift was due
        if worked.any():
            found["attendance"] = means["shift/present"][worked] / means["shift/expected"][worked]
    if "collapses" in means:
        found["collapses_per_day"] = means["collapses"] * day / agents
        found["exits_per_day"] = exits_per_day(world, means)
    return {name: np.asarray(value, np.float64) for name, value in found.items()}


def evaluate(
    world: World, players: dict[str, Player], num_envs: int, seeds: int, num_ticks: int
) -> dict[str, dict[str, np.ndarray]]:
    """Let every policy play the same held-out towns.

    Args:
        world: the world.
        players: by name.
        num_envs: towns a seed.
        seeds: how many held-out seeds.
        num_ticks: ticks a town.

    Returns:
        name -> indicator -> f64[seeds * num_envs]; attendance only of towns in which a shift was due.
    """
    towns = jnp.arange(num_envs, dtype=jnp.int32)
    held_out = lambda seed: engine.stream(jax.random.key(seed), HELD_OUT)
    keys_of = lambda seed: jax.vmap(partial(jax.random.fold_in, held_out(seed)))(towns)
    keys = jnp.concatenate([keys_of(seed) for seed in range(seeds)])
    results = {}
    for name, player in players.items():
        print(f"{name}: {len(keys)} towns, {num_ticks} ticks each ...", file=sys.stderr, flush=True)
        sums = play(world, keys, player, num_ticks=num_ticks)
        results[name] = town_kpis(world, jax.device_get(sums))
    return results


def summary(results: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Interquartile mean and 95 % interval of every indicator of every policy, and how the learned one compares."""
    rows = {
        name: {
            key: {
                "iqm": float(iqm(values)),
                "interval": [float(end) for end in bootstrap_interval(values)],
                "mean": float(values.mean()),
            }
            for key, values in found.items()
        }
        for name, found in results.items()
    }
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
    """The result as a table; collapses and exits are means, since most towns have none."""
    shown = Table(
        title=f"{result['towns']} held-out towns, {result['days']:g} days: IQM [95 % interval]", box=SIMPLE_HEAD
    )
    shown.add_column("")
    for name in result["policies"]:
        shown.add_column(name, justify="right", no_wrap=True)
    for key in SHOWN:
        cells = []
        for found in result["policies"].values():
            if key not in found:
                cells.append("-")
            elif key in ("collapses_per_day", "exits_per_day"):
                cells.append(f"{found[key]['mean']:.4f} (mean)")
            else:
                low, high = found[key]["interval"]
                cells.append(f"{found[key]['iqm']:.2f} [{low:.2f}, {high:.2f}]")
        shown.add_row(key.replace("_", " "), *cells)
    return shown


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.evaluate`."""
    title = "Evaluate a run on held-out towns."
    options = argparse.ArgumentParser("python -m train.evaluate", description=title, allow_abbrev=False)
    options.add_argument("--run", type=Path, required=True, help="the run folder")
    options.add_argument("--step", type=runs.step_of, help="checkpoint to evaluate, or best; the default is the newest")
    options.add_argument("--num-envs", type=int, default=256, help="towns a seed")
    options.add_argument("--seeds", type=int, default=3, help="held-out seeds")
    options.add_argument("--days", type=float, default=5.0, help="days a town")
    options.add_argument("--greedy", action="store_true", help="take the likeliest action instead of drawing one")
    return options


def checked(options: argparse.Namespace) -> None:
    """Refuse numbers out of range.

    Raises:
        RunError: naming the option, its value and what is allowed.
    """
    for name, value, most in (("num-envs", options.num_envs, 10**6), ("seeds", options.seeds, 1000)):
        if not 1 <= value <= most:
            raise RunError(f"--{name} {value} is not allowed (1 to {most})")
    if not 0 < options.days <= 1000:
        raise RunError(f"--days {options.days} is not allowed (above 0, at most 1000)")


def main() -> None:
    """Run `python -m train.evaluate`."""
    options = parser().parse_args()
    checked(options)
    run = runs.existing(options.run)
    runner, manifest = runs.load_runner(run, options.step)
    every = run.config.ticks_per_decision
    num_ticks = max(every, int(options.days * run.world.static.ticks_per_day) // every * every)
    players = {
        "learned": learned(run.world, run.config, runner.params, options.greedy),
        "scripted": memoryless(policies.scripted),
        "random": memoryless(policies.random),
    }
    begun = time.perf_counter()
    results = evaluate(run.world, players, options.num_envs, options.seeds, num_ticks)
    result = {
        "run": run.config.name,
        "step": manifest.step,
        "world": run.world.static.config_id,
        "towns": options.num_envs * options.seeds,
        "days": num_ticks / run.world.static.ticks_per_day,
        "seconds": time.perf_counter() - begun,
        **summary(results),
    }
    try:
        (run.folder / RESULT).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise RunError(f"cannot write {run.folder / RESULT}: {error.strerror}") from None
    Console(width=None if sys.stdout.isatty() else 100).print(table(result))
    print(f"{run.folder / RESULT}: {result['seconds']:.0f} s")


if __name__ == "__main__":
    command(main)
