"""The Sobol' sequence: its first points, an independent generator, bins that fill evenly, and what a shift keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import qmc

from townlet_jax.core import sequence

NUM_AXES = len(sequence.POLYNOMIALS)
AXES = range(NUM_AXES)
SHIFTS = (0, 0xDEAD_BEEF, 0xFFFF_FFFF, 0x8000_0001)


@pytest.fixture(scope="module")
def points():
    """The first 4,096 points, u32."""
    return np.asarray(sequence.sobol(jnp.arange(4096, dtype=jnp.int32), NUM_AXES))


def test_the_first_points():
    # axis 0 is van der Corput's: the binary digits of the number behind the point, backwards; 6 = 110 -> .011 = 3/8
    found = np.asarray(sequence.sobol(jnp.arange(8, dtype=jnp.int32), 3)) / 2**32
    np.testing.assert_array_equal(found[:, 0], [0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8])
    # axis 1, polynomial x + 1: m = 1, 3, 5, so digits are worth 1/2, 3/4, 5/8 and add without carry; 6 -> 3/4 ^ 5/8 = 1/8
    np.testing.assert_array_equal(found[:, 1], [0, 1 / 2, 3 / 4, 1 / 4, 5 / 8, 1 / 8, 3 / 8, 7 / 8])
    # axis 2, x^2 + x + 1: m = 1, 3 and 2*3 ^ 4*1 ^ 1 = 3, so digits are worth 1/2, 3/4, 3/8; 6 -> 3/4 ^ 3/8 = 9/8 - 1/2 = 5/8
    np.testing.assert_array_equal(found[:, 2], [0, 1 / 2, 3 / 4, 1 / 4, 3 / 8, 7 / 8, 5 / 8, 1 / 8])


def test_an_independent_generator_makes_the_same_points(points):
    """SciPy goes through them in Gray code, where the number i stands for i ^ (i >> 1)."""
    number = np.arange(4096)
    expected = qmc.Sobol(NUM_AXES, scramble=False, bits=32).random(4096)
    np.testing.assert_array_equal(points[number ^ (number >> 1)] / 2**32, expected)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("k", range(13))
def test_aligned_points_fall_one_in_each_bin(points, k, shift):
    bins = ((points ^ np.uint32(shift)).astype(np.uint64) >> (32 - k)).reshape(-1, 2**k, NUM_AXES)
    assert (np.sort(bins, axis=1) == np.arange(2**k)[:, None]).all()


@pytest.mark.parametrize("k", [2, 5])
def test_any_points_in_a_row_fall_at_most_two_in_each_bin(points, k):
    bins = (points[:512].astype(np.uint64) >> (32 - k)).astype(int)
    for start in range(512 - 2**k):
        rows = bins[start : start + 2**k]
        assert len(set(rows[:, 0])) == 2**k  # axis 0 needs no alignment
        assert max(np.bincount(rows[:, axis]).max() for axis in AXES) <= 2


def test_axes_fill_squares_too(points):
    """Axes 0 and 1: one of each 64 points in each of the 8 x 8 squares; all pairs: at most four."""
    for block in (points[:64] >> 29, points[64:128] >> 29):
        squares = {(a, b): np.bincount(block[:, a] * 8 + block[:, b], minlength=64) for a in AXES for b in range(a)}
        assert (squares[1, 0] == 1).all()
        assert all(count.max() <= 4 for count in squares.values())


def test_an_axis_does_not_depend_on_how_many_there_are(points):
    for axes in (1, 2, 3):
        found = sequence.sobol(jnp.arange(64, dtype=jnp.int32), axes)
        assert found.dtype == jnp.uint32
        np.testing.assert_array_equal(found, points[:64, :axes])


def test_it_begins_anew_after_its_digits():
    far = jnp.array([65535, 65536, 65537, 2**31 - 1], jnp.int32)
    near = jnp.array([65535, 0, 1, 65535], jnp.int32)
    np.testing.assert_array_equal(sequence.sobol(far, 2), sequence.sobol(near, 2))


def test_one_point_is_what_it_is_in_a_batch(points):
    one = jax.jit(sequence.sobol, static_argnums=1)
    assert one(jnp.int32(77), 4).tolist() == points[77].tolist()


def test_around_zero_is_the_middle_of_a_bin():
    point = jnp.array([0, (1 << 22) - 1, 1 << 22, 1 << 31, 0xFFFF_FFFF], jnp.uint32)
    assert sequence.around_zero(point).tolist() == [-1023, -1023, -1021, 1, 1023]
