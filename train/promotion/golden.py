"""Golden rollouts against forgetting: what the release did in some towns, kept, and what a candidate would do in its place.

A golden rollout is a town's key and the actions of the release, from which the town is run again bit for bit, and the release's
chances at each decision. A candidate is led through the same states and tells its own chances there:

    KL = mean over decisions of sum_a p(a) log(p(a) / q(a)),  p the release's, q the candidate's, in nats
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.io.digest import digest
from townlet_jax.systems.intents import WAIT_ACTION, may_choose
from townlet_jax.types import Key, State, World

from ..players import Player
from ..storage.errors import CheckpointError
from ..types import Array
from .shadow import town_keys

BATCH = 2**31 - 1  # of towns in which no candidate is judged
LEAST = 1e-6  # chance that a candidate is given at least, so that one state cannot outweigh all others


class Golden(NamedTuple):
    """Towns as a release played them; T decisions, B towns, A agents, N actions."""

    seed: np.ndarray  # u32[] of the towns
    every: np.ndarray  # i32[] ticks of a decision
    action: np.ndarray  # i16[T, B, A]
    chance: np.ndarray  # f32[T, B, A, N] of the release
    decides: np.ndarray  # bool[T, B, A] who was free to choose
    digest: np.ndarray  # u8[32] sha256 of the towns at their end


def divergence(p: Array, q: Array) -> Array:
    """KL(p || q) in nats over the last axis."""
    ratio = jnp.log(jnp.maximum(p, LEAST)) - jnp.log(jnp.maximum(q, LEAST))
    return jnp.where(p > 0, p * ratio, 0.0).sum(-1)


def walk(world: World, player: Player, key: Key, actions: Array, every: int, leads: bool) -> tuple[State, Any]:
    """One town, decision by decision: a player that tells its chances acts if it `leads`, else the actions i32[T, A] are taken.

    Returns:
        The last state, and (action i32[T, A], chance f32[T, A, N], decides bool[T, A]).
    """

    def tick(state, first, action):
        return engine.step(world, state, jnp.where(first, action, WAIT_ACTION), engine.tick_key(key, state)), ()

    def decision(carry, given):
        state, memory = carry
        now = engine.stream(engine.tick_key(key, state), "policy")
        choice, memory = player.decide(player.params, world, state, memory, now)
        free, taken = may_choose(world, state), choice.action if leads else given
        state, _ = jax.lax.scan(partial(tick, action=taken), state, jnp.arange(every) == 0)
        return (state, memory), (taken, choice.probs, free)

    state = engine.reset(world, key)
    (state, _), kept = jax.lax.scan(decision, (state, player.begin(world, state)), actions)
    return state, kept


@partial(jax.jit, static_argnames=("every", "leads"))
def walks(world: World, player: Player, keys: Key, actions: Array, every: int, leads: bool) -> tuple[State, Any]:
    """`walk` in many towns: keys[B] and actions i32[T, B, A]."""
    one = lambda key, actions: walk(world, player, key, actions, every, leads)
    return jax.vmap(one, in_axes=(0, 1), out_axes=(0, 1))(keys, actions)


def record(world: World, player: Player, seed: int, towns: int, days: float) -> Golden:
    """Let a release play some towns and keep what it did and might have done."""
    num_decisions = max(1, int(days * world.static.ticks_per_day) // player.every)
    nothing = jnp.zeros((num_decisions, towns, world.static.num_agents), jnp.int32)
    states, kept = walks(world, player, town_keys(seed, BATCH, towns), nothing, player.every, leads=True)
    action, chance, decides = jax.device_get(kept)
    end = np.frombuffer(bytes.fromhex(digest(states)), np.uint8)
    return Golden(np.uint32(seed), np.int32(player.every), action.astype(np.int16), chance, decides, end)


def forgotten(world: World, player: Player, golden: Golden) -> float:
    """The mean KL of a candidate's chances from the release's, in nats, over all decisions that somebody was free to take.

    Raises:
        CheckpointError: the towns are not those that were recorded: they do not end as they did.
    """
    keys = town_keys(int(golden.seed), BATCH, golden.action.shape[1])
    actions = jnp.asarray(golden.action, jnp.int32)
    states, (_, chance, _) = walks(world, player, keys, actions, int(golden.every), leads=False)
    if digest(states) != golden.digest.tobytes().hex():
        raise CheckpointError("the golden rollouts do not run again as they were recorded: the world has changed")
    kl = np.asarray(divergence(jnp.asarray(golden.chance), chance), np.float64)
    return float(kl[golden.decides].mean()) if golden.decides.any() else 0.0


def write(path: Path, golden: Golden) -> None:
    """Write golden rollouts as one npz."""
    with path.open("wb") as file:
        np.savez_compressed(file, **golden._asdict())


def read(path: Path) -> Golden:
    """Read golden rollouts.

    Raises:
        CheckpointError: the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return Golden(**{name: found[name] for name in Golden._fields})
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error
