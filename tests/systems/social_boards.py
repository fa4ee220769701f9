"""A little square on which people meet, and how to bring about what happens between them; for tests of chats and ties."""

import jax.numpy as jnp
import numpy as np

from townlet_jax.core import fixed
from townlet_jax.types import NOBODY

SQUARE = """
    #########
    #h..W..S#
    #.01....#
    #.2...3.#
    #@......#
    #########
"""
SOCIAL = {
    "systems.relationships": {"stage": "C3", "meals": ["cook"]},
    "systems.chat": {},
    "systems.rewards.weights.social_bonus": 1.0,
    "systems.rewards.weights.social_penalty": 1.0,
    "systems.rewards.weights.social_avoidance": 1.0,
    "systems.rewards.weights.relationship_quality": 1.0,
}
TIE, SHARE = fixed.TIE, fixed.SHARE
SURE = {"base": jnp.int32(fixed.CHANCE), "topic_span": jnp.int32(0), "quality_least": jnp.int32(SHARE)}
VAIN = {"base": jnp.int32(0)}


def tie(share):
    """A share of a tie in its parts."""
    return fixed.to_tie(share)


def tied(state, *entries):
    """The state with directed ties: (owner, other, trust, familiarity, rivalry) as shares."""
    slot = state.slots["relationships"]
    parts = [np.array(part) for part in (slot.trust, slot.familiarity, slot.rivalry)]
    for owner, other, *shares in entries:
        for part, share in zip(parts, shares):
            part[owner, other] = tie(share)
    trust, familiarity, rivalry = (jnp.array(part) for part in parts)
    return state.put(relationships=slot.replace(trust=trust, familiarity=familiarity, rivalry=rivalry))


def parts(state, owner, other):
    """Trust, familiarity and rivalry of a directed tie, in parts of TIE."""
    slot = state.slots["relationships"]
    return tuple(int(part[owner, other]) for part in (slot.trust, slot.familiarity, slot.rivalry))


def ties_of(state, owner):
    """With whom somebody has a tie."""
    slot = state.slots["relationships"]
    return np.flatnonzero(slot.trust[owner] | slot.familiarity[owner] | slot.rivalry[owner]).tolist()


def quarrel(board, state, one, other, intensity=1.0):
    """One tick of relationships in which two quarrel in a queue; the note of it is taken back."""
    number = board.world.static.num_agents
    conflict = np.full(number, NOBODY, np.int16)
    heat = np.zeros(number, np.int16)
    conflict[one], heat[one] = other, fixed.to_share(intensity)
    queues = state.slots["queues"]
    state = state.put(queues=queues.replace(conflict=jnp.array(conflict), intensity=jnp.array(heat)))
    return board.only("relationships", state).put(queues=queues)


def characters(board, modifiers=True, habits=None, **traits):
    """The square with people who all have those traits (-1 to 1) and habits (factors)."""
    person = {**traits, "behaviour": habits or {}}
    section = {
        "profiles": {"everybody": person},
        "distribution": {"everybody": 1.0},
        "biases": True,
        "modifiers": modifiers,
    }
    return board(SQUARE, **SOCIAL, **{"systems.personality": section})
