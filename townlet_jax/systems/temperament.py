"""Temperament: how personality colours ties (specification §7 and §10). Functions only; without personality nothing changes.

What makes a tie worse weighs less with the forgiving: a fall of trust or familiarity, and a rise of rivalry, (1 - forgiveness / 2)
times. Their grudges fall faster: what lowers rivalry, and its fading, counts (1 + forgiveness / 2) times. (The original softened
lowered rivalry as well, so that the forgiving bore grudges for longer; its design wanted the opposite.)

reads  slots.personality
"""

import jax
import jax.numpy as jnp

from ..core import blocks, fixed, ties
from ..types import Array, State, World
from . import personality

EXTROVERT_CHAT = 0.02  # familiarity that a chat adds for the fully extroverted


def tempers(world: World) -> bool:
    """Whether personality changes what an event means to people: it runs, and its `modifiers` are on."""
    return world.static.has("personality") and world.params["personality"].modifiers is not None


def felt(world: World, state: State, event: str, part: str, change: Array) -> Array:
    """What an event changes in one part of ties, as each owner feels it.

    Args:
        world: the world.
        state: one town.
        event: what happened.
        part: trust, familiarity or rivalry.
        change: i32[] in [-TIE, TIE], what the YAML says.

    Returns:
        i32[A] in [-2 TIE, 2 TIE]
    """
    change = jnp.broadcast_to(change, (world.static.num_agents,))
    if tempers(world):
        if event == "conflict" and part == "rivalry":
            change = ties.compete(change, personality.trait(state, "ambition"))
        change = ties.forgive(change, personality.trait(state, "forgiveness"), grudge=part == "rivalry")
    return change


def warmth(world: World, state: State, part: str) -> Array:
    """What a good chat adds to one part of ties however good it was: i32[A], familiarity for the extroverted."""
    if part != "familiarity" or not tempers(world):
        return jnp.zeros(world.static.num_agents, jnp.int32)
    return (personality.trait(state, "extroversion") * fixed.to_tie(EXTROVERT_CHAT)) >> 10


def grudge_fade(world: World, state: State, rate: Array) -> Array:
    """How fast rivalry fades, i16[] parts of TIE: i16[] or i16[A, 1]."""
    if not tempers(world):
        return rate
    factor = fixed.SHARE + (personality.trait(state, "forgiveness")[:, None] >> 1)
    return jnp.minimum((rate.astype(jnp.int32) * factor) >> 10, fixed.TIE).astype(jnp.int16)


def avoid_from(world: World, state: State, threshold: Array) -> Array:
    """The rivalry i32[] or i32[A, 1] from which one avoids somebody: divided by one's tolerance of conflict, at most TIE."""
    if not world.static.has("personality"):
        return threshold
    tolerance = jnp.maximum(personality.bias(world, state, "conflict_tolerance"), 1)[:, None]
    return blocks.once(jnp.minimum(jax.lax.div(threshold * fixed.SHARE, tolerance), fixed.TIE))


def pause(world: World, state: State, ticks: Array) -> Array:
    """How long i16[] one is silent after a talk: divided by the liking for chats, at least a tick; i16[A] or i16[]."""
    if not world.static.has("personality"):
        return ticks
    liking = jnp.maximum(personality.bias(world, state, "chat_preference"), 1)
    return jnp.clip(jax.lax.div(ticks.astype(jnp.int32) * fixed.SHARE, liking), 1, 32000).astype(jnp.int16)
