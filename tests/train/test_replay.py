"""Replay: whom a film follows, what is known of why, who played, and the page that opens from the disk."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_runs import run_command

from townlet_jax import engine, load, policies
from townlet_jax.render import Focus, image, page
from townlet_jax.render.people import people
from townlet_jax.testing.__main__ import main as fuzz
from train import episode, replay, runs, thoughts
from train.logging import RunError
from train.players import memoryless
from train.program import learned
from train.storage.leaves import policy_hash

SCENE = "queue_conflict"


@pytest.fixture(scope="module")
def queue():
    """A scenario with three named residents, its episode and its states."""
    world = load(Path(__file__).parents[2] / f"configs/scenarios/{SCENE}.yaml")
    return world, *episode.act(world, 0)


@pytest.fixture(scope="module")
def recorded(tiny_run):
    """The tiny run, its player, and an hour and a half of a town that it plays."""
    run = runs.existing(tiny_run)
    params = runs.load_runner(run)[0].params
    return run, learned(run.world, run.config, params), *episode.record(run, params, 6, seed=5, days=90 / 1440)


def film_of(path):
    """What a page holds: frames u8[frames, rows, columns, 3], and its facts."""
    text = path.read_text()
    facts = json.loads(re.search(r'id="film">(.*?)</script>', text, re.DOTALL).group(1))
    unpack = lambda name, kind: np.frombuffer(zlib.decompress(base64.b64decode(facts[name])), kind)
    side = facts["tile"]
    down, across = (-(-facts[name] // side) for name in ("rows", "columns"))
    tables = np.cumsum(unpack("tables", "<u4").reshape(-1, down, across), 0, dtype=np.uint32)
    tiles = unpack("tiles", np.uint8).reshape(-1, side, side)
    frames = tiles[tables].swapaxes(2, 3).reshape(len(tables), down * side, across * side)
    colours = np.array(facts["colours"], np.uint8).reshape(-1, 3)
    return colours[frames[:, : facts["rows"], : facts["columns"]]], facts


def test_a_page_holds_every_frame(queue, tmp_path):
    world, _, states = queue
    path = episode.draw(world, states, tmp_path / "x.html", stride=10)
    frames, facts = film_of(path)
    assert len(frames) == len(facts["times"]) == len(facts["holds"]) == 8 and facts["times"][0] == "Day 1  08:01"
    scale = min(max(episode.ROWS // world.static.height, episode.CELLS[0]), episode.CELLS[1])
    for number, pixels in enumerate(frames):
        wanted = image(world, episode.frame(states, 10 * number), scale=scale).astype(int)
        assert wanted.shape == pixels.shape and np.abs(wanted - pixels).mean() < 4  # one palette for all


def test_a_page_asks_the_network_for_nothing_and_allows_only_its_own_script(queue, tmp_path):
    world, _, states = queue
    text = episode.draw(world, states, tmp_path / "x.html", stride=40).read_text()
    assert "http:" not in text and "https:" not in text and "src=" not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert policy.startswith("default-src 'none'; ")
    for part, body in (
        ("script-src", re.findall(r"<script>(.*?)</script>", text, re.DOTALL)),
        ("style-src", re.findall(r"<style>(.*?)</style>", text, re.DOTALL)),
    ):
        (body,) = body
        assert f"{part} 'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy
    assert not re.search(r"\son\w+=", text) and "style=" not in text and "eval(" not in text


def test_words_in_a_page_are_escaped():
    facts = {"times": ["</script><script>alert(1)</script>"]}
    text = page.document('<b onclick="x">&"', facts, "let a = 1;")
    assert "<b onclick" not in text and "&lt;b onclick=&quot;x&quot;&gt;&amp;&quot;" in text
    assert text.count("</script>") == 2
    assert json.loads(re.search(r'id="film">(.*?)</script>', text, re.DOTALL).group(1)) == facts


def test_tiles_that_look_alike_are_stored_once():
    pixels = np.zeros((20, 40), np.uint8)
    other = pixels.copy()
    other[0, 17] = 5
    tiles, tables, size = page.tiles([pixels, other, pixels])
    assert (
        size == (20, 40)
        and tiles.shape == (2, 16, 16)
        and tables.tolist() == [[[0] * 3] * 2, [[0, 1, 0], [0] * 3], [[0] * 3] * 2]
    )
    assert tiles[1, 0, 1] == 5 and (tiles.sum(), tables.dtype) == (5, np.uint32)
    assert np.cumsum(page.differences(tables), 0, dtype=np.uint32).tolist() == tables.tolist()


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript outside a browser here")
def test_the_script_of_a_page_is_javascript(tmp_path):
    script = Path(page.__file__).with_name("page.js")
    assert subprocess.run(["node", "--check", script], capture_output=True).returncode == 0


def test_residents_have_their_names_until_they_are_replaced(queue):
    world, _, states = queue
    state = episode.frame(states, 0)
    assert [someone.name for someone in people(world, state)] == ["Anna", "Ben", "Cara"]
    agents = state.agents.replace(generation=np.array([0, 1, 0], np.int16))
    assert [someone.name for someone in people(world, state.replace(agents=agents))] == ["Anna", "", "Cara"]


@pytest.mark.parametrize(("text", "agent"), [("1", 0), ("3", 2), ("ben", 1), ("Ben", 1)])
def test_who_is_followed(queue, text, agent):
    assert replay.named(queue[0], text) == agent


@pytest.mark.parametrize("text", ["0", "4", "bob", "-1", ""])
def test_nobody_is_followed_who_is_not_there(queue, text):
    with pytest.raises(RunError, match=r"1 to 3, as in pictures, or a name: anna, ben, cara"):
        replay.named(queue[0], text)


def test_a_film_that_follows_somebody_has_their_card(queue):
    world, _, states = queue
    state = episode.frame(states, 30)
    pictures = [
        image(world, state, scale=28, focus=focus)
        for focus in (None, Focus(0), Focus(1), Focus(1, "why", (("is due", None),)))
    ]
    across = 28 * world.static.width
    for one, other in zip(pictures, pictures[1:]):
        down = min(len(one), len(other))
        assert (one[:down, across:] != other[:down, across:]).any()
    assert (
        pictures[0][:, :across][: 28 * world.static.height] != pictures[1][: 28 * world.static.height, :across]
    ).any()  # the ring
    with pytest.raises(ValueError, match="agent 3 is not in the town: allowed are 0 to 2"):
        image(world, state, focus=Focus(3))


def test_chances_are_those_of_the_policy(recorded):
    """Asked again at each decision, the player chooses what it chose, and the share of that choice is its own probability."""
    run, player, made, states = recorded
    every = player.every
    seen = thoughts.before(run.world, made.seed, states, every)
    actions, probs = jax.device_get(thoughts.asked(run.world, player, seen, jax.random.key(made.seed), 2))
    assert actions.tolist() == made.actions[::every, 2].tolist()
    assert probs.shape == (6, len(run.world.static.actions.names)) and probs.sum(-1) == pytest.approx(1)
    assert (np.take_along_axis(probs, actions[:, None], 1) > 0).all()
    why = thoughts.chances(run.world, player, made.seed, states, 2)
    assert len(why) == 90 and why[:every] == [why[0]] * every
    shares = [share for _, share in why[0]]
    assert shares == sorted(shares, reverse=True) and 0.9 < sum(shares) <= 1.001 and len(shares) > 1
    assert shares[0] == pytest.approx(float(probs[0].max()))


def test_a_player_without_chances_tells_none(recorded):
    run, _, made, states = recorded
    assert set(thoughts.chances(run.world, memoryless(policies.random), made.seed, states, 0)) == {()}


def test_the_motive_of_the_script_is_that_of_its_last_choice():
    world = load("town", **{"observation.variant": "compact"})
    _, states = episode.act(world, 0, days=0.1)
    why = thoughts.motives(world, 0, states, 1)
    chosen = np.flatnonzero(states.actions[:, 1])
    assert why[chosen[0]] == why[chosen[1] - 1] and set(why) <= {
        (),
        *(((words, None),) for words in thoughts.WHY.values()),
    }
    first = jax.jit(policies.scripted)(world, engine.reset(world, jax.random.key(0)), jax.random.key(0))
    assert int(first[1]) == int(states.actions[0, 1])


@pytest.mark.parametrize(
    ("name", "words"),
    [("go_eat_meal", "eat meal"), ("wait", "carry on"), ("move_N", "move N"), ("go_work", "go to work")],
)
def test_choices_in_words(name, words):
    assert thoughts.in_words(name) == words


def test_an_episode_says_who_played(recorded, tiny_run, tmp_path, queue):
    run, player, made, _ = recorded
    assert (made.player, made.step, len(made.policy)) == ("tiny", 6, 64)
    other = jax.tree.map(lambda leaf: leaf + 1, player.params)
    assert made.policy == policy_hash(player.params) != policy_hash(other)
    episode.save_episode(tmp_path / "x.npz", made)
    kept = episode.load_episode(tmp_path / "x.npz")
    assert kept._replace(actions=0) == made._replace(actions=0)
    assert (queue[1].player, queue[1].policy) == ("schedule", "")


def test_a_run_is_followed_into_a_page(tiny_run, tmp_path, capsys):
    out = tmp_path / "town.html"
    words = ("--run", tiny_run, "--days", 0.03, "--seed", 2, "--out", out, "--stride", 15, "--follow", 3)
    assert run_command(replay.main, *words) == 0
    assert "played by tiny, step 6, policy " in capsys.readouterr().out
    assert len(film_of(out)[0]) == 2


@pytest.mark.parametrize("words", [("--world", "town"), ("--scenario", "town")])
def test_a_world_without_a_schedule_plays_the_citizen(words, tmp_path, capsys):
    out = tmp_path / "x.gif"
    assert run_command(replay.main, *words, "--days", 0.02, "--stride", 30, "--follow", 1, "--out", out) == 0
    assert "played by scripted" in capsys.readouterr().out and out.read_bytes()[:3] == b"GIF"


def test_missing_files_are_told_in_words(tmp_path, capsys):
    with pytest.raises(RunError, match="x.npz is missing"):
        episode.load_episode(tmp_path / "x.npz")
    with pytest.raises(SystemExit):
        fuzz(["town", "--replay", str(tmp_path / "none.npz")])
    error = capsys.readouterr().err
    assert "none.npz: No such file or directory" in error and "Errno" not in error
