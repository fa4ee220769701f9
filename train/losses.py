"""The PPO loss (Schulman et al. 2017, https://arxiv.org/abs/1707.06347), over the decisions that somebody really took.

Means are taken over all devices of a mesh axis, if there is one: a mean is a sum with weights that add up to 1 over all of them, so
that sums of gradients are gradients of sums.
"""

import jax
import jax.numpy as jnp

from .distributions import MaskedCategorical
from .sharding import total
from .types import Array, Hyper, Transition


def weights(mask: Array, axis: str | None = None) -> Array:
    """Equal weights f32[...] where the mask holds, 0 elsewhere; their sum over all devices is 1, or 0 if nobody counts."""
    count = total(mask.sum(dtype=jnp.float32), axis)
    return mask.astype(jnp.float32) / jnp.maximum(count, 1.0)


def normalised(x: Array, weight: Array, axis: str | None = None) -> Array:
    """F32[...] with mean 0 and deviation 1 under the weights f32[...], over all devices; in no unit."""
    centred = x - total((weight * x).sum(), axis)
    return centred * jax.lax.rsqrt(total((weight * centred**2).sum(), axis) + 1e-8)


def ppo_loss(
    logits: Array,
    value: Array,
    batch: Transition,
    advantage: Array,
    target: Array,
    hyper: Hyper,
    axis: str | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Clipped surrogate, clipped value loss and entropy: this device's share of them.

        L_pi = -mean(min(rho A, clip(rho, 1 - eps, 1 + eps) A))
        L_v  = 0.5 mean(max((V - G)^2, (V_old + clip(V - V_old, -eps, eps) - G)^2))

    Args:
        logits: f32[..., num_actions] of the current policy.
        value: f32[...] of the current critic.
        batch: the decisions, [...]; the mask of its observation says what the policy may take.
        advantage: f32[...], normalised here over the decisions with a choice.
        target: f32[...] of the value.
        hyper: coefficients.
        axis: mesh axis over which the batch is spread.

    Returns:
        The loss f32[], and its parts by name; all are to be summed over the axis.
    """
    acts, alive = weights(batch.acts, axis), weights(batch.alive, axis)
    policy = MaskedCategorical(logits, batch.observation.action_mask)
    log_ratio = policy.log_prob(batch.action) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    scaled = normalised(advantage, acts, axis)
    clipped = jnp.clip(ratio, 1.0 - hyper.clip_eps, 1.0 + hyper.clip_eps)
    policy_loss = -(acts * jnp.minimum(ratio * scaled, clipped * scaled)).sum()
    near = batch.value + jnp.clip(value - batch.value, -hyper.clip_eps, hyper.clip_eps)
    value_loss = 0.5 * (alive * jnp.maximum((value - target) ** 2, (near - target) ** 2)).sum()
    entropy = (acts * policy.entropy()).sum()
    loss = policy_loss + hyper.vf_coef * value_loss - hyper.ent_coef * entropy
    parts = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": (acts * (ratio - 1.0 - log_ratio)).sum(),
        "clip_fraction": (acts * (jnp.abs(ratio - 1.0) > hyper.clip_eps)).sum(),
        "loss": loss,
    }
    return loss, parts


def imitation_loss(logits: Array, batch: Transition, axis: str | None = None) -> tuple[Array, dict[str, Array]]:
    """The cross entropy of what the teacher would do, over the decisions in which that is allowed and there is a choice.

    Args:
        logits: f32[..., num_actions] of the current policy.
        batch: the decisions, [...], with lessons.
        axis: mesh axis over which the batch is spread.

    Returns:
        This device's share of the loss f32[], and its parts by name: the loss, and the share of decisions in which the likeliest
        action is the teacher's.
    """
    mask, lesson = batch.observation.action_mask, batch.lesson
    allowed = jnp.take_along_axis(mask, lesson[..., None], axis=-1)[..., 0]
    weight = weights(batch.alive & allowed & (mask.sum(-1, dtype=jnp.int32) > 1), axis)
    policy = MaskedCategorical(logits, mask)
    loss = -(weight * jnp.where(allowed, policy.log_prob(lesson), 0.0)).sum()
    return loss, {"imitation_loss": loss, "imitation_accuracy": (weight * (policy.mode() == lesson)).sum()}
