"""What the tests of many devices and many processes share: training commands in processes of their own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tiny_runs import tiny_words

ROOT = Path(__file__).parents[2]
QUICK = "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"


def environment(cache: Path, devices: int = 1) -> dict[str, str]:
    """Of a process with so many devices; all processes of a test share a cache of programs."""
    flags = f"{QUICK} --xla_force_host_platform_device_count={devices}"
    path = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "TOWNLET_JAX_CACHE": str(cache)}
    return {**os.environ, **path, "XLA_FLAGS": flags}


def start(words: list[str], cache: Path, devices: int = 1, log: Path | None = None) -> subprocess.Popen:
    """`python -m train.ppo` with those words; what it says goes into a file if one is named."""
    command = [sys.executable, "-m", "train.ppo", *map(str, words)]
    out = subprocess.PIPE if log is None else log.open("w")
    return subprocess.Popen(command, env=environment(cache, devices), stdout=out, stderr=subprocess.STDOUT, text=True)


def port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def pair(runs: Path, name: str, *more: str) -> list[subprocess.Popen]:
    """Two processes that do one tiny run together; what they say is in `runs/NAME.0` and `.1`."""
    runs.mkdir(exist_ok=True)
    three = ["--coordinator", f"127.0.0.1:{port()}", "--num-processes", "2", "--process-id"]
    words = tiny_words(runs, name, "shards=2", *more)
    return [start([*words, *three, i], runs / "cache", log=runs / f"{name}.{i}") for i in range(2)]


def until_logged(folder: Path, rows: int, *processes: subprocess.Popen, seconds: float = 400) -> None:
    """Wait until a run has logged so many updates."""
    path, end = folder / "metrics.jsonl", time.monotonic() + seconds
    while not (path.exists() and path.read_text().count("\n") >= rows):
        assert time.monotonic() < end, "too slow"
        assert all(process.poll() is None for process in processes), "a process ended"
        time.sleep(0.01)
