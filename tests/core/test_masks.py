"""Reductions that keep their type."""

import jax.numpy as jnp
import numpy as np

from townlet_jax.core import masks


def test_count_runs_along_the_last_axis_and_stays_i8():
    found = masks.count(jnp.array([[True, False, True], [False, False, False]]))
    assert found.dtype == jnp.int8
    assert found.tolist() == [2, 0]


def test_count_holds_64_agents():
    assert int(masks.count(jnp.ones(64, bool))) == 64


def test_total_does_not_wrap_in_the_type_of_its_operand():
    found = masks.total(jnp.full(64, 120, jnp.int8))  # 7680, far above 127
    assert found.dtype == jnp.int32
    assert int(found) == 7680


def test_mean_where_leaves_the_others_out():
    x = jnp.array([1.0, 5.0, 100.0], jnp.float32)
    assert float(masks.mean_where(x, jnp.array([True, True, False]))) == 3.0


def test_mean_where_of_nobody_is_zero():
    found = masks.mean_where(jnp.array([np.inf, 1.0], jnp.float32), jnp.zeros(2, bool))
    assert float(found) == 0.0
