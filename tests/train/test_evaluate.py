"""What the table of an evaluation says of each town is what the indicators and the days of the town say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine
from townlet_jax.telemetry import days, kpis
from townlet_jax.worlds import compile_document, read
from train.evaluate import town_kpis, town_sums
from train.players import memoryless

TOWNS = {
    "reward/total": [0.05, 0.1],
    "reward/clipped": [0.0, 0.0],
    "wallet_gain": [1.0, -1.0],
    "collapses": [0.001, 0.0],
    "evictions": [0.0005, 0.0],
    "exits/neglect": [0.0005, 0.002],
    "exits/age": [0.01, 0.0],
}


def test_exits_of_all_reasons_count_in_each_town():
    world = compile_document(read("town"))
    found = town_kpis(world, {name: np.array(values, np.float32) for name, values in TOWNS.items()})
    each = [kpis(world, {name: values[town] for name, values in TOWNS.items()}) for town in range(2)]
    for name in ("collapses_per_day", "exits_per_day", "return_per_day"):
        assert found[name] == pytest.approx([one[name] for one in each], rel=1e-6)
    per_day = world.static.ticks_per_day / world.static.num_agents
    assert found["exits_per_day"] == pytest.approx([0.012 * per_day, 0.002 * per_day], rel=1e-6)


def test_a_world_without_rewards_has_no_return():
    world = compile_document(read("town"))
    found = town_kpis(world, {name: np.array(TOWNS[name]) for name in TOWNS if not name.startswith("reward")})
    assert "return_per_day" not in found and found["wallet_gain"].tolist() == [1.0, -1.0]


def test_who_has_exactly_three_tenths_of_a_need_is_not_well():
    # needs that do not fall, and nobody who does anything about them: each stays where it begins
    still = [f"systems.needs.decay.{need}=0" for need in ("hunger", "hygiene", "energy")]
    world = compile_document(read("town", [*still, "start.needs=[0.3, 0.3]"]))
    idle = lambda world, state, key: jnp.zeros(world.static.num_agents, jnp.int32)
    play = jax.jit(lambda: town_sums(world, memoryless(idle), 3, jax.random.key(0)))
    assert float(play()["needs_ok"]) == 0
    state = engine.reset(world, jax.random.key(0))
    more = state.agents.needs.at[1:].add(1)
    assert days.well(state.replace(agents=state.agents.replace(needs=more))).tolist() == [False, *[True] * 7]
