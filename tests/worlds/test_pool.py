"""A pool of maps: a town of a pool is the town that lives alone on its map, and only maps may differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError, engine, load, make, observe, timestep
from townlet_jax.policies import scripted
from townlet_jax.pool import one, over_maps, pool, pooled, stack

COMPACT = {"observation.variant": "compact", "num_agents": 4}
SEEDS, TOWNS, TICKS = (3, 1, 4), 2, 60


@pytest.fixture(scope="module")
def worlds():
    return [load("generated", **COMPACT, **{"map.generate.seed": seed}) for seed in SEEDS]


@pytest.fixture(scope="module")
def maps():
    return pool("generated", SEEDS, **COMPACT)


@pytest.fixture(scope="module")
def keys():
    return jax.random.split(jax.random.key(9), (len(SEEDS), TOWNS))


def lives(world, key):
    """A town after an hour of the citizen's life, and what it sees."""
    state = engine.unroll(world, scripted, engine.reset(world, key), key, TICKS)[0]
    return state, observe(world, state), timestep(world, state)


def same(ours, theirs):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs) > 15
    for left, right in zip(ours, theirs):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


def test_every_town_of_a_pool_is_the_town_alone_on_its_map(worlds, maps, keys):
    together = jax.jit(over_maps(lives, maps))(keys)
    alone = jax.jit(lives)
    for number, world in enumerate(worlds):
        for town in range(TOWNS):
            same(jax.tree.map(lambda leaf: leaf[number, town], together), alone(world, keys[number, town]))  # noqa: B023
    moved = np.asarray(together[0].agents.cell) != np.asarray(maps.map.start_cell)[:, None, :]
    assert moved.any(axis=(1, 2)).all()  # on every map somebody has walked


def test_the_functions_of_a_pool_take_maps_and_towns(worlds, maps, keys):
    env = pooled(maps)
    actions = jnp.arange(len(SEEDS) * TOWNS * 4, dtype=jnp.int32).reshape(len(SEEDS), TOWNS, 4) % env.num_actions
    states = jax.jit(env.reset)(keys)
    after = jax.jit(env.step)(states, actions, keys)
    assert after.agents.cell.shape == (3, 2, 4) and after.tick.tolist() == (states.tick + 1).tolist()
    assert env.observe(after).action_mask.shape == (3, 2, 4, env.num_actions)
    assert env.timestep(after).reward.shape == (3, 2, 4)
    other = make("generated", **COMPACT, **{"map.generate.seed": SEEDS[1]})
    alone = jax.jit(other.step)(other.reset(keys[1, 0]), actions[1, 0], keys[1, 0])
    same(jax.tree.map(lambda leaf: leaf[1, 0], after), alone)


def test_arguments_of_other_shapes_are_refused_with_the_shape_that_is_wanted(maps, keys):
    env = pooled(maps)
    states, actions = jax.eval_shape(env.reset, keys), jnp.zeros((3, 2, 4), jnp.int32)
    one_map = r"argument 1 is of shape \[2\], but this pool wants \[3, B, \.\.\.\]: 3 maps, and towns on each"
    for reset, fault in (
        (keys[0], one_map),
        (keys[:2], r"argument 1 is of shape \[2, 2\], but this pool wants \[3, 2, \.\.\.\]"),
        (keys[0, 0], r"argument 1 is of shape \[\], but this pool wants \[3, B, \.\.\.\]"),
    ):
        with pytest.raises(ValueError, match=fault):
            env.reset(reset)
    step = lambda *arguments: jax.eval_shape(env.step, *arguments)
    with pytest.raises(ValueError, match=r"argument 2 is of shape \[3, 4\], but this pool wants \[3, 2, "):
        step(states, actions[:, 0], keys)
    with pytest.raises(ValueError, match=r"argument 3 is of shape \[3, 1\], but this pool wants \[3, 2, "):
        step(states, actions, keys[:, :1])
    with pytest.raises(ValueError, match=r"actions are int32\[3\], allowed are integers\[4\]"):
        step(states, actions[..., :3], keys)
    alone = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), states)
    with pytest.raises(ValueError, match=r"argument 1\.tick is of shape \[\], but this pool wants"):
        jax.eval_shape(env.observe, alone)


def test_tables_are_stored_once_a_map_and_parameters_once(worlds, maps):
    size = lambda tree: sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    assert size(maps.map) == len(SEEDS) * size(worlds[0].map)
    assert size(maps.params) == size(worlds[0].params)


def test_one_map_of_a_pool(worlds, maps):
    for number, world in enumerate(worlds):
        same(one(maps, number).map, world.map)
    ids = {one(maps, number).static.config_id for number in range(3)} | {maps.static.config_id}
    assert len(ids) == 4  # pictures are cached by this name
    with pytest.raises(IndexError, match="map 3 is not in the pool"):
        one(maps, 3)


def test_a_picture_of_a_town_of_a_pool(maps, keys):
    pytest.importorskip("PIL")
    env = pooled(maps)
    states = env.reset(keys)
    frames = [env.render(states, number, 1, scale=4, panel=False) for number in range(2)]
    assert frames[0].shape == frames[1].shape and (frames[0] != frames[1]).any()


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"num_agents": 3}, r"`num_agents` is 3 and 4"),
        ({"map.generate.size": [90, 90]}, r"`height` is 90 and"),
        ({"systems.economy.rent": 1.0}, r"`params\['economy'\]\.rent` has other values, but parameters are shared"),
        ({"map.generate.benches": 7}, r"`num_facilities` is"),
    ],
)
def test_worlds_that_differ_in_more_than_the_map_do_not_go_together(worlds, other, fault):
    with pytest.raises(ConfigError, match=f"map 1 of the pool does not go with map 0: {fault}"):
        stack([worlds[0], load("generated", **{**COMPACT, **other})])


def test_a_pool_needs_a_map():
    with pytest.raises(ConfigError, match="a pool without maps"):
        pool("generated", [])


def test_a_drawn_map_gives_way():
    generated = load("town", **COMPACT, **{"map.rows": None, "map.generate.seed": 1})
    assert one(pool("town", [1], **COMPACT), 0).map.ground.tolist() == generated.map.ground.tolist()
