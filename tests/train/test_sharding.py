"""Towns on several devices learn what they learn on one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from jax.sharding import PartitionSpec
from many import start
from tiny_runs import tiny_words, without_rates

from train.sharding import mesh_of, specs
from train.types import Moments, Scaling

TOWNS = ("num_envs=16", "total_timesteps=3072", "keep_checkpoints=9")  # 6 updates
ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax
from tiny_runs import TINY
from townlet_jax.io.cache import use_compile_cache
from townlet_jax.worlds import compile_document, read
from train.config import load_config
from train.learner import make_train
from train.sharding import mesh_of
use_compile_cache()
words = ("num_envs=16", "shards=8", "memory=gru", "normalise_rewards=true", "curiosity=0.3", "total_timesteps=20480")
config, _ = load_config("ppo_town", (*TINY, *words))
world = compile_document(read("town", (*config.world_set, "systems.lifecycle.episode_ticks=90")))
mesh = mesh_of(config.shards)
train = make_train(world, config, mesh=mesh)
runner, update = jax.jit(train.init)(jax.random.key(0)), jax.jit(train.update, donate_argnums=0)
rows = []
for _ in range(int(sys.argv[2])):
    runner, metrics = update(runner)
    rows.append({name: float(value) for name, value in metrics.items()})
spread = len(runner.states.tick.sharding.device_set)
print(json.dumps({"devices": jax.device_count(), "spread": spread, "episode": runner.episode.tolist(), "rows": rows}))
"""


def learned(devices: int, updates: int) -> dict:
    """What a process with so many host devices logs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "tests" / "train"), str(updates)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("devices", "updates"), [(2, 6), pytest.param(8, 20, marks=pytest.mark.slow)])
def test_many_devices_learn_what_one_learns(devices, updates):
    """Updates of a recurrent policy with reward scale and curiosity, episodes ending on the way: every number within 0.1 %."""
    one, many = learned(1, updates), learned(devices, updates)
    assert (one["devices"], one["spread"]) == (1, 1) and (many["devices"], many["spread"]) == (devices, devices)
    assert one["episode"] == many["episode"] and min(one["episode"]) > updates // 4
    for ours, theirs in zip(one["rows"], many["rows"], strict=True):
        for name, value in ours.items():
            assert theirs[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name


@pytest.mark.slow
def test_a_run_of_eight_devices_resumes_on_eight_and_on_one(tmp_path):
    """From its second update: on 8 devices it ends bit for bit as an uninterrupted run, on 1 but for rounding."""
    words = (*TOWNS, "shards=8")
    whole = start(tiny_words(tmp_path, "whole", *words), tmp_path / "cache", 8)
    assert whole.wait(500) == 0, whole.stdout.read()[-2000:]
    assert "on each of 8 devices" in whole.stdout.read()
    shutil.copytree(tmp_path / "whole", tmp_path / "eight")
    for folder in (tmp_path / "eight" / "checkpoints").glob("[0-9]*"):
        if folder.name > "2":
            shutil.rmtree(folder)
    shutil.copytree(tmp_path / "eight", tmp_path / "one")
    told = {}
    for name, devices in (("eight", 8), ("one", 1)):
        again = start(["--resume", tmp_path / name, "--no-pictures"], tmp_path / "cache", devices)
        told[name] = again.communicate(timeout=500)[0]
        assert again.returncode == 0, told[name][-2000:]
    rows = {name: without_rates(tmp_path / name) for name in ("whole", "eight", "one")}
    assert rows["eight"] == rows["whole"] and rows["one"][:2] == rows["whole"][:2]
    assert digest_of_step(tmp_path / "eight") == digest_of_step(tmp_path / "whole")
    for ours, theirs in zip(rows["one"], rows["whole"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    assert "device_count was 8, is 1" in told["one"] and "device_count" not in told["eight"]


def digest_of_step(folder: Path) -> str:
    """Of the last checkpoint of a tiny run."""
    return json.loads((folder / "checkpoints" / "6" / "MANIFEST.json").read_text())["digest"]


def test_a_mesh_has_as_many_devices_as_divide_the_shards():
    assert mesh_of(1) is None
    assert mesh_of(8) is None if jax.device_count() == 1 else mesh_of(8).size > 1


def test_towns_are_spread_and_networks_are_copied():
    """Of a runner, the leaves with an axis of towns are spread; of the reward scale, only everybody's returns."""
    from flax import struct

    class Some(struct.PyTreeNode):
        params: dict
        states: dict
        scaling: Scaling
        episode: float

    found = specs(Some({"states": 0.0}, {"tick": 0.0, "params": 0.0}, Scaling(0.0, Moments(0.0, 0.0, 0.0)), 0.0))
    towns, all_alike = PartitionSpec("towns"), PartitionSpec()
    assert found.params == {"states": all_alike} and found.states == {"tick": towns, "params": towns}
    assert found.scaling == Scaling(towns, Moments(all_alike, all_alike, all_alike)) and found.episode == towns
