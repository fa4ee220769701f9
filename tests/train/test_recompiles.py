"""After the warm-up nothing is compiled any more: not in 200 updates, nor for other numbers, an evaluation or a checkpoint."""

import jax
import jax.numpy as jnp
import pytest
from tiny_runs import TINY

from townlet_jax.policies import scripted
from townlet_jax.worlds import compile_document, read
from train.checkpoint import open_store, restore, save
from train.config import load_config
from train.evaluate import evaluate
from train.learner import make_train
from train.players import memoryless
from train.program import learned
from train.types import Hyper

COMPILED = "/jax/core/compile/backend_compile_duration"
UPDATES = 200
HYPER = {name: 0.5 for name in ("gamma", "gae_lambda", "clip_eps", "ent_coef", "vf_coef", "max_grad_norm")}
SWEEP = [{"learning_rate": rate} for rate in (1e-5, 1e-4, 1e-3, 1e-2)] + [{name: x} for name, x in HYPER.items()]
WORLDS = [f"systems.economy.rent={rent}" for rent in (0.5, 0.75, 1.0, 1.25, 1.4)]
WORLDS += [f"systems.needs.decay.hunger={decay}" for decay in (0.0005, 0.0006, 0.0007, 0.0008, 0.0009)]


@pytest.fixture
def compiled():
    """A list that grows with every compilation, found in a cache or not."""
    seen = []
    listen = lambda event, duration, **_: seen.append(event) if event == COMPILED else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def keep(store, runner):
    """A checkpoint of a runner, and the runner that is read from it."""
    save(store, int(runner.update), runner, {"name": "tiny"})
    return jax.device_put(restore(store, runner)[0])


def test_nothing_is_compiled_after_the_warm_up(tmp_path, compiled):
    config, _ = load_config("ppo_town", TINY)
    document = lambda *words: read(config.world, (*config.world_set, *words))
    world = compile_document(document())
    train, store = make_train(world, config), open_store(tmp_path / "checkpoints")
    update = jax.jit(train.update)
    runner = jax.jit(train.init)(jax.random.key(0))
    players = {"learned": learned(world, config, runner.params), "scripted": memoryless(scripted)}
    worlds = [compile_document(document(word)).replace(static=world.static) for word in WORLDS]  # as a reload does
    hypers = [runner.hyper.replace(**{name: jnp.float32(x) for name, x in change.items()}) for change in SWEEP]
    look = lambda world: evaluate(world, players, num_envs=4, seeds=1, num_ticks=60)

    for _ in range(2):  # a runner that was read differs from one that was computed in where it lies
        runner = keep(store, update(runner)[0])
        first = look(world)
    assert compiled  # the counter counts
    compiled.clear()

    for _ in range(UPDATES):
        runner, metrics = update(runner)
        jax.device_get(metrics)
    for hyper in hypers:
        update(runner.replace(hyper=hyper))
    again, others = look(world), [look(other) for other in worlds]
    runner = keep(store, runner)
    update(runner)
    assert compiled == []
    assert int(runner.update) == UPDATES + 2 and len(SWEEP) == len(WORLDS) == 10
    assert (again["scripted"]["needs/hunger"] == first["scripted"]["needs/hunger"]).all()
    assert len({float(other["scripted"]["needs/hunger"].mean()) for other in others}) > 3
    assert isinstance(runner.hyper, Hyper)
