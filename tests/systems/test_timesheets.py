"""Timesheets: lateness, wages withheld and absences of the last days, with a shift of three ticks and one of sixty."""

import jax.numpy as jnp
import numpy as np
import pytest
from workdays import play, table

from townlet_jax import ConfigError
from townlet_jax.core.shifts import POST
from townlet_jax.systems import employment, timesheets

OFFICE = """
    ######
    #h.WK#
    #0123#
    ######
"""
SHORT = {"systems.employment.jobs.0.start": 5, "systems.employment.jobs.0.end": 8, "systems.employment.grace_ticks": 0}
NEVER, ALWAYS = [], [(0, 1, 1400)]
WAGE = 20  # mills a tick


@pytest.fixture
def office(board):
    """Shift from 100 to 160 of 200 ticks, grace 5, slack 20."""
    return board(OFFICE, **{"systems.timesheets": {}})


@pytest.fixture
def stall(board):
    """Shift of the ticks 5, 6 and 7; no rent, for nobody could pay one."""
    return board(OFFICE, **{"systems.timesheets": {}, "systems.economy.rent": 0.0, **SHORT})


def test_a_whole_shift_from_5_to_7(stall):
    state, slots, wallet = play(stall, stall.state(), table(1, 10, 4, (0, 1, 10)))
    sheet = slots["timesheets"]
    assert slots["employment"].shift[8, 0] == POST  # after tick 9
    assert employment.attendance(state).tolist()[0] == 1.0
    assert np.flatnonzero(slots["employment"].pay[:, 0]).tolist() == [4, 5, 6]  # ticks 5, 6, 7
    assert wallet[-1, 0] == 10_000 + 3 * WAGE == 10_000 + sheet.paid[-1, 0]
    assert sheet.late_ticks[-1, 0] == sheet.withheld[-1, 0] == sheet.lateness[-1, 0] == 0


def test_away_for_six_ticks_of_the_morning(stall):
    state, slots, _ = play(stall, stall.state(), table(1, 10, 4, (0, 6, 10)))  # misses tick 5
    sheet = slots["timesheets"]
    assert employment.attendance(state).tolist()[0] == pytest.approx((2 / 3 + 1 + 1) / 3, abs=1e-3)
    assert (sheet.late_ticks[-1, 0], sheet.lateness[-1, 0]) == (3, 1)
    assert (sheet.paid[-1, 0], sheet.withheld[-1, 0]) == (2 * WAGE, WAGE)


STORIES = [
    # story, spans at the post on day 0, late, ticks late, ticks withheld, absent
    ("on the dot", [(100, 159)], 0, 0, 0, 0),
    ("within the grace", [(105, 159)], 0, 0, 5, 0),
    ("late", [(110, 159)], 1, 55, 10, 0),  # late from 105 on
    ("never there", [], 1, 15, 60, 1),  # late from 105 to 119, then absent
    ("left early", [(100, 120)], 0, 0, 39, 1),
    ("absent twice in one shift", [(100, 104), (126, 126)], 0, 1 + 20, 54, 1),  # late at 126 and to 146
]


@pytest.mark.parametrize(
    ("spans", "lateness", "late_ticks", "withheld", "absent"), [row[1:] for row in STORIES], ids=[r[0] for r in STORIES]
)
def test_a_day_on_the_sheet(office, spans, lateness, late_ticks, withheld, absent):
    state, slots, _ = play(office, office.state(), table(1, 199, 4, *[(0, *span) for span in spans]))
    sheet = slots["timesheets"]
    assert sheet.lateness[-1, 0] == lateness
    assert sheet.late_ticks[-1, 0] == late_ticks
    assert sheet.withheld[-1, 0] == withheld * WAGE
    assert timesheets.absences(state).tolist()[0] == absent


def test_what_is_not_paid_is_withheld(office):
    present = np.random.default_rng(0).random((199, 4)) < 0.7
    _, slots, _ = play(office, office.state(), present)
    elapsed = np.clip(np.arange(1, 200) - 99, 0, 60)[:, None]  # ticks of the shift so far
    np.testing.assert_array_equal(slots["timesheets"].paid + slots["timesheets"].withheld, elapsed * np.full(4, WAGE))


def test_midnight_turns_the_page(office):
    _, slots, _ = play(office, office.state(), table(1, 450, 4, (1, 1, 450)))  # 0 never comes, 1 always
    sheet = slots["timesheets"]
    assert sheet.withheld[198, 0] == 60 * WAGE and sheet.withheld[199, 0] == 0  # ticks 199 and 200
    assert sheet.paid[198, 1] == 60 * WAGE and sheet.paid[199, 1] == 0
    assert sheet.late_ticks[198, 0] == 15 and sheet.late_ticks[199, 0] == 0
    assert sheet.absent[198, 0].tolist() == [True] + [False] * 6
    assert sheet.absent[199, 0].tolist() == [False, True] + [False] * 5
    assert sheet.absent[449, 0].tolist() == [False, True, True] + [False] * 4
    assert sheet.lateness[449].tolist() == [2, 0, 2, 2]


def test_absences_are_forgotten_after_seven_days(office):
    missed = table(1, 1600, 4, *[(0, day * 200 + 1, day * 200 + 200) for day in range(2, 8)])  # misses days 0 and 1
    _, slots, _ = play(office, office.state(), missed)
    counts = slots["timesheets"].absent.sum(-1)[:, 0]
    at_noon = counts[[day * 200 + 120 - 1 for day in range(8)]]
    assert at_noon.tolist() == [1, 2, 2, 2, 2, 2, 2, 1]  # on day 7 the seven days begin with day 1


def test_the_dead_have_no_sheet(office):
    alive = table(1, 300, 4, (0, 1, 150), (1, 1, 300), (2, 1, 300), (3, 1, 300))
    _, slots, _ = play(office, office.state(), np.zeros_like(alive), alive)
    sheet = slots["timesheets"]
    assert sheet.withheld[149, 0] > 0 and sheet.absent[149, 0, 0]
    assert not any(np.any(leaf[150:, 0]) for leaf in vars(sheet).values())
    assert sheet.absent[299, 1].any()


def test_a_job_may_have_rules_of_its_own(board):
    own = {"grace_ticks": 10, "absence_slack": 30, "absent_fine": 0.5, "late_tick_fine": 0.005}
    lenient = board(
        OFFICE, **{"systems.timesheets": {}, **{f"systems.employment.jobs.0.{k}": v for k, v in own.items()}}
    )
    _, slots, wallet = play(lenient, lenient.state(), table(1, 199, 4))
    assert np.flatnonzero(slots["employment"].event[:, 0]).tolist() == [109, 129]  # late at 110, absent at 130
    # 0.1 once for being late, 0.005 for each tick from 110 to 129, 0.5 for being absent
    assert 10_000 - wallet[-1, 0] == 100 + 20 * 5 + 500


def test_a_fine_for_each_late_tick_ends_on_arrival(board):
    strict = board(OFFICE, **{"systems.timesheets": {}, "systems.employment.late_tick_fine": 0.005})
    _, _, wallet = play(strict, strict.state(), table(1, 199, 4, (0, 110, 159)))
    assert wallet[-1, 0] == 10_000 - 100 - 5 * 5 + 50 * WAGE  # away and late at 105, ..., 109


def test_what_has_just_happened(office):
    spans = [(1, 100, 159), (2, 110, 159), (3, 100, 110)]
    _, slots, _ = play(office, office.state(), table(1, 199, 4, *spans))
    event = slots["employment"].event
    happened = [{int(t) + 1: int(event[t, a]) for t in np.flatnonzero(event[:, a])} for a in range(4)]
    assert happened == [{105: 1, 120: 2}, {}, {105: 1}, {131: 3}]  # late and absent; nothing; late; left early


def test_coworkers_are_those_of_the_trade_who_are_at_work(office):
    state, _, _ = play(office, office.state(), table(1, 110, 4, (1, 100, 110), (2, 107, 110)))
    assert employment.coworkers(office.world, state).astype(int).tolist() == [
        [0, 1, 1, 0],  # 0 is away, 1 was there in time and 2 came late
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 0],
    ]
    dead = state.replace(agents=state.agents.replace(alive=jnp.array([False, True, True, True])))
    assert employment.coworkers(office.world, dead).astype(int).tolist()[0] == [0, 0, 0, 0]


def test_what_the_tick_of_an_absence_measures(office):
    state, _, _ = play(office, office.state(), table(1, 120, 4, (1, 1, 120)))
    found = timesheets.SYSTEM.metrics(office.world, state)
    assert {name: round(float(x), 6) for name, x in found.items()} == {
        "shift/late": 0.0,
        "shift/absent": 3.0,
        "shift/withheld": 0.06,  # three ticks of 0.02 coins
        "shift/absences": 0.75,
    }
    late, _, _ = play(office, office.state(), table(1, 105, 4, (1, 1, 120)))
    assert float(timesheets.SYSTEM.metrics(office.world, late)["shift/late"]) == 3.0


def test_one_sees_the_own_sheet(office):
    state, _, _ = play(office, office.state(), table(1, 150, 4))
    lateness, withheld, absences = timesheets.SYSTEM.features(office.world, state)
    assert lateness[0] == pytest.approx(0.1)
    assert withheld[0] == pytest.approx(1.02 / 2.02)  # 51 ticks x 0.02
    assert absences[0] == pytest.approx(1 / 7)


def test_timesheets_need_jobs(board):
    with pytest.raises(ConfigError, match="needs the system 'employment'"):
        board(OFFICE.replace("K", "."), **{"systems.timesheets": {}})
