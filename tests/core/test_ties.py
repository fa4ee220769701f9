"""Ties: who is kept of those whom one knows, what fades, and what a character makes of it."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import fixed, ties
from townlet_jax.types import NOBODY

TIE, SHARE = fixed.TIE, fixed.SHARE


def row(*shares):
    """One owner's row of a part of ties, as i16[1, A]."""
    return jnp.array([[fixed.to_tie(share) for share in shares]], jnp.int16)


def kept(trust, rivalry, friends, rivals, old=None, admit=0.2, order=None):
    """The indices that an owner keeps, and those that were too weak; familiarity is 0."""
    number = len(trust)
    square = lambda shares: jnp.zeros((number, number), jnp.int16).at[0].set(row(*shares)[0])
    known = jnp.zeros((number, number), bool).at[0].set(jnp.array(old or [True] * number))
    order = jnp.array(order or range(number), jnp.int8)
    parts = (square(trust), square([0.0] * number), square(rivalry))
    found, weak = ties.keep(parts, known, order, friends, rivals, jnp.int32(fixed.to_tie(admit)))
    return np.flatnonzero(found[0]).tolist(), np.flatnonzero(weak[0]).tolist()


def test_the_kernels_nobody_is_the_towns():
    assert ties.NOBODY == NOBODY


def test_rows_and_columns_between_cells():
    # on a map of 10 columns: (1, 2), (4, 9), (0, 0)
    rows, cols = ties.apart(jnp.array([12, 49, 0], jnp.uint16), 10)
    assert rows.tolist() == [[0, 3, 1], [3, 0, 4], [1, 4, 0]]
    assert cols.tolist() == [[0, 7, 2], [7, 0, 9], [2, 9, 0]]


def test_the_best_come_first_and_lists_are_filled_up_with_nobody():
    score = jnp.array([[5, 9, -3, 9], [0, 0, 0, 0]], jnp.int32)
    able = jnp.array([[True, True, True, True], [False, False, True, False]])
    assert ties.best(score, able, 3).tolist() == [[1, 3, 0], [2, NOBODY, NOBODY]]
    assert ties.best(score, able, 0).shape == (2, 0)


def test_a_list_as_a_row_of_a_table():
    people = jnp.array([[2, NOBODY], [0, 1]], jnp.int16)
    assert ties.picked(people, 3).tolist() == [[False, False, True], [True, True, False]]


def test_fading_ends_at_exactly_nothing():
    part = jnp.array([[500, -500, 120, -120, 119, 0]], jnp.int16)
    for left in ([380, -380, 0, 0, 0, 0], [260, -260, 0, 0, 0, 0]):
        part = ties.fade(part, jnp.int16(120))
        assert part.tolist() == [left]


def test_a_full_tie_fades_to_nothing_in_the_ticks_that_its_rate_says():
    part = jnp.array([[TIE, -TIE]], jnp.int16)
    rate = jnp.int16(fixed.to_tie(0.002))  # 33, so 16384 / 33 = 496.5 hours
    for _ in range(496):
        part = ties.fade(part, rate)
    assert part.tolist() == [[16, -16]]
    assert ties.fade(part, rate).tolist() == [[0, 0]]


def test_there_is_a_tie_where_any_part_is_above_what_counts_as_faint():
    parts = (row(0.1, 0.0, 0.0, 0.0), row(0.0, -0.1, 0.0, 0.0), row(0.0, 0.0, 0.3, 0.0))
    assert ties.exists(*parts).tolist() == [[True, True, True, False]]
    assert ties.exists(*parts, fixed.to_tie(0.1)).tolist() == [[False, False, True, False]]


def test_friends_are_kept_by_trust_and_rivals_by_rivalry():
    trust, rivalry = [0.0, 0.5, 0.9, 0.1, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.6, 0.3]
    assert kept(trust, rivalry, 2, 1) == ([1, 2, 4], [])
    assert kept(trust, rivalry, 3, 3) == ([1, 2, 3, 4, 5], [])


def test_a_pure_rival_is_not_forgotten_first():  # as it was in the original
    assert kept([0.0, 0.3, 0.2, 0.0], [0.0, 0.0, 0.0, 1.0], 2, 1) == ([1, 2, 3], [])


def test_who_is_both_takes_a_place_of_either():
    assert kept([0.0, 0.9, 0.2, 0.0], [0.0, 0.8, 0.0, 0.5], 1, 1) == ([1], [])


@pytest.mark.parametrize(
    ("newcomer", "stays", "weak"),
    [(0.1, [1, 2], [3]), (0.2, [1, 2], [3]), (0.25, [1, 2], []), (0.5, [1, 3], []), (0.9, [1, 3], [])],
)
def test_a_full_circle_admits_who_means_something_and_lets_the_weakest_go(newcomer, stays, weak):
    assert kept([0.0, 0.8, 0.4, newcomer], [0.0] * 4, 2, 0, old=[True, True, True, False]) == (stays, weak)


def test_a_weak_newcomer_takes_a_free_place_but_displaces_not_even_the_faintest():
    assert kept([0.0, 0.8, 0.0, 0.1], [0.0] * 4, 2, 0, old=[True, True, True, False])[0] == [1, 3]
    assert kept([0.0, 0.8, 0.01, 0.1], [0.0] * 4, 2, 0, old=[True, True, True, False])[0] == [1, 2]


def test_rivalry_counts_against_affection_when_it_is_asked_what_a_newcomer_means():
    # |0.5 - 0.4| = 0.1 is little
    assert kept([0.0, 0.3, 0.2, 0.5], [0.0, 0.0, 0.0, 0.4], 2, 0, old=[True] * 3 + [False]) == ([1, 2], [3])


def test_of_equals_the_order_decides_and_not_the_index():
    assert kept([0.0, 0.5, 0.5, 0.5], [0.0] * 4, 1, 0, order=[0, 2, 3, 1])[0] == [2]
    assert kept([0.0, 0.5, 0.5, 0.5], [0.0] * 4, 1, 0, order=[0, 3, 2, 1])[0] == [1]


@pytest.mark.parametrize(("forgiveness", "share"), [(SHARE, 0.5), (0, 1.0), (-SHARE, 1.5)])
def test_the_forgiving_take_half_of_what_hurts(forgiveness, share):
    # specification: trust and familiarity -.4, -.2 become -.2, -.1 for the forgiving; trust -.2 becomes -.3 for the unforgiving
    for change in (-0.4, -0.2):
        left = ties.forgive(jnp.int32(fixed.to_tie(change)), jnp.int32(forgiveness), grudge=False)
        assert int(left) == pytest.approx(fixed.to_tie(change * share), abs=1)
    gain = jnp.int32(fixed.to_tie(0.2))
    assert int(ties.forgive(gain, jnp.int32(forgiveness), grudge=False)) == int(gain)


@pytest.mark.parametrize(("forgiveness", "rise", "fall"), [(SHARE, 0.5, 1.5), (0, 1.0, 1.0), (-SHARE, 1.5, 0.5)])
def test_the_forgiving_bear_no_grudge(forgiveness, rise, fall):
    # the original halved the -.1 of a forgiving agent, so that it bore grudges for longer; the design wants the opposite: -.15
    grudge = lambda change: int(ties.forgive(jnp.int32(fixed.to_tie(change)), jnp.int32(forgiveness), grudge=True))
    assert grudge(-0.1) == pytest.approx(fixed.to_tie(-0.1 * fall), abs=1)
    assert grudge(0.2) == pytest.approx(fixed.to_tie(0.2 * rise), abs=1)


@pytest.mark.parametrize(("ambition", "rise"), [(SHARE, 0.26), (0, 0.2), (-SHARE, 0.14)])
def test_the_ambitious_make_more_of_a_conflict(ambition, rise):
    assert int(ties.compete(jnp.int32(fixed.to_tie(0.2)), jnp.int32(ambition))) == pytest.approx(
        fixed.to_tie(rise), abs=2
    )
    assert int(ties.compete(jnp.int32(-100), jnp.int32(ambition))) == -100
