"""Reports: groups, statistics and files of many runs."""

import csv
import json
import math

import numpy as np
import pytest
from tiny_runs import run_command

from train import report
from train.logging import RunError, write_whole
from train.sweeps import rows
from train.sweeps.curves import thinned

ENDS = {"0.1": (1.0, 3.0, 5.0, 7.0), "0.2": (4.0, 6.0, 8.0, 10.0)}  # of four seeds at two rates


def sweep_at(folder, blocks=2, lost=False):
    """The folder of a sweep of eight members in blocks of four that climbed from 0 to `ENDS` in ten updates."""
    write_whole(folder / "sweep.yaml", "name: x\n")
    each = [
        {"member": k, "block": k // 4, "seed": k % 4, "learning_rate": rate}
        for k, rate in enumerate(["0.1"] * 4 + ["0.2"] * 4)
    ]
    write_whole(folder / "members.csv", rows.table_text(each))
    for block, values in zip(range(blocks), ENDS.values()):
        for update in range(1, 11):
            now = [value * (update / 10 if update < 10 else 1.0) for value in values]
            now = [None, *now[1:]] if lost and update > 3 else now
            row = {"block": block, "update": update, "agent_steps": 100 * update, "return_per_day": now}
            rows.append(folder / "metrics.jsonl", [row])
    return folder


def test_labels_of_groups():
    """What the names of a group begin with; the first name where that is nothing, or another group's, too."""
    assert report.labels([["m3_s0", "m3_s1"], ["bc_s0"], ["one", "two"]]) == ["m3_s*", "bc_s0", "one"]
    assert report.labels([["s0", "s2"], ["s1", "s3"]]) == ["s0", "s1"]


def test_groups_and_their_statistics_by_hand(tmp_path):
    """IQM of 1 3 5 7 is 4, of 4 6 8 10 it is 7; of the 16 pairs the second is above in 13: 4+4+3+2."""
    groups = report.of_sweep(sweep_at(tmp_path), "return_per_day")
    assert list(groups) == ["learning_rate=0.1", "learning_rate=0.2"]
    result = report.compared(groups, "return_per_day", 0.1, "x")
    one, two = result["groups"].values()
    assert (one["iqm"], two["iqm"], one["mean"], one["runs"]) == (4.0, 7.0, 4.0, 4)
    assert one["values"] == [1.0, 3.0, 5.0, 7.0] and one["interval"][0] < 4 < one["interval"][1]
    above = sum(b > a for a in ENDS["0.1"] for b in ENDS["0.2"]) / 16
    assert above == 13 / 16 == result["improvement"]["learning_rate=0.2"]["learning_rate=0.1"]
    assert result["intervals_overlap"]["learning_rate=0.1"]["learning_rate=0.2"] is True


def test_the_end_is_a_mean_over_the_last_updates(tmp_path):
    """Half of ten updates: the first member's are 0.6 0.7 0.8 0.9 1, mean 0.8."""
    group = next(iter(report.of_sweep(sweep_at(tmp_path), "return_per_day").values()))
    assert report.end_of(group, 0.5)[0] == pytest.approx(0.8) and report.end_of(group, 0.01)[0] == 1.0


def test_a_diverged_run_is_counted_and_left_out(tmp_path):
    group = report.of_sweep(sweep_at(tmp_path, lost=True), "return_per_day")["learning_rate=0.2"]
    assert group.diverged == 1 and group.curves[:, -1].tolist() == [6.0, 8.0, 10.0]
    with pytest.raises(RunError, match="every run of the group 'a' has diverged"):
        report.grouped(["a"], np.arange(1), np.full((1, 1), math.nan))


def test_a_sweep_that_is_not_complete_is_refused(tmp_path):
    with pytest.raises(RunError, match="not complete: go on with --resume"):
        report.of_sweep(sweep_at(tmp_path, blocks=1), "return_per_day")


def test_long_curves_are_thinned():
    x, values = thinned(np.arange(120.0), np.stack([np.arange(120.0), np.ones(120)]))
    assert x[:2].tolist() == [0.5, 2.5] and values.shape == (2, 60) and values[0, :2].tolist() == [0.5, 2.5]


def test_the_files_of_a_report(tmp_path, capsys):
    folder = sweep_at(tmp_path)
    assert run_command(report.main, "--sweep", folder) == 0
    shown = capsys.readouterr().out
    assert "learning_rate=0.2" in shown and "P(better than learning_rate=0.1)" in " ".join(shown.split())
    assert "Of 4 runs in a group an interval says little." in shown
    result = json.loads((folder / "report.json").read_text())
    assert result["unit"] == "reward per agent-day" and len(result["groups"]) == 2
    with (folder / "report.csv").open() as file:
        best = next(csv.DictReader(file))
    assert (best["group"], float(best["iqm"]), float(best["better_than_first"])) == ("learning_rate=0.2", 7.0, 13 / 16)
    assert "| learning_rate=0.1 | 4 | 0 | 4.000 |" in (folder / "report.md").read_text()
    assert (folder / "report.png").read_bytes()[:4] == b"\x89PNG"


def test_runs_that_differ_in_their_seed_are_a_group(tmp_path, tiny_run, capsys):
    """Two copies of the tiny run, one said to be of another seed, and one of another rate."""
    text = (tiny_run / "config.yaml").read_text()
    for name, config in (("a", text), ("b", text.replace("seed: 0", "seed: 7")), ("c", text + "clip_eps: 0.1\n")):
        config = config.replace("clip_eps: 0.2\n", "", 1) if name == "c" else config
        write_whole(tmp_path / name / "config.yaml", config)
        for file in ("world.yaml", "metrics.jsonl"):
            write_whole(tmp_path / name / file, (tiny_run / file).read_text())
    words = [word for name in "abc" for word in ("--run", tmp_path / name)]
    assert run_command(report.main, *words, "--out", tmp_path / "report", "--metric", "wallet") == 0
    result = json.loads((tmp_path / "report/report.json").read_text())
    assert {name: group["runs"] for name, group in result["groups"].items()} == {"a": 2, "c": 1}
    assert result["improvement"]["a"]["c"] == 0.5 and result["unit"] == "coins per agent"
    capsys.readouterr()
    (tmp_path / "b" / "source.json").write_text("{}")  # as of a run that began with the networks of another one
    assert run_command(report.main, *words, "--out", tmp_path / "report", "--metric", "wallet") == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text())["groups"]
    assert {name: group["runs"] for name, group in found.items()} == {"a": 1, "b": 1, "c": 1}
    assert run_command(report.main, *words, "--run", tmp_path / "a") == 2
    assert f"--run {tmp_path / 'a'} is given twice" in capsys.readouterr().err


def test_refused_reports(tmp_path, tiny_run, capsys):
    for words, told in (
        ((), "--run or --sweep"),
        (("--sweep", tmp_path / "none"), "holds no sweep"),
        (("--run", tmp_path), "holds no run"),
        (("--run", tiny_run, "--metric", "walet"), "Did you mean 'wallet'"),
        (("--run", tiny_run, "--last", "0"), "--last 0.0"),
    ):
        assert run_command(report.main, *words) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("metric", ["agent_steps", "steps_per_second", "update", "walet"])
def test_only_what_members_have_can_be_reported_of_a_sweep(tmp_path, capsys, metric):
    folder = sweep_at(tmp_path)
    lines = [{**json.loads(line), "steps_per_second": 9.0} for line in (folder / "metrics.jsonl").open()]
    write_whole(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert run_command(report.main, "--sweep", folder, "--metric", metric) == 2
    told = capsys.readouterr().err
    assert f"--metric '{metric}' is not logged" in told and "(allowed: return_per_day)" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"return_per_day": ["x", 1.0, 1.0, 1.0]}, "return_per_day at update 11 has 'x'"),
        ({"return_per_day": [[1.0], 1.0, 1.0, 1.0]}, "return_per_day at update 11 has [1.0]"),
        ({"return_per_day": [1.0]}, "return_per_day at update 11 has another number of members"),
        ({"block": None}, "block is None"),
        ({"block": [0]}, "block is [0]"),
        ({"update": "x"}, "update is 'x'"),
        ({"agent_steps": "x"}, "agent_steps is 'x'"),
    ],
)
def test_a_damaged_row_of_a_sweep_is_told(tmp_path, capsys, changes, told):
    folder = sweep_at(tmp_path)
    sound = {"block": 1, "update": 11, "agent_steps": 1100, "return_per_day": [1.0] * 4}
    rows.append(folder / "metrics.jsonl", [{**sound, **changes}])
    assert run_command(report.main, "--sweep", folder) == 2
    error = capsys.readouterr().err
    assert told in error and "metrics.jsonl" in error and error.count("\n") == 1


def test_a_damaged_table_of_members_is_told(tmp_path, capsys):
    folder = sweep_at(tmp_path)
    (folder / "members.csv").write_bytes(b"member,seed\n\xff\xfe,0\n")
    assert run_command(report.main, "--sweep", folder) == 2
    assert "members.csv" in capsys.readouterr().err


def test_text_in_the_row_of_a_run_is_told_by_its_line(tmp_path, capsys):
    write_whole(tmp_path / "config.yaml", "name: x\n")
    write_whole(tmp_path / "world.yaml", "name: x\n")
    lines = [{"update": update, "agent_steps": 9, "wallet": wallet} for update, wallet in enumerate((1.0, "x", 2.0))]
    rows.append(tmp_path / "metrics.jsonl", lines)
    assert run_command(report.main, "--run", tmp_path, "--metric", "wallet") == 2
    assert "metrics.jsonl line 2 is damaged" in capsys.readouterr().err
