"""The robust mean, its bootstrap interval and the comparison of two samples, against numbers worked by hand."""

import numpy as np
import pytest

from train.evaluation import statistics
from train.evaluation.statistics import bootstrap_interval, iqm, overlap, probability_of_improvement


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 3.0], 2.0),
        ([0.0, 1.0, 5.0], (0.25 * 0 + 1 + 0.25 * 5) / 1.5),  # spans inside [0.75, 2.25]
        ([100.0, 2.0, 3.0, -50.0], 2.5),  # the outer quarter of four is one whole value
        ([0.0, 1.0, 2.0, 4.0, 9.0], (0.75 * 1 + 2 + 0.75 * 4) / 2.5),  # inside [1.25, 3.75]
        ([1, 2, 3, 4, 5, 6, 7, 80], 4.5),
    ],
)
def test_iqm_counts_the_edges_by_fractions(values, expected):
    assert iqm(values) == pytest.approx(expected, rel=1e-12)


def test_iqm_reduces_the_axis_asked_for():
    table = np.array([[1.0, 2.0], [3.0, 40.0], [5.0, 6.0], [700.0, 8.0]])
    np.testing.assert_allclose(iqm(table, axis=0), [4.0, 7.0])
    np.testing.assert_allclose(iqm(table), [1.5, 21.5, 5.5, 354.0])


def test_iqm_follows_order_scale_and_shift_as_a_mean_does():
    values = np.random.default_rng(0).normal(size=37)
    assert iqm(values[::-1]) == pytest.approx(iqm(values))
    assert iqm(3.0 * values - 2.0) == pytest.approx(3.0 * iqm(values) - 2.0)
    assert iqm(-values) == pytest.approx(-iqm(values))


def test_iqm_ignores_the_outer_quarters():
    values = np.arange(12.0)
    wild = values.copy()
    wild[0], wild[-1] = -1e9, 1e9
    assert iqm(wild) == iqm(values) == 5.5


@pytest.mark.parametrize("n", range(1, 18))
def test_iqm_equals_the_plain_mean_of_the_middle_of_four_copies(n):
    values = np.random.default_rng(n).normal(size=n)
    fours = np.sort(np.repeat(values, 4))  # n/4 values are now n whole ones
    assert iqm(values) == pytest.approx(fours[n : 3 * n].mean(), rel=1e-12)


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(300):
        low, high = bootstrap_interval(rng.normal(5.0, 2.0, size=50), samples=500, seed=trial)
        inside += low <= 5.0 <= high
    assert 0.90 <= inside / 300 <= 0.99


def test_interval_of_the_mean_is_as_wide_as_the_normal_one():
    values = np.random.default_rng(2).normal(size=400)
    low, high = bootstrap_interval(values, statistic=np.mean, samples=4000)
    half = 1.96 * values.std() / 20.0
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_interval_repeats_by_seed_and_moves_with_the_data():
    values = np.random.default_rng(3).normal(size=30)
    low, high = bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) == (low, high)
    assert bootstrap_interval(values, seed=5) != (low, high)
    assert bootstrap_interval(2.0 * values + 1.0, seed=4) == pytest.approx((2.0 * low + 1.0, 2.0 * high + 1.0))


def test_interval_grows_with_confidence():
    values = np.random.default_rng(6).normal(size=30)
    narrow, wide = bootstrap_interval(values, confidence=0.5), bootstrap_interval(values, confidence=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_table_is_resampled_within_rows():
    rows_apart = np.repeat([[0.0], [10.0]], 8, axis=1)  # no variance inside a row, much between rows
    assert bootstrap_interval(rows_apart, statistic=np.mean) == (5.0, 5.0)
    low, high = bootstrap_interval(rows_apart.ravel(), statistic=np.mean)
    assert low < 5.0 < high


def test_one_row_is_the_same_as_a_vector():
    values = np.random.default_rng(7).normal(size=20)
    assert bootstrap_interval(values[None]) == bootstrap_interval(values)


def test_chunks_do_not_change_the_interval(monkeypatch):
    values = np.random.default_rng(8).normal(size=(3, 7))
    whole = bootstrap_interval(values, samples=101)
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", 5 * 21)
    assert bootstrap_interval(values, samples=101) == whole


def test_a_large_sample_is_resampled_in_bounded_chunks():
    sizes = []

    def mean(x, axis):
        sizes.append(x.size)
        return x.mean(axis=axis)

    low, high = bootstrap_interval(np.random.default_rng(9).normal(size=100_000), statistic=mean, samples=100)
    assert sum(sizes) == 100 * 100_000
    assert max(sizes) * 24 < 2**30  # bytes: index, value and sorted copy
    assert low < high < low + 0.03


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([2.0, 3.0], [0.0, 1.0], 1.0),
        ([0.0, 1.0], [2.0, 3.0], 0.0),
        ([1.0, 1.0], [1.0], 0.5),
        ([1.0, 4.0], [1.0, 2.0, 5.0], (0.5 + 0 + 0 + 1 + 1 + 0) / 6),
    ],
)
def test_improvement_counts_pairs_and_half_the_ties(a, b, expected):
    assert probability_of_improvement(a, b) == pytest.approx(expected, rel=1e-12)


def test_improvement_is_symmetric_and_keeps_under_monotone_maps():
    rng = np.random.default_rng(10)
    a, b = rng.integers(0, 5, 40) / 2.0, rng.integers(0, 5, 30) / 2.0
    assert probability_of_improvement(a, b) + probability_of_improvement(b, a) == pytest.approx(1.0)
    assert probability_of_improvement(np.exp(a), np.exp(b)) == probability_of_improvement(a, b)
    by_pairs = ((a[:, None] > b) + 0.5 * (a[:, None] == b)).mean()
    assert probability_of_improvement(a, b) == pytest.approx(by_pairs)


def test_intervals_overlap_when_they_share_a_point():
    assert overlap((0.0, 1.0), (0.5, 2.0)) and overlap((0.5, 2.0), (0.0, 1.0))
    assert overlap((0.0, 3.0), (1.0, 2.0))
    assert overlap((0.0, 1.0), (1.0, 2.0))
    assert not overlap((0.0, 1.0), (1.1, 2.0)) and not overlap((1.1, 2.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: iqm([]), r"x is empty; saw shape \(0,\)"),
        (lambda: iqm([1.0, np.nan, np.inf]), "x holds 2 NaN or infinite of 3 values"),
        (lambda: bootstrap_interval([]), "x is empty"),
        (lambda: bootstrap_interval(np.zeros((2, 2, 2))), r"saw shape \(2, 2, 2\)"),
        (lambda: bootstrap_interval([1.0], confidence=95), "confidence must lie in .* saw 95"),
        (lambda: bootstrap_interval([1.0], confidence=np.nan), "saw nan"),
        (lambda: bootstrap_interval([1.0], samples=0), "samples must be at least 1; saw 0"),
        (lambda: probability_of_improvement([1.0], []), "b is empty"),
        (lambda: probability_of_improvement([np.nan], [1.0]), "a holds 1 NaN"),
        (lambda: overlap((2.0, 1.0), (0.0, 1.0)), r"a must be .* saw \(2.0, 1.0\)"),
        (lambda: overlap((0.0, 1.0), (np.nan, 1.0)), "b must be"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
