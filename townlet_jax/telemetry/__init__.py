"""Measures of a town: functions of (world, state) that write nothing."""

from collections.abc import Mapping

import jax.numpy as jnp

from ..systems import rewards
from ..systems.rewards import breakdown_names
from ..types import Array, State, World
from .fitness import afi
from .leaving import exits_per_day
from .shapes import one_town, plain

__all__ = ["afi", "breakdown", "breakdown_names", "exits_per_day", "kpis", "measure"]


def measure(world: World, state: State) -> dict[str, Array]:
    """The metrics of every system at one tick: name -> f32[].

    Raises:
        ValueError: the state is a batch of towns, or the world a pool of maps.
    """
    one_town("measure", world, state)
    measured: dict[str, Array] = {}
    for system in world.static.systems:
        measured.update(system.metrics(world, state))
    return {name: jnp.asarray(value, jnp.float32) for name, value in measured.items()}


def breakdown(world: World, state: State) -> Array:
    """Where the reward of this tick comes from: i32[A, terms] millionths, weighted; each row adds up to `state.reward`.

    `breakdown_names` says what the columns are. The last one is what the guard and the clips of tick and life changed.

    Raises:
        ValueError: the state is a batch of towns, or the world a pool of maps.
    """
    one_town("breakdown", world, state)
    return rewards.breakdown(world, state)


def kpis(world: World, means: Mapping[str, float]) -> dict[str, float]:
    """Indicators that people read, from means of `measure` over ticks (and towns).

    Args:
        world: the world.
        means: as `measure`, averaged.

    Returns:
        return_per_day (reward of an agent in a day), attendance (share of the ticks of all shifts spent at the post), late_per_day
        (shifts begun late, per agent), collapses_per_day and exits_per_day (per agent, for whatever reason), wallet (coins),
        needs/..., exits/... and reward/... (per agent and day), and the rest.

    Raises:
        ValueError: a mean is not one number.
    """
    plain("kpis", means)
    day, agents = world.static.ticks_per_day, world.static.num_agents
    sums = ("shift/", "reward/", "done/", "exits/")
    found = {name: float(value) for name, value in means.items() if not name.startswith(sums)}
    if "shift/expected" in means:
        found["attendance"] = float(means["shift/present"]) / max(float(means["shift/expected"]), 1e-9)
    if "shift/late" in means:
        found["late_per_day"] = float(means["shift/late"]) * day / agents
    if "collapses" in means:
        found["collapses_per_day"] = found.pop("collapses") * day / agents
        found["exits_per_day"] = float(exits_per_day(world, means))
        del found["evictions"]
    for name, value in means.items():
        if name.startswith("reward/") and name not in ("reward/total", "reward/clipped"):
            found[name] = float(value) * day
        elif name.startswith(("done/", "exits/")):
            found[name] = float(value) * day / agents
    if "reward/total" in means:
        found["return_per_day"] = float(means["reward/total"]) * day
        found["reward_clipped"] = float(means["reward/clipped"])
    return found
