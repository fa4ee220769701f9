"""A run that hangs is ended, and says where it stood."""

import math
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest
from flax import struct
from many import environment

from townlet_jax import load
from train import runs, session
from train.config import load_config
from train.hardware import watchdog
from train.hardware.watchdog import EXIT, Watchdog
from train.logging import open_run
from train.types import Train

# The third update never ends on the device. argv: folder of the run
HANGS = """
import sys, time
from pathlib import Path
import jax, jax.numpy as jnp
from flax import struct
from train import runs, session
from train.hardware import watchdog
from train.config import TrainConfig
from train.logging import open_run
from train.types import Train
from townlet_jax.config.load import Document
from train.config import load_config
from townlet_jax.env import load

watchdog.LEAST = 1.0

class Fake(struct.PyTreeNode):
    update: jax.Array

def update(runner):
    hang = lambda x: jax.pure_callback(lambda x: time.sleep(1000) or x, x, x)
    there = jax.lax.cond(runner.update == 2, hang, lambda x: x, jnp.int32(1))
    return Fake(runner.update + there), {"wallet": jnp.float32(1.0)}

folder = Path(sys.argv[1])
config, document = load_config("ppo_town", ("best_by=wallet", *sys.argv[2:]))
train = Train(None, update, 10, 1)
run = runs.Setup(folder, config, document, document, load("town"), train, None)
session.learn(run, open_run(folder, "x"), Fake(jnp.int32(0)))
"""


class Fake(struct.PyTreeNode):
    """A runner that only counts."""

    update: jax.Array


def test_an_update_that_hangs_ends_the_run(tmp_path):
    """The rows before it are there, the stacks are dumped, the exit code says so."""
    words = [sys.executable, "-c", HANGS, str(tmp_path / "run"), "watchdog=5.0"]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, timeout=300)
    assert done.returncode == EXIT, done.stderr[-2000:]
    assert "error: update 3 runs for" in done.stderr and "it hangs" in done.stderr
    assert "hread 0x" in done.stderr and 'session.py", line' in done.stderr
    assert (tmp_path / "run" / "metrics.jsonl").read_text().count("\n") == 2


def test_waiting_for_the_other_processes_is_watched(tmp_path, monkeypatch):
    """Before each of three updates all processes are asked whether to go on, within what the watchdog counts as that update."""
    dogs, asked = [], []
    config, document = load_config("ppo_town", ("best_by=wallet",))
    update = lambda runner: (Fake(runner.update + 1), {"wallet": jnp.float32(1.0)})
    monkeypatch.setattr(session, "Watchdog", lambda factor: dogs.append(Watchdog(factor)) or dogs[-1])
    monkeypatch.setattr(session, "most", lambda *numbers: asked.append(dogs[-1]._number) or numbers)
    run = runs.Setup(tmp_path / "x", config, document, document, load("town"), Train(None, update, 3, 1), None)
    session.learn(run, open_run(run.folder, ""), Fake(jnp.int32(0)))
    assert asked == [1, 2, 3, 0]


def test_nobody_looks_where_the_factor_is_0(monkeypatch):
    """The same slow update bites with a factor, and does not without."""
    bites = []
    monkeypatch.setattr(watchdog, "_bite", lambda *what: bites.append(what[0]))
    monkeypatch.setattr(watchdog, "SLICE", 0.01)
    for factor in (0.0, 2.0):
        with Watchdog(factor, least=0.05) as dog:
            dog.seconds.append(0.01)
            with dog.update(7):
                time.sleep(0.3)
        assert bool(bites) == bool(factor)
    assert set(bites) == {7}


def test_the_limit_is_a_multiple_of_the_median():
    """Of 1, 2 and 60 s the median is 2 s: ten times that is 20 s, but never less than the least; at first there is none."""
    dog = Watchdog(10.0, least=5.0)
    assert dog.limit() == math.inf
    dog.seconds.extend([1.0, 60.0, 2.0])
    assert dog.limit() == 20.0 and Watchdog.limit(Watchdog(10.0)) == math.inf
    slow = Watchdog(10.0, least=500.0)
    slow.seconds.append(2.0)
    assert slow.limit() == 500.0


def test_what_it_remembers_is_bounded():
    dog = Watchdog(10.0)
    for number in range(500):
        with dog.update(number):
            pass
    assert len(dog.seconds) == 100


def test_an_update_that_fails_is_not_counted():
    dog = Watchdog(10.0)
    with pytest.raises(ZeroDivisionError), dog.update(1):
        raise ZeroDivisionError
    assert not dog.seconds and dog.limit() == math.inf
