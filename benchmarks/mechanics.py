"""What mechanics cost: worlds side by side with the town, in turns within one run, so that a noisy machine disturbs all alike.

    python benchmarks/mechanics.py [--worlds town m3 m5] [--batch 4096] [--ticks 8] [--variant hybrid] [--json FILE]

Actions are uniform random numbers. A ratio is the CPU time of a world's tick (microseconds a town) over that of the first world,
without and with observations, every number of which is read. The last line is JSON.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from report import tell
from throughput import program

import townlet_jax
from townlet_jax import engine


class Case:
    """A compiled world and the towns that run in it."""

    def __init__(self, name: str, variant: str, batch: int, ticks: int, observe: bool):
        self.world = townlet_jax.load(name, **{"observation.variant": variant})
        self.per_call, self.best = batch * ticks, float("inf")
        self.keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(0)))(jnp.arange(batch, dtype=jnp.int32))
        self.states = jax.jit(jax.vmap(partial(engine.reset, self.world)))(self.keys)
        lowered = jax.jit(program(self.world, batch, ticks, observe), donate_argnums=0).lower(
            self.states, self.keys, jax.random.key(1)
        )
        begun = time.process_time()
        self.run = lowered.compile()
        self.compile_cpu = time.process_time() - begun

    def turn(self, repeat: int) -> None:
        """Run once; the first turn warms up."""
        begun = time.process_time()
        self.states, read = self.run(self.states, self.keys, jax.random.key(repeat))
        read.block_until_ready()
        if repeat:
            self.best = min(self.best, time.process_time() - begun)

    def microseconds(self) -> float:
        """CPU time of a tick of one town."""
        return 1e6 * self.best / self.per_call


def step_compile(world) -> float:
    """CPU seconds that the compiler needs for one tick of one town."""
    key = jax.random.key(0)
    state = jax.eval_shape(partial(engine.reset, world), key)
    actions = jax.ShapeDtypeStruct((world.static.num_agents,), jnp.int32)
    begun = time.process_time()
    jax.jit(partial(engine.step, world)).lower(state, actions, key).compile()
    return time.process_time() - begun


def main() -> None:
    options = argparse.ArgumentParser(description="What mechanics cost.")
    options.add_argument("--worlds", nargs="+", default=["town", "m3", "m5"])
    options.add_argument("--variant", default="hybrid", choices=["compact", "hybrid", "full"])
    options.add_argument("--batch", type=int, default=4096)
    options.add_argument("--ticks", type=int, default=8)
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--json", type=Path, help="also write the result here")
    chosen = options.parse_args()
    make = lambda name, observe: Case(name, chosen.variant, chosen.batch, chosen.ticks, observe)
    cases = {(name, observe): make(name, observe) for name in chosen.worlds for observe in (False, True)}
    for repeat in range(chosen.repeats + 1):
        for case in cases.values():
            case.turn(repeat)
    first, rows = chosen.worlds[0], []
    print("world     observations  CPU us/town-tick   ratio  compile CPU s  one step, compile CPU s")
    for (name, observe), case in cases.items():
        rows.append(
            {
                "world": name,
                "observations": observe,
                "cpu_microseconds": round(case.microseconds(), 2),
                "ratio": round(case.microseconds() / cases[first, observe].microseconds(), 2),
                "compile_cpu_seconds": round(case.compile_cpu, 1),
                "step_compile_cpu_seconds": round(step_compile(case.world), 1),
            }
        )
        print(
            f"{name:9} {'yes' if observe else 'no ':>12}  {rows[-1]['cpu_microseconds']:16.2f}  {rows[-1]['ratio']:6.2f}"
            f"  {rows[-1]['compile_cpu_seconds']:13.1f}  {rows[-1]['step_compile_cpu_seconds']:23.1f}"
        )
    result = {
        "variant": chosen.variant,
        "batch": chosen.batch,
        "rows": rows,
    }
    tell(result, chosen.json)


if __name__ == "__main__":
    main()
