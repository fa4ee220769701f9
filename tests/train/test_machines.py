"""Many processes on one mesh: they find each other, learn what one learns, stop together, and end when one is lost."""

import signal
import socket
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from many import pair, port, start, until_logged
from tiny_runs import run_command, tiny_words, without_rates

from train import ppo, runs
from train.checkpoint import verify
from train.hardware import machines, rendezvous
from train.hardware.rendezvous import meet
from train.logging import RunError, read_rows


def outcome(address: str, count: int, index: int, seconds: float) -> str:
    """What a process is told: nothing if all is well."""
    try:
        meet(address, count, index, seconds)
    except RunError as error:
        return str(error)
    return ""


def told(where: str, *processes: tuple[int, int], seconds: float = 20) -> list[str]:
    """What (count, index) of several processes at once are told."""
    with ThreadPoolExecutor(len(processes)) as pool:
        calls = [pool.submit(outcome, where, count, index, seconds) for count, index in processes]
        return [call.result() for call in calls]


def test_processes_meet():
    assert told(f"127.0.0.1:{port()}", (3, 2), (3, 0), (3, 1)) == ["", "", ""]


def test_who_stays_silent_keeps_nobody_waiting(monkeypatch):
    """Somebody connects first and says nothing: after a moment the first process listens to the others."""
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.3)
    number = port()
    with ThreadPoolExecutor(2) as pool:
        head = pool.submit(outcome, f"127.0.0.1:{number}", 2, 0, 20)
        silent = connected(number)
        other = pool.submit(outcome, f"127.0.0.1:{number}", 2, 1, 20)
        begun = time.monotonic()
        assert (head.result(), other.result()) == ("", "") and time.monotonic() - begun < 10
        silent.close()


def connected(number: int) -> socket.socket:
    """A connection to a port, as soon as somebody listens there."""
    until = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", number), timeout=10)
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_two_of_one_number_are_refused():
    said = told(f"127.0.0.1:{port()}", (3, 0), (3, 1), (3, 1), seconds=3)
    assert said[0] == "two processes were started with --process-id 1" and said[0] in said[1:]


def test_processes_that_count_differently_are_refused():
    said = told(f"127.0.0.1:{port()}", (2, 0), (4, 1), seconds=3)
    assert said == ["process 1 was started with --num-processes 4, process 0 with 2"] * 2


def test_a_missing_process_is_named():
    assert (
        told(f"127.0.0.1:{port()}", (4, 0), (4, 2), seconds=1)[0] == "of 4 processes these did not come in time: 1, 3"
    )


def test_a_coordinator_that_is_not_there_is_told_in_one_line(tmp_path, capsys):
    three = ("--coordinator", f"127.0.0.1:{port()}", "--num-processes", "2", "--process-id", "1")
    begun = time.monotonic()
    assert run_command(ppo.main, *tiny_words(tmp_path, "x"), *three, "--join-timeout", "1") == 2
    error = capsys.readouterr().err
    assert "was not reached in time: Connection refused" in error and error.count("\n") == 1
    assert time.monotonic() - begun < 10 and not (tmp_path / "x").exists()


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("", 0)) as server:
        assert "cannot listen on port" in outcome(f"127.0.0.1:{server.getsockname()[1]}", 2, 0, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--coordinator", "a:1"], "--num-processes is missing"),
        (["--num-processes", "2", "--process-id", "0"], "--coordinator is missing"),
        (
            ["--coordinator", "a:1", "--num-processes", "2", "--process-id", "2"],
            "--process-id 2 is not allowed (0 to 1)",
        ),
        (["--coordinator", "a:1", "--num-processes", "0", "--process-id", "0"], "--num-processes 0 is not allowed"),
        (["--distributed", "--process-id", "0"], "leave --process-id out"),
        (["--join-timeout", "0"], "--join-timeout 0 is not allowed"),
    ],
)
def test_flags_that_do_not_fit_are_refused(words, message):
    options = ArgumentParser()
    machines.flags(options)
    with pytest.raises(RunError) as refused:
        machines.checked(options.parse_args(words))
    assert message in str(refused.value)


def test_an_address_needs_a_port():
    for text in ("host", "host:", ":80", "host:0", "host:99999", "host:x"):
        assert "is not allowed (HOST:PORT" in outcome(text, 2, 1, 1)


def test_one_process_is_alone():
    """Without the flags nothing is joined, everything is agreed, and the one process is the first."""
    options = ArgumentParser()
    machines.flags(options)
    with machines.joined(options.parse_args([])), machines.agreed() as same:
        same["anything"] = 1
    assert machines.first() and machines.most(3, 0) == (3, 0) and jax.process_count() == 1


def test_a_device_out_of_memory_is_told_with_a_remedy(capsys, monkeypatch):
    """By one process and by many, which have lost nobody; other errors of the device stay what they are."""

    def fails(text):
        raise jax.errors.JaxRuntimeError(text)

    full = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9999 bytes.\nMore."
    assert run_command(lambda: fails(full)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: out of memory: lower num_envs") and "9999 bytes" in error and error.count("\n") == 1
    with pytest.raises(jax.errors.JaxRuntimeError):
        run_command(lambda: fails("INTERNAL: something else"))
    said = []
    monkeypatch.setattr(machines, "checked", lambda options: True)
    monkeypatch.setattr(machines, "_connect", lambda options: None)
    monkeypatch.setattr(machines, "_end", said.append)
    for text in (full, "UNAVAILABLE: connection reset"):
        with machines.joined(None):
            fails(text)
    assert "out of memory" in said[0] and "lost" not in said[0]
    assert said[1] == "lost the other processes: UNAVAILABLE: connection reset"


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    """Over loopback: the same rows and parameters as one process, one folder, one checkpoint that one process goes on with."""
    two = pair(tmp_path, "two")
    assert [process.wait(400) for process in two] == [0, 0], (tmp_path / "two.0").read_text()[-2000:]
    assert "update 6/6" in (tmp_path / "two.0").read_text() and "update" not in (tmp_path / "two.1").read_text()
    assert run_command(ppo.main, *tiny_words(tmp_path, "one", "shards=2")) == 0
    told = []
    ours, _ = runs.load_runner(runs.existing(tmp_path / "two"), report=told.append)
    theirs, _ = runs.load_runner(runs.existing(tmp_path / "one"))
    assert "process_count was 2, is 1" in told[0]
    for a, b in zip(jax.tree.leaves(ours.params), jax.tree.leaves(theirs.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    for a, b in zip(without_rates(tmp_path / "two"), without_rates(tmp_path / "one"), strict=True):
        assert a == pytest.approx(b, rel=1e-2, abs=1e-3)


@pytest.mark.slow
def test_a_signal_to_one_stops_both(tmp_path):
    """SIGTERM at the second process: both end with 0 after the same update, which is saved."""
    cut = pair(tmp_path, "cut", "total_timesteps=1536000")
    until_logged(tmp_path / "cut", 1, *cut)
    cut[1].send_signal(signal.SIGTERM)
    assert [process.wait(120) for process in cut] == [0, 0]
    assert "stopped by SIGTERM" in (tmp_path / "cut.0").read_text()
    done = len(read_rows(tmp_path / "cut"))
    assert (tmp_path / "cut" / "checkpoints" / str(done) / "MANIFEST.json").is_file()


@pytest.mark.slow
def test_a_resumed_pair_ends_as_an_uninterrupted_one(tmp_path):
    """Two processes, killed after a checkpoint and resumed by two: every logged number and every leaf is the same."""
    whole = pair(tmp_path, "whole")
    assert [process.wait(400) for process in whole] == [0, 0]
    cut = pair(tmp_path, "cut")
    until_logged(tmp_path / "cut", 3, *cut)
    for process in cut:
        process.kill()
        process.wait(60)
    three = ["--coordinator", f"127.0.0.1:{port()}", "--num-processes", "2", "--process-id"]
    words = ["--resume", tmp_path / "cut", "--no-pictures", *three]
    again = [start([*words, i], tmp_path / "cache", log=tmp_path / f"again.{i}") for i in range(2)]
    assert [process.wait(400) for process in again] == [0, 0], (tmp_path / "again.0").read_text()[-2000:]
    assert without_rates(tmp_path / "cut") == without_rates(tmp_path / "whole")
    store = [runs.checkpoints(runs.existing(tmp_path / name)) for name in ("cut", "whole")]
    assert verify(store[0], 6).digest == verify(store[1], 6).digest


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other(tmp_path, victim):
    """Within two minutes, with an exit code that is not 0."""
    both = pair(tmp_path, "run", "total_timesteps=15360000")
    until_logged(tmp_path / "run", 1, *both)
    both[victim].kill()
    begun = time.monotonic()
    assert both[1 - victim].wait(120) != 0
    said = (tmp_path / f"run.{1 - victim}").read_text()
    assert "error: lost the other processes" in said or "another task died" in said
    assert time.monotonic() - begun < 120


@pytest.mark.slow
def test_what_one_process_refuses_ends_both(tmp_path):
    """The folder is taken, which only the first process sees: both say so and end with 2."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 0\n")
    both = pair(tmp_path, "run")
    assert [process.wait(120) for process in both] == [2, 2]
    assert "already holds a run" in (tmp_path / "run.0").read_text()
    assert "process 0 refused" in (tmp_path / "run.1").read_text()
