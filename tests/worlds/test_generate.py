"""Towns drawn from a seed: one seed one map, nobody cut off, everything that the numbers ask for, and clear refusals."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
import yaml

from townlet_jax import ConfigError, load
from townlet_jax.config import generate, layout, liveable
from townlet_jax.config.draws import Draws
from townlet_jax.config.load import find
from townlet_jax.config.lots import Counts, counts, shares
from townlet_jax.config.schema import STANDARD, GenerateConfig, Legend, MapConfig, world_model
from townlet_jax.core import grid
from townlet_jax.systems import ORDER
from townlet_jax.worlds import read

QUICK = {"observation.variant": "compact"}
MARKS = {"homes": "h", "till": "t", "counter": "c", "desk": "d", "gym_shower": "s", "bench": "n"}


def rows(seed, num_agents=8, **settings):
    return generate.draw(GenerateConfig(seed=seed, **settings), num_agents).split()


def refusal(**overrides):
    with pytest.raises(ConfigError) as error:
        load("generated", **QUICK, **overrides)
    return str(error.value)


def test_draws_are_splitmix64():
    """The first numbers of the reference implementation for seed 1234567 (prng.di.unimi.it/splitmix64.c)."""
    draws = Draws(1234567)
    assert [draws.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_cover_their_range_evenly():
    draws = Draws(3)
    seen = Counter(draws.between(2, 5) for _ in range(4000))
    assert set(seen) == {2, 3, 4, 5} and all(abs(n - 1000) < 150 for n in seen.values())
    assert sorted(draws.shuffled(range(20))) == list(range(20)) and sum(draws.split(17, 4)) == 17
    orders = Counter(tuple(draws.shuffled("abc")) for _ in range(6000))
    assert len(orders) == 6 and all(abs(n - 1000) < 150 for n in orders.values())


def test_one_seed_is_one_map_for_ever():
    digest = lambda *a, **settings: hashlib.sha256("\n".join(rows(*a, **settings)).encode()).hexdigest()[:16]
    assert (digest(0), digest(1, 64, residents=2)) == ("c6a53176307b4ad2", "cf506dfb9e6d4a1a")


def test_another_seed_is_another_map_of_the_same_size_with_the_same_things():
    maps = [rows(seed, 16) for seed in range(12)]
    assert len({"".join(town) for town in maps}) == 12
    assert len({(len(town), len(town[0])) for town in maps}) == 1
    counted = [{mark: "".join(town).count(mark) for mark in "hBFSWtcsngvd@GCOYP"} for town in maps]
    assert all(count == counted[0] for count in counted)


@pytest.mark.parametrize(
    ("num_agents", "settings", "expected"),
    [
        (8, {}, Counts(8, 2, 2, 4, 3, 4)),  # two of each shop, a post for everybody
        (16, {}, Counts(16, 2, 2, 12, 3, 4)),
        (64, {"residents": 2}, Counts(32, 8, 8, 48, 11, 16)),  # 64 / 6 = 10.7 showers
        (9, {"residents": 2, "tills": 5, "benches": 1}, Counts(5, 5, 2, 4, 3, 1)),
        (8, {"homes": 3, "counters": 1, "desks": 7, "gym_showers": 2}, Counts(3, 2, 1, 7, 2, 4)),
    ],
)
def test_what_is_built_follows_from_the_agents_or_is_given(num_agents, settings, expected):
    assert counts(GenerateConfig(**settings), num_agents) == expected
    town = "".join(rows(4, num_agents, **settings))
    assert {kind: town.count(mark) for kind, mark in MARKS.items()} == expected._asdict()
    assert town.count("g") == expected.till and town.count("v") == expected.counter


def test_things_are_shared_out_evenly():
    assert shares(48, 10) == [10, 10, 10, 9, 9]
    assert shares(4, 4) == [4] and shares(5, 4) == [3, 2]


@pytest.fixture(scope="module")
def rules():
    """The configuration of the town with a place for a generated map."""
    document = read("generated")
    return world_model(ORDER).model_validate_json(json.dumps(document.tree))


@pytest.mark.parametrize("seed", range(50))
def test_everybody_can_live_on_the_map_of_any_seed(rules, seed):
    """Of sizes from 1 to 64 agents in turn; every cell that one can stand on can be reached from every other."""
    num_agents = (1, 6, 8, 13, 16, 24, 33, 64)[seed % 8]
    size = (170, 150) if seed % 10 == 9 else None  # most of it woods
    settings = GenerateConfig(seed=seed * 7919, residents=1 + seed % 2, size=size)
    config = rules.model_copy(update={"num_agents": num_agents, "map": MapConfig(generate=settings)})
    drawn = layout.read(generate.drawn(config.map, num_agents), 3)
    assert liveable.findings(config, drawn) == []
    stands = (drawn.neighbour != np.arange(len(drawn.neighbour))[:, None]).any(1)
    steps = grid.distances_to(drawn.neighbour, drawn.home_cell[:1])[:, 0]
    assert (steps[stands] < 32767).all()
    assert len(set(drawn.place_cell[:, 0])) == len(drawn.facility_cell)  # every user has a cell of their own
    number = counts(settings, num_agents)
    owned = Counter(zip(drawn.facility_home.tolist(), drawn.facility_kind))
    assert all(owned[h, kind] == 1 for h in range(number.homes) for kind in ("bed", "fridge", "stove", "shower"))
    assert len(drawn.post_cell) >= num_agents


def test_every_door_opens_onto_a_street():
    for seed in range(8):
        town = rows(seed, 24)
        for r, row in enumerate(town):
            for c, mark in enumerate(row):
                if mark == "+":
                    assert {town[r - 1][c], town[r + 1][c]} & {"="}, f"seed {seed}, row {r}, column {c}"


def test_a_tree_cuts_nobody_off():
    # in the gap of a wall a tree would part the yards; beside the wall one walks around it
    canvas = [list(row) for row in ['#"#', '#"#', '#"#']]
    assert not generate.spares(canvas, 1, 1)
    canvas = [list(row) for row in ['"""', '""#', '"""']]
    assert generate.spares(canvas, 1, 1)
    canvas = [list(row) for row in ['""T', '"""', 'T""']]
    assert generate.spares(canvas, 1, 1) is False  # the two corners meet only here
    canvas = [list(row) for row in ['"""', '""n', '"""']]
    assert not generate.spares(canvas, 1, 1)  # the cell beside a bench stays free


def test_the_standard_marks_are_those_of_the_town():
    shipped = yaml.safe_load(find("town", "worlds").read_text())["map"]["legend"]
    assert {mark: Legend(**means) for mark, means in shipped.items()} == STANDARD


def test_a_drawn_map_may_do_without_a_legend():
    assert MapConfig(rows="###\n#h#\n###").marks == STANDARD
    with pytest.raises(ValueError, match="row 2 has 'B', not in the legend: #h"):
        MapConfig(legend={"#": {"ground": "wall"}, "h": {"home": True}}, rows="###\n#B#\n###")


def test_a_legend_of_ones_own_changes_what_the_marks_mean():
    world = load("generated", **QUICK, **{"map.legend.G": {"place": "Supermarket"}})
    assert "Supermarket" in world.static.names.places and "Grocer" not in world.static.names.places


@pytest.mark.parametrize(
    ("overrides", "fragments"),
    [
        ({"map.rows": "###"}, ["map: `rows` and `generate` are both given: allowed is one of them"]),
        ({"map.generate": None}, ["map: `rows` and `generate` are both missing"]),
        ({"map.generate.seed": -1}, ["map.generate.seed: -1 is below 0"]),
        ({"map.generate.sed": 1}, ["map.generate.sed: unknown key", "Did you mean 'map.generate.seed'?"]),
        ({"map.generate.homes": 65}, ["map.generate.homes: 65 is above 64"]),
        (
            {"map.generate.size": [48, 48], "map.generate.homes": 20},
            ["map.generate: 20 homes, 2 tills", "need 8 blocks, such as a map of 80 x 48; 48 x 48 holds 4"],
        ),
        ({"map.generate.size": [200, 30]}, ["map.generate", "200 x 30 holds 0"]),
        ({"map.generate.size": [300, 100]}, ["allowed are at most 256 cells each way"]),
        (
            {"map.generate.tills": 1, "map.generate.counters": 2, "num_agents": 64},  # 36 x 0.4 + 48 x 0.4 + 36 x 0.1
            ["hunger falls faster than facilities can serve", "= 37.2 a day, 64 agents lose 82.9"],
        ),
        ({"map.detour": 65}, ["map.detour: 65 is above 64"]),
    ],
)
def test_wrong_settings_are_refused(overrides, fragments):
    message = refusal(**overrides)
    assert all(fragment in message for fragment in fragments), message


def test_a_larger_map_holds_the_same_town():
    town = rows(3, 8, size=(90, 100))
    assert (len(town), {len(row) for row in town}) == (90, {100})
    assert "".join(town).count("h") == 8


def test_maps_of_one_world_share_their_words(town):
    one, two = (load("generated", **QUICK, **{"map.generate.seed": seed}) for seed in (1, 2))
    assert one.static._replace(config_id="") == two.static._replace(config_id="")
    assert one.static.config_id != two.static.config_id
    assert one.map.facility_kind.tolist() == two.map.facility_kind.tolist()
    assert not np.array_equal(one.map.facility_cell, two.map.facility_cell)
    assert one.static.actions == town.world.static.actions  # a policy of the town knows its buttons
