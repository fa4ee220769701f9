"""Networks: what they remember, whom they answer, what they see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from townlet_jax.types import Observation
from train.networks import ActorCritic, ByRole, patches

T, B, A, D, ACTIONS = 6, 2, 3, 5, 4


def seen(key=0, features=None):
    features = jax.random.uniform(jax.random.key(key), (T, B, A, D)) if features is None else features
    mask = jnp.ones((*features.shape[:-1], ACTIONS), bool)
    return Observation(features, jnp.zeros((*features.shape[:-1], 0, 0, 0), jnp.uint8), mask)


def started(*when):
    return jnp.zeros((T, B, A), bool).at[jnp.array([0, *when])].set(True)


def network(**kind):
    return ActorCritic(ACTIONS, (8,), 4, **kind)


def applied(net, observation, starts, memory=None, params=None):
    memory = net.blank(starts.shape[1:]) if memory is None else memory
    params = net.init(jax.random.key(1), memory, observation, starts) if params is None else params
    return params, net.apply(params, memory, observation, starts)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_sequence_at_once_is_the_sequence_step_by_step(cell):
    """Somebody new begins at the fourth decision of one agent; what comes out does not depend on how it was fed."""
    net, observation = network(memory=cell, memory_size=7), seen()
    starts = started().at[3, 0, 1].set(True)
    params, (last, logits, value) = applied(net, observation, starts)
    memory = net.blank((B, A))
    for t in range(T):
        now = jax.tree.map(lambda x, t=t: x[t : t + 1], observation)
        memory, one, worth = net.apply(params, memory, now, starts[t : t + 1])
        assert np.allclose(one[0], logits[t], atol=1e-6) and np.allclose(worth[0], value[t], atol=1e-6)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(jax.tree.leaves(memory), jax.tree.leaves(last)))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_who_begins_remembers_nothing_of_before(cell):
    """Other features in the first three decisions change the later ones, but not after a start."""
    net, starts = network(memory=cell), started(3)
    observation = seen()
    other = observation.replace(features=observation.features.at[:3].add(1.0))
    params, (_, logits, _) = applied(net, observation, starts)
    _, (_, again, _) = applied(net, other, starts, params=params)
    assert (logits[3:] == again[3:]).all() and (logits[:3] != again[:3]).any()
    _, (_, through, _) = applied(net, other, started(), params=params)
    assert (through[3:] != logits[3:]).any(), "without a start the past matters"


def test_without_memory_only_the_present_counts():
    net = network()
    observation = seen()
    other = observation.replace(features=observation.features.at[:3].add(1.0))
    params, (memory, logits, _) = applied(net, observation, started())
    _, (_, again, _) = applied(net, other, started(), params=params)
    assert memory == () and (logits[3:] == again[3:]).all()


def test_a_central_critic_sees_the_whole_town_and_the_policy_does_not():
    net, observation = network(central=True), seen()
    other = observation.replace(features=observation.features.at[:, :, 2].add(0.5))
    params, (_, logits, value) = applied(net, observation, started())
    _, (_, logits_2, value_2) = applied(net, other, started(), params=params)
    assert (logits[:, :, :2] == logits_2[:, :, :2]).all() and (value[:, :, 0] != value_2[:, :, 0]).any()
    order = jnp.array([2, 0, 1])
    shuffled = observation.replace(features=observation.features[:, :, order])
    _, (_, _, moved) = applied(net, shuffled, started(), params=params)
    assert np.allclose(moved, value[:, :, order], atol=1e-6), "who sits where does not matter"
    _, (_, _, own) = applied(network(), observation, started())
    _, (_, _, own_2) = applied(network(), other, started())
    assert (own[:, :, :2] == own_2[:, :, :2]).all(), "an own critic sees nothing of the others"


@pytest.mark.parametrize("cell", ["none", "gru"])
def test_each_role_has_a_network_of_its_own(cell):
    """Features 1 and 2 tell the role, agent 2 has none; only the weights of the own role move one's logits."""
    net = ByRole(network(memory=cell), (1, 2))
    roles = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    features = seen().features.at[..., 1:3].set(jnp.broadcast_to(roles, (T, B, A, 2)))
    observation = seen(features=features)
    params, (memory, logits, value) = applied(net, observation, started())
    assert logits.shape == (T, B, A, ACTIONS) and value.shape == (T, B, A)
    assert all(leaf.shape == (B, A, 3, 64) for leaf in jax.tree.leaves(memory))
    for role in range(3):
        changed = jax.tree.map(lambda leaf, role=role: leaf.at[role].add(0.5), params)
        _, (_, moved, _) = applied(net, observation, started(), params=changed)
        differs = [bool((moved[:, :, agent] != logits[:, :, agent]).any()) for agent in range(A)]
        assert differs == [agent == role for agent in range(A)]


def test_identities_are_looked_up():
    """Identities 3, 4 and 3 of 8: only the second agent reads row 4 of the table, and those who are alike are answered alike."""
    net = network(identity=(0, 8, 6))
    features = jnp.full((T, B, A, D), 0.25).at[..., 0].set(jnp.array([3, 4, 3]) / 8)
    params, (_, logits, _) = applied(net, seen(features=features), started())
    table = params["params"]["actor"]["identity"]["embedding"]
    assert table.shape == (9, 6) and (logits[:, :, 0] == logits[:, :, 2]).all()
    assert params["params"]["actor"]["hidden_0"]["kernel"].shape == (D + 6, 8)
    actor = {**params["params"]["actor"], "identity": {"embedding": table.at[4].add(1.0)}}
    changed = {"params": {**params["params"], "actor": actor}}
    _, (_, moved, _) = applied(net, seen(features=features), started(), params=changed)
    assert [bool((moved[:, :, agent] != logits[:, :, agent]).any()) for agent in range(A)] == [False, True, False]


def test_products_in_bf16_keep_everything_else_in_f32():
    net = network(dtype=jnp.bfloat16, memory="gru", central=True)
    params, (memory, logits, value) = applied(net, seen(), started())
    kinds = {leaf.dtype for leaf in jax.tree.leaves((params, memory, logits, value))}
    assert kinds == {jnp.dtype("float32")}
    exact = network(memory="gru", central=True)
    _, (_, finer, _) = applied(exact, seen(), started(), params=params)
    assert 0 < float(jnp.abs(finer - logits).max()) < 0.05
    gradient = jax.grad(lambda p: net.apply(p, net.blank((B, A)), seen(), started())[2].sum())(params)
    assert np.isfinite(ravel_pytree(gradient)[0]).all()


def test_patches_are_the_windows_of_a_convolution():
    """A 1-layer 4 x 4 map has four 3 x 3 windows, read row by row."""
    board = jnp.arange(16.0).reshape(1, 4, 4)
    found = patches(board)
    assert found.shape == (2, 2, 9)
    assert found[1, 0].tolist() == [4, 5, 6, 8, 9, 10, 12, 13, 14]


def test_an_action_has_the_share_of_the_goals_that_it_leads_to():
    """Offers 0 and 1 and home; offer 0 lies to the east, offer 1 is here, home lies to the east. Logits of goals 0, log 2 and log 5
    are chances of 1/8, 2/8 and 5/8: east has 6/8, the use of offer 1 has 2/8, all else nothing.
    """
    east = [0.0, 1.0, 0.0, 0.0]
    features = jnp.tile(jnp.array([0.5, *east, *[0.0] * 4, *east]), (1, 1, 1, 1))
    num_actions = 1 + 4 + 2 + 3  # wait, moves, uses, options
    net = ActorCritic(num_actions, (8,), 4, ways=(1, 3, 2))
    observation = Observation(
        features, jnp.zeros((1, 1, 1, 0, 0, 0), jnp.uint8), jnp.ones((1, 1, 1, num_actions), bool)
    )
    params, (_, logits, _) = applied(net, observation, jnp.ones((1, 1, 1), bool))
    head = params["params"]
    kernel = lambda name: {**head[name], "kernel": jnp.zeros_like(head[name]["kernel"])}
    head = {**head, "policy": kernel("policy"), "goal": {**kernel("goal"), "bias": jnp.log(jnp.array([1.0, 2.0, 5.0]))}}
    _, (_, logits, _) = applied(net, observation, jnp.ones((1, 1, 1), bool), params={"params": head})
    share = np.zeros(num_actions)
    share[2], share[6] = 6 / 8, 2 / 8
    assert np.allclose(logits[0, 0, 0], np.log(share + 1e-3), atol=1e-6)
    assert "goal" not in network().init(jax.random.key(0), (), seen(), started())["params"]
