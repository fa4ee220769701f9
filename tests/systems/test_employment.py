"""Employment: a shift of 60 ticks from 100 to 160, written out as who was at the post and when.

Each agent of the office is one story; `worked` plays them all at once. Grace is 5 ticks, slack 20, the wage 20 mills.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core.shifts import ABSENT, AWAIT, IDLE, LATE, ON_TIME, POST
from townlet_jax.systems import employment

OFFICE = """
    ##########
    #h......W#
    #01234...#
    #567....K#
    ##########
"""
START, END, LENGTH = 100, 160, 60
NAMES = {IDLE: "idle", AWAIT: "await", ON_TIME: "on_time", LATE: "late", ABSENT: "absent", POST: "post"}


@jax.jit
def play(world, state, present):
    """Run employment alone, at the post where present bool[T, A] says so, else at home."""
    post, away = world.map.post_cell[0], world.map.home_cell[0]

    def tick(state, here):
        cell = jnp.where(here, post, away)
        state = state.replace(tick=state.tick + 1, agents=state.agents.replace(cell=cell))
        state = employment.step(world, state, jnp.zeros(0, jnp.uint32))
        return state, (state.slots["employment"], state.agents.wallet)

    return jax.lax.scan(tick, state, present)


@pytest.fixture
def office(board):
    return board(OFFICE)


def during(*spans):
    """Ticks 1 to 400 (two days) at the post, as bool[400]: within [first, last] of any span."""
    ticks = np.arange(1, 401)
    return (
        np.any([(ticks >= first) & (ticks <= last) for first, last in spans], axis=0) if spans else np.zeros(400, bool)
    )


def worked(office, *stories, **agents):
    """States by name [A][401], pay [A, 401] and wallets [A, 401], indexed by tick; and the last state."""
    idle = np.zeros(400, bool)
    present = np.stack([*stories, *[idle] * (8 - len(stories))], axis=1)
    state, (slots, wallet) = play(office.world, office.state(**agents), jnp.array(present))
    names = np.vectorize(NAMES.get)(np.asarray(slots.shift)).T
    pad = lambda rows: np.concatenate([rows[:, :1], rows], axis=1)
    return pad(names), pad(np.asarray(slots.pay).T), pad(np.asarray(wallet).T), state


ALL_DAY = during((1, 400))


def test_the_clock_of_a_day(office):
    states, *_ = worked(office, ALL_DAY)
    expected = ["idle"] * 70 + ["await"] * 30 + ["on_time"] * 60 + ["post"] * 40  # notice is 30 ticks
    assert states[0][1:200].tolist() == expected[1:]
    assert states[0][200:400].tolist() == expected  # and again on the next day


def test_a_whole_shift_pays_exactly_its_ticks(office):
    _, pay, wallet, state = worked(office, ALL_DAY)
    assert np.flatnonzero(pay[0]).tolist() == [*range(100, 160), *range(300, 360)]
    assert wallet[0][-1] == 10_000 + 2 * 60 * 20
    assert state.slots["economy"].ledger.tolist()[2] == 2 * 60 * 20


TABLE = [
    # story, spans at the post, what one is at some ticks, fined in mills, paid ticks
    ("on the dot", [(100, 159)], {99: "await", 100: "on_time", 159: "on_time", 160: "post"}, 0, 60),
    ("last tick of grace", [(105, 159)], {100: "on_time", 104: "on_time", 105: "on_time"}, 0, 55),
    ("one tick late", [(106, 159)], {104: "on_time", 105: "late", 106: "late", 159: "late", 160: "post"}, 100, 54),
    ("just before absence", [(120, 159)], {119: "late", 120: "late"}, 100, 40),
    ("too late", [(121, 159)], {119: "late", 120: "absent", 121: "late", 159: "late"}, 100 + 200, 39),
    ("never", [], {105: "late", 119: "late", 120: "absent", 159: "absent", 160: "post"}, 100 + 200, 0),
    ("a break of 20", [(100, 109), (130, 159)], {110: "on_time", 129: "on_time", 130: "on_time"}, 0, 40),
    ("a break of 21", [(100, 109), (131, 159)], {129: "on_time", 130: "absent", 131: "late", 159: "late"}, 200, 39),
]


@pytest.mark.parametrize(
    ("spans", "states", "fined", "paid"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_on_time_late_and_absent(office, spans, states, fined, paid):
    seen, pay, wallet, _ = worked(office, during(*spans))
    assert {tick: seen[0][tick] for tick in states} == states
    assert (pay[0][:200] > 0).sum() == paid
    assert wallet[0][199] == 10_000 + paid * 20 - fined


def test_each_fine_is_taken_once_and_at_its_tick(office):
    _, _, wallet, _ = worked(office, during())
    change = np.diff(wallet[0][:200])
    assert {int(t) + 1: int(change[t]) for t in np.flatnonzero(change)} == {105: -100, 120: -200}


def test_who_becomes_absent_again_is_fined_again(office):
    _, _, wallet, _ = worked(office, during((100, 104), (126, 126)))  # away from 105 to 125, and from 127 on
    change = np.diff(wallet[0][:200])
    assert np.flatnonzero(change == -200).tolist() == [124, 146]  # ticks 125 and 147


def test_a_fine_takes_no_more_than_there_is(office):
    _, _, wallet, state = worked(office, during(), wallet=[30] * 8)
    assert wallet[0][199] == 0
    assert state.slots["economy"].ledger.tolist()[3] == -8 * 30


def test_grace_of_zero_means_on_the_dot(office):
    strict = office.tuned(employment={"grace": jnp.zeros(1, jnp.int16)})
    seen, *_ = worked(strict, during((100, 159)), during((101, 159)))
    assert [seen[0][100], seen[1][100], seen[1][101]] == ["on_time", "late", "late"]


def test_one_step_from_the_post_counts_and_two_do_not(office):
    beside, far = office.cell(2, 8), office.cell(2, 7)
    state = office.state(tick=100, cell=[beside, far, *office.cells[2:]])
    assert employment.at_post(office.world, state).tolist() == [True] + [False] * 7


def test_attendance_is_the_share_of_the_last_three_shifts(office):
    _, _, _, state = worked(office, during((100, 129), (300, 359)), during())  # half a shift, then a whole one; never
    half, whole, doubt = 512, 1024, 1024  # parts of 1024; the first shift of all counts as attended
    assert state.slots["employment"].attended[0].tolist() == [whole, half, doubt]
    assert employment.attendance(state)[:2].tolist() == pytest.approx([2.5 / 3, 1 / 3], abs=1e-3)


def test_the_next_day_begins_anew(office):
    seen, pay, _, _ = worked(office, during((300, 359)))  # never on day 0, always on day 1
    assert [seen[0][159], seen[0][199], seen[0][200], seen[0][300]] == ["absent", "post", "idle", "on_time"]
    assert (pay[0] > 0).sum() == 60


def test_who_arrives_during_a_shift_is_not_expected_until_the_next_day(office):
    start = office.state(tick=129)
    present = np.ones((271, 8), bool)
    state, (slots, wallet) = play(office.world, start, jnp.array(present))
    shift = np.asarray(slots.shift)[:, 0]
    assert (shift[: 200 - 130] == IDLE).all()  # ticks 130 to 199
    assert (shift[300 - 130 : 360 - 130] == ON_TIME).all()
    assert int(wallet[199 - 130, 0]) == 10_000 and int(wallet[-1, 0]) == 10_000 + 60 * 20
    assert state.slots["employment"].attended[0].tolist() == [1024] * 3


def test_the_dead_do_not_work_and_leave_no_record(office):
    seen, pay, _, state = worked(office, *[ALL_DAY] * 8, alive=[False] + [True] * 7)
    assert set(seen[0]) == {"idle"} and pay[0].sum() == 0
    assert seen[1][100] == "on_time"
    assert state.slots["employment"].attended[0].tolist() == [1024] * 3


@pytest.mark.parametrize(
    ("tick", "shift", "may"),
    [(68, IDLE, 0), (69, IDLE, 1), (99, AWAIT, 1), (130, LATE, 1), (130, IDLE, 0), (159, ON_TIME, 0), (160, POST, 0)],
)
def test_one_may_go_to_work_from_the_notice_to_the_end(office, tick, shift, may):
    # what is chosen after this tick is done in the next: the notice begins at 70, the last tick of the shift is 159
    state = office.state(tick=tick)
    slot = state.slots["employment"].replace(shift=jnp.full(8, shift, jnp.int8))
    assert employment.may_work(office.world, state.put(employment=slot)).tolist() == [bool(may)] * 8


def test_rewards_are_the_coins_of_this_tick_and_one_for_punctuality(office):
    seen, pay, _, state = worked(office, ALL_DAY)
    at = lambda shift, coins: state.put(
        employment=state.slots["employment"].replace(
            shift=jnp.full(8, shift, jnp.int8),
            pay=jnp.full(8, coins, jnp.int32),
            away=jnp.full(8, 0 if coins else 1, jnp.int16),
        )
    )
    terms = lambda shift, coins: {k: int(v[0]) for k, v in employment.rewards(office.world, at(shift, coins)).items()}
    assert terms(ON_TIME, 20) == {"wage": 20_000, "punctuality": 1_000_000}
    assert terms(LATE, 20) == {"wage": 20_000, "punctuality": 0}
    assert terms(ON_TIME, 0) == {"wage": 0, "punctuality": 0}
