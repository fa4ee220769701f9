"""Schedules: what the residents of a scenario do, action by action."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct

from ..types import Array
from .findings import Finding, unknown


class Schedule(struct.PyTreeNode):
    """Loops of actions."""

    actions: Array  # i32[A, L] indices of actions, padded with 0
    length: Array  # i32[A] actions before the loop begins again, at least 1
    ticks: Array  # i32[] how long the scenario runs


def build(config: Any, actions: Sequence[str]) -> Schedule:
    """Words to indices.

    Args:
        config: a validated world with a schedule.
        actions: the names of its actions.
    """
    loops = [spelled_out(config.schedule.loop.get(resident.name, ())) for resident in config.start.residents]
    table = np.zeros((config.num_agents, max(map(len, loops), default=1) or 1), np.int32)
    for slot, loop in enumerate(loops):
        table[slot, : len(loop)] = [actions.index(action) for action in loop]
    length = np.ones(config.num_agents, np.int32)
    length[: len(loops)] = [max(len(loop), 1) for loop in loops]
    return Schedule(jnp.array(table), jnp.array(length), jnp.int32(config.schedule.ticks))


def findings(config: Any, actions: Sequence[str]) -> list[Finding]:
    """Residents and actions that do not exist."""
    if config.schedule is None:
        return []
    known = [resident.name for resident in config.start.residents]
    wrong = unknown("schedule.loop", config.schedule.loop, known, "resident")
    for name, loop in config.schedule.loop.items():
        words = dict.fromkeys(action.split(" ")[0] for action in loop)
        wrong += unknown(f"schedule.loop.{name}", words, actions, "action")
    return wrong


def spelled_out(loop: Sequence[str]) -> list[str]:
    """A loop with `wait 3` as three times `wait`."""
    counted = [action.partition(" ") for action in loop]
    return [action for action, _, times in counted for _ in range(int(times or 1))]
