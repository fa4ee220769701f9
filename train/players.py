"""Who plays a town: policies with a memory or without one, learned or written, under one face.

A player decides for everybody in one town. `unroll` lets it play; `jax.vmap` over keys lets it play many towns.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from townlet_jax import engine
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.types import Key, State, World

from .types import Array

Memory = Any  # PyTree of arrays; () for a player without one
Total = Any  # PyTree of arrays that `fold` carries along


class Choice(NamedTuple):
    """What everybody in one town decides."""

    action: Array  # i32[A]
    log_prob: Array  # f32[A] of the action under the player; 0 where it cannot be told
    value: Array  # f32[A] what the player expects, in the reward of its learner; 0 where it expects nothing
    probs: Any = ()  # f32[A, num_actions] the chance of each action; () where it cannot be told


class Player(struct.PyTreeNode):
    """Pure functions of one town, and the weights that they read; players of equal functions can be stacked and vmapped."""

    params: Any  # weights, () for a player without them
    every: int = struct.field(pytree_node=False)  # ticks between two decisions; in between everybody carries on
    begin: Callable[[World, State], Memory] = struct.field(pytree_node=False)  # the memory before the first decision
    decide: Callable[[Any, World, State, Memory, Key], tuple[Choice, Memory]] = struct.field(pytree_node=False)


@cache
def memoryless(policy: Callable[[World, State, Key], Array], every: int = 1) -> Player:
    """A player of a policy (world, state, key) -> actions i32[A], such as those of `townlet_jax.policies`."""

    def decide(params: Any, world: World, state: State, memory: Memory, key: Key) -> tuple[Choice, Memory]:
        action = policy(world, state, key)
        none = jnp.zeros(action.shape, jnp.float32)
        return Choice(action, none, none), memory

    return Player((), every, lambda world, state: (), decide)


def unroll(
    world: World,
    player: Player,
    state: State,
    key: Key,
    num_decisions: int,
    fold: Callable[[Total, State], tuple[Total, Any]],
    total: Total = (),
) -> tuple[State, Total, Any]:
    """Let a player play one town.

    Args:
        world: the world.
        player: who decides.
        state: the town at its start.
        key: the town's own key.
        num_decisions: of `player.every` ticks each.
        fold: (total, state after a tick) -> (total, what to keep of the tick).
        total: where `fold` begins.

    Returns:
        The last state, the total, and what was kept of each tick, leaves [num_decisions * player.every, ...].
    """

    def tick(carry, first, actions):
        state, total = carry
        state = engine.step(world, state, jnp.where(first, actions, WAIT_ACTION), engine.tick_key(key, state))
        total, kept = fold(total, state)
        return (state, total), kept

    def decision(carry, _):
        state, memory, total = carry
        now = engine.stream(engine.tick_key(key, state), "policy")
        choice, memory = player.decide(player.params, world, state, memory, now)
        ticks = jnp.arange(player.every) == 0
        (state, total), kept = jax.lax.scan(partial(tick, actions=choice.action), (state, total), ticks)
        return (state, memory, total), kept

    start = (state, player.begin(world, state), total)
    (state, _, total), kept = jax.lax.scan(decision, start, None, num_decisions)
    return state, total, jax.tree.map(lambda leaf: leaf.reshape(num_decisions * player.every, *leaf.shape[2:]), kept)
