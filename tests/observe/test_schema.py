"""The schema: it names every number of the vector, once, and the numbers keep to its ranges."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import explain, schema
from townlet_jax.core import fixed

HOUSE = "#######\n#h.C.W#\n#0.1.K#\n#@....#\n#######"
NO_JOBS = "#######\n#h.C.W#\n#0.1..#\n#.....#\n#######"


@pytest.fixture
def house(board):
    return board(HOUSE)


def feature(board, state, name, agent=0):
    return explain(board.world, board.observe(state), agent)[name]


@pytest.mark.parametrize("drawing", [HOUSE, NO_JOBS])
def test_the_entries_cover_the_vector_without_gap(board, drawing):
    world = board(drawing).world
    entries = schema(world)
    assert [entry.start for entry in entries] == [0, *(entry.stop for entry in entries[:-1])]
    assert entries[-1].stop == board(drawing).observe(board(drawing).state()).features.shape[1]
    assert len({entry.name for entry in entries}) == len(entries)
    assert all(len(entry.entries) in (0, entry.stop - entry.start) for entry in entries)


def test_the_town_has_one_name_for_each_number(town):
    state = town.reset(jnp.array([0, 1], jnp.uint32))
    seen = town.observe(state)
    words = explain(town.world, seen)
    assert len(words) == seen.features.shape[1] + 1  # and the allowed actions
    assert seen.features.shape == (8, schema(town.world)[-1].stop) and seen.features.dtype == jnp.float32
    assert seen.layers.shape == (8, 0, 0, 0)


def test_a_system_that_does_not_run_has_no_entries(board, house):
    names = lambda drawing: {entry.name for entry in schema(board(drawing).world)}
    assert names(HOUSE) - names(NO_JOBS) == {
        "job",
        "may_work",
        "shift",
        "until_shift",
        "shift_left",
        "attendance_ratio",
        "on_shift",
        "at_post",
        "post_distance",
        "critical",
        "episode_progress",
    }


def test_every_feature_keeps_to_its_range_in_random_play(village):
    entries = schema(village.world)
    low, high = village.play.low.min((0, 1)), village.play.high.max((0, 1))
    wrong = [
        (entry.name, low[entry.start : entry.stop].min(), high[entry.start : entry.stop].max())
        for entry in entries
        if low[entry.start : entry.stop].min() < entry.low or high[entry.start : entry.stop].max() > entry.high
    ]
    assert wrong == []
    still = [e.name for e in entries if (low[e.start : e.stop] == high[e.start : e.stop]).all()]
    assert still == []  # a feature that never changes would keep to any range


@pytest.mark.parametrize(
    ("name", "expected", "agents"),
    [
        ("need_hunger", 0.25, {"needs": [fixed.NEED // 4, 0, 0]}),
        ("wallet", 0.5, {"wallet": 5_000}),  # 5 / (5 + 5)
        ("wallet", 0.0, {"wallet": 0}),
        ("item_raw", 0.5, {"items": [4, 0]}),
        ("item_meal", 1.0, {"items": [0, 9]}),  # more than 8 counts as 8
        ("distance_wash", 4 / 64, {}),  # the post is below the shower, so its user stands at (1, 4)
        ("distance_eat", 2 / 64, {}),
        ("at_post", 0.0, {}),
        ("post_distance", 4 / 64, {}),
        ("neighbor_agent_ratio", 1.0, {}),
        ("can_wash", 1.0, {}),
        ("can_wash", 0.0, {"wallet": 199}),
        ("nearest_agent_distance", 2 / 5, {}),
        ("neighbor_object_ratio", 2 / 16, {}),
        ("ctx_reset_flag", 1.0, {}),  # everybody is new at the start
        ("home_distance", 1 / 64, {}),
    ],
)
def test_features_by_hand(house, name, expected, agents):
    assert feature(house, house.state(**agents), name) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("tick", "sin", "cos"), [(0, 0, 1), (50, 1, 0), (100, 0, -1), (350, -1, 0)])
def test_the_clock_turns_once_a_day(house, tick, sin, cos):
    state = house.state(tick=tick)
    assert feature(house, state, "time_sin") == pytest.approx(sin, abs=1e-6)
    assert feature(house, state, "time_cos") == pytest.approx(cos, abs=1e-6)


def test_the_clock_of_the_next_shift(house):
    assert feature(house, house.state(tick=60), "until_shift") == pytest.approx(40 / 200)
    assert feature(house, house.state(tick=160), "until_shift") == pytest.approx(140 / 200)


def test_the_queue_of_others_is_seen(house):
    state = house.state()
    slot = state.slots["queues"].replace(facility=jnp.array([1, 1], jnp.int16), place=jnp.array([1, 0], jnp.int8))
    state = state.put(queues=slot)
    assert feature(house, state, "queue_wash") == 0.25  # one other of four
    assert feature(house, state, "queue_place") == 0.25 and feature(house, state, "in_queue") == 1.0


def test_the_dead_see_nothing_and_are_not_seen(house):
    state = house.state(alive=[True, False])
    seen = house.observe(state)
    assert not np.asarray(seen.features[1]).any()
    assert feature(house, state, "neighbor_agent_ratio") == 0.0


def test_explain_says_what_is_allowed(house):
    state = house.state(cell=[house.cell(1, 1), house.cell(2, 3)], wallet=0, tick=10)
    assert explain(house.world, house.observe(state))["allowed"] == ["wait", "move_east", "move_south"]


@pytest.mark.parametrize("agent", [-1, 2, 99])
def test_explain_names_the_agents_there_are(house, agent):
    with pytest.raises(IndexError, match="agents 0 to 1"):
        explain(house.world, house.observe(house.state()), agent)


SHARED = (
    "need_hunger",
    "need_hygiene",
    "need_energy",
    "wallet",
    "on_shift",
    "time_sin",
    "time_cos",
    "attendance_ratio",
)
SHARED += (
    "shift_on_time",
    "shift_late",
    "shift_absent",
    "shift_post",
    "ctx_reset_flag",
    "episode_progress",
    "in_queue",
)
SHARED += ("reservation_active", "path_hint_north", "path_hint_south", "path_hint_east", "path_hint_west")
SHARED += ("neighbor_agent_ratio", "neighbor_object_ratio", "reserved_tile_ratio", "nearest_agent_distance")


def test_what_the_original_saw_bears_its_names(town):
    names = [name for entry in schema(town.world) for name in entry.names]
    assert len(set(names)) == len(names)
    assert set(SHARED) <= set(names)


def test_the_path_hint_shows_the_next_step_of_the_option(house):
    hints = lambda state: [feature(house, state, f"path_hint_{way}") for way in ("north", "east", "south", "west")]
    assert hints(house.state()) == [0, 0, 0, 0]  # nothing is chosen
    state = house.step(house.state(cell=[house.cell(3, 1), house.cell(3, 5)]), "go_home")  # two steps south of it
    assert hints(state) == [1, 0, 0, 0]
    assert hints(house.step(state)) == [0, 0, 0, 0]  # it is there


def test_somebody_new_is_flagged_for_one_tick(house):
    state = house.step(house.state())
    assert feature(house, state, "ctx_reset_flag") == 0.0
    state = house.step(house.state(alive=[True, False]))
    assert bool(state.agents.alive[1]) and feature(house, state, "ctx_reset_flag", 1) == 1.0
    assert feature(house, house.step(state), "ctx_reset_flag", 1) == 0.0


@pytest.mark.parametrize("variant", ["hybrid", "full"])
def test_directions_are_unit_vectors(board, variant):
    wide = board(HOUSE, **{"observation.variant": variant, "observation.window": 3})
    seen = explain(
        wide.world, wide.observe(wide.state())
    )  # from (2, 1) to (1, 4), to (2, 3), and to the post at (2, 5)
    assert (seen["east_of_wash"], seen["south_of_wash"]) == pytest.approx((3 / 10**0.5, -1 / 10**0.5))
    assert (seen["east_of_eat"], seen["south_of_eat"]) == (1.0, 0.0)
    assert (seen["east_of_work"], seen["south_of_work"]) == (1.0, 0.0)
    assert (seen["east_of_home"], seen["south_of_home"]) == (0.0, -1.0)
    at_it = wide.observe(wide.state(cell=wide.cell(1, 4)))
    assert explain(wide.world, at_it)["east_of_wash"] == 0.0


def test_what_compact_has_comes_first_in_hybrid(board, house):
    wide = board(HOUSE, **{"observation.variant": "hybrid", "observation.window": 3})
    compact, hybrid = schema(house.world), schema(wide.world)
    assert hybrid[: len(compact)] == compact and [entry.name for entry in hybrid[len(compact) :]] == [
        "east_of",
        "south_of",
    ]
