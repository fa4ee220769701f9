"""What holds for every scenario: it plays as recorded, no rule is broken in it, and it is one that can be watched."""

import importlib.util
import json
from pathlib import Path

import jax
import pytest
from stage import play

from townlet_jax import testing
from townlet_jax.config.load import shipped

NAMES = sorted(shipped("scenarios"))
RULES = jax.jit(jax.vmap(testing.invariants, (None, 0)))


def regenerate():
    """tests/golden/regenerate.py as a module."""
    path = Path(__file__).parents[1] / "golden" / "regenerate.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_scenario_is_recorded():
    assert sorted(json.loads(regenerate().SCENARIOS.read_text())) == NAMES and len(NAMES) >= 11


@pytest.mark.parametrize("name", NAMES)
def test_golden_digests(name):
    module = regenerate()
    recorded, now = json.loads(module.SCENARIOS.read_text())[name], module.scenario(name)
    assert now == recorded, (
        f"{name} plays differently from the release that wrote tests/golden/scenarios.json; if that is meant, raise `version` in"
        " its YAML, say so in CHANGELOG.md and run `python tests/golden/regenerate.py`"
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_is_broken(name):
    scene = play(name)
    assert [rule for rule, holds in RULES(scene.world, scene.states).items() if not holds.all()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_direction_is_carried_out(name):
    scene = play(name)
    if not scene.world.static.has("timeline"):
        assert name not in ("demo_story_arc", "eviction", "starvation", "outage_mid_shower", "rivalry_decay")
        return
    slot = scene.slot("timeline")
    assert slot.done.sum() == scene.world.params["timeline"].at.shape[0] and not slot.failed.any()


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_shows(name):
    """The head of the file tells a stranger what happens, how long it takes and what is to be expected."""
    text = shipped("scenarios")[name].read_text()
    head = text[: text.index("name:")]
    assert head.startswith("# ") and "Expected:" in head
    assert f"{play(name).num_ticks} ticks" in head.replace("\n# ", " ")


@pytest.mark.parametrize("name", NAMES)
def test_its_rewards_are_not_saturated(name):
    """All scenarios of the original earned the clip in every tick, so that nothing could be seen in them."""
    scene = play(name)
    reward, clip = scene.states.reward, int(scene.world.params["rewards"].clip)
    assert (abs(reward)[~scene.states.terminated] < clip).all()
