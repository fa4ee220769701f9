"""Plays town 0 of seed 0 in a process of its own: `python machine.py {alone,sharded} NUM_TICKS` prints its digest."""

import json
import sys

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from townlet_jax import engine, load
from townlet_jax.io.digest import digest
from townlet_jax.policies import random

COMPACT = {"observation.variant": "compact"}


def keys(num_towns, seed=0):
    """The towns' own keys: key[B]."""
    key = jax.random.key(seed)
    return jax.vmap(lambda town: jax.random.fold_in(key, town))(jnp.arange(num_towns, dtype=jnp.uint32))


def play(world, keys, num_ticks):
    """The last states of a batch of towns, reset and played in one program."""
    return jax.vmap(lambda key: engine.unroll(world, random, engine.reset(world, key), key, num_ticks)[0])(keys)


def first(states):
    """Town 0 of a batch."""
    return jax.tree.map(lambda leaf: leaf[0], jax.device_get(states))


def main(how, num_ticks):
    """Print one line of JSON: digest of town 0, and on how many devices the batch lay."""
    world, towns = load("town", **COMPACT), keys(64 if how == "sharded" else 1)
    if how == "sharded":
        mesh = jax.make_mesh((len(jax.devices()),), ("towns",), axis_types=(AxisType.Auto,))
        towns = jax.device_put(towns, NamedSharding(mesh, PartitionSpec("towns")))
    states = jax.jit(play, static_argnums=2)(world, towns, num_ticks)
    used = len(states.agents.needs.sharding.device_set)
    print(json.dumps({"digest": digest(first(states)), "devices": used, "x64": jax.config.jax_enable_x64}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
