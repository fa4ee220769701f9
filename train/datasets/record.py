"""Many towns that a player plays, decision by decision, as arrays; and what those arrays say."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.observe import observe
from townlet_jax.types import Key, State, World

from ..players import Memory, Player
from ..rollout import advance
from ..types import Array
from .npz import Arrays
from .shards import Schema

STREAM = "capture"  # of keys that neither training nor evaluation draws from


def capture_keys(seed: int, towns: np.ndarray) -> Key:
    """The keys of towns, whose numbers are given, of a seed: keys[B]; a town is the same in a shard of any size."""
    key = engine.stream(jax.random.key(seed), STREAM)
    return jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(towns, jnp.uint32))


def begin(world: World, player: Player, keys: Key, episode: Array) -> tuple[Key, State, Memory]:
    """Towns at the beginning of an episode: their keys in it, their states and the memories of the player, [B, ...]."""
    now = jax.vmap(jax.random.fold_in, (0, None))(keys, episode)
    states = jax.vmap(partial(engine.reset, world))(now)
    return now, states, jax.vmap(partial(player.begin, world))(states)


def choose(world: World, player: Player, states: State, memory: Memory, keys: Key) -> Any:
    """What the player decides in every town, and its memory after it; the random stream is that of `players.unroll`."""
    now = jax.vmap(lambda key, state: engine.stream(engine.tick_key(key, state), "policy"))(keys, states)
    return jax.vmap(player.decide, (None, None, 0, 0, 0))(player.params, world, states, memory, now)


@partial(jax.jit, static_argnames=("num_decisions", "episode", "agents"))
def record(
    world: World,
    player: Player,
    allowed: Array,
    keys: Key,
    gamma: Array,
    *,
    num_decisions: int,
    episode: int,
    agents: tuple[int, ...],
) -> dict[str, Array]:
    """Let a player play towns from their resets on, a new episode after each one that ended.

    Args:
        world: the world.
        player: who decides.
        allowed: bool[num_actions] what it may take at all.
        keys: keys[B] of the towns.
        gamma: f32[] discount per tick within a decision.
        num_decisions: T.
        episode: decisions of an episode, the same for all towns.
        agents: the slots to keep.

    Returns:
        The arrays of `shards.KEYS` but `towns`, [T, B, len(agents), ...].
    """
    of = lambda leaf: leaf[:, jnp.array(agents)]
    value = lambda keys, states, memory: choose(world, player, states, memory, keys)[0].value

    def decision(carry, number):
        fresh = number % episode == 0
        opens = lambda carry: (*begin(world, player, keys, number // episode), carry[3])
        now, states, memory, before = jax.lax.cond(fresh, opens, lambda carry: carry, carry)
        seen, lives, turn = jax.vmap(partial(observe, world))(states), states.agents.alive, states.agents.generation
        choice, memory = choose(world, player, states, memory, now)
        states, (reward, terminated, _) = advance(world, states, choice.action, now, player.every, gamma)
        ends = states.truncated.any()
        final = jax.lax.cond(ends, value, lambda *_: jnp.zeros_like(choice.value), now, states, memory)
        cut = jnp.broadcast_to(states.truncated[:, None], lives.shape)
        kept = {
            "map": seen.layers,
            "features": seen.features,
            "action_mask": seen.action_mask & allowed,
            "actions": choice.action,
            "old_log_probs": choice.log_prob,
            "value_preds": choice.value,
            "final_values": jnp.where(cut, final, 0.0),
            "rewards": reward,
            "dones": terminated | cut,
            "terminated": terminated,
            "truncated": cut,
            "alive": lives,
            "starts": lives & (fresh | ~before[0] | (turn != before[1])),
        }
        return (now, states, memory, (lives, turn)), jax.tree.map(of, kept)

    now, states, memory = begin(world, player, keys, jnp.int32(0))
    carry = now, states, memory, (states.agents.alive, states.agents.generation)
    (now, states, memory, _), kept = jax.lax.scan(decision, carry, jnp.arange(num_decisions, dtype=jnp.int32))
    last = of(value(now, states, memory))
    return {**kept, "value_preds": jnp.concatenate([kept["value_preds"], last[None]])}


def episode_decisions(world: World, every: int) -> int | None:
    """Decisions of an episode; None where nothing ends, or where its length is no whole number of them."""
    if not world.static.has("lifecycle"):
        return None
    ticks = int(world.params["lifecycle"].episode_ticks)
    return ticks // every if ticks % every == 0 else None


def keep_towns(arrays: Arrays, kept: np.ndarray) -> Arrays:
    """The arrays [T, B, ...] ("towns" [B]) of some of the towns, by position i64[n] or by mask bool[B]."""
    return {name: array[kept] if name == "towns" else array[:, kept] for name, array in arrays.items()}


def metrics(schema: Schema, arrays: Arrays) -> dict[str, float | int]:
    """What a shard says of its policy, by the names of the specification (§19).

    All means are over the decisions that somebody took, except `value_pred_last`, which is over all slots. The entropy, in nats, is
    that of how often each action was taken. `action_blocked_ratio` is the share of decisions before which a step had failed;
    `attendance` the share of those within one's shift that found one at the post. What a world does not show is left out.
    """
    alive, actions, rewards = arrays["alive"], arrays["actions"], arrays["rewards"].astype(np.float64)
    living = max(int(alive.sum()), 1)
    names = sorted(schema.action_lookup, key=schema.action_lookup.__getitem__)
    counts = np.bincount(actions[alive], minlength=schema.action_dim)
    share = counts[counts > 0] / living
    kinds = dict.fromkeys((name.split("_")[0] for name in names), 0)
    for name, count in zip(names, counts.tolist(), strict=True):
        kinds[name.split("_")[0]] += count
    found = {
        "timesteps": schema.timesteps,
        "reward_sum": rewards.sum(),
        "reward_mean": rewards[alive].sum() / living,
        "log_prob_mean": arrays["old_log_probs"][alive].sum(dtype=np.float64) / living,
        "value_pred_last": arrays["value_preds"][-1].mean(dtype=np.float64),
        "action_total": int(counts.sum()),
        "action_nonzero": int(counts[1:].sum()),
        "action_entropy": max(float(-(share * np.log(share)).sum()), 0.0),
        **{f"action_{kind}_count": count for kind, count in kinds.items()},
        "terminated_count": int(arrays["terminated"].sum()),
        **_seen(schema, arrays["features"], alive, living),
    }
    return {name: value if isinstance(value, int) else float(value) for name, value in found.items()}


def _seen(schema: Schema, features: np.ndarray, alive: np.ndarray, living: int) -> dict[str, float]:
    """What the features that the world has say."""
    column: Callable[[str], np.ndarray] = lambda name: features[..., schema.feature_names.index(name)][alive]
    means = {"blocked": "action_blocked_ratio", "lateness": "lateness_mean", "rivalry_max": "rivalry_max_mean"}
    means["rivalry_avoid_count"] = "rivalry_avoid_count_mean"
    has = {*schema.feature_names}
    found = {told: column(name).sum(dtype=np.float64) / living for name, told in means.items() if name in has}
    found |= {f"{name}_max": column(name).max(initial=0.0) for name in schema.conflict_features}
    if {"on_shift", "shift_left"} <= has and (duty := column("shift_left") > 0).any():
        found["attendance"] = column("on_shift")[duty].mean(dtype=np.float64)
    return found
