"""Collecting experience: a policy decides, the town runs on for some ticks, finished towns are replaced."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from townlet_jax import engine
from townlet_jax.env import timestep
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.telemetry import measure
from townlet_jax.types import State, TimeStep, World

from .types import Array


def town_keys(key: Array, towns: Array, episode: Array) -> Array:
    """The key of each town in its present episode: keys[B]. It depends on the run's key, the town's index and the episode."""
    return jax.vmap(lambda town, turn: jax.random.fold_in(jax.random.fold_in(key, town), turn))(towns, episode)


def advance(
    world: World, states: State, actions: Array, keys: Array, num_ticks: int, gamma: Array
) -> tuple[State, Any]:
    """Let every town run for the ticks of one decision.

    The actions count in the first tick; then everybody carries on. Rewards are added up, discounted per tick, as long as the person
    who decided lives.

    Args:
        world: the world.
        states: towns [B, ...].
        actions: i32[B, A].
        keys: keys[B] of the towns.
        num_ticks: ticks.
        gamma: f32[] discount per tick.

    Returns:
        The towns, and (reward f32[B, A], terminated bool[B, A], means of `measure` over ticks and towns).
    """
    step = jax.vmap(partial(engine.step, world))
    look = jax.vmap(partial(measure, world))

    def tick(carry, first):
        states, reward, lives, discount, sums = carry
        chosen = jnp.where(first, actions, WAIT_ACTION)
        states = step(states, chosen, jax.vmap(engine.tick_key)(keys, states))
        gain = states.reward.astype(jnp.float32) * jnp.float32(1e-6)
        reward = reward + jnp.where(lives, discount * gain, 0.0)
        sums = jax.tree.map(lambda total, now: total + now.mean(), sums, look(states))
        return (states, reward, lives & ~states.terminated, discount * gamma, sums), None

    lives = states.agents.alive
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape[1:], x.dtype), jax.eval_shape(look, states))
    start = (states, jnp.zeros(actions.shape, jnp.float32), lives, jnp.float32(1.0), zeros)
    (states, reward, still, _, sums), _ = jax.lax.scan(tick, start, jnp.arange(num_ticks) == 0)
    means = jax.tree.map(lambda total: total / num_ticks, sums)
    return states, (reward, lives & ~still, means)


def autoreset(states: State, pool: State, towns: Array, episode: Array) -> tuple[State, Array]:
    """Replace the towns that were truncated by fresh ones of the pool.

    Args:
        states: towns [B, ...].
        pool: fresh towns [P, ...].
        towns: i32[B] their indices.
        episode: i32[B].

    Returns:
        The towns, and the episodes, one more for each town that was replaced.
    """
    done = states.truncated

    def replace(states: State) -> State:
        turn = towns + 61 * (episode + 1)
        fresh = jax.tree.map(lambda leaf: leaf[turn % pool.tick.shape[0]], pool)
        pick = lambda new, old: jnp.where(done.reshape(-1, *[1] * (old.ndim - 1)), new, old)
        return jax.tree.map(pick, fresh, states)

    return jax.lax.cond(done.any(), replace, lambda states: states, states), episode + done.astype(jnp.int32)


def fresh_towns(world: World, key: Array, count: int) -> State:
    """Towns at the beginning of their episodes, [count, ...]."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(count, dtype=jnp.int32))
    return jax.vmap(partial(engine.reset, world))(keys)


def stagger(states: State, num_ticks: int) -> State:
    """Shorten the first episodes, evenly from one decision to the full length, so that towns do not all end together."""
    if "lifecycle" not in states.slots:
        return states  # nothing ever ends
    lifecycle = states.slots["lifecycle"]
    count = states.tick.shape[0]
    decisions = (lifecycle.ends - states.tick) // num_ticks
    share = jnp.arange(1, count + 1, dtype=jnp.int32)
    length = jnp.maximum(decisions // count * share + decisions % count * share // count, 1) * num_ticks
    return states.put(lifecycle=lifecycle.replace(ends=states.tick + length))


def observe(world: World, states: State) -> TimeStep:
    """The time steps of towns [B, ...]."""
    return jax.vmap(partial(timestep, world))(states)
