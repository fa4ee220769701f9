"""The states of a shift, and how they follow from who is at the post.

before start - notice   IDLE
before start            AWAIT
at the post             ON_TIME, or LATE once one has been late or absent
away                    ON_TIME within the grace; LATE if one never came; ABSENT after more than the slack away in a row
after the end           POST
"""

import jax
import jax.numpy as jnp

STATES = ("idle", "await", "on_time", "late", "absent", "post")
IDLE, AWAIT, ON_TIME, LATE, ABSENT, POST = range(6)
EVENTS = ("none", "late", "absent", "left")
QUIET, BECAME_LATE, BECAME_ABSENT, LEFT_EARLY = range(4)


def on_duty(shift: jax.Array) -> jax.Array:
    """Which of the states of a shift i8[A] belong to its hours: bool[A]."""
    return (shift == ON_TIME) | (shift == LATE) | (shift == ABSENT)


def advance(
    shift: jax.Array,
    came: jax.Array,
    away: jax.Array,
    since: jax.Array,
    present: jax.Array,
    grace: jax.Array,
    slack: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """One tick of the shifts of those who are in them.

    Args:
        shift: i8[A] the state before.
        came: i16[A] ticks at the post so far in this shift.
        away: i16[A] ticks away in a row so far.
        since: i16[A] ticks since the start; in the first, 0, all of the above count as new.
        present: bool[A] who is at the post.
        grace: i16[A] ticks after the start within which one is on time even if away.
        slack: i16[A] ticks away in a row after which one is absent.

    Returns:
        The state i8[A], the ticks at the post and away i16[A], and what has just happened i8[A], index into EVENTS: late for
        the first time in this shift, absent without having come at all, or absent after having been there. Who comes back and
        goes again becomes absent again.
    """
    first = since == 0
    before = jnp.where(first, jnp.int8(ON_TIME), shift)
    came = jnp.where(first, jnp.int16(0), came) + present.astype(jnp.int16)
    away = jnp.where(present, jnp.int16(0), jnp.where(first, jnp.int16(0), away) + jnp.int16(1))
    here = jnp.where(before == ON_TIME, ON_TIME, LATE)
    never_came = jnp.where(since < grace, ON_TIME, LATE)
    gone = jnp.where(away > slack, ABSENT, jnp.where(came == 0, never_came, before))
    after = jnp.where(present, here, gone).astype(jnp.int8)
    late = (after == LATE) & (before == ON_TIME)
    absent = (after == ABSENT) & (before != ABSENT)
    event = jnp.where(absent, jnp.where(came == 0, BECAME_ABSENT, LEFT_EARLY), jnp.where(late, BECAME_LATE, QUIET))
    return after, came, away, event.astype(jnp.int8)
