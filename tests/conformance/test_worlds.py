"""The checker on every shipped world, and a broken system for every fault that the checker must find."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from townlet_jax import load, schema, testing
from townlet_jax.systems import insert
from townlet_jax.testing import check, watch
from townlet_jax.testing.shapes import check_types
from townlet_jax.types import System

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted([*CONFIGS.glob("worlds/*.yaml"), *CONFIGS.glob("scenarios/*.yaml")])
QUICK = ("town", "generated")
"""A town with every mechanic is checked in `tests/systems` (`make test-wide`), the rules of scenarios in `tests/scenarios`."""
SUBSETS = {
    "no work": {"systems.employment": None, "systems.economy.rent": 0.0},
    "no deaths": {"systems.lifecycle": None},
    "neither": {"systems.employment": None, "systems.lifecycle": None},
    "no rewards": {"systems.rewards": None},
    "no needs": {"systems.needs": None},
}
SMALL = {"observation.variant": "compact", **SUBSETS["neither"]}


@pytest.mark.parametrize(
    "path",
    [path if path.stem in QUICK else pytest.param(path, marks=pytest.mark.slow) for path in SHIPPED],
    ids=[f"{path.parent.name}/{path.stem}" for path in SHIPPED],
)
def test_shipped_worlds(path):
    assert {"clock", "observation finite", "needs in bounds", "one agent a cell"} <= testing.check_world(load(path))


def test_the_other_variant_of_the_town():
    """The town as shipped is `hybrid`."""
    assert load("town").static.observation == "hybrid"
    held = testing.check_world(load("town", **{"observation.variant": "compact"}), num_towns=2, num_ticks=24, seed=1)
    assert "observation in range" in held


def test_a_subset_of_the_systems():
    held = testing.check_world(load("town", **SMALL), num_towns=2, num_ticks=24)
    assert "needs in bounds" in held and "the dead do not work" not in held


@pytest.mark.parametrize("subset", SUBSETS)
def test_types_of_subsets(subset):
    kept = check_types(load("town", **{"observation.variant": "compact", **SUBSETS[subset]}))
    gone = [name.removeprefix("systems.") for name, section in SUBSETS[subset].items() if section is None]
    assert gone and not [path for path in kept if path.startswith(tuple(f"slots.{name}." for name in gone))]


def test_a_world_without_intents(tmp_path):
    town = yaml.safe_load((CONFIGS / "worlds/town.yaml").read_text())
    town["systems"] = {name: town["systems"][name] for name in ("needs", "rewards")}
    town["observation"] = {"variant": "compact"}
    path = tmp_path / "meadow.yaml"
    path.write_text(yaml.safe_dump(town))
    assert "needs in bounds" in testing.check_world(load(path), num_towns=2, num_ticks=8)


def with_broken(step=lambda world, state, bits: state, **parts):
    """A small town with one more system before `rewards`."""
    system = System("broken", step, **{"terms": ("joy", "needs"), **parts})
    return load("town", order=insert(system, before="rewards"), **SMALL, **{"systems.broken": {}})


def slot(value):
    """An `init` whose slot is one array."""
    return lambda world, key: {"x": value(key) if callable(value) else value}


def put(function):
    """A `step` that replaces the array in its slot."""
    return lambda world, state, key: state.put(broken={"x": function(state.slots["broken"]["x"], state)})


def richer(world, state, key):
    """Pays a mill to everybody, and neither declares nor books it."""
    return state.replace(agents=state.agents.replace(wallet=state.agents.wallet + 1))


def indebted(world, state, key):
    """Takes more than one has."""
    return state.replace(agents=state.agents.replace(wallet=state.agents.wallet - 100_000))


def zero():
    return jnp.zeros((), jnp.int32)


BY_TYPES = {
    "a float in a slot": ("no floats", "slots.broken.x", {"init": slot(jnp.zeros(3))}),
    "a complex number": ("no floats", "slots.broken.x", {"init": slot(jnp.zeros(3, jnp.complex64))}),
    "a key in the state": ("narrow integers", "slots.broken.x", {"init": slot(lambda key: key)}),
    "another dtype": (
        "fixed point",
        "slots.broken.x",
        {"init": slot(zero()), "step": put(lambda x, s: x.astype(jnp.int16))},
    ),
    "another shape": ("fixed point", "slots.broken.x", {"init": slot(zero()), "step": put(lambda x, s: x[None])}),
    "a weak type": (
        "fixed point",
        "slots.broken.x",
        {"init": slot(zero()), "step": put(lambda x, s: jnp.where(x > 0, 1, 0))},
    ),
    "a new leaf": ("fixed point", "slots.broken.x", {"step": lambda w, s, k: s.put(broken={"x": zero()})}),
    "a float reward": ("rewards types", "joy of broken", {"rewards": lambda w, s: {"joy": jnp.zeros(8)}}),
    "a reward of the wrong shape": ("rewards types", "joy of broken", {"rewards": lambda w, s: {"joy": zero()}}),
    "a term without a name": ("rewards names", "joy", {"rewards": lambda w, s: {"joy": s.reward}, "terms": ()}),
    "a term that is taken": ("rewards names", "needs", {"rewards": lambda w, s: {"needs": s.reward}}),
    "an integer metric": ("metrics types", "n of broken", {"metrics": lambda w, s: {"n": zero()}}),
    "a metric that is taken": ("metrics names", "wallet", {"metrics": lambda w, s: {"wallet": jnp.zeros(())}}),
}


@pytest.mark.parametrize("fault", BY_TYPES)
def test_types_are_checked(fault):
    rule, path, parts = BY_TYPES[fault]
    with pytest.raises(testing.WorldError, match="broken|needs|wallet|joy") as caught:
        testing.check_world(with_broken(**parts))
    assert (caught.value.rule, caught.value.path) == (rule, path)


def test_play_is_checked():
    """One world with four faults, and what follows from them; the checker names the first."""
    world = with_broken(
        lambda world, state, key: indebted(world, richer(world, state, key), key),
        rewards=lambda world, state: {"joy": jnp.where(state.agents.alive, 1_000_001, 0)},
        metrics=lambda world, state: {"n": (state.tick - state.tick).astype(jnp.float32) * jnp.inf},
    )
    with pytest.raises(testing.WorldError, match="in town 0 at tick 0 of random play, and") as caught:
        testing.check_world(world, num_towns=2, num_ticks=8)
    assert (caught.value.rule, caught.value.path) == ("ownership", "agents.wallet changed by broken")
    _, first = check._watch(world, testing.town_keys(0, 2), num_ticks=8)
    assert {fault for fault, ticks in first.items() if int(ticks.min()) != watch.NEVER} == {
        ("ownership", "agents.wallet changed by broken"),
        ("invariant", "wallets not negative"),
        ("invariant", "money adds up"),
        ("observation in range", "features"),
        ("rewards in range", "joy of broken"),
        ("metrics finite", "n of broken"),
    }


@jax.custom_batching.custom_vmap
def place(x, tick):
    """x, but under vmap x + place in the batch."""
    return x


@place.def_vmap
def _(axis_size, in_batched, x, tick):
    return x + jnp.arange(axis_size, dtype=jnp.int32), True


def test_a_town_that_knows_its_place_in_the_batch_is_caught(monkeypatch):
    world = with_broken(put(lambda x, s: place(x, s.tick)), init=slot(lambda key: zero()), writes=("slots.broken",))
    with pytest.raises(testing.WorldError, match=r"\[order of towns\] slots.broken.x"):
        testing.check_world(world, num_towns=2, num_ticks=8)
    monkeypatch.setattr(check, "_check_seeds", lambda *args: None)
    with pytest.raises(testing.WorldError, match=r"\[batch and single\] slots.broken.x: town 1 differs after 8 ticks"):
        testing.check_world(world, num_towns=2, num_ticks=8)


def test_a_step_that_knows_of_jit_is_caught():
    step = put(lambda x, s: x + jnp.int32(isinstance(x, jax.core.Tracer)))
    world = with_broken(step, init=slot(lambda key: zero()), writes=("slots.broken",))
    with pytest.raises(testing.WorldError, match=r"\[jit and eager\] slots.broken.x: differs after 1 ticks"):
        testing.check_world(world, num_towns=2, num_ticks=8)


def test_a_step_that_knows_of_the_scan_is_caught(monkeypatch):
    scans = []

    def scanning(*args, **kwargs):
        scans.append(True)
        out = original(*args, **kwargs)
        scans.clear()
        return out

    original = check._watch
    monkeypatch.setattr(check, "_watch", scanning)
    step = put(lambda x, s: x + jnp.int32(len(scans)))
    world = with_broken(step, init=slot(lambda key: zero()), writes=("slots.broken",))
    with pytest.raises(testing.WorldError, match=r"\[scan and loop\] slots.broken.x"):
        testing.check_world(world, num_towns=2, num_ticks=8)


def test_two_runs_that_differ_are_caught(monkeypatch):
    runs = []

    def restless(*args, **kwargs):
        states, first = original(*args, **kwargs)
        runs.append(True)
        return states.replace(reward=states.reward + jnp.int32(len(runs))), first

    original = check._watch
    monkeypatch.setattr(check, "_watch", restless)
    with pytest.raises(testing.WorldError, match=r"\[same seed\] reward"):
        testing.check_world(load("town", **SMALL), num_towns=2, num_ticks=8)


def test_keys_that_nobody_uses_are_caught(monkeypatch):
    monkeypatch.setattr(check, "town_keys", lambda seed, n: jnp.broadcast_to(jax.random.key(0), (n,)))
    with pytest.raises(testing.WorldError, match=r"\[another seed\] state"):
        testing.check_world(load("town", **SMALL), num_towns=2, num_ticks=8)


SEEN = {
    ("observation finite", "features"): lambda o: o.replace(features=o.features.at[0, 1].set(jnp.nan)),
    ("observation in range", "features"): lambda o: o.replace(features=o.features.at[0, 1].set(1.5)),
    ("dead see nothing", "features"): lambda o: o.replace(features=o.features.at[1, 0].set(0.5)),
    ("dead see nothing", "layers"): lambda o: o.replace(layers=o.layers.at[1].set(jnp.uint8(1))),
    ("dead may only wait", "action_mask"): lambda o: o.replace(action_mask=o.action_mask.at[1, 3].set(True)),
    ("wait is allowed", "action_mask"): lambda o: o.replace(action_mask=o.action_mask.at[0, 0].set(False)),
    ("reward finite", "reward"): None,
}


@pytest.mark.parametrize("fault", SEEN, ids=" of ".join)
def test_observations_are_checked(fault, monkeypatch):
    world = load("town")
    state = testing.check._reset(world, jax.random.key(0))
    state = state.replace(agents=state.agents.replace(alive=state.agents.alive.at[1].set(False)))
    sound, original = jax.jit(watch.observations)(world, state), watch.timestep

    def spoilt(world, state):
        out = original(world, state)
        return (
            out.replace(observation=SEEN[fault](out.observation))
            if SEEN[fault]
            else out.replace(reward=out.reward + jnp.inf)
        )

    monkeypatch.setattr(watch, "timestep", spoilt)
    found = jax.jit(lambda world, state: watch.observations(world, state))(world, state)
    assert not any(np.any(flag) for flag in sound.values())
    assert np.any(found[fault])


def test_the_field_of_a_feature_is_named():
    world = load("town", **SMALL)
    first = np.full((2, 100), watch.NEVER, np.int32)
    first[1, next(entry.start for entry in schema(world) if entry.name == "wallet")] = 7
    with pytest.raises(
        testing.WorldError, match=r"\[observation in range\] features.wallet: broken in town 1 at tick 7"
    ):
        check._raise_first(world, {("observation in range", "features"): first})


@pytest.mark.parametrize("size", [{"num_towns": 1}, {"num_ticks": 0}])
def test_too_small_to_compare(size):
    with pytest.raises(ValueError, match="at least 2 towns and 1 tick"):
        testing.check_world(load("town", **SMALL), **size)
