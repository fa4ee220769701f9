"""The story of a store: promoted, held, promoted, rolled back; and what is refused on the way."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import TINY, run_command

from townlet_jax import engine
from townlet_jax.worlds import compile_document, read
from train import promote, runs
from train.config import load_config
from train.learner import make_train
from train.logging import RunError
from train.players import Choice, Player
from train.program import learned
from train.promotion import golden, releases
from train.promotion.gates import (
    FAIL,
    HOLD,
    PROMOTE,
    Judgement,
    candidate_of,
    decided,
    second_of,
    shadow_of,
    terms_of,
    variant_gate,
)
from train.promotion.shadow import Played, Verdict, changed, play, shortfalls, streak_of, town_keys, verdicts
from train.promotion.stability import Town
from train.promotion.thresholds import Gate, Margins
from train.storage.errors import CheckpointError

GATE = (
    "num_envs=4",
    "window_days=0.0625",  # 90 ticks, 6 decisions
    "fall=1.0",
    "memory={towns: 2, days: 0.0625, most_kl: 1.0}",
    "margins={return_share: 10.0, attendance: 1.0, collapses: 10.0}",
    "stability.return_variance=100.0",
    "stability.ghost_steps=1440.0",
    "stability.starvation=100.0",
    "stability.thrash_least=1440.0",
)


def words(run: Path, store: Path, step: int, *more: str) -> list[str]:
    """The command line of a judgement."""
    gate = [word for setting in GATE for word in ("--set", setting)]
    return ["--run", str(run), "--step", str(step), "--store", str(store), "--windows", "1", *gate, *more]


def states(store: Path) -> list[str]:
    return [line["state"] for line in releases.history(store)]


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory) -> Path:
    """A copy of the tiny run, which the story deletes."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    shutil.copytree(tiny_run, folder)
    return folder


@pytest.fixture(scope="module")
def store(run, tmp_path_factory) -> Path:
    """A store in which step 2 of the tiny run is out and step 4 has become its successor."""
    folder = tmp_path_factory.mktemp("store") / "promotions"
    assert run_command(promote.main, *words(run, folder, 2)) == 1
    assert run_command(promote.main, *words(run, folder, 2)) == 0
    assert run_command(promote.main, *words(run, folder, 4, "--set", "required_passes=1")) == 0
    return folder


def test_a_candidate_needs_two_windows_in_a_row(store):
    """The second call counts on from the first, in other towns; another candidate begins anew."""
    lines = releases.history(store)
    assert [line["state"] for line in lines] == ["monitoring", "promoted", "promoted"]
    assert [(line["step"], line["streak"], line["batch"]) for line in lines] == [(2, 1, 0), (2, 2, 1), (4, 1, 0)]
    assert [line["decision"] for line in lines] == ["HOLD", "PROMOTE", "PROMOTE"]
    assert releases.current(store).name == lines[2]["release"]
    keys = [jax.random.key_data(town_keys(0, batch, 4)).tolist() for batch in (0, 1)]
    assert not {tuple(key) for key in keys[0]} & {tuple(key) for key in keys[1]}


def test_windows_count_only_on_the_terms_on_which_they_were_won(tmp_path):
    """Three windows won against the script do not count against a release, nor under another gate; the towns are new ones."""
    won = terms_of("scripted", Gate())
    releases.seal(tmp_path / releases.SHADOW, {"policy": "p", "streak": 3, "batch": 4, **won._asdict()})
    assert shadow_of(tmp_path, "p", won) == (3, 5)
    assert shadow_of(tmp_path, "p", terms_of("0001-abc", Gate())) == (0, 5)
    assert shadow_of(tmp_path, "p", terms_of("scripted", Gate(margins=Margins(attendance=0.2)))) == (0, 5)
    assert shadow_of(tmp_path, "q", won) == (0, 0)


def test_who_is_out_cannot_ask_again(store, run, capsys):
    assert run_command(promote.main, *words(run, store, 4)) == 2
    assert "is the release already" in capsys.readouterr().err


def test_an_alert_loses_every_window_unless_it_is_allowed(store, run, capsys):
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    wild = ("--set", "stability.return_variance=1e-9", "--set", "stability.least_rows=2", "--dry-run")
    assert run_command(promote.main, *words(run, store, 6, *wild)) == 2
    assert "FAIL: window 1: alert reward_variance" in capsys.readouterr().out
    allowed = ("--set", "allowed_alerts=[reward_variance]", "--set", "required_passes=1")
    assert run_command(promote.main, *words(run, store, 6, *wild, *allowed)) == 0
    out = capsys.readouterr().out
    assert "PROMOTE" in out and "no canary lateness: the rows have no late_per_day" in out
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before  # a dry run


def test_who_has_forgotten_is_held_though_it_has_won(store, run, tmp_path, capsys):
    copy = tmp_path / "promotions"
    shutil.copytree(store, copy)
    assert (
        run_command(promote.main, *words(run, copy, 6, "--set", "memory.most_kl=1e-9", "--set", "required_passes=1"))
        == 1
    )
    assert "HOLD: forgetting: KL" in capsys.readouterr().out
    assert states(copy)[-1] == "ready" and releases.current(copy) == releases.current(store)


def test_rolled_back_without_the_run(store, run, tmp_path):
    """The release before comes back with the parameters of its checkpoint, though the run is gone."""
    copy, gone = tmp_path / "promotions", tmp_path / "gone"
    shutil.copytree(store, copy)
    first, second = (candidate_of(run, step) for step in (2, 4))
    world = first.run.world
    run.rename(gone)
    try:
        same = lambda player, other: all(map(np.array_equal, *map(jax.tree.leaves, (player.params, other.params))))
        assert same(promote.release(copy, world), second) and not same(promote.release(copy, world), first)
        assert run_command(promote.main, "--rollback", "--store", copy, "--reason", "late shifts") == 0
        assert same(promote.release(copy, world), first)
    finally:
        gone.rename(run)
    last = releases.history(copy)[-1]
    assert (last["state"], last["step"], last["reasons"]) == ("rolled_back", 2, ["late shifts"])
    assert releases.current(copy).policy == first.policy
    assert run_command(promote.main, "--rollback", "--store", copy) == 2  # nothing was out before
    assert run_command(promote.main, *words(run, copy, 4)) == 1  # the streak begins anew
    other = releases.load(copy, releases.current(copy).name)
    narrow = world.replace(static=world.static._replace(actions=world.static.actions._replace(names=("wait",))))
    with pytest.raises(RunError, match="cannot play 'town'"):
        releases.player_of(other, narrow)


@pytest.mark.parametrize("name", ["config.yaml", "world.yaml", "golden.npz", "release.json", "params"])
def test_a_damaged_store_is_refused_by_name(store, run, tmp_path, name, capsys):
    copy = tmp_path / "promotions"
    shutil.copytree(store, copy)
    folder = copy / "releases" / releases.current(copy).name
    victim = folder / name
    if name == "params":
        victim = max((path for path in victim.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert run_command(promote.main, *words(run, copy, 6)) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and str(victim) in told and told.count("\n") == 1
    assert states(copy) == states(store)


def test_what_was_put_out_by_who_was_killed_is_noted_later(store, tmp_path):
    """Killed between putting out and noting; and another one while its release was written."""
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    lines, first = (copy / releases.HISTORY).read_text().splitlines(keepends=True), releases.history(copy)[1]["release"]
    (copy / releases.HISTORY).write_text("".join(lines[1:2]))
    (copy / releases.OLDER).write_text(lines[0])  # a long history changes nothing
    half = copy / releases.RELEASES / "0003-abc"
    half.mkdir()
    releases.settle(copy)
    assert states(copy) == ["monitoring", "promoted", "promoted"] and not half.exists()
    assert releases.history(copy)[2]["release"] == releases.current(copy).name
    releases.put_out(copy, releases.load(copy, first).release)
    for _ in range(2):  # once is enough
        releases.settle(copy)
        assert states(copy)[3:] == ["rolled_back"] and releases.history(copy)[3]["release"] == first


def test_a_rollback_to_a_damaged_release_leaves_the_present_one_out(store, tmp_path, capsys):
    copy = tmp_path / "promotions"
    shutil.copytree(store, copy)
    out = releases.current(copy)
    (copy / "releases" / out.previous / "golden.npz").write_bytes(b"")
    assert run_command(promote.main, "--rollback", "--store", copy) == 2
    assert "golden.npz is damaged" in capsys.readouterr().err
    assert releases.current(copy) == out


def test_the_history_survives(tmp_path, monkeypatch):
    """Half a line of a crash goes, a damaged line is told, and a long history becomes the older one."""
    for number in range(3):
        releases.note(tmp_path, {"number": number})
    path = tmp_path / releases.HISTORY
    path.write_text(path.read_text() + '{"number": 3, "wh')
    assert [line["number"] for line in releases.history(tmp_path)] == [0, 1, 2]
    releases.note(tmp_path, {"number": 4})
    assert [line["number"] for line in releases.history(tmp_path)] == [0, 1, 2, 4]
    monkeypatch.setattr(releases, "MOST_HISTORY", 100)
    releases.note(tmp_path, {"number": 5})
    assert len(path.read_text().splitlines()) == 1
    assert [line["number"] for line in releases.history(tmp_path)] == [0, 1, 2, 4, 5]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(CheckpointError, match="history.jsonl line 1 is damaged"):
        releases.history(tmp_path)


def test_old_releases_are_dropped_but_not_the_one_to_go_back_to(store, tmp_path):
    copy = tmp_path / "promotions"
    shutil.copytree(store, copy)
    out = releases.current(copy)
    for number in range(3, 7):  # promoted and rolled back since
        shutil.copytree(copy / "releases" / out.name, copy / "releases" / f"{number:04d}-x")
    releases.prune(copy, keep=2)
    assert [folder.name for folder in releases.folders(copy)] == [out.previous, out.name, "0005-x", "0006-x"]


def test_a_golden_rollout_knows_the_policy_that_made_it(store, run):
    loaded = releases.load(store, releases.current(store).name)
    world, rollouts = loaded.run.world, loaded.golden
    assert rollouts.action.shape == (6, 2, 8) and rollouts.chance.shape == (6, 2, 8, len(world.static.actions.names))
    assert rollouts.chance.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert golden.forgotten(world, releases.player_of(loaded, world), rollouts) == pytest.approx(0, abs=1e-6)
    assert golden.forgotten(world, candidate_of(run, 2).player, rollouts) > 1e-6
    other = rollouts._replace(action=np.zeros_like(rollouts.action))
    with pytest.raises(CheckpointError, match="do not run again"):
        golden.forgotten(world, releases.player_of(loaded, world), other)


@pytest.mark.slow
def test_a_policy_with_a_memory_is_led_through_its_own_rollout():
    """It remembers in the replay what it remembered in the recording; with other weights it decides otherwise."""
    config, _ = load_config("ppo_town", (*TINY, "memory=gru", "memory_size=8"))
    world = compile_document(read(config.world, config.world_set))
    params = make_train(world, config).init(jax.random.key(0)).params
    player = learned(world, config, params)
    rollouts = golden.record(world, player, seed=0, towns=2, days=0.0625)
    assert golden.forgotten(world, player, rollouts) == pytest.approx(0, abs=1e-6)
    other = learned(world, config, jax.tree.map(lambda leaf: leaf * 2, params))
    assert golden.forgotten(world, other, rollouts) > 1e-3


def test_the_divergence_of_chances():
    p, q = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.25, 0.25, 0.5])
    assert float(golden.divergence(p, q)) == pytest.approx(np.log(2))
    assert float(golden.divergence(p, p)) == 0
    least = 0.5 * np.log(0.5 / golden.LEAST) + 0.5 * np.log(0.5)
    assert float(golden.divergence(p, jnp.array([0.0, 1.0, 0.0]))) == pytest.approx(least, rel=1e-5)


def test_a_walk_keeps_the_chances_and_carries_the_memory(run):
    """A player with known chances, that change with its memory: those of the decision are kept, whoever leads."""
    world = runs.existing(run).world
    count = len(world.static.actions.names)

    def decide(params, world, state, memory, key):
        probs = jnp.zeros((world.static.num_agents, count)).at[:, memory].set(0.75).at[:, memory + 1].set(0.25)
        action = jax.random.categorical(key, jnp.log(probs))
        return Choice(action, jnp.log(probs.max(-1)), jnp.zeros(action.shape), probs), memory + 1

    player = Player((), 15, lambda world, state: jnp.int32(0), decide)
    given = jnp.full((3, 1, world.static.num_agents), 5, jnp.int32)
    for leads in (True, False):
        _, (taken, chance, _) = golden.walks(world, player, jax.random.split(jax.random.key(1), 1), given, 15, leads)
        for decision in range(3):
            assert chance[decision, 0, :, decision].tolist() == [0.75] * 8
            assert set(np.unique(taken[decision])) <= ({decision, decision + 1} if leads else {5})


def test_what_a_change_of_mind_is(run):
    """Agents 0 to 3: the same option, another one, none any more, another one after the first was finished."""
    world = runs.existing(run).world
    none, state = world.static.actions.num_options, engine.reset(world, jax.random.key(0))
    rest = [none] * 4

    def with_options(*options):
        slots = state.slots
        doing = slots["affordances"].replace(finished=jnp.array([False] * 3 + [True] + [False] * 4))
        chosen = slots["intents"].replace(option=jnp.array([*options, *rest], jnp.int8))
        return state.put(intents=chosen, affordances=doing)

    found = changed(world, with_options(0, 0, 0, 0), with_options(0, 1, none, 1))
    assert found.tolist() == [False, True, False, False] + [False] * 4


def test_windows_add_up_to_the_whole(run):
    """Means of two windows of 45 ticks are those of one window of 90, in each town."""
    candidate = candidate_of(run, 6)
    world, keys = candidate.run.world, town_keys(0, 0, 4)
    two, one = (play(world, candidate.player, keys, ticks, windows) for ticks, windows in ((45, 2), (90, 1)))
    for name in ("needs/hunger", "return_per_day", "switches_per_day", "movement/ghost"):
        for town in range(4):
            halves = [two.towns[window][town][name] for window in range(2)]
            assert np.mean(halves) == pytest.approx(one.towns[0][town][name], rel=1e-5, abs=1e-6)
        assert one.means[0][name] == pytest.approx(np.mean([row[name] for row in one.towns[0]]), rel=1e-5, abs=1e-6)


THEIRS = {"return_per_day": -20.0, "attendance": 0.8, "collapses_per_day": 0.01}


@pytest.mark.parametrize(
    ("mine", "short"),
    [
        (THEIRS, []),
        ({**THEIRS, "return_per_day": -20.9}, []),
        ({**THEIRS, "return_per_day": -21.1}, ["return_per_day -21.10 < -20.00 - 1.00"]),
        ({**THEIRS, "attendance": 0.74}, ["attendance 0.740 < 0.800 - 0.05"]),
        ({**THEIRS, "collapses_per_day": 0.03}, ["collapses_per_day 0.0300 > 0.0100 + 0.01"]),
        ({"return_per_day": -20.0}, []),
    ],
)
def test_margins(mine, short):
    assert shortfalls(mine, THEIRS, Margins()) == short


def test_a_window_is_won_without_alerts_and_without_falling_short():
    rows = lambda *values: [{"return_per_day": value, "collapses_per_day": 0.0} for value in values]
    sick = [{**row, "collapses_per_day": 0.025} for row in rows(10.0)]
    theirs = Played([rows(10.0)] * 3, rows(10.0, 10.0, 10.0))
    mine = Played([rows(11.0), rows(9.0), sick], [*rows(11.0, 9.0), *sick])
    margins = Margins(collapses=0.05)
    judged = verdicts(Town(8, 1440), mine, theirs, Gate(margins=margins))
    assert [verdict.won for verdict in judged] == [True, False, False]
    assert [alert.name for alert in judged[2].alerts] == ["starvation"]
    allowed = verdicts(Town(8, 1440), mine, theirs, Gate(margins=margins, allowed_alerts=("starvation",)))
    assert [verdict.won for verdict in allowed] == [True, False, True]
    assert (streak_of(judged[:1], 1), streak_of(judged), streak_of(allowed)) == (2, 0, 1)


@pytest.mark.parametrize(
    ("wins", "streak", "held", "decision", "state"),
    [
        ("ww", 2, [], PROMOTE, "promoted"),
        ("lw", 1, [], HOLD, "monitoring"),
        ("wl", 0, [], HOLD, "monitoring"),
        ("ll", 0, [], FAIL, "monitoring"),
        ("ww", 2, ["trend"], HOLD, "ready"),
        ("w", 2, [], PROMOTE, "promoted"),
    ],
)
def test_decisions(wins, streak, held, decision, state):
    judged = [Verdict(THEIRS, THEIRS, [], [] if win == "w" else ["short"]) for win in wins]
    found = decided(Judgement(judged, streak, 0, terms_of("scripted", Gate()), held, []), 2)
    assert found[:2] == (decision, state)
    assert found[2]


def test_variants_are_compared_in_the_same_towns(run, tmp_path):
    candidate, gate = candidate_of(run, 6), Gate(num_envs=4, window_days=0.0625)
    mine = play(candidate.run.world, candidate.player, town_keys(0, 0, 4), 90, 1).means[0]
    assert variant_gate(candidate, mine, None, gate, 0)[1][0].startswith("variants: not asked")
    held, passed = variant_gate(candidate, mine, candidate, gate, 0)  # the same policy is not apart from itself
    assert not held and "at most" in passed[0]
    mirrored = jax.tree.map(lambda leaf: -leaf, candidate.params)
    strict = gate.model_copy(update={"variants": gate.variants.model_copy(update={"return_share": 0.0})})
    held, passed = variant_gate(candidate, mine, candidate._replace(params=mirrored), strict, 0)
    assert not passed and held[0].startswith("variants compact and compact: return_per_day")
    with pytest.raises(RunError, match="not with its variant 'compact'"):
        second_of(candidate, run)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "one of --run and --rollback"),
        (("--run", "x", "--rollback"), "one of --run and --rollback"),
        (("--rollback", "--step", "3"), "--step belongs to --run"),
        (("--run", "x", "--reason", "why"), "--reason belongs to --rollback"),
        (("--run", "x", "--windows", "0"), "--windows 0 is not allowed"),
        (("--rollback", "--store", "nowhere"), "nowhere is no store"),
        (("--run", "nowhere"), "nowhere holds no run"),
    ],
)
def test_what_users_get_wrong(flags, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(promote.main, *flags) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_window_is_whole_decisions(run, tmp_path, capsys):
    assert run_command(promote.main, *words(run, tmp_path / "p", 2, "--set", "window_days=0.05", "--dry-run")) == 2
    assert "window_days 0.05 is 72 ticks, no multiple of 15 a decision" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_two_do_not_work_in_one_store(run, tmp_path, capsys):
    with runs.alone(tmp_path, "at work in"):
        assert run_command(promote.main, *words(run, tmp_path, 2)) == 2
    assert "another process is at work" in capsys.readouterr().err
    assert states(tmp_path) == []
