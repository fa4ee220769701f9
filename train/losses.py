"""The PPO loss (Schulman et al. 2017, https://arxiv.org/abs/1707.06347), over the decisions that somebody really took."""

import jax
import jax.numpy as jnp

from .distributions import MaskedCategorical
from .types import Hyper, Transition

Array = jax.Array


def masked_mean(x: Array, mask: Array) -> Array:
    """The mean of f32 x where the mask holds: f32[]."""
    return jnp.where(mask, x, 0.0).sum() / jnp.maximum(mask.sum(), 1)


def normalised(x: Array, mask: Array) -> Array:
    """X with mean 0 and deviation 1 where the mask holds."""
    centred = x - masked_mean(x, mask)
    return centred * jax.lax.rsqrt(masked_mean(centred**2, mask) + 1e-8)


def ppo_loss(
    logits: Array, value: Array, batch: Transition, advantage: Array, target: Array, mask: Array, hyper: Hyper
) -> tuple[Array, dict[str, Array]]:
    """Clipped surrogate, clipped value loss and entropy.

        L_pi = -mean(min(rho A, clip(rho, 1 - eps, 1 + eps) A))
        L_v  = 0.5 mean(max((V - G)^2, (V_old + clip(V - V_old, -eps, eps) - G)^2))

    Args:
        logits: f32[..., num_actions] of the current policy.
        value: f32[...] of the current critic.
        batch: the decisions, [...].
        advantage: f32[...], normalised here over the decisions with a choice.
        target: f32[...] of the value.
        mask: bool[..., num_actions], the actions that the policy may take.
        hyper: coefficients.

    Returns:
        The loss f32[], and its parts by name.
    """
    policy = MaskedCategorical(logits, mask)
    ratio = jnp.exp(policy.log_prob(batch.action) - batch.log_prob)
    scaled = normalised(advantage, batch.acts)
    clipped = jnp.clip(ratio, 1.0 - hyper.clip_eps, 1.0 + hyper.clip_eps)
    policy_loss = -masked_mean(jnp.minimum(ratio * scaled, clipped * scaled), batch.acts)
    near = batch.value + jnp.clip(value - batch.value, -hyper.clip_eps, hyper.clip_eps)
    value_loss = 0.5 * masked_mean(jnp.maximum((value - target) ** 2, (near - target) ** 2), batch.alive)
    entropy = masked_mean(policy.entropy(), batch.acts)
    parts = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": masked_mean(ratio - 1.0 - jnp.log(ratio), batch.acts),
        "clip_fraction": masked_mean((jnp.abs(ratio - 1.0) > hyper.clip_eps).astype(jnp.float32), batch.acts),
    }
    return policy_loss + hyper.vf_coef * value_loss - hyper.ent_coef * entropy, parts
