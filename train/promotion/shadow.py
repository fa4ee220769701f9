"""A candidate in the shadow of the release: both play the same held-out towns, window by window, and what each window says.

mine = play(world, player, keys, window_ticks, num_windows)
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.systems import intents
from townlet_jax.telemetry import kpis, measure
from townlet_jax.types import Key, State, World

from ..players import Player, unroll
from ..types import Array
from .stability import Alert, Row, Town, alerts, town_of
from .thresholds import Gate, Margins

SHADOW = "promotion"  # the stream of keys that neither training nor evaluation draws from


class Played(NamedTuple):
    """What a player did in some towns."""

    towns: list[list[Row]]  # the indicators of each town, by window
    means: list[Row]  # the indicators of all towns together, by window


class Verdict(NamedTuple):
    """What one window says of a candidate."""

    mine: Row
    theirs: Row
    alerts: list[Alert]
    short: list[str]  # in what it fell short of the release, in words

    @property
    def won(self) -> bool:
        """Whether nothing is wrong, allowed alerts aside."""
        return not self.short


def town_keys(seed: int, batch: int, num_envs: int) -> Key:
    """The keys of held-out towns, keys[num_envs]; another batch, other towns."""
    stream = jax.random.fold_in(engine.stream(jax.random.key(seed), SHADOW), batch)
    return jax.vmap(partial(jax.random.fold_in, stream))(jnp.arange(num_envs, dtype=jnp.int32))


def changed(world: World, before: State, state: State) -> Array:
    """Who dropped an option for another one in this tick, before it was finished: bool[A]."""
    none = world.static.actions.num_options
    was, now = before.slots["intents"].option, state.slots["intents"].option
    return (was != none) & (now != none) & (was != now) & ~intents.finished(world, before)


def seen(world: World, before: State, state: State) -> dict[str, Array]:
    """The metrics of a tick: those of the world, and changes of mind, name -> f32[]."""
    return {**measure(world, state), "switches": changed(world, before, state).sum(dtype=jnp.int32).astype(jnp.float32)}


def town_windows(world: World, player: Player, window_ticks: int, num_windows: int, key: Key) -> Array:
    """One town from its reset on: the means of `seen` over each window, f32[num_windows, metrics]; names in sorted order."""

    def fold(total, state):
        sums, before, tick = total
        metrics = seen(world, before, state)
        now = jnp.stack([metrics[name] for name in sorted(metrics)])
        return (sums.at[tick // window_ticks].add(now), state, tick + 1), ()

    start = engine.reset(world, key)
    num_decisions = num_windows * window_ticks // player.every
    sums = jnp.zeros((num_windows, len(jax.eval_shape(partial(seen, world), start, start))), jnp.float32)
    _, (sums, _, _), _ = unroll(world, player, start, key, num_decisions, fold, (sums, start, jnp.int32(0)))
    return sums / window_ticks


@partial(jax.jit, static_argnames=("window_ticks", "num_windows"))
def all_windows(world: World, player: Player, keys: Key, window_ticks: int, num_windows: int) -> Array:
    """`town_windows` of many towns: f32[towns, num_windows, metrics]."""
    return jax.vmap(lambda key: town_windows(world, player, window_ticks, num_windows, key))(keys)


def indicators(world: World, means: dict[str, float]) -> Row:
    """What people read, from means over ticks: `kpis`, and the changes of mind of an agent-day."""
    per_day = world.static.ticks_per_day / world.static.num_agents
    found = kpis(world, means)
    return {**found, "switches_per_day": found.pop("switches") * per_day}


def play(world: World, player: Player, keys: Key, window_ticks: int, num_windows: int) -> Played:
    """Let a player play some towns.

    Args:
        world: the world.
        player: who decides.
        keys: keys[towns].
        window_ticks: ticks of a window, a multiple of `player.every`.
        num_windows: windows, one after the other in the same towns.

    Returns:
        The indicators of each town and of all together, by window.
    """
    found = np.asarray(jax.device_get(all_windows(world, player, keys, window_ticks, num_windows)), np.float64)
    state = jax.eval_shape(partial(engine.reset, world), keys[0])
    names = sorted(jax.eval_shape(partial(seen, world), state, state))
    row = lambda values: indicators(world, dict(zip(names, values.tolist(), strict=True)))
    towns = [[row(values) for values in window] for window in found.swapaxes(0, 1)]
    return Played(towns, [row(values) for values in found.mean(0)])


def shortfalls(mine: Row, theirs: Row, margins: Margins) -> list[str]:
    """In what a candidate's window lies below the release's by more than a margin, in words."""
    lost, gap = [], margins.return_share * abs(theirs["return_per_day"])
    if mine["return_per_day"] < theirs["return_per_day"] - gap:
        lost.append(f"return_per_day {mine['return_per_day']:.2f} < {theirs['return_per_day']:.2f} - {gap:.2f}")
    if "attendance" in mine and mine["attendance"] < theirs["attendance"] - margins.attendance:
        lost.append(f"attendance {mine['attendance']:.3f} < {theirs['attendance']:.3f} - {margins.attendance:g}")
    key = "collapses_per_day"
    if key in mine and mine[key] > theirs[key] + margins.collapses:
        lost.append(f"{key} {mine[key]:.4f} > {theirs[key]:.4f} + {margins.collapses:g}")
    return lost


def verdicts(town: Town, mine: Played, theirs: Played, gate: Gate) -> list[Verdict]:
    """What each window says of a candidate: won without a disallowed alert, and not below the release."""
    told = alerts(mine.towns, town, gate.stability, baseline=theirs.towns)
    found = []
    for number, (ours, others) in enumerate(zip(mine.means, theirs.means, strict=True)):
        here = [alert for alert in told if alert.window == number]
        wrong = [f"alert {alert.name}" for alert in here if alert.name not in gate.allowed_alerts]
        found.append(Verdict(ours, others, here, wrong + shortfalls(ours, others, gate.margins)))
    return found


def streak_of(verdicts: Sequence[Verdict], before: int = 0) -> int:
    """Windows won in a row at the end, counting on from those before."""
    for verdict in verdicts:
        before = before + 1 if verdict.won else 0
    return before


def compare(world: World, mine: Player, theirs: Player, keys: Key, gate: Gate, num_windows: int) -> list[Verdict]:
    """Let candidate and release play the same towns, and judge each window."""
    ticks = round(gate.window_days * world.static.ticks_per_day)
    played = [play(world, player, keys, ticks, num_windows) for player in (mine, theirs)]
    return verdicts(town_of(world), *played, gate)
