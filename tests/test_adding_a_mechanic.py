"""Adding a mechanic is one file, one place in the order and one YAML section; nothing else in the town moves."""

import drizzle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError, engine, make, observe, schema, systems, testing
from townlet_jax.policies import random
from townlet_jax.testing.findings import differences

COMPACT = {"observation.variant": "compact"}
ORDER = systems.insert(drizzle.SYSTEM, before="rewards")
NUM_TICKS = 200


def rainy(**overrides):
    """The town with drizzle."""
    return make("town", order=ORDER, **COMPACT, **{"systems.drizzle": {"chance": 0.1, "ticks": 30}, **overrides})


def play(world, keys):
    """Towns at random play for 200 ticks: the last states, and the metrics and reward terms of every tick."""

    def watch(world, state):
        metrics = {
            name: value for system in world.static.systems for name, value in system.metrics(world, state).items()
        }
        terms = {name: value for system in world.static.systems for name, value in system.rewards(world, state).items()}
        return metrics, terms

    one = lambda key: engine.unroll(world, random, engine.reset(world, key), key, NUM_TICKS, watch)
    return jax.vmap(one)(keys)


@pytest.fixture(scope="module")
def keys():
    return testing.town_keys(0, 4)


@pytest.fixture(scope="module")
def dry(keys):
    return jax.device_get(jax.jit(play)(make("town", **COMPACT).world, keys))


@pytest.fixture(scope="module")
def wet(keys):
    return jax.device_get(jax.jit(play)(rainy().world, keys))


def test_it_rains(wet):
    state, (metrics, terms) = wet
    assert state.slots["drizzle"].remaining.shape == (4,)
    assert 0 < metrics["rain"].mean() < 1
    assert set(np.unique(terms["soaked"])) == {-1_000_000, 0}


def test_nothing_else_moves(dry, wet):
    """Streams are named, so that a new system changes no other system's draws."""
    (before, (metrics, terms)), (after, (more_metrics, more_terms)) = dry, wet
    untouched = after.replace(slots={name: slot for name, slot in after.slots.items() if name != "drizzle"})
    assert list(differences(before, untouched)) == []
    assert list(differences(metrics, {name: more_metrics[name] for name in metrics})) == []
    assert set(more_metrics) - set(metrics) == {"rain"}
    assert set(more_terms) - set(terms) == {"soaked"}


def test_its_field_is_seen():
    world = rainy().world
    assert {entry.name for entry in schema(world)} - {
        entry.name for entry in schema(make("town", **COMPACT).world)
    } == {"rain"}
    at = next(entry.start for entry in schema(world) if entry.name == "rain")
    state = jax.jit(engine.reset)(world, jax.random.key(0))
    sky = state.slots["drizzle"].replace(remaining=jnp.int16(15))
    seen = jax.jit(observe)(world, state.put(drizzle=sky)).features
    np.testing.assert_array_equal(seen[:, at], np.full(8, 0.25, np.float32))


def test_its_reward_counts_where_it_has_a_weight(dry, keys):
    state, (metrics, _) = jax.device_get(jax.jit(play)(rainy(**{"systems.rewards.weights.soaked": 0.01}).world, keys))
    assert metrics["reward/soaked"].min() < 0
    assert set(differences(dry[0], state)) <= {"reward", "slots.drizzle.remaining", "slots.drizzle.wet"}
    assert jnp.shape(state.reward) == (4, 8)


@pytest.mark.slow  # the quick run checks it in the page and in the notebook: tests/docs, tests/notebooks
def test_it_keeps_the_promises():
    assert {"metrics finite", "rewards in range"} <= testing.check_world(rainy().world, num_towns=2, num_ticks=24)


def test_its_yaml_is_checked():
    with pytest.raises(ConfigError, match="chance.*0 <= chance <= 1"):
        rainy(**{"systems.drizzle": {"chance": 2.0}})
    with pytest.raises(ConfigError, match="drizzle"):
        make("town", **COMPACT, **{"systems.drizzle": {}})  # without the order it is unknown


@pytest.mark.parametrize("system, before", [(drizzle.SYSTEM, "nowhere"), (systems.ORDER[0], "rewards")])
def test_insert_refuses(system, before):
    with pytest.raises(ValueError, match="no system 'nowhere'|is there already"):
        systems.insert(system, before=before)
