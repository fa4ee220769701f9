"""The same YAML with 6, 8, 16 and 64 agents: everybody finds what they need, and every index has room."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError, engine, load, policies
from townlet_jax.config.load import shipped
from townlet_jax.core import fixed
from townlet_jax.systems import employment
from townlet_jax.telemetry import days

DAY, DAYS, TOWNS = 1440, 2, 2
SIZES = {"town_6": 6, "town": 8, "generated": 8, "town_16": 16, "town_64": 64}


@pytest.fixture(scope="module", params=SIZES)
def world(request):
    return load(request.param, **{"observation.variant": "compact"})


def test_the_names_of_the_sizes():
    assert set(SIZES) <= set(shipped("worlds"))


def test_everybody_has_a_home_and_a_post(world):
    A = SIZES[world.static.name]
    assert world.static.num_agents == A
    homes, posts = np.asarray(world.map.agent_home), np.asarray(world.map.agent_post)
    assert np.bincount(homes).max() == (2 if A == 64 else 1)
    assert len(set(posts.tolist())) == A and posts.max() < world.static.num_posts  # a post of one's own
    start = np.asarray(world.map.start_cell)
    assert len(set(start.tolist())) == A


def lived(world, key):
    """Numbers of one town that lives for two days as citizens do."""

    def watch(world, state):
        number = lambda mask: mask.sum(dtype=jnp.int32)
        slot = state.slots["employment"]
        well = (state.agents.needs > fixed.to_need(0.3)).all(-1) & state.agents.alive
        expected = employment.on_duty(slot.shift)
        return number(employment.is_present(slot)), number(expected), number(state.terminated), number(well)

    return engine.unroll(world, policies.scripted, engine.reset(world, key), key, DAYS * DAY, watch)[1]


def test_citizens_live_well_in_towns_of_every_size(world):
    with jax.numpy_dtype_promotion("strict"):
        seen = jax.jit(jax.vmap(lived, (None, 0)))(world, jax.random.split(jax.random.key(5), TOWNS))
    present, expected, gone, well = (np.asarray(x, np.int64).sum() for x in seen)
    A = world.static.num_agents
    assert gone / (TOWNS * A * DAYS) < 0.02  # exits a day and agent
    assert present / expected >= 0.8
    assert well / (TOWNS * A * DAYS * DAY) >= 0.95


def test_without_a_detour_the_nearest_tills_run_dry():
    """Why the large towns have one: all would buy at the few tills that are nearest to the doors."""
    crowd = load("town_64", **{"observation.variant": "compact"})
    route, till = np.asarray(crowd.map.route), crowd.static.names.offers.index("buy_food")
    used = lambda world: {int(np.asarray(world.map.route)[int(h) * cells + int(c), till]) for h, c in homes(world)}
    homes = lambda world: enumerate(world.map.home_cell)
    cells = crowd.static.height * crowd.static.width
    nearest = load("town_64", **{"observation.variant": "compact", "map.detour": 0})
    assert len(route) == 32 * cells
    assert len(used(nearest)) < len(used(crowd)) and len(used(crowd)) >= 6  # of 8


def whole_town(num_agents, **overrides):
    """M5 with so many people; more than eight live on a map drawn from a seed."""
    drawn = {"map.rows": None, "map.detour": 8, "map.generate": {"seed": num_agents, "residents": 1 + num_agents // 64}}
    more = drawn if num_agents > 8 else {}
    return load("m5", **{"num_agents": num_agents, "observation.variant": "compact", **more, **overrides})


def test_the_whole_town_fits_on_a_generated_map():
    """Its meetings find their places there, and a place that is not there is refused."""
    world = whole_town(16)
    meets = {world.params["perturbations"].names[row] for row in world.params["perturbations"].rows("meet")}
    assert meets == {"gathering", "parley"} and world.static.num_agents == 16
    state = jax.eval_shape(lambda key: engine.reset(world, key), jax.random.key(0))
    assert state.slots["relationships"].trust.shape == (16, 16)
    with pytest.raises(ConfigError, match=r"location: 'Moon' is no kind of facility or place \(allowed: .*Café"):
        whole_town(16, **{"systems.perturbations.events.3.location": "Moon"})


@pytest.mark.slow
@pytest.mark.parametrize("num_agents", [6, 16, 64])
def test_citizens_live_well_in_the_whole_town_of_every_size(num_agents):
    world = whole_town(num_agents)
    sums = days.live(world, policies.scripted, num_towns=4, num_days=3, seed=5)
    found = days.figures(sums, num_agents, world.static.names.needs)
    assert found["exits/collapse"] < 0.02
    assert found["attendance"] >= 0.8
    assert found["well"] >= 0.95
    assert found["tied/3"] >= 0.6
    assert (sums.chats > 0).all() and (sums.conflicts.sum(1) > 0).all()


def test_memory_and_index_ranges_of_the_largest_town():
    world = load("town_64")
    size = {name: leaf.nbytes for name, leaf in vars(world.map).items() if leaf is not None}
    assert sum(size.values()) < 40e6
    cells = world.static.height * world.static.width
    targets = world.static.num_facilities * world.static.num_places + world.static.num_posts + len(world.map.home_cell)
    assert size["distance"] == 2 * cells * targets and size["next_hop"] == cells * targets
    assert cells <= 2**16 and int(world.map.neighbour.max()) < cells
    assert int(jnp.where(world.map.distance == 32767, 0, world.map.distance).max()) < 1000
    assert world.static.num_facilities < 32767 and len(world.static.names.places) <= 127
    assert len(world.static.actions.names) <= 127


def test_64_agents_in_one_place_overflow_nothing(board):
    """Everybody walks into one cell of a yard until nobody can move any more."""
    rows = ["###########", *["#.........#"] * 8, "#h..W.....#", "###########"]
    town = board("\n".join(rows), num_agents=64, **{"systems.movement.ghost_after": 100})
    state = town.state()

    def tick(state, number):
        key = jax.random.fold_in(jax.random.key(0), number)
        north = jnp.full(64, town.world.static.actions.names.index("move_north"), jnp.int32)
        state = engine.step(town.world, state, north, key)
        return state, (state.intent.priority, state.slots["movement"].blocked)

    state, (priority, blocked) = jax.jit(lambda s: jax.lax.scan(tick, s, jnp.arange(95)))(state)
    priority, blocked = np.asarray(priority), np.asarray(blocked)
    assert (np.sort(priority, axis=1) == np.arange(64)).all()  # a permutation of 0 to 63 in every tick
    assert blocked.min() == 0 and blocked.max() > 85  # in order of patience: 63 - 95 * 64 is the least
    cells = np.asarray(state.agents.cell)
    assert len(set(cells.tolist())) == 64  # nobody was pushed into another
