"""PPO on a town: one jit around simulation and learning.

Read `update` first: it collects a rollout, estimates advantages, and improves the networks.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from townlet_jax.engine import stream
from townlet_jax.observe import observe as see
from townlet_jax.observe import schema
from townlet_jax.types import Key, State, World

from .advantages import gae
from .config import TrainConfig
from .distributions import MaskedCategorical
from .losses import ppo_loss
from .networks import ActorCritic
from .players import Choice, Player
from .rollout import advance, autoreset, fresh_towns, observe, stagger, town_keys
from .types import Array, Hyper, Runner, Train, Transition


def may_take(world: World, actions: str) -> Array:
    """The actions that the policy may take at all: bool[num_actions]; `options` leaves out moves and bare uses."""
    layout = world.static.actions
    index = jnp.arange(len(layout.names))
    return (index == 0) | (index >= layout.options) if actions == "options" else index >= 0


def network_of(world: World, config: TrainConfig) -> ActorCritic:
    """The network of a run."""
    layout = world.static.actions
    feature = next(entry.start for entry in schema(world) if entry.name == "option")
    options = (feature, layout.options, layout.num_options)
    return ActorCritic(len(layout.names), config.hidden, config.conv, options, config.persistence)


def hyper_of(config: TrainConfig) -> Hyper:
    """The float hyper-parameters of a configuration, as arrays."""
    return Hyper(**{name: jnp.float32(getattr(config, name)) for name in Hyper.__dataclass_fields__})


class Program(NamedTuple):
    """What is the same in every update of a run: compiled in, not traced."""

    world: World
    config: TrainConfig
    network: ActorCritic
    allowed: Array  # bool[num_actions] what the policy may take at all
    adam: optax.GradientTransformation
    num_updates: int


def init(program: Program, key: Array) -> Runner:
    """A fresh learner in fresh towns."""
    world, config = program.world, program.config
    towns, pool, weights, run = jax.random.split(key, 4)
    states = stagger(fresh_towns(world, towns, config.num_envs), config.ticks_per_decision)
    seen = jax.tree.map(lambda x: x[:1], observe(world, states).observation)
    params = program.network.init(weights, seen)
    return Runner(
        params=params,
        opt_state=program.adam.init(params),
        hyper=hyper_of(config),
        states=states,
        pool=fresh_towns(world, pool, config.reset_pool),
        episode=jnp.zeros(config.num_envs, jnp.int32),
        key=run,
        update=jnp.int32(0),
    )


def decide(program: Program, runner: Runner, key: Array) -> tuple[Runner, tuple[Transition, dict[str, Array]]]:
    """Everybody decides once, the towns run on, finished ones are replaced.

    Returns:
        The runner, and what happened: leaves [num_envs, A, ...], and means f32[num_envs] of the metrics.
    """
    world, config, network = program.world, program.config, program.network
    seen = observe(world, runner.states).observation
    logits, value = network.apply(runner.params, seen)
    mask = seen.action_mask & program.allowed
    policy = MaskedCategorical(logits, mask)
    action = policy.sample(seed=key)
    keys = town_keys(stream(runner.key, "towns"), runner.episode)
    alive, ticks = runner.states.agents.alive, config.ticks_per_decision
    states, (reward, terminated, means) = advance(world, runner.states, action, keys, ticks, runner.hyper.gamma)

    cut = states.truncated
    last_value = lambda states: network.apply(runner.params, observe(world, states).observation)[1]
    final_value = jax.lax.cond(cut.any(), last_value, lambda states: jnp.zeros_like(value), states)
    states, episode = autoreset(states, runner.pool, runner.episode)
    transition = Transition(
        observation=seen.replace(action_mask=mask),
        action=action,
        log_prob=policy.log_prob(action),
        value=value,
        reward=reward * config.reward_scale,
        terminated=terminated,
        truncated=jnp.broadcast_to(cut[:, None], alive.shape),
        final_value=final_value,
        alive=alive,
        acts=alive & (mask.sum(-1, dtype=jnp.int32) > 1),
    )
    return runner.replace(states=states, episode=episode), (transition, means)


def improve(program: Program, runner: Runner, batch: Any) -> tuple[Runner, dict[str, Array]]:
    """One gradient step on one minibatch: transition, advantage and target, leaves [b, T, A, ...]."""
    transition, advantage, target = batch

    def loss(params):
        logits, value = program.network.apply(params, transition.observation)
        mask = transition.observation.action_mask
        return ppo_loss(logits, value, transition, advantage, target, mask, runner.hyper)

    (total, parts), gradient = jax.value_and_grad(loss, has_aux=True)(runner.params)
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, runner.hyper.max_grad_norm / (norm + 1e-6))
    gradient = jax.tree.map(lambda g: g * scale, gradient)
    change, opt_state = program.adam.update(gradient, runner.opt_state)
    left = 1.0 - runner.update.astype(jnp.float32) / program.num_updates if program.config.anneal_lr else 1.0
    rate = -runner.hyper.learning_rate * left
    params = optax.apply_updates(runner.params, jax.tree.map(lambda c: c * rate, change))
    parts = {**parts, "loss": total, "grad_norm": norm}
    return runner.replace(params=params, opt_state=opt_state), parts


def epoch(program: Program, data: Any, runner: Runner, key: Array) -> tuple[Runner, dict[str, Array]]:
    """One pass over the rollout, leaves [num_envs, T, A, ...], towns shuffled."""
    config = program.config
    order = jax.random.permutation(key, config.num_envs)
    size = config.num_envs // config.num_minibatches
    split = lambda x: x[order].reshape(config.num_minibatches, size, *x.shape[1:])
    return jax.lax.scan(partial(improve, program), runner, jax.tree.map(split, data))


def update(program: Program, runner: Runner) -> tuple[Runner, dict[str, Array]]:
    """Collect a rollout and learn from it."""
    world, config = program.world, program.config
    now = jax.random.fold_in(stream(runner.key, "updates"), runner.update)
    collecting, shuffling = stream(now, "collect"), stream(now, "shuffle")
    steps = jax.random.split(collecting, config.num_steps)
    runner, (rollout, means) = jax.lax.scan(partial(decide, program), runner, steps)
    last_value = program.network.apply(runner.params, observe(world, runner.states).observation)[1]
    advantage, target = gae(
        rollout.reward,
        rollout.value,
        last_value,
        rollout.terminated,
        rollout.truncated,
        rollout.final_value,
        runner.hyper.gamma**config.ticks_per_decision,
        runner.hyper.gae_lambda,
    )
    data = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (rollout, advantage, target))  # towns first
    passes = jax.random.split(shuffling, config.update_epochs)
    runner, parts = jax.lax.scan(partial(epoch, program, data), runner, passes)
    missed = jnp.where(rollout.alive, (target - rollout.value) ** 2, 0.0).sum() / jnp.maximum(rollout.alive.sum(), 1)
    metrics = {**jax.tree.map(jnp.mean, means), **jax.tree.map(jnp.mean, parts), "value_error": missed}
    return runner.replace(update=runner.update + 1), metrics


def make_train(world: World, config: TrainConfig) -> Train:
    """The training program of a world.

    Args:
        world: compiled; its tables become constants of the program.
        config: sizes are compiled in, floats go into `Runner.hyper`.

    Returns:
        `init(key) -> Runner` and `update(runner) -> (Runner, metrics {name: f32[]})`, both pure: jit, vmap or shard them.
    """
    steps_per_update = config.num_steps * config.num_envs * world.static.num_agents
    program = Program(
        world=world,
        config=config,
        network=network_of(world, config),
        allowed=may_take(world, config.actions),
        adam=optax.scale_by_adam(eps=1e-5),
        num_updates=max(1, config.total_timesteps // steps_per_update),
    )
    return Train(partial(init, program), partial(update, program), program.num_updates, steps_per_update)


@cache
def decider(network: ActorCritic, actions: str, greedy: bool) -> Any:
    """How a learned player decides; the same function for equal networks, so that nothing is compiled twice."""

    def decide(params: Any, world: World, state: State, memory: Any, key: Key) -> tuple[Choice, Any]:
        seen = see(world, state)
        logits, value = network.apply(params, seen)
        chances = MaskedCategorical(logits, seen.action_mask & may_take(world, actions))
        action = chances.mode() if greedy else chances.sample(seed=key)
        return Choice(action, chances.log_prob(action), value), memory

    return decide


def no_memory(world: World, state: State) -> tuple[()]:
    """The memory of a player without one."""
    return ()


def learned(world: World, config: TrainConfig, params: Any, greedy: bool = False) -> Player:
    """The player of a learned policy; `greedy` takes the likeliest action instead of drawing one."""
    decide = decider(network_of(world, config), config.actions, greedy)
    return Player(params, config.ticks_per_decision, no_memory, decide)
