"""How much memory an update will need, from shapes alone, before anything is compiled or allocated.

    peak = 2 runners + a rollout + what one minibatch leaves for its gradient, its part of the rollout included

The runner is there as it was and as it becomes, so that a broken update can be refused. On a CPU the process grows by `RUNTIME`
besides. The compiler, its programs and Python itself come on top, about 1 to 2 GB of the host. See `benchmarks/memory.py`.
"""

import math
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from townlet_jax.types import World

from ..config import TrainConfig
from ..learner import init, program_of
from ..program import Program
from ..rollout import observe
from ..sharding import specs
from ..storage.leaves import is_key
from ..types import Array, Runner, Transition

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
KEY_BYTES = 8  # of a key
RUNTIME = 22_000_000  # bytes: stacks and scratch space of the threads of a CPU; 12 to 45 MB were measured


class Estimate(NamedTuple):
    """Bytes on one device at the peak of an update."""

    runner: int  # towns, networks and all else that goes on, twice
    rollout: int
    minibatch: int  # activations of the networks

    @property
    def peak(self) -> int:
        """All of it."""
        return sum(self)

    def whole(self, devices: int = 1) -> int:
        """What a process with so many devices takes: of a CPU, they share its memory; else it is that of one device."""
        return self.peak * devices + RUNTIME if jax.default_backend() == "cpu" else self.peak


def estimate(world: World, config: TrainConfig, devices: int = 1) -> Estimate:
    """What an update will need.

    Args:
        world: compiled.
        config: of the run.
        devices: over which the towns are spread.
    """
    program = program_of(world, config)
    runner = jax.eval_shape(partial(init, program), jax.random.key(0))
    rollout = rollout_of(program, runner)
    alone = sum(jax.tree.leaves(jax.tree.map(lambda leaf, spec: _part(leaf, spec, devices), runner, specs(runner))))
    minibatch = activations(program, runner, rollout, devices)
    return Estimate(2 * alone, _bytes(rollout) // devices, minibatch)


def rollout_of(program: Program, runner: Runner) -> Transition:
    """The shapes of a rollout of all towns, [T, B, A, ...]."""
    steps, shape = program.config.num_steps, runner.starts.shape
    seen = jax.eval_shape(partial(observe, program.world), runner.states).observation
    of = lambda dtype: jax.ShapeDtypeStruct((steps, *shape), dtype)
    real, whole, flag = of(jnp.float32), of(jnp.int32), of(jnp.bool_)
    return Transition(
        observation=jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((steps, *leaf.shape), leaf.dtype), seen),
        starts=flag,
        action=whole,
        log_prob=real,
        value=real,
        reward=real,
        terminated=flag,
        truncated=flag,
        final_value=real,
        alive=flag,
        acts=flag,
        lesson=whole if program.config.teacher != "none" else (),
    )


def activations(program: Program, runner: Runner, rollout: Transition, devices: int = 1) -> int:
    """The bytes that the networks keep of one minibatch of one device until its gradient is there.

    Masks are not counted, since they are taken anew from what they mask; nor is the same array in another shape.
    """
    parts = program.config.num_minibatches * devices

    def some(axis: int) -> Any:
        cut = lambda shape: (*shape[:axis], shape[axis] // parts, *shape[axis + 1 :])
        return lambda leaf: jax.ShapeDtypeStruct(cut(leaf.shape), leaf.dtype)

    def kept(params: Any, memory: Any, seen: Any, starts: Array) -> Any:
        return jax.vjp(lambda params: program.network.apply(params, memory, seen, starts), params)[1]

    seen = jax.tree.map(some(1), (rollout.observation, rollout.starts))
    found = jax.eval_shape(kept, runner.params, jax.tree.map(some(0), runner.memory), *seen)
    sizes: dict[tuple[int, str], dict[tuple[int, ...], int]] = defaultdict(lambda: defaultdict(int))
    for leaf in jax.tree.leaves(found):
        if leaf.dtype != bool:
            sizes[leaf.size, str(leaf.dtype)][leaf.shape] += _bytes(leaf)
    return sum(max(shapes.values()) for shapes in sizes.values())


def _bytes(tree: Any) -> int:
    return sum(leaf.size * (KEY_BYTES if is_key(leaf) else leaf.dtype.itemsize) for leaf in jax.tree.leaves(tree))


def _part(leaf: Any, spec: jax.sharding.PartitionSpec, devices: int) -> int:
    return _bytes(leaf) // (devices if spec else 1)


def free() -> int | None:
    """The bytes that a device of this process can still take; of the CPU, all of its devices together. None if nobody knows."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    known = [_available(), _allowed()]
    return min((each for each in known if each is not None), default=None)


def _available() -> int | None:
    """What Linux says is available on the machine."""
    try:
        lines = MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _allowed() -> int | None:
    """What is left of the limit of a container."""
    try:
        most, now = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return None if most == "max" else max(int(most) - int(now), 0)
    except (OSError, ValueError):
        return None


def report(need: Estimate, devices: int = 1) -> list[str]:
    """What to tell about an estimate: a line, and another one if it is more than is free.

    Args:
        need: on one device.
        devices: of this process in the run.
    """
    parts = f"runner {told(need.runner)}, rollout {told(need.rollout)}, minibatch {told(need.minibatch)}"
    each = "" if devices == 1 else f" on each of {devices} devices"
    asked, left = need.whole(devices), free()
    runtime = f", runtime {told(RUNTIME)}" if jax.default_backend() == "cpu" else ""
    lines = [f"memory   about {told(asked)}: {parts}{each}{runtime}"]
    if left is not None and asked > left:
        remedy = {
            "runner": "lower num_envs or reset_pool",
            "rollout": "lower num_envs or num_steps",
            "minibatch": "raise num_minibatches, or lower num_envs or hidden",
        }
        most = max(Estimate._fields, key=lambda name: getattr(need, name))
        lines.append(f"warning: {told(asked)} are more than the {told(left)} that are free: {remedy[most]}")
    return lines


def told(count: float) -> str:
    """Bytes for people."""
    unit = min(int(math.log(max(count, 1), 1000)), 4)
    return f"{count / 1000**unit:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}"
