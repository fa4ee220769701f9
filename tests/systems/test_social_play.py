"""What holds of chats and ties in 32 crowded villages that are played at random, with people who are moved about by force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import HARSH, RAPID_DECAY, VILLAGE
from social_boards import SOCIAL

from townlet_jax import engine, observe, schema, testing
from townlet_jax.core import fixed
from townlet_jax.systems.occasions import AVOIDED, FAILURE, SUCCESS
from townlet_jax.testing.play import random_actions, town_keys

TICKS, TOWNS = 300, 32
EVENTS = {"chat_failure": [0.0, -0.05, 0.4], "blocked": [0.0, -0.05, 0.3]}  # quick tempers, so that all happens in time
SECTION = {
    "stage": "C3",
    "meals": ["cook"],
    "max_friends": 2,
    "max_rivals": 1,
    "blocked_after": 3,
    "avoid": 0.3,
    "faint": 0.06,
    "events": EVENTS,
}


def teleported(world, state, key):
    """Now and then somebody is set down on the cell of a home."""
    bits = jax.random.bits(key, (world.static.num_agents,), jnp.uint32)
    moves = state.agents.alive & (bits & 63 == 0)
    home = world.map.home_cell[world.map.agent_home]
    others = ~jnp.eye(world.static.num_agents, dtype=bool)
    taken = ((home[:, None] == state.agents.cell[None, :]) | (home[:, None] == home[None, :])) & others
    free = ~(taken & state.agents.alive[None, :]).any(-1)
    return state.replace(agents=state.agents.replace(cell=jnp.where(moves & free, home, state.agents.cell)))


@jax.jit
def play(world, keys):
    """Rules held bool[B], features seen f32[B, 2, D], counts of what happened i32[B, ...]."""

    def town(key):
        def tick(state, _):
            now = engine.tick_key(key, state)
            state = teleported(world, state, engine.stream(now, "teleport"))
            state = engine.step(world, state, random_actions(world, state, engine.stream(now, "policy")), now)
            features, outcome = observe(world, state).features, state.slots["chat"].outcome
            happened = jnp.stack([(outcome == kind).sum(dtype=jnp.int32) for kind in (SUCCESS, FAILURE, AVOIDED)])
            ended, avoided = state.slots["relationships"].ended, state.slots["relationships"].avoided
            rules = testing.invariants(world, state)
            return state, (rules, features.min(0), features.max(0), happened, ended, avoided.sum(dtype=jnp.int32))

        return jax.lax.scan(tick, engine.reset(world, key), None, TICKS)[1]

    return jax.vmap(town)(keys)


@pytest.fixture(scope="module")
def crowd(board):
    """The world, and what was seen in it as numpy arrays [towns, ticks, ...]."""
    world = board(VILLAGE, **HARSH | SOCIAL | {"systems.relationships": SECTION, "systems.chat": {"cooldown": 5}}).world
    decay = jnp.array([round(rate * fixed.NEED) for rate in RAPID_DECAY], jnp.int32)
    world = world.replace(params={**world.params, "needs": world.params["needs"].replace(decay=decay)})
    with jax.numpy_dtype_promotion("strict"):
        return world, jax.tree.map(np.asarray, play(world, town_keys(0, TOWNS)))


def test_every_rule_holds(crowd):
    rules = crowd[1][0]
    assert [name for name, held in rules.items() if not held.all()] == []
    assert {"one talk each", "no more ties than one keeps", "no tie with who is gone"} <= set(rules)


def test_much_happens(crowd):
    happened, ended, avoided = (seen.sum((0, 1)) for seen in crowd[1][3:])
    assert (happened > 30).all() and (ended > 5).all() and avoided > 30, (happened, ended, avoided)


def test_every_social_feature_keeps_to_its_range_and_moves(crowd):
    world, (_, low, high, *_) = crowd
    names = (
        "friend",
        "rival",
        "social",
        "rivalry_max",
        "rivalry_avoid_count",
        "silence",
        "beside_trust",
        "beside_rivalry",
    )
    entries = [entry for entry in schema(world) if entry.name in names]
    assert len(entries) == len(names)
    for entry in entries:
        span = slice(entry.start, entry.stop)
        assert low[..., span].min() >= entry.low and high[..., span].max() <= entry.high, entry.name
        assert high[..., span].max() > low[..., span].min(), entry.name
