"""What the table of an evaluation says of each town is what the indicators of the town say."""

import numpy as np
import pytest

from townlet_jax.telemetry import kpis
from townlet_jax.worlds import compile_document, read
from train.evaluate import town_kpis

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
