"""Each canary alerts on rows in which its trouble is, and is silent on rows in which it is not."""

import json

import pytest

from townlet_jax import load
from townlet_jax.config.errors import ConfigError
from train.logging import RunError, open_run
from train.promotion.stability import CANARIES, Town, absent, alerts, fallen, windows_of
from train.promotion.thresholds import Stability, load_gate
from train.promotion.watch import ALERTS, Watch

TOWN = Town(num_agents=4, ticks_per_day=200)  # a count of 1 a tick is 200 / 4 = 50 an agent-day
LIMITS = Stability(least_rows=4, thrash_windows=2)

# canary, rows of a calm window, rows of a troubled one, value and limit of the alert
STORIES = [
    ("starvation", {"collapses_per_day": 0.02}, {"collapses_per_day": 0.03}, 0.03, 0.02),
    ("lateness", {"late_per_day": 0.3}, {"late_per_day": 0.7}, 0.7, 2 * 0.3),
    (
        "lateness",
        {"late_per_day": 0.0},
        {"late_per_day": 0.11},
        0.11,
        0.1,
    ),  # twice nothing is nothing: the least counts
    ("ghost_steps", {"movement/ghost": 0.3}, {"movement/ghost": 0.4}, 0.4 * 200, 60),
    ("rotations", {"queues/rotations": 0.02}, {"queues/rotations": 0.03}, 0.03 * 50, 1),
    ("rivalry", {"ties/conflicts": 0.1}, {"ties/conflicts": 0.3}, 0.3 * 50, 2 * 0.1 * 50),
    ("affordance_failures", {"refunds": 0.02}, {"refunds": 0.03}, 0.03 * 50, 1),
    ("identity_reuse", {"identities/warning": 0.05}, {"identities/warning": 0.06}, 0.06, 0.05),
    ("exit_backlog", {"reviews/overflow": 0.0}, {"reviews/overflow": 0.5}, 0.5, 0.05),
    (
        "hiring_backlog",
        {"hiring/vacant": 5.0, "hiring/unemployed": 0.5},  # nobody is there to be hired
        {"hiring/vacant": 1.5, "hiring/unemployed": 3.0},
        1.5,
        1,
    ),
]


@pytest.mark.parametrize(("name", "calm", "troubled", "value", "limit"), STORIES)
def test_a_canary_alerts_where_its_trouble_is(name, calm, troubled, value, limit):
    windows = [[calm, calm], [calm, calm], [troubled, troubled]]
    (alert,) = alerts(windows, TOWN, LIMITS)
    assert (alert.window, alert.name) == (2, name)
    assert (alert.value, alert.limit) == (pytest.approx(value), pytest.approx(limit))
    assert alerts(windows[:2], TOWN, LIMITS) == []


def test_every_canary_has_a_story():
    told = {name for name, *_ in STORIES} | {"option_thrash", "reward_variance"}
    assert told == {canary.name for canary in CANARIES}


def test_minds_must_change_for_two_windows_in_a_row():
    window = lambda rate: [{"switches_per_day": rate}]
    rates = [20, 26, 20, 26, 24.9, 26, 26, 26]  # the limit is 1.25 * 20 = 25
    found = alerts([window(rate) for rate in rates], TOWN, LIMITS)
    assert [(alert.window, alert.limit) for alert in found] == [(6, 25), (7, 25)]


def test_the_spread_of_returns_is_that_of_their_mean():
    window = lambda *returns: [{"return_per_day": value} for value in returns]
    calm, wild = window(10, 10, 14, 6), window(2, 18, 2, 18)  # means 10; variances 8 and 64
    (alert,) = alerts([calm, wild], TOWN, LIMITS)
    assert (alert.window, alert.name, alert.value) == (1, "reward_variance", pytest.approx(0.64))
    assert alerts([window(0.1, -0.1, 0.1, -0.1)], TOWN, LIMITS) == []  # about 0: divided by the least mean, 1
    assert alerts([window(2, 18, 2)], TOWN, LIMITS) == []  # three rows say nothing of a variance
    assert absent([window(2, 18, 2)], LIMITS)["reward_variance"] == "3 rows in a window, at least 4 are needed"


def test_spikes_may_be_measured_against_another_policy():
    late = lambda rate: [{"late_per_day": rate}]
    mine, theirs = [late(0.9), late(0.9)], [late(0.4), late(0.5)]
    (alert,) = alerts(mine, TOWN, LIMITS, baseline=theirs)
    assert (alert.window, alert.limit) == (0, pytest.approx(0.8))


def test_a_measure_that_is_not_there_makes_its_canary_absent():
    windows = [[{"collapses_per_day": 9.0, "hiring/vacant": 9.0}]]
    assert [alert.name for alert in alerts(windows, TOWN, LIMITS)] == ["starvation"]
    missing = absent(windows, LIMITS)
    assert "starvation" not in missing and len(missing) == len(CANARIES) - 1
    assert missing["hiring_backlog"] == "the rows have no hiring/vacant and hiring/unemployed"
    assert alerts([], TOWN, LIMITS) == []


def test_windows_are_whole():
    assert windows_of([{"update": i} for i in range(5)], 2) == [
        [{"update": 0}, {"update": 1}],
        [{"update": 2}, {"update": 3}],
    ]


@pytest.mark.parametrize(
    ("returns", "limit"),
    [
        ([10, 10, 6, 6], 7),  # 6 < 0.7 * 10
        ([10, 10, 8, 8], None),
        ([-10, -10, -8, -8], None),  # it rises; -8 < 0.7 * -10 would hold it
        ([-10, -10, -14, -14], -13),
        ([99, 10, 10, 6, 6], 7),  # the oldest row belongs to no half
        ([10, 1], None),  # too few to say
    ],
)
def test_a_run_that_falls_is_told(returns, limit):
    alert = fallen([{"return_per_day": value} for value in returns], 50, 0.3)
    assert (alert and alert.limit) == (limit and pytest.approx(limit))


def test_a_run_is_watched_and_the_watch_is_taken_up_again(tmp_path):
    """Two updates a window: the third is troubled; who resumes after five updates sees what an unbroken watch sees."""
    world, limits = load("town"), Stability(rows=2)
    rows = [{"update": n, "collapses_per_day": 0.5 if n in (5, 6) else 0.0} for n in range(1, 9)]
    told = []
    log = open_run(tmp_path / "run", "")
    watch = Watch(log.folder, world, limits, told.append)
    for row in rows[:5]:
        log.log(row)
        watch(row)
    assert "no canary lateness: the rows have no late_per_day" in told, told
    assert all(line.startswith("no canary ") for line in told) and not (log.folder / ALERTS).exists()
    told.clear()
    again = Watch(log.folder, world, limits, told.append)
    for row in rows[5:]:
        log.log(row)
        again(row)
    assert told == ["canary starvation at update 6: 0.5 collapses per agent-day, the limit is 0.02"]
    (line,) = (log.folder / ALERTS).read_text().splitlines()
    assert json.loads(line) == {
        "update": 6,
        "window": 2,
        "name": "starvation",
        "value": 0.5,
        "limit": 0.02,
        "unit": "collapses per agent-day",
    }
    log.truncate_after(4)  # resumed from an older checkpoint: the alert has not happened
    Watch(log.folder, world, limits, told.append)
    assert (log.folder / ALERTS).read_text() == ""


def test_a_disk_that_refuses_is_told(tmp_path):
    (tmp_path / ALERTS).mkdir()
    with pytest.raises(RunError, match="cannot write"):
        Watch(tmp_path, load("town"), LIMITS)


def test_the_shipped_gate_says_what_the_code_says():
    assert load_gate("gate") == type(load_gate("gate"))()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stability.starvation=-1", "stability.starvation"),
        ("stability.hunger=1", "hunger"),
        ("allowed_alerts=[boredom]", "'boredom' is no canary"),
        ("required_passes=0", "required_passes"),
    ],
)
def test_a_wrong_gate_is_refused(override, told):
    with pytest.raises(ConfigError, match=told):
        load_gate("gate", (override,))
    with pytest.raises(ConfigError, match="there is no gate"):
        load_gate("no_such_gate")
