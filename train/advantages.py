"""Generalised advantage estimation (Schulman et al. 2016, https://arxiv.org/abs/1506.02438)."""

import jax
import jax.numpy as jnp

from .types import Array


def gae(
    reward: Array,
    value: Array,
    last_value: Array,
    terminated: Array,
    truncated: Array,
    final_value: Array,
    discount: Array,
    gae_lambda: Array,
) -> tuple[Array, Array]:
    """Advantages and value targets.

        delta_t = r_t + discount * (1 - terminated_t) * V_{t+1} - V_t
        A_t     = delta_t + discount * lambda * (1 - terminated_t or truncated_t) * A_{t+1}

    Termination stops the value; truncation bootstraps from `final_value`, the value of the state that was cut off.

    Args:
        reward: f32[T, ...].
        value: f32[T, ...] of the states in which the decisions were taken.
        last_value: f32[...] of the state after the last decision.
        terminated: bool[T, ...].
        truncated: bool[T, ...].
        final_value: f32[T, ...] read where truncated.
        discount: f32[] per decision.
        gae_lambda: f32[].

    Returns:
        advantage f32[T, ...] and target f32[T, ...] = advantage + value.
    """

    def backward(carry, row):
        advantage, next_value = carry
        reward, value, terminated, truncated, final_value = row
        next_value = jnp.where(truncated, final_value, next_value)
        delta = reward + discount * jnp.where(terminated, 0.0, next_value) - value
        advantage = delta + discount * gae_lambda * jnp.where(terminated | truncated, 0.0, advantage)
        return (advantage, value), advantage

    rows = (reward, value, terminated, truncated, final_value)
    _, advantage = jax.lax.scan(backward, (jnp.zeros_like(last_value), last_value), rows, reverse=True)
    return advantage, advantage + value
