"""Improvement: passes over a rollout in minibatches of whole towns, one gradient step on each."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from . import curiosity
from .collect import indices
from .losses import imitation_loss, ppo_loss, weights
from .program import Program
from .sharding import total
from .types import Array, Runner, Transition


class Batch(NamedTuple):
    """What is learned from: leaves [T, b, A, ...], but the memory."""

    rollout: Transition
    advantage: Array  # f32
    target: Array  # f32 of the value
    memory: Any  # f32[b, A, ...] before the first decision


def rate(program: Program, runner: Runner) -> Array:
    """The learning rate of this update, f32[]."""
    if not program.config.anneal_lr:
        return runner.hyper.learning_rate
    left = 1.0 - runner.update.astype(jnp.float32) / program.num_updates
    return runner.hyper.learning_rate * jnp.maximum(left, 0.0)


def clipped(gradient: Any, most: Array) -> tuple[Any, Array]:
    """The gradient, no longer than `most`, and the length f32[] that it had."""
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, most / (norm + 1e-6))
    return jax.tree.map(lambda leaf: leaf * scale, gradient), norm


def step(program: Program, runner: Runner, batch: Batch) -> tuple[Runner, dict[str, Array]]:
    """One gradient step on one minibatch.

    Args:
        program: the training program.
        runner: of which the networks, Adam and curiosity learn.
        batch: b towns of the rollout, leaves [T, b, A, ...].

    Returns:
        The runner, and the parts of the loss and the length of the gradient by name, f32[] each.
    """
    rollout, axis = batch.rollout, program.axis

    def loss(params):
        seen: Any = program.network.apply(params, batch.memory, rollout.observation, rollout.starts)
        _, logits, value = seen
        found, parts = ppo_loss(logits, value, rollout, batch.advantage, batch.target, runner.hyper, axis)
        if program.teacher is not None:
            wrong, more = imitation_loss(logits, rollout, axis)
            found = found + runner.hyper.bc_coef * wrong
            parts = {**parts, **more, "loss": found}
        return found, parts

    gradient, parts = jax.grad(loss, has_aux=True)(runner.params)
    gradient, norm = clipped(total(gradient, axis), runner.hyper.max_grad_norm)
    change, opt_state = program.adam.update(gradient, runner.opt_state)
    now = rate(program, runner)
    params = optax.apply_updates(runner.params, jax.tree.map(lambda c: -now * c, change))
    runner = runner.replace(params=params, opt_state=opt_state)
    if program.config.curiosity:
        weight = weights(rollout.alive, axis)
        features = rollout.observation.features
        learned = curiosity.learn(runner.curiosity, features, weight, now, program.adam, axis)
        runner = runner.replace(curiosity=learned)
    return runner, {**total(parts, axis), "grad_norm": norm}


def order(program: Program, count: int, key: Array) -> Array:
    """The towns of this device, shuffled: i32[num_minibatches, count // num_minibatches].

    They are shuffled within `shards` blocks of neighbouring towns, and every minibatch takes as many of each block: so no town has
    to leave its device, and any number of devices that divides `shards` learns from the same minibatches.
    """
    config = program.config
    block = config.num_envs // config.shards  # towns
    first = indices(program, count)[::block] // block  # the blocks of this device
    shuffled = jax.vmap(lambda index: jax.random.permutation(jax.random.fold_in(key, index), block))(first)
    here = shuffled + block * jnp.arange(count // block)[:, None]
    parts = here.reshape(count // block, config.num_minibatches, -1)
    return jnp.swapaxes(parts, 0, 1).reshape(config.num_minibatches, -1)


def epoch(program: Program, data: Batch, runner: Runner, key: Array) -> tuple[Runner, dict[str, Array]]:
    """One pass over the rollout, leaves [T, B, A, ...], towns shuffled; of each minibatch there is a copy only while it is used."""

    def learn(runner: Runner, towns: Array) -> tuple[Runner, dict[str, Array]]:
        batch = jax.tree.map(lambda x: x[:, towns], data._replace(memory=()))
        memory = jax.tree.map(lambda x: x[towns], data.memory)
        return step(program, runner, batch._replace(memory=memory))

    return jax.lax.scan(learn, runner, order(program, data.advantage.shape[1], key))
