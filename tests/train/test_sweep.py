"""Sweeps: many runs in one program, each of which is the run that it would be alone."""

import csv
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from tiny_runs import TINY, run_command

from townlet_jax.config.errors import ConfigError
from townlet_jax.worlds import compile_document, read
from train import evaluate, learner, runs, sweep
from train.config import load_config
from train.sweeps import crowd, rows, stack
from train.sweeps.members import Span, SweepConfig, base_of, load_shared, members_of

CHANGES = {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in TINY)}
YAML = {
    "name": "both",
    "base": "ppo_town",
    "changes": CHANGES,
    "seeds": [0, 1],
    "grid": {"learning_rate": [5e-4, 1e-3]},
    "world_grid": {"systems.economy.rent": [1.5, 0.5]},
    "block": 4,
}  # member 0 is the shared tiny run: seed 0, the shipped rate and rent


def written(folder, **changes):
    path = folder / "sweep.yaml"
    path.write_text(json.dumps({**YAML, **changes}))
    return path


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """(the folder of a sweep of eight members in two blocks, how often its update was traced)."""
    folder, traced = tmp_path_factory.mktemp("sweep"), []
    course = sweep.COURSE

    def counted(part):
        def update(values, state):
            traced.append(1)
            return course.update(part)(values, state)

        return update

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "COURSE", course._replace(update=counted))
        assert run_command(sweep.main, "--config", written(folder), "--runs", folder) == 0
    return folder / "both", len(traced)


def state_of(folder, block):
    whole = sweep.existing(folder)
    return crowd.restored(whole, sweep.COURSE, block)[0]


def same(one, two):
    raw = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return all((np.asarray(raw(a)) == np.asarray(raw(b))).all() for a, b in zip(*map(jax.tree.leaves, (one, two))))


def test_eight_members_in_two_blocks_are_one_program(swept):
    folder, traced = swept
    assert traced == 1
    found = list(rows.read(folder / "metrics.jsonl"))
    assert [(row["block"], row["update"]) for row in found] == [(b, u) for b in (0, 1) for u in range(1, 7)]
    assert all(len(row["return_per_day"]) == 4 for row in found)
    with (folder / "members.csv").open() as file:
        table = [
            (row["block"], row["seed"], row["learning_rate"], row["systems.economy.rent"])
            for row in csv.DictReader(file)
        ]
    assert table[0] == ("0", "0", "0.0005", "1.5") and table[7] == ("1", "1", "0.001", "0.5") and len({*table}) == 8


def test_a_member_is_the_single_run_of_its_seed_and_rate(swept, tiny_run):
    """The towns are the same to the bit; parameters within 1e-5, since products are rounded in another order."""
    folder, _ = swept
    assert run_command(sweep.main, "--sweep", folder, "--export-member", "0") == 0
    assert run_command(sweep.main, "--sweep", folder, "--export-member", "0") == 2, "it holds a run by now"
    alone, one = (runs.load_runner(runs.existing(path))[0] for path in (tiny_run, folder / "members/000"))
    assert same(alone.states, one.states) and same(alone.key, one.key)
    for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(one.params)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    logged = [
        [row["return_per_day"] for row in rows.read(path / "metrics.jsonl")]
        for path in (tiny_run, folder / "members/000")
    ]
    np.testing.assert_allclose(*logged, rtol=1e-5)


def test_an_export_that_was_killed_is_made_anew_and_knows_its_score(swept, tmp_path):
    """The score is the mean of the last two updates, since `checkpoint_every` is 2."""
    folder, half = tmp_path / "best", tmp_path / "best.part"
    half.mkdir()
    (half / "config.yaml").write_text("half of a config")
    crowd.export(sweep.existing(swept[0]), sweep.COURSE, 5, folder)
    assert not half.exists()
    run = runs.existing(folder)
    manifest = runs.load_runner(run, "best")[1]
    last = [row["return_per_day"][1] for row in rows.read(swept[0] / "metrics.jsonl") if row["block"] == 1][-2:]
    assert manifest.step == 6 and manifest.score == pytest.approx(np.mean(last))


def test_what_says_which_is_best_is_asked_before_the_work(tmp_path, capsys):
    path = written(tmp_path, changes={**CHANGES, "best_by": "return_per_dya"}, world_grid={})
    assert run_command(sweep.main, "--config", path, "--runs", tmp_path) == 2
    assert "best_by 'return_per_dya' is not logged" in capsys.readouterr().err
    assert not (tmp_path / "both/sweep.yaml").exists()


def test_members_differ_by_seed_rate_and_world(swept):
    folder, _ = swept
    last = list(rows.read(folder / "metrics.jsonl"))
    first, second = last[5], last[11]
    assert len({*first["policy_loss"], *second["policy_loss"]}) == 8
    assert np.mean(second["wallet"]) > np.mean(first["wallet"]), "a lower rent leaves more money"


@pytest.mark.slow
def test_an_exported_member_is_evaluated_like_any_run(swept):
    folder, _ = swept
    assert (folder / "best/config.yaml").is_file()
    best = crowd.best_of(sweep.existing(folder))
    assert yaml.safe_load((folder / "best/config.yaml").read_text())["name"] == f"both-{best}"
    assert run_command(evaluate.main, "--run", folder / "best", "--num-envs", 4, "--seeds", 2, "--days", 0.25) == 0


def test_a_sweep_that_was_killed_goes_on_to_the_same_end(swept, tmp_path, capsys):
    """In the second block after 4 of 6 updates, with rows that nobody saved and half a line."""
    folder, _ = swept
    again = tmp_path / "both"
    shutil.copytree(folder, again, ignore=shutil.ignore_patterns("best", "members"))
    shutil.rmtree(again / "checkpoints/block_001/6")
    text = (again / "metrics.jsonl").read_text().splitlines(keepends=True)
    (again / "metrics.jsonl").write_text("".join(text[:-1]) + text[-1][:40])
    assert run_command(sweep.main, "--resume", again) == 0
    assert same(state_of(folder, 1), state_of(again, 1)) and same(state_of(folder, 0), state_of(again, 0))
    plain = lambda path: [
        {k: v for k, v in row.items() if k != "steps_per_second"} for row in rows.read(path / "metrics.jsonl")
    ]
    assert plain(folder) == plain(again)


def test_only_what_differs_between_worlds_is_stacked():
    names = ["rent 1.5", "rent 0.5", "rent 0.5"]
    words = ((), ("systems.economy.rent=0.5",))
    one, two = (compile_document(read("town", word)) for word in words)
    found = stack.worlds_of([one, two, two], names)
    assert len(found.places) == 1 and found.values[0].tolist() == [1500, 500, 500]
    config, _ = load_config("ppo_town", TINY)
    program = stack.bound(learner.program_of(one, config), found.places, (jnp.int32(500),))
    assert int(program.world.params["economy"].rent) == 500 and int(one.params["economy"].rent) == 1500


def test_a_diverged_member_is_null_and_leaves_the_others_alone(tmp_path):
    rows.append(
        tmp_path / "metrics.jsonl",
        [{"block": 0, "update": u, "x": [rows.plain(float("nan")), 2.0 + u]} for u in (1, 2, 3)],
    )
    found = rows.finals(tmp_path, 2, "x", last=1)
    assert np.isnan(found[0]) and found[1] == 4.5


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The folder of a sweep of three seeds that a teacher leads throughout; the weights of member 1 are NaN from the start."""
    folder = tmp_path_factory.mktemp("taught")

    def poisoned(part):
        runner = stack.init(part)
        return runner.replace(params=jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), runner.params))

    changes = {**CHANGES, "teacher": "scripted", "mix": 1.0, "bc_coef": 1.0, "learning_rate": 5e-3}
    path = written(folder, name="taught", changes=changes, seeds=3, grid={}, world_grid={}, block=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "COURSE", sweep.COURSE._replace(init=poisoned))
        assert run_command(sweep.main, "--config", path, "--runs", folder) == 0
    return folder / "taught"


def test_a_member_with_broken_weights_is_told_though_its_people_earn_on(taught):
    found = list(rows.read(taught / "metrics.jsonl"))
    lists = [value for row in found for value in row.values() if isinstance(value, list)]
    assert len(found) == 6 and len(lists) > 60
    assert all(one is not None and bad is None and other is not None for one, bad, other in lists)
    whole = sweep.existing(taught)
    assert np.isnan(crowd.scores(whole)).tolist() == [False, True, False] and crowd.best_of(whole) != 1


def test_a_sweep_has_the_teacher_of_its_base(taught):
    """All decisions are the teacher's, so that there is nothing to learn from but what the teacher does."""
    found = list(rows.read(taught / "metrics.jsonl"))
    assert all(row["mix"] == [1.0, None, 1.0] and row["bc_coef"] == [1.0, None, 1.0] for row in found)
    for member in (0, 2):
        assert all(row["policy_loss"][member] == 0.0 and row["imitation_loss"][member] > 0.5 for row in found)


def test_ranges_are_drawn_evenly_by_seed():
    assert Span(low=1e-4, high=1e-2, scale="log").at(0.5) == pytest.approx(1e-3)
    assert Span(low=0.8, high=0.9).at(0.25) == pytest.approx(0.825)


def test_draws_multiply_with_seeds(tmp_path):
    random = {"learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"}, "gae_lambda": {"low": 0.9, "high": 0.99}}
    path = written(tmp_path, grid={}, world_grid={}, random=random, draws=3, seeds=2)
    config, _ = load_shared(SweepConfig, path, ())
    one, two = (members_of(config, base_of(config)) for _ in range(2))
    assert [m.hyper for m in one] == [m.hyper for m in two] and len(one) == config.count() == 6
    assert one[0].hyper == one[1].hyper != one[2].hyper and [m.seed for m in one] == [0, 1] * 3
    assert all(1e-4 <= m.config.learning_rate <= 1e-2 and 0.9 <= m.config.gae_lambda <= 0.99 for m in one)


REFUSED = {
    "an unknown hyper-parameter": ({"grid": {"learning_rat": [0.1]}}, ["learning_rat", "learning_rate"]),
    "one that needs a teacher": ({"grid": {"mix": [0.1]}}, ["'mix'", "gamma"]),
    "a rate out of range": ({"grid": {"learning_rate": [5e-4, 3.0]}}, ["learning_rate=3.0", "0 <", "1"]),
    "no values": ({"grid": {"learning_rate": []}}, ["learning_rate has no values"]),
    "no seeds": ({"seeds": 0}, ["seeds has no values"]),
    "the same seed twice": ({"seeds": [1, 1]}, ["seeds [1, 1]", "twice"]),
    "too many": ({"seeds": 5000}, ["4096"]),
    "a range upside down": ({"random": {"gamma": {"low": 0.9, "high": 0.8}}, "draws": 1}, ["low 0.9", "high 0.8"]),
    "a logarithm of 0": ({"random": {"ent_coef": {"low": 0.0, "high": 0.1, "scale": "log"}}, "draws": 1}, ["above 0"]),
    "draws of nothing": ({"draws": 3}, ["draws 3", "random"]),
    "an unknown base": ({"base": "ppo_twon"}, ["ppo_twon", "ppo_town"]),
    "an unknown change": ({"changes": {"num_env": 8}}, ["error: changes: num_env", "num_envs"]),
    "a seed for all": ({"changes": {"seed": 3}}, ["changes.seed", "seeds"]),
    "another shape of world": ({"world_grid": {"num_agents": [8, 6]}}, ["num_agents=6", "num_agents", "numbers only"]),
    "a part that is on or off": (
        {"world_grid": {"systems.economy.stipend": [0.0, 0.5]}},
        ["stipend=0.5", "switches a part"],
    ),
    "a world in which nobody can live": ({"world_grid": {"systems.economy.rent": [1.5, 9.0]}}, ["rent", "9.0"]),
    "curiosity of some": ({"grid": {"curiosity": [0.0, 0.5]}}, ["curiosity", "for all"]),
    "too little memory": ({"memory_gib": 1e-6}, ["memory_gib 1e-06", "GiB"]),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_sweeps(tmp_path, capsys, changes, words):
    path = written(tmp_path, **{"world_grid": {}, **changes})
    assert run_command(sweep.main, "--config", path, "--runs", tmp_path / "runs") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and all(word in error for word in words), error
    assert not (tmp_path / "runs").exists(), "a refused sweep left a folder"


def test_refused_flags(swept, tmp_path, capsys):
    folder, _ = swept
    for words, told in (
        (("--resume", folder, "--set", "seeds=3"), "--set"),
        (("--export-member", "3"), "--sweep"),
        (("--sweep", folder, "--export-member", "8"), "0 to 7"),
        (("--sweep", folder, "--export-member", "first"), "0 to 7, or best"),
        (("--resume", tmp_path), "holds no sweep"),
        ((), "--config"),
    ):
        assert run_command(sweep.main, *words) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(ConfigError):
        load_shared(SweepConfig, "no_such_sweep", ())


def test_blocks_divide_the_members_and_fit(swept):
    whole = sweep.existing(swept[0]).stack
    each = stack.member_bytes(whole) / stack.GIB
    assert [stack.block_of(whole, most, 1.0) for most in (0, 1, 3, 4, 7)] == [8, 1, 2, 4, 4]
    assert stack.block_of(whole, 0, each * 5.5) == 4
