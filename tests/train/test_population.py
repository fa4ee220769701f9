"""Populations: who copies whom, what changes, and that a resumed one is the same to the bit."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from tiny_runs import TINY, run_command

from train import population, runs
from train.sweeps import crowd, rows
from train.sweeps.evolve import Population, copied, drawn, evolve, explored, rules_of, smoothed, sources
from train.sweeps.members import Span
from train.types import Hyper, Runner

CHANGES = {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in TINY)}
RANGES = {"learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"}, "gae_lambda": {"low": 0.5, "high": 1.0}}
YAML = {"name": "tribe", "base": "ppo_town", "changes": CHANGES, "members": 4, "ranges": RANGES, "updates_per_chunk": 2}
SPANS = {name: Span(**span) for name, span in RANGES.items()}


def four() -> Runner:
    """Four members; member k has k in all that it learned, and 10 + k in all that is its own."""
    each, own = jnp.arange(4.0), 10 + jnp.arange(4)
    hyper = {name: jnp.full(4, 0.5) for name in Hyper.__dataclass_fields__}
    hyper["learning_rate"] = jnp.array([1e-3, 2e-3, 3e-3, 4e-3])
    return Runner(
        params={"w": each[:, None] * jnp.ones((4, 3))},
        opt_state=(each,),
        hyper=Hyper(**hyper),
        states=own,
        pool=own,
        memory=(),
        starts=jnp.zeros((4, 2, 5), bool),
        scaling=(),
        curiosity=(),
        episode=own,
        key=jax.vmap(jax.random.key)(own),
        update=jnp.full(4, 6),
    )


def test_the_worst_copies_the_best_and_nan_is_worst():
    """Scores 3, NaN, 1, 2 with one copy: member 1 copies member 0. With two, 1 and 2 copy out of 0 and 3."""
    score = jnp.array([3.0, jnp.nan, 1.0, 2.0])
    assert sources(score, 1, jax.random.key(0)).tolist() == [0, 0, 2, 3]
    found = np.array([sources(score, 2, jax.random.key(seed)) for seed in range(20)])
    assert (found[:, [0, 3]] == [0, 3]).all() and {*found[:, 1]} == {*found[:, 2]} == {0, 3}


def test_nobody_copies_who_has_diverged():
    """Scores NaN, 1, NaN, NaN with two copies: the best two are 1 and somebody who has diverged, and all copy member 1."""
    score = jnp.array([jnp.nan, 1.0, jnp.nan, jnp.nan])
    for seed in range(8):
        found = sources(score, 2, jax.random.key(seed)).tolist()
        assert {source for member, source in enumerate(found) if source != member} == {1}


def test_who_diverges_loses_its_score_at_once():
    assert np.isnan(smoothed(jnp.array([10.0, jnp.nan]), jnp.array([jnp.nan, jnp.nan]), 0.9)).all()


def test_a_copy_takes_what_was_learned_and_keeps_its_own_towns():
    after = copied(four(), jnp.array([0, 0, 2, 3]))
    assert after.params["w"][:, 0].tolist() == [0, 0, 2, 3] and after.opt_state[0].tolist() == [0, 0, 2, 3]
    assert after.hyper.learning_rate.tolist() == pytest.approx([1e-3, 1e-3, 3e-3, 4e-3])
    assert after.states.tolist() == after.episode.tolist() == [10, 11, 12, 13]
    assert (jax.random.key_data(after.key) == jax.random.key_data(four().key)).all()
    assert after.starts.all((1, 2)).tolist() == [False, True, False, False], (
        "what was remembered belongs to the old network"
    )


def test_explore_multiplies_by_four_fifths_or_five_quarters_within_the_range():
    """From 1e-3 and 0.9: 8e-4 or 1.25e-3; 0.72, or 1.125 and so 1."""
    rules = rules_of(SPANS, members=4, share=0.25, resample=0.0)
    values = jnp.tile(jnp.array([1e-3, 0.9]), (64, 1))
    found = np.asarray(explored(rules, values, jax.random.key(0)))
    assert {*np.round(found[:, 0], 6)} == {np.float32(8e-4), np.float32(1.25e-3)}
    assert {*np.round(found[:, 1], 4)} == {np.float32(0.72), np.float32(1.0)}


def test_resampling_draws_from_the_whole_range():
    """Half-way between 1e-4 and 1e-2 in the logarithm is 1e-3, and between 0.5 and 1 it is 0.75."""
    rules = rules_of(SPANS, members=4, share=0.25, resample=1.0)
    assert drawn(rules, jnp.array([0.5, 0.5])).tolist() == pytest.approx([1e-3, 0.75])
    found = np.asarray(explored(rules, jnp.full((200, 2), 0.6), jax.random.key(1)))
    assert (found[:, 0] >= 1e-4).all() and (found[:, 0] <= 1e-2).all() and 0.7 < found[:, 1].mean() < 0.8
    assert 0.4 < (found[:, 0] < 1e-3).mean() < 0.6


def test_smoothing_by_hand():
    """0.9 * 10 + 0.1 * 20 = 11; the first value stands for itself."""
    assert smoothed(jnp.array([10.0, jnp.nan]), jnp.array([20.0, 20.0]), 0.9).tolist() == [11.0, 20.0]


def test_a_round_changes_only_those_who_copy():
    rules = rules_of(SPANS, members=4, share=0.25, resample=0.0)
    before = Population(four(), jnp.array([4.0, 1.0, 2.0, 3.0]), jax.random.key(5))
    after, source = jax.jit(evolve)(rules, before)
    assert source.tolist() == [0, 0, 2, 3] and after.score.tolist() == [4.0, 4.0, 2.0, 3.0]
    rates = after.runner.hyper.learning_rate.tolist()
    assert (
        rates[0] == before.runner.hyper.learning_rate[0] and rates[2:] == before.runner.hyper.learning_rate[2:].tolist()
    )
    assert rates[1] == pytest.approx(8e-4) or rates[1] == pytest.approx(1.25e-3)
    assert (jax.random.key_data(after.key) != jax.random.key_data(before.key)).any()
    assert after.runner.hyper.clip_eps.tolist() == [0.5] * 4, "what is not in the ranges stays"


def written(folder, **changes):
    (folder / "tribe.yaml").write_text(json.dumps({**YAML, **changes}))
    return folder / "tribe.yaml"


@pytest.mark.slow
def test_a_population_resumes_to_the_bit_and_tells_who_copied(tmp_path):
    """Six updates with rounds after 2 and 4; killed after 4, and with a row of lineage that nobody saved."""
    assert run_command(population.main, "--config", written(tmp_path), "--runs", tmp_path) == 0
    folder, again = tmp_path / "tribe", tmp_path / "again"
    told = list(rows.read(folder / "lineage.jsonl"))
    assert [row["update"] for row in told] == [2, 4]
    assert all(row["member"] != row["source"] and row["source_score"] >= row["score"] for row in told)
    logged = list(rows.read(folder / "metrics.jsonl"))
    first, third = logged[0], logged[2]
    copier = told[0]["member"]
    assert told[0]["before"]["learning_rate"] == first["hyper/learning_rate"][copier]
    assert told[0]["after"]["learning_rate"] == third["hyper/learning_rate"][copier]
    shutil.copytree(folder, again, ignore=shutil.ignore_patterns("best"))
    shutil.rmtree(again / "checkpoints/block_000/6")
    rows.append(again / "lineage.jsonl", [{**told[-1], "update": 5}])
    assert run_command(population.main, "--resume", again) == 0
    states = []
    for place in (folder, again):
        whole = population.setup(population.parser().parse_args(["--resume", str(place)]))
        states.append(crowd.restored(whole, population.course_of(whole.shared), 0)[0])
    raw = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    assert all((np.asarray(raw(a)) == np.asarray(raw(b))).all() for a, b in zip(*map(jax.tree.leaves, states)))
    assert list(rows.read(again / "lineage.jsonl")) == told
    best, _ = runs.load_runner(runs.existing(folder / "best"))
    assert float(best.hyper.learning_rate) in states[0].runner.hyper.learning_rate.tolist()


REFUSED = {
    "no ranges": ({"ranges": {}}, ["ranges", "at least one"]),
    "an unknown one": ({"ranges": {"seed": {"low": 0.0, "high": 1.0}}}, ["'seed'", "learning_rate"]),
    "an end out of range": ({"ranges": {"gamma": {"low": 0.9, "high": 1.5}}}, ["gamma=1.5", "1"]),
    "too few": ({"members": 3}, ["members", "3", "4"]),
    "most of them copy": ({"share": 0.6}, ["share", "0.6", "0.5"]),
    "a seed for all": ({"changes": {"seed": 3}}, ["changes.seed", "member k"]),
    "too little memory": ({"memory_gib": 1e-6}, ["memory_gib 1e-06"]),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_populations(tmp_path, capsys, changes, words):
    path = written(tmp_path, **changes)
    assert run_command(population.main, "--config", path, "--runs", tmp_path / "runs") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and all(word in error for word in words), error
    assert not (tmp_path / "runs").exists()
