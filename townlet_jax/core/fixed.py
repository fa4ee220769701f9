"""Fixed-point numbers: the integers that stand for shares, money and rewards.

Every product shifts first, so that int32 holds it at both ends of the stated range.
"""

import jax
import jax.numpy as jnp

NEED = 1 << 20  # a full need
SHARE = 1 << 10  # the whole of a share (attendance, weights of needs)
COIN = 1000  # mills in a coin
TIE = 1 << 14  # a full trust, familiarity or rivalry; in i16 with its sign
CHANCE = 1 << 16  # certainty; a chance is compared with 16 random bits
MILLION = 1_000_000  # reward units in 1.0
WEIGHT = 1 << 16  # a reward weight of 1.0


def to_need(share: float) -> int:
    """A share of a full need, -1 to 1, in parts of NEED."""
    return round(share * NEED)


def to_share(share: float) -> int:
    """A share, 0 to 1, in parts of SHARE."""
    return round(share * SHARE)


def to_tie(share: float) -> int:
    """A tie, -1 to 1, in parts of TIE."""
    return round(share * TIE)


def to_chance(share: float) -> int:
    """A chance, 0 to 1, in parts of CHANCE."""
    return round(share * CHANCE)


def to_mills(coins: float) -> int:
    """Coins in mills."""
    return round(coins * COIN)


def to_millionths(reward: float) -> int:
    """A reward, -1 to 1, in millionths."""
    return round(reward * MILLION)


def square(share: jax.Array) -> jax.Array:
    """The square of i32[...] in [0, NEED], again in parts of NEED; resolution 2**-10 of the operand."""
    short = share >> 10
    return short * short


def to_reward(parts: jax.Array) -> jax.Array:
    """i32[...] in [-NEED, NEED] parts of NEED, in millionths (times 15625 / 2**14); resolution 2**-16."""
    return ((parts >> 4) * 15625) >> 10


def weigh(term: jax.Array, weight: jax.Array) -> jax.Array:
    """A reward term i32[...] in [-2**20, 2**20] millionths times a weight in parts of WEIGHT, 0 to 4 (2**18).

    Exact, rounded down: the term is split at 2**10, so that each product stays below 2**28.
    """
    low = ((term & 1023) * weight) >> 10
    return ((term >> 10) * weight + low) >> 6


def scale(amount: jax.Array, factor: jax.Array) -> jax.Array:
    """An amount i32[...] >= 0 times a factor in parts of SHARE, 0 to 2**20, to the nearest part, halves up.

    The amount is split at SHARE, so that it holds as long as the result is below 2**30.
    """
    return (amount >> 10) * factor + (((amount & (SHARE - 1)) * factor + SHARE // 2) >> 10)


def to_float(parts: jax.Array, whole: int) -> jax.Array:
    """Integers in parts of `whole` as f32, for observations and reports only."""
    return parts.astype(jnp.float32) * jnp.float32(1.0 / whole)
