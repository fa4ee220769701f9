"""The training program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import TINY

from townlet_jax.observe import schema
from townlet_jax.telemetry import kpis
from townlet_jax.worlds import compile_document, read
from train.config import load_config
from train.distributions import MaskedCategorical
from train.learner import make_train
from train.program import hyper_of, learned, look, may_take, network_of
from train.rollout import observe


@pytest.fixture(scope="module")
def tiny():
    config, _ = load_config("ppo_town", TINY)
    world = compile_document(read(config.world, config.world_set))
    train = make_train(world, config)
    return world, config, train, jax.jit(train.init), jax.jit(train.update)


def test_counts(tiny):
    """8 towns x 8 agents x 4 decisions = 256 a rollout; 1,536 in all are 6 updates."""
    _, _, train, _, _ = tiny
    assert train.steps_per_update == 256 and train.num_updates == 6


def test_update_moves_the_parameters_and_counts(tiny):
    _, _, _, init, update = tiny
    runner = init(jax.random.key(0))
    after, metrics = update(runner)
    assert int(after.update) == 1
    moved = [float(jnp.abs(a - b).max()) for a, b in zip(jax.tree.leaves(runner.params), jax.tree.leaves(after.params))]
    assert max(moved) > 0 and all(np.isfinite(float(value)) for value in metrics.values())
    assert 0 < float(metrics["entropy"]) < np.log(11)
    ticks = int(after.states.tick[0]) - int(runner.states.tick[0])
    assert ticks == 4 * 15 or int(after.episode[0]) > 0


def test_update_is_a_function_of_the_runner_alone(tiny):
    _, _, _, init, update = tiny
    one, two = update(init(jax.random.key(0))), update(init(jax.random.key(0)))
    assert all(bool((a == b).all()) for a, b in zip(jax.tree.leaves(one[0].params), jax.tree.leaves(two[0].params)))
    other = update(init(jax.random.key(1)))
    assert any(bool((a != b).any()) for a, b in zip(jax.tree.leaves(one[0].params), jax.tree.leaves(other[0].params)))


def test_the_ratio_is_one_before_the_first_step(tiny):
    """With a learning rate of 0 every epoch sees the policy that acted: KL and clip fraction vanish."""
    _, _, _, init, update = tiny
    runner = init(jax.random.key(0))
    _, metrics = update(runner.replace(hyper=runner.hyper.replace(learning_rate=jnp.float32(0.0))))
    assert abs(float(metrics["approx_kl"])) < 1e-6 and float(metrics["clip_fraction"]) == 0


@pytest.mark.parametrize("cell", ["gru", pytest.param("lstm", marks=pytest.mark.slow)])
def test_the_ratio_is_one_with_a_memory_and_ends_inside_the_rollout(cell):
    """Episodes of 6 decisions in a rollout of 12, so that memories begin anew in its midst: still the policy that acted."""
    config, _ = load_config("ppo_town", (*TINY, "num_steps=12", f"memory={cell}", "memory_size=8"))
    world = compile_document(read(config.world, (*config.world_set, "systems.lifecycle.episode_ticks=90")))
    train = make_train(world, config)
    runner = jax.jit(train.init)(jax.random.key(0))
    update = jax.jit(train.update)
    still = runner.replace(hyper=runner.hyper.replace(learning_rate=jnp.float32(0.0)))
    after, metrics = update(still)
    assert after.episode.min() >= 2 and float(metrics["grad_norm"]) > 0
    assert abs(float(metrics["approx_kl"])) < 1e-7 and float(metrics["clip_fraction"]) == 0
    moved, metrics = update(runner)
    assert float(metrics["approx_kl"]) > 1e-7, "the same measure sees a policy that moved"
    memory = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moved.memory)])
    assert memory.any() and after.starts.shape == (8, 8)


def test_hyper_parameters_are_leaves(tiny):
    """One compiled program serves every learning rate."""
    _, config, _, init, update = tiny
    runner = init(jax.random.key(0))
    faster = runner.replace(hyper=hyper_of(config).replace(learning_rate=jnp.float32(0.1)))
    slow, fast = update(runner)[0], update(faster)[0]
    assert update._cache_size() == 1
    change = lambda after: max(
        float(jnp.abs(a - b).max()) for a, b in zip(jax.tree.leaves(after.params), jax.tree.leaves(runner.params))
    )
    assert change(fast) > 10 * change(slow)


def test_options_leave_out_the_primitives(tiny):
    world, config, _, init, _ = tiny
    names = np.array(world.static.actions.names)
    allowed = np.asarray(may_take(world, "options"))
    assert allowed[0] and not any(allowed[i] for i, name in enumerate(names) if name.startswith(("move_", "use_")))
    assert allowed[names.tolist().index("go_work")] and np.asarray(may_take(world, "all")).all()
    runner = init(jax.random.key(0))
    town = jax.tree.map(lambda leaf: leaf[0], runner.states)
    player = learned(world, config, runner.params)
    choice, _ = player.decide(player.params, world, town, player.begin(world, town), jax.random.key(2))
    assert all(allowed[action] for action in choice.action.tolist())


def test_an_untrained_policy_persists(tiny):
    """The option in progress has a logit of 3 above the others: chance e^3 / (e^3 + 9) among ten allowed ones."""
    world, config, _, init, _ = tiny
    runner = init(jax.random.key(0))
    seen = observe(world, runner.states).observation
    entry = next(entry for entry in schema(world) if entry.name == "option")
    work = world.static.actions.work
    features = seen.features.at[..., entry.start : entry.stop].set(0).at[..., entry.start + work].set(1)
    network = network_of(world, config)
    logits = look(network, runner.params, (), seen.replace(features=features), runner.starts)[1]
    bare = features.at[..., entry.start + work].set(0)
    bare = look(network, runner.params, (), seen.replace(features=bare), runner.starts)[1]
    gain = (logits - bare)[..., world.static.actions.options + work]
    assert np.asarray(gain) == pytest.approx(3.0, abs=0.1)
    chance = MaskedCategorical(logits, seen.action_mask.at[..., world.static.actions.options + work].set(True))
    assert (np.asarray(chance.probs[..., world.static.actions.options + work]) > 0.4).all()


def test_hybrid_observations_train_as_well():
    config, _ = load_config("ppo_town", (*TINY, "num_envs=2", "num_minibatches=1", "update_epochs=1", "conv=4"))
    world = compile_document(read("town", ("observation.window=5",)))
    train = make_train(world, config)
    runner, metrics = jax.jit(train.update)(jax.jit(train.init)(jax.random.key(0)))
    assert runner.params["params"]["actor"]["stem"]["kernel"].shape == (6 * 9, 4)
    assert np.isfinite(float(metrics["loss"]))


def test_it_learns():
    """64 towns, 50 updates (0.8 M decisions): above 8 a day in the end. Random citizens make -24, scripted ones 21."""
    sizes = ("num_envs=64", "num_steps=32", "num_minibatches=4", "total_timesteps=819200", "learning_rate=1e-3")
    config, _ = load_config("ppo_town", sizes)
    world = compile_document(read(config.world, config.world_set))
    train = make_train(world, config)
    update = jax.jit(train.update, donate_argnums=0)
    runner, returns = jax.jit(train.init)(jax.random.key(0)), []
    for _ in range(train.num_updates):
        runner, metrics = update(runner)
        returns.append(kpis(world, metrics)["return_per_day"])
    assert len(returns) == 50 and np.mean(returns[-5:]) > 8 > np.mean(returns[5:10])
