"""Annealing: how the teacher's share falls, when it stands still, what becomes of it."""

import json
import shutil
import signal

import jax
import jax.numpy as jnp
import pytest
from tiny_runs import TINY, run_command, same_leaves

from townlet_jax import policies
from townlet_jax.observe import observe as see
from train import anneal, runs
from train.anneal import Steering, verdict
from train.collect import decide, lessons
from train.config import load_config
from train.learner import program_of
from train.logging import RunError, read_rows
from train.players import memoryless
from train.types import Hyper

GUIDED = (*TINY, "teacher=scripted", "mix=0.8", "bc_coef=1.0", "anneal.until=0.5", "anneal.window=2")


class Standing:
    """As much of a runner as steering sees."""

    def __init__(self, mix, bc_coef=1.0):
        self.hyper = Hyper(*(jnp.float32(0) for _ in Hyper.__dataclass_fields__))
        self.hyper = self.hyper.replace(mix=jnp.float32(mix), bc_coef=jnp.float32(bc_coef))

    def replace(self, hyper):
        other = Standing(0)
        other.hyper = hyper
        return other


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config, document = load_config("ppo_town", GUIDED)
    return runs.new(tmp_path_factory.mktemp("anneal") / "x", config, document)


def good(update):
    return {"update": update, "return_per_day": 20.0, "attendance": 0.9}


def test_the_share_falls_to_nothing_in_half_of_the_run(run):
    """6 updates, until 0.5: 0.8 falls by 0.8 / 3 an update; bc_coef falls with it, and both are 0 exactly after three."""
    steering, now, mixes = Steering(run, {"return_per_day": 20.0, "attendance": 0.9}), Standing(0.8), []
    for update in range(1, 5):
        now = steering(now, good(update))
        mixes.append((float(now.hyper.mix), float(now.hyper.bc_coef)))
    assert mixes[0] == pytest.approx((0.8 * 2 / 3, 2 / 3)) and mixes[1] == pytest.approx((0.8 / 3, 1 / 3), rel=1e-5)
    assert mixes[2] == mixes[3] == (0.0, 0.0)


def test_without_a_mix_the_cross_entropy_falls_alone(tmp_path):
    """It does not vanish after one update: 1, 2/3, 1/3, 0 of 2.0."""
    config, document = load_config("ppo_town", (*GUIDED, "mix=0", "bc_coef=2"))
    run = runs.new(tmp_path / "x", config, document)
    steering, now, seen = Steering(run, {"return_per_day": 20.0}), Standing(0.0, 2.0), []
    for update in range(1, 4):
        now = steering(now, good(update))
        seen.append((float(now.hyper.mix), float(now.hyper.bc_coef)))
    assert seen == [(0.0, pytest.approx(4 / 3)), (0.0, pytest.approx(2 / 3)), (0.0, 0.0)]


def test_it_stands_still_where_an_indicator_has_fallen_by_more_than_a_third(run):
    """The mean of two updates counts: 20 and 7 are 13.5, below 0.7 x 20; 20 and 8.5 are 14.25, above it."""
    teacher = {"return_per_day": 20.0, "attendance": 0.9}
    steering, now = Steering(run, teacher), Standing(0.4)
    now = steering(now, good(1))
    before = float(now.hyper.mix)
    now = steering(now, {**good(2), "return_per_day": 7.0})
    assert steering.fallen() == ["return_per_day"] and float(now.hyper.mix) == before
    steering = Steering(run, teacher)
    now = steering(steering(Standing(0.4), good(1)), {**good(2), "return_per_day": 8.5})
    assert steering.fallen() == [] and float(now.hyper.mix) < before
    steering(now, {**good(3), "attendance": 0.2})
    assert steering.fallen() == ["attendance"]


def test_a_negative_return_may_fall_too(run):
    """Of a teacher who makes -10, a third below is -13."""
    for value, fallen in ((-12.9, []), (-13.1, ["return_per_day"])):
        steering = Steering(run, {"return_per_day": -10.0})
        steering(Standing(0.5), {"update": 1, "return_per_day": value})
        assert steering.fallen() == fallen


def test_teacher_and_policy_share_the_decisions(run):
    """Of 8 towns x 8 agents with mix 1 all do what the citizen would, if it is allowed; with 0 nobody is taught."""
    program = program_of(run.world, run.config, runs.teacher_of(run.world, run.config))
    runner = jax.jit(run.train.init)(jax.random.key(0))
    act = jax.jit(lambda runner: decide(program, runner, jax.random.key(1))[1][0])
    mixed = lambda mix: act(runner.replace(hyper=runner.hyper.replace(mix=jnp.float32(mix))))
    every, none, some = mixed(1.0), mixed(0.0), mixed(0.5)
    seen = jax.vmap(lambda state: see(run.world, state))(runner.states)
    wanted = jax.vmap(lambda state: policies.scripted(run.world, state, jax.random.key(0)))(runner.states)
    allowed = jnp.take_along_axis(seen.action_mask & program.allowed, wanted[..., None], axis=-1)[..., 0]
    assert (every.lesson == wanted).all() and bool(allowed.all())
    assert (every.action == wanted).all() and not every.acts.any(), "what the teacher did is no choice of the policy"
    assert (none.action != wanted).any() and (
        none.acts == (none.alive & (none.observation.action_mask.sum(-1) > 1))
    ).all()
    taught = none.acts & ~some.acts
    assert 0.25 < float(taught.sum() / none.acts.sum()) < 0.75
    assert (jnp.where(taught, some.action == wanted, True)).all()
    bare = program_of(run.world, run.config)
    assert lessons(bare, runner.states, jax.random.split(jax.random.key(0), 8)) == ()


def test_verdicts(run):
    """Kept is at least 0.95 of every indicator; what is left of mix or cross entropy holds it back."""
    found = lambda value: {name: {"iqm": value} for name in anneal.WATCHED}
    standing = lambda *left: Standing(*left) if left else Standing(0.0, 0.0)
    say = lambda share, *left: verdict(run, standing(*left), {"learned": found(share * 20), "scripted": found(20.0)})
    assert say(0.96)["verdict"] == "PASS" and say(0.96, 0.1)["verdict"] == say(0.96, 0.0, 0.1)["verdict"] == "HOLD"
    assert say(0.94)["verdict"] == "FAIL" and len(say(0.94)["lost"]) == 3


@pytest.mark.parametrize(("ours", "theirs", "lost"), [(-10.4, -10, 0), (-10.6, -10, 1), (-0.1, 0, 1), (0.1, 0, 0)])
def test_a_citizen_who_earns_nothing_can_be_lost_to_as_well(run, ours, theirs, lost):
    """Of -10 a twentieth less is -10.5, of 0 it is 0; there is no share of either."""
    found = {name: {"return_per_day": {"iqm": value}} for name, value in (("learned", ours), ("scripted", theirs))}
    result = verdict(run, Standing(0.0, 0.0), found)
    assert result["lost"] == ["return_per_day"] * lost and result["verdict"] == ("PASS", "FAIL")[lost]
    assert result["kept"] == {}


@pytest.fixture(scope="module")
def annealed(tmp_path_factory, tiny_run):
    """A short run that began with the weights of a tiny one."""
    folder = tmp_path_factory.mktemp("annealed")
    code = run_command(anneal.main, *words(tiny_run, folder))
    return folder, code


def words(clone, folder):
    short = ("total_timesteps=1024", "anneal.until=0.75", "anneal.freeze_drop=0.99", "checkpoint_every=2")
    sets = [word for one in short for word in ("--set", one)]
    return ["--clone", clone, "--runs", folder, "--no-pictures", "--num-envs", 2, "--seeds", 1, *sets]


def test_a_run_goes_from_the_teacher_to_its_own(annealed, tiny_run, capsys):
    """Four updates: mixes of 0.8, 0.53, 0.27 and 0; the weights began as the clone's; a verdict is written."""
    folder, code = annealed
    rows = read_rows(folder / "anneal")
    result = json.loads((folder / "anneal" / "anneal_results.json").read_text())
    assert [round(row["mix"], 2) for row in rows] == [0.8, 0.53, 0.27, 0.0]
    assert code == ("PASS", "HOLD", "FAIL").index(result["verdict"]) and result["updates"] == 4
    assert all(0 <= row["imitation_accuracy"] <= 1 and row["imitation_loss"] > 0 for row in rows)
    assert json.loads((folder / "anneal" / "anneal.json").read_text())["return_per_day"] != 0
    its = runs.existing(folder / "anneal").config
    for row in rows:
        whole = row["policy_loss"] + its.vf_coef * row["value_loss"] - its.ent_coef * row["entropy"]
        assert row["loss"] == pytest.approx(whole + row["bc_coef"] * row["imitation_loss"], rel=1e-4, abs=1e-5)


def test_a_resumed_run_is_steered_as_an_uninterrupted_one(annealed, tmp_path):
    """The last checkpoint is gone: from the one before, mid-anneal, everything comes out the same."""
    folder, code = annealed
    shutil.copytree(folder / "anneal", tmp_path / "anneal")
    shutil.rmtree(tmp_path / "anneal" / "checkpoints" / "4")
    more = ("--no-pictures", "--num-envs", 2, "--seeds", 1)
    assert run_command(anneal.main, "--resume", tmp_path / "anneal", *more) == code
    ours, theirs = (runs.load_runner(runs.existing(at))[0] for at in (tmp_path / "anneal", folder / "anneal"))
    assert same_leaves(ours, theirs) and int(ours.update) == 4
    mixes = [[row["mix"] for row in read_rows(at)] for at in (tmp_path / "anneal", folder / "anneal")]
    assert mixes[0] == mixes[1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_who_is_stopped_before_the_first_update_goes_on_from_the_clone(tiny_run, tmp_path, monkeypatch, capsys, name):
    """The exit code is not that of a verdict, and what is resumed has the weights of the clone."""
    monkeypatch.setattr(anneal, "alone", lambda run: {"return_per_day": 20.0})
    monkeypatch.setattr(anneal, "learn", lambda run, log, runner, steer: (runner, name))
    assert run_command(anneal.main, *words(tiny_run, tmp_path)) == 128 + signal.Signals[name]
    assert f"stopped by {name}" in capsys.readouterr().out
    found = []
    monkeypatch.setattr(anneal, "learn", lambda run, log, runner, steer: found.append(runner) or (runner, name))
    assert run_command(anneal.main, "--resume", tmp_path / "anneal") == 128 + signal.Signals[name]
    assert same_leaves(found[0].params, runs.load_runner(runs.existing(tiny_run))[0].params)
    assert run_command(anneal.main, *words(tiny_run, tmp_path)) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_who_is_stopped_while_the_teacher_plays_has_not_begun(tiny_run, tmp_path, monkeypatch):
    def stop(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(anneal, "alone", stop)
    assert run_command(anneal.main, *words(tiny_run, tmp_path)) == 130
    assert [path.name for path in (tmp_path / "anneal").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "hidden=[24]"), "other sizes"),
        (("--set", "teacher=none", "--set", "mix=0", "--set", "bc_coef=0"), "teaches nothing"),
        (("--set", "teacher=none"), "need a teacher"),
        (("--set", "anneal.until=1.5"), "anneal.until"),
        (("--set", "world=m3"), "--set world is not allowed: the run is in the clone's world"),
        (("--set", "world_set=[a=1]"), "--set world_set is not allowed"),
        (("--seeds", 0), "--seeds 0 is not allowed (1 to 1000)"),
        (("--num-envs", 0), "--num-envs 0 is not allowed"),
        (("--name", "a/b"), "name"),
    ],
)
def test_what_cannot_be_annealed_is_refused(tiny_run, tmp_path, capsys, more, message):
    assert run_command(anneal.main, *words(tiny_run, tmp_path), *more) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not list(tmp_path.iterdir())


def test_a_clone_that_missed_its_gate_is_refused(tiny_run, tmp_path, capsys):
    shutil.copytree(tiny_run, tmp_path / "clone")
    (tmp_path / "clone" / "bc.json").write_text('{"passed": false}')
    assert run_command(anneal.main, *words(tmp_path / "clone", tmp_path)) == 2
    assert "missed its gate" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\0"])
def test_a_damaged_verdict_is_told(tmp_path, text):
    (tmp_path / "bc.json").write_text(text)
    with pytest.raises(RunError, match="bc.json cannot be read"):
        anneal.passed(tmp_path / "bc.json")
    assert anneal.passed(tmp_path / "none.json")


def test_a_run_of_another_command_is_not_resumed(tiny_run, tmp_path, capsys):
    shutil.copytree(tiny_run, tmp_path / "tiny")
    assert run_command(anneal.main, "--resume", tmp_path / "tiny") == 2
    assert "was not begun by train.anneal" in capsys.readouterr().err


def test_a_teacher_is_asked_as_often_as_the_policy_decides(run):
    assert runs.teacher_of(run.world, run.config).every == run.config.ticks_per_decision == 15
    assert runs.teacher_of(run.world, run.config) is memoryless(policies.scripted, 15)
