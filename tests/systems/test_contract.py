"""What every system owes the engine: terms i32[A] within a million, metrics f32[], and names of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from townlet_jax.systems import ORDER


@pytest.fixture(scope="module")
def shapes(town):
    """The shapes of a state of the town; nothing is computed."""
    return jax.eval_shape(town.reset, jax.random.key(0))


@pytest.mark.parametrize("system", ORDER, ids=lambda system: system.name)
def test_rewards_are_i32_of_every_agent(town, shapes, system):
    terms = jax.eval_shape(lambda state: dict(system.rewards(town.world, state)), shapes)
    assert {term: (x.shape, x.dtype) for term, x in terms.items()} == {term: ((8,), jnp.int32) for term in terms}


@pytest.mark.parametrize("system", ORDER, ids=lambda system: system.name)
def test_metrics_are_f32_scalars(town, shapes, system):
    found = jax.eval_shape(lambda state: dict(system.metrics(town.world, state)), shapes)
    assert {name: (x.shape, x.dtype) for name, x in found.items()} == {name: ((), jnp.float32) for name in found}


def test_no_two_systems_report_the_same_name(town, shapes):
    for view in ("rewards", "metrics"):
        tables = [partial(getattr(system, view), town.world) for system in ORDER]
        names = [
            name for table in tables for name in jax.eval_shape(lambda state, table=table: dict(table(state)), shapes)
        ]
        assert len(names) == len(set(names)) and names


def test_every_weight_of_the_town_belongs_to_a_term(town, shapes):
    terms = {t for s in ORDER for t in jax.eval_shape(lambda state, s=s: dict(s.rewards(town.world, state)), shapes)}
    params = town.world.params["rewards"]
    assert {*params.weights, *params.outside} <= terms


def test_no_leaf_of_a_state_is_a_float(shapes):
    assert not [x for x in jax.tree.leaves(shapes) if jnp.issubdtype(x.dtype, jnp.floating)]


def test_a_step_keeps_every_shape_and_type(town, shapes):
    after = jax.eval_shape(town.step, shapes, jax.ShapeDtypeStruct((8,), jnp.int32), jax.random.key(0))
    assert jax.tree.structure(after) == jax.tree.structure(shapes)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(after)] == [(x.shape, x.dtype) for x in jax.tree.leaves(shapes)]
