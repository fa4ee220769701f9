"""A run folder: what lands on disk, what a resume keeps, and what is refused in one line."""

import csv
import json
import math
import sys

import numpy as np
import pytest

from train.logging import RunError, open_run, plot_curve, read_rows


def row(update):
    return {"update": update, "agent_steps": 1000 * update, "return_per_day": update / 3, "needs/energy": 0.1 * update}


def full_row(update):
    share = update / 200
    wave = math.sin(update / 7)
    needs = ("energy", "satiety", "bladder", "hygiene", "social", "fun", "health", "comfort")
    return {
        "update": update,
        "agent_steps": update * 65_536,
        "seconds": update * 0.21,
        "steps_per_second": 1.1e6 + 9e4 * wave,
        "return_per_day": -3 + 9 * share**0.5 + 0.4 * wave,
        **{f"needs/{name}": 0.2 + 0.08 * i * share + 0.02 * wave + 0.2 * share for i, name in enumerate(needs)},
        "attendance": 0.8 * share**0.4,
        "wallet": 20 + 60 * share + wave,
        "collapses_per_day": 0.3 * (1 - share) ** 2 + 0.01 * abs(wave),
        "loss/policy": -0.01,
    }


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("metrics.jsonl", "metrics.csv")}


def test_rows_land_in_both_files_at_once(tmp_path):
    run = open_run(tmp_path / "runs" / "a", "seed: 0\n")
    assert (run.folder / "config.yaml").read_text() == "seed: 0\n"
    for update in (1, 2):
        run.log(row(update))
        assert read_rows(run.folder) == [row(u) for u in range(1, update + 1)]
    with (run.folder / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [{key: float(cell) for key, cell in line.items()} for line in table] == [row(1), row(2)]
    assert list(table[0]) == list(row(1))


def test_numpy_and_jax_scalars_become_plain_numbers(tmp_path):
    import jax.numpy as jnp

    run = open_run(tmp_path, "")
    run.log({"update": jnp.int32(3), "a": np.float32(0.5), "b": jnp.float32(0.25), "c": np.int64(7), "d": True})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"update": 3, "a": 0.5, "b": 0.25, "c": 7, "d": 1}\n'
    assert (tmp_path / "metrics.csv").read_text() == "update,a,b,c,d\n3,0.5,0.25,7,1\n"


def test_a_missing_key_is_an_empty_cell(tmp_path):
    run = open_run(tmp_path, "")
    run.log({"update": 1, "loss": 2.0, "wallet": 5})
    run.log({"wallet": 6, "update": 2})
    assert (tmp_path / "metrics.csv").read_text() == "update,loss,wallet\n1,2.0,5\n2,,6\n"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"update": 2, "loss": math.nan}, '"loss" is nan'),
        ({"update": 2, "loss": np.float32("inf")}, '"loss" is inf'),
        ({"update": 2, "loss": np.zeros(3)}, '"loss" is not one number'),
        ({"update": 2, "loss": "high"}, '"loss" is not one number'),
        ({"update": 2, "late": 1.0}, 'new key "late" at update 2'),
        ({"loss": 1.0}, 'needs the key "update"; saw loss'),
    ],
)
def test_a_bad_row_is_refused_by_name_and_writes_nothing(tmp_path, bad, words):
    run = open_run(tmp_path, "")
    run.log({"update": 1, "loss": 1.0})
    before = files(tmp_path)
    with pytest.raises(RunError, match=words) as caught:
        run.log(bad)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


def test_an_old_run_is_not_overwritten(tmp_path):
    open_run(tmp_path, "seed: 0\n").log(row(1))
    with pytest.raises(RunError, match="continue it with --resume or choose another --name"):
        open_run(tmp_path, "seed: 1\n")
    assert (tmp_path / "config.yaml").read_text() == "seed: 0\n"


def test_a_folder_with_a_configuration_is_not_taken(tmp_path):
    open_run(tmp_path, "seed: 0\n")
    with pytest.raises(RunError, match="already holds a run"):
        open_run(tmp_path, "seed: 1\n")
    assert (tmp_path / "config.yaml").read_text() == "seed: 0\n"


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_unusable_folder_is_one_line(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot use .*file") as caught:
        open_run(tmp_path / place, "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("json_tail", "csv_tail"),
    [("", ""), ('{"update": 6, "agent_st', ""), (json.dumps(row(6)) + "\n", "6,60"), ("\0\0\0\0", "6,6000,2.0,")],
)
def test_a_resumed_log_equals_an_uninterrupted_one(tmp_path, json_tail, csv_tail):
    whole, parts = open_run(tmp_path / "whole", "c"), open_run(tmp_path / "parts", "c")
    for update in range(1, 9):
        whole.log(row(update))
    for update in range(1, 6):
        parts.log(row(update))
    for name, tail in (("metrics.jsonl", json_tail), ("metrics.csv", csv_tail)):
        with (parts.folder / name).open("a") as file:
            file.write(tail)
    resumed = open_run(tmp_path / "parts", "c", resume=True)
    resumed.truncate_after(3)
    for update in range(4, 9):
        resumed.log(row(update))
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert not list((tmp_path / "parts").glob("*.part"))


def test_a_resume_mends_a_cut_line_before_any_row(tmp_path):
    open_run(tmp_path, "").log(row(1))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 2')
    open_run(tmp_path, "", resume=True).log(row(2))
    assert read_rows(tmp_path) == [row(1), row(2)]


@pytest.mark.parametrize(
    "line",
    ["null", "[1]", '{"loss": 1}', '{"update": "x"}', '{"update": null}', '{"update": 1.5}']
    + [f'{{"update": 1, "loss": {value}}}' for value in ('"x"', "null", "[1]", "true", "NaN", "1e999", "9" * 400)],
)
def test_a_line_that_is_not_a_row_is_told_by_its_number(tmp_path, line):
    open_run(tmp_path, "").log(row(1))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(line + "\n" + json.dumps(row(3)) + "\n")
    with pytest.raises(RunError, match="line 2 is damaged"):
        open_run(tmp_path, "", resume=True)


def test_a_first_row_that_lost_a_column_is_told(tmp_path):
    open_run(tmp_path, "").log(row(1))
    lines = [{"update": 1, "agent_steps": 1000}, row(2)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    before = files(tmp_path)
    with pytest.raises(RunError, match='"return_per_day" at update 2 is not in the first row'):
        open_run(tmp_path, "", resume=True)
    assert files(tmp_path) == before


def test_a_resume_keeps_the_columns(tmp_path):
    open_run(tmp_path, "").log(row(1))
    with pytest.raises(RunError, match='new key "late"'):
        open_run(tmp_path, "", resume=True).log({**row(2), "late": 0})


def test_a_resume_from_before_the_first_row_starts_anew(tmp_path):
    open_run(tmp_path, "").log(row(1))
    run = open_run(tmp_path, "", resume=True)
    run.truncate_after(0)
    run.log({"update": 1, "wallet": 2})
    assert (tmp_path / "metrics.csv").read_text() == "update,wallet\n1,2\n"


def test_damage_inside_the_log_is_named_by_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"update": 1}\nnonsense\n{"update": 3}\n')
    with pytest.raises(RunError, match="line 2 is damaged"):
        open_run(tmp_path, "", resume=True)


def test_curve_draws_every_panel_apart(tmp_path):
    run = open_run(tmp_path / "town $1_$2", "")
    for update in range(1, 201):
        run.log(full_row(update))
    path = plot_curve(run.folder)
    assert path == run.folder / "curve.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 50_000


@pytest.mark.parametrize("rows", [[{"update": 1, "wallet": 3}], [{"update": u, "needs": 0.5} for u in range(5)]])
def test_curve_skips_absent_keys(tmp_path, rows):
    run = open_run(tmp_path, "")
    for one in rows:
        run.log(one)
    assert plot_curve(tmp_path).exists()


def test_curve_of_nothing_is_refused(tmp_path):
    with pytest.raises(RunError, match="no row to plot"):
        plot_curve(tmp_path)
    open_run(tmp_path, "").log({"update": 1, "loss/value": 1.0})
    with pytest.raises(RunError, match="no row to plot"):
        plot_curve(tmp_path)


def test_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RunError, match=r"pip install 'townlet-jax\[viz\]'"):
        plot_curve(tmp_path)


def test_a_line_that_is_nested_too_deep_is_damaged(tmp_path):
    """As the last line it is left out, as before the last it is told."""
    (tmp_path / "metrics.jsonl").write_text('{"update": 1}\n' + "[" * 30000)
    assert read_rows(tmp_path) == [{"update": 1}]
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('\n{"update": 2}\n')
    with pytest.raises(RunError, match="line 2 is damaged"):
        read_rows(tmp_path)
