"""Experience: a policy decides for everybody in every town, and the towns run on."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from townlet_jax.engine import stream, tick_key
from townlet_jax.types import Observation, State

from .distributions import MaskedCategorical
from .program import Program, look, newcomers
from .rollout import advance, autoreset, observe, town_keys
from .types import Array, Runner, Transition


def indices(program: Program, count: int) -> Array:
    """The towns of this device, counted over all devices: i32[count]."""
    first = 0 if program.axis is None else jax.lax.axis_index(program.axis) * count
    return first + jnp.arange(count, dtype=jnp.int32)


def draw(logits: Array, mask: Array, towns: Array, key: Array) -> tuple[Array, Array]:
    """An action for everybody and its log chance, i32[B, A] and f32[B, A]; a town's draws depend on nothing but its index."""

    def one(logits, mask, town):
        return MaskedCategorical(logits, mask).sample_and_log_prob(seed=jax.random.fold_in(key, town))

    drawn: Any = jax.vmap(one)(logits, mask, towns)
    return drawn


def lessons(program: Program, states: State, keys: Array) -> Any:
    """What the teacher would do, i32[B, A]; () without one."""
    if program.teacher is None:
        return ()
    teacher = program.teacher

    def one(state, key):
        now = stream(tick_key(key, state), "policy")
        choice, _ = teacher.decide(teacher.params, program.world, state, teacher.begin(program.world, state), now)
        return choice.action

    return jax.vmap(one)(states, keys)


def mixed(
    program: Program, runner: Runner, mask: Array, action: Array, lesson: Array, towns: Array, key: Array
) -> tuple[Array, Array]:
    """Who does what the teacher says, drawn anew for each: the actions i32[B, A], and for whom it is the teacher's bool[B, A]."""
    if program.teacher is None:
        return action, jnp.zeros(action.shape, bool)
    A = action.shape[1]
    chance = jax.vmap(lambda town: jax.random.uniform(jax.random.fold_in(key, town), (A,)))(towns)
    allowed = jnp.take_along_axis(mask, lesson[..., None], axis=-1)[..., 0]
    taught = (chance < runner.hyper.mix) & allowed
    return jnp.where(taught, lesson, action), taught


def final_values(program: Program, runner: Runner, states: State, memory: Any) -> Array:
    """The values f32[B, A] of the towns' last states, where an episode was cut short; 0 if none was."""

    def value(states: State) -> Array:
        seen = observe(program.world, states).observation
        none = jnp.zeros(states.agents.alive.shape, bool)
        return look(program.network, runner.params, memory, seen, none)[2]

    zeros = lambda states: jnp.zeros(states.agents.alive.shape, jnp.float32)
    return jax.lax.cond(states.truncated.any(), value, zeros, states)


def decide(program: Program, runner: Runner, key: Array) -> tuple[Runner, tuple[Transition, dict[str, Array]]]:
    """Everybody decides once, the towns run on, finished ones are replaced.

    Returns:
        The runner, and what happened: leaves [num_envs, A, ...], and means f32[] of the metrics over this device's towns.
    """
    world, config, before = program.world, program.config, runner.states
    towns = indices(program, before.tick.shape[0])
    seen: Observation = observe(world, before).observation
    seen = seen.replace(action_mask=seen.action_mask & program.allowed)
    memory, logits, value = look(program.network, runner.params, runner.memory, seen, runner.starts)
    action, log_prob = draw(logits, seen.action_mask, towns, stream(key, "actions"))
    keys = town_keys(stream(runner.key, "towns"), towns, runner.episode)
    lesson = lessons(program, before, keys)
    action, taught = mixed(program, runner, seen.action_mask, action, lesson, towns, stream(key, "mix"))
    states, (reward, terminated, means) = advance(
        world, before, action, keys, config.ticks_per_decision, runner.hyper.gamma
    )
    cut, alive = states.truncated, before.agents.alive
    final_value = final_values(program, runner, states, memory)
    starts = cut[:, None] | newcomers(before, states)
    states, episode = autoreset(states, runner.pool, towns, runner.episode)
    transition = Transition(
        observation=seen,
        starts=runner.starts,
        action=action,
        log_prob=log_prob,
        value=value,
        reward=reward,
        terminated=terminated,
        truncated=jnp.broadcast_to(cut[:, None], alive.shape),
        final_value=final_value,
        alive=alive,
        acts=alive & ~taught & (seen.action_mask.sum(-1, dtype=jnp.int32) > 1),
        lesson=lesson,
    )
    return runner.replace(states=states, episode=episode, memory=memory, starts=starts), (transition, means)


def unroll(program: Program, runner: Runner, key: Array) -> tuple[Runner, Transition, Array, dict[str, Array]]:
    """One rollout.

    Returns:
        The runner, the rollout [T, B, A, ...], the values f32[B, A] of the states after it, and means f32[] of the metrics.
    """
    steps = jax.random.split(key, program.config.num_steps)
    runner, (rollout, means) = jax.lax.scan(partial(decide, program), runner, steps)
    seen = observe(program.world, runner.states).observation
    last_value = look(program.network, runner.params, runner.memory, seen, runner.starts)[2]
    return runner, rollout, last_value, jax.tree.map(jnp.mean, means)
