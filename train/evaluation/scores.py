"""What is measured of a town that somebody plays: means over ticks, and the indicators of each town."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.core import fixed
from townlet_jax.telemetry import exits_per_day, measure
from townlet_jax.telemetry.days import well
from townlet_jax.types import Key, State, World

from ..players import Player, unroll

HELD_OUT = "evaluation"  # the stream of keys that no training run draws from
UNITS = {  # of the indicators that tables and pictures show
    "return_per_day": "reward per agent-day",
    "attendance": "share of shifts",
    "collapses_per_day": "collapses per agent-day",
    "exits_per_day": "exits per agent-day",
    "wallet_gain": "coins",
    "needs_ok": "share of agent-ticks with all needs above 0.3",
}
SHOWN = tuple(UNITS)
RARE = ("collapses_per_day", "exits_per_day")  # told as plain means, since most towns have none


def held_out_keys(num_envs: int, seeds: int) -> Key:
    """The keys of the held-out towns: keys[seeds * num_envs]; those of fewer towns a seed are the first of those of more."""
    towns = jnp.arange(num_envs, dtype=jnp.int32)
    held_out = lambda seed: engine.stream(jax.random.key(seed), HELD_OUT)
    keys_of = lambda seed: jax.vmap(partial(jax.random.fold_in, held_out(seed)))(towns)
    return jnp.concatenate([keys_of(seed) for seed in range(seeds)])


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


def town_kpis(world: World, means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The indicators of each town, f64[towns] by name, from the means of `town_sums`."""
    day, agents = world.static.ticks_per_day, world.static.num_agents
    found = {name: np.asarray(value, np.float64) for name, value in means.items() if name.startswith("needs")}
    found["wallet_gain"] = means["wallet_gain"]
    if "reward/total" in means:
        found["return_per_day"] = means["reward/total"] * day
    if "shift/expected" in means:
        worked = means["shift/expected"] > 0  # towns in which a shift was due
        if worked.any():
            found["attendance"] = means["shift/present"][worked] / means["shift/expected"][worked]
    if "collapses" in means:
        found["collapses_per_day"] = means["collapses"] * day / agents
        found["exits_per_day"] = exits_per_day(world, means)
    return {name: np.asarray(value, np.float64) for name, value in found.items()}
