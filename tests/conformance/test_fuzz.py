"""Many towns, many ticks, people who behave as badly as they can, and edits from outside."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import load, testing
from townlet_jax.core import fixed
from townlet_jax.testing.crowd import CROWD


def fuzz(world, **how):
    """The last states, and a line for each rule that was broken."""
    states, found = testing.fuzz(world, **how)
    return states, [str(violation) for violation in found]


def tuned(world, **params):
    """The world with other parameters: `tuned(world, needs={"decay": 20000})`; nothing is compiled anew."""
    tables = dict(world.params)
    for system, fields in params.items():
        old = {name: getattr(tables[system], name) for name in fields}
        new = {
            name: jnp.broadcast_to(jnp.asarray(value, old[name].dtype), old[name].shape)
            for name, value in fields.items()
        }
        tables[system] = tables[system].replace(**new)
    return world.replace(params=tables)


HARSH = {
    "plague": {"needs": {"decay": 20000}, "lifecycle": {"collapse_ticks": 1, "arrive_after": 1, "guard": 99}},
    "impatience": {"queues": {"start_within": 1}, "movement": {"ghost_after": 1}, "intents": {"commit_ticks": 1}},
    "long queues": {"queues": {"reach": 30, "start_within": 2}, "intents": {"commit_ticks": 120}},
    "rent": {"economy": {"rent": 3900}, "lifecycle": {"evict_after": 1, "wallet": 0}},
    "fines": {"employment": {"absent_fine": 5000, "late_fine": 10000, "grace": 0, "slack": 0}},
    "panic": {"intents": {"override": fixed.NEED}, "movement": {"ghost_after": 100}},
    "closing time": {"affordances": {"opens": 100, "closes": 117}, "economy": {"rent_at": 110}},
    "haste": {"affordances": {"ticks": 1}, "economy": {"price": 0}},
    "wealth": {"economy": {"capacity": 10000}, "start": {"wallet": 1_000_000}, "employment": {"wage": 1000}},
    "short lives": {"lifecycle": {"episode_ticks": 10, "critical": fixed.NEED // 2}},
}


@pytest.fixture(scope="module")
def world():
    return load("town", **{"observation.variant": "compact"})


def report(lines):
    """One assertion for all rules, so that a failure lists each with its town and tick."""
    assert not lines, "\n" + "\n".join(lines)


def test_town(world):
    state, lines = fuzz(world)
    report(lines)
    deaths = state.agents.generation.reshape(-1, len(CROWD), world.static.num_agents).sum((0, 2))
    assert (deaths[:4] > 0).all()  # the fuzz reaches the ends of lives,
    assert (np.abs(state.slots["economy"].ledger).max(0) > 0).all()  # and every account


@pytest.mark.parametrize("name", HARSH)
def test_harsh_towns(world, name):
    report(fuzz(tuned(world, **HARSH[name]), seed=1, num_ticks=600)[1])


def test_a_truck_that_comes_before_a_refund(world):
    """What is given back at closing time does not overfill the shelves."""
    report(fuzz(tuned(world, economy={"restock_at": 1319}))[1])


def test_large_gifts(world):
    """A hundred more than one can carry does not wrap around."""
    report(fuzz(tuned(world, affordances={"gives": 100}), num_ticks=600)[1])


def test_a_broken_rule_is_reported(world):
    gifted = tuned(world, lifecycle={"items": 101})
    _, lines = fuzz(gifted, num_ticks=600)
    assert len(lines) == 1
    assert lines[0].startswith(f"config {world.static.config_id} seed 0 town ")
    assert "items in bounds" in lines[0]


def test_a_broken_rule_plays_again(world, tmp_path):
    gifted = tuned(world, lifecycle={"items": 101})
    _, found = testing.fuzz(gifted, num_ticks=600, folder=tmp_path)
    state, broken = testing.reproduce(gifted, found[0].replay)
    assert broken == ["items in bounds"] and bool((state.agents.items == 101).any())
    healthy, broken = testing.reproduce(world, found[0].replay)  # the same play in a sound world
    assert broken == [] and int(healthy.tick) == int(state.tick)


def test_a_replay_of_another_world_is_refused(world, tmp_path):
    _, found = testing.fuzz(tuned(world, lifecycle={"items": 101}), num_ticks=600, folder=tmp_path)
    other = world.replace(static=world.static._replace(config_id="another"))
    with pytest.raises(ValueError, match="this world has format 1 and config_id another"):
        testing.reproduce(other, found[0].replay)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_towns_for_long(world, seed):
    report(fuzz(world, seed=100 + seed, num_towns=1024, num_ticks=10_000)[1])
