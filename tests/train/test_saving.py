"""Saves in the background: learning goes on, nothing is reported too early, and no error is lost."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import run_command, tiny_words

from train import ppo, runs
from train.checkpoint import best, latest, open_store, restore, verify
from train.cli import Stop
from train.logging import read_rows
from train.storage import manifest as manifests
from train.storage import saving
from train.storage.errors import CheckpointError
from train.storage.saving import Saver

ROOT = Path(__file__).resolve().parents[2]


def steps(store) -> list[int]:
    return sorted(int(path.name) for path in store.folder.glob("[0-9]*"))


@pytest.fixture
def gate(monkeypatch):
    """Saves wait for `gate.set()` before they write."""
    gate, commit = threading.Event(), saving.commit

    def slow(*args):
        assert gate.wait(20)
        return commit(*args)

    monkeypatch.setattr(saving, "commit", slow)
    yield gate
    gate.set()


def test_a_save_does_not_stop_learning_and_counts_when_its_manifest_is_there(tmp_path, gate):
    store = open_store(tmp_path)
    with Saver(store) as saver:
        saver.save(1, {"w": jnp.ones(3)}, {})  # returns, though nothing can be written yet
        assert saver.saved == 0 and latest(store) is None
        gate.set()
        saver.wait()
        assert saver.saved == 1 == latest(store)


def test_one_save_at_a_time(tmp_path, gate):
    """The second save waits for the first one."""
    store = open_store(tmp_path)
    with Saver(store) as saver:
        saver.save(1, {"w": jnp.ones(3)}, {})
        threading.Timer(0.2, gate.set).start()
        saver.save(2, {"w": jnp.ones(3)}, {})
        assert gate.is_set() and verify(store, 1)
    assert steps(store) == [1, 2] and saver.saved == 2


def test_what_was_donated_is_saved_as_it_was(tmp_path, gate):
    """The next update overwrites the buffers while the save still waits; what comes back is what was handed over."""
    store, target = open_store(tmp_path), {"w": jnp.zeros(1 << 16), "host": np.zeros(4)}
    update = jax.jit(lambda w: w * 0 - 1, donate_argnums=0)
    with Saver(store) as saver:
        w, host = jnp.arange(1 << 16, dtype=jnp.float32), np.arange(4.0)
        saver.save(1, {"w": w, "host": host}, {})
        w, host[:] = update(w), -1
        gate.set()
    found, _ = restore(store, target)
    assert np.array_equal(found["w"], np.arange(1 << 16)) and found["host"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("then", ["save", "wait", "leave"])
def test_an_error_is_raised_by_what_comes_next(tmp_path, monkeypatch, then):
    def full(folder, manifest):
        raise OSError(28, "No space left on device")

    store = open_store(tmp_path)
    with pytest.raises(CheckpointError, match="cannot save step 1 .* No space left"), Saver(store) as saver:
        with monkeypatch.context() as patch:
            patch.setattr(manifests, "write", full)
            saver.save(1, {"w": jnp.ones(3)}, {})
            saver._thread.submit(lambda: None).result()  # it has failed by now
        if then == "save":
            saver.save(2, {"w": jnp.ones(3)}, {})
        elif then == "wait":
            saver.wait()
    assert saver.saved == 0 and steps(store) == [], "a failed save left something"


def test_an_error_of_a_save_does_not_hide_the_first_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(manifests, "write", lambda folder, manifest: 1 / 0)
    with pytest.raises(KeyError), Saver(open_store(tmp_path)) as saver:
        saver.save(1, {"w": jnp.ones(3)}, {})
        raise KeyError("first")
    assert "cannot save step 1" in capsys.readouterr().err


def test_the_best_is_never_rotated_away(tmp_path):
    """Scores 1 5 2 3 5 0 -: two newest are kept, and the newer of the two fives; nothing without a score is best."""
    store = open_store(tmp_path, keep=2, keep_best=1)
    with Saver(store) as saver:
        for step, score in enumerate((1.0, 5.0, 2.0, 3.0, 5.0, 0.0, None), start=1):
            saver.save_now(step, {"w": np.full(3, step)}, {}, score)
            if step == 4:
                assert steps(store) == [2, 3, 4] and best(store) == 2
    assert steps(store) == [5, 6, 7] and best(store) == 5
    (store.folder / "5" / manifests.NAME).write_text("{")
    assert best(store, lambda message: None) == 6, "a damaged one is not the best"


def test_a_full_disk_ends_a_run(tiny_run, tmp_path, monkeypatch, capsys):
    """The save in the background fails: the command says so in one line, and exits with 2."""
    write = manifests.write

    def full(folder: Path, manifest):
        if manifest.step >= 4:
            raise OSError(28, "No space left on device")
        write(folder, manifest)

    monkeypatch.setattr(manifests, "write", full)
    assert run_command(ppo.main, *tiny_words(tmp_path, "full")) == 2
    error = capsys.readouterr().err
    assert "error: cannot save step 4" in error and "No space left on device" in error and "Traceback" not in error
    store = runs.checkpoints(runs.existing(tmp_path / "full"))
    assert latest(store, pytest.fail) == 2 and steps(store) == [2]


def test_the_best_of_a_run_can_be_asked_for(tiny_run, capsys):
    """Its score is the mean return of the updates since the save before, two here; the first is best in this run."""
    run = runs.existing(tiny_run)
    rows, key = read_rows(tiny_run), "return_per_day"
    means = {i: (rows[i - 2][key] + rows[i - 1][key]) / 2 for i in (2, 4, 6)}
    wanted = max(means, key=means.get)
    runner, manifest = runs.load_runner(run, "best")
    assert manifest.step == wanted == int(runner.update) and manifest.score == pytest.approx(means[wanted])


@pytest.fixture
def heard():
    """Signals are heard, although the tests may run in the background or under `nohup`."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in Stop.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_asks(name, heard, capfd):
    with Stop() as stop:
        os.kill(os.getpid(), getattr(signal, name))
        assert stop.asked == name
    assert "stopping after this update" in capfd.readouterr().err


def test_a_signal_that_was_ignored_still_is():
    """`nohup` ignores SIGHUP, and the shell SIGINT for what runs in the background."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.asked == ""
    finally:
        signal.signal(signal.SIGHUP, before)


TERMINAL = """
import os, pty, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
child, master = pty.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
said = b""
while b"ready" not in said:
    said += os.read(master, 1000)
os.close(master)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
RUN = """
import time
from pathlib import Path
from train.cli import Stop
with Stop() as stop:
    print("ready", flush=True)
    while not stop.asked:
        time.sleep(0.01)
    print("to nobody", flush=True)
Path("end").write_text(stop.asked)
"""


def test_a_terminal_that_is_gone_does_not_end_a_run(tmp_path):
    """SIGHUP asks when the terminal goes away; what is printed then goes nowhere, and breaks nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", TERMINAL, RUN], cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == 0 and (tmp_path / "end").read_text() == "SIGHUP"
