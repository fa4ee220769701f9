"""The estimate of memory beside what the compiled update takes.

    python benchmarks/memory.py [--out benchmarks/results/memory.json] [NAME ...]

`program` is what XLA lays out for the update: arguments, results that are not in their place, and temporaries; `peak` is the
estimate of it. `resident` is how far the process grew above where it stood when the update was compiled, plus the arguments, and
`whole` the estimate of that; on a CPU under Linux only, and less where memory that the compiler gave back is used again. Each
configuration runs in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

CASES = {
    "mlp": (),
    "gru": ("memory=gru",),
    "lstm": ("memory=lstm",),
    "bfloat16": ("compute_dtype=bfloat16",),
    "teacher": ("teacher=scripted", "bc_coef=1"),
    "ppo_m3": (),
    "1024 towns": ("num_envs=1024",),
    "hybrid": ('world_set=["observation.variant=hybrid"]',),
    "2 minibatches": ("num_minibatches=2",),
    "curiosity": ("curiosity=0.3", "normalise_rewards=true"),
    "roles and central critic": ("roles=jobs", "critic=central"),
    "8 devices": ("shards=8",),
}
TOWN = "ppo_town"
BASES = {"ppo_m3": "ppo_m3"}  # of the cases that do not change TOWN
DEVICES = {"8 devices": 8}  # forced on the host


def status(name: str) -> int | None:
    """A line of this process's status in bytes; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name)), None)


def measure(name: str) -> dict:
    """One configuration, in this process."""
    import jax

    from townlet_jax.io.cache import use_compile_cache
    from townlet_jax.worlds import compile_document, read
    from train.config import load_config
    from train.guard import guarded
    from train.hardware.memory import estimate
    from train.learner import make_train
    from train.sharding import mesh_of, put

    use_compile_cache()
    config, _ = load_config(BASES.get(name, TOWN), CASES[name])
    world = compile_document(read(config.world, config.world_set))
    mesh = mesh_of(config.shards)
    train = make_train(world, config, mesh=mesh)
    need = estimate(world, config, 1 if mesh is None else mesh.size)
    runner = put(mesh, jax.jit(train.init)(jax.random.key(0)))
    update = jax.jit(guarded(train.update), donate_argnums=0).lower(runner).compile()
    found = update.memory_analysis()
    program = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    program += found.temp_size_in_bytes
    resident = grown(update, runner, found.argument_size_in_bytes) if jax.default_backend() == "cpu" else None
    return {
        "name": name,
        "config": BASES.get(name, TOWN),
        "set": CASES[name],
        "devices": 1 if mesh is None else mesh.size,
        "platform": jax.devices()[0].device_kind,
        "estimate": need._asdict(),
        "peak": need.peak,
        "program": program,
        "ratio": round(need.peak / program, 3),
        "whole": need.whole(1 if mesh is None else mesh.size),
        "resident": resident,
        "ratio_resident": resident and round(need.whole(1 if mesh is None else mesh.size) / resident, 3),
    }


def grown(update, runner, arguments: int) -> int | None:
    """How far this process grows while it runs two updates, and the arguments, which were there before: bytes."""
    import jax

    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is forgotten
    except OSError:
        return None
    before = status("VmRSS:")
    for _ in range(2):
        runner, *rest = update(runner)
        jax.block_until_ready(rest)
    after = status("VmHWM:")
    return None if before is None or after is None else after - before + arguments


def show(row: dict) -> None:
    """Print a line."""
    keys = ("peak", "program", "whole", "resident")
    sizes = [f"{key} " + ("-" if row[key] is None else f"{row[key] / 1e6:.1f} MB") for key in keys]
    ratios = f"ratios {row['ratio']} {row['ratio_resident']}"
    print(f"{row['name']:26}" + "".join(f"{size:>20}" for size in sizes) + f"  {ratios}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser("python benchmarks/memory.py", allow_abbrev=False)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"which of: {', '.join(CASES)}; the default is all")
    options.add_argument("--out", type=Path)
    options.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one)))
        return
    if unknown := [name for name in chosen.names if name not in CASES]:
        options.error(f"there is no {unknown[0]!r}")
    rows = []
    for name in chosen.names or CASES:
        flags = os.environ.get("XLA_FLAGS", "")
        force = f" --xla_force_host_platform_device_count={DEVICES[name]}" if name in DEVICES else ""
        command = [sys.executable, __file__, "--one", name]
        done = subprocess.run(
            command, env={**os.environ, "XLA_FLAGS": flags + force}, stdout=subprocess.PIPE, check=True
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        show(rows[-1])
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
