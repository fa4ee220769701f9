"""A curriculum: gates over windows of rows, orders, what is carried on, and a climb that is killed and goes on."""

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax import struct
from tiny_runs import run_command

from townlet_jax.config.errors import ConfigError
from townlet_jax.config.load import dump
from train import curriculum, runs
from train.checkpoint import latest, verify
from train.config import TrainConfig
from train.curricula import climb, ladder
from train.curricula.chronicle import OVERRIDE, order_event, read_events, take_order, write_events
from train.curricula.stages import Requirement, learner_of, load_plan, weight_left
from train.curricula.windows import Limits, Order, Tally, judge
from train.logging import Run, RunError, read_rows
from train.promotion.watch import ALERTS

PPO = {
    "world_set": ["observation.variant=compact"],
    "num_envs": 8,
    "num_steps": 4,
    "num_minibatches": 2,
    "update_epochs": 2,
    "hidden": [16],
    "reset_pool": 4,
    "checkpoint_every": 2,
    "anneal_lr": False,
    "curiosity": 0.1,
}
TINY = {  # updates of 256 decisions: m0 ends after 4 of 6 by its gate, m1 lasts its 5
    "name": "tiny",
    "window": 2,
    "vf_factor": 0.5,
    "vf_updates": 4,
    "ppo": PPO,
    "stages": [{"name": "m0", "world": "m0", "budget": 1536}, {"name": "m1", "world": "m1", "budget": 1280}],
    "gates": {"m0": {"return_per_day": "> -1000"}},
}
GATE = (Requirement("attendance", ">=", 0.7),)
LIMITS = Limits(window=2, required=2, budget=8, advances=False)


def written(folder, **changes):
    """The path of a tiny curriculum with some keys changed; None takes a key away."""
    tree = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
    path = Path(folder) / "tiny.yaml"
    path.write_text(dump(tree))
    return path


def rows_of(*attendance):
    return [{"update": i, "attendance": value} for i, value in enumerate(attendance, start=1)]


def verdict(*attendance, orders=(), limits=LIMITS, gate=GATE):
    return judge(Tally(gate, limits.window, rows_of(*attendance)), orders, limits)


def test_a_gate_must_hold_for_two_windows_in_a_row():
    """Means of windows of two: 0.75, 0.65, 0.7, 0.8."""
    values = (0.6, 0.9, 0.6, 0.7, 0.7, 0.7, 0.7, 0.9)
    assert verdict(*values[:7]).why == ""
    found = verdict(*values)
    assert [window.streak for window in found.windows] == [1, 0, 1, 2]
    assert [round(window.means["attendance"], 6) for window in found.windows] == [0.75, 0.65, 0.7, 0.8]
    assert found.windows[1].missed == ("attendance",) and (found.windows[3].first, found.windows[3].last) == (7, 8)
    assert found.why == "gate: held for 2 windows" and not found.missed and found.next == ""


def test_a_budget_that_is_spent_stops_or_advances():
    low = [0.5] * 8
    assert verdict(*low[:7]).why == ""
    found = verdict(*low)
    assert found.missed and found.why == "budget: spent before the gate held (attendance)"
    assert not verdict(*low, limits=LIMITS._replace(advances=True)).missed
    free = verdict(*low, gate=())
    assert free.why == "budget: spent, and there is no gate" and not free.missed and free.windows == ()


def test_orders_count_from_their_update_on():
    high = [0.9] * 6
    hold, auto = Order(1, "hold"), Order(5, "auto")
    assert verdict(*high[:4]).why and not verdict(*high[:4], orders=[hold]).why
    assert verdict(*high[:5], orders=[hold, auto]).why == "gate: held for 2 windows"
    assert verdict(*[0.9] * 8, orders=[hold]).why == "budget: spent while the stage was held"
    assert verdict(0.1, orders=[Order(2, "advance")]).why == ""
    assert verdict(0.1, 0.1, orders=[Order(2, "advance")])[1:] == ("order: advance", False, "")
    assert verdict(orders=[Order(0, "m4")])[1:] == ("order: m4", False, "m4")


@pytest.mark.parametrize(("sign", "holds"), [("<=", [1, 1, 0]), ("<", [1, 0, 0]), (">=", [0, 1, 1]), (">", [0, 0, 1])])
def test_limits(sign, holds):
    assert [Requirement("x", sign, 0.5).holds(value) for value in (0.4, 0.5, 0.6)] == [bool(each) for each in holds]


def test_an_order_in_a_file_counts_once(tmp_path, capsys):
    path = tmp_path / OVERRIDE
    path.write_text("advance\n")
    events = take_order(tmp_path, ["m0", "m1"], [], 7)
    assert read_events(tmp_path) == events and events[0]["word"] == "advance" and events[0]["update"] == 7
    assert not path.exists() and take_order(tmp_path, ["m0"], events, 8) == events
    path.write_text("advance\n")
    os.utime(path, ns=(events[0]["stamp"], events[0]["stamp"]))  # killed after it was noted, before it was removed
    assert take_order(tmp_path, ["m0"], events, 9) == events and not path.exists()
    path.write_text("advnce")
    assert take_order(tmp_path, ["m0"], events, 9) == events and not path.exists()
    assert "'advnce' is no order (allowed: advance, hold, auto, m0). Did you mean 'advance'?" in capsys.readouterr().err


def test_curiosity_falls_to_nothing_over_the_stages_that_have_it(tmp_path):
    """Budgets of 600, 200 and 200, curious in the first two; the first ends after 450: 0.1 * (1 - 450/800) is left."""
    stages = [{"name": name, "world": "m0", "budget": size} for name, size in (("a", 600), ("b", 200), ("c", 200))]
    plan = load_plan(written(tmp_path, stages=stages, gates=None, curiosity_until="c"))
    first = learner_of(plan, "a")[0]
    assert first.curiosity == 0.1 and first.curiosity_share == pytest.approx(800 / 600)
    left = weight_left(first, 45, 60)
    assert left == pytest.approx(0.1 * (1 - 450 / 800))
    second = learner_of(plan, "b", 1, left)[0]
    assert second.curiosity == left and second.curiosity_share == 1.0 and weight_left(second, 20, 20) == 0.0
    assert learner_of(plan, "c", 2, 0.0)[0].curiosity == 0.0
    assert first.seed != second.seed


class Learner(struct.PyTreeNode):
    hyper: climb.Runner  # only what an update needs here
    update: jax.Array


def test_the_value_loss_is_eased_in():
    """Factor 0.2 over 4 updates: 0.2, 0.4, 0.6, 0.8, 1 times 0.5."""

    class Weights(struct.PyTreeNode):
        vf_coef: jax.Array

    update = lambda runner: (runner.replace(update=runner.update + 1), {"used": runner.hyper.vf_coef})
    seen, runner = [], Learner(Weights(jnp.float32(0.5)), jnp.int32(0))
    for _ in range(6):
        runner, metrics = climb.eased(update, 0.5, 0.2, 4)(runner)
        seen.append((float(metrics["used"]), float(metrics["vf_coef"])))
    assert [used for used, _ in seen] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])
    assert all(used == told for used, told in seen)
    assert float(climb.eased(update, 0.5, 0.2, 0)(runner)[1]["used"]) == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windw": 3}, "Did you mean 'window'?"),
        ({"gates": {"m00": {"x": "> 0"}}}, "gates: there is no stage 'm00' (allowed: m0, m1). Did you mean 'm0'?"),
        ({"gates": {"m0": {"x": "about 1"}}}, "gates.m0.x: 'about 1' is no limit"),
        ({"stages": TINY["stages"] * 2}, "there are two of the name 'm0'"),
        ({"ppo": {**PPO, "num_env": 3}}, "num_env: unknown key"),
        ({"ppo": {**PPO, "world": "m3"}}, "ppo.world: the stages say that"),
        ({"ppo": {**PPO, "num_minibatches": 3}}, "num_minibatches 3 must divide num_envs 8"),
        ({"ppo": {**PPO, "world_set": 5}}, "ppo.world_set: 5 is no list of texts"),
        ({"ppo": {**PPO, "world_set": "num_agents=8"}}, "ppo.world_set: 'num_agents=8' is no list of texts"),
        ({"ppo": {**PPO, "world_set": [8]}}, "ppo.world_set: [8] is no list of texts"),
        (
            {"stages": [{**TINY["stages"][0], "ppo": {"world_set": None}}], "gates": {}},
            "stages.0.ppo.world_set: None is no list of texts",
        ),
        ({"curiosity_until": "m9"}, "curiosity_until: there is no stage 'm9'"),
    ],
)
def test_curricula_that_are_refused(changes, message, tmp_path):
    with pytest.raises(ConfigError) as error:
        load_plan(written(tmp_path, **changes))
    assert message in str(error.value) and str(error.value).startswith(str(tmp_path / "tiny.yaml:"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates": {"m0": {"colapses_per_day": "<= 1"}}}, "Did you mean 'collapses_per_day'?"),
        ({"gates": {"m0": {"attendance": ">= 1"}}}, "gates.m0.attendance: the world m0 does not log that"),
        ({"required_windows": 4}, "is 6 updates, fewer than window * required_windows, 8"),
        (
            {"stages": [*TINY["stages"], {"name": "x", "world": "m1", "budget": 9, "ppo": {"hidden": [8]}}]},
            "stage x: hidden",
        ),
    ],
)
def test_curricula_that_would_fail_later_are_refused_at_once(changes, message, tmp_path):
    with pytest.raises(RunError) as error:
        climb.check(load_plan(written(tmp_path, **changes)), tmp_path)
    assert message in str(error.value)


def test_the_shipped_curriculum_can_be_climbed(tmp_path):
    plan = load_plan("curriculum")
    assert plan.names == ["m0", "m1", "m2", "m2_5", "m3", "c1", "c2", "c3", "m4", "m5"]
    climb.check(plan, tmp_path)
    assert [learner_of(plan, name)[0].curiosity > 0 for name in plan.names] == [True] * 2 + [False] * 8


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    """The flag of canaries that read two updates at a time, and sing if two returns differ at all."""
    gate = tmp_path_factory.mktemp("watch") / "gate.yaml"
    gate.write_text("extends: gate\nstability: {rows: 2, least_rows: 2, return_variance: 1.0e-12}\n")
    return ("--watch", gate)


def climbed(folder, *words):
    """The exit code of a tiny curriculum in a folder."""
    return run_command(curriculum.main, "--runs", folder, *words)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, watch):
    """The folder of a tiny curriculum that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert climbed(folder, "--config", written(folder), *watch) == 0
    return folder / "tiny"


def left_behind(folder):
    """All that must be equal: digests of the last checkpoints, rows without rates, alerts, and events."""
    stages, found = ("m0", "m1"), []
    for stage in stages:
        store = runs.checkpoints(runs.existing(folder / stage))
        step = latest(store)
        rows = [{k: v for k, v in row.items() if "per_second" not in k} for row in read_rows(folder / stage)]
        alerts = [json.loads(line) for line in (folder / stage / ALERTS).read_text().splitlines()]
        found.append((step, verify(store, step).digest, rows, alerts))
    return found, read_events(folder)


def test_a_curriculum_climbs(whole):
    found, events = left_behind(whole)
    assert [step for step, *_ in found] == [4, 5]
    assert [event["event"] for event in events] == ["begin", "window", "window", "end", "begin", "end"]
    assert events[3] == {
        "event": "end",
        "next": "m1",
        "stage": "m0",
        "update": 4,
        "why": "gate: held for 2 windows",
    }
    assert events[4]["agent_decisions"] == 1024 and events[4]["step"] == 4 and events[5]["next"] == ""
    assert events[4]["curiosity"] == pytest.approx(0.1 * (1 - 4 / 11))
    assert [row["vf_coef"] for row in found[0][2]] == [0.5] * 4
    assert [row["vf_coef"] for row in found[1][2]] == pytest.approx([0.25, 0.3125, 0.375, 0.4375, 0.5])
    told = [[(alert["name"], alert["update"]) for alert in alerts] for *_, alerts in found]
    assert told == [[("reward_variance", 2), ("reward_variance", 4)]] * 2
    assert (whole / ladder.PICTURE).stat().st_size > 10_000


def test_a_stage_begins_as_the_one_before_ended(whole):
    """Of the wallet, which both worlds show, the new policy thinks what the old one did; of the till nothing yet."""
    old, new = (runs.existing(whole / stage) for stage in ("m0", "m1"))
    before, _ = runs.load_runner(old, 4)
    event = next(event for event in read_events(whole) if event["event"] == "begin" and event["stage"] == "m1")
    after = climb.first_runner(new, whole, event)
    kernel = lambda runner: runner.params["params"]["actor"]["hidden_0"]["kernel"]
    row = lambda run, name: next(entry.start for entry in runs.schema(run.world) if entry.name == name)
    assert jnp.array_equal(kernel(before)[row(old, "wallet")], kernel(after)[row(new, "wallet")])
    till = row(new, "can") + new.world.static.names.offers.index("buy_food")
    assert not kernel(after)[till].any() and int(after.opt_state.count) == int(before.opt_state.count) == 16
    assert int(after.update) == 0 and after.states.tick.shape == (8,)


class Killed(BaseException):
    """What no handler of ours catches."""


def test_killed_and_resumed_equals_undisturbed(whole, watch, tmp_path, monkeypatch):
    """Killed in m0 after update 3 (saved: 2), then while m1 begins, then in m1 after update 3: nothing shows in the end."""
    log, save, kills = Run.log, runs.save, []

    def until(stage, update):
        def logged(self, row):
            log(self, row)
            if self.folder.name == stage and row["update"] == update:
                kills.append((stage, update))
                raise Killed

        monkeypatch.setattr(Run, "log", logged)

    def cut(store, step, state, meta):
        kills.append("begin")
        raise Killed

    until("m0", 3)
    with pytest.raises(Killed):
        climbed(tmp_path, "--config", written(tmp_path), "--no-pictures", *watch)
    monkeypatch.setattr(Run, "log", log)
    monkeypatch.setattr(runs, "save", cut)
    with pytest.raises(Killed):
        climbed(tmp_path, "--resume", tmp_path / "tiny", "--no-pictures", *watch)
    monkeypatch.setattr(runs, "save", save)
    until("m1", 3)
    with pytest.raises(Killed):
        climbed(tmp_path, "--resume", tmp_path / "tiny", "--no-pictures", *watch)
    monkeypatch.setattr(Run, "log", log)
    assert climbed(tmp_path, "--resume", tmp_path / "tiny", "--no-pictures", *watch) == 0
    assert kills == [("m0", 3), "begin", ("m1", 3)]
    assert left_behind(tmp_path / "tiny") == left_behind(whole)


@pytest.mark.slow
def test_a_missed_gate_stops_and_an_order_goes_on(tmp_path, capsys):
    stages = [{"name": "m0", "world": "m0", "budget": 512}, {"name": "more", "world": "m0", "budget": 256}]
    changed = {"stages": stages, "gates": {"m0": {"return_per_day": "> 1000"}}, "window": 1}
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / OVERRIDE).write_text("hold")
    assert climbed(tmp_path, "--config", written(tmp_path, **changed), "--no-pictures") == 1
    folder = tmp_path / "tiny"
    assert "budget: spent while the stage was held; go on with" in capsys.readouterr().err
    assert climbed(tmp_path, "--resume", folder, "--auto", "--no-pictures") == 1
    assert "budget: spent before the gate held (return_per_day)" in capsys.readouterr().err
    assert climbed(tmp_path, "--resume", folder, "--advance", "--no-pictures") == 0
    events = read_events(folder)
    assert [event["why"] for event in events if event["event"] == "end"] == [
        "order: advance",
        "budget: spent, and there is no gate",
    ]
    assert [event["word"] for event in events if event["event"] == "order"] == ["hold", "auto", "advance"]
    assert len(read_rows(folder / "more")) == 1 and not [event for event in events if event["event"] == "miss"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "none"), "holds no curriculum"),
        (("--config", "curriculum", "--stage", "m9"), "--stage m9 is no stage"),
        (("--config", "curriculum", "--advance"), "--advance needs --resume"),
        (("--config", "curiculum"), "Did you mean 'curriculum'?"),
    ],
)
def test_flags_that_are_refused(words, message, tmp_path, capsys):
    assert climbed(tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_damaged_chronicle_is_refused(tmp_path):
    write_events(tmp_path, [order_event(1, "hold"), order_event(2, "auto")])
    path = tmp_path / "stages.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][:9])
    assert read_events(tmp_path) == [order_event(1, "hold")]
    path.write_text(lines[0][:9] + "\n" + lines[1])
    with pytest.raises(RunError, match="line 1 is damaged"):
        read_events(tmp_path)


BEGIN = {"event": "begin", "stage": "m0", "folder": "m0", "visit": 0, "after": "", "step": 0, "agent_decisions": 0}
BEGIN["curiosity"] = None
END = {"event": "end", "stage": "m0", "update": 4, "why": "gate", "next": "m1"}
DAMAGED = [
    *(
        ([{key: value for key, value in BEGIN.items() if key != name}], f"{name} is missing")
        for name in BEGIN
        if name != "event"
    ),
    *(
        ([BEGIN, {key: value for key, value in END.items() if key != name}], f"{name} is missing")
        for name in ("why", "next", "update")
    ),
    ([BEGIN, {"event": "order", "word": "hold"}], "update is missing from order"),
    ([BEGIN, {"event": "order", "update": "x", "word": "hold"}], "update of order cannot be 'x'"),
    ([BEGIN, {"event": "window", "stage": "m0", "updates": [1]}], "updates of window cannot be [1]"),
    ([BEGIN, {"event": "strike"}], "there is no event 'strike'"),
    ([BEGIN, {"event": []}], "there is no event []"),
    ([{**BEGIN, "curiosity": "x"}], "curiosity of begin cannot be 'x'"),
    ([{**BEGIN, "stage": "m9"}], "there is no stage 'm9' (allowed: m0, m1)"),
    ([BEGIN, {**END, "next": "m9"}], "there is no stage 'm9'"),
    ([order_event(1, "hold")], "no stage begins there"),
]


@pytest.mark.parametrize(("events", "message"), DAMAGED)
def test_events_that_lack_something_are_told_on_a_resume(events, message, tmp_path, capsys):
    (tmp_path / "curriculum.yaml").write_text(written(tmp_path).read_text())
    write_events(tmp_path, events)
    before = (tmp_path / "stages.jsonl").read_bytes()
    assert climbed(tmp_path, "--resume", tmp_path) == 2
    error = capsys.readouterr().err
    assert message in error and "stages.jsonl" in error and "Traceback" not in error
    assert (tmp_path / "stages.jsonl").read_bytes() == before


def test_a_learner_of_one_stage_is_an_ordinary_one(tmp_path):
    config, document = learner_of(load_plan(written(tmp_path)), "m1", 1, 0.05)
    assert isinstance(config, TrainConfig) and config.name == "m1" and config.total_timesteps == 1280
    assert document.tree["world"] == "m1" and config.world_set == ("observation.variant=compact",)
