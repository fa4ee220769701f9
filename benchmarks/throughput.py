"""How fast the town runs: agent-steps per second with and without observations, by batch size.

    python benchmarks/throughput.py [--world town] [--batches 1 64 1024 4096] [--json FILE]

An agent-step is one agent in one tick. Actions are uniform random numbers. With observations, the whole `TimeStep` of every town
is built and every number of it is read (summed) every tick. Each figure is the best of several repeats; CPU seconds stand beside
wall seconds, for a shared machine disturbs only the latter. The last line is JSON.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from report import tell

import townlet_jax
from townlet_jax import engine

TICKS = 64  # in one call, at least


def total(tree) -> jax.Array:
    """Every number of a tree, added up: f32[]."""
    return sum(leaf.sum(dtype=jnp.float32) for leaf in jax.tree.leaves(tree) if leaf.size)


def program(world, batch: int, ticks: int, observe: bool):
    """(states, key) -> (states, checksum): `ticks` ticks of `batch` towns with random actions."""
    static = world.static
    step = jax.vmap(partial(engine.step, world))
    see = jax.vmap(partial(townlet_jax.timestep, world))

    def run(states, town_keys, key):
        def tick(carry, now):
            states, read = carry
            bits = jax.random.bits(now, (batch, static.num_agents), jnp.uint32)
            actions = (bits % len(static.actions.names)).astype(jnp.int32)
            states = step(states, actions, jax.vmap(engine.tick_key)(town_keys, states))
            read = read + (total(see(states)) if observe else total(states.reward))
            return (states, read), None

        return jax.lax.scan(tick, (states, jnp.float32(0)), jax.random.split(key, ticks))[0]

    return run


def measure(world, batch: int, observe: bool, repeats: int) -> dict[str, float]:
    """One row of figures."""
    ticks = max(TICKS, 16384 // batch)
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(0)))(jnp.arange(batch, dtype=jnp.int32))
    states = jax.jit(jax.vmap(partial(engine.reset, world)))(keys)
    begun = time.perf_counter()
    run = jax.jit(program(world, batch, ticks, observe), donate_argnums=0)
    run = run.lower(states, keys, jax.random.key(1)).compile()
    compiled = time.perf_counter() - begun
    best = {}
    for repeat in range(repeats + 1):  # the first warms up
        wall, cpu = time.perf_counter(), time.process_time()
        states, read = run(states, keys, jax.random.key(repeat))
        read.block_until_ready()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if repeat and (not best or wall < best["wall_seconds"]):
            best = {"wall_seconds": wall, "cpu_seconds": cpu}
    steps = batch * world.static.num_agents * ticks
    return {
        "batch": batch,
        "observations": observe,
        "agent_steps_per_second": round(steps / best["wall_seconds"]),
        "agent_steps_per_cpu_second": round(steps / max(best["cpu_seconds"], 1e-9)),
        "compile_seconds": round(compiled, 2),
        **{name: round(value, 4) for name, value in best.items()},
    }


def main() -> None:
    options = argparse.ArgumentParser(description="Throughput of a world.")
    options.add_argument("--world", default="town")
    options.add_argument("--variant", default="compact", choices=["compact", "hybrid", "full"])
    options.add_argument("--batches", type=int, nargs="+", default=[1, 64, 1024, 4096])
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--json", type=Path, help="also write the result here")
    chosen = options.parse_args()
    world = townlet_jax.load(chosen.world, **{"observation.variant": chosen.variant})
    key = jax.random.key(0)
    state = jax.eval_shape(partial(engine.reset, world), key)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    step = jax.jit(partial(engine.step, world))
    begun = time.perf_counter()
    actions = jax.ShapeDtypeStruct((world.static.num_agents,), jnp.int32)
    step.lower(state, actions, key).compile()
    result = {
        "world": f"{world.static.name} {chosen.variant}",
        "agents": world.static.num_agents,
        "bytes_per_town": size,
        "step_compile_seconds": round(time.perf_counter() - begun, 2),
        "rows": [],
    }
    print(f"{result['world']}, {size} bytes a town, one step compiles in {result['step_compile_seconds']} s")
    print("batch  observations  agent-steps/s  per CPU second  compile s")
    for batch in chosen.batches:
        for observe in (False, True):
            row = measure(world, batch, observe, chosen.repeats)
            result["rows"].append(row)
            print(
                f"{batch:5d}  {'yes' if observe else 'no ':>12}  {row['agent_steps_per_second']:13,d}"
                f"  {row['agent_steps_per_cpu_second']:14,d}  {row['compile_seconds']:9.2f}",
                flush=True,
            )
    tell(result, chosen.json)


if __name__ == "__main__":
    main()
