"""Behaviour cloning: what is learned from a dataset, and what is refused."""

import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_data
from tiny_runs import TINY, run_command, same_leaves

from townlet_jax.config.load import dump
from townlet_jax.worlds import read
from train import bc, cloning, ppo, runs
from train.config import load_config
from train.datasets import folders
from train.datasets.dataset import batches, open_dataset, split
from train.datasets.record import metrics

WORDS = (*TINY, "bc.num_towns=4", "bc.num_steps=2", "bc.learning_rate=0.02", "bc.held_out=0.25", "persistence=0")
SHARDS = (12, 12)


def rule(its, numbers):
    """Towns in which whoever sees a 1 in the first feature takes the second option, and else the first one."""
    found = tiny_data.arrays(its, numbers)
    first = tiny_data.town().static.actions.options
    sign = np.random.default_rng(numbers.start).integers(0, 2, found["actions"].shape)
    found["features"][:] = 0
    found["features"][..., 0] = sign
    return {**found, "actions": (first + sign).astype(np.int32)}


def write(folder, fill=rule):
    folder.mkdir(parents=True)
    its, first = tiny_data.schema(), 0
    book = folders.start(
        folder, tiny_data.PREFIX, its, dump(read("town", [tiny_data.SETTING]).tree), tiny_data.ORIGIN, append=False
    )
    for count in SHARDS:
        one = fill(its, range(first, first + count))
        first += count
        book = folders.add(book, tiny_data.ORIGIN, one, metrics(its, one), first, compress=False)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("bc") / "data")


def command(data, folder, *more):
    words = [word for one in (*WORDS, *more) for word in ("--set", one)]
    return run_command(bc.main, "--data", data, "--name", "clone", "--runs", folder, *words)


def program(*more):
    config, _ = load_config("bc_town", (*WORDS, *more))
    return cloning.cloning(tiny_data.town(), config, 100)


def params_of(its):
    net = its.network
    seen = jax.tree.map(jnp.asarray, next(iter(cloning.pieces(batch_of(), 2)))["seen"])
    return net.init(jax.random.key(0), net.blank((4, 2)), seen, jnp.zeros((2, 4, 2), bool))


def batch_of():
    return rule(tiny_data.schema(), range(4))


def test_a_rule_is_learned_and_holds_in_towns_that_were_held_out(data, tmp_path, capsys):
    assert command(data, tmp_path, "bc.epochs=25") == 0
    result = json.loads((tmp_path / "clone" / "bc.json").read_text())
    rows = [json.loads(line) for line in (tmp_path / "clone" / "bc.jsonl").read_text().splitlines()]
    assert result["passed"] and result["held_out_towns"] == 6 and len(rows) == 25 and result["last_epoch"] == rows[-1]
    assert rows[0]["held_out/accuracy"] < 0.8 and rows[-1]["held_out/accuracy"] == result["held_out_accuracy"] > 0.98
    assert "at least 0.9" in capsys.readouterr().out
    config = runs.existing(tmp_path / "clone").config
    assert (config.world, config.world_set) == (str(data / "world.yaml"), ()), (
        "the configuration names the dataset's world"
    )


def test_who_misses_the_gate_is_kept_and_said_so(data, tmp_path, capsys):
    """One epoch at a small rate learns next to nothing: exit code 1. PPO goes on with the very weights."""
    assert command(data, tmp_path, "bc.epochs=1", "bc.learning_rate=1e-5", "total_timesteps=256") == 1
    assert "below 0.9" in capsys.readouterr().out
    run = runs.existing(tmp_path / "clone")
    runner, manifest = runs.load_runner(run)
    assert manifest.step == 0 and int(runner.update) == 0
    fresh = jax.jit(run.train.init)(jax.random.key(run.config.seed))
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), runner.params, fresh.params)
    assert 0 < max(jax.tree.leaves(moved)) < 1e-2
    assert run_command(ppo.main, "--resume", tmp_path / "clone", "--no-pictures") == 0
    assert int(runs.load_runner(run)[0].update) == 1


class Killed(BaseException):
    """What stops a clone at once, as a kill does."""


def test_a_clone_that_was_killed_goes_on_to_the_same_end(data, tmp_path, monkeypatch, capsys):
    """Killed in its third epoch, asked to stop in its fourth, and another rate refused meanwhile: bit for bit as undisturbed."""
    assert command(data, tmp_path / "whole", "bc.epochs=5") in (0, 1)
    real, count = bc.epoch, []

    def dies(*given):
        if given[-1] == 2 and not count:
            count.append(1)
            raise Killed
        if given[-1] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*given)

    monkeypatch.setattr(bc, "epoch", dies)
    with pytest.raises(Killed):
        command(data, tmp_path / "cut", "bc.epochs=5")
    assert command(data, tmp_path / "cut", "bc.epochs=5", "bc.learning_rate=0.5") == 2
    assert "the unfinished clone in" in capsys.readouterr().err
    assert command(data, tmp_path / "cut", "bc.epochs=5") == 128 + signal.SIGTERM
    told = capsys.readouterr()
    assert "goes on after epoch 2" in told.err and "stopped by SIGTERM after epoch 4 of 5" in told.out
    monkeypatch.setattr(bc, "epoch", real)
    assert command(data, tmp_path / "cut", "bc.epochs=5") in (0, 1)
    whole, cut = (runs.load_runner(runs.existing(tmp_path / name / "clone"))[0] for name in ("whole", "cut"))
    assert same_leaves(whole, cut) and not (tmp_path / "cut" / "clone" / bc.CLONING).exists()
    rows = [(tmp_path / name / "clone" / "bc.jsonl").read_text() for name in ("whole", "cut")]
    assert rows[0] == rows[1] and rows[0].count("\n") == 5


def test_the_verdict_is_that_of_the_towns_that_were_held_out(data, tmp_path):
    """After one epoch, in which much was learned, the accuracy seen on the way is another one."""
    command(data, tmp_path, "bc.epochs=1")
    result = json.loads((tmp_path / "clone" / "bc.json").read_text())
    last = result["last_epoch"]
    assert (
        result["held_out_accuracy"] == last["held_out/accuracy"]
        and abs(last["accuracy"] - last["held_out/accuracy"]) > 0.01
    )
    assert result["passed"] == (last["held_out/accuracy"] >= 0.9)


def test_values_follow_the_rewards():
    """Rewards of 1 at a discount of a half, scale 0.1, an end after the second decision and an own value of 3 after the last:
    0.1 + 0.05, 0.1, 0.1 + 0.5 * 3.
    """
    its = program("gamma=0.5", "ticks_per_decision=1", "reward_scale=0.1")
    shape = (3, 1, 1)
    batch = {name: jnp.zeros(shape, bool) for name in ("terminated", "truncated")} | {"rewards": jnp.ones(shape)}
    batch["terminated"] = batch["terminated"].at[1].set(True)
    own = jnp.array([7.0, 5.0, 3.0]).reshape(shape)
    assert cloning.targets(its, batch, own).ravel().tolist() == pytest.approx([0.15, 0.1, 1.6], rel=1e-4)
    other = program("bc.value=teacher")
    batch["value_preds"] = jnp.array([1.0, 2.0, 3.0]).reshape(shape)
    assert cloning.targets(other, batch, own).ravel().tolist() == [1.0, 2.0, 3.0]


def test_only_decisions_with_a_choice_count():
    """Where one action alone is allowed, or nobody lives, the cross entropy does not depend on the record."""
    its, batch = program(), batch_of()
    params = params_of(its)
    piece = next(iter(cloning.pieces(batch, 2)))
    first = tiny_data.town().static.actions.options
    cut = lambda piece, chosen: {**piece, "actions": np.where(forced, chosen, piece["actions"])}
    forced = np.zeros(piece["actions"].shape, bool)
    forced[0, 0, 0] = True
    mask = np.array(piece["seen"].action_mask)
    mask[0, 0, 0] = False
    mask[0, 0, 0, first] = True
    narrow = {**piece, "seen": piece["seen"].replace(action_mask=mask)}
    found = [float(cloning.loss(its, params, (), cut(narrow, first + k))[0]) for k in (0, 1)]
    assert found[0] == pytest.approx(found[1]), "one allowed action is no choice"
    dead = {**piece, "alive": piece["alive"] & ~forced}
    found = [float(cloning.loss(its, params, (), cut(dead, first + k))[0]) for k in (0, 1)]
    assert found[0] == pytest.approx(found[1])
    found = [float(cloning.loss(its, params, (), cut(piece, first + k))[0]) for k in (0, 1)]
    assert found[0] != pytest.approx(found[1], abs=1e-9), "a choice counts"


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_memory_goes_on_from_piece_to_piece(cell):
    """What is said of the second piece depends on the first, and a record in one piece says the same."""
    its, batch = program(f"memory={cell}", "memory_size=4", "gamma=0.5"), batch_of()
    net = its.network
    seen = batch["features"]
    params = net.init(jax.random.key(0), net.blank((4, 2)), cloning.observation(batch), jnp.asarray(batch["starts"]))
    blank, rows = net.blank((4, 2)), []
    for pieces in (list(cloning.pieces(batch, 3)), list(cloning.pieces(batch, 1))):
        memory = blank
        for piece in pieces:
            memory, parts = cloning.look(its, params, memory, piece)
        rows.append((memory, float(parts["cross_entropy"])))
    assert len(seen) == 3 and all(
        np.allclose(a, b, atol=1e-6) for a, b in zip(jax.tree.leaves(rows[0][0]), jax.tree.leaves(rows[1][0]))
    )
    alone = cloning.look(its, params, blank, piece)[1]
    assert float(alone["cross_entropy"]) != pytest.approx(rows[1][1], abs=1e-9)


@pytest.mark.parametrize("cell", ["none", "gru", "lstm"])
def test_the_same_seed_learns_the_same(data, cell):
    its = program("bc.epochs=1", f"memory={cell}", "memory_size=4")
    learns, _ = split(open_dataset(data), 0.25, 0)
    results = []
    for _ in range(2):
        params = params_of(its)
        learner, found = cloning.epoch(its, cloning.Learner(params, its.optimiser.init(params)), learns, 0)
        results.append((learner.params, found))
        assert not same_leaves(learner.params, params_of(its))
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(results[0][0]), jax.tree.leaves(results[1][0])))
    assert results[0][1] == results[1][1] and sum(1 for _ in batches(learns, 4, 0, drop_last=True)) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("ticks_per_decision=5",), "capture with --every 5"),
        (("bc.num_towns=64",), "bc.num_towns 64 is more than the 18 towns"),
        (("bc.gate=2",), "bc.gate"),
        (("bc.epoch=3",), "Did you mean"),
        (("hidden=[0]",), "hidden"),
        (("world=m3",), "--set world is not allowed: the run is in the dataset's world"),
    ],
)
def test_what_does_not_fit_is_refused(data, tmp_path, capsys, more, message):
    assert command(data, tmp_path, *more) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not (tmp_path / "clone" / "config.yaml").exists()


def test_actions_that_the_policy_may_not_take_are_refused(tmp_path, capsys):
    def moves(its, numbers):
        return {**rule(its, numbers), "actions": np.ones_like(rule(its, numbers)["actions"])}

    folder = write(tmp_path / "moves", moves)
    assert command(folder, tmp_path, "bc.epochs=1") == 2
    assert "actions='options' forbids" in capsys.readouterr().err


def test_no_dataset_no_traceback(tmp_path, capsys):
    assert command(tmp_path / "none", tmp_path) == 2
    assert "holds no dataset" in capsys.readouterr().err


def test_pieces_count_by_what_they_are_means_over():
    """Pieces of 1 and 3 choices among 4 and 4, then of 1 among 9: 0.2 x 4/17 + 0.6 x 4/17 + 1.0 x 9/17 of the living."""
    piece = lambda value, choices, living: {
        **dict.fromkeys(("loss", "cross_entropy", "accuracy", *cloning.OF_LIVING), np.float32(value)),
        "decisions": np.float32(choices),
        "living": np.float32(living),
    }
    found = cloning.average([piece(0.2, 1, 4), piece(0.6, 3, 4), piece(1.0, 1, 9)])
    assert found["cross_entropy"] == found["accuracy"] == pytest.approx((0.2 + 1.8 + 1.0) / 5)
    of_living = [found[name] for name in ("value_loss", "accuracy_of_all", "forbidden")]
    assert of_living == pytest.approx([(0.8 + 2.4 + 9.0) / 17] * 3)
    assert (found["decisions"], found["living"]) == (5.0, 17.0)
    nobody = cloning.average([piece(0.2, 0, 4), piece(0.6, 0, 12)])
    assert nobody["accuracy"] == pytest.approx(0.4) and nobody["forbidden"] == pytest.approx(0.5)
