"""Needs: every agent's needs fall a little each tick, and an empty one hurts by the square.

reads  agents.alive, agents.needs, slots.personality, slots.spirals
writes agents.needs
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..types import Array, Section, State, System, World
from . import personality, spirals


class Config(Section):
    """One entry for each need."""

    decay: dict[str, float] = Field(description="share of a full need lost per tick")
    weight: dict[str, float] = Field(description="weight of the need's squared deficit, relative to the others")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    decay: Array  # i32[N] parts of fixed.NEED per tick
    weight: Array  # i32[N] parts of fixed.SHARE; they add up to it at most


def build(config, names) -> Params:
    """YAML to arrays; the weights are scaled so that an agent with every need empty has a penalty of 1."""
    whole = max(sum(config.weight.values()), 1e-9)
    decay = [fixed.to_need(config.decay[need]) for need in names.needs]
    weight = [int(fixed.SHARE * config.weight[need] / whole) for need in names.needs]
    return Params(jnp.array(decay, jnp.int32), jnp.array(weight, jnp.int32))


def step(world: World, state: State, bits: Array) -> State:
    """Decay, floored at empty."""
    agents = state.agents
    decay = spirals.harder(world, state, personality.hastened(world, state, world.params["needs"].decay))
    needs = jnp.maximum(agents.needs - decay, 0)
    return state.replace(agents=agents.replace(needs=jnp.where(agents.alive[:, None], needs, 0)))


def deficit(world: World, state: State) -> Array:
    """What each agent lacks, the weighted mean of 1 - need: i32[A] millionths, 0 to 1e6."""
    lack = ((fixed.NEED - state.agents.needs) >> 4) * world.params["needs"].weight  # 2**16 * 2**10, together as well
    return fixed.to_reward(lack.sum(-1, dtype=jnp.int32) >> 6)


def rewards(world: World, state: State):
    """Needs = - sum of weight * (1 - need)^2 / sum of weights, within [-1, 0] (specification §13, row 2)."""
    pain = fixed.square(fixed.NEED - state.agents.needs)  # [A, N] parts of NEED
    parts = (pain >> 10) * world.params["needs"].weight  # parts of NEED: 2**10 * 2**10
    total = parts.sum(-1, dtype=jnp.int32)
    return {"needs": jnp.where(state.agents.alive, -fixed.to_reward(total), 0)}


def metrics(world: World, state: State):
    """The mean of each need over the living, as shares."""
    shares = fixed.to_float(state.agents.needs, fixed.NEED)
    return {
        f"needs/{need}": masks.mean_where(shares[:, i], state.agents.alive)
        for i, need in enumerate(world.static.names.needs)
    }


SYSTEM = System(
    "needs",
    step,
    Config,
    build,
    rewards=rewards,
    metrics=metrics,
    writes=("agents.needs",),
    terms=("needs",),
)
