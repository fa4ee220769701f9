"""A policy in one file: what is written comes back bit for bit, plays the same, and nothing damaged is taken."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import run_command, same_leaves

from train import export, replay, runs
from train.storage import manifest as manifests
from train.storage.errors import CheckpointError
from train.storage.leaves import policy_hash
from train.storage.sealed import load_sealed, save_sealed


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """(file, run, runner, manifest) of the best checkpoint of the tiny run."""
    path = tmp_path_factory.mktemp("export") / "policy.npz"
    assert run_command(export.main, "--run", tiny_run, "--step", "best", "--out", path) == 0
    run = runs.existing(tiny_run)
    return path, run, *runs.load_runner(run, "best")


def test_parameters_come_back_with_all_that_says_what_they_are(exported):
    path, run, runner, manifest = exported
    told = []
    found = export.load_export(path, told.append)
    config, world_document, params = found[:3]
    assert same_leaves(params, runner.params) and jax.tree.structure(params) == jax.tree.structure(runner.params)
    assert config == run.config and world_document.tree == run.world_document.tree and told == []
    assert found.step == manifest.step and found.policy == manifest.policy == policy_hash(runner.params)
    assert found.identity == runs.identity(run)


def test_an_exported_policy_opens_as_the_run_that_it_is_from(exported):
    path, run, runner, manifest = exported
    again, params, step = export.opened(path)
    assert (again.world.static.config_id, again.config, step) == (run.world.static.config_id, run.config, manifest.step)
    assert same_leaves(params, runner.params) and again.folder == path.parent


def test_replay_plays_a_file(exported, tmp_path, capsys):
    path = exported[0]
    words = ("--params", path, "--days", 0.02, "--out", tmp_path / "p.gif")
    assert run_command(replay.main, *words) == 0
    assert "digests match" in capsys.readouterr().out and (tmp_path / "p.gif").read_bytes()[:3] == b"GIF"
    assert run_command(replay.main, *words, "--step", "2") == 2
    assert "a policy have no checkpoints" in capsys.readouterr().err


def test_every_changed_byte_is_seen(exported, tmp_path):
    """Two hundred single bits, anywhere, and cut ends."""
    data, path = exported[0].read_bytes(), tmp_path / "bad.npz"
    rng = np.random.default_rng(0)
    for at in rng.choice(len(data), 200, replace=False):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :])
        with pytest.raises(CheckpointError, match="is no exported policy"):
            export.load_export(path)
    for end in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(CheckpointError, match="is no exported policy"):
            export.load_export(path)


def rewritten(source, target, **fields):
    """A sealed file with other words in its header."""
    header, arrays = load_sealed(source, 1 << 30)
    save_sealed(target, {**header, **fields}, arrays)
    return target


def test_files_that_lie_are_refused(exported, tmp_path):
    path, bad = exported[0], tmp_path / "bad.npz"
    with pytest.raises(CheckpointError, match="have another hash than 000000000000"):
        export.load_export(rewritten(path, bad, policy="0" * 64))
    with pytest.raises(CheckpointError, match="schema 9, this version reads 1: townlet-jax 7 or newer"):
        export.load_export(rewritten(path, bad, schema=9, versions={"townlet-jax": "7"}))
    with pytest.raises(CheckpointError, match="is no exported policy"):
        export.load_export(rewritten(path, bad, kind="recipe"))
    identity = {**runs.identity(exported[1]), "actions": ["wait", "fly"]}
    with pytest.raises(CheckpointError, match="made with another actions: actions: 'fly' was"):
        export.opened(rewritten(path, bad, identity=identity))
    with pytest.raises(CheckpointError, match="No such file"):
        export.load_export(tmp_path / "none.npz")


def test_other_packages_are_told_and_not_refused(exported, tmp_path):
    header, _ = load_sealed(exported[0], 1 << 30)
    other = rewritten(exported[0], tmp_path / "old.npz", versions={**header["versions"], "flax": "0.1"})
    told = []
    assert export.load_export(other, told.append).step == header["step"]
    assert len(told) == 1 and "flax was '0.1', is" in told[0]


def test_numbers_that_numpy_has_no_name_for(exported, tmp_path):
    """bfloat16, integers, booleans and NaN, through the same file format."""
    _, run, _, manifest = exported
    params = {
        "a/b": {"half": jnp.array([1 / 3, jnp.nan, -0.0], jnp.bfloat16)},
        "n": jnp.arange(3),
        "on": jnp.array([True]),
    }
    policy = export.save_export(tmp_path / "p.npz", run, params, manifest)
    found = export.load_export(tmp_path / "p.npz")
    assert same_leaves(found.params, params) and found.policy == policy == policy_hash(params)
    assert found.params["a/b"]["half"].dtype == jnp.bfloat16
    with pytest.raises(CheckpointError, match="does not fit the network"):
        export.opened(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "policy.txt"), "ends in .npz"),
        (("--out", "/proc/none/p.npz"), "cannot write /proc/none/p.npz"),
        (("--out", "p.npz", "--step", "newest"), "the number of a checkpoint, or best"),
        (("--out", "p.npz", "--step", "99"), "99 is missing"),
    ],
)
def test_what_cannot_be_exported(tiny_run, words, message, capsys):
    assert run_command(export.main, "--run", tiny_run, *words) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_run_without_scores_has_no_best(tiny_run, tmp_path, capsys):
    """As one of an older schema: the message says to name a step."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    for path in folder.rglob(manifests.NAME):
        fields = json.loads(path.read_bytes())
        del fields["sha256"]
        path.write_bytes(manifests.encode({**fields, "score": None}))
    assert run_command(export.main, "--run", folder, "--step", "best", "--out", tmp_path / "p.npz") == 2
    assert "has a score and verifies: ask for a step by its number" in capsys.readouterr().err
