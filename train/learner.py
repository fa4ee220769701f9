"""PPO on a town: one jit around simulation and learning.

Read `update` first: it collects a rollout (`collect.py`), estimates advantages, and improves the networks (`improve.py`).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from townlet_jax.engine import stream
from townlet_jax.types import World

from . import collect, curiosity, normalise
from .advantages import gae
from .config import TrainConfig
from .improve import Batch, epoch
from .losses import weights
from .players import Player
from .program import Program, hyper_of, may_take, network_of
from .rollout import fresh_towns, observe, stagger
from .sharding import TOWNS, mean, placed, spread, total
from .types import Array, Runner, Scaling, Train, Transition


def init(program: Program, key: Array) -> Runner:
    """A fresh learner in fresh towns: the leaves of its towns are [num_envs, ...], its memory is f32[num_envs, A, ...]."""
    world, config, network = program.world, program.config, program.network
    towns, pool, start, run = jax.random.split(key, 4)
    states = stagger(fresh_towns(world, towns, config.num_envs), config.ticks_per_decision)
    seen = jax.tree.map(lambda x: x[None, :1], observe(world, states).observation)
    shape = (config.num_envs, world.static.num_agents)
    params = network.init(start, network.blank((1, shape[1])), seen, jnp.ones((1, 1, shape[1]), bool))
    curious = lambda: curiosity.init(stream(run, "curiosity"), seen.features, program.adam)
    return Runner(
        params=params,
        opt_state=program.adam.init(params),
        hyper=hyper_of(config),
        states=states,
        pool=fresh_towns(world, pool, config.reset_pool),
        memory=network.blank(shape),
        starts=jnp.ones(shape, bool),
        scaling=Scaling(jnp.zeros(shape, jnp.float32), normalise.blank()) if config.normalise_rewards else (),
        curiosity=curious() if config.curiosity else (),
        episode=jnp.zeros(config.num_envs, jnp.int32),
        key=run,
        update=jnp.int32(0),
    )


def rewarded(program: Program, runner: Runner, rollout: Transition, discount: Array) -> tuple[Runner, Array, Any]:
    """The rewards f32[T, B, A] that the learner sees, scaled, and with what curiosity adds: (runner, rewards, metrics)."""
    config, axis = program.config, program.axis
    reward, metrics = rollout.reward * config.reward_scale, {}
    if config.normalise_rewards:
        ends = rollout.terminated | rollout.truncated
        scaling, reward = normalise.scaled(runner.scaling, reward, ends, rollout.alive, discount, axis)
        runner = runner.replace(scaling=scaling)
        metrics["reward_deviation"] = normalise.deviation(scaling.moments)
    if config.curiosity:
        features = rollout.observation.features
        curious, bonus = curiosity.novelty(runner.curiosity, features, rollout.alive, axis)
        done = runner.update.astype(jnp.float32) / (program.num_updates * config.curiosity_share)
        weight = runner.hyper.curiosity * jnp.maximum(1.0 - done, 0.0)
        reward, runner = reward + weight * bonus, runner.replace(curiosity=curious)
        metrics |= {"novelty": normalise.deviation(curious.moments), "curiosity_weight": weight}
    return runner, reward, metrics


def update(program: Program, runner: Runner) -> tuple[Runner, dict[str, Array]]:
    """Collect a rollout and learn from it: the runner afterwards, and the metrics of the update by name, f32[] each."""
    config, axis = program.config, program.axis
    now = jax.random.fold_in(stream(runner.key, "updates"), runner.update)
    memory = runner.memory
    runner, rollout, last_value, means = collect.unroll(program, runner, stream(now, "collect"))
    discount = runner.hyper.gamma**config.ticks_per_decision
    runner, reward, more = rewarded(program, runner, rollout, discount)
    advantage, target = gae(
        reward,
        rollout.value,
        last_value,
        rollout.terminated,
        rollout.truncated,
        rollout.final_value,
        discount,
        runner.hyper.gae_lambda,
    )
    passes = jax.random.split(stream(now, "shuffle"), config.update_epochs)
    data = Batch(rollout, advantage, target, memory)
    runner, parts = jax.lax.scan(partial(epoch, program, data), runner, passes)
    missed = total((weights(rollout.alive, axis) * (target - rollout.value) ** 2).sum(), axis)
    if program.teacher is not None:
        more |= {"mix": runner.hyper.mix, "bc_coef": runner.hyper.bc_coef}
    metrics = {**mean(means, axis), **jax.tree.map(jnp.mean, parts), "value_error": missed, **more}
    return runner.replace(update=runner.update + 1), metrics


def steps_per_update(world: World, config: TrainConfig) -> int:
    """Agent decisions in a rollout."""
    return config.num_steps * config.num_envs * world.static.num_agents


def program_of(world: World, config: TrainConfig, teacher: Player | None = None, axis: str | None = None) -> Program:
    """What the functions of this file are bound to."""
    return Program(
        world=world,
        config=config,
        network=network_of(world, config),
        allowed=may_take(world, config.actions),
        adam=optax.scale_by_adam(eps=1e-5),
        num_updates=max(1, config.total_timesteps // steps_per_update(world, config)),
        teacher=teacher,
        axis=axis,
    )


def make_train(world: World, config: TrainConfig, teacher: Player | None = None, mesh: Mesh | None = None) -> Train:
    """The training program of a world.

    Args:
        world: compiled; its tables become constants of the program.
        config: sizes are compiled in, floats go into `Runner.hyper`.
        teacher: whom the policy imitates, a player without memory: with the chance `hyper.mix` a decision is the teacher's, and the
            loss has the cross entropy of what it would do, with the weight `hyper.bc_coef`.
        mesh: devices over which the towns are spread, of `sharding.mesh_of`; None for one.

    Returns:
        `init(key) -> Runner` and `update(runner) -> (Runner, metrics {name: f32[]})`, both pure: jit them, or vmap them without a
        mesh. Any mesh whose devices divide `shards` learns the same, but for the rounding of sums.
    """
    program = program_of(world, config, teacher, None if mesh is None else TOWNS)
    start, improve = partial(init, program), partial(update, program)
    if mesh is not None:
        shapes = jax.eval_shape(start, jax.random.key(0))
        start, improve = jax.jit(start, out_shardings=placed(mesh, shapes)), spread(mesh, improve)
    return Train(start, improve, program.num_updates, steps_per_update(world, config))
