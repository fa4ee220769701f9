"""What was learned is carried from world to world by the names of what is seen and done."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from townlet_jax import load
from townlet_jax.types import Observation
from train import curiosity
from train.config import TrainConfig
from train.curricula.transfer import (
    Axis,
    carried_adam,
    carried_curiosity,
    carried_tree,
    fits,
    moved,
    words_of,
)
from train.logging import RunError
from train.program import network_of

KINDS = {
    "plain": {},
    "gru": {"memory": "gru"},
    "lstm by role, central": {"memory": "lstm", "roles": "jobs", "critic": "central"},
    "map layers": {"variant": "hybrid"},
}


@cache
def world_of(name, variant="compact"):
    return load(name, **{"observation.variant": variant})


def learner(name, seed, variant="compact", **kind):
    """Words, network and random parameters of a small learner in a world."""
    world = world_of(name, variant)
    config = TrainConfig(hidden=(8, 6), memory_size=5, conv=3, **kind)
    words, network = words_of(world, config), network_of(world, config)
    shape, seen = seen_in(words, np.zeros((1, 2, len(words.features)), np.float32), {})
    args = network.blank(shape), jax.tree.map(lambda x: x[None], seen), jnp.ones((1, *shape), bool)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *args)
    rng = np.random.default_rng(seed)
    return words, network, jax.tree.map(lambda x: jnp.asarray(0.4 * rng.standard_normal(x.shape), jnp.float32), shapes)


def seen_in(words, features, layers):
    """An observation of a world from features f32[B, A, D] and map layers by name: (its batch shape, the observation)."""
    shape, side = features.shape[:2], words.window
    maps = [layers.get(name, np.zeros((*shape, side, side), np.uint8)) for name in words.layers]
    stack = np.stack(maps, axis=2) if maps else np.zeros((*shape, 0, side, side), np.uint8)
    mask = jnp.ones((*shape, len(words.actions)), bool)
    return shape, Observation(jnp.asarray(features), jnp.asarray(stack), mask)


def both_see(here, there, seed=0):
    """The same as the old world shows it and as the new one does, in which all that is new is absent."""
    rng = np.random.default_rng(seed)
    shared = [name for name in there.features if name in here.features]
    old, new = np.zeros((2, 3, len(there.features))), np.zeros((2, 3, len(here.features)))
    for name in shared:
        values = rng.random((2, 3))
        old[..., there.features.index(name)] = values
        new[..., here.features.index(name)] = values
    maps = {name: rng.integers(0, 2, (2, 3, here.window, here.window)).astype(np.uint8) for name in there.layers}
    shape, before = seen_in(there, old.astype(np.float32), maps)
    return shape, before, seen_in(here, new.astype(np.float32), maps)[1]


def answers(network, params, shape, seen):
    """Logits and values after two decisions on the same view."""
    twice = jax.tree.map(lambda x: jnp.stack([x, x]), seen)
    starts = jnp.stack([jnp.ones(shape, bool), jnp.zeros(shape, bool)])
    return jax.jit(network.apply)(params, network.blank(shape), twice, starts)[1:]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [("m0", "m1", "plain"), *(("m1", "m2", kind) for kind in KINDS)],
)
def test_the_policy_is_what_it_was_where_nothing_new_is_seen(old, new, kind):
    kind = KINDS[kind]
    there, before, params = learner(old, 0, **kind)
    here, after, fresh = learner(new, 1, **kind)
    carried = carried_tree(fresh, params, here, there)
    shape, seen, again = both_see(here, there)
    logits, value = answers(before, params, shape, seen)
    now, worth = answers(after, carried, shape, again)
    shared = [name for name in there.actions if name in here.actions]
    column = lambda words: [words.actions.index(name) for name in shared]
    assert len(shared) >= 14 and set(here.actions) - set(there.actions)
    np.testing.assert_allclose(now[..., column(here)], logits[..., column(there)], atol=2e-5)
    np.testing.assert_allclose(worth, value, atol=2e-5)
    assert float(np.abs(now - answers(after, fresh, shape, again)[0])[..., column(here)].max()) > 0.1


def test_new_features_matter_once_they_are_learned():
    """Weights of 0 have a gradient: a new feature that tells something is soon read."""
    there, _, params = learner("m1", 0)
    here, network, fresh = learner("m2", 1)
    carried = carried_tree(fresh, params, here, there)
    seen = both_see(here, there)[2]
    row = here.features.index(("feature", "may_work", 0))
    seen = seen.replace(features=seen.features.at[..., row].set(1.0))
    loss = lambda params: answers(network, params, (2, 3), seen)[0].sum()
    kernel = lambda tree: tree["params"]["actor"]["hidden_0"]["kernel"][row]
    assert not kernel(carried).any() and jnp.abs(kernel(jax.grad(loss)(carried))).max() > 1e-3


def test_identities_come_with_rows_of_zeros():
    there, before, params = learner("m5", 0)
    here, after, fresh = learner("m5", 1, embedding=4)
    carried = carried_tree(fresh, params, here, there)
    shape, seen, again = both_see(here, there)
    np.testing.assert_allclose(
        answers(after, carried, shape, again)[0], answers(before, params, shape, seen)[0], atol=2e-5
    )
    table = carried["params"]["actor"]["identity"]["embedding"]
    np.testing.assert_array_equal(table, fresh["params"]["actor"]["identity"]["embedding"])
    back = carried_tree(fresh, carried, here, here)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, back, carried)))


def test_whoever_gets_a_job_begins_as_those_without():
    there, _, params = learner("m1", 0, roles="jobs")
    here, _, fresh = learner("m2", 1, roles="jobs")
    assert (there.roles, here.roles) == (("nobody",), ("grocer", "barista", "clerk", "nobody"))
    bias = lambda tree: tree["params"]["body"]["actor"]["hidden_1"]["bias"]
    carried = bias(carried_tree(fresh, params, here, there))
    np.testing.assert_array_equal(carried, jnp.broadcast_to(bias(params)[0], (4, 6)))


def test_a_leaf_by_names():
    """Old rows a, b and columns x, y; new rows b, c, a and columns y, z: what is known moves, row c is read by y with 0."""
    old = np.array([[1.0, 2.0], [3.0, 4.0]])
    fresh = np.full((3, 2), 9.0)
    here = (Axis(("b", "c", "a"), inputs=True), Axis(("y", "z")))
    there = (Axis(("a", "b"), inputs=True), Axis(("x", "y")))
    np.testing.assert_array_equal(moved(fresh, old, here, there, blank=True), [[4.0, 9.0], [0.0, 9.0], [2.0, 9.0]])
    np.testing.assert_array_equal(moved(fresh, old, here, there, blank=False), [[4.0, 9.0], [9.0, 9.0], [2.0, 9.0]])
    with pytest.raises(RunError, match=r"shape \[3, 2\] has \[2, 2\] names"):
        moved(fresh, old, there, there, blank=True)


def test_moments_of_adam_go_with_the_weights():
    there, _, params = learner("m0", 0)
    here, _, fresh = learner("m1", 1)
    adam = optax.scale_by_adam()
    _, old = adam.update(jax.tree.map(lambda x: x + 1.0, params), adam.init(params))
    carried = carried_adam(adam.init(fresh), old, here, there)
    at = lambda tree, words, feature, action: tree["params"]["habit"]["kernel"][
        words.features.index(feature), words.actions.index(action)
    ]
    known, new = ("feature", "need", "hunger"), ("feature", "can", "buy_food")
    assert at(carried.mu, here, known, "go_cook") == at(old.mu, there, known, "go_cook") != 0
    assert at(carried.nu, here, known, "go_cook") == at(old.nu, there, known, "go_cook") != 0
    assert at(carried.mu, here, new, "go_cook") == 0 == at(carried.mu, here, known, "go_buy_food")
    mean = float(old.nu["params"]["habit"]["kernel"].mean())
    assert float(at(carried.nu, here, new, "go_cook")) == pytest.approx(mean) and carried.count == 1


def test_curiosity_knows_what_it_knew_and_what_is_new():
    there, here = words_of(world_of("m0"), TrainConfig()), words_of(world_of("m1"), TrainConfig())
    adam = optax.scale_by_adam()
    begin = lambda seed, words: curiosity.init(jax.random.key(seed), jnp.zeros((1, len(words.features))), adam)
    old = begin(0, there)
    carried = carried_curiosity(begin(1, here), old, here, there)
    _, seen, again = both_see(here, there)
    surprise = lambda each, seen: curiosity.surprise(each, each.predictor, seen.features)
    np.testing.assert_allclose(surprise(carried, again), surprise(old, seen), rtol=1e-4)
    new = again.replace(features=again.features.at[..., here.features.index(("feature", "can", "nap"))].set(1.0))
    assert float(jnp.abs(surprise(carried, new) - surprise(carried, again)).min()) > 1e-4


def test_networks_of_two_kinds_do_not_fit():
    with pytest.raises(RunError, match=r"stage m1: hidden was \(64, 64\) and is \(8,\)"):
        fits(TrainConfig(hidden=(8,)), TrainConfig(), "stage m1: ")
