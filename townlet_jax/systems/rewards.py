"""Rewards: weigh, add, clip and guard the terms of every system. Runs last.

    total = clip(sum of weight * term, -clip, clip); nothing positive around a death; then the terminal terms, outside the clip.

writes reward
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed
from ..types import Array, Key, Section, State, System, World
from . import lifecycle


class Config(Section):
    """Weights of the terms that the world's systems report."""

    weights: dict[str, float] = Field(description="term -> weight, 0 to 4; a term without a weight counts nothing")
    clip: float = Field(0.2, gt=0, le=1, description="the most that one tick may give or take, terminal terms apart")
    terminal: tuple[str, ...] = Field(("terminal",), description="terms outside the clip")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    weights: dict[str, Array]  # i32[] parts of fixed.WEIGHT
    outside: dict[str, Array]  # the same, for terms outside the clip
    clip: Array  # i32[] millionths


def build(config, names) -> Params:
    """YAML to arrays."""
    weights = {term: jnp.int32(round(w * fixed.WEIGHT)) for term, w in config.weights.items()}
    outside = {term: weights.pop(term) for term in config.terminal if term in weights}
    return Params(weights, outside, jnp.int32(fixed.to_millionths(config.clip)))


def terms(world: World, state: State) -> dict[str, Array]:
    """The weighted reward of each term that has a weight: i32[A] millionths by name."""
    weights = {**world.params["rewards"].weights, **world.params["rewards"].outside}
    raw = {term: value for system in world.static.systems for term, value in system.rewards(world, state).items()}
    return {term: fixed.weigh(raw[term], weight) for term, weight in sorted(weights.items()) if term in raw}


def step(world: World, state: State, key: Key) -> State:
    """Add the terms up."""
    params, weighted = world.params["rewards"], terms(world, state)
    zero = jnp.zeros(world.static.num_agents, jnp.int32)
    inside = sum((value for term, value in weighted.items() if term in params.weights), zero)
    outside = sum((value for term, value in weighted.items() if term in params.outside), zero)
    total = jnp.clip(inside, -params.clip, params.clip)
    if world.static.has("lifecycle"):
        total = jnp.where(lifecycle.guarded(world, state), jnp.minimum(total, 0), total)
    return state.replace(reward=total + outside)


def metrics(world: World, state: State):
    """The mean reward of an agent in this tick, by term and in all; and how often the clip is hit."""
    share = lambda value: fixed.to_float(value, fixed.MILLION).mean()
    clipped = jnp.abs(state.reward) >= world.params["rewards"].clip
    parts = {f"reward/{term}": share(value) for term, value in terms(world, state).items()}
    return {**parts, "reward/total": share(state.reward), "reward/clipped": clipped.astype(jnp.float32).mean()}


SYSTEM = System("rewards", step, Config, build, metrics=metrics, writes=("reward",))
