"""Telemetry: the fitness index by hand, and what the indicators make of the reasons for exits."""

import jax
import jax.numpy as jnp
import pytest

from townlet_jax import engine
from townlet_jax.telemetry import afi, exits_per_day, kpis, measure

PLACE = """
    #######
    #h...W#
    #0.1.K#
    #@....#
    #######
"""
CAUSES = {
    "systems.lifecycle.neglect": {},
    "systems.lifecycle.age": {},
    "systems.lifecycle.unemployment": {},
    "systems.lifecycle.caps": {},
}
MEANS = {
    "reward/total": 0.05,
    "needs/hunger": 0.9,
    "needs/hygiene": 0.6,
    "needs/energy": 0.6,
    "shift/present": 0.3,
    "shift/expected": 0.4,
    "collapses": 0.001,
    "evictions": 0.0005,
    "exits/neglect": 0.0005,
    "exits/age": 0.01,
}


@pytest.fixture
def world(board):
    return board(PLACE, **CAUSES).world


def test_the_index_is_the_weighted_sum_of_its_parts(world):
    # clip 0.2: R = 0.5 + 0.05 / 0.4 = 0.625; 1 - D = 0.7; J = 0.75; V = 0.002 x 200 ticks / 2 agents = 0.2, age apart
    assert afi(world, MEANS) == pytest.approx(0.3 * 0.625 + 0.4 * 0.7 + 0.2 * 0.75 - 0.1 * 0.2)


def test_the_weights_are_ones_own_choice(world):
    only = {"return": 0.0, "needs": 1.0, "attendance": 0.0, "violations": 0.0}
    assert afi(world, MEANS, only) == pytest.approx(0.7)


def test_without_shifts_the_other_parts_count_for_them(world):
    idle = {**MEANS, "shift/present": 0.0, "shift/expected": 0.0}
    assert afi(world, idle) == pytest.approx((0.3 * 0.625 + 0.4 * 0.7) * 0.9 / 0.7 - 0.02)


@pytest.mark.parametrize(("reward", "level", "share", "exits", "index"), [(0.2, 1, 1, 0, 0.9), (-0.2, 0, 0, 1, -0.1)])
def test_the_best_and_the_worst(world, reward, level, share, exits, index):
    means = {"reward/total": reward, **{f"needs/{need}": level for need in world.static.names.needs}}
    means |= {"shift/present": share, "shift/expected": 1.0, "collapses": exits}
    assert afi(world, means) == pytest.approx(index)


def test_of_nothing_there_is_no_fitness(world):
    with pytest.raises(ValueError, match="rewards, needs or shifts"):
        afi(world, {"collapses": 0.0})


def test_a_town_measures_what_the_index_asks_for(board, world):
    state = jax.jit(engine.reset)(world, jax.random.key(0))
    means = {name: float(value) for name, value in jax.jit(measure)(world, state).items()}
    assert set(MEANS) <= set(means) and "exits/unemployment" in means and "waiting_to_leave" in means
    # nothing has happened: R = 0.5, every need at 0.6, nobody expected at work
    assert afi(world, means) == pytest.approx((0.3 * 0.5 + 0.4 * 0.6) * 0.9 / 0.7, abs=1e-5)


def test_exits_of_all_reasons_are_counted_per_agent_and_day(world):
    found = kpis(world, {**MEANS, "reward/clipped": 0.0})
    assert found["exits/age"] == pytest.approx(0.01 * 200 / 2)
    assert found["collapses_per_day"] == pytest.approx(0.1)
    assert found["exits_per_day"] == pytest.approx((0.001 + 0.0005 + 0.0005 + 0.01) * 100)


def test_late_shifts_are_counted_per_agent_and_day(world):
    assert kpis(world, {"shift/late": 0.005})["late_per_day"] == pytest.approx(0.005 * 200 / 2)
    assert "late_per_day" not in kpis(world, {"shift/present": 0.5, "shift/expected": 1.0})


def test_exits_may_be_counted_without_some(world):
    per_day = 200 / 2
    assert exits_per_day(world, MEANS, but=("exits/age", "evictions")) == pytest.approx(0.0015 * per_day)
    assert exits_per_day(world, {"needs/hunger": 0.9}) == 0


def test_a_world_without_them_does_not_measure_them(board):
    plain = board(PLACE)
    found = jax.eval_shape(lambda state: measure(plain.world, state), plain.state())
    assert not [name for name in found if name.startswith(("exits/", "waiting"))]
    assert found["collapses"].dtype == jnp.float32
