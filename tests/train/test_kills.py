"""The whole trainer, killed and stopped at random moments: nothing that was saved is lost, and the end is the same bit for bit."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from tiny_runs import run_command, same_leaves, tiny_words, without_rates

from train import ppo, runs
from train.checkpoint import latest
from train.logging import read_rows
from train.types import Runner

EVERY = 3  # updates between two saves
CACHE = Path(__file__).resolve().parents[2] / ".jax_cache"  # that of the tests, see tests/conftest.py

# `python -m train.ppo` that hears what the tests ignore: the shell lets what runs in the background ignore SIGINT, `nohup` SIGHUP.
HEARING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("train.ppo", run_name="__main__", alter_sys=True)
"""


def start(words: list[str], cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "TOWNLET_JAX_CACHE": str(cache), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", HEARING, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def logged(folder: Path) -> int:
    """Updates in metrics.jsonl."""
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_compile(process: subprocess.Popen) -> None:
    """Return when signals are heard, and the rows of an earlier process that were not saved are dropped."""
    for line in process.stderr:
        if "compiling" in line:
            return
    raise AssertionError("the run ended before it began")


def wait_for(process: subprocess.Popen, folder: Path, rows: int) -> None:
    """Return when so many updates are logged, or the process has ended."""
    deadline = time.monotonic() + 300
    while logged(folder) < rows and process.poll() is None:
        assert time.monotonic() < deadline, f"{rows} updates were never logged"
        time.sleep(0.002)


def finish(words: list[str], cache: Path) -> None:
    process = start(words, cache)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err


def words_of(folder: Path, updates: int, every: int = EVERY) -> list[str]:
    sizes = (f"total_timesteps={256 * updates}", f"checkpoint_every={every}")
    return tiny_words(folder.parent, folder.name, *sizes)


class Ended(NamedTuple):
    """What a run left behind."""

    runner: Runner
    rows: list[dict]
    best: tuple[int, float | None]  # the best step and its score


def ended(folder: Path) -> Ended:
    run = runs.existing(folder)
    best = runs.load_runner(run, "best")[1]
    return Ended(runs.load_runner(run)[0], without_rates(folder), (best.step, best.score))


def killed(tmp_path: Path, kills: int, updates: int) -> tuple[Ended, Ended]:
    """Kill a run so many times and resume each time. Returns its end, and that of a run that nobody killed."""
    rng, whole, cut = random.Random(kills), tmp_path / "whole", tmp_path / "cut"
    finish(words_of(whole, updates), tmp_path / "cache")
    words, reached = words_of(cut, updates), 0
    for kill in range(kills):
        process = start(words, tmp_path / "cache")
        if kill % 3 == 2:  # while it starts, or a little later
            time.sleep(rng.uniform(0, 8))
        else:
            wait_for_compile(process)
            wait_for(process, cut, reached + 1 + rng.randrange(updates // kills))
            time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        rows = [row["update"] for row in read_rows(cut)]
        newest = latest(runs.checkpoints(runs.existing(cut)), lambda message: None) or 0
        begun = (
            (rows[-1] - 1) // EVERY * EVERY
        )  # the last save that was begun, while at most the one before was in flight
        assert newest >= begun - EVERY, f"kill {kill}: {rows[-1]} updates were logged, and {newest} is the newest save"
        assert rows == list(range(1, rows[-1] + 1)), "a row was lost or came twice"
        words, reached = ["--resume", str(cut), "--no-pictures"], newest
    finish(words, tmp_path / "cache")
    return ended(cut), ended(whole)


def test_a_trainer_killed_twice_ends_like_one_that_was_not(tiny_run, tmp_path):
    """The quick form: two kills while it learns, and the rest in this process."""
    words, reached, cut = tiny_words(tmp_path, "cut"), 0, tmp_path / "cut"
    for _ in range(2):
        process = start(words, CACHE)
        wait_for_compile(process)
        wait_for(process, cut, min(6, reached + 1))
        process.kill()
        process.communicate()
        reached = latest(runs.checkpoints(runs.existing(cut)), lambda message: None) or 0
        assert reached >= (len(read_rows(cut)) - 1) // 2 * 2 - 2
        words = ["--resume", str(cut), "--no-pictures"]
    assert run_command(ppo.main, *words) == 0
    ours, wanted = (runs.load_runner(runs.existing(folder))[0] for folder in (cut, tiny_run))
    assert int(ours.update) == 6 and same_leaves(ours, wanted) and without_rates(cut) == without_rates(tiny_run)


@pytest.mark.slow
def test_a_trainer_killed_ten_times_ends_like_one_that_was_not(tmp_path):
    ours, wanted = killed(tmp_path, kills=10, updates=120)
    assert int(ours.runner.update) == 120 and same_leaves(ours.runner, wanted.runner)
    assert ours.rows == wanted.rows and ours.best == wanted.best


@pytest.mark.slow
def test_signals_at_random_moments(tmp_path):
    """SIGTERM, SIGINT, SIGHUP and SIGTERM twice: the last finished update is saved, or with the second signal nothing is lost."""
    rng, folder, cache = random.Random(1), tmp_path / "run", tmp_path / "cache"
    words, before = words_of(folder, 4000, every=100), 0
    kinds = ["SIGTERM", "SIGINT", "SIGHUP", "twice"] * 2 + ["SIGTERM", "SIGHUP"]
    for kind in kinds:
        process = start(words, cache)
        wait_for_compile(process)
        wait_for(process, folder, before + rng.randrange(1, 8))
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGTERM if kind == "twice" else getattr(signal, kind))
        if kind == "twice":
            time.sleep(rng.uniform(0, 0.02))
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        newest = latest(runs.checkpoints(runs.existing(folder)), pytest.fail) or 0
        if kind == "twice":
            assert process.returncode in (0, 128 + signal.SIGTERM), err
            assert newest >= before // 100 * 100
        else:
            assert process.returncode == (130 if kind == "SIGINT" else 0), err
            assert kind in out and newest == read_rows(folder)[-1]["update"] > 0
        assert "Traceback" not in err
        with runs.alone(folder):  # nobody holds the folder any more
            words, before = ["--resume", str(folder), "--no-pictures"], newest


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("k", [1, 6])
def test_twelve_updates_straight_or_in_two_processes(tmp_path, k, memory):
    """K updates, another process for the rest: every leaf and every row is that of a run of twelve updates in one go."""
    whole, cut, sizes = (
        tmp_path / "whole",
        tmp_path / "cut",
        ("keep_checkpoints=12", f"memory={memory}", "memory_size=8"),
    )
    finish([*words_of(whole, 12, every=1), *(word for size in sizes for word in ("--set", size))], tmp_path / "cache")
    shutil.copytree(whole, cut)
    for step in range(k + 1, 13):
        shutil.rmtree(cut / "checkpoints" / str(step))
    finish(["--resume", str(cut), "--no-pictures"], tmp_path / "cache")
    ours, wanted = (runs.load_runner(runs.existing(folder))[0] for folder in (cut, whole))
    assert int(ours.update) == 12 and same_leaves(ours, wanted)
    assert without_rates(cut) == without_rates(whole)
