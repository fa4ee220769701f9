"""The folder of a run: it begins whole or not at all, and is read without a trace."""

import shutil

import numpy as np
import pytest
from tiny_runs import TINY

from train import runs
from train.checkpoint import restore
from train.config import load_config
from train.logging import RunError
from train.storage.errors import CheckpointError

WEIGHTS = {"w": np.arange(3.0)}  # as much of a runner as saving needs


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    config, document = load_config("ppo_town", TINY)
    return runs.new(tmp_path_factory.mktemp("unused"), config, document)


def test_a_run_begins_whole_or_not_at_all(setup, tmp_path, monkeypatch):
    """The first checkpoint cannot be saved: there is no run, and the next attempt makes one, with all that belongs to it."""
    run = setup._replace(folder=tmp_path / "x")

    def full(*what):
        raise CheckpointError("no space left on the device")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save", full)
        with pytest.raises(CheckpointError):
            runs.begin(run, WEIGHTS, {"more.json": "{}"})
    with pytest.raises(RunError, match="holds no run"):
        runs.existing(run.folder)
    runs.begin(run, WEIGHTS, {"more.json": "{}"})
    assert runs.texts(runs.existing(run.folder)) == runs.texts(run)
    state, manifest = restore(runs.checkpoints(run), WEIGHTS)
    assert manifest.step == 0 and (state["w"] == WEIGHTS["w"]).all()
    assert (run.folder / "more.json").read_text() == "{}"


def test_what_a_killed_beginning_left_is_not_taken_for_the_new_run(setup, tmp_path):
    """Its checkpoint is there without config.yaml: a run that begins in the same folder has its own, or none."""
    run = setup._replace(folder=tmp_path / "x")
    runs.begin(run, WEIGHTS)
    (run.folder / "config.yaml").unlink()
    runs.begin(run)
    assert runs.finished_saves(run) == []


def test_a_run_is_not_begun_over_another(setup, tmp_path):
    """It is refused before anything of the other one is touched."""
    run = setup._replace(folder=tmp_path / "x")
    runs.begin(run, WEIGHTS)
    with pytest.raises(RunError, match="already holds a run"):
        runs.begin(run, {"w": np.zeros(3)}, {"world.yaml": "another"})
    assert restore(runs.checkpoints(run), WEIGHTS)[0]["w"][2] == 2.0
    assert runs.texts(runs.existing(run.folder)) == runs.texts(run)


def test_a_run_that_cannot_be_written_is_read(tiny_run, tmp_path):
    """Nothing in its folder changes, not even what a killed save left there; the best step is found, too."""
    folder = shutil.copytree(tiny_run, tmp_path / "tiny")
    for path in folder.rglob(".lock"):
        path.unlink()
    (folder / "checkpoints" / "7.orbax-checkpoint-tmp-1").mkdir()
    listed = lambda: sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))
    before, places = listed(), [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for place in places:
        place.chmod(0o555)
    try:
        run, told = runs.existing(folder), []
        assert int(runs.load_runner(run)[0].update) == 6
        assert runs.load_runner(run, "best", told.append)[1].score is not None and told == []
    finally:
        for place in places:
            place.chmod(0o755)
    assert listed() == before


def test_who_asks_for_the_best_step_hears_of_damaged_ones(tiny_run, tmp_path):
    """The best checkpoint is cut short: `report` is told, and the next best one is taken."""
    folder, told = shutil.copytree(tiny_run, tmp_path / "tiny"), []
    run = runs.existing(folder)
    best = runs.load_runner(run, "best")[1].step
    victim = max(
        (p for p in (folder / "checkpoints" / str(best)).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    victim.write_bytes(victim.read_bytes()[:10])
    assert runs.load_runner(run, "best", told.append)[1].step != best
    assert len(told) == 1 and str(best) in told[0]
