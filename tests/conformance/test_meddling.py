"""Every mechanic at once, people who behave as badly as they can, and somebody outside who uses every verb there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from everything import EVERYTHING

from townlet_jax import load, testing
from townlet_jax.systems import edits
from townlet_jax.testing import crowd

NUM_TOWNS = 16  # two for each way of the crowd
NUM_KEYS = 512  # 512 x 16 draws, of which one in CALM is an edit: about 36 of each verb


@pytest.fixture(scope="module")
def world():
    return load("town", **EVERYTHING)


@pytest.fixture(scope="module")
def fuzzed(world):
    return testing.fuzz(world, num_towns=NUM_TOWNS, num_ticks=400)


def test_no_rule_is_broken(fuzzed):
    assert not fuzzed[1], "\n" + "\n".join(map(str, fuzzed[1]))


def test_meddling_reaches_every_verb(world, fuzzed):
    """Of the edits that are drawn some of each verb can be done, and some cannot.

    In every second town half of the people are away, and an event is on.
    """

    def one(state, key):
        edit = crowd.meddle(world, key)
        return edit.verb, edits.apply(world, state, edit)[1]

    states = jax.tree.map(jnp.asarray, fuzzed[0])
    agents = states.agents.replace(alive=states.agents.alive.at[::2, ::2].set(False))
    events = states.slots["perturbations"]
    events = events.replace(ends=events.ends.at[::2, 0].set(states.tick[::2] + 50))
    states = states.replace(agents=agents).put(perturbations=events)
    keys = jax.random.split(jax.random.key(1), (NUM_TOWNS, NUM_KEYS))
    draw = jax.jit(jax.vmap(jax.vmap(one, (None, 0))))
    verb, done = (np.asarray(x) for x in draw(states, keys))
    number = np.bincount(verb.ravel(), minlength=len(edits.VERBS))
    assert number.shape == (len(edits.VERBS) + 1,)  # the last does not exist,
    assert not done[verb == len(edits.VERBS)].any()  # and does nothing
    assert number[1:].min() >= 10
    for index, word in enumerate(edits.VERBS):
        share = done[verb == index].mean()
        assert share == 1 if word == "nothing" else 0 < share < 1, word


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_rule_is_broken_for_long(world, seed):
    _, found = testing.fuzz(world, seed=200 + seed, num_towns=64, num_ticks=5000)
    assert not found, "\n" + "\n".join(map(str, found))
