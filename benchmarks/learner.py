"""How fast PPO learns: agent decisions per second, simulation and gradient together.

    python benchmarks/learner.py [--config ppo_town] [--set num_envs=1024] [--updates 10] [--json FILE]

A decision is one choice of one agent; it lasts `ticks_per_decision` ticks. The last line is JSON.
"""

import argparse
import time
from pathlib import Path

import jax
from report import tell

from townlet_jax.worlds import compile_document, read
from train.config import load_config
from train.learner import make_train


def main() -> None:
    options = argparse.ArgumentParser(description="Throughput of the learner.")
    options.add_argument("--config", default="ppo_town")
    options.add_argument("--set", action="append", default=[])
    options.add_argument("--updates", type=int, default=10)
    options.add_argument("--json", type=Path, help="also write the result here")
    chosen = options.parse_args()
    config, _ = load_config(chosen.config, tuple(chosen.set))
    train = make_train(compile_document(read(config.world, config.world_set)), config)
    runner = jax.jit(train.init)(jax.random.key(config.seed))
    begun = time.perf_counter()
    update = jax.jit(train.update, donate_argnums=0).lower(runner).compile()
    compiled = time.perf_counter() - begun
    seconds = []
    cpu = time.process_time()
    for _ in range(chosen.updates + 1):
        begun = time.perf_counter()
        runner, metrics = update(runner)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - begun)
    cpu = (time.process_time() - cpu) / (chosen.updates + 1)
    median = sorted(seconds[1:])[len(seconds[1:]) // 2]
    result = {
        "config": config.name,
        "num_envs": config.num_envs,
        "ticks_per_decision": config.ticks_per_decision,
        "decisions_per_second": round(train.steps_per_update / median),
        "decisions_per_cpu_second": round(train.steps_per_update / cpu),
        "agent_steps_per_second": round(train.steps_per_update * config.ticks_per_decision / median),
        "update_seconds_median": round(median, 4),
        "compile_seconds": round(compiled, 2),
    }
    tell(result, chosen.json)


if __name__ == "__main__":
    main()
