"""Who comes first: permutations, one winner a group, places in a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import auction


@pytest.mark.parametrize("num_agents", [1, 64])
def test_random_rank_is_a_permutation(num_agents):
    bits = jax.random.bits(jax.random.key(3), (50, num_agents), jnp.uint32)
    ranks = jax.vmap(auction.random_rank)(bits)
    assert ranks.dtype == jnp.int8
    np.testing.assert_array_equal(np.sort(ranks, axis=1), np.tile(np.arange(num_agents), (50, 1)))


@pytest.mark.parametrize("bits", [0, 7, 0xFFFF_FFFF])
def test_random_rank_of_equal_bits_goes_by_index(bits):
    assert auction.random_rank(jnp.full(64, bits, jnp.uint32)).tolist() == list(range(64))


def test_random_rank_follows_the_bits():
    # only the upper 24 bits count: 0x...01 and 0x...00 are equal and go by index
    bits = jnp.array([0x300, 0x101, 0x200, 0x100], jnp.uint32)
    assert auction.random_rank(bits).tolist() == [3, 0, 2, 1]


def test_random_rank_favours_nobody():
    bits = jax.random.bits(jax.random.key(0), (8000, 8), jnp.uint32)
    firsts = np.bincount(np.argmin(jax.vmap(auction.random_rank)(bits), axis=1), minlength=8)
    assert (np.abs(firsts - 1000) < 150).all()  # five standard deviations of a binomial(8000, 1/8) are 148


def test_first_names_one_winner_a_group_and_nobody_who_does_not_claim():
    #        group  7  7  7  9  9  5
    group = jnp.array([7, 7, 7, 9, 9, 5], jnp.int16)
    claims = jnp.array([True, True, True, True, True, False])
    order = jnp.array([4, 2, 3, 0, 1, 5], jnp.int8)
    assert auction.first(group, claims, order).tolist() == [False, True, False, True, False, False]


def test_first_passes_over_a_better_order_without_a_claim():
    same, order = jnp.zeros(3, jnp.int8), jnp.array([0, 1, 2], jnp.int8)
    assert auction.first(same, jnp.array([False, True, True]), order).tolist() == [False, True, False]


def test_line_up_counts_those_ahead_in_the_same_queue():
    #         queue  1  1  2  1  2      orders 9 3 8 5 1: queue 1 is 3 < 5 < 9, queue 2 is 1 < 8
    queue = jnp.array([1, 1, 2, 1, 2], jnp.int16)
    order = jnp.array([9, 3, 8, 5, 1], jnp.int16)
    places = auction.line_up(queue, jnp.ones(5, bool), order)
    assert places.dtype == jnp.int8
    assert places.tolist() == [2, 0, 1, 1, 0]


def test_ranks_are_places_in_one_line_for_everybody():
    order, waits = jnp.array([9, 3, 8, 5, 1], jnp.int16), jnp.array([True, True, False, True, False])
    places = auction.rank(waits, order)  # 3 < 5 < 9; 8 and 1 stand aside
    assert places.dtype == jnp.int8 and places.tolist() == [2, 0, 0, 1, 0]


def test_line_up_skips_who_does_not_wait():
    queue, order = jnp.ones(3, jnp.int16), jnp.array([0, 1, 2], jnp.int16)
    assert auction.line_up(queue, jnp.array([False, True, True]), order).tolist() == [0, 0, 1]
