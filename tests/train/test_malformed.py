"""Malformed YAML through the command: one clear error each, exit code 2, no traceback, nothing written."""

from pathlib import Path

import pytest
from tiny_runs import run_command

from train import ppo

TRAIN = "name: x\nworld: {world}\n"
WORLDS = {  # what is written below `extends:` of the shipped town, and words that the error must hold
    "unknown key": ("num_agentz: 8\n", ["world.yaml:2", "num_agentz", "num_agents"]),
    "wrong type": ("num_agents: eight\n", ["world.yaml:2", "num_agents", "'eight'"]),
    "float for int": ("num_agents: 8.0\n", ["num_agents", "8.0"]),
    "bool for int": ("num_agents: true\n", ["num_agents", "True"]),
    "out of range": ("num_agents: 65\n", ["num_agents", "65", "64"]),
    "duplicate key": ("num_agents: 8\nnum_agents: 6\n", ["num_agents", "2", "3"]),
    "alias": ("needs: &a [hunger]\nitems: *a\n", ["world.yaml:2"]),
    "tag": ("name: !!python/name:os.system x\n", ["world.yaml:2", "tag"]),
    "not a number": ("systems: {economy: {rent: .nan}}\n", ["world.yaml:2", ".nan"]),
    "octal": ("num_agents: 010\n", ["world.yaml:2", "010"]),
    "tab": ("start:\n\twallet: 3\n", ["world.yaml:3", "tab"]),
    "not a mapping": ("- 1\n", ["world.yaml"]),
    "unknown system": ("systems: {fashion: {}}\n", ["systems.fashion", "movement"]),
    "misspelt system key": ("systems: {intents: {comit_ticks: 15}}\n", ["comit_ticks", "commit_ticks"]),
    "unknown need": ("systems: {needs: {decay: {hungr: 0.1}}}\n", ["decay.hungr", "'hunger'"]),
    "unknown offer price": ("systems: {economy: {prices: {whash: 0.1}}}\n", ["prices.whash", "'wash'"]),
    "unknown reward term": ("systems: {rewards: {weights: {wags: 0.5}}}\n", ["weights.wags", "'wage'"]),
    "needs decay too fast": (
        "systems: {needs: {decay: {hunger: 0.01, hygiene: 0.005, energy: 0.008}}}\n",
        ["systems.needs.decay", "14.40 a day", "do not fit into a day of 1440"],
    ),
    "rent too high": ("systems: {economy: {rent: 5.0}}\n", ["wage", "cannot live on it", "3.60", "5.00"]),
    "missing system": ("systems: {queues: null}\n", ["systems.intents", "'queues'"]),
    "a map with a gap": ('map: {legend: {"h": {home: true}}, rows: "hhh\\nhh\\nhhh"}\n', ["map", "row 2"]),
    "a mark without meaning": ('map: {legend: {"h": {home: true}}, rows: "hhh\\nh?h\\nhhh"}\n', ["map", "'?'"]),
    "an even window": ("observation: {window: 10}\n", ["observation.window", "even"]),
    "shift past midnight": (
        "systems: {employment: {jobs: [{name: clerk, start: 1400, end: 1500, wage: 0.02}]}}\n",
        ["systems.employment.jobs.0.end", "1440"],
    ),
}
TRAINS = {
    "unknown key": ("learning_rat: 0.1\n", ["learning_rat", "learning_rate"]),
    "out of range": ("learning_rate: 3\n", ["learning_rate", "3", "1"]),
    "text": ("num_envs: many\n", ["num_envs", "'many'"]),
    "does not divide": ("num_envs: 10\nnum_minibatches: 4\n", ["num_minibatches", "10"]),
    "unknown world": ("world: twon\n", ["twon", "town"]),
    "bad override": ("world_set: [num_agents]\n", ["--world-set:1", "num_agents"]),
    "empty": ("", ["train.yaml"]),
    "longer than a commitment": ("world: town\nticks_per_decision: 30\n", ["ticks_per_decision", "commit_ticks"]),
    "another discount": ("world_set: ['systems.rewards.shaping={gamma: 0.9}']\n", ["gamma 0.9995", "shaping, 0.9:"]),
    "unknown measure": ("best_by: retrun_per_day\n", ["best_by", "Did you mean 'return_per_day'"]),
    "not whole decisions": ("world: town\nticks_per_decision: 7\n", ["ticks_per_decision 7", "7200"]),
}


def refused(folder: Path, capsys, train: str) -> str:
    """The error of a command that must fail."""
    (folder / "train.yaml").write_text(train)
    assert run_command(ppo.main, "--config", folder / "train.yaml", "--runs", folder / "runs") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and "Traceback" not in captured.err and captured.out == ""
    assert not (folder / "runs").exists(), "a refused run left a folder"
    return captured.err


@pytest.mark.parametrize(("text", "words"), WORLDS.values(), ids=WORLDS)
def test_a_malformed_world(tmp_path, capsys, text, words):
    (tmp_path / "town.yaml").write_text((Path(__file__).parents[2] / "configs/worlds/town.yaml").read_text())
    (tmp_path / "world.yaml").write_text("extends: town.yaml\n" + text)
    error = refused(tmp_path, capsys, TRAIN.format(world=tmp_path / "world.yaml"))
    assert all(word in error for word in words), error


@pytest.mark.parametrize(("text", "words"), TRAINS.values(), ids=TRAINS)
def test_a_malformed_training_configuration(tmp_path, capsys, text, words):
    error = refused(tmp_path, capsys, text)
    assert all(word in error for word in words), error
