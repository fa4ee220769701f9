"""Policy and value networks (Flax Linen), with a memory or without one.

A network reads sequences: every argument has the decisions T of one stretch of time as its first axis, then any batch axes, then
the agents A of a town. `starts` marks where somebody new begins, and clears the memory there.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from townlet_jax.types import Observation

from .types import Array

MOVES = 4  # actions 1 to 4; the uses of offers follow
LEAST = 1e-3  # share of an action that leads to no goal
CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell}


def patches(layers: Array, side: int = 3) -> Array:
    """Every side x side neighbourhood of [..., L, h, w] as a row: [..., h - side + 1, w - side + 1, L * side * side].

    A matrix product over it is a convolution, and on CPU its gradient is many times faster than one.
    """
    height, width = layers.shape[-2] - side + 1, layers.shape[-1] - side + 1
    shifted = [layers[..., r : r + height, c : c + width] for r in range(side) for c in range(side)]
    return jnp.moveaxis(jnp.concatenate(shifted, axis=-3), -3, -1)


def dense(width: int, scale: float, dtype: Any, name: str | None = None) -> nn.Dense:
    """A layer with orthogonal weights; parameters are f32, the product is taken in `dtype`."""
    return nn.Dense(width, kernel_init=nn.initializers.orthogonal(scale), dtype=dtype, name=name)


class Encoder(nn.Module):
    """What is seen as a vector: a stem over the map layers, a learned vector of who one is, and an MLP with tanh."""

    hidden: tuple[int, ...]
    conv: int
    identity: tuple[
        int, int, int
    ]  # the feature that tells it, how many there are, width of the learned vector; width 0: none
    dtype: Any

    @nn.compact
    def __call__(self, observation: Observation, more: Array | None = None) -> Array:
        """[..., hidden[-1]]; `more` f32[..., M] are further inputs."""
        x = observation.features
        seen = [x] if more is None else [x, more]
        place, count, width = self.identity
        if width:
            index = jnp.round(x[..., place] * count).astype(jnp.int32)
            seen.append(nn.Embed(count + 1, width, name="identity")(index))
        if observation.layers.shape[-3]:
            near = patches(observation.layers.astype(jnp.float32))
            near = nn.relu(dense(self.conv, 2**0.5, self.dtype, "stem")(near))
            flat = near.reshape(*x.shape[:-1], -1)
            seen.append(nn.relu(dense(self.hidden[0], 2**0.5, self.dtype, "view")(flat)))
        y = jnp.concatenate([part.astype(self.dtype) for part in seen], axis=-1)
        for layer, width in enumerate(self.hidden):
            y = nn.tanh(dense(width, 2**0.5, self.dtype, f"hidden_{layer}")(y))
        return y


class Memory(nn.Module):
    """A recurrent cell along the first axis; what comes out is the input and what is remembered, side by side."""

    cell: str  # one of `CELLS`
    size: int
    dtype: Any

    @nn.compact
    def __call__(self, memory: Any, x: Array, starts: Array) -> tuple[Any, Array]:
        """The memory after the last step, leaves f32[..., size], and [T, ..., D + size] for x [T, ..., D], starts bool[T, ...]."""

        def remember(cell, memory, now):
            x, starts = now
            clear = lambda leaf: jnp.where(starts[..., None], 0.0, leaf)
            memory, y = cell(jax.tree.map(clear, memory), x)
            return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), memory), y.astype(self.dtype)

        cell = CELLS[self.cell](self.size, dtype=self.dtype, name=self.cell)
        along = nn.scan(remember, variable_broadcast="params", split_rngs={"params": False})
        memory, y = along(cell, memory, (x, starts))
        return memory, jnp.concatenate([x, y], axis=-1)


class ActorCritic(nn.Module):
    """Two towers: what to do, and how good it is.

    A linear path leads from the features to the logits. It begins as a preference for the option in progress, so that even an
    untrained policy walks somewhere and arrives; like all else it is learned away where it does not pay.

    Where one sees the first steps of the ways (`observation.ways`) and walks by primitive actions, the actor also chooses among the
    goals g of these ways, and the action a that leads to g from here (the first step; there, its use) gets the share of g:

        logit(a) += log(sum_g p(g) [a leads to g] + LEAST)

    The critic may be a central one (MAPPO, Yu et al. 2022, https://arxiv.org/abs/2103.01955): it then also sees the whole town, as
    the mean and the largest of what a layer makes of everybody's features. It is needed for learning only.
    """

    num_actions: int
    hidden: tuple[int, ...]
    conv: int
    options: tuple[int, int, int] = (0, 0, 0)  # first feature of the option in progress, first option action, how many
    persistence: float = 0.0  # initial logit of the option in progress
    memory: str = "none"  # "none", "gru" or "lstm"
    memory_size: int = 64
    identity: tuple[int, int, int] = (0, 0, 0)  # as in `Encoder`
    central: bool = False  # whether the critic sees the whole town
    ways: tuple[int, int, int] = (
        0,
        0,
        0,
    )  # first feature of the first steps, how many goals, how many of them are offers
    dtype: Any = jnp.float32  # of the products; parameters, logits, values and memory are f32

    def habit(self, key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
        """The initial weights of the linear path, f32[D, num_actions]."""
        feature, action, count = self.options
        each = jnp.arange(count)
        return jnp.zeros(shape, dtype).at[feature + each, action + each].set(self.persistence)

    def tower(self, name: str, memory: Any, starts: Array, observation: Observation, more: Array | None = None) -> Any:
        """The memory of a tower afterwards, and what its head reads."""
        x = Encoder(self.hidden, self.conv, self.identity, self.dtype, name=name)(observation, more)
        if self.memory == "none":
            return (), x
        return Memory(self.memory, self.memory_size, self.dtype, name=f"{name}_memory")(memory[name], x, starts)

    def town(self, features: Array) -> Array:
        """What the central critic sees of a town, the same for all in it: [..., A, 2 * hidden[0]] of features [..., A, D]."""
        each = nn.tanh(dense(self.hidden[0], 2**0.5, self.dtype, "town")(features.astype(self.dtype)))
        both = jnp.concatenate([each.mean(-2, keepdims=True), each.max(-2, keepdims=True)], axis=-1)
        return jnp.broadcast_to(both, (*each.shape[:-1], both.shape[-1]))

    def towards(self, x: Array, features: Array) -> Array:
        """What goals add to the logits, f32[..., num_actions], of the actor's x [..., D] and features [..., D]."""
        first, goals, offers = self.ways
        chance = nn.softmax(dense(goals, 0.01, jnp.float32, "goal")(x))
        steps = features[..., first : first + goals * MOVES].reshape(*chance.shape, MOVES)
        there = chance * (1.0 - steps.sum(-1))
        moves = (chance[..., None] * steps).sum(-2)
        share = [there[..., offers:].sum(-1, keepdims=True), moves, there[..., :offers]]  # wait, moves, uses
        rest = jnp.zeros((*chance.shape[:-1], self.num_actions - 1 - MOVES - offers))
        return jnp.log(jnp.concatenate([*share, rest], axis=-1) + LEAST)

    @nn.compact
    def __call__(self, memory: Any, observation: Observation, starts: Array) -> tuple[Any, Array, Array]:
        """One stretch of time.

        Args:
            memory: as of `blank`, leaves f32[..., A, memory_size].
            observation: leaves [T, ..., A, ...].
            starts: bool[T, ..., A] somebody new begins with this decision.

        Returns:
            The memory after the last decision, logits f32[T, ..., A, num_actions] and values f32[T, ..., A].
        """
        features = observation.features
        actor, x = self.tower("actor", memory, starts, observation)
        critic, y = self.tower("critic", memory, starts, observation, self.town(features) if self.central else None)
        logits = dense(self.num_actions, 0.01, jnp.float32, "policy")(x)
        habit = nn.Dense(self.num_actions, use_bias=False, kernel_init=self.habit, name="habit")(features)
        value = dense(1, 1.0, jnp.float32, "value")(y)[..., 0]
        memory = () if self.memory == "none" else {"actor": actor, "critic": critic}
        logits = logits + habit
        return memory, logits + self.towards(x, features) if self.ways[1] else logits, value

    def blank(self, shape: tuple[int, ...]) -> Any:
        """The memory of somebody who has seen nothing, leaves f32[*shape, memory_size], no two the same array; () without one."""
        if self.memory == "none":
            return ()
        empty = lambda: jnp.zeros((*shape, self.memory_size), jnp.float32)
        one = lambda: (empty(), empty()) if self.memory == "lstm" else empty()
        return {"actor": one(), "critic": one()}


class ByRole(nn.Module):
    """A network for each role, all of one shape; the features tell who has which (`role` first, count), and nobody's is one more.

    Every role's network runs for everybody, and each is answered by its own: one who changes the role keeps what was seen.
    """

    body: ActorCritic
    role: tuple[int, int]  # first feature of the one-hot role, how many

    @nn.compact
    def __call__(self, memory: Any, observation: Observation, starts: Array) -> tuple[Any, Array, Array]:
        """As of `ActorCritic`, the memory with an axis of roles before its last."""
        first, count = self.role
        one_hot = observation.features[..., first : first + count]
        share = jnp.concatenate([one_hot, 1.0 - one_hot.sum(-1, keepdims=True)], axis=-1)  # [T, ..., A, R]
        each = nn.vmap(
            lambda body, memory, observation, starts: body(memory, observation, starts),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(-2, None, None),
            out_axes=(-2, -2, -1),
            axis_size=count + 1,
        )
        memory, logits, value = each(self.body, memory, observation, starts)
        return memory, (logits * share[..., None]).sum(-2), (value * share).sum(-1)

    def blank(self, shape: tuple[int, ...]) -> Any:
        """As of `ActorCritic`, leaves f32[*shape, R, memory_size]."""
        return self.body.blank((*shape, self.role[1] + 1))
