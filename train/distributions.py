"""A categorical distribution over the allowed actions, on distrax's interface. The only file that imports distrax."""

import distrax
import jax
import jax.numpy as jnp


class MaskedCategorical(distrax.Distribution):
    """Categorical over the last axis of `logits`, with chance 0 for what the mask forbids.

    Sampling inverts the cumulative distribution: one uniform number a row. A row that forbids everything counts as allowing all.

    Args:
        logits: f32[..., num_actions].
        mask: bool[..., num_actions], True = allowed.
    """

    def __init__(self, logits: jax.Array, mask: jax.Array):
        super().__init__()
        self._mask = mask | ~mask.any(-1, keepdims=True)
        lowest = jnp.finfo(logits.dtype).min
        self._log_probs = jax.nn.log_softmax(jnp.where(self._mask, logits, lowest), axis=-1)
        self._probs = jnp.where(self._mask, jnp.exp(self._log_probs), 0.0)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """A draw is a scalar."""
        return ()

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The axes before the last of the logits."""
        return self._probs.shape[:-1]

    @property
    def probs(self) -> jax.Array:
        """f32[..., num_actions]."""
        return self._probs

    def _sample_n(self, key: jax.Array, n: int) -> jax.Array:
        cumulative = jnp.cumsum(self._probs, axis=-1)
        point = jax.random.uniform(key, (n, *self.batch_shape, 1)) * cumulative[..., -1:]
        index = (cumulative <= point).sum(-1, dtype=jnp.int32)
        num_actions = self._probs.shape[-1]
        last = num_actions - 1 - jnp.argmax(self._mask[..., ::-1], axis=-1).astype(jnp.int32)
        return jnp.minimum(index, last)

    def _sample_n_and_log_prob(self, key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
        draws = self._sample_n(key, n)
        return draws, jax.vmap(self.log_prob)(draws)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """The log chance of draws i32[...]: f32[...]."""
        return jnp.take_along_axis(self._log_probs, value[..., None], axis=-1)[..., 0]

    def entropy(self) -> jax.Array:
        """In nats: f32[...]."""
        return -jnp.where(self._mask, self._probs * self._log_probs, 0.0).sum(-1)

    def mode(self) -> jax.Array:
        """The likeliest action: i32[...]."""
        return jnp.argmax(self._probs, axis=-1).astype(jnp.int32)
