"""The presets M0 to M5: what each runs, that it costs nothing to leave a mechanic out, and that each keeps its promises."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, load, schema, testing
from townlet_jax.config.load import dump
from townlet_jax.worlds import compile_document, read

TOWN = {"affordances", "economy", "employment", "intents", "lifecycle", "movement", "needs", "queues", "rewards"}
SOCIAL = {"chat", "personality", "relationships"}
PUBLIC = {"perturbations", "utilities", "warmth", "weather"}
SYSTEMS = {
    "m0": TOWN - {"employment"},
    "m1": TOWN - {"employment"},
    "m2": TOWN | {"timesheets"},
    "m2_5": TOWN | {"timesheets"},
    "m3": TOWN | {"timesheets"} | SOCIAL,
    "m4": TOWN | {"timesheets"} | SOCIAL | PUBLIC,
    "m5": TOWN | {"timesheets"} | SOCIAL | PUBLIC | {"hiring", "identities", "reviews", "spoilage", "tuner"},
}
WITHOUT_A_SLOT = {"needs", "warmth", "rewards"}  # they keep nothing of their own; rewards do with shaping


@pytest.fixture(scope="module", params=SYSTEMS)
def world(request):
    return load(request.param)


@jax.jit
def ten_ticks(world, key):
    return testing.play.random_play(world, key, 10)


def shapes(world):
    """The state before the first tick, without computing it."""
    return jax.eval_shape(partial(engine.reset, world), jax.random.key(0))


def size(world):
    """Bytes of the state of one town."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes(world)))


def slots(world):
    return set(shapes(world).slots)


def test_each_preset_runs_what_it_says(world):
    name = world.static.name
    assert {system.name for system in world.static.systems} == SYSTEMS[name]
    kept = WITHOUT_A_SLOT - ({"rewards"} if name == "m5" else set())
    assert slots(world) == SYSTEMS[name] - kept


def test_each_preset_reads_back(world, tmp_path):
    document = read(world.static.name)
    path = tmp_path / "again.yaml"
    path.write_text(dump(document.tree), encoding="utf-8")
    again = load(path)
    assert again.static == world.static and again.static.config_id == compile_document(document).static.config_id
    same = jax.tree.map(lambda a, b: np.array_equal(a, b) and a.dtype == b.dtype, again, world)
    assert all(jax.tree.leaves(same))


def test_each_preset_runs_ten_ticks(world):
    with jax.numpy_dtype_promotion("strict"):
        state = ten_ticks(world, testing.play.town_keys(0, 1)[0])
    broken = [name for name, holds in testing.invariants(world, state).items() if not holds]
    assert broken == [] and bool(state.agents.alive.all())


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_each_preset_keeps_the_promises(name):
    """Between the town and the town with everything, which the shorter runs check."""
    assert "money adds up" in testing.check_world(load(name), num_towns=2, num_ticks=12)


def test_later_presets_hold_more():
    sizes = [size(load(name)) for name in SYSTEMS]
    assert sizes[0] < sizes[1] and sizes[1:] == sorted(sizes[1:]) and len(set(sizes)) == len(sizes)
    assert sizes[-1] > 5 * sizes[0]


def test_what_is_off_leaves_no_trace():
    """No ties before M3, no account of queues before M2.5, no goods, posts and prices in M0."""
    for name in ("m0", "m1", "m2", "m2_5"):
        world = load(name)
        A, state = world.static.num_agents, shapes(world)
        assert not SOCIAL & set(state.slots) and world.map.landmark is None
        assert (A, A) not in [leaf.shape for leaf in jax.tree.leaves(state)]
        assert (state.slots["queues"].fair is None) == (name != "m2_5")
        assert "trust" not in " ".join(entry.name + " ".join(entry.entries) for entry in schema(world))
        assert not any(action.startswith("talk") for action in world.static.actions.names)
    home = load("m0")
    assert home.static.num_posts == 0 and not home.static.names.jobs
    assert set(home.static.names.kinds) == {"bed", "fridge", "stove", "shower"}
    assert not home.params["economy"].price.any() and not home.params["economy"].capacity.any()
    assert shapes(load("m3")).slots["relationships"].trust.shape == (8, 8)


def test_a_later_preset_runs_more_rules_and_rewards():
    """What M3 shows it does not reward; M5 does."""
    weights = {name: set(load(name).params["rewards"].weights) for name in ("m3", "m5")}
    assert weights["m5"] - weights["m3"] == {
        "social_bonus",
        "social_penalty",
        "social_avoidance",
        "relationship_quality",
    }
    stage = {name: int(load(name).params["relationships"].stage) for name in ("m3", "m4", "m5")}
    assert stage == {"m3": 1, "m4": 1, "m5": 4}
    mild, whole = (load(name).params["personality"] for name in ("m4", "m5"))
    assert mild.observed and mild.modifiers is None and mild.behaviour is None and mild.need is None
    assert whole.modifiers is not None and whole.behaviour is not None and whole.need is not None
    assert "requires" in load("m5").params and "requires" not in load("m4").params
    assert set(load("m5").params["perturbations"].kinds) == {"price_spike", "outage", "meet", "closure", "chaos"}


def test_the_stipend_is_given_once_a_day_and_booked():
    """Eight people get 1.5 coins in tick 1200: 12,000 mills, in the account of gifts; nothing in the tick after."""
    world = load("m1", **{"observation.variant": "compact"})
    step = jax.jit(engine.step)
    state = jax.jit(engine.reset)(world, jax.random.key(0)).replace(tick=jnp.int32(1198))
    nobody, ledgers, purses = jnp.zeros(8, jnp.int32), [], []
    for number in range(3):
        state = step(world, state, nobody, jax.random.key(number))
        ledgers.append(np.asarray(state.slots["economy"].ledger))
        purses.append(np.asarray(state.agents.wallet))
    gifts = [ledger[6] for ledger in ledgers]
    assert gifts == [0, 12_000, 12_000] and [ledger.sum() for ledger in ledgers] == gifts
    assert (purses[0] == 4_000).all() and (purses[1] == 5_500).all() and (purses[2] == 5_500).all()


def test_no_stipend_is_no_parameter():
    assert load("town").params["economy"].stipend is None
