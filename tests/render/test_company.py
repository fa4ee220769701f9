"""Talks, quarrels and ties on the picture of a town, each against a town without it."""

import numpy as np
import pytest
from streets import COMPANY, HEIGHT, SCALE, WIDTH, at_noon, bare, count, differing, quarrel, streets, talk, tie

from townlet_jax.core import fixed
from townlet_jax.render import image, marks, overlay, palette
from townlet_jax.render.people import people
from townlet_jax.render.plan import plan
from townlet_jax.render.scene import Bond, Meeting, bonds, scene
from townlet_jax.types import NOBODY

pytest.importorskip("PIL")


@pytest.fixture
def street(board):
    return streets(board)


# Talks and quarrels; 0 stands at (3, 2), 1 at (3, 3), 2 at (3, 8), 3 at (4, 3)


@pytest.mark.parametrize(("outcome", "sign"), [(1, "success"), (2, "failure")])
def test_a_talk_has_its_mark_above_the_two_in_its_tick(street, outcome, sign):
    town = street(**COMPANY)
    state = at_noon(town)
    talking = talk(state, 1, 0, outcome)
    assert scene(town.world, talking).meetings == (Meeting(1, 0, sign),)
    ((_, spot),) = overlay.placed(scene(town.world, talking).meetings, SPOTS, SCALE, (WIDTH, HEIGHT))
    assert spot == pytest.approx((3.0, 3.5 - overlay.BESIDE))
    before, after = bare(town, state)[0], bare(town, talking)[0]
    assert count(after, palette.MARKS[sign]) > 100 and count(before, palette.MARKS[sign]) == 0
    other = palette.MARKS["failure" if sign == "success" else "success"]
    assert count(after, other) == 0
    assert differing(before, after) <= {(row, column) for row in (1, 2, 3, 4) for column in (1, 2, 3, 4)}


SPOTS = {0: (2.5, 3.5), 1: (3.5, 3.5), 2: (8.5, 3.5), 3: (3.5, 4.5)}  # right and down


def test_spots_are_the_middles_of_cells_and_two_on_one_cell_stand_aside(street):
    town = street(**COMPANY)
    state = at_noon(town)
    folk = people(town.world, state)
    assert overlay.spots(plan(town.world), folk) == SPOTS
    shared = [someone._replace(cell=folk[0].cell) if someone.index == 1 else someone for someone in folk]
    found = overlay.spots(plan(town.world), shared)
    assert found[0] == pytest.approx((2.1, 3.5)) and found[1] == pytest.approx((2.9, 3.5))


def test_who_keeps_away_has_a_mark_alone(street):
    town = street(**COMPANY)
    shy = talk(at_noon(town), 2, 0, 3)
    found = scene(town.world, shy).meetings
    assert found == (Meeting(2, 0, "avoided"),) and marks.of_people(found) == {2: "avoided"}
    ((_, (x, y)),) = overlay.placed(found, SPOTS, SCALE, (WIDTH, HEIGHT))
    assert abs(x - 8.5) < 1 and 2 < y < 3.5
    assert {column for _, column in differing(bare(town, at_noon(town))[0], bare(town, shy)[0])} <= {8, 9, 10}


def test_a_quarrel_of_two_has_one_mark_between_them(street):
    town = street(**COMPANY)
    state = at_noon(town)
    angry = quarrel(state, NOBODY, 3, NOBODY, 1)
    found = scene(town.world, angry).meetings
    assert found == (Meeting(1, 3, "quarrel"), Meeting(3, 1, "quarrel"))
    placed = overlay.placed(found, SPOTS, SCALE, (WIDTH, HEIGHT))
    assert [spot for _, spot in placed] == [
        pytest.approx((3.5 - overlay.BESIDE, 4.0))
    ]  # one above the other: to the left
    before, after = bare(town, state)[0], bare(town, angry)[0]
    assert count(after, palette.MARKS["quarrel"]) > 100 > 0 == count(before, palette.MARKS["quarrel"])


def test_marks_do_not_cover_each_other_and_stay_on_the_map():
    """0, 1 and 2 stand in the left upper corner, one below the other; all three quarrel."""
    spots = {0: (0.5, 0.5), 1: (0.5, 1.5), 2: (0.5, 2.5)}
    found = tuple(Meeting(one, other, "quarrel") for one, other in ((0, 1), (1, 2), (0, 2)))
    placed = [spot for _, spot in overlay.placed(found, spots, SCALE, (WIDTH, HEIGHT))]
    assert all(overlay.MARK / 2 <= x <= WIDTH - overlay.MARK / 2 and overlay.MARK / 2 <= y for x, y in placed)
    apart = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) for i, a in enumerate(placed) for b in placed[:i]]
    assert min(apart) >= 0.9 * overlay.MARK


def test_who_has_left_in_this_tick_has_no_mark():
    assert overlay.placed((Meeting(0, 9, "quarrel"),), SPOTS, SCALE, (WIDTH, HEIGHT)) == []


def test_the_table_shows_the_mark_of_a_talk(street):
    town = street(**COMPANY)
    state = at_noon(town)
    right = lambda now: image(town.world, now, scale=SCALE)[:, WIDTH * SCALE :]
    quiet, talking = right(state), right(talk(state, 0, 1, 2))
    rows = np.nonzero((quiet != talking).any((1, 2)))[0]
    assert len(rows) and count(talking, palette.MARKS["failure"]) > count(quiet, palette.MARKS["failure"])


# Ties


def test_strong_ties_are_bows_that_can_be_switched_off(street):
    town = street(**COMPANY)
    state = at_noon(town)
    known = tie(tie(state, 0, 2, familiarity=0.31), 1, 2, rivalry=0.6, trust=0.4)
    assert bonds(town.world, known) == (Bond(0, 2, "friend"), Bond(1, 2, "rival"))
    plain, drawn, off = bare(town, state)[0], bare(town, known)[0], bare(town, known, ties=False)[0]
    assert (plain == off).all()
    near = lambda colour: int((np.abs(drawn[3 * SCALE :, :].astype(int) - colour).max(-1) < 60).sum())
    before = lambda colour: int((np.abs(plain[3 * SCALE :, :].astype(int) - colour).max(-1) < 60).sum())
    for sign in marks.BONDS:
        assert near(palette.MARKS[sign]) > before(palette.MARKS[sign]) + 50


@pytest.mark.parametrize("parts", [{"trust": 0.3}, {"familiarity": 0.3}, {"rivalry": 0.3}])
def test_weak_ties_are_not_drawn(street, parts):
    town = street(**COMPANY)
    state = at_noon(town)
    assert bonds(town.world, tie(state, 0, 2, **parts)) == ()
    assert len(bonds(town.world, tie(state, 0, 2, **{part: 0.32 for part in parts}))) == 1
    assert (bare(town, tie(state, 0, 2, **parts))[0] == bare(town, state)[0]).all()


def test_a_tie_of_one_side_counts_and_that_of_who_is_gone_does_not(street):
    town = street(**COMPANY)
    state = at_noon(town)
    trust = np.zeros((4, 4), np.int16)
    trust[3, 1] = -fixed.to_tie(0.5)
    wary = state.put(relationships=state.slots["relationships"].replace(trust=trust))
    assert bonds(town.world, wary) == (Bond(1, 3, "rival"),)
    gone = wary.replace(agents=wary.agents.replace(alive=np.array([True, False, True, True])))
    assert bonds(town.world, gone) == ()
