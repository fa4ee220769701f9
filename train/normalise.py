"""Running statistics, and rewards in units of what they add up to.

Rewards are divided by the deviation of their discounted returns and never shifted, so that what is best stays best (as in
"Implementation matters in deep policy gradients", Engstrom et al. 2020, https://arxiv.org/abs/2005.12729). The statistics forget:
a policy that has learned to live earns other sums than one that starves.
"""

import jax
import jax.numpy as jnp

from .sharding import total
from .types import Array, Moments, Scaling

RATE = 0.05  # weight of an update in the running statistics
SMALLEST = 1e-4  # least deviation that is divided by


def blank() -> Moments:
    """Moments that have seen nothing."""
    return Moments(jnp.float32(0.0), jnp.float32(0.0), jnp.float32(0.0))


def seen(moments: Moments, x: Array, mask: Array, axis: str | None) -> Moments:
    """Moments that have also seen f32 x where the mask holds, on all devices of the mesh axis."""
    count = jnp.maximum(total(mask.sum(dtype=jnp.float32), axis), 1.0)
    mean = lambda values: total(jnp.where(mask, values, 0.0).sum(), axis) / count
    blend = lambda old, new: (1.0 - RATE) * old + RATE * new
    return Moments(blend(moments.mean, mean(x)), blend(moments.square, mean(x * x)), blend(moments.weight, 1.0))


def deviation(moments: Moments) -> Array:
    """The standard deviation of what was seen lately, f32[]; 1 if nothing was."""
    weight = jnp.where(moments.weight > 0, moments.weight, 1.0)
    mean, square = moments.mean / weight, moments.square / weight
    found = jnp.sqrt(jnp.maximum(square - mean * mean, SMALLEST**2))
    return jnp.where(moments.weight > 0, found, 1.0)


def discounted(reward: Array, ends: Array, before: Array, discount: Array) -> tuple[Array, Array]:
    """Everybody's discounted sum of rewards so far: G_t = discount * G_{t-1} + r_t, anew after an end.

    Args:
        reward: f32[T, B, A].
        ends: bool[T, B, A] the life or the episode ended with this decision.
        before: f32[B, A] the sums before.
        discount: f32[] per decision.

    Returns:
        The sums to go on with f32[B, A], and G f32[T, B, A].
    """

    def forward(carry, row):
        reward, ends = row
        returns = discount * carry + reward
        return jnp.where(ends, 0.0, returns), returns

    return jax.lax.scan(forward, before, (reward, ends))


def scaled(
    scaling: Scaling, reward: Array, ends: Array, alive: Array, discount: Array, axis: str | None
) -> tuple[Scaling, Array]:
    """Rewards f32[T, B, A] in deviations of their returns, by statistics that include them."""
    after, returns = discounted(reward, ends, scaling.returns, discount)
    moments = seen(scaling.moments, returns, alive, axis)
    return Scaling(after, moments), reward / deviation(moments)
