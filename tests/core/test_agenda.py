"""Agenda: chances by the day, rings of starts, who is let in, and who is called."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import agenda, fixed


@pytest.mark.parametrize(
    ("a_day", "ticks_per_day", "factor", "expected"),
    [
        (0.0, 1440, 1, 0),
        (0.3, 1440, 1, 3495),  # 0.3 / 1440 x 2**24 = 3495.25
        (0.1, 1440, 3, 3495),  # 1165.08 rounded down, three times
        (1440.0, 1440, 1, 1 << 24),  # every tick
        (30000.0, 10, 10, 1 << 24),  # the most that the YAML allows is certain, and nothing overflows
        (100.0, 200, 1, 1 << 23),
    ],
)
def test_a_chance_a_day_becomes_one_of_a_tick(a_day, ticks_per_day, factor, expected):
    chance = jnp.array([fixed.to_chance(a_day)], jnp.int32)
    assert agenda.per_tick(chance, ticks_per_day, jnp.int32(factor)).tolist() == [expected]


def test_numbers_are_drawn_from_least_to_most():
    bits = jax.random.bits(jax.random.key(0), (3000,), jnp.uint32)
    drawn = np.asarray(agenda.draw(bits, jnp.int32(20), jnp.int32(22)))
    assert (np.bincount(drawn)[20:] > 900).all() and set(drawn) == {20, 21, 22}


def test_a_ring_remembers_its_newest_and_counts_those_in_the_window():
    past = jnp.full((2, 3), agenda.NEVER, jnp.int32)
    for tick in (5, 8, 12, 20):
        past = agenda.remember(past, jnp.array([True, tick == 8]), jnp.int32(tick))
    assert past.tolist() == [[20, 12, 8], [8, agenda.NEVER, agenda.NEVER]]
    seen = lambda window: agenda.recent(past, jnp.int32(20), jnp.int32(window)).tolist()
    assert [seen(8), seen(9), seen(13)] == [[1, 0], [2, 0], [3, 1]]  # 12 lies 8 ticks back: outside a window of 8


def test_a_ring_without_places_stays_empty():
    past = agenda.remember(jnp.zeros((2, 0), jnp.int32), jnp.array([True, True]), jnp.int32(3))
    assert past.shape == (2, 0) and agenda.recent(past, jnp.int32(3), jnp.int32(9)).tolist() == [0, 0]


@pytest.mark.parametrize(("free", "number"), [(-1, 0), (0, 0), (1, 1), (2, 2), (9, 3)])
def test_no_more_are_let_in_than_places_are_free(free, number):
    wants = jnp.array([True, False, True, True])
    bits = jax.random.bits(jax.random.key(1), (50, 4), jnp.uint32)
    let_in = np.asarray(jax.vmap(lambda b: agenda.admit(wants, jnp.int32(free), b))(bits))
    assert (let_in.sum(1) == number).all() and not let_in[:, 1].any()
    if free == 1:
        assert (let_in.sum(0)[[0, 2, 3]] > 5).all()  # whom it hits is chance


def test_those_called_least_come_first_and_priority_decides_among_equals():
    eligible = jnp.array([True, True, True, False, True])
    calls, priority = jnp.array([2, 1, 1, 0, 300], jnp.int16), jnp.array([0, 4, 3, 1, 2], jnp.int8)
    chosen = lambda n: np.flatnonzero(agenda.least_called(eligible, calls, priority, jnp.int8(n))).tolist()
    assert [chosen(1), chosen(2), chosen(3), chosen(9)] == [[2], [1, 2], [0, 1, 2], [0, 1, 2, 4]]


def test_the_dearest_pair_is_the_one_with_the_largest_sum_of_both_sides():
    tie = jnp.array([[0, 9000, 100, 0], [0, 0, 0, 0], [100, 4000, 0, 16000], [50, 0, 100, 0]], jnp.int16)
    pair = lambda *who: np.flatnonzero(agenda.dearest_pair(tie, jnp.array([a in who for a in range(4)]))).tolist()
    assert [pair(0, 1, 2, 3), pair(0, 1, 2), pair(0, 2, 3), pair(1, 2), pair(0, 3)] == [
        [2, 3],  # 16100
        [0, 1],  # 9000 against 4000 and 200
        [2, 3],
        [1, 2],
        [0, 3],
    ]
    assert pair(1, 3) == [] and pair(2) == []  # nothing between them, nobody else
    full = jnp.full((2, 2), fixed.TIE, jnp.int16)
    assert agenda.dearest_pair(full, jnp.array([True, True])).all()  # the sum does not wrap around
