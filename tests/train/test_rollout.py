"""From decisions to transitions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, load
from train.rollout import advance, autoreset, fresh_towns, stagger, town_keys

TICKS = 15


@pytest.fixture(scope="module")
def world():
    return load("town", **{"observation.variant": "compact"})


@pytest.fixture(scope="module")
def towns(world):
    return jax.jit(lambda key: fresh_towns(world, key, 4))(jax.random.key(0))


def starving(world, states):
    """The first agent of each town collapses in its 5th tick from now."""
    needs = states.agents.needs.at[:, 0, 0].set(0)
    critical = states.slots["lifecycle"].critical.at[:, 0].set(25)
    states = states.replace(agents=states.agents.replace(needs=needs))
    return states.put(lifecycle=states.slots["lifecycle"].replace(critical=critical))


def test_a_decision_adds_up_its_ticks(world, towns):
    """Rewards summed by a loop over single ticks, discounted per tick, until the agent's life ends; then nothing."""
    states = starving(world, towns)
    keys, gamma = town_keys(jax.random.key(1), jnp.arange(4), jnp.zeros(4, jnp.int32)), 0.9
    actions = jnp.full((4, 8), world.static.actions.options, jnp.int32)
    after, (reward, terminated, _) = jax.jit(partial(advance, world, num_ticks=TICKS))(
        states, actions, keys, gamma=jnp.float32(gamma)
    )
    step = jax.jit(jax.vmap(partial(engine.step, world)))
    expected, lives = np.zeros((4, 8)), np.ones((4, 8), bool)
    for tick in range(TICKS):
        states = step(states, actions if tick == 0 else 0 * actions, jax.vmap(engine.tick_key)(keys, states))
        expected += np.where(lives, gamma**tick * np.asarray(states.reward) * 1e-6, 0)
        lives &= ~np.asarray(states.terminated)
    assert np.asarray(reward) == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(np.asarray(terminated), ~lives) and terminated[:, 0].all() and not terminated[:, 1:].any()
    assert all(bool((a == b).all()) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(states)))


def test_autoreset_replaces_only_the_finished(world, towns):
    states = towns.replace(truncated=jnp.array([False, True, False, True]), reward=towns.reward + 7)
    pool = fresh_towns(world, jax.random.key(9), 3)
    after, episode = autoreset(states, pool, jnp.arange(4), jnp.zeros(4, jnp.int32))
    assert episode.tolist() == [0, 1, 0, 1]
    assert (after.reward[0] == 7).all() and (after.reward[1] == 0).all() and not after.truncated.any()
    assert after.tick[1].item() in pool.tick.tolist() and after.tick[0] == states.tick[0]


def test_each_town_and_episode_has_its_own_key():
    key = jax.random.key(0)
    first, second = (town_keys(key, jnp.arange(64), jnp.full(64, turn, jnp.int32)) for turn in (0, 1))
    seen = {tuple(row) for row in np.asarray(jax.random.key_data(jnp.concatenate([first, second]))).tolist()}
    assert len(seen) == 128
    alone = town_keys(key, jnp.arange(1), jnp.zeros(1, jnp.int32))
    assert (jax.random.key_data(alone) == jax.random.key_data(first)[:1]).all(), "a town's key depends on the batch"


def test_stagger_spreads_the_first_ends(world):
    states = stagger(fresh_towns(world, jax.random.key(0), 48), TICKS)
    left = np.asarray(states.slots["lifecycle"].ends - states.tick)
    assert (left % TICKS == 0).all() and left.min() == 150 and left.max() == 7200 and len(set(left.tolist())) == 48
