"""Runs from the command line: begun, stopped, resumed, evaluated, replayed."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from tiny_runs import TINY, run_command, same_leaves, tiny_words, without_rates

from townlet_jax import load, policies
from townlet_jax.io.digest import digest
from train import episode, evaluate, ppo, replay, runs
from train.logging import RunError, read_rows
from train.players import memoryless
from train.storage.leaves import policy_hash


def test_a_run_leaves_its_folder(tiny_run):
    names = {path.name for path in tiny_run.iterdir()}
    assert {"config.yaml", "world.yaml", "metrics.jsonl", "metrics.csv", "checkpoints"} <= names
    rows = read_rows(tiny_run)
    assert [row["update"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["agent_decisions"] == 1536 and rows[-1]["agent_steps"] == 1536 * 15
    assert {"attendance", "collapses_per_day", "needs/hunger", "wallet", "return_per_day"} <= set(rows[0])


def test_resume_equals_an_uninterrupted_run(tiny_run, tmp_path):
    """Stopped by SIGTERM after an update, resumed in another process: every leaf and every logged number is the same."""
    words = [sys.executable, "-m", "train.ppo", *tiny_words(tmp_path, "cut", "checkpoint_every=100")]
    env = {**os.environ, "TOWNLET_JAX_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "cut" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.exists() and metrics.read_text().count("\n") >= 1) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    done = len(read_rows(tmp_path / "cut"))
    assert (tmp_path / "cut" / "checkpoints" / str(done) / "MANIFEST.json").is_file()
    if done < 6:
        assert "SIGTERM" in out
    assert run_command(ppo.main, "--resume", tmp_path / "cut", "--no-pictures") == 0
    ours, _ = runs.load_runner(runs.existing(tmp_path / "cut"))
    whole, _ = runs.load_runner(runs.existing(tiny_run))
    assert int(ours.update) == 6 and same_leaves(ours, whole)
    assert without_rates(tmp_path / "cut") == without_rates(tiny_run)


def test_resume_drops_what_was_logged_after_the_checkpoint(tiny_run, tmp_path):
    """The newest checkpoint is damaged: the run goes on from the one before and ends the same."""
    import shutil

    folder = tmp_path / "tiny"
    shutil.copytree(tiny_run, folder)
    victim = max((p for p in (folder / "checkpoints" / "6").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    assert run_command(ppo.main, "--resume", folder, "--no-pictures") == 0
    assert without_rates(folder) == without_rates(tiny_run)
    again, _ = runs.load_runner(runs.existing(folder))
    assert same_leaves(again, runs.load_runner(runs.existing(tiny_run))[0])


def test_a_run_begins_with_the_networks_of_another(tiny_run, tmp_path):
    """Everything else begins anew: the world's towns, Adam, the count of updates; and only what is set differs."""
    words = ("--runs", tmp_path, "--name", "on", "--no-pictures", "--from", tiny_run, "--step", 4)
    assert run_command(ppo.main, *words, "--set", "ent_coef=0", "--set", "keep_checkpoints=9") == 0
    source, run = runs.existing(tiny_run), runs.existing(tmp_path / "on")
    before, after = (runs.load_runner(run, step)[0] for step in (0, None))
    assert same_leaves(before.params, runs.load_runner(source, 4)[0].params)
    assert same_leaves(before.replace(params=()), runs.fresh(run).replace(params=()))
    assert not same_leaves(after.params, before.params) and int(after.update) == 6
    assert run.config == source.config.model_copy(update={"name": "on", "ent_coef": 0.0, "keep_checkpoints": 9})
    assert run.world.static.config_id == source.world.static.config_id
    told = json.loads((tmp_path / "on" / "source.json").read_text())
    assert told == {"run": "tiny", "step": 4, "policy": policy_hash(before.params)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "hidden=[24]"), "have other sizes than the configuration says (hidden was (16,), is (24,))"),
        (("--set", "world=m1"), "--set world is not allowed"),
        (("--config", "ppo_town"), "--config cannot be given, too"),
        (("--world-set", "num_agents=6"), "--world-set cannot be given, too"),
        (("--step", "99"), "99"),
        (("--step", "last"), "the number of a checkpoint, or best"),
        (("--resume", "x"), "not allowed with argument"),
    ],
)
def test_a_run_cannot_begin_so(tiny_run, words, message, tmp_path, capsys):
    assert run_command(ppo.main, "--runs", tmp_path, "--name", "on", "--from", tiny_run, *words) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "on" / "config.yaml").exists()


def test_a_step_belongs_to_from(tmp_path, capsys):
    assert run_command(ppo.main, *tiny_words(tmp_path, "x"), "--step", "best") == 2
    assert "--step belongs to --from" in capsys.readouterr().err


def test_a_run_is_not_overwritten(tiny_run, capsys):
    assert run_command(ppo.main, *tiny_words(tiny_run.parent, "tiny")) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_checkpoint_of_another_configuration_is_refused(tiny_run, tmp_path, capsys):
    import shutil

    folder = tmp_path / "other"
    shutil.copytree(tiny_run, folder)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("gamma: 0.9995", "gamma: 0.9"))
    assert run_command(ppo.main, "--resume", folder, "--no-pictures") == 2
    error = capsys.readouterr().err
    assert "gamma was 0.9995, is 0.9" in error and "Traceback" not in error
    (folder / "config.yaml").write_text(text.replace("hidden: [16]", "hidden: [24]"))
    assert run_command(ppo.main, "--resume", folder, "--no-pictures") == 2
    assert "hidden was [16], is [24]" in capsys.readouterr().err
    assert (folder / "checkpoints" / "6" / "MANIFEST.json").is_file(), "nothing may be lost"


def test_a_run_whose_checkpoints_are_all_damaged_says_so(tiny_run, tmp_path, capsys):
    import shutil

    folder = tmp_path / "bad"
    shutil.copytree(tiny_run, folder)
    for manifest in folder.rglob("MANIFEST.json"):
        manifest.write_text("{")
    assert run_command(evaluate.main, "--run", folder) == 2
    assert "verifies" in capsys.readouterr().err


@pytest.mark.parametrize("main", [ppo.main, evaluate.main, replay.main])
def test_no_run_no_traceback(main, tmp_path, capsys):
    flag = "--resume" if main is ppo.main else "--run"
    assert run_command(main, flag, tmp_path / "none") == 2
    assert "holds no run" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run_command(ppo.main, *tiny_words(tmp_path / "file", "x")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error:") and "file" in error and "Traceback" not in error


def test_evaluate_writes_table_and_json(tiny_run, capsys):
    assert run_command(evaluate.main, "--run", tiny_run, "--num-envs", 4, "--seeds", 2, "--days", 0.25) == 0
    result = json.loads((tiny_run / "evaluation.json").read_text())
    assert result["towns"] == 8 and result["step"] == 6 and set(result["policies"]) == {"learned", "scripted", "random"}
    found = result["policies"]["scripted"]["return_per_day"]
    assert found["interval"][0] <= found["iqm"] <= found["interval"][1]
    assert "scripted" in capsys.readouterr().out


def test_what_most_towns_have_none_of_is_told_by_its_mean():
    """One exit in eight towns: the interquartile mean is 0, the mean 1/8, and the interval is of the mean."""
    values = {"return_per_day": np.full(8, 2.0), "exits_per_day": np.array([1.0] + [0.0] * 7)}
    found = evaluate.summary({"learned": values})["policies"]["learned"]
    exits, returns = found["exits_per_day"], found["return_per_day"]
    assert (exits["iqm"], exits["mean"], exits["of"], returns["of"]) == (0.0, 0.125, "mean", "iqm")
    assert exits["interval"][0] == 0.0 and exits["interval"][1] >= 0.25


def test_evaluation_towns_do_not_depend_on_the_batch():
    """Scripted citizens in 2 towns are the first two of 4, however many are played at once."""
    world = load("town", **{"observation.variant": "compact"})
    player = {"s": memoryless(policies.scripted)}
    few, many, chunks = (evaluate.evaluate(world, player, *n)["s"] for n in ((2, 1, 60), (4, 1, 60), (4, 1, 60, 2)))
    assert few["return_per_day"] == pytest.approx(many["return_per_day"][:2], abs=1e-4)
    assert chunks["return_per_day"] == pytest.approx(many["return_per_day"], abs=1e-4), "two by two"


def test_an_episode_replays_from_its_key_and_actions(tiny_run, tmp_path, capsys):
    run = runs.existing(tiny_run)
    runner, _ = runs.load_runner(run)
    made, states = episode.record(run, runner.params, 6, seed=5, days=0.05)
    assert made.actions.shape == (60, 8) and len(made.digests) == 1
    path = tmp_path / "replay.npz"
    episode.save_episode(path, made)
    loaded = episode.load_episode(path)
    again = episode.rerun(run.world, loaded)
    assert same_leaves(states, again) and episode.verify(run.world, loaded, again) == []
    changed = loaded._replace(actions=np.where(loaded.actions > 0, 0, loaded.actions + 13).astype(np.int16))
    assert "was recorded" in episode.verify(run.world, changed, episode.rerun(run.world, changed))[0]


def test_a_tampered_recording_is_refused(tmp_path):
    """Fifty single bytes, anywhere in the file: fifty errors."""
    actions = np.random.default_rng(1).integers(0, 40, (1000, 8)).astype(np.int16)
    path = tmp_path / "replay.npz"
    episode.save_episode(path, episode.Episode(5, 6, "town", actions, ("0" * 64,), "scripted", ""))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.choice(len(data), 50, replace=False):
        path.write_bytes(data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :])
        with pytest.raises(RunError, match="is no recorded episode"):
            episode.load_episode(path)


# argv: file, ticks to seek. Town 3 of a batch of eight is the recorded one; the others do what it does from other seeds.
RERUN = """
import json, sys
from functools import partial
from pathlib import Path
import jax, jax.numpy as jnp
from townlet_jax import engine, load
from townlet_jax.io.digest import digest
from train.episode import load_episode

world, episode = load("town"), load_episode(Path(sys.argv[1]))
assert episode.config_id == world.static.config_id
seeds = jnp.array([7, 8, 9, episode.seed, 10, 11, 12, 13])
actions = jnp.asarray(episode.actions, jnp.int32)

def town(seed):
    key = jax.random.key(seed)
    step = lambda i, state: engine.step(world, state, actions[i], engine.tick_key(key, state))
    return partial(jax.lax.fori_loop, body_fun=step), engine.reset(world, key)

@jax.jit
def until(tick):
    def one(seed):
        loop, start = town(seed)
        return loop(0, tick, init_val=start)
    return jax.vmap(one)(seeds)

at = lambda tick: digest(jax.tree.map(lambda leaf: leaf[3], jax.device_get(until(jnp.int32(tick)))))
print(json.dumps({tick: at(tick) for tick in json.loads(sys.argv[2])}))
"""


def test_a_thousand_ticks_replay_in_another_process_and_batch(tmp_path):
    """Recorded one town alone; replayed from the file as one of eight, up to every 16th tick and twenty others."""
    world = load("town")
    key, every = jax.random.key(5), memoryless(policies.scripted)
    states = jax.device_get(jax.jit(episode.play, static_argnums=3)(world, every, key, 1000))
    actions = np.asarray(states.actions, np.int16)
    made = episode.Episode(5, 0, world.static.config_id, actions, episode.day_digests(states, 1440), "scripted", "")
    episode.save_episode(tmp_path / "replay.npz", made)
    others = np.random.default_rng(2).choice(np.arange(1, 1001), 20, replace=False).tolist()
    ticks = sorted({*range(16, 1001, 16), *others, 1000})
    words = [sys.executable, "-c", RERUN, str(tmp_path / "replay.npz"), json.dumps(ticks)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {int(tick): digest for tick, digest in json.loads(done.stdout).items()}
    assert found == {tick: digest(episode.frame(states, tick - 1)) for tick in ticks} and len(found) >= 80
    assert found[1000] == made.digests[-1]


def test_replay_draws(tiny_run, tmp_path, capsys):
    out = tmp_path / "town.gif"
    words = ("--run", tiny_run, "--days", 0.03, "--seed", 2, "--out", out, "--stride", 15, "--ansi")
    assert run_command(replay.main, *words) == 0
    assert out.stat().st_size > 1000 and "digests match" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("--days", "0"),
        ("--seed", "-1"),
        ("--stride", "0"),
        ("--out", "x.txt"),
        ("--out", "/proc/none/x.gif"),
        ("--step", "99"),
    ],
)
def test_replay_refuses(tiny_run, words, capsys):
    rest = () if "--days" in words or "--step" in words else ("--days", "0.02")
    assert run_command(replay.main, "--run", tiny_run, *words, *rest) == 2
    error = capsys.readouterr().err
    assert "error:" in error and "Traceback" not in error


def test_a_scenario_is_watched_and_replays(tmp_path, capsys):
    out = tmp_path / "room.gif"
    assert run_command(replay.main, "--scenario", "observation_baseline", "--out", out, "--ansi") == 0
    said = capsys.readouterr().out
    assert "digests match, 20 ticks of seed 0" in said and out.read_bytes()[:3] == b"GIF"
    assert out.with_suffix(".ansi").is_file()


def test_lines_between_rivals_can_be_left_out(tmp_path):
    words = ("--scenario", "rivalry_decay", "--stride", 100)
    films = [tmp_path / "ties.gif", tmp_path / "none.gif"]
    for out, rest in zip(films, ((), ("--no-ties",))):
        assert run_command(replay.main, *words, "--out", out, *rest) == 0
    assert films[0].read_bytes() != films[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scenario", "queue_conflit"), "Did you mean 'queue_conflict'"),
        (("--scenario", "queue_conflict", "--days", "2"), "a scenario has its own length"),
        (("--scenario", "queue_conflict", "--run", "x"), "not allowed with argument"),
        ((), "one of the arguments --run --scenario --world --params is required"),
    ],
)
def test_replay_refuses_what_is_no_scenario(words, message, capsys):
    assert run_command(replay.main, *words) == 2
    assert message in capsys.readouterr().err


def test_print_config_reads_back(capsys, tmp_path):
    assert run_command(ppo.main, "--print-config", *(w for s in TINY for w in ("--set", s))) == 0
    train_text, world_text = capsys.readouterr().out.split("---\n# the world\n")
    (tmp_path / "train.yaml").write_text(train_text)
    (tmp_path / "world.yaml").write_text(world_text)
    from townlet_jax import load
    from train.config import load_config

    assert load_config(tmp_path / "train.yaml")[0].num_envs == 8
    assert (
        load(tmp_path / "world.yaml").static.config_id
        == load("town", **{"observation.variant": "compact"}).static.config_id
    )


def test_the_configuration_of_a_run_is_printed(tiny_run, capsys):
    assert run_command(ppo.main, "--resume", tiny_run, "--print-config") == 0
    assert (tiny_run / "config.yaml").read_text() in capsys.readouterr().out
    assert run_command(ppo.main, "--resume", tiny_run, "--print-config", "--set", "seed=1") == 2
    assert "--set cannot change it" in capsys.readouterr().err


def test_resume_deletes_nothing_when_no_checkpoint_is_sound(tiny_run, tmp_path, capsys):
    """Every checkpoint is of a newer schema: an error, and all rows and steps stay."""
    import shutil

    folder = tmp_path / "newer"
    shutil.copytree(tiny_run, folder)
    for manifest in folder.rglob("MANIFEST.json"):
        manifest.write_text(manifest.read_text().replace('"schema": 2', '"schema": 9'))
    before = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert run_command(ppo.main, "--resume", folder, "--no-pictures") == 2
    assert "verifies" in capsys.readouterr().err
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == before
    assert len(read_rows(folder)) == 6


def test_two_processes_cannot_train_in_one_folder(tiny_run, tmp_path, capsys):
    with runs.alone(tmp_path / "both"):
        assert run_command(ppo.main, *tiny_words(tmp_path, "both")) == 2
    assert "another process is training" in capsys.readouterr().err
