"""How a character colours numbers: exact products and quotients, and who is let go first."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import fixed, temper

BIG = (0, 1, 1023, 1024, 999_999, 1_000_000, 2**20, 2**24 - 1)
FACTORS = (102, 256, 973, 1024, 1126, 1280, 4096, 8192)


@pytest.mark.parametrize("factor", FACTORS)
def test_products_and_quotients_are_exact(factor):
    value = jnp.array(BIG, jnp.int32)
    share = jnp.full(len(BIG), factor, jnp.int32)
    assert temper.over(value, share).tolist() == [v * 1024 // factor for v in BIG]
    assert fixed.scale(value, share).tolist() == [(v * factor + 512) // 1024 for v in BIG]
    assert temper.favour(-value, share).tolist() == [-(v * 1024 // factor) for v in BIG]
    assert temper.favour(value, share).tolist() == [(v * factor + 512) // 1024 for v in BIG]


def test_good_grows_and_bad_shrinks():
    # a factor of 1.25: .4 becomes .5, -.5 becomes -.4; at 1 all stays
    value = jnp.array([400_000, -500_000, 0], jnp.int32)
    assert temper.favour(value, jnp.full(3, 1280, jnp.int32)).tolist() == [500_000, -400_000, 0]
    assert temper.favour(value, jnp.full(3, 1024, jnp.int32)).tolist() == [400_000, -500_000, 0]


def test_the_nearest_row():
    table = jnp.array([[0, 0, 0], [614, 102, -102], [-205, -102, 512]], jnp.int16)
    people = jnp.array([[10, -10, 5], [1023, 1023, -1023], [-400, 0, 300], [307, 51, -51]], jnp.int16)
    assert temper.nearest(people, table).tolist() == [0, 1, 2, 0]  # the last is as near to row 1: the first wins


def test_patience_goes_first_give_or_take_chance():
    order = jnp.array([0, 1, 2, 3, 4], jnp.int8)
    alike = jnp.full(5, 700, jnp.int32)
    assert temper.defer(alike, order).tolist() == [0, 1, 2, 3, 4]
    # the permutation is worth 0, 256, 512, 768, 1024; who is last but wholly patient comes level with the first, whose luck decides
    assert temper.defer(jnp.array([0, 0, 0, 0, 1024], jnp.int32), order).tolist() == [0, 2, 3, 4, 1]
    assert temper.defer(jnp.array([-1024, 0, 0, 0, 1024], jnp.int32), order).tolist() == [4, 1, 2, 3, 0]
    assert temper.defer(jnp.array([0, 0, 300, 0, 0], jnp.int32), order).tolist() == [0, 2, 1, 3, 4]


@pytest.mark.parametrize("num_agents", [1, 64])
def test_patience_makes_a_permutation(num_agents):
    random = np.random.default_rng(0)
    for _ in range(20):
        order = jnp.array(random.permutation(num_agents), jnp.int8)
        patience = jnp.array(random.integers(-1024, 1025, num_agents), jnp.int32)
        assert sorted(temper.defer(patience, order).tolist()) == list(range(num_agents))
