"""Every mechanic at once, people who behave as badly as they can, and somebody outside who uses every verb there is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from everything import EVERYTHING

from townlet_jax import engine, load, testing
from townlet_jax.systems import edits
from townlet_jax.testing import crowd
from townlet_jax.testing.fuzz import advance, town_key

NUM_TOWNS = 16  # two for each way of the crowd
NUM_KEYS = 512  # 512 x 16 draws, of which one in CALM is an edit: about 36 of each verb


@pytest.fixture(scope="module")
def world():
    return load("town", **EVERYTHING)


@pytest.fixture(scope="module")
def fuzzed(world):
    return testing.fuzz(world, num_towns=NUM_TOWNS, num_ticks=400)


@pytest.mark.wide
def test_no_rule_is_broken(fuzzed):
    assert not fuzzed[1], "\n" + "\n".join(map(str, fuzzed[1]))


@pytest.mark.wide
def test_meddling_reaches_every_verb(world, fuzzed):
    """Of the edits that are drawn some of each verb can be done, and some cannot.

    In every second town half of the people are away, and an event is on; in the others half of them stand in the exit queue.
    """

    def one(state, key):
        edit = crowd.meddle(world, key)
        return edit.verb, edits.apply(world, state, edit)[1]

    states = jax.tree.map(jnp.asarray, fuzzed[0])
    agents = states.agents.replace(alive=states.agents.alive.at[::2, ::2].set(False))
    events = states.slots["perturbations"]
    events = events.replace(ends=events.ends.at[::2, 0].set(states.tick[::2] + 50))
    queue = states.slots["reviews"]
    queue = queue.replace(pending=queue.pending.at[1::2, ::2].set(True))
    states = states.replace(agents=agents).put(perturbations=events, reviews=queue)
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


# nobody here has time to work: a day of 60 ticks, a shift of 20, and one absence leads into the exit queue
SHOP = """
    #########
    #hB...C.#
    #h.0.1..#
    #..2.3.K#
    #@....K.#
    #########
"""
STRICT = {
    "ticks_per_day": 60,
    "systems.affordances.offers.1.hours": [10, 50],
    "systems.economy.restock_at": 5,
    "systems.economy.rent_at": 55,
    "systems.employment.jobs": [{"name": "clerk", "start": 30, "end": 50, "wage": 0.05}],
    "systems.employment.notice": 10,
    "systems.employment.absence_slack": 1,
    "systems.timesheets": {},
    "systems.reviews": {"max_absent_shifts": 1, "review_ticks": 90, "daily_exit_cap": 1},
}


def judged(world, num_towns, num_ticks):
    """A fuzz with edits: where a case was approved and deferred bool[towns, ticks, 2], and each rule held bool[towns, ticks]."""
    verdicts = jnp.array([list(edits.VERBS).index(verb) for verb in ("approve", "defer")])

    def town(number):
        key = town_key(jnp.uint32(3), number)

        def tick(state, _):
            now = engine.tick_key(key, state)
            edit = crowd.meddle(world, engine.stream(now, "meddle"))
            before, done = edits.apply(world, state, edit)
            actions = crowd.behave(world, before, number, engine.stream(now, "policy"))
            state, holds = advance(world, before, actions, now, False)
            return state, (done & (edit.verb == verdicts), holds)

        return jax.lax.scan(tick, engine.reset(world, key), None, num_ticks)[1]

    return jax.jit(jax.vmap(town))(jnp.arange(num_towns, dtype=jnp.uint32))


def test_the_exit_queue_is_judged_in_a_fuzz(board):
    """In a town with reviews the edits of a fuzz approve and defer cases, and no rule is broken by it."""
    done, holds = jax.device_get(judged(board(SHOP, **STRICT).world, 16, 800))
    assert [rule for rule, held in holds.items() if not held.all()] == []
    assert (done.sum((0, 1)) > 10).all(), done.sum((0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_rule_is_broken_for_long(world, seed):
    _, found = testing.fuzz(world, seed=200 + seed, num_towns=64, num_ticks=5000)
    assert not found, "\n" + "\n".join(map(str, found))
