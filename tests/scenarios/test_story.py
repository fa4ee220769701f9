"""The demo story arc: a stall, a café, somebody new, a quarrel, a dark hour and a good end, each with its numbers."""

import pytest
from stage import play, when

AVERY, KAI, BLAIR = range(3)
FORGIVENESS = {AVERY: 0.1, KAI: -0.1, BLAIR: 0.1}  # of a socialite and of an industrious one (specification §10)
FADE, MEND = 0.015, 0.35  # rivalry an hour, and for a talk of quality 1
UNASKED = 0.873  # the quality, as it was drawn, of the talk that nobody arranged
HOURS = range(10, 150, 10)  # ticks in which an hour is full


@pytest.fixture
def arc():
    return play("demo_story_arc")


def about(value, within=1e-3):
    return pytest.approx(value, abs=within)


def outcomes(arc, outcome):
    """(tick, who speaks, to whom, quality) of the talks that went so."""
    slot = arc.slot("chat")
    hits = [(tick, agent) for agent in range(3) for tick in when(slot.outcome[:, agent] == outcome)]
    return [(t, a, int(slot.partner[t - 1, a]), int(slot.quality[t - 1, a]) / 1024) for t, a in sorted(hits)]


def test_both_shopkeepers_are_on_time_and_are_paid_for_every_tick(arc):
    """70 ticks at 0.03 and 75 at 0.035."""
    pay = arc.slot("employment").pay
    assert when(pay[:, AVERY] == 30) == list(range(10, 80)) and when(pay[:, KAI] == 35) == list(range(45, 120))
    assert not arc.slot("employment").event.any() and not pay[:, BLAIR].any()


def test_blair_comes_in_tick_40(arc):
    assert when(arc.states.agents.alive[:, BLAIR])[0] == 40
    assert arc.needs(40, BLAIR) == about([0.5, 0.5, 0.5]) and arc.coins(40)[BLAIR] == 2.5
    assert arc.cell(40, BLAIR) == divmod(int(arc.world.map.entry_cell[0]), arc.world.static.width)


def test_needs_that_the_timeline_sets(arc):
    assert arc.needs(18, AVERY)[2] == about(0.68, 0.003) and arc.needs(72, BLAIR)[2] == about(0.35, 0.003)


def test_all_talk_as_arranged_and_once_by_themselves(arc):
    assert outcomes(arc, 1) == [
        (8, AVERY, KAI, about(0.9)),
        (46, BLAIR, AVERY, about(0.6)),
        (88, KAI, BLAIR, about(0.82)),
        (126, AVERY, BLAIR, about(0.93)),
        (134, BLAIR, KAI, about(UNASKED)),
    ]


def test_food_is_dear_for_blair_only(arc):
    """Kai eats before, Avery after the dear hours (ticks 60 to 94): 0.4 each, and 0.4 x 1.55 = 0.62 for Blair."""
    assert arc.uses(KAI) == [(26, 40, "eat_out")]
    assert arc.uses(BLAIR) == [(48, 52, "snack"), (72, 86, "eat_out"), (100, 111, "nap")]
    assert arc.coins(26)[KAI] == 3.5 - 0.4
    assert arc.coins(52)[BLAIR] == 2.5 - 0.1 and arc.coins(72)[BLAIR] == about(2.4 - 0.4 * 1.55)
    on = arc.slot("perturbations").ends > arc.states.tick[:, None]
    assert [when(on[:, event]) for event in range(3)] == [
        list(range(60, 95)),
        list(range(104, 110)),
        list(range(110, 130)),
    ]


def test_the_lights_go_out_over_a_meal_that_is_paid_back_and_begun_anew(arc):
    runs = arc.slot("affordances").remaining[:, AVERY] > 0
    assert when(runs) == [
        101,
        102,
        103,
        *range(110, 124),
    ]  # three ticks in vain, then fifteen; the last of them runs out
    assert arc.coins(103)[AVERY] == about(6.1 - 0.4) and arc.coins(104)[AVERY] == about(6.1)
    assert arc.uses(AVERY) == [(110, 124, "eat_out")]


def test_who_is_asked_to_the_cafe_comes_and_stays(arc):
    cafe = {(row, column) for row in range(1, 4) for column in range(1, 8)}
    for tick in range(120, 130):
        assert arc.cell(tick, AVERY) in cafe and arc.cell(tick, BLAIR) in cafe


def rivalry(owner, tick):
    """What is left of the quarrel of tick 74 in the eyes of one of the two, up to the talk of tick 134.

    Both the fading on the hour and a talk count (1 + forgiveness / 2) times: Kai is the one who bears a grudge.
    """
    hours = len([hour for hour in HOURS if 74 < hour <= tick])
    return 0.6 - (1 + FORGIVENESS[owner] / 2) * (FADE * hours + MEND * 0.82 * (tick >= 88))


@pytest.mark.parametrize(("owner", "other"), [(KAI, BLAIR), (BLAIR, KAI)], ids=["kai", "blair"])
def test_a_rivalry_heals_by_talk_and_time(arc, owner, other):
    assert not arc.slot("relationships").rivalry[: 74 - 1].any()
    for tick in (74, 80, 87, 88, 100, 110, 133):
        assert arc.tie(tick, "rivalry", owner, other) == about(rivalry(owner, tick)), tick
    assert rivalry(owner, 133) < MEND * UNASKED * (
        1 + FORGIVENESS[owner] / 2
    )  # so that one more talk mends all that is left
    assert not arc.slot("relationships").rivalry[134 - 1 :].any()


def test_blair_does_not_talk_to_whom_she_avoids(arc):
    """0.5843 in tick 87 is more than 0.55."""
    assert outcomes(arc, 3) == [(87, BLAIR, KAI, 0.0)]


def test_in_the_end_all_trust_each_other(arc):
    """0.05 times the quality of each talk, less 0.002 on each hour after it."""
    hours = lambda since: len([hour for hour in (*HOURS, 150) if hour > since])
    assert arc.tie(150, "trust", AVERY, KAI) == about(0.05 * 0.9 - 0.002 * hours(8))
    assert arc.tie(150, "trust", BLAIR, AVERY) == about(0.05 * (0.6 + 0.93) - 0.002 * hours(46))
    assert arc.tie(150, "trust", KAI, BLAIR) == about(0.05 * (0.82 + UNASKED) - 0.002 * hours(88))


def test_the_books_at_nightfall(arc):
    """4 + 70 x 0.03 - 0.4, 3.5 + 75 x 0.035 - 0.4, and 2.5 - 0.1 - 0.62."""
    assert arc.coins(150) == about([5.7, 5.725, 1.78])
    assert [arc.cell(150, agent) for agent in (AVERY, KAI)] == [(9, 2), (9, 8)]  # at home
