"""The worst members copy the best, and try other values: population based training.

Source: Jaderberg et al. 2017, https://arxiv.org/abs/1711.09846.

    exploit   each of the worst share of the members takes parameters, optimiser and hyper-parameters of one of the best share
    explore   each hyper-parameter that varies is multiplied by 0.8 or 1.25, or drawn anew, and kept in its range

A member that copies keeps its own towns, keys and counters; what its people remember, of another network, is cleared.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..types import Array, Hyper, Runner
from .members import Span

DOWN, UP = 0.8, 1.25


class Rules(struct.PyTreeNode):
    """How members change; N hyper-parameters vary."""

    low: Array  # f32[N]
    high: Array  # f32[N]
    log: Array  # bool[N] whether draws are even in the logarithm
    resample: Array  # f32[] chance that a value is drawn anew rather than multiplied
    names: tuple[str, ...] = struct.field(pytree_node=False)
    copies: int = struct.field(pytree_node=False)  # how many of the worst copy as many of the best


class Population(struct.PyTreeNode):
    """Members that learn from each other."""

    runner: Runner  # stacked, [M, ...]
    score: Array  # f32[M] smoothed return, reward of an agent in a day; NaN before the first update
    key: Array  # of the draws


def rules_of(spans: dict[str, Span], members: int, share: float, resample: float) -> Rules:
    """The rules of a population, from ranges by name and the share of the members that copies."""
    each = list(spans.values())
    return Rules(
        low=jnp.array([span.low for span in each], jnp.float32),
        high=jnp.array([span.high for span in each], jnp.float32),
        log=jnp.array([span.scale == "log" for span in each]),
        resample=jnp.float32(resample),
        names=tuple(spans),
        copies=max(1, int(members * share)),
    )


def smoothed(score: Array, now: Array, smoothing: float) -> Array:
    """The smoothed return f32[M] after one more update: smoothing * score + (1 - smoothing) * now; `now` at the first."""
    return jnp.where(jnp.isnan(score), now, smoothing * score + (1.0 - smoothing) * now)


def sources(score: Array, copies: int, key: Array) -> Array:
    """Whom each member copies, i32[M]: one of the best for each of the worst, all others themselves.

    NaN is worst of all, and who has it is copied by nobody: where one of the best has it, the very best takes its place.
    """
    order = jnp.argsort(jnp.where(jnp.isnan(score), -jnp.inf, score)).astype(jnp.int32)
    best = order[order.shape[0] - copies :]
    best = jnp.where(jnp.isnan(score[best]), order[-1], best)
    chosen = best[jax.random.randint(key, (copies,), 0, copies, jnp.int32)]
    return jnp.arange(order.shape[0], dtype=jnp.int32).at[order[:copies]].set(chosen)


def drawn(rules: Rules, shares: Array) -> Array:
    """Values f32[..., N] at shares f32[..., N] of the ranges."""
    safe = lambda x: jnp.log(jnp.where(rules.log, x, 1.0))
    logarithmic = jnp.exp(safe(rules.low) + shares * (safe(rules.high) - safe(rules.low)))
    return jnp.where(rules.log, logarithmic, rules.low + shares * (rules.high - rules.low))


def explored(rules: Rules, values: Array, key: Array) -> Array:
    """Other values f32[M, N] near those, or anywhere in the ranges."""
    anew, up, where = jax.random.uniform(key, (3, *values.shape))
    moved = values * jnp.where(up < 0.5, DOWN, UP)
    return jnp.clip(jnp.where(anew < rules.resample, drawn(rules, where), moved), rules.low, rules.high)


def copied(runner: Runner, source: Array) -> Runner:
    """The stacked runner, leaves [M, ...], after member k took over what member source[k] has learned; source i32[M]."""
    take = lambda tree: jax.tree.map(lambda leaf: leaf[source], tree)
    own = source == jnp.arange(source.shape[0])
    changes: dict[str, Any] = {
        name: take(getattr(runner, name)) for name in ("params", "opt_state", "hyper", "curiosity")
    }
    if runner.scaling:  # () without it
        changes["scaling"] = runner.scaling.replace(moments=take(runner.scaling.moments))
    return runner.replace(starts=runner.starts | ~own[:, None, None], **changes)


def evolve(rules: Rules, population: Population) -> tuple[Population, Array]:
    """One round of exploit and explore.

    Returns:
        The population, and whom each member copied, i32[M]; itself if nobody.
    """
    key, choice, change = jax.random.split(population.key, 3)
    source = sources(population.score, rules.copies, choice)
    runner = copied(population.runner, source)
    moved = source != jnp.arange(source.shape[0])
    values = jnp.stack([getattr(runner.hyper, name) for name in rules.names], axis=-1)
    values = jnp.where(moved[:, None], explored(rules, values, change), values)
    hyper: Hyper = runner.hyper.replace(**{name: values[:, place] for place, name in enumerate(rules.names)})
    return Population(runner.replace(hyper=hyper), population.score[source], key), source
