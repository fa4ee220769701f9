"""One seed, one town: the same bits in any batch, with jit or without, on any instruction set and number of devices."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax._src.checkify import error_checks
from jax.experimental import checkify

from townlet_jax import engine, load
from townlet_jax.io.digest import digest
from townlet_jax.policies import random

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
NUM_TICKS = 300


def module(path):
    """A Python file that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


machine = module(HERE / "machine.py")


@pytest.fixture(scope="module")
def world():
    return load("town", **machine.COMPACT)


@pytest.fixture(scope="module")
def alone(world):
    """The digest of town 0 that all others are compared with: a batch of one."""
    return digest(machine.first(jax.jit(machine.play, static_argnums=2)(world, machine.keys(1), NUM_TICKS)))


def tick(world, state, key):
    now = engine.tick_key(key, state)
    return engine.step(world, state, random(world, state, engine.stream(now, "policy")), now)


@pytest.mark.parametrize("num_towns", [8, 64, 1024])
def test_town_0_is_the_same_in_every_batch(world, alone, num_towns):
    states = jax.jit(machine.play, static_argnums=2)(world, machine.keys(num_towns), NUM_TICKS)
    assert digest(machine.first(states)) == alone


def test_a_loop_of_jitted_ticks_is_the_scan(world, alone):
    key = machine.keys(1)[0]
    state, run = jax.jit(engine.reset)(world, key), jax.jit(tick)
    for _ in range(NUM_TICKS):
        state = run(world, state, key)
    assert digest(jax.device_get(state)) == alone


def test_chunks_of_a_scan_are_the_scan(world, alone):
    key = machine.keys(1)[0]
    chunk = jax.jit(lambda world, state: engine.unroll(world, random, state, key, NUM_TICKS // 4)[0])
    state = jax.jit(engine.reset)(world, key)
    for _ in range(4):
        state = chunk(world, state)
    assert digest(jax.device_get(state)) == alone


def test_eager_is_jit(world):
    key = machine.keys(1)[0]
    run, state, eager = jax.jit(tick), jax.jit(engine.reset)(world, key), engine.reset(world, key)
    for _ in range(20):
        state, eager = run(world, state, key), tick(world, eager, key)
    assert digest(eager) == digest(state)


def test_another_seed_is_another_town(world, alone):
    other = jax.jit(machine.play, static_argnums=2)(world, machine.keys(1, seed=1), NUM_TICKS)
    assert digest(machine.first(other)) != alone


@pytest.mark.parametrize(
    "how, settings, devices",
    [
        ("alone", {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"}, 1),
        ("alone", {"JAX_ENABLE_X64": "1"}, 1),
        ("sharded", {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}, 4),
    ],
    ids=["sse4", "x64", "four devices"],
)
def test_another_machine_gives_the_same(alone, how, settings, devices):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **settings}
    command = [sys.executable, str(HERE / "machine.py"), how, str(NUM_TICKS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {"digest": alone, "devices": devices, "x64": "JAX_ENABLE_X64" in settings}


def test_golden_digests():
    regenerate = module(GOLDEN / "regenerate.py")
    recorded, now = json.loads(regenerate.FILE.read_text()), regenerate.golden()
    assert now == recorded, (
        "the town behaves differently from the release that wrote tests/golden/town.json; if that is meant, raise"
        " `version` in configs/worlds/town.yaml, say so in CHANGELOG.md and run `python tests/golden/regenerate.py`"
    )


def test_no_key_is_used_twice(world):
    with jax.debug_key_reuse(True):
        key = machine.keys(1)[0]
        state = jax.jit(engine.reset)(world, key)
        for _ in range(3):
            state = jax.jit(tick)(world, state, key)
        assert int(state.tick) > 0


def test_other_parameters_do_not_recompile(world):
    traces = []

    def counted(world, state, key):
        traces.append(1)
        return tick(world, state, key)

    run, key = jax.jit(counted), machine.keys(1)[0]
    state = run(world, jax.jit(engine.reset)(world, key), key)
    for factor in range(2, 12):
        needs = world.params["needs"]
        faster = world.replace(params={**world.params, "needs": needs.replace(decay=needs.decay * factor)})
        state = run(faster, state, key)
    assert len(traces) == 1


def test_jitted_state_can_be_donated(world):
    run, key = jax.jit(tick, donate_argnums=1), machine.keys(1)[0]
    state = jax.jit(engine.reset)(world, key)
    for _ in range(3):
        state = run(world, state, key)
    assert not world.params["start"].cell.is_deleted()
    assert digest(jax.jit(engine.reset)(world, key)) == digest(jax.jit(engine.reset)(world, key))


def test_eager_state_can_be_donated(world):
    key = machine.keys(1)[0]
    state = engine.reset(world, key)
    run = jax.jit(tick, donate_argnums=1)
    assert int(run(world, state, key).tick) > 0
    assert not world.params["start"].cell.is_deleted()


def test_no_index_out_of_range(world, monkeypatch):
    for scatter in (jax.lax.scatter_p, jax.lax.scatter_add_p):  # whose index NOTHING is dropped, and meant to be
        monkeypatch.delitem(error_checks, scatter)
    checked = checkify.checkify(tick, errors=checkify.div_checks | checkify.index_checks)
    run, keys = jax.jit(jax.vmap(checked, (None, 0, 0))), machine.keys(64)
    states = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys)
    for _ in range(200):
        error, states = run(world, states, keys)
        error.throw()
    outside = checkify.checkify(lambda x, i: x[i], errors=checkify.index_checks)
    assert "out-of-bounds" in outside(jnp.zeros(5), 7)[0].get()  # the guard itself works
