"""Policy and value networks (Flax Linen)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from townlet_jax.types import Observation


def patches(layers: jax.Array, side: int = 3) -> jax.Array:
    """Every side x side neighbourhood of [..., L, h, w] as a row: [..., h - side + 1, w - side + 1, L * side * side].

    A matrix product over it is a convolution, and on CPU its gradient is many times faster than one.
    """
    height, width = layers.shape[-2] - side + 1, layers.shape[-1] - side + 1
    shifted = [layers[..., r : r + height, c : c + width] for r in range(side) for c in range(side)]
    return jnp.moveaxis(jnp.concatenate(shifted, axis=-3), -3, -1)


class Tower(nn.Module):
    """Stem over the map layers, if there are any, then an MLP with tanh."""

    hidden: tuple[int, ...]
    conv: int
    outputs: int
    out_scale: float

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        """f32[..., outputs]."""
        x = observation.features
        orthogonal = nn.initializers.orthogonal
        if observation.layers.shape[-3]:
            seen = patches(observation.layers.astype(jnp.float32))
            seen = nn.relu(nn.Dense(self.conv, kernel_init=orthogonal(2**0.5))(seen))
            seen = nn.relu(nn.Dense(self.hidden[0], kernel_init=orthogonal(2**0.5))(seen.reshape(*x.shape[:-1], -1)))
            x = jnp.concatenate([x, seen], axis=-1)
        for width in self.hidden:
            x = nn.tanh(nn.Dense(width, kernel_init=orthogonal(2**0.5))(x))
        return nn.Dense(self.outputs, kernel_init=orthogonal(self.out_scale))(x)


class ActorCritic(nn.Module):
    """Two towers: what to do, and how good it is.

    A linear path leads from the features to the logits. It begins as a preference for the option in progress, so that even an
    untrained policy walks somewhere and arrives; like all else it is learned away where it does not pay.
    """

    num_actions: int
    hidden: tuple[int, ...]
    conv: int
    options: tuple[int, int, int] = (0, 0, 0)  # first feature of the option in progress, first option action, how many
    persistence: float = 0.0  # initial logit of the option in progress

    def habit(self, key: jax.Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        """The initial weights of the linear path, f32[D, num_actions]."""
        feature, action, count = self.options
        each = jnp.arange(count)
        return jnp.zeros(shape, dtype).at[feature + each, action + each].set(self.persistence)

    @nn.compact
    def __call__(self, observation: Observation) -> tuple[jax.Array, jax.Array]:
        """Logits f32[..., num_actions] and value f32[...]."""
        logits = Tower(self.hidden, self.conv, self.num_actions, 0.01, name="actor")(observation)
        habit = nn.Dense(self.num_actions, use_bias=False, kernel_init=self.habit, name="habit")(observation.features)
        value = Tower(self.hidden, self.conv, 1, 1.0, name="critic")(observation)
        return logits + habit, value[..., 0]
