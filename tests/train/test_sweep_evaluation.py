"""Evaluation sweeps: one program for what shares shapes, the same numbers as one by one, and refusals that say why."""

import csv
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import run_command

from townlet_jax import load, policies
from train import evaluate, runs
from train.evaluation import grid, heatmap, sheets, stacking
from train.evaluation.scores import held_out_keys
from train.logging import RunError
from train.players import memoryless
from train.program import learned

SHORT = ("--num-envs", 2, "--seeds", 2, "--days", 0.05)


def planned(*words):
    return evaluate.planned(evaluate.parser().parse_args([str(word) for word in words]))


@pytest.fixture(scope="module")
def rents():
    """The script in two worlds of other rents with two thresholds each, its cells and what they found in 5 towns."""
    cells, _ = planned(
        "--world-set",
        "observation.variant=compact",
        "--vary",
        "systems.economy.rent=0.5,1.25",
        "--vary",
        "citizen.urgent=0.3,0.7",
    )
    return cells, stacking.play(cells, held_out_keys(5, 1), days=0.6)


def test_worlds_and_thresholds_are_one_program(rents):
    cells, (found, programs) = rents
    assert len(cells) == 6 and programs == 1
    assert [cell.settings for cell in cells[:3]] == [
        {"systems.economy.rent": "0.5"},
        {"systems.economy.rent": "1.25"},
        {"systems.economy.rent": "0.5", "citizen.urgent": "0.3"},
    ]
    assert len({one["return_per_day"].tobytes() for one in found}) > 3  # the values matter


def test_a_sweep_is_traced_once_however_many_values_and_chunks(rents, monkeypatch):
    """With a rule in place of a town: the rent and the last bits of its key, which every chunk must put in its place."""
    traced = []

    def rule(world, player, num_ticks, key):
        traced.append(num_ticks)
        return {
            "wallet_gain": world.params["economy"].rent * jnp.float32(1.0),
            "reward/total": jax.random.key_data(key)[1] % 97 * jnp.float32(1.0),
        }

    monkeypatch.setattr(stacking, "town_sums", rule)
    keys = held_out_keys(5, 1)
    found, programs = stacking.play(rents[0], keys, days=0.01, most=4)
    assert traced == [14] and programs == 1
    mills = [1000 * float(cell.settings["systems.economy.rent"]) for cell in rents[0]]
    assert [one["wallet_gain"].tolist() for one in found] == [[each] * 5 for each in mills]
    wanted = np.asarray(jax.random.key_data(keys))[:, 1] % 97 * 1440
    assert all(one["return_per_day"].tolist() == wanted.tolist() for one in found)


def test_a_cell_is_what_the_world_alone_gives(rents):
    """The last cell, rent 1.25 and urgent 0.7, played by `evaluate` in the compiled world with the policy `citizen`."""
    cells, (found, _) = rents
    world = load("town", **{"observation.variant": "compact", "systems.economy.rent": 1.25})
    alone = evaluate.evaluate(world, {"x": memoryless(policies.citizen(urgent=0.7))}, 5, 1, int(0.6 * 1440))["x"]
    assert cells[-1].settings == {"systems.economy.rent": "1.25", "citizen.urgent": "0.7"}
    assert set(alone) == set(found[-1])
    for name, values in alone.items():
        assert values == pytest.approx(found[-1][name], rel=1e-5, abs=1e-5), name


def test_chunks_change_nothing(rents):
    cells, (found, _) = rents
    assert (
        stacking.sizes(6, 5, 4) == (1, 3)
        and stacking.sizes(6, 5, 20) == (3, 5)
        and stacking.sizes(6, 5, 4096) == (6, 5)
    )
    again, programs = stacking.play(cells[:5], held_out_keys(5, 1), days=0.6, most=6)
    assert programs == 1
    for one, other in zip(found, again):
        assert all(one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-5) for name in one)


def test_chunks_are_filled_up():
    assert stacking.chunks(5, 3) == [[0, 1, 2], [3, 4, 4]] and stacking.chunks(2, 4) == [[0, 1, 1, 1]]


def test_only_leaves_that_differ_are_stacked():
    a, b = {"x": jnp.arange(3), "y": jnp.int32(1)}, {"x": jnp.arange(3), "y": jnp.int32(2)}
    stacked = stacking.stack([a, b])
    assert stacked.axes == {"x": None, "y": 0}
    rows = stacked.rows([1, 1, 0])
    assert rows["y"].tolist() == [2, 2, 1] and rows["x"].tolist() == [0, 1, 2]


def test_what_differs_in_shape_is_another_program():
    cells, _ = planned(
        "--policy", "scripted", "--world", "town", "--world", "town_6", "--vary", "systems.economy.rent=0.5,1"
    )
    assert stacking.grouped(cells) == [[0, 1], [2, 3]]


def test_a_run_and_scripts_in_the_worlds_of_a_sweep(tiny_run, tmp_path, capsys):
    words = ("--run", tiny_run, "--policy", "random", "--vary", "systems.economy.rent=0.5,1.0", "--out", tmp_path)
    assert run_command(evaluate.main, *words, *SHORT) == 0
    said, result = capsys.readouterr().out, json.loads((tmp_path / "sweep.json").read_text())
    assert "4 cells in 2 compiled programs" in said and result["programs"] == 2 and result["towns"] == 4
    assert [(row["policy"], row["step"], row["settings"]["systems.economy.rent"]) for row in result["cells"]] == [
        ("tiny", 6, "0.5"), ("tiny", 6, "1.0"), ("random", None, "0.5"), ("random", None, "1.0"),
    ]  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [row["systems.economy.rent"] for row in rows] == ["0.5", "1.0"] * 2
    value = result["cells"][0]["indicators"]["return_per_day"]
    assert float(rows[0]["return_per_day_iqm"]) == value["iqm"] and value["interval"][0] <= value["iqm"]
    assert (tmp_path / "sweep.png").read_bytes()[1:4] == b"PNG"


def test_an_earlier_sweep_outlives_one_that_breaks_off(monkeypatch, tmp_path, capsys):
    (tmp_path / "sweep.json").write_text("hours of work")

    def broken(*_):
        raise RunError("no memory left")

    monkeypatch.setattr(stacking, "play", broken)
    assert run_command(evaluate.main, "--world", "town", "--out", tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]
    assert (tmp_path / "sweep.json").read_text() == "hours of work"
    assert run_command(evaluate.main, "--world", "town", "--out", tmp_path / "sweep.json") == 2
    assert "cannot write" in capsys.readouterr().err, "told before the work"


def test_a_learned_policy_in_a_sweep_is_itself(tiny_run):
    """Two stacked copies of a run's weights, one all 0: the first cell is what the run alone gives."""
    run = runs.existing(tiny_run)
    player = learned(run.world, run.config, runs.load_runner(run)[0].params)
    other = player.replace(params=jax.tree.map(jnp.zeros_like, player.params))
    place = grid.Place("town", {}, run.world)
    cells = [grid.Cell(grid.Entrant(name, 6, one, {}, run.world), place) for name, one in (("a", player), ("b", other))]
    found, programs = stacking.play(cells, held_out_keys(3, 1), days=0.1)
    alone = evaluate.evaluate(run.world, {"a": player}, 3, 1, 150)["a"]
    assert programs == 1 and found[0]["return_per_day"] == pytest.approx(alone["return_per_day"], abs=1e-3)
    assert found[1]["return_per_day"] != pytest.approx(alone["return_per_day"], abs=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--vary", "systems.economy.rent=0.5,9"), "--vary systems.economy.rent=9: "),
        (("--vary", "systems.economy.rend=1"), "rend"),
        (
            ("--vary", "citizen.urgent=1.5"),
            "citizen.urgent=1.5 is not allowed: urgent is 1.5: allowed are shares from 0 to 1",
        ),
        (("--vary", "citizen.larder=0.5"), "integers from 0 to 100"),
        (("--vary", "citizen.greed=1"), "no such threshold (allowed: citizen.urgent"),
        (("--vary", "citizen.urgent=much"), "thresholds are numbers"),
        (("--vary", "rent"), "is not allowed (KEY=VALUE,VALUE,..."),
        (("--vary", "a=1,1"), "1 is named twice"),
        (("--vary", "a=1", "--vary", "a=2"), "--vary a is given twice"),
        (("--world", "twon"), "town"),
        (("--max-towns", "0", "--world", "town"), "--max-towns 0 is not allowed"),
        (("--step", "3", "--world", "town"), "--step 3 is about runs"),
        (("--greedy", "--world", "town"), "--greedy is about runs"),
        (("--run", "x"), "x belongs to a sweep"),
        (("--run", "x", "--indicator", "attendance"), "belongs to a sweep (allowed with --policy, --world"),
    ],
)
def test_what_cannot_be_swept_is_refused(words, message, capsys, tmp_path):
    assert run_command(evaluate.main, *words, "--out", tmp_path / "x") == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--world", "town"), "observation.variant 'hybrid', it learned from 'compact'"),
        (("--world", "m3", "--world-set", "observation.variant=compact"), "without option:10 and with option:11"),
    ],
)
def test_a_policy_is_not_put_into_a_world_of_other_features(tiny_run, words, message, capsys):
    assert run_command(evaluate.main, "--run", tiny_run, *words) == 2
    error = capsys.readouterr().err
    assert "tiny cannot play in" in error and message in error


def test_a_script_is_not_put_into_a_world_without_what_it_lives_by():
    world = SimpleNamespace(static=SimpleNamespace(has=lambda name: name != "economy"))
    assert grid.misfit(grid.script({}), world) == "no system economy"
    with pytest.raises(RunError, match="scripted cannot play in x: that world has no system economy"):
        grid.cells([grid.script({})], {"x": [grid.Place("x", {}, world)]}, {})


def test_lists_are_one_value():
    assert grid.axis("start.needs=[0.3, 0.4],[0.5, 0.6]").values == ("[0.3, 0.4]", "[0.5, 0.6]")


def test_the_best_thresholds_are_measured_in_other_towns():
    """A setting that wins by its even towns alone is told by its odd ones."""
    world = load("town")
    place = grid.Place("town", {}, world)
    cells = [grid.Cell(grid.script(chosen), place) for chosen in ({}, {"citizen.urgent": "0.7"})]
    results = [{"return_per_day": np.array([1.0, 4.0] * 4)}, {"return_per_day": np.array([9.0, 5.0] * 4)}]
    (found,) = sheets.tuned(cells, results, "return_per_day")
    assert found["thresholds"] == {"citizen.urgent": "0.7"}
    assert (found["shipped"]["iqm"], found["best"]["iqm"], found["gain"]) == (4.0, 5.0, 0.25)
    assert "best urgent=0.7, 5.00 [5.00, 5.00] (+25.0%); shipped 4.00" in sheets.gains([found])[0]


def value(mean):
    return {"iqm": mean, "mean": mean, "of": "iqm", "interval": [mean - 1, mean + 1], "towns": 4}


def rows_of(*settings):
    return [
        {
            "policy": "x",
            "step": 1,
            "world": "w",
            "config_id": "",
            "settings": one,
            "indicators": {"return_per_day": value(i)},
        }
        for i, one in enumerate(settings)
    ]


def test_a_heat_map_holds_each_value_in_its_place():
    across, up = grid.Axis("a", ("1", "2")), grid.Axis("b", ("x", "y", "z"))
    rows = rows_of(*({"a": a, "b": b} for b in up.values for a in across.values))[:5]
    means, intervals = heatmap.grid_of(rows, across, up, "return_per_day")
    assert means[0].tolist() == [0, 1] and means[1].tolist() == [2, 3] and means[2, 0] == 4 and np.isnan(means[2, 1])
    assert intervals[1, 1].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("texts", "settings"),
    [
        (("a=1,2", "b=1,2"), [{"a": a, "b": b} for a in "12" for b in "12"]),
        (("a=1,2",), [{"a": "1"}, {"a": "2"}]),
        (("a=x,y",), [{"a": "x"}, {"a": "y"}]),
        ((), [{}]),
    ],
)
def test_every_sweep_has_a_picture(texts, settings, tmp_path):
    rows = rows_of(*settings)
    path = heatmap.draw(rows, grid.axes(texts), "return_per_day", "title", tmp_path / "x.png")
    assert path.stat().st_size > 5000
    with pytest.raises(RunError, match="nothing to draw"):
        heatmap.draw(rows, grid.axes(texts), "attendance", "title", path)


def test_a_picture_without_matplotlib_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(RunError, match=r"pip install 'townlet-jax\[viz\]'"):
        heatmap.draw(rows_of({}), (), "return_per_day", "title", tmp_path / "x.png")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("systems.economy.rent", "coins a day"),
        ("systems.needs.decay.hunger", "share of a full need lost per tick"),
        ("citizen.early_bird", "ticks"),
        ("num_agents", "slots for agents"),
    ],
)
def test_axes_say_what_they_measure(key, words):
    assert words in heatmap.label(key)
