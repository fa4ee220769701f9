"""The estimate of memory: its parts by hand, and beside what the compiled update takes."""

import json
from functools import partial
from pathlib import Path

import jax
import pytest
from tiny_runs import TINY, run_command, tiny_words

from townlet_jax.worlds import compile_document, read
from train import collect, ppo, runs
from train.config import load_config
from train.hardware import memory
from train.hardware.memory import Estimate, activations, estimate, report, rollout_of, told
from train.learner import init, program_of
from train.runs import teacher_of

MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "memory-cpu.json"
WORDS = ("memory=gru", "teacher=scripted", "mix=0.5")


@pytest.fixture(scope="module")
def small():
    """A tiny program with a memory and a teacher, and its runner's shapes."""
    config, _ = load_config("ppo_town", (*TINY, *WORDS))
    world = compile_document(read(config.world, config.world_set))
    program = program_of(world, config)
    return program, jax.eval_shape(partial(init, program), jax.random.key(0))


def test_the_rollout_is_the_one_that_is_collected(small):
    """Every leaf has the shape and dtype that `collect.decide` gives it."""
    program, runner = small
    program = program._replace(teacher=teacher_of(program.world, program.config))
    step = jax.eval_shape(partial(collect.decide, program), runner, jax.random.key(0))[1][0]
    guess, steps = rollout_of(program, runner), program.config.num_steps
    assert jax.tree.structure(guess) == jax.tree.structure(step)
    for ours, theirs in zip(jax.tree.leaves(guess), jax.tree.leaves(step)):
        assert (ours.shape, ours.dtype) == ((steps, *theirs.shape), theirs.dtype)


def test_activations_by_hand(small):
    """One hidden layer of 16 in two towers without memory, 4 x 4 x 8 rows a minibatch.

    A tower keeps what its layer makes, which its head reads; both need the features. Weights and slopes come on top.
    """
    program, runner = small
    config = program.config.model_copy(update={"memory": "none", "teacher": "none"})
    program = program_of(program.world, config)
    runner = jax.eval_shape(partial(init, program), jax.random.key(0))
    rollout = rollout_of(program, runner)
    rows, width = 4 * 4 * 8, rollout.observation.features.shape[-1]
    least = 4 * rows * (2 * 16 + width)  # both towers' layers, and the features
    found = activations(program, runner, rollout)
    assert least <= found <= 2 * least
    assert activations(program, runner, rollout, devices=2) < 0.6 * found


def test_parts_grow_as_they_should(small):
    """Twice the steps: twice the rollout. Half the minibatches: the activations of twice as many towns. Two devices: half of it."""
    world, config = small[0].world, small[0].config
    base = estimate(world, config)
    longer = estimate(world, config.model_copy(update={"num_steps": 8}))
    assert longer.rollout == 2 * base.rollout and longer.runner == base.runner
    fewer = estimate(world, config.model_copy(update={"num_minibatches": 1}))
    assert 1.6 * base.minibatch < fewer.minibatch < 2.1 * base.minibatch and fewer.rollout == base.rollout
    spread = estimate(world, config, devices=2)
    assert spread.rollout == base.rollout // 2 and base.runner / 2 < spread.runner < base.runner
    assert base.peak == base.runner + base.rollout + base.minibatch


def test_more_than_is_free_is_warned_of(monkeypatch):
    """What is largest says what to lower."""
    monkeypatch.setattr(memory, "free", lambda: 2_000_000_000)
    assert report(Estimate(10**6, 10**7, 10**8)) == [
        "memory   about 133 MB: runner 1 MB, rollout 10 MB, minibatch 100 MB, runtime 22 MB"
    ]
    said = report(Estimate(10**6, 3 * 10**9, 10**8))
    assert said[1] == "warning: 3.12 GB are more than the 2 GB that are free: lower num_envs or num_steps"
    assert "raise num_minibatches" in report(Estimate(0, 0, 3 * 10**9))[1]
    two = report(Estimate(0, 0, 3 * 10**9), devices=2)
    assert "6.02 GB are more" in two[1] and "minibatch 3 GB on each of 2 devices, runtime 22 MB" in two[0]
    monkeypatch.setattr(memory, "free", lambda: None)
    assert len(report(Estimate(0, 0, 3 * 10**15))) == 1


def test_what_is_free_is_read(tmp_path, monkeypatch):
    """The smaller of what the machine has and what the container may take."""
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.free() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    assert memory.free() == 4000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert memory.free() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free() == 4000 * 1024


def test_bytes_for_people():
    assert [told(n) for n in (0, 999, 1000, 67_300_000, 5.4e9)] == ["0 B", "999 B", "1 kB", "67.3 MB", "5.4 GB"]


def test_a_run_tells_its_memory_before_it_compiles(tmp_path, capsys, monkeypatch):
    """It is warned, not refused; here it stops before it compiles anything."""
    monkeypatch.setattr(memory, "free", lambda: 1000)

    def stop(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "fresh", stop)
    assert run_command(ppo.main, *tiny_words(tmp_path, "x")) == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("memory   about ") and lines[1].startswith("warning: ") and "1 kB" in lines[1]


def test_estimates_are_within_30_percent_of_what_was_measured():
    """Of every configuration in the committed results, estimated anew: what XLA lays out, and what the process grew by."""
    rows = json.loads(MEASURED.read_text())
    assert len(rows) >= 12
    for row in rows:
        config, _ = load_config(row["config"], tuple(row["set"]))
        world = compile_document(read(config.world, config.world_set))
        need = estimate(world, config, row["devices"])
        assert need.peak == pytest.approx(row["program"], rel=0.3), row["name"]
        assert need.whole(row["devices"]) == pytest.approx(row["resident"], rel=0.3), row["name"]
