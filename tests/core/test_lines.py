"""Lines and rolling days: who passes, and what a day of buckets remembers."""

import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import lines

NOBODY_WAITED = [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("may", "waited", "priority", "room", "passes"),
    [
        ([1, 1, 1, 1], NOBODY_WAITED, [2, 0, 3, 1], 1, [0, 1, 0, 0]),  # the least priority number goes first
        ([1, 1, 1, 1], NOBODY_WAITED, [2, 0, 3, 1], 2, [0, 1, 0, 1]),
        ([1, 1, 1, 1], [0, 0, 1, 0], [2, 0, 3, 1], 1, [0, 0, 1, 0]),  # but one tick of waiting counts more
        ([1, 0, 1, 0], [0, 9, 0, 9], [2, 0, 3, 1], 1, [1, 0, 0, 0]),  # who may not does not hold the others up
        ([1, 1, 0, 0], NOBODY_WAITED, [0, 0, 0, 0], 1, [1, 0, 0, 0]),  # equal priorities: by index
        ([1, 1, 1, 1], NOBODY_WAITED, [2, 0, 3, 1], 0, [0, 0, 0, 0]),
        ([1, 1, 1, 1], NOBODY_WAITED, [2, 0, 3, 1], -1, [0, 0, 0, 0]),
        ([1, 1, 1, 1], [32767, 0, 0, 0], [3, 0, 1, 2], 1, [1, 0, 0, 0]),
    ],
)
def test_who_has_waited_longest_passes_first(may, waited, priority, room, passes):
    found = lines.pass_first(
        jnp.array(may, bool), jnp.array(waited, jnp.int16), jnp.array(priority, jnp.int8), jnp.int8(room)
    )
    assert found.tolist() == [bool(x) for x in passes]


def run(happens, ticks_per_day, parts, start=0):
    """The counts after each tick, for one agent."""
    counts, seen = jnp.zeros((1, parts), jnp.int16), []
    for i, it in enumerate(happens):
        counts = lines.last_day(counts, jnp.array([bool(it)]), jnp.int32(start + i), ticks_per_day)
        seen.append(int(counts.sum()))
    return seen


def test_four_quarters_of_a_day_of_eight_ticks():
    # it happens at ticks 0 and 1; the first quarter is forgotten as it comes round again, at tick 8
    assert run([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], 8, 4) == [1, 2, 2, 2, 2, 2, 2, 2, 0, 0]


@pytest.mark.parametrize(("ticks_per_day", "parts", "start"), [(48, 24, 0), (50, 24, 7), (10, 24, 3)])
def test_the_buckets_hold_the_last_day_but_for_one_part(ticks_per_day, parts, start):
    happens = np.random.default_rng(0).random(4 * ticks_per_day) < 0.4
    longest = -(-ticks_per_day // parts)
    for i, found in enumerate(run(happens, ticks_per_day, parts, start)):
        whole = happens[max(i + 1 - ticks_per_day, 0) : i + 1].sum()
        shorter = happens[max(i + 1 - ticks_per_day + longest, 0) : i + 1].sum()
        assert shorter <= found <= whole
