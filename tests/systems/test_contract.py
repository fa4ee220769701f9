"""What every system owes the engine: terms i32[A] within a million, metrics f32[], rules bool[], and names of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from everything import EVERYTHING

from townlet_jax import engine, load, make, testing
from townlet_jax.env import timestep
from townlet_jax.observe import schema
from townlet_jax.systems import ORDER, edits
from townlet_jax.testing.crowd import behave, meddle
from townlet_jax.testing.shapes import check_types

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def town():
    """The town with every system there is; nothing is computed in it."""
    return make("town", **EVERYTHING)


@pytest.fixture
def shapes(town):
    """The shapes of a state."""
    return jax.eval_shape(town.reset, KEY)


def told(view, town, shapes):
    """What a system reports: {name: (shape, dtype)}."""
    found = jax.eval_shape(lambda state: dict(view(town.world, state)), shapes)
    return {name: (leaf.shape, leaf.dtype) for name, leaf in found.items()}


def test_no_system_is_left_out(town):
    assert town.world.static.systems == ORDER


each_system = pytest.mark.parametrize("system", ORDER, ids=lambda system: system.name)


@each_system
def test_rewards_are_i32_of_every_agent(town, shapes, system):
    terms = told(system.rewards, town, shapes)
    assert terms == {term: ((8,), jnp.int32) for term in terms} and set(terms) <= set(system.terms)


@each_system
def test_metrics_are_f32_scalars(town, shapes, system):
    metrics = told(system.metrics, town, shapes)
    assert metrics == {name: ((), jnp.float32) for name in metrics}


@each_system
def test_rules_are_yes_or_no(town, shapes, system):
    rules = told(system.rules, town, shapes)
    assert rules == {rule: ((), jnp.bool_) for rule in rules}


@each_system
def test_features_fill_their_fields(town, shapes, system):
    """f32[A, size], or f32[A] for a field of size 1."""
    features = jax.eval_shape(lambda state: list(system.features(town.world, state)), shapes)
    fields = system.fields(town.world)
    assert [(x.size, x.shape[0], x.dtype) for x in features] == [(8 * field.size, 8, jnp.float32) for field in fields]


@pytest.mark.parametrize("view", ["rewards", "metrics", "rules", "fields"])
def test_no_two_systems_report_the_same_name(town, shapes, view):
    if view == "fields":
        names = [entry.name for entry in schema(town.world)]
    else:
        tables = [partial(getattr(system, view), town.world) for system in ORDER]
        names = [name for table in tables for name in jax.eval_shape(lambda state, t=table: dict(t(state)), shapes)]
    assert len(names) == len(set(names)) >= 10


def test_every_weight_belongs_to_a_term(town, shapes):
    terms = {term for system in ORDER for term in told(system.rewards, town, shapes)}
    params = town.world.params["rewards"]
    assert {*params.weights, *params.outside} <= terms


def test_no_leaf_of_a_state_is_a_float(shapes):
    assert not [x for x in jax.tree.leaves(shapes) if jnp.issubdtype(x.dtype, jnp.floating)]


@pytest.mark.parametrize("name", ["everything", "m3", "m4", "m5"])
def test_types_are_kept(town, name):
    """Every step is a fixed point of types; under strict promotion, as all tests."""
    kept = check_types(town.world if name == "everything" else load(name))
    assert kept["agents.wallet"] == "int32" and "slots.relationships.trust" in kept


@pytest.mark.wide
def test_a_town_with_everything_keeps_the_promises(town, shapes):
    """The towns of single mechanics are checked in the long run."""
    held = testing.check_world(town.world, num_towns=2, num_ticks=16)
    rules = {rule for system in ORDER if system.rules for rule in told(system.rules, town, shapes)}
    assert len(rules) > 80 and rules <= held


def test_what_comes_from_outside_keeps_the_types(town, shapes):
    """Edits, the crowd of the fuzz, rules and views: traced under strict promotion, and no leaf of the state changes its type."""
    world = town.world
    kinds = lambda state: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), state)
    edited, done = jax.eval_shape(lambda w, s, k: edits.apply(w, s, meddle(w, k)), world, shapes, KEY)
    assert kinds(edited) == kinds(shapes) and (done.shape, done.dtype) == ((), jnp.bool_)
    town_number = jax.ShapeDtypeStruct((), jnp.uint32)
    actions = jax.eval_shape(behave, world, shapes, town_number, KEY)
    assert (actions.shape, actions.dtype) == ((8,), jnp.int32)
    held = jax.eval_shape(testing.invariants, world, shapes)
    assert {(leaf.shape, leaf.dtype.name) for leaf in held.values()} == {((), "bool")}
    assert jax.eval_shape(timestep, world, shapes).observation.features.dtype == jnp.float32
    assert kinds(jax.eval_shape(engine.step, world, shapes, actions, KEY)) == kinds(shapes)
