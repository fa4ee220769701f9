"""Making worlds: by name, by file, with overrides, and worlds of one's own."""

import jax
import pytest

import townlet_jax
from townlet_jax import ConfigError, env, load, make, register
from townlet_jax.systems import insert, needs
from townlet_jax.types import System

QUICK = {"observation.variant": "compact"}


def refusal(name, **overrides):
    with pytest.raises(ConfigError) as error:
        load(name, **overrides)
    return str(error.value)


def test_the_shipped_town(town):
    static = town.world.static
    assert (static.name, static.num_agents, static.height, static.width, static.ticks_per_day) == (
        "town",
        8,
        48,
        48,
        1440,
    )
    names = ["intents", "needs", "movement", "queues", "affordances", "economy", "employment", "lifecycle", "rewards"]
    assert [system.name for system in static.systems] == names
    assert static.names.needs == ("hunger", "hygiene", "energy") and static.names.jobs == ("grocer", "barista", "clerk")
    assert (town.num_agents, town.num_actions) == (8, 23)  # wait, 4 moves, 8 uses, 8 options, work, home


def test_everyone_in_the_town_has_a_home_of_their_own_with_all_there_is(town):
    world = town.world
    assert world.map.agent_home.tolist() == list(range(8))
    for home in range(8):
        own = [
            world.static.names.kinds[k]
            for k, h in zip(world.map.facility_kind, world.map.facility_home)
            if int(h) == home
        ]
        assert sorted(own) == ["bed", "fridge", "shower", "stove"]


def test_the_first_step_of_the_town(town):
    state = town.reset(jax.random.key(0))
    after = town.step(state, jax.numpy.zeros(8, jax.numpy.int32), jax.random.key(1))
    assert int(after.tick) == int(state.tick) + 1
    seen = town.timestep(after)
    assert seen.mask.tolist() == [True] * 8 and not seen.truncated and seen.reward.dtype == jax.numpy.float32


def test_overrides_go_by_dotted_path():
    world = load(
        "town", **QUICK, num_agents=3, **{"systems.economy.rent": 1.0, "systems.affordances.offers.1.ticks": 7}
    )
    assert world.static.num_agents == 3 and world.map.agent_home.tolist() == [0, 1, 2]
    assert int(world.params["economy"].rent) == 1000
    assert world.params["affordances"].ticks.tolist()[:3] == [60, 7, 40]


def test_worlds_that_differ_have_different_ids(town):
    assert load("town", **QUICK).static.config_id == town.world.static.config_id
    assert load("town", **QUICK, num_agents=7).static.config_id != town.world.static.config_id


def test_a_system_can_be_switched_off(board):
    world = board("#####\n#h.W#\n#0.1#\n#####", **{"systems.rewards": None}).world
    assert not world.static.has("rewards") and world.static.has("needs")


def test_a_world_may_do_without_affordances(board):
    off = {f"systems.{name}": None for name in ("intents", "movement", "queues", "affordances", "economy", "rewards")}
    world = board("#####\n#h.W#\n#0.1#\n#####", **off).world
    assert [system.name for system in world.static.systems] == ["needs"]


def test_an_unknown_world_suggests_the_nearest():
    message = refusal("twon")
    assert message.startswith("there is no world 'twon' (allowed: the worlds generated, m0, ")
    assert message.endswith("Did you mean 'town'?")


def test_whatever_is_no_world_is_answered_with_those_there_are():
    for name in ("x", "", "configs/worlds", "town.txt"):
        message = refusal(name)
        assert message.startswith(f"there is no world {name!r}") and "\n" not in message
        assert "town_64" in message and "the scenarios demo_story_arc" in message and "or a file, NAME.yaml" in message
    assert "Did you mean 'starvation'?" in refusal("starvatoin")
    assert refusal("twon.yaml") == "twon.yaml: no such file. Did you mean 'town'?"


def test_overrides_from_python_are_called_so():
    message = refusal("town", num_agents=3, nonsense=3)
    assert message.startswith("overrides:2: nonsense: unknown key") and "--set" not in message
    message = refusal("town", num_agents=object)
    assert message.startswith("overrides: num_agents: <class 'object'> is nothing that YAML knows")


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        ({"num_agent": 3}, ["num_agent: unknown key", "Did you mean 'num_agents'?"]),
        ({"num_agents": 65}, ["num_agents: 65 is above 64"]),
        ({"num_agents": 2.5}, ["num_agents: 2.5 is not an integer"]),
        ({"systems.economy.rnt": 1.0}, ["systems.economy.rnt: unknown key", "Did you mean 'systems.economy.rent'?"]),
        ({"observation.window": 4}, ["4 is even"]),
        ({"start.needs": [0.0, 0.5]}, ["allowed are 0 < least <= most <= 1"]),
        ({"systems.affordances.offers.99.ticks": 3}, ["99 is not in the list"]),
    ],
)
def test_a_wrong_override_is_named(overrides, fragments):
    message = refusal("town", **overrides)
    assert all(fragment in message for fragment in fragments), message


def test_a_world_may_extend_another(tmp_path, board):
    path = tmp_path / "mine.yaml"
    shipped = townlet_jax.config.load.find("town", "worlds")
    path.write_text(f"extends: {shipped}\nname: mine\nnum_agents: 2\nobservation: {{variant: compact}}\n")
    world = load(path)
    assert (world.static.name, world.static.num_agents, world.static.height) == ("mine", 2, 48)


def test_register_gives_a_name_to_a_world(monkeypatch, board):
    monkeypatch.setattr(env, "_REGISTRY", {})
    small = board("#####\n#h.W#\n#0.1#\n#####").world
    register("small", lambda **overrides: small)
    assert make("small").world is small and load("small") is small
    with pytest.raises(ConfigError, match="there is a world called 'small' already"):
        register("small", lambda **overrides: small)


def test_register_refuses_the_name_of_a_shipped_world(monkeypatch):
    monkeypatch.setattr(env, "_REGISTRY", {})
    with pytest.raises(ConfigError):
        register("town", lambda **overrides: None)


def rain(world, state, bits):
    """Everybody gets dirtier by a thousandth."""
    dirt = state.agents.needs.at[:, 1].add(jax.numpy.int32(-1000))
    return state.replace(agents=state.agents.replace(needs=jax.numpy.maximum(dirt, 0)))


def test_a_mechanic_of_ones_own_runs_where_it_is_put(tmp_path, board):
    order = insert(System("rain", rain, writes=("agents.needs",)), before="movement")
    names = [system.name for system in order]
    assert names.index("rain") == names.index("movement") - 1 and names[0] == "intents"
    wet = load("town", order, **QUICK, **{"systems.rain": {}})
    assert wet.static.has("rain")
    state = jax.eval_shape(lambda key: townlet_jax.reset(wet, key), jax.random.key(0))
    assert set(state.slots) == set(townlet_jax.reset(load("town", **QUICK), jax.random.key(0)).slots)


@pytest.mark.parametrize(
    ("system", "before", "fault"),
    [(needs.SYSTEM, "lifecycle", "is there already"), (System("rain", rain), "snow", "no system 'snow'")],
)
def test_insert_refuses_what_makes_no_order(system, before, fault):
    with pytest.raises(ValueError, match=fault):
        insert(system, before=before)
