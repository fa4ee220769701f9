"""What it costs that towns live on different maps: a pool of maps against one map, with the same number of towns.

    python benchmarks/pool.py [--world generated] [--maps 8] [--towns 1024] [--repeats 5] [--json FILE]

Both programs take random actions and read the whole `TimeStep` of every town in every tick. They run in turn, and each figure is
the best of several repeats; CPU seconds stand beside wall seconds, for a shared machine disturbs only the latter. The last line is
JSON.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from report import tell

from townlet_jax import engine
from townlet_jax.env import timestep
from townlet_jax.pool import over_maps, pool

TICKS = 32  # in one call


def town_tick(world, state, key):
    """One tick of random actions, and every number that the agents see added up."""
    now = engine.tick_key(key, state)
    bits = jax.random.bits(engine.stream(now, "policy"), (world.static.num_agents,), jnp.uint32)
    actions = (bits % len(world.static.actions.names)).astype(jnp.int32)
    state = engine.step(world, state, actions, now)
    leaves = jax.tree.leaves(timestep(world, state))
    return state, sum(leaf.sum(dtype=jnp.float32) for leaf in leaves if leaf.size)


def program(world, num_maps: int, towns: int):
    """A compiled (states, keys) -> (states, checksum), its first arguments, and the seconds that it took to compile."""
    keys = jax.random.split(jax.random.key(0), (num_maps, towns // num_maps))
    states = jax.jit(over_maps(engine.reset, world))(keys)
    tick = over_maps(town_tick, world)

    def run(states, keys):
        def body(states, _):
            states, read = tick(states, keys)
            return states, read.sum(dtype=jnp.float32)

        return jax.lax.scan(body, states, None, TICKS)

    begun = time.perf_counter()
    return jax.jit(run).lower(states, keys).compile(), (states, keys), time.perf_counter() - begun


def main() -> None:
    options = argparse.ArgumentParser(description="The cost of a pool of maps.")
    options.add_argument("--world", default="generated")
    options.add_argument("--maps", type=int, default=8)
    options.add_argument("--towns", type=int, default=1024)
    options.add_argument("--variant", default="compact", choices=["compact", "hybrid"])
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--json", type=Path, help="also write the result here")
    chosen = options.parse_args()
    rows = []
    for num_maps in (1, chosen.maps):
        begun = time.perf_counter()
        world = pool(chosen.world, range(num_maps), **{"observation.variant": chosen.variant})
        built = time.perf_counter() - begun
        run, arguments, compiled = program(world, num_maps, chosen.towns)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(world.map))
        row = {
            "maps": num_maps,
            "map_bytes": size,
            "build_seconds": round(built, 2),
            "compile_seconds": round(compiled, 2),
        }
        rows.append((row, run, arguments, []))
    for _ in range(chosen.repeats + 1):
        for _, run, arguments, seconds in rows:
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(run(*arguments))
            seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    for row, _, _, seconds in rows:
        wall, cpu = (min(times) for times in zip(*seconds[1:]))  # the first warms up
        row["ticks_per_second"] = round(chosen.towns * TICKS / wall)
        row["ticks_per_cpu_second"] = round(chosen.towns * TICKS / max(cpu, 1e-9))
        print(
            f"{row['maps']:3d} maps: {row['ticks_per_second']:,d} town-ticks/s, {row['ticks_per_cpu_second']:,d} a CPU second,"
            f" {row['map_bytes'] / 1e6:.1f} MB of tables, built in {row['build_seconds']} s,"
            f" compiled in {row['compile_seconds']} s"
        )
    result = {
        "world": f"{chosen.world} {chosen.variant}",
        "towns": chosen.towns,
        "rows": [row for row, *_ in rows],
        "speed_of_the_pool": round(rows[1][0]["ticks_per_second"] / rows[0][0]["ticks_per_second"], 3),
        "speed_per_cpu_second": round(rows[1][0]["ticks_per_cpu_second"] / rows[0][0]["ticks_per_cpu_second"], 3),
    }
    tell(result, chosen.json)


if __name__ == "__main__":
    main()
