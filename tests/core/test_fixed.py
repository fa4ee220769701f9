"""Fixed point: exact at both ends, equal to the same arithmetic on Python's unbounded integers in between."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import fixed

SHARES = sorted({0, 1, 1023, 1024, 314_572, fixed.NEED // 2, fixed.NEED - 1, fixed.NEED, *range(0, fixed.NEED, 9973)})
TERMS = sorted(
    {-(1 << 20), -1_000_000, -17, -16, -1, 0, 1, 15, 16, 1_000_000, 1 << 20, *range(-1_000_000, 1_000_000, 9973)}
)


def ints(values):
    return jnp.array(values, jnp.int32)


def test_square_is_exact_at_both_ends_and_at_a_half():
    # 0^2 = 0, (1/2)^2 = 1/4, 1^2 = 1, all in parts of 2^20
    np.testing.assert_array_equal(fixed.square(ints([0, 1 << 19, 1 << 20])), [0, 1 << 18, 1 << 20])


def test_square_equals_python_integers_and_is_close_to_the_true_square():
    found = np.asarray(fixed.square(ints(SHARES)))
    assert found.tolist() == [(x >> 10) ** 2 for x in SHARES]
    true = np.array([x * x / fixed.NEED for x in SHARES])
    assert (np.abs(found - true) <= 2 * 1024).all()  # the operand is cut by less than 2^10, the slope is 2 at most


def test_to_reward_turns_a_full_need_into_one_million():
    np.testing.assert_array_equal(
        fixed.to_reward(ints([-(1 << 20), 0, 1 << 19, 1 << 20])), [-1_000_000, 0, 500_000, 1_000_000]
    )


def test_to_reward_equals_python_integers_and_is_within_its_resolution():
    parts = [sign * x for x in SHARES for sign in (-1, 1)]
    found = np.asarray(fixed.to_reward(ints(parts)))
    assert found.tolist() == [((x >> 4) * 15625) >> 10 for x in parts]
    true = np.array([x * 1_000_000 / fixed.NEED for x in parts])
    assert (np.abs(found - true) <= 1_000_000 / 2**16 + 1).all()


@pytest.mark.parametrize(
    ("term", "weight", "expected"),
    [
        (1_000_000, 1.0, 1_000_000),
        (-1_000_000, 1.0, -1_000_000),
        (1_000_000, 4.0, 4_000_000),
        (-1_000_000, 0.25, -250_000),
        (20_000, 0.5, 10_000),  # a wage of 20 mills, weighted a half
        (1_000_000, 0.0, 0),
        (1 << 20, 4.0, 1 << 22),  # both ends at once: 2^16 * 2^14 = 2^30 before the shift
        (-(1 << 20), 4.0, -(1 << 22)),
    ],
)
def test_weigh_by_hand(term, weight, expected):
    assert int(fixed.weigh(ints(term), ints(round(weight * fixed.WEIGHT)))) == expected


@pytest.mark.parametrize("weight", [0, 1, 8, 819, 65536, (1 << 18) - 1, 1 << 18])
def test_weigh_never_overflows(weight):
    found = np.asarray(fixed.weigh(ints(TERMS), ints(weight)))
    assert found.tolist() == [(term * weight) >> 16 for term in TERMS]
    true = np.array(TERMS) * (weight / fixed.WEIGHT)
    assert (np.abs(found - true) <= 16 * max(weight / fixed.WEIGHT, 1) + 1).all()


def test_words_become_the_nearest_integer():
    assert [fixed.to_need(1.0), fixed.to_need(-1.0), fixed.to_need(0.0009)] == [1 << 20, -(1 << 20), 944]  # 943.7
    assert [fixed.to_mills(0.0004), fixed.to_mills(0.02), fixed.to_mills(1.5)] == [0, 20, 1500]
    assert [fixed.to_share(0.5), fixed.to_millionths(0.2), fixed.to_millionths(-1.0)] == [512, 200_000, -1_000_000]


def test_to_float_is_f32_and_exact_at_the_ends():
    found = fixed.to_float(ints([0, fixed.NEED // 4, fixed.NEED]), fixed.NEED)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, [0.0, 0.25, 1.0])


@pytest.mark.parametrize("factor", [0, 1, 511, 512, 819, 1023, 1024, 1280, 2048, 1 << 20])
def test_scaling_is_rounded_to_the_nearest_part(factor):
    amounts = [0, 1, 2, 3, 400, 1023, 1024, 1025, 999_999, 1_000_000, 1_250_000]
    fits = [amount for amount in amounts if amount * factor < 1 << 40]
    exact = [(2 * amount * factor + 1024) // 2048 for amount in fits]  # halves up
    assert fixed.scale(jnp.array(fits, jnp.int32), jnp.int32(factor)).tolist() == exact
