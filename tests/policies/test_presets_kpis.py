"""How citizens live in the presets: at work, fed, acquainted and quarrelling, over whole days of several towns.

The quick run sees a day or two, the long one an episode of five days. `benchmarks/kpis.py` prints the figures of more towns.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import NOBODY, engine, load, observe, policies, testing
from townlet_jax.systems import occasions
from townlet_jax.systems.exits import REASONS
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.telemetry import days

TOWNS, DAYS = 16, 5
COMPANY = {  # the default town with relationships: `town+company` of benchmarks/kpis.py
    "systems.queues.fairness": {"impatient_after": 3},
    "systems.chat": {},
    "systems.relationships": {"meals": ["eat_meal", "eat_out"]},
}


def holds(world, state):
    """Whether every rule of every system does: bool[]."""
    return jnp.stack(list(testing.invariants(world, state).values())).all()


def lived(name, num_days, num_towns=TOWNS, policy=policies.scripted, rules=holds, **overrides):
    """The sums and the figures of some towns; seed 5, so that no figure is that of the benchmark's towns."""
    world = load(name, **{"observation.variant": "compact", **overrides})
    with jax.numpy_dtype_promotion("strict"):
        sums = days.live(world, policy, num_towns=num_towns, num_days=num_days, seed=5, holds=rules)
    assert sums.broken.sum() == 0
    return sums, days.figures(sums, world.static.num_agents, world.static.names.needs)


def check_needs(found):
    """Nobody starves, people are well, and the reward tells one tick from another."""
    assert found["exits/collapse"] < 0.02
    assert found["well"] >= 0.95
    assert found["clipped"] < 0.02


def check_company(sums, found):
    """Chats in every town on every day, quarrels in nearly all: over 64 towns for five days in 99.7 % and more."""
    assert (sums.chats > 0).all()
    assert (sums.conflicts.sum(1) > 0).all() and (sums.conflicts.sum(0) > 0).all()
    assert found["conflicts/days"] >= 0.95


@pytest.mark.parametrize("name", [pytest.param("m0", marks=pytest.mark.slow), "m1"])
def test_a_day_without_work(name):
    _, found = lived(name, 1, num_towns=4, rules=None)
    check_needs(found)
    assert found["exits/collapse"] == 0 and found["shift"] == 0 and found["well"] >= 0.99


@pytest.mark.wide
def test_two_days_of_the_whole_town():
    sums, found = lived("m5", 2, num_towns=4, rules=None)
    check_needs(found)
    check_company(sums, found)
    assert found["attendance"] >= 0.8
    assert found["tied/2"] >= 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m2", "m2_5", "m3", "m4", "m5"])
def test_five_days(name):
    sums, found = lived(name, DAYS)
    check_needs(found)
    assert found["attendance"] >= (0.8 if name in ("m4", "m5") else 0.9)
    if name == "m2":
        assert all(found[f"exits/{reason}"] == 0 for reason in REASONS[1:])
    if name == "m2_5":
        assert found["conflicts/days"] >= 0.95 and not sums.chats.any()
    if name in ("m3", "m4", "m5"):
        check_company(sums, found)
        assert found["tied/5"] >= 0.6


@pytest.mark.slow
def test_five_days_of_the_default_town_with_relationships():
    sums, found = lived("town", DAYS, **COMPANY)
    check_needs(found)
    check_company(sums, found)
    assert found["attendance"] >= 0.8
    assert found["tied/5"] >= 0.6


def test_people_eat_together_at_the_café():
    """The two counters are within a table of each other, so that the event can happen at all."""
    world = load("m3", **{"observation.variant": "compact"})
    width, kinds = world.static.width, np.asarray(world.map.facility_kind)
    counters = np.flatnonzero(kinds == world.static.names.kinds.index("counter"))
    rows, columns = np.divmod(np.asarray(world.map.place_cell)[counters, 0].astype(int), width)
    assert len(counters) == 2 and max(np.ptp(rows), np.ptp(columns)) <= occasions.TABLE


# what reaches the reward


@pytest.mark.slow
def test_random_people_in_the_whole_town_hit_the_clip_in_less_than_10_per_cent_of_a_day():
    _, found = lived("m5", 1, num_towns=4, policy=policies.random, rules=None)
    assert found["clipped"] < 0.10
    assert found["well"] < 0.9  # they do get into trouble


# full against hybrid


def shown(world, state, key):
    """The citizen, as far as the mask in its observation lets it."""
    mask, action = observe(world, state).action_mask, policies.scripted(world, state, key)
    allowed = jnp.take_along_axis(mask, action[:, None], axis=1)[:, 0]
    return jnp.where(allowed, action, WAIT_ACTION)


@pytest.mark.slow
def test_the_figures_of_full_and_hybrid_observations_are_within_10_per_cent():
    """The gate of the specification (§12), for attendance and everything else; with a citizen they are equal."""
    by_variant = {}
    for variant in ("hybrid", "full"):
        keep = {"observation.variant": variant}
        sums, found = lived("m5", DAYS, num_towns=8, policy=shown, rules=None, **keep)
        check_company(sums, found)
        by_variant[variant] = found
    hybrid, full = by_variant["hybrid"], by_variant["full"]
    assert hybrid.keys() == full.keys() and hybrid["attendance"] >= 0.8
    for name, value in hybrid.items():
        assert abs(full[name] - value) <= 0.1 * abs(value), name
    assert hybrid == full


def test_citizens_do_not_see_which_variant_they_live_in():
    """One program and one set of numbers, so all figures above are those of `full` and `hybrid`."""

    def tick(world, state, key):
        return engine.step(world, state, policies.scripted(world, state, key), key)

    worlds = [load("m5", **{"observation.variant": variant}) for variant in ("hybrid", "full")]
    one, other = (world.replace(map=world.map.replace(window=jnp.zeros(0, jnp.uint8))) for world in worlds)
    state, key = engine.reset(one, jax.random.key(0)), jax.random.key(1)
    program = jax.jit(tick).lower(one, state, key).as_text()
    same = jax.tree.map(np.array_equal, jax.tree.leaves(other), jax.tree.leaves(one))
    assert all(same) and len(same) == len(jax.tree.leaves(one))
    assert jax.jit(tick).lower(other, state, key).as_text() == program


# the sums themselves


def test_sums_and_figures_by_hand():
    """Two days of two towns of 4 people, 10 ticks a day."""
    none = np.zeros((2, 2), np.int32)
    exits = np.zeros((2, 2, len(REASONS)), np.int32)
    exits[0, 1, REASONS.index("collapse")] = 2
    day = days.Day(
        **{name: none for name in days.Day._fields}
        | {
            "alive": np.array([[40, 38], [40, 40]]),
            "well": np.array([[40, 19], [20, 0]]),
            "present": np.array([[4, 4], [4, 0]]),
            "expected": np.array([[4, 4], [4, 4]]),
            "clipped": np.array([[0, 79], [0, 0]]),
            "exits": exits,
            "conflicts": np.array([[3, 0], [1, 8]]),
            "needs": np.array([[[20.0], [19.0]], [[20.0], [20.0]]]),
            "tied": np.array([[1, 2], [3, 4]]),
            "living": np.array([[4, 2], [4, 4]]),
        }
    )
    found = days.figures(day, 4, ("energy",))
    assert found["attendance"] == 0.75 and found["shift"] == 1.0  # 12 of 16; 16 ticks, 16 lives of a day
    assert found["exits/collapse"] == 2 / 16 and found["exits/age"] == 0
    assert (found["conflicts"], found["conflicts/least"], found["conflicts/days"]) == (3.0, 0.0, 0.75)
    assert found["tied/1"] == 0.5 and found["tied/2"] == 7 / 8
    assert found["well"] == 0.5 and found["clipped"] == 0.5 and found["need/energy"] == 0.5


def test_a_quarrel_is_counted_once_and_a_chat_too(board):
    """Agents 0 and 1 quarrel with each other, 2 with 1 alone; 3 has a good talk, 4 has one in vain."""
    social = {"systems.queues.fairness": {}, "systems.chat": {}, "systems.relationships": {}}
    town = board("#######\n#h0123#\n#@.4W.#\n#######", **social)
    state = town.state()
    queues, chat = state.slots["queues"], state.slots["chat"]
    state = state.put(
        queues=queues.replace(
            conflict=np.array([1, 0, 1, NOBODY, NOBODY], np.int16), intensity=np.array([400, 400, 400, 0, 0], np.int16)
        ),
        chat=chat.replace(outcome=np.array([0, 0, 0, 1, 2], np.int8)),
    )
    found = days.tick_sums(town.world, state)
    assert int(found.conflicts) == 2 and int(found.chats) == 1 and int(found.failures) == 1
    assert int(found.alive) == int(found.living) == 5 and int(found.tied) == 0
