"""Points that spread evenly: the Sobol' sequence, any point by its number, in 32-bit integers.

The first 2**k points fall one in each of the 2**k equal bins of every axis, and so do those of any later block that begins at a
multiple of 2**k. A digital shift (XOR with random bits) moves all points and keeps that.
"""

import jax
import jax.numpy as jnp

DIGITS = 16  # binary digits of a number that count: the sequence begins anew after 65,536 points
POLYNOMIALS = ((0, 0, ()), (1, 0, (1,)), (2, 1, (1, 3)), (3, 1, (1, 3, 1)))
# degree, inner coefficients, first direction numbers: new-joe-kuo-6, S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30 (2008) 2635


def directions(axis: int) -> tuple[int, ...]:
    """The u32 that each binary digit of a number, the least first, contributes to an axis."""
    degree, inner, first = POLYNOMIALS[axis]
    m = list(first) or [1] * DIGITS
    for k in range(len(m), DIGITS):
        value = m[k - degree] ^ (m[k - degree] << degree)
        for j in range(1, degree):
            value ^= (m[k - j] << j) * (inner >> (degree - 1 - j) & 1)
        m.append(value)
    return tuple(value << (31 - k) for k, value in enumerate(m))


def sobol(number: jax.Array, num_axes: int) -> jax.Array:
    """The points of the sequence.

    Args:
        number: i32[...] which points, from 0; only the last `DIGITS` binary digits count.
        num_axes: 1 to 4, as many as there are polynomials; an axis does not depend on how many there are.

    Returns:
        u32[..., num_axes] in parts of 2**32.
    """
    table = jnp.array([directions(axis) for axis in range(num_axes)], jnp.uint32).T  # [DIGITS, num_axes]
    digits = number.astype(jnp.uint32)[..., None]
    point = jnp.zeros((*number.shape, num_axes), jnp.uint32)
    for k in range(DIGITS):
        point = point ^ jnp.where((digits >> k) & 1 == 1, table[k], jnp.uint32(0))
    return point


def around_zero(point: jax.Array) -> jax.Array:
    """The middle of the bin that u32[...] falls in, of 1024 bins from -1 to 1: odd i32[...] in [-1023, 1023], parts of 1024."""
    return 2 * (point >> 22).astype(jnp.int32) - 1023
