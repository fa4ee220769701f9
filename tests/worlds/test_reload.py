"""Reload: a changed YAML between two ticks of a running town, without compiling it anew."""

import jax
import jax.numpy as jnp
import pytest

from townlet_jax import ConfigError, engine, load, testing
from townlet_jax.policies import random
from townlet_jax.worlds import read
from townlet_jax.worlds.manifest import manifest, manifest_checksum
from townlet_jax.worlds.reload import adopt, reload

COMPACT = {"observation.variant": "compact"}
SET = ["observation.variant=compact"]
WASH = "systems.affordances.offers.1"
ASKS = {f"{WASH}.requires": "wallet >= 1"}
ASKING = [*SET, f"{WASH}.requires='wallet >= 1'"]


@pytest.fixture(scope="module")
def world():
    return load("town", **COMPACT, **ASKS)


@pytest.fixture(scope="module")
def traced():
    """A jitted tick of random play, and how often it was traced."""
    traces = []

    @jax.jit
    def tick(world, state, key):
        traces.append(1)
        now = engine.tick_key(key, state)
        return engine.step(world, state, random(world, state, now), now)

    return tick, traces


def test_a_reload_with_equal_shapes_traces_nothing_anew(world, traced):
    tick, traces = traced
    key = jax.random.key(0)
    state = tick(world, engine.reset(world, key), key)
    changes = [
        f"{WASH}.effects.hygiene=0.9",
        f"{WASH}.ticks=12",
        f"{WASH}.requires='not wallet < 2'",
        "systems.economy.prices.wash=0.7",
        "systems.economy.stock.till=9",
    ]
    new, report = reload(world, "town", overrides=[*ASKING, *changes])
    after = tick(new, adopt(new, state), key)
    assert len(traces) == 1 and int(after.tick) == int(state.tick) + 1
    assert report.reuses and report.fits and report.differs == ()
    assert set(report.changed) == {
        "params.affordances.effect",
        "params.affordances.ticks",
        "params.economy.price",
        "params.economy.capacity",
        "params.requires.low",
    }
    assert report.before == manifest_checksum(world) != report.after == manifest_checksum(new)


def test_the_program_that_is_used_again_does_what_the_new_world_says(world):
    """The same towns from the reloaded world and from one that was loaded afresh."""
    override = f"{WASH}.requires='wallet >= 3'"
    new, _ = reload(world, "town", overrides=[*SET, override])
    fresh = load("town", **COMPACT, **{f"{WASH}.requires": "wallet >= 3"})
    assert manifest_checksum(new) == manifest_checksum(fresh)
    assert all((one == other).all() for one, other in zip(jax.tree.leaves(new), jax.tree.leaves(fresh)))


def test_the_same_file_changes_nothing(world):
    _, report = reload(world, "town", overrides=ASKING)
    assert report.reuses and report.changed == () and report.before == report.after
    assert report.config_id == world.static.config_id


def test_a_refused_document_changes_nothing(world):
    before = manifest_checksum(world)
    with pytest.raises(ConfigError, match="is a call, and calls are refused"):
        reload(world, "town", overrides=[*SET, f"{WASH}.requires='f(wallet)'"])
    assert manifest_checksum(world) == before


@pytest.mark.parametrize(
    ("override", "differs", "fits"),
    [
        ("num_agents=6", "static.num_agents: 8 -> 6", False),
        (f"{WASH}.requires=''", "params.requires.low: int32[8, 4, 15] -> nothing", True),
        (f"{WASH}.requires='wallet >= 1 or time > 600'", "params.requires: what is compiled of it", True),
        ("systems.queues.fairness={}", "params.queues.fairness.cooldown: nothing -> int16[]", False),
        ("systems.affordances.offers.1.name=bathe", "static.names:", True),
    ],
)
def test_what_cannot_be_used_again_is_told(world, override, differs, fits):
    more = ["systems.economy.prices={bathe: 0.2}"] if "bathe" in override else []
    new, report = reload(world, "town", overrides=[*ASKING, override, *more])
    assert not report.reuses and report.fits is fits
    assert any(line.startswith(differs) for line in report.differs), report.differs
    assert new.static.config_id == report.config_id != world.static.config_id


def test_a_state_does_not_fit_other_places(world):
    """Neither where an offer has another kind of facility, nor where the walls stand elsewhere."""
    document = read("town", SET)
    offers = document.tree["systems"]["affordances"]["offers"]
    document.tree["systems"]["affordances"]["offers"] = offers[::-1]
    assert not reload(world, document)[1].fits
    drawn = load("generated", **COMPACT)
    assert not reload(drawn, "generated", overrides=["observation.variant=compact", "map.generate.seed=3"])[1].fits


@pytest.mark.parametrize(
    "override",
    [
        "systems.tuner.bounds=[0.95, 1.05]",
        "systems.lifecycle.caps.exits_per_day=1",
        "systems.lifecycle.unemployment.days=1",
        "systems.spoilage.shelf_life={raw_food: 3, meal: 2}",
        "systems.affordances.offers.2.takes={raw_food: 2}",
        "start.wallet=5.0",
        "ticks_per_day=2880",
    ],
)
def test_a_state_does_not_fit_other_bounds(override):
    """What a state counts, it counts up to numbers that are compiled: with others it would break a rule."""
    whole = load("m5", **COMPACT)
    assert not reload(whole, "m5", overrides=["observation.variant=compact", override])[1].fits


def test_a_state_does_not_fit_other_words(world):
    """Needs, and events of the same kind, in another order: the shapes are the same, but a column would mean something else."""
    document = read("town", ASKING)
    assert reload(world, document)[1].fits
    document.tree["needs"] = document.tree["needs"][::-1]
    assert not reload(world, document)[1].fits
    whole, document = load("m5", **COMPACT), read("m5", SET)
    events = document.tree["systems"]["perturbations"]["events"]
    names = [event["name"] for event in events]
    one, other = names.index("blackout"), names.index("drought")
    events[one], events[other] = events[other], events[one]
    assert not reload(whole, document)[1].fits


def test_a_state_of_other_shapes_is_not_adopted(world):
    state = jax.jit(engine.reset)(world, jax.random.key(0))
    with pytest.raises(ValueError, match=r"does not fit the new world.*actions: int32\[8\] -> int32\[7\]"):
        adopt(load("town", **COMPACT, **ASKS, num_agents=7), state)


def test_a_document_or_a_file_will_do(world, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: town\nobservation: {variant: compact}\nsystems: {economy: {rent: 1.0}}\n")
    by_path, report = reload(world, path)
    assert "params.economy.rent" in report.changed and not report.reuses  # nothing is required there
    _, same = reload(by_path, read(path))
    assert same.reuses and same.changed == ()


def test_a_town_in_the_middle_of_things_keeps_the_rules(world):
    key = jax.random.key(3)
    run = jax.jit(lambda world, state: engine.unroll(world, random, state, key, 200)[0])
    rules = jax.jit(testing.invariants)
    state = run(world, engine.reset(world, key))
    quick = [f"systems.affordances.offers.{i}.ticks=1" for i in range(8)]
    new, report = reload(world, "town", overrides=[*ASKING, *quick, "systems.economy.stock={counter: 20, till: 33}"])
    busy = state.slots["affordances"].replace(remaining=state.slots["affordances"].remaining + jnp.int16(5))
    assert not rules(new, state.put(affordances=busy))["stock in bounds"] and report.reuses
    adopted = jax.jit(adopt)(new, state.put(affordances=busy))
    assert int(adopted.slots["affordances"].remaining.max()) == 1
    assert [rule for rule, holds in rules(new, run(new, jax.jit(adopt)(new, state))).items() if not holds] == []


def test_the_manifest_in_plain_values(world):
    wash = manifest(world)[1]
    assert wash == {
        "name": "wash",
        "at": "shower",
        "ticks": 30,
        "hours": [0, 1440],
        "price": 200,
        "stock": 0,
        "capacity": 0,
        "effects": {"hygiene": 471859, "energy": -31457},
        "takes": {},
        "gives": {},
        "requires": [{"wallet": [1000, 1_000_000_000]}],
    }


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ([f"{WASH}.requires='not wallet < 1'"], True),
        ([f"{WASH}.requires='wallet>=1.000'"], True),
        (["systems.economy.rent=1.0"], True),
        ([f"{WASH}.requires='wallet > 1'"], False),
        (["systems.economy.prices.wash=0.3"], False),
        ([f"{WASH}.effects.energy=-0.04"], False),
        (["systems.affordances.offers.5.gives.raw_food=4"], False),
        (["systems.economy.stock.till=35"], False),
    ],
)
def test_a_checksum_names_the_manifest_by_content(world, changes, same):
    document = read("town", [*ASKING, *changes])
    found = manifest_checksum(document)
    assert len(found) == 64 and int(found, 16) >= 0
    assert (found == manifest_checksum(world)) is same
