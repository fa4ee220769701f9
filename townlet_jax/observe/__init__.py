"""What agents see: functions of (world, state) that write nothing."""

from typing import Any

import numpy as np

from ..core import blocks
from ..systems.affordances import available
from ..types import Observation, State, World
from .action_mask import action_mask
from .features import features, fields
from .layers import layer_names, layers
from .schema import Entry, place

__all__ = ["Entry", "action_mask", "explain", "features", "layer_names", "layers", "observe", "schema"]


def observe(world: World, state: State) -> Observation:
    """The observation of every agent of a town, as the world's variant has it.

    Returns:
        features f32[A, D] (`schema` names them), layers u8[A, L, w, w] (L = 0 in `compact`), action_mask bool[A, num_actions].
    """
    can = blocks.once(available(world, state)) if world.static.has("affordances") else None
    return Observation(features(world, state, can), layers(world, state, can), action_mask(world, state, can))


def schema(world: World) -> tuple[Entry, ...]:
    """Where each feature stands, with its unit and range."""
    return place(fields(world))


def explain(world: World, observation: Observation, agent: int = 0) -> dict[str, Any]:
    """One agent's observation in words.

    Args:
        world: the world that it comes from.
        observation: of one town, without a batch axis.
        agent: index of the slot.

    Returns:
        Feature name (`field` or `field_entry`) -> float, and "allowed" -> the names of the allowed actions.

    Raises:
        IndexError: there is no such agent.
    """
    row = np.asarray(observation.features[agent])
    if not 0 <= agent < world.static.num_agents:
        raise IndexError(f"agent {agent}: this world has agents 0 to {world.static.num_agents - 1}")
    words: dict[str, Any] = {}
    for entry in schema(world):
        words.update(zip(entry.names, row[entry.start : entry.stop].tolist()))
    mask = np.asarray(observation.action_mask[agent])
    words["allowed"] = [name for name, allowed in zip(world.static.actions.names, mask) if allowed]
    return words
