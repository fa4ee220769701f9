"""Captures: what is on record is what happened, whoever played; what is kept, added and exported is what was asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_data
from tiny_runs import run_command

from townlet_jax import engine, policies
from townlet_jax.config.load import find, resolve
from townlet_jax.observe import observe
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.types import World
from townlet_jax.worlds import compile_document
from train import capture, runs
from train.datasets.dataset import Dataset, batches, load_sample, open_dataset, world_of
from train.datasets.npz import DatasetError
from train.datasets.record import STREAM, capture_keys, record
from train.datasets.shards import MANIFEST, METRICS, read_manifest
from train.players import Choice, Player, memoryless
from train.program import learned

STEP, RESET, OBSERVE = jax.jit(engine.step), jax.jit(engine.reset), jax.jit(observe)
DECIDE = jax.jit(lambda world, player, state, memory, key: player.decide(player.params, world, state, memory, key))
# an episode of 4 decisions; who is poor in needs collapses after 3 ticks, and somebody else comes 5 to 20 ticks later
SETTINGS = (
    "observation.variant=compact",
    "systems.lifecycle.episode_ticks=60",
    "systems.lifecycle.collapse_ticks=3",
    "start.needs=[0.032, 0.06]",
)
SCRIPTED = ["--policy", "scripted", *(word for one in SETTINGS for word in ("--world-set", one)), "--every", 15]
SHORT = [*SCRIPTED, "--days", 0.1, "--towns-per-shard", 2]  # 144 ticks: 9 decisions, more than two episodes


class Captured(NamedTuple):
    """A dataset and all its towns side by side."""

    dataset: Dataset
    arrays: dict[str, np.ndarray]


def read(folder: Path) -> Captured:
    dataset = open_dataset(folder)
    return Captured(dataset, next(batches(dataset, num_towns=10_000, seed=None)))


@pytest.fixture(scope="module")
def scripted(tmp_path_factory) -> Captured:
    """Five scripted towns in shards of two."""
    folder = tmp_path_factory.mktemp("data") / "scripted"
    assert run_command(capture.main, *SHORT, "--num-envs", 5, "--out", folder) == 0
    return read(folder)


@pytest.fixture(scope="module")
def of_run(tiny_run, tmp_path_factory) -> Captured:
    """Two towns that the policy of the tiny run plays for 4 decisions."""
    folder = tmp_path_factory.mktemp("data") / "learned"
    words = ["--run", tiny_run, "--num-envs", 2, "--days", 4 * 15 / 1440, "--out", folder, "--seed", 3]
    assert run_command(capture.main, *words) == 0
    return read(folder)


def by_hand(world: World, player: Player, seed: int, town: int, num_decisions: int, episode: int, gamma: float):
    """What happens in a town, tick by tick: a dict of each decision."""
    told, state, key, before, memory = [], None, None, None, ()
    own = jax.random.fold_in(engine.stream(jax.random.key(seed), STREAM), town)
    for number in range(num_decisions):
        if number % episode == 0:
            key = jax.random.fold_in(own, number // episode)
            state, before = RESET(world, key), None
            memory = player.begin(world, state)
        seen, alive, generation = OBSERVE(world, state), np.asarray(state.agents.alive), state.agents.generation
        now = engine.stream(engine.tick_key(key, state), "policy")
        choice, memory = DECIDE(world, player, state, memory, now)
        rewards, lives = np.zeros(len(alive)), alive.copy()
        for tick in range(player.every):
            actions = choice.action if tick == 0 else np.full(len(alive), WAIT_ACTION, np.int32)
            state = STEP(world, state, actions, engine.tick_key(key, state))
            rewards += np.where(lives, gamma**tick * np.asarray(state.reward) / 1e6, 0)
            lives &= ~np.asarray(state.terminated)
        new = np.ones_like(alive) if before is None else ~before[0] | (np.asarray(generation) != before[1])
        told.append(
            {
                "features": seen.features,
                "actions": choice.action,
                "old_log_probs": choice.log_prob,
                "value_preds": choice.value,
                "rewards": rewards,
                "terminated": alive & ~lives,
                "truncated": np.broadcast_to(state.truncated, alive.shape),
                "alive": alive,
                "starts": alive & new,
                "mask": seen.action_mask,
            }
        )
        before = alive, np.asarray(generation)
    last = DECIDE(world, player, state, memory, engine.stream(engine.tick_key(key, state), "policy"))[0].value
    return {name: np.stack([one[name] for one in told]) for name in told[0]}, np.asarray(last)


EXACT = ("actions", "terminated", "truncated", "alive", "starts")
CLOSE = ("features", "rewards", "old_log_probs")


def agree(arrays, town, hand):
    for name in EXACT:
        assert np.array_equal(arrays[name][:, town], hand[name]), name
    for name in CLOSE:
        np.testing.assert_allclose(arrays[name][:, town], hand[name], rtol=1e-4, atol=2e-5, err_msg=name)
    np.testing.assert_allclose(arrays["value_preds"][:-1, town], hand["value_preds"], rtol=1e-4, atol=2e-5)


def test_a_scripted_record_is_what_happens_by_hand(scripted):
    world, arrays = world_of(scripted.dataset), scripted.arrays
    assert arrays["features"].shape == (9, 5, 8, 77) and arrays["towns"].tolist() == [0, 1, 2, 3, 4]
    for town in (0, 4):
        hand, _ = by_hand(world, memoryless(policies.scripted, 15), 0, town, 9, 4, 1.0)
        agree(arrays, town, hand)
        assert np.array_equal(arrays["action_mask"][:, town], hand["mask"])
    assert arrays["truncated"].all((1, 2)).tolist() == [False, False, False, True, False, False, False, True, False]
    assert arrays["terminated"].sum() > 10 and (~arrays["alive"]).any(), "nobody died: the test shows too little"
    fresh = arrays["starts"] & ~np.isin(np.arange(9), (0, 4, 8))[:, None, None]
    assert fresh.any() and arrays["starts"][[0, 4, 8]].all(), "no newcomer: the test shows too little"
    assert np.array_equal(arrays["dones"], arrays["terminated"] | arrays["truncated"])


def test_a_learned_record_is_what_happens_by_hand(of_run, tiny_run):
    run = runs.existing(tiny_run)
    runner, _ = runs.load_runner(run)
    player, arrays = learned(run.world, run.config, runner.params), of_run.arrays
    hand, last = by_hand(run.world, player, 3, 1, 4, 480, run.config.gamma)
    agree(arrays, 1, hand)
    np.testing.assert_allclose(arrays["value_preds"][-1, 1], last, rtol=1e-4, atol=2e-5)
    assert (hand["old_log_probs"] < 0).any() and not np.allclose(last, 0)
    layout = run.world.static.actions  # of a run with `actions: options`
    assert not arrays["action_mask"][..., 1 : layout.options].any()
    assert np.array_equal(arrays["action_mask"][:, 1, :, layout.options :], hand["mask"][:, :, layout.options :])
    assert of_run.dataset.schema.gamma == run.config.gamma


def test_every_action_is_one_that_the_mask_allows(scripted, of_run):
    for arrays in (scripted.arrays, of_run.arrays):
        assert np.take_along_axis(arrays["action_mask"], arrays["actions"][..., None], -1).all()


def counting() -> Player:
    """Everybody waits. The value is 100 a decision that the memory counts, and 1 a tick that the episode still has."""

    def decide(params, world, state, memory, key):
        left = state.slots["lifecycle"].ends - state.tick
        none = jnp.zeros_like(state.actions)
        return Choice(none, none.astype(jnp.float32), none + (100.0 * memory + left)), memory + 1

    return Player((), 15, lambda world, state: jnp.int32(0), decide)


def test_values_and_memory_around_the_end_of_an_episode():
    """An episode has 4 decisions: the memory begins anew with each, and the value of its last state is kept apart."""
    world = compile_document(resolve(find("town", "worlds"), SETTINGS))
    allowed, keys = jnp.ones(len(world.static.actions.names), bool), capture_keys(0, np.arange(2))
    play = partial(record, world, counting(), allowed, keys, jnp.float32(1), num_decisions=9, episode=4, agents=(0, 3))
    found = jax.device_get(play())
    values = [60, 145, 230, 315] * 2 + [60, 145]
    assert found["value_preds"].tolist() == [[[value] * 2] * 2 for value in values]
    assert found["final_values"].tolist() == [[[value] * 2] * 2 for value in [0, 0, 0, 400] * 2 + [0]]


def test_a_town_is_the_same_in_a_shard_of_any_size_and_added_later(scripted, tmp_path):
    """Two, then three more, of the seed: as the five at once."""
    first = [*SHORT, "--out", tmp_path / "two", "--num-envs", 2]
    assert run_command(capture.main, *first) == 0
    assert run_command(capture.main, *SHORT, "--out", tmp_path / "two", "--num-envs", 3, "--append") == 0
    again = read(tmp_path / "two")
    assert again.arrays["towns"].tolist() == [0, 1, 2, 3, 4]
    assert all(np.array_equal(again.arrays[name], array) for name, array in scripted.arrays.items())
    hashes = [[sample.sha256 for sample in one.dataset.manifest.samples] for one in (scripted, again)]
    assert hashes[0] == hashes[1], "equal arrays make equal files"


def test_a_killed_capture_can_be_gone_on_with(scripted, tmp_path, capsys):
    """The second shard is whole, half of the third is there, and the manifest knows of the first only."""
    folder = tmp_path / "killed"
    folder.mkdir()
    for path in scripted.dataset.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    names = [sample.sample for sample in scripted.dataset.manifest.samples]
    (folder / names[2]).rename(folder / f"{names[2]}.part")
    (folder / f"{names[2]}.part").write_bytes(b"PK\x03\x04")
    known = scripted.dataset.manifest.samples[:1]
    tiny_data.signed(folder, samples=known, next_town={"0": 2})
    assert len(open_dataset(folder).manifest.samples) == 1
    assert run_command(capture.main, *SHORT, "--out", folder, "--num-envs", 3) == 2
    assert "already holds a dataset: add to it with --append" in capsys.readouterr().err
    assert run_command(capture.main, *SHORT, "--out", folder, "--num-envs", 3, "--append") == 0
    mended = read(folder)
    assert all(np.array_equal(mended.arrays[name], array) for name, array in scripted.arrays.items())
    assert not list(folder.glob("*.part"))
    assert set(json.loads((folder / f"{tiny_data.PREFIX}{METRICS}").read_text())) == {*names}


@pytest.mark.slow
def test_a_capture_survives_sigkill(tmp_path):
    """Killed at five moments, gone on with each time: at the end every town is there once, as in one go."""
    words = [*SCRIPTED, "--days", 0.5, "--towns-per-shard", 1, "--no-compress"]
    assert run_command(capture.main, *words, "--num-envs", 40, "--out", tmp_path / "whole") == 0
    folder, rng = tmp_path / "killed", np.random.default_rng(0)
    manifest = folder / f"{tiny_data.PREFIX}{MANIFEST}"
    env = {**os.environ, "TOWNLET_JAX_CACHE": str(tmp_path / "cache")}
    left, kills = 40, 0
    while left:
        more = ["--append"] if manifest.exists() else []
        line = [*words, "--num-envs", left, "--out", folder, *more]
        process = subprocess.Popen(
            [sys.executable, "-m", "train.capture", *map(str, line)], env=env, stderr=subprocess.DEVNULL
        )
        before = left
        while (
            kills < 5
            and process.poll() is None
            and (not manifest.exists() or open_dataset(folder).num_towns == 40 - before)
        ):
            time.sleep(0.005)
        if kills < 5:
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        left = 40 - open_dataset(folder).num_towns
        assert left < before or process.returncode == -signal.SIGKILL
    one, other = read(tmp_path / "whole").arrays, read(folder).arrays
    assert kills == 5 and all(np.array_equal(one[name], other[name]) for name in one)


def test_filters_keep_what_was_asked_for(scripted, tmp_path):
    sums = scripted.arrays["rewards"].sum((0, 2), dtype=np.float64)
    least = float(np.sort(sums)[2])
    words = [*SHORT, "--num-envs", 5, "--min-reward", repr(least), "--no-compress"]
    assert run_command(capture.main, *words, "--out", tmp_path / "good") == 0
    good = read(tmp_path / "good")
    kept = np.flatnonzero(sums >= least)
    assert len(kept) == 3 and good.arrays["towns"].tolist() == kept.tolist()
    assert np.array_equal(good.arrays["features"], scripted.arrays["features"][:, kept])
    assert good.dataset.manifest.next_town == {"0": 5}
    assert run_command(capture.main, *SHORT, "--num-envs", 2, "--min-reward", 1e9, "--out", tmp_path / "none") == 0
    none = open_dataset(tmp_path / "none")
    assert none.num_towns == 0 and not list((tmp_path / "none").glob("*.npz"))


def test_some_slots_only(scripted, tmp_path):
    assert run_command(capture.main, *SHORT, "--num-envs", 2, "--agents", "3,0", "--out", tmp_path / "some") == 0
    some = read(tmp_path / "some")
    assert some.dataset.schema.agents == (0, 3)
    for name in ("features", "actions", "rewards", "starts", "value_preds"):
        assert np.array_equal(some.arrays[name], scripted.arrays[name][:, :2, [0, 3]]), name


def test_manifest_and_metrics_tell_where_it_comes_from(scripted, of_run, tiny_run):
    manifest, world = scripted.dataset.manifest, world_of(scripted.dataset)
    assert manifest.metadata.config_id == world.static.config_id and manifest.metadata.ticks == 135
    assert [(one.towns, one.timesteps, one.frame_count) for one in manifest.samples] == [(2, 9, 144)] * 2 + [(1, 9, 72)]
    found = json.loads((scripted.dataset.folder / f"{tiny_data.PREFIX}{METRICS}").read_text())
    last = load_sample(scripted.dataset, 2)
    assert found[manifest.samples[2].sample]["reward_sum"] == pytest.approx(last["rewards"].sum(dtype=np.float64))
    (learned_one,) = of_run.dataset.manifest.samples
    assert (learned_one.policy, learned_one.actions, learned_one.reward_scale) == ("tiny/6", "options", 0.1)
    assert learned_one.policy_hash != manifest.samples[0].policy_hash


# --- exports


def test_files_of_single_agents(scripted):
    assert run_command(capture.main, "--out", scripted.dataset.folder, "--export", "agents") == 0
    folder, arrays = scripted.dataset.folder / "agents", scripted.arrays
    listed = json.loads((folder / f"{tiny_data.PREFIX}{MANIFEST}").read_text())["samples"]
    assert len(listed) == 5 * 8 and listed[8 * 4 + 3]["sample"] == f"{tiny_data.PREFIX}_agent_3_004.npz"
    with np.load(folder / listed[8 * 4 + 3]["sample"]) as file:
        found = dict(file)
    shapes = {name: (str(array.dtype), array.shape) for name, array in found.items()}
    assert shapes == {
        "map": ("float32", (9, 0, 0, 0)),
        "features": ("float32", (9, 77)),
        "actions": ("int64", (9,)),
        "old_log_probs": ("float32", (9,)),
        "value_preds": ("float32", (10,)),
        "rewards": ("float32", (9,)),
        "dones": ("bool", (9,)),
        "action_dim": ("int64", ()),
    }
    assert np.array_equal(found["actions"], arrays["actions"][:, 4, 3])
    meta = json.loads((folder / listed[8 * 4 + 3]["meta"]).read_text())
    assert meta["agent_id"] == "agent_3" and meta["town"] == 4 and meta["action_lookup"]["go_sleep"] == 13
    assert meta["metrics"]["reward_sum"] == pytest.approx(arrays["rewards"][:, 4, 3].sum(dtype=np.float64))


def test_parquet(scripted):
    pq = pytest.importorskip("pyarrow.parquet")
    assert run_command(capture.main, "--out", scripted.dataset.folder, "--export", "parquet") == 0
    files = sorted((scripted.dataset.folder / "parquet").iterdir())
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    arrays = scripted.arrays
    assert len(files) == 3 and len(rows) == arrays["alive"].sum()
    for row in rows[:: len(rows) // 20]:
        place = row["timestep"], row["town"], row["agent"]
        assert row["action"] == arrays["actions"][place] and row["reward"] == arrays["rewards"][place]
        assert row["action_mask"] == arrays["action_mask"][place].tolist() and row["start"] == arrays["starts"][place]
        assert (
            row["feature_need_hunger"]
            == arrays["features"][place][scripted.dataset.schema.feature_names.index("need_hunger")]
        )


def test_minari(scripted, monkeypatch):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    assert run_command(capture.main, "--out", scripted.dataset.folder, "--export", "minari") == 0
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(scripted.dataset.folder / "minari"))
    found = minari.load_dataset("capture-v0")
    episodes = list(found.iterate_episodes())
    first = episodes[0]
    assert len(first.observations["features"]) == len(first.actions) + 1
    assert first.truncations[-1] != first.terminations[-1]
    ended = sum(int(episode.terminations[-1]) for episode in episodes)
    assert ended == scripted.arrays["terminated"].sum()


@pytest.mark.parametrize(("kind", "package"), [("parquet", "pyarrow"), ("minari", "minari")])
def test_a_missing_package_names_its_extra(scripted, kind, package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert run_command(capture.main, "--out", scripted.dataset.folder, "--export", kind) == 2
    told = capsys.readouterr().err
    assert f"--export {kind} needs the extra: pip install 'townlet-jax[data]'" in told
    assert not list(scripted.dataset.folder.glob("*.part")), "a draft was left behind"


# --- what users get wrong

WRONG = {
    "nobody plays": ([], ["who plays?"]),
    "no towns": ([*SCRIPTED, "--num-envs", 0], ["--num-envs 0"]),
    "no time": ([*SCRIPTED, "--days", 0], ["--days 0"]),
    "a step without a run": ([*SCRIPTED, "--step", 3], ["--step", "--run"]),
    "a run with a world": (["--run", "runs/x", "--world", "town"], ["--world", "--policy"]),
    "no run": (["--run", "runs/none"], ["holds no run"]),
    "no such slot": ([*SCRIPTED, "--agents", "0,8"], ["'8' is no slot", "0 to 7"]),
    "not whole decisions": ([*SCRIPTED[:-1], 7], ["--every 7", "episode_ticks 60"]),
    "a prefix with a path": ([*SCRIPTED, "--prefix", "../x"], ["--prefix"]),
    "too much memory": ([*SCRIPTED[:-1], 1, "--days", 900, "--towns-per-shard", 100], ["--towns-per-shard", "limit"]),
    "a world that is not there": (["--policy", "random", "--world", "twon"], ["twon"]),
    "nothing to add to": ([*SCRIPTED, "--append"], ["no dataset to add to"]),
}


@pytest.mark.parametrize(("words", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_captured(tmp_path, capsys, words, told):
    assert run_command(capture.main, *words, "--out", tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error
    assert all(word in error for word in told), error
    assert not list(tmp_path.glob(f"data/*{MANIFEST}")), "a refused capture left a dataset"


def test_other_towns_are_not_added(scripted, capsys):
    words = [*SHORT, "--out", scripted.dataset.folder, "--append"]
    assert run_command(capture.main, *words, "--days", 0.2) == 2
    assert "its timesteps is 9, not 19" in capsys.readouterr().err
    assert run_command(capture.main, *words, "--world-set", "systems.economy.rent=1.2") == 2
    assert "its config_id is" in capsys.readouterr().err
    assert run_command(capture.main, *words, "--agents", "1") == 2
    assert "its agents is (0, 1, 2, 3, 4, 5, 6, 7), not (1,)" in capsys.readouterr().err
    assert len(read_manifest(scripted.dataset.folder / f"{tiny_data.PREFIX}{MANIFEST}").samples) == 3


def test_a_disk_that_is_full_leaves_the_dataset_as_it_was(scripted, tmp_path, monkeypatch):
    folder = tiny_data.write(tmp_path / "data", shards=(2,))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(file, **arrays):
        file.write(b"some bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    its = tiny_data.schema()
    book = tiny_data.folders.start(folder, tiny_data.PREFIX, its, "", tiny_data.ORIGIN, append=True)
    with pytest.raises(DatasetError, match="00001.npz: No space left on device"):
        tiny_data.folders.add(book, tiny_data.ORIGIN, tiny_data.arrays(its, range(2, 4)), {}, 4, compress=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
