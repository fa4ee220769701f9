"""What measures are given: one town on one map, and one number for each mean; all else is told what it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine
from townlet_jax.policies import scripted
from townlet_jax.pool import over_maps, stack
from townlet_jax.telemetry import afi, breakdown, days, kpis, measure

PLACE = """
    #######
    #h...W#
    #0.1.K#
    #@....#
    #######
"""


@pytest.fixture
def world(board):
    return board(PLACE).world


@pytest.fixture
def towns(world):
    return jax.vmap(engine.reset, (None, 0))(world, jax.random.split(jax.random.key(0), 5))


@pytest.mark.parametrize("view", [measure, breakdown])
def test_a_batch_is_measured_by_vmap_and_not_as_one_town(world, towns, view):
    with pytest.raises(ValueError, match=rf"{view.__name__} takes one town, not \[5\] of them: use jax.vmap"):
        view(world, towns)
    found = jax.vmap(view, (None, 0))(world, towns)
    assert all(leaf.shape[0] == 5 for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("view", [measure, breakdown])
def test_a_pool_is_measured_by_over_maps(world, towns, view):
    pool = stack([world, world])
    with pytest.raises(ValueError, match=rf"{view.__name__} takes the world of one map, not a pool of 2"):
        view(pool, jax.tree.map(lambda leaf: leaf[0], towns))
    pairs = jax.tree.map(lambda leaf: jnp.stack([leaf[:2], leaf[2:4]]), towns)
    assert all(leaf.shape[:2] == (2, 2) for leaf in jax.tree.leaves(over_maps(view, pool)(pairs)))


@pytest.mark.parametrize("index", [kpis, afi])
def test_means_are_numbers(world, index):
    means = {"needs/hunger": 0.5, "reward/total": np.zeros((3, 2)), "reward/clipped": 0.0}
    with pytest.raises(ValueError, match=rf"{index.__name__} takes one number for 'reward/total', .*, not \[3, 2\]"):
        index(world, means)
    assert index(world, {**means, "reward/total": jnp.float32(0.0)})


def test_days_of_towns_are_days_of_towns(board, world):
    for towns, num_days in ((0, 1), (2, 0)):
        with pytest.raises(ValueError, match=f"{towns} towns and {num_days} days"):
            days.live(world, scripted, num_towns=towns, num_days=num_days)
    with pytest.raises(ValueError, match="live takes the world of one map, not a pool of 2"):
        days.live(stack([world, world]), scripted, num_towns=2, num_days=1)
    one = jax.tree.map(lambda _: np.zeros(4), days.Day(*days.Day._fields))
    with pytest.raises(ValueError, match=r"sums of shape \[num_days, num_towns, \.\.\.\], not \[4\]"):
        days.figures(one, 2, ("energy",))
