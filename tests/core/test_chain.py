"""Chains of spells: shares to chances, and draws at the edges of their range."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import chain, fixed

LAST = 0xFFFF_FFFF


def test_shares_add_up_to_certainty():
    assert chain.cumulated([1.0, 1.0, 2.0]) == [fixed.CHANCE // 4, fixed.CHANCE // 2, fixed.CHANCE]
    assert chain.cumulated([0.1] * 3)[-1] == fixed.CHANCE
    assert chain.cumulated([0.3, 0.0, 0.0]) == [fixed.CHANCE] * 3


@pytest.mark.parametrize(
    ("shares", "drawn"),
    [([1.0, 0.0, 0.0], {0}), ([0.0, 1.0, 0.0], {1}), ([0.0, 0.0, 1.0], {2}), ([1.0, 0.0, 1.0], {0, 2})],
)
def test_what_has_no_share_is_never_drawn(shares, drawn):
    chances = jnp.array(chain.cumulated(shares), jnp.int32)
    edges = [0, 1 << 16, (1 << 31) - 1, 1 << 31, LAST]
    assert {int(chain.draw(chances, jnp.uint32(bits))) for bits in edges} == drawn


def test_draws_come_as_often_as_their_shares():
    chances = jnp.array(chain.cumulated([0.25, 0.5, 0.25]), jnp.int32)
    every = jnp.arange(fixed.CHANCE, dtype=jnp.uint32) << 16  # each of the 2**16 draws once
    drawn = np.asarray(jax.vmap(chain.draw, (None, 0))(chances, every))
    assert np.bincount(drawn).tolist() == [16384, 32768, 16384]


def test_between_includes_both_ends():
    found = {int(chain.between(jnp.int32(3), jnp.int32(5), jnp.uint32(bits))) for bits in (0, 1, 2, 3, LAST)}
    assert found == {3, 4, 5}
    assert int(chain.between(jnp.int32(7), jnp.int32(7), jnp.uint32(LAST))) == 7
