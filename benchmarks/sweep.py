"""What a sweep costs: 8 seeds x 4 learning rates in one program, against a single run of equal total batch.

    python benchmarks/sweep.py [--sweep seeds_and_rates] [--set changes.num_steps=16] [--updates 5] [--json FILE]

The single run has as many towns as all members together, and the same sizes otherwise. Both take their updates in turns, so that
whatever else the machine does hits both; `ratio` is the time of an agent-step of the sweep over that of the single run. One program
is in flight at a time. The last line is JSON.
"""

import argparse
import statistics
import time
from pathlib import Path

import jax
from report import tell

from train import learner
from train.sweeps import stack
from train.sweeps.members import SweepConfig, base_of, load_shared, members_of

COMPILED = "/jax/core/compile/backend_compile_duration"


class Timed:
    """A compiled update that counts its own seconds."""

    def __init__(self, function, runner):
        seen = []
        listen = lambda event, duration, **_: seen.append(event) if event == COMPILED else None
        lowered = jax.jit(function, donate_argnums=0).lower(runner)
        jax.monitoring.register_event_duration_secs_listener(listen)
        begun = time.perf_counter()
        self.update = lowered.compile()
        self.compile_seconds = time.perf_counter() - begun
        jax.monitoring.unregister_event_duration_listener(listen)
        self.programs, self.runner, self.wall, self.cpu = len(seen), runner, [], []

    def step(self, counts=True):
        wall, cpu = time.perf_counter(), time.process_time()
        self.runner, metrics = self.update(self.runner)
        jax.block_until_ready((self.runner, metrics))
        if counts:
            self.wall.append(time.perf_counter() - wall)
            self.cpu.append(time.process_time() - cpu)


def main() -> None:
    options = argparse.ArgumentParser(description="The cost of a sweep over that of a single run of equal total batch.")
    options.add_argument("--sweep", default="seeds_and_rates")
    options.add_argument("--set", action="append", default=[], help="change the sweep")
    options.add_argument("--updates", type=int, default=5)
    options.add_argument("--json", type=Path, help="also write the result here")
    chosen = options.parse_args()
    config, _ = load_shared(SweepConfig, chosen.sweep, tuple(chosen.set))
    many = stack.stack_of(members_of(config, base_of(config)))
    base = many.program.config
    sizes = {"num_envs": base.num_envs * many.count, "reset_pool": base.reset_pool * many.count}
    one = learner.make_train(many.program.world, base.model_copy(update=sizes))
    single = jax.block_until_ready(jax.jit(one.init)(jax.random.key(0)))
    stacked = jax.block_until_ready(stack.init(many))
    single = Timed(one.update, single)
    swept = Timed(lambda runner: stack.update(many, many.values, runner), stacked)
    for turn in range(chosen.updates + 1):
        single.step(turn > 0)
        swept.step(turn > 0)
    steps = one.steps_per_update * base.ticks_per_decision
    figures = {
        "members": many.count,
        "num_envs_of_a_member": base.num_envs,
        "programs": swept.programs,
        "wall_ratio": round(statistics.median(swept.wall) / statistics.median(single.wall), 3),
        "cpu_ratio": round(statistics.median(swept.cpu) / statistics.median(single.cpu), 3),
        "sweep_agent_steps_per_second": round(steps / statistics.median(swept.wall)),
        "single_agent_steps_per_second": round(steps / statistics.median(single.wall)),
        "sweep_agent_steps_per_cpu_second": round(steps / statistics.median(swept.cpu)),
        "sweep_compile_seconds": round(swept.compile_seconds, 1),
        "single_compile_seconds": round(single.compile_seconds, 1),
    }
    tell(figures, chosen.json)


if __name__ == "__main__":
    main()
