"""One seed, one town: the same bits in any batch, with jit or without, on any instruction set and number of devices."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from everything import EVERYTHING
from jax._src.checkify import error_checks
from jax.experimental import checkify
from jax.experimental.key_reuse._core import check_key_reuse

from townlet_jax import engine, load, observe
from townlet_jax.io.digest import digest
from townlet_jax.policies import random
from townlet_jax.systems import ORDER
from townlet_jax.telemetry import measure
from townlet_jax.testing import town_keys
from townlet_jax.testing.fuzz import Ways
from townlet_jax.testing.fuzz import tick as fuzz_tick

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NUM_TICKS = 300
WATCHED = 8  # towns 0 to 7 are compared
BATCHES = (1, 2, 8, 17, 64, 256, 1024)


def module(path):
    """A Python file that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


regenerate = module(HERE.parent / "golden" / "regenerate.py")
long, wide = pytest.mark.slow, pytest.mark.wide


@functools.cache
def world_of(name):
    """A shipped world; what is seen of it changes no state."""
    return load(name, **regenerate.COMPACT)


@pytest.fixture(scope="module")
def world():
    return world_of("town")


def reset(world, keys):
    return jax.vmap(engine.reset, (None, 0))(world, keys)


@functools.partial(jax.jit, static_argnames=("num_ticks", "watched"))
def play(world, states, keys, num_ticks, watched=False):
    """Towns after some ticks; with everything that telemetry reports, if it is asked for."""
    watch = (lambda world, state: (measure(world, state), observe(world, state))) if watched else lambda *_: ()
    return jax.vmap(lambda state, key: engine.unroll(world, random, state, key, num_ticks, watch))(states, keys)


def tick(world, state, key):
    now = engine.tick_key(key, state)
    return engine.step(world, state, random(world, state, engine.stream(now, "policy")), now)


def told(states, towns=range(WATCHED)):
    """The digest of each of some towns of a batch."""
    states = jax.device_get(states)
    return [digest(jax.tree.map(lambda leaf, town=town: leaf[town], states)) for town in towns]


@functools.cache
def reference(name, num_ticks=NUM_TICKS):
    """What all is compared with: towns 0 to 7 in a batch of eight, in one scan."""
    world, keys = world_of(name), town_keys(0, WATCHED)
    return told(play(world, jax.jit(reset)(world, keys), keys, num_ticks)[0])


@pytest.mark.parametrize("num_towns", [n if n in (1, 64) else pytest.param(n, marks=wide) for n in BATCHES])
@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_a_town_is_the_same_in_every_batch(name, num_towns):
    world, keys = world_of(name), town_keys(0, num_towns)
    states = play(world, jax.jit(reset)(world, keys), keys, NUM_TICKS)[0]
    same = range(min(num_towns, WATCHED))
    assert told(states, same) == reference(name)[: len(same)] and len(set(reference(name))) == WATCHED


@long
@pytest.mark.parametrize("name", ["town", "m3", "m5"])
def test_a_town_is_the_same_in_every_batch_for_5000_ticks(name):
    world, keys = world_of(name), town_keys(0, 64)
    states = play(world, jax.jit(reset)(world, keys), keys, 5000)[0]
    assert told(states) == reference(name, 5000)


@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_a_town_is_the_same_at_every_place_of_a_batch(name):
    world, order = world_of(name), np.random.default_rng(0).permutation(64)
    keys = town_keys(0, 64)[order]
    states = play(world, jax.jit(reset)(world, keys), keys, NUM_TICKS)[0]
    assert told(states, [int(np.flatnonzero(order == town)[0]) for town in range(WATCHED)]) == reference(name)


@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_a_loop_of_jitted_ticks_is_the_scan(name):
    world, key = world_of(name), town_keys(0, 1)[0]
    state, run = jax.jit(engine.reset)(world, key), jax.jit(tick)
    for _ in range(NUM_TICKS):
        state = run(world, state, key)
    assert digest(jax.device_get(state)) == reference(name)[0]


def test_chunks_of_a_scan_are_the_scan(world):
    """Stopped and resumed: 10 times 30 ticks are 300."""
    keys = town_keys(0, WATCHED)
    states = jax.jit(reset)(world, keys)
    for _ in range(10):
        states = play(world, states, keys, NUM_TICKS // 10)[0]
    assert told(states) == reference("town")


@wide
def test_an_unrolled_scan_is_the_scan(world):
    def run(world, key):
        body = lambda state, _: (tick(world, state, key), None)
        return jax.lax.scan(body, engine.reset(world, key), None, NUM_TICKS, unroll=4)[0]

    assert told(jax.jit(jax.vmap(run, (None, 0)))(world, town_keys(0, WATCHED))) == reference("town")


@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_telemetry_changes_nothing(name):
    world, keys = world_of(name), town_keys(0, WATCHED)
    states, (metrics, seen) = play(world, jax.jit(reset)(world, keys), keys, NUM_TICKS, watched=True)
    assert told(states) == reference(name)
    assert metrics["wallet"].shape == seen.features.shape[:2] == (WATCHED, NUM_TICKS)


@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_eager_is_jit(name):
    world, key = world_of(name), town_keys(0, 1)[0]
    run, state, eager = jax.jit(tick), jax.jit(engine.reset)(world, key), engine.reset(world, key)
    for _ in range(30):
        state, eager = run(world, state, key), tick(world, eager, key)
    assert digest(eager) == digest(state)


def test_another_seed_is_another_town(world):
    keys = town_keys(1, WATCHED)
    other = told(play(world, jax.jit(reset)(world, keys), keys, NUM_TICKS)[0])
    assert not set(other) & set(reference("town"))


def recorded(name):
    """The golden digests of a world, as the release wrote them."""
    if name == "town":
        return json.loads(regenerate.FILE.read_text())["compact"]
    table = dict(json.loads(regenerate.PRESETS_FILE.read_text())[name])
    table.pop("version")
    return table


MACHINES = {
    "sse4": ("here", {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"}, 1),
    "unoptimised": ("here", {"XLA_FLAGS": "--xla_backend_optimization_level=0"}, 1),
    "x64": ("here", {"JAX_ENABLE_X64": "1"}, 1),
    "four devices": ("sharded", {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}, 4),
}
WIDE = {("town", "sse4"), ("town", "four devices"), ("m3", "sse4")}


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        pytest.param(name, machine, marks=wide if (name, machine) in WIDE else long)
        for name in ("town", *regenerate.PRESETS)
        for machine in MACHINES
    ],
)
def test_another_machine_gives_the_same(name, machine):
    how, settings, devices = MACHINES[machine]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(REPOSITORY), **settings}
    command = [sys.executable, str(HERE / "machine.py"), how, name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = {"digests": {name: recorded(name)}, "devices": devices, "x64": "JAX_ENABLE_X64" in settings}
    assert json.loads(done.stdout) == expected


MEANT = (
    "the world behaves differently from the release that wrote {}; if that is meant, raise `version` in the world's YAML,"
    " say so in CHANGELOG.md and run `python tests/golden/regenerate.py`"
)


def test_golden_digests():
    assert regenerate.golden() == json.loads(regenerate.FILE.read_text()), MEANT.format("tests/golden/town.json")


@wide
@pytest.mark.parametrize("name", [pytest.param("m3", marks=long), "m5"])
def test_golden_digests_of_the_presets(name):
    """M3 is played on another machine in the wide run."""
    table = json.loads(regenerate.PRESETS_FILE.read_text())[name]
    now = {"version": world_of(name).static.version, **regenerate.digests(name)}
    assert now == table, MEANT.format("tests/golden/presets.json")


@wide
@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_no_key_is_used_twice(name):
    """In 64 towns for 200 ticks."""
    world, keys = world_of(name), town_keys(0, 64)
    with jax.debug_key_reuse(True):
        states = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys)
        states = play(world, states, keys, 200)[0]
        assert (states.tick > 0).all()
        with pytest.raises(jax.errors.KeyReuseError):
            jax.jit(lambda key: jax.random.bits(key) + jax.random.bits(key))(jax.random.key(0))


@pytest.mark.parametrize("name", ["m3", "m5", "everything"])
def test_no_tick_uses_a_key_twice(name):
    """Traced only: of every system there is, of the crowd and of edits."""
    world = load("town", **EVERYTHING) if name == "everything" else world_of(name)
    state = jax.eval_shape(engine.reset, world, jax.random.key(0))
    tick = lambda world, state, key: fuzz_tick(world, state, jnp.uint32(3), key, Ways())
    check_key_reuse(engine.reset, world, jax.random.key(0))
    check_key_reuse(tick, world, state, jax.random.key(0))
    with pytest.raises(jax.errors.KeyReuseError):
        twice = lambda world, state, key: (tick(world, state, key), jax.random.bits(key), jax.random.bits(key))
        check_key_reuse(twice, world, state, jax.random.key(0))


def test_no_words_are_drawn_twice():
    """No two of 256 towns, 100 ticks and all systems share a pair of random words, or a system one with the policy."""
    names = [system.name for system in ORDER]
    ticks = jnp.arange(100, dtype=jnp.int32)

    def draw(key):
        pairs = [words.reshape(-1, 2) for words in engine.random_words(key, dict.fromkeys(names, 6)).values()]
        return jnp.concatenate([*pairs, jax.random.key_data(engine.stream(key, "policy"))[None]])

    of_tick = lambda key: jax.vmap(lambda tick: draw(jax.random.fold_in(key, tick)))(ticks)
    found = np.asarray(jax.jit(jax.vmap(of_tick))(town_keys(0, 256))).reshape(-1, 2)
    assert len(np.unique(found, axis=0)) == len(found) == 256 * 100 * (3 * len(names) + 1)


def test_the_words_of_one_do_not_depend_on_those_of_another():
    key = jax.random.key(3)
    alone = engine.random_words(key, {"chat": 5})["chat"]
    among = engine.random_words(key, {"needs": 0, "weather": 3, "chat": 5, "hiring": 9})
    assert {name: len(words) for name, words in among.items()} == {"needs": 0, "weather": 3, "chat": 5, "hiring": 9}
    assert (among["chat"] == alone).all() and (engine.random_words(key, {"chat": 9})["chat"][:5] == alone).all()
    assert engine.random_words(key, {"needs": 0})["needs"].shape == (0,)


def test_other_parameters_do_not_recompile(world):
    traces = []

    def counted(world, state, key):
        traces.append(1)
        return tick(world, state, key)

    run, key = jax.jit(counted), town_keys(0, 1)[0]
    state = run(world, jax.jit(engine.reset)(world, key), key)
    for factor in range(2, 12):
        needs = world.params["needs"]
        faster = world.replace(params={**world.params, "needs": needs.replace(decay=needs.decay * factor)})
        state = run(faster, state, key)
    assert len(traces) == 1


def test_jitted_state_can_be_donated(world):
    run, key = jax.jit(tick, donate_argnums=1), town_keys(0, 1)[0]
    state = jax.jit(engine.reset)(world, key)
    for _ in range(3):
        state = run(world, state, key)
    assert not world.map.start_cell.is_deleted()
    assert digest(jax.jit(engine.reset)(world, key)) == digest(jax.jit(engine.reset)(world, key))


def test_eager_state_can_be_donated(world):
    key = town_keys(0, 1)[0]
    state = engine.reset(world, key)
    run = jax.jit(tick, donate_argnums=1)
    assert int(run(world, state, key).tick) > 0
    assert not world.map.start_cell.is_deleted()


@wide
@pytest.mark.parametrize("name", ["town", pytest.param("m5", marks=long)])
def test_no_index_out_of_range(name, monkeypatch):
    world = world_of(name)
    for scatter in (jax.lax.scatter_p, jax.lax.scatter_add_p):  # whose index NOTHING is dropped, and meant to be
        monkeypatch.delitem(error_checks, scatter)
    checked = checkify.checkify(tick, errors=checkify.div_checks | checkify.index_checks)
    run, keys = jax.jit(jax.vmap(checked, (None, 0, 0))), town_keys(0, 64)
    states = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys)
    for _ in range(200):
        error, states = run(world, states, keys)
        error.throw()
    outside = checkify.checkify(lambda x, i: x[i], errors=checkify.index_checks)
    assert "out-of-bounds" in outside(jnp.zeros(5), 7)[0].get()  # the guard itself works
