"""Behaviour cloning: a network learns to choose what somebody else chose, decision by decision.

    L = mean(-log pi(a_t | what was seen up to t)) + value_coef * 0.5 * mean((V_t - G_t)^2)

The first mean is over the decisions in which there was a choice, the second over all that somebody took. G is the discounted sum of
the rewards that followed, with the network's own value where the piece ends (`value: returns`; that of its last decision, what was
seen after it being part of the next piece), or what the teacher expected (`value: teacher`). A record is learned in pieces of
`num_steps` decisions, one after the other; the memory goes on from piece to piece, the gradient does not.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from townlet_jax.types import World

from .advantages import gae
from .config import TrainConfig
from .datasets.dataset import Dataset, batches, observation
from .datasets.npz import Arrays
from .distributions import MaskedCategorical
from .losses import weights
from .program import Network, may_take, network_of
from .types import Array

READ = (
    "actions",
    "rewards",
    "terminated",
    "truncated",
    "alive",
    "starts",
    "value_preds",
)  # of a batch, beside what was seen

OF_LIVING = ("value_loss", "accuracy_of_all", "forbidden")  # parts of the loss that are means over the living


class Learner(NamedTuple):
    """What changes while a network is cloned."""

    params: Any
    opt_state: Any


class Cloning(NamedTuple):
    """What stays the same."""

    network: Network
    config: TrainConfig
    allowed: tuple[bool, ...]  # [num_actions] what the policy may take at all
    optimiser: optax.GradientTransformation


def cloning(world: World, config: TrainConfig, num_steps: int) -> Cloning:
    """The program of a configuration, for so many gradient steps of AdamW (https://arxiv.org/abs/1711.05101)."""
    bc = config.bc
    rate = optax.linear_schedule(bc.learning_rate, 0.1 * bc.learning_rate, num_steps)
    allowed = tuple(may_take(world, config.actions).tolist())
    return Cloning(network_of(world, config), config, allowed, optax.adamw(rate, weight_decay=bc.weight_decay))


def targets(program: Cloning, batch: dict[str, Array], value: Array) -> Array:
    """What the value of each decision should be, f32[T, B, A], in the rewards that the learner sees."""
    config = program.config
    if config.bc.value == "teacher":
        return batch["value_preds"]
    own = jax.lax.stop_gradient(value)
    _, returns = gae(
        reward=batch["rewards"] * config.reward_scale,
        value=own,
        last_value=own[-1],
        terminated=batch["terminated"],
        truncated=batch["truncated"],
        final_value=own,
        discount=jnp.float32(config.gamma**config.ticks_per_decision),
        gae_lambda=jnp.float32(1.0),
    )
    return returns


def loss(
    program: Cloning, params: Any, memory: Any, batch: dict[str, Any]
) -> tuple[Array, tuple[Any, dict[str, Array]]]:
    """The loss f32[] of a piece, the memory after it, and the parts of the loss by name.

    Args:
        program: the network and the configuration.
        params: its weights.
        memory: before the piece, leaves f32[B, A, ...].
        batch: leaves [T, B, A, ...] of `dataset.batches`, and `seen`, the Observation of what everybody saw.
    """
    action, mask = batch["actions"], batch["seen"].action_mask & jnp.array(program.allowed)
    seen = batch["seen"].replace(action_mask=mask)
    found: Any = program.network.apply(params, memory, seen, batch["starts"])
    memory, logits, value = found
    policy = MaskedCategorical(logits, mask)
    can = jnp.take_along_axis(mask, action[..., None], axis=-1)[..., 0]
    chose = batch["alive"] & can & (mask.sum(-1, dtype=jnp.int32) > 1)
    choice, living = weights(chose), weights(batch["alive"])
    wrong = -(choice * jnp.where(can, policy.log_prob(action), 0.0)).sum()
    missed = 0.5 * (living * (value - targets(program, batch, value)) ** 2).sum()
    hits = policy.mode() == action
    parts = {
        "loss": wrong + program.config.bc.value_coef * missed,
        "cross_entropy": wrong,
        "value_loss": missed,
        "accuracy": (choice * hits).sum(),
        "accuracy_of_all": (living * hits).sum(),
        "forbidden": (living * ~can).sum(),
        "decisions": chose.sum(dtype=jnp.float32),
        "living": batch["alive"].sum(dtype=jnp.float32),
    }
    return parts["loss"], (memory, parts)


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def step(
    program: Cloning, learner: Learner, memory: Any, batch: dict[str, Any]
) -> tuple[Learner, Any, dict[str, Array]]:
    """One gradient step on a piece of b towns, leaves [T, b, A, ...].

    Returns:
        The learner, its memory f32[b, A, ...] after the piece, and the parts of the loss by name, f32[] each.
    """
    gradient, (memory, parts) = jax.grad(partial(loss, program), has_aux=True)(learner.params, memory, batch)
    change, opt_state = program.optimiser.update(gradient, learner.opt_state, learner.params)
    return Learner(optax.apply_updates(learner.params, change), opt_state), memory, parts


@partial(jax.jit, static_argnums=0)
def look(program: Cloning, params: Any, memory: Any, batch: dict[str, Any]) -> tuple[Any, dict[str, Array]]:
    """The memory f32[b, A, ...] after a piece, leaves [T, b, A, ...], and the parts of the loss, f32[] each; nothing is learned."""
    return loss(program, params, memory, batch)[1]


def pieces(batch: Arrays, num_steps: int) -> Iterator[dict[str, Any]]:
    """A batch of `dataset.batches`, cut into pieces of `num_steps` decisions; the last may be shorter."""
    total = batch["actions"].shape[0]
    for first in range(0, total, num_steps):
        last = min(first + num_steps, total)
        cut = {name: array[first:last] for name, array in batch.items() if name != "towns"}
        yield {**{name: cut[name] for name in READ}, "seen": observation(cut)}


def epoch(program: Cloning, learner: Learner, dataset: Dataset, number: int) -> tuple[Learner, dict[str, float]]:
    """One pass over a dataset in an order of its own. Returns the learner, and means of the parts of the loss."""
    bc, rows = program.config.bc, []
    for batch in batches(dataset, bc.num_towns, seed=program.config.seed + number, drop_last=True):
        memory = program.network.blank(batch["actions"].shape[1:])
        for piece in pieces(batch, bc.num_steps):
            learner, memory, parts = step(program, learner, memory, piece)
            rows.append(parts)
    return learner, average(rows)


def held_out(program: Cloning, params: Any, dataset: Dataset) -> dict[str, float]:
    """Means of the parts of the loss over a dataset from which nothing is learned."""
    bc, rows = program.config.bc, []
    for batch in batches(dataset, bc.num_towns, seed=None):
        memory = program.network.blank(batch["actions"].shape[1:])
        for piece in pieces(batch, bc.num_steps):
            memory, parts = look(program, params, memory, piece)
            rows.append(parts)
    return average(rows)


def average(rows: list[dict[str, Array]]) -> dict[str, float]:
    """Means of the parts of the loss, weighted by what each is a mean over: the decisions with a choice, or all of the living."""
    table = {name: np.array([float(row[name]) for row in jax.device_get(rows)]) for name in rows[0]}
    counts = {name: table.pop(name) for name in ("decisions", "living")}
    means = {}
    for name, x in table.items():
        weight = counts["living" if name in OF_LIVING else "decisions"]
        means[name] = float(np.average(x, weights=weight if weight.any() else None))  # of nobody's, all pieces alike
    return {**means, **{name: float(count.sum()) for name, count in counts.items()}}
