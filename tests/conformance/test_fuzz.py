"""Many towns, many ticks, people who behave as badly as they can, and edits from outside.

The quick run plays half a million town-ticks, `make test-wide` about four million, `make fuzz` the full count.
"""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from everything import EVERYTHING

from townlet_jax import load, testing
from townlet_jax.core import fixed
from townlet_jax.testing import draws
from townlet_jax.testing.__main__ import main
from townlet_jax.testing.crowd import CROWD

COMPACT = {"observation.variant": "compact"}


def fuzz(world, **how):
    """The last states, and a line for each rule that was broken."""
    states, found = testing.fuzz(world, **how)
    return states, [str(violation) for violation in found]


def tuned(world, **params):
    """The world with other parameters: `tuned(world, needs={"decay": 20000})`; nothing is compiled anew."""
    tables = dict(world.params)
    for system, fields in params.items():
        old = {name: getattr(tables[system], name) for name in fields}
        new = {
            name: jnp.broadcast_to(jnp.asarray(value, old[name].dtype), old[name].shape)
            for name, value in fields.items()
        }
        tables[system] = tables[system].replace(**new)
    return world.replace(params=tables)


HARSH = {
    "plague": {"needs": {"decay": 20000}, "lifecycle": {"collapse_ticks": 1, "arrive_after": 1, "guard": 99}},
    "impatience": {"queues": {"start_within": 1}, "movement": {"ghost_after": 1}, "intents": {"commit_ticks": 1}},
    "long queues": {"queues": {"reach": 30, "start_within": 2}, "intents": {"commit_ticks": 120}},
    "rent": {"economy": {"rent": 3900}, "lifecycle": {"evict_after": 1, "wallet": 0}},
    "fines": {"employment": {"absent_fine": 5000, "late_fine": 10000, "grace": 0, "slack": 0}},
    "panic": {"intents": {"override": fixed.NEED}, "movement": {"ghost_after": 100}},
    "closing time": {"affordances": {"opens": 100, "closes": 117}, "economy": {"rent_at": 110}},
    "haste": {"affordances": {"ticks": 1}, "economy": {"price": 0}},
    "wealth": {"economy": {"capacity": 10000}, "start": {"wallet": 1_000_000}, "employment": {"wage": 1000}},
    "short lives": {"lifecycle": {"episode_ticks": 10, "critical": fixed.NEED // 2}},
}


@pytest.fixture(scope="module")
def world():
    return load("town", **COMPACT)


@pytest.fixture(scope="module")
def whole():
    """The last preset: nearly everything is on."""
    return load("m5", **COMPACT)


def assert_unbroken(lines):
    """One assertion for all rules, so that a failure lists each with its town and tick."""
    assert not lines, "\n" + "\n".join(lines)


def test_town(world):
    state, lines = fuzz(world)
    assert_unbroken(lines)
    deaths = state.agents.generation.reshape(-1, len(CROWD), world.static.num_agents).sum((0, 2))
    assert (deaths[:4] > 0).all()  # the fuzz reaches the ends of lives,
    assert (np.abs(state.slots["economy"].ledger).max(0) > 0).all()  # and every account


@pytest.mark.wide
@pytest.mark.parametrize("name", HARSH)
def test_harsh_towns(world, name):
    assert_unbroken(fuzz(tuned(world, **HARSH[name]), seed=1, num_ticks=600)[1])


def test_a_truck_that_comes_before_a_refund(world):
    """What is given back at closing time does not overfill the shelves."""
    assert_unbroken(fuzz(tuned(world, economy={"restock_at": 1319}))[1])


def test_large_gifts(world):
    """A hundred more than one can carry does not wrap around."""
    assert_unbroken(fuzz(tuned(world, affordances={"gives": 100}), num_ticks=600)[1])


def test_a_broken_rule_is_reported(world):
    gifted = tuned(world, lifecycle={"items": 101})
    _, lines = fuzz(gifted, num_ticks=600)
    assert len(lines) == 1
    assert lines[0].startswith(f"config {world.static.config_id} seed 0 town ")
    assert "items in bounds" in lines[0]


def test_a_broken_rule_plays_again(world, tmp_path):
    gifted = tuned(world, lifecycle={"items": 101})
    _, found = testing.fuzz(gifted, num_ticks=600, folder=tmp_path)
    state, broken = testing.reproduce(gifted, found[0].replay)
    assert broken == ["items in bounds"] and bool((state.agents.items == 101).any())
    healthy, broken = testing.reproduce(world, found[0].replay)  # the same play in a sound world
    assert broken == [] and int(healthy.tick) == int(state.tick)


def test_a_replay_of_another_world_is_refused(world, tmp_path):
    _, found = testing.fuzz(tuned(world, lifecycle={"items": 101}), num_ticks=600, folder=tmp_path)
    other = world.replace(static=world.static._replace(config_id="another"))
    with pytest.raises(ValueError, match="this world has another"):
        testing.reproduce(other, found[0].replay)


@pytest.mark.wide
@pytest.mark.parametrize("group", range(1, 8))
def test_eight_groups_of_towns(world, group):
    """With `test_town` 8 x 256 x 2,000 ticks: 4.1 million."""
    assert_unbroken(fuzz(world, seed=group)[1])


@pytest.mark.wide
def test_the_whole_town(whole):
    states, lines = fuzz(whole, num_towns=64, num_ticks=1500)
    assert_unbroken(lines)
    happened = {
        "lives ended": states.agents.generation.sum(),
        "identities changed hands": states.slots["identities"].allocated.sum() - 64 * 8,
        "quarrels and waits": states.slots["queues"].fair.counts.sum(),
        "ties": (states.slots["relationships"].trust != 0).sum(),
        "meals went bad or are kept": (states.slots["spoilage"].units != 0).sum(),
        "events": (states.slots["perturbations"].since > 0).sum(),
    }
    assert all(count > 10 for count in happened.values()), happened


QUARRELSOME = {
    "systems.queues.fairness": {
        "impatient_after": 3,
        "rage": {"patience_ticks": 12, "overtaken": 1, "pause_ticks": 20, "rivalry": 0.5},
    },
    "systems.reputation": {"quarrel": 0.2, "waiting": 0.01, "recovery": 0.01},
    "systems.relationships": {"stage": "A", "events": {"took_shift": [0.0, 0.0, 0.3]}},  # only arguments take trust
    "systems.arguments": {"rivalry": 0.1, "hearing": 20},
    "systems.spirals": {"mishaps": 2, "low_need": 0.5, "factor": 1.25},
}


@pytest.mark.wide
def test_a_quarrelsome_town():
    """Rage, bad names, arguments and bad days, all of them easily come by; nothing else is on besides the town and its ties."""
    states, lines = fuzz(load("town", **COMPACT, **QUARRELSOME), num_towns=64, num_ticks=1500)
    assert_unbroken(lines)
    slots = states.slots
    happened = {
        "stay away": (slots["queues"].fair.cooldown > 0).sum(),
        "bad names": (slots["reputation"].score < fixed.NEED).sum(),
        "rivals": (slots["relationships"].rivalry > 0).sum(),
        "distrust": (slots["relationships"].trust < 0).sum(),
        "bad days": slots["spirals"].spirals.sum(),
    }
    assert all(count > 10 for count in happened.values()), happened


def long(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


WATCHED = {"everything": ("town", EVERYTHING), "m5": ("m5", {}), "town": ("town", {})}


@pytest.mark.wide
@pytest.mark.parametrize("name", ["town", long("m5"), long("everything")])
def test_what_is_seen_and_reported_under_fuzz(name):
    """Observations finite and in range, the dead see nothing, metrics finite, and no system writes what is not its own."""
    preset, overrides = WATCHED[name]
    assert_unbroken(fuzz(load(preset, **overrides), num_towns=64, num_ticks=200, views=True)[1])


@pytest.mark.wide
@pytest.mark.parametrize("number", [8, long(200)])
def test_random_configurations(whole, number):
    """Of the whole town, some of its numbers are drawn anew within what the schema allows; one program plays them all."""
    kept = (drawn for drawn in draws.random_worlds("m5", number, fixed=COMPACT) if draws.same_program(whole, drawn[1]))
    for seed, (settings, drawn) in enumerate(itertools.islice(kept, number)):
        lines = fuzz(drawn, seed=seed, num_towns=64, num_ticks=150)[1]
        assert not lines, f"{settings}\n" + "\n".join(lines)


def test_a_random_world_plays_again_by_its_file(world, tmp_path, capsys):
    """The file tells how the world differed from its YAML."""
    gifted = load("town", **COMPACT, **{"systems.needs.decay.hunger": 0.0008})
    _, found = testing.fuzz(
        tuned(gifted, lifecycle={"items": 101}),
        num_ticks=600,
        folder=tmp_path,
        settings={**COMPACT, "systems.needs.decay.hunger": 0.0008},
    )
    assert main(["town", "--replay", str(found[0].replay)]) == 0  # with the settings, but without the fault
    assert "no rule broken" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"{}"])
def test_the_command_refuses_what_is_no_replay_file(content, tmp_path, capsys):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(SystemExit, match="2"):
        main(["town", "--replay", str(tmp_path / "x.npz")])
    assert "x.npz: not a replay file of the fuzz" in capsys.readouterr().err


def test_the_command_plays_each_seed(tmp_path, capsys):
    assert main(["town", "--towns", "16", "--ticks", "40", "--seeds", "2", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "town, seed 0: 0 rules" in told and "town, seed 1: 0 rules" in told
    assert told.endswith("0 rules broken in all\n") and not any(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [["nowhere"], ["town", "--ticks", "0"], ["town", "m5", "--replay", "x.npz"]])
def test_the_command_refuses_in_a_line(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_the_command_fails_if_a_rule_breaks(world, tmp_path, capsys, monkeypatch):
    gifted = tuned(world, lifecycle={"items": 101})
    monkeypatch.setattr("townlet_jax.testing.__main__.load", lambda name, **overrides: gifted)
    assert main(["town", "--towns", "256", "--ticks", "600", "--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "1 rules broken" in told and f"config {world.static.config_id} seed 0 town " in told
    replay = next(tmp_path.glob("items_in_bounds_seed0_town*.npz"))
    assert str(replay) in told
    assert main(["town", "--replay", str(replay)]) == 1
    assert "items in bounds broken" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_towns_for_long(world, seed):
    assert_unbroken(fuzz(world, seed=100 + seed, num_towns=1024, num_ticks=10_000)[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_whole_towns_for_long(whole, seed):
    assert_unbroken(fuzz(whole, seed=200 + seed)[1])


@pytest.mark.slow
def test_every_mechanic_for_long():
    assert_unbroken(fuzz(load("town", **EVERYTHING), seed=300)[1])
