"""Many machines: each process runs the same program over one mesh of all devices; the first one alone writes and talks.

    python -m train.ppo --set shards=2 --coordinator HOST:PORT --num-processes 2 --process-id 0     and 1 on the other machine
    srun python -m train.ppo --set shards=16 --distributed                              SLURM, Open MPI or a TPU tell the rest

Everything here does nothing in a run of one process.
"""

import hashlib
import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from townlet_jax.config.errors import ConfigError

from ..logging import RunError
from ..storage.errors import CheckpointError
from .rendezvous import meet

REFUSALS = (ConfigError, CheckpointError, RunError)
LONGEST = 2048  # bytes that a process tells all others at once
SERVICE = "jax_enable_preemption_service"  # it would take SIGTERM away from `cli.Stop`
HEARTBEAT = 60  # seconds without a sign of life after which a process counts as dead


def flags(options: ArgumentParser) -> None:
    """The options that start a run on many machines."""
    many = options.add_argument_group("many machines")
    many.add_argument("--coordinator", metavar="HOST:PORT", help="where the first process is reached by the others")
    many.add_argument("--num-processes", type=int, metavar="N", help="processes in all")
    many.add_argument("--process-id", type=int, metavar="I", help="which of them this is, from 0")
    many.add_argument("--distributed", action="store_true", help="let SLURM, Open MPI or a TPU tell these three")
    many.add_argument("--join-timeout", type=float, default=300.0, metavar="S", help="seconds to wait for the others")


def checked(options: Namespace) -> bool:
    """Whether many processes are asked for.

    Raises:
        RunError: the flags do not fit together.
    """
    three = {name: getattr(options, name) for name in ("coordinator", "num_processes", "process_id")}
    given = [name for name, value in three.items() if value is not None]
    if not 1 <= options.join_timeout <= 86400:
        raise RunError(f"--join-timeout {options.join_timeout:g} is not allowed (1 to 86400 seconds)")
    if options.distributed and given:
        raise RunError(f"--distributed finds out by itself: leave --{given[0].replace('_', '-')} out")
    if given and len(given) < 3:
        missing = next(name for name in three if name not in given)
        raise RunError(
            f"--{missing.replace('_', '-')} is missing: --coordinator, --num-processes, --process-id go together"
        )
    if not given:
        return options.distributed
    if options.num_processes < 1:
        raise RunError(f"--num-processes {options.num_processes} is not allowed (1 or more)")
    if not 0 <= options.process_id < options.num_processes:
        raise RunError(f"--process-id {options.process_id} is not allowed (0 to {options.num_processes - 1})")
    return options.num_processes > 1


@contextmanager
def joined(options: Namespace) -> Iterator[None]:
    """Be one of the processes of a run, from before JAX sees its first device.

    A process that is refused or loses the others ends here with one line and exit code 2, without waiting for anybody.

    Raises:
        RunError: the flags do not fit together, or the processes do not find each other.
    """
    if not checked(options):
        yield
        return
    _connect(options)
    try:
        yield
    except REFUSALS as error:
        _end(str(error))
    except jax.errors.JaxRuntimeError as error:
        _end(exhausted(error) or f"lost the other processes: {_line(error)}")


def exhausted(error: Exception) -> str:
    """What to tell of a device that is out of memory; nothing if the error is another one."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return ""
    return f"out of memory: lower num_envs, num_steps or reset_pool, or raise num_minibatches ({_line(error)})"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _connect(options: Namespace) -> None:
    if hasattr(jax.config, SERVICE):  # since JAX 0.8.2
        jax.config.update(SERVICE, False)
    seconds = {"initialization_timeout": round(options.join_timeout), "heartbeat_timeout_seconds": HEARTBEAT}
    if not options.distributed:
        meet(options.coordinator, options.num_processes, options.process_id, options.join_timeout)
        given = (options.coordinator, options.num_processes, options.process_id)
        jax.distributed.initialize(*given, cluster_detection_method="deactivate", **seconds)
        return
    try:
        jax.distributed.initialize(**seconds)
    except (ValueError, RuntimeError) as error:
        three = "--coordinator HOST:PORT --num-processes N --process-id I"
        raise RunError(f"no launch by SLURM, Open MPI or a TPU was found ({error}): give {three}") from None


def _end(message: str) -> None:
    for line in message.split("\n"):
        print(f"error: {line}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(2)  # the usual way out waits for the others


def leave() -> None:
    """Wait for the other processes and part from them; what comes after is of one process alone."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def first() -> bool:
    """Whether this process is the one that writes and talks."""
    return jax.process_index() == 0


def most(*numbers: int) -> tuple[int, ...]:
    """The largest of each number over all processes."""
    if jax.process_count() == 1:
        return numbers
    found = _gathered(np.array(numbers, np.int32)).max(axis=0)
    return tuple(int(number) for number in found)


@contextmanager
def agreed() -> Iterator[dict[str, Any]]:
    """A part of the work that all processes finish or none: what one refuses is raised in all.

    What is put into the dictionary that it yields must be the same in every process.

    Raises:
        RunError: another process refused, or what should be the same differs.
    """
    same: dict[str, Any] = {}
    if jax.process_count() == 1:
        yield same
        return
    mine: Exception | None = None
    try:
        yield same
    except REFUSALS as refused:
        mine = refused
    told = _told(str(mine or ""), same)
    if mine:
        raise mine
    for index, other in enumerate(told):
        if other["wrong"]:
            raise RunError(f"process {index} refused: {other['wrong']}")
    for name in same:
        if len({other["same"].get(name) for other in told}) > 1:
            raise RunError(f"the processes do not have the same {name}")


def _told(wrong: str, same: dict[str, Any]) -> list[dict[str, Any]]:
    """What each process says: its error, and short hashes of what must be the same."""
    hashes = {name: hashlib.sha256(repr(value).encode()).hexdigest()[:16] for name, value in same.items()}
    text = json.dumps({"wrong": wrong[:1000].encode("ascii", "replace").decode(), "same": hashes}).encode()
    rows = _gathered(np.frombuffer(text.ljust(LONGEST), np.uint8))
    return [json.loads(bytes(row)) for row in rows]


def _gathered(array: np.ndarray) -> np.ndarray:
    """An array of every process, the same everywhere: [processes, ...]."""
    from jax.experimental import multihost_utils  # it takes a second to import

    return np.asarray(multihost_utils.process_allgather(array))
