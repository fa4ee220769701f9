"""Random play: a policy that also presses buttons that do not exist."""

import jax
import jax.numpy as jnp

from .. import engine
from ..policies import random
from ..types import Array, Key, State, World


def town_keys(seed: int, num_towns: int) -> Key:
    """The keys of the first towns of a seed: key[num_towns]; town i has the same key in every batch."""
    key = jax.random.key(seed)
    return jax.vmap(lambda town: jax.random.fold_in(key, town))(jnp.arange(num_towns, dtype=jnp.uint32))


def anything(world: World, bits: Array) -> Array:
    """Any action that there is, and some that there are not, from random bits u32[A]: i32[A], -2 to num_actions + 1."""
    return (bits % jnp.uint32(len(world.static.actions.names) + 4)).astype(jnp.int32) - 2


def random_actions(world: World, state: State, key: Key) -> Array:
    """Three in four agents take an allowed action, the others anything: i32[A]."""
    bits = jax.random.bits(engine.stream(key, "whim"), (world.static.num_agents,), jnp.uint32)
    return jnp.where(bits & 3 == 0, anything(world, bits >> 8), random(world, state, engine.stream(key, "allowed")))


def tick(world: World, state: State, key: Key) -> State:
    """One tick of random play of one town, whose own key is given."""
    now = engine.tick_key(key, state)
    return engine.step(world, state, random_actions(world, state, engine.stream(now, "policy")), now)


def random_play(world: World, key: Key, num_ticks: int) -> State:
    """The state of one town after some ticks of random play.

    Args:
        world: what is the same for every town.
        key: the town's own key, one of `town_keys`.
        num_ticks: how many ticks.

    Returns:
        The last state; jit it with `num_ticks` static, and vmap it over keys.
    """
    state = engine.reset(world, key)
    return jax.lax.scan(lambda state, _: (tick(world, state, key), None), state, None, num_ticks)[0]
