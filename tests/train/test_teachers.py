"""Teachers: a run that teaches is asked in its own words, also by a policy that goes on foot; what cannot teach is refused."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import TINY

from townlet_jax import ConfigError, engine
from townlet_jax.systems.intents import WAIT_ACTION
from train import runs
from train.config import load_config
from train.logging import RunError
from train.program import learned
from train.storage.agreement import agree
from train.storage.errors import CheckpointError

ON_FOOT = (
    "actions=primitives",
    "ticks_per_decision=1",
    "world_set=[observation.variant=compact, observation.ways=true]",
)


def setup(folder, *more):
    return runs.new(folder / "x", *load_config("ppo_town", (*TINY, *more)))


def test_a_run_over_options_teaches_who_goes_on_foot(tiny_run, tmp_path):
    """What it says leads, in the first tick of the day, to where its options lead in its own world."""
    run, its = setup(tmp_path, *ON_FOOT, f"teacher={tiny_run}"), runs.existing(tiny_run)
    teacher, key = runs.teacher_of(run.world, run.config), jax.random.key(3)
    state = engine.reset(run.world, key)
    options = learned(its.world, its.config, runs.load_runner(its)[0].params, greedy=True)
    chosen, _ = options.decide(options.params, its.world, state, options.begin(its.world, state), key)
    asked, _ = teacher.decide(teacher.params, run.world, state, teacher.begin(run.world, state), key)
    layout = run.world.static.actions
    assert teacher.every == 1 and (asked.action < layout.options).all() and (chosen.action != asked.action).any()
    step = jax.jit(lambda actions: engine.step(run.world, state, actions, key).agents.cell)
    assert np.array_equal(step(chosen.action), step(asked.action))
    assert (step(chosen.action) != step(jnp.full_like(chosen.action, WAIT_ACTION))).any()


def test_who_has_a_memory_or_lives_elsewhere_is_no_teacher(tiny_run, tmp_path):
    other = tmp_path / "gru"
    shutil.copytree(tiny_run, other)
    text = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(text + "memory: gru\n")
    for teacher, words, message in (
        (other, ON_FOOT, "has a memory"),
        (tiny_run, ("world=m3",), "sees or does other things"),
        (tmp_path / "none", (), "holds no run"),
    ):
        with pytest.raises(RunError, match=message):
            setup(tmp_path, *words, f"teacher={teacher}")


def test_who_was_taught_plays_without_the_teacher(tiny_run, tmp_path):
    """The teacher's folder is gone: the run can be played, and to go on with it is refused."""
    teacher = tmp_path / "teacher"
    shutil.copytree(tiny_run, teacher)
    run = setup(tmp_path, f"teacher={teacher}", "mix=0.5")
    texts = runs.texts(run)
    run.folder.mkdir()
    for name, text in zip(("config.yaml", "world.yaml"), texts):
        (run.folder / name).write_text(text)
    shutil.rmtree(teacher)
    assert runs.existing(run.folder).config.teacher == str(teacher)
    with pytest.raises(RunError, match="holds no run"):
        runs.existing(run.folder, learns=True)


def test_a_teacher_that_has_learned_on_is_told(tiny_run, tmp_path):
    """What was taught by other weights is not gone on with; it can still be played."""
    teacher = tmp_path / "teacher"
    shutil.copytree(tiny_run, teacher)
    run = setup(tmp_path, f"teacher={teacher}", "mix=0.5")
    runs.begin(run, runs.fresh(run))
    runs.load_runner(runs.existing(run.folder, learns=True))
    known = {"config": 1, "teacher": "a"}
    agree(known, {"config": 1}, "an older checkpoint")  # does not know of its teacher
    with pytest.raises(CheckpointError, match="another config"):
        agree(known, {"teacher": "a"}, "another one")
    shutil.rmtree(teacher / "checkpoints" / "6")  # an older checkpoint teaches now
    with pytest.raises(CheckpointError, match="was made with another teacher: teacher was '[0-9a-f]{64}', is '"):
        runs.load_runner(runs.existing(run.folder, learns=True))
    assert int(runs.load_runner(runs.existing(run.folder))[0].update) == 0


def test_names_of_dots_alone_are_refused():
    for name in (".", "..", "a."):
        with pytest.raises(ConfigError, match="name"):
            load_config("ppo_town", (f"name={name}",))
    assert load_config("ppo_town", ("name=v1.2",))[0].name == "v1.2"
