"""Pictures: what a stranger must be able to tell apart, and files that others can read."""

import builtins
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import townlet_jax
from townlet_jax.render import animate, ansi, image, palette, pen
from townlet_jax.render.clock import clock, darkness
from townlet_jax.render.lettering import shorten, spell, width_of
from townlet_jax.render.people import gerund, meaning, people
from townlet_jax.render.plan import labels, plan
from townlet_jax.render.scene import happenings

pytest.importorskip("PIL")

SCALE = 10
NOON, NIGHT = 720, 1380  # ticks of the day
TOWN = townlet_jax.load("town")
TINY = """
name: tiny_room
num_agents: 2
ticks_per_day: 100
needs: [fun, warmth]
start: {tick: [50, 50]}
systems:
  intents: {}
  needs: {decay: {fun: 0.001, warmth: 0.001}, weight: {fun: 1.0, warmth: 1.0}}
  movement: {}
  queues: {}
  economy: {restock_at: 0, rent_at: 10}
  affordances:
    offers:
      - {name: play_chess, at: arcade, ticks: 4, effects: {fun: 0.3}}
      - {name: warm_up, at: fireplace, ticks: 4, effects: {warmth: 0.3}}
  rewards: {weights: {needs: 0.2}, terminal: []}
map:
  legend:
    "#": {ground: wall}
    ".": {ground: floor}
    "+": {ground: door}
    "g": {ground: grass}
    "h": {home: true}
    "A": {facility: arcade}
    "F": {facility: fireplace}
    "P": {place: Übung}
  rows: |
    gggggggggg
    g#######gg
    g#A..h.#gg
    g#.....+gg
    g#F....#gg
    g#######gg
    g#.P...+gg
    g#A...F#gg
    g#######gg
    gggggggggg
"""


@pytest.fixture(scope="module")
def town():
    """The state of a town at noon, on the host, with everybody at home."""
    return at(jax.device_get(townlet_jax.reset(TOWN, jax.random.key(0))), NOON)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A world of other kinds, needs and systems, and its state at noon."""
    path = tmp_path_factory.mktemp("worlds") / "tiny.yaml"
    path.write_text(TINY)
    world = townlet_jax.load(path)
    return world, jax.device_get(townlet_jax.reset(world, jax.random.key(0)))


def at(state, tick):
    return state.replace(tick=np.int32(tick))


def moved(state, agent, cell):
    cells = np.array(state.agents.cell)
    cells[agent] = cell
    return state.replace(agents=state.agents.replace(cell=cells))


def without(state, agent):
    alive = np.array(state.agents.alive)
    alive[agent] = False
    return state.replace(agents=state.agents.replace(alive=alive))


def pixel(picture, cell, right=0.5, down=0.5):
    row, column = divmod(int(cell), TOWN.static.width)
    return tuple(picture[int((row + down) * SCALE), int((column + right) * SCALE)])


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_picture_is_rgb_of_the_size_of_the_map_and_a_panel(town):
    picture = image(TOWN, town, scale=SCALE)
    bare = image(TOWN, town, scale=SCALE, panel=False)
    assert picture.dtype == bare.dtype == np.uint8
    assert bare.shape == (502, 480, 3)  # a caption of one line below 48 cells
    assert picture.shape[0] == 480 and picture.shape[1] > 480 + 200
    assert (picture[:480, :480] == bare[:480]).all()


def test_the_same_state_gives_the_same_picture_from_the_device_or_the_host(town):
    again = image(TOWN, jax.tree.map(jnp.asarray, town), scale=SCALE)
    assert (image(TOWN, town, scale=SCALE) == again).all()


def test_people_have_their_own_colours(town):
    assert len({palette.person(index) for index in range(64)}) == 64
    picture = image(TOWN, town, scale=SCALE)
    for agent in range(TOWN.static.num_agents):
        row, column = divmod(int(town.agents.cell[agent]), TOWN.static.width)
        body = picture[row * SCALE : (row + 1) * SCALE, column * SCALE : (column + 1) * SCALE]
        assert (body == palette.person(agent)).all(-1).any()


def test_doors_of_homes_have_the_colour_of_who_lives_there(town):
    picture = image(TOWN, town, scale=SCALE)
    first_door, shop_door = 9 * 48 + 6, 22 * 48 + 11  # drawn as + in the map of the town
    assert pixel(picture, first_door, 0.4) == palette.person(0)
    assert pixel(picture, shop_door, 0.4) == palette.GROUND["door"]


def test_night_is_darker_than_noon_and_dusk_lies_between(town):
    bright = [image(TOWN, at(town, tick), scale=SCALE, panel=False).mean() for tick in (NOON, 1220, NIGHT)]
    assert bright[0] > bright[1] + 10 > bright[2] + 20
    assert [darkness(hour) for hour in (0, 5, 12, 22, 24)] == [1, 1, 0, 1, 1]


def test_a_lamp_is_on_where_somebody_is_awake_at_night(town):
    night = at(town, NIGHT)
    floor = int(town.agents.cell[0]) - 2  # in the same room
    awake, gone = image(TOWN, night, scale=SCALE), image(TOWN, without(night, 0), scale=SCALE)
    assert sum(map(int, pixel(awake, floor))) > sum(map(int, pixel(gone, floor))) + 100


def test_a_step_changes_only_the_cells_near_it_and_the_panel(town):
    old = int(town.agents.cell[2])
    row, column = divmod(old, TOWN.static.width)
    before, after = (image(TOWN, state, scale=SCALE) for state in (town, moved(town, 2, old + 1)))
    differs = (before != after).any(-1)[:, : TOWN.static.width * SCALE]
    rows, columns = np.nonzero(differs)
    assert len(rows)
    assert rows.min() >= (row - 1) * SCALE and rows.max() < (row + 2) * SCALE
    assert columns.min() >= (column - 1) * SCALE and columns.max() < (column + 3) * SCALE


def test_an_empty_slot_has_no_body_and_says_so(town):
    empty = without(town, 3)
    cell = int(town.agents.cell[3])
    assert pixel(image(TOWN, empty, scale=SCALE), cell) == pixel(image(TOWN, moved(town, 3, 600), scale=SCALE), cell)
    assert people(TOWN, empty)[3].words == "not here yet"
    fate = empty.slots["lifecycle"]
    left = empty.put(
        lifecycle=fate.replace(since=np.where(np.arange(len(fate.since)) == 3, 7, fate.since).astype(np.int8))
    )
    assert people(TOWN, left)[3].words == "moved away"


def test_talks_quarrels_and_events_are_told():
    world = townlet_jax.load("demo_story_arc")
    state = jax.device_get(jax.jit(townlet_jax.reset)(world, jax.random.key(0)))
    NOBODY, three = townlet_jax.NOBODY, lambda *values: np.array(values, np.int16)
    chat, queues, events = (state.slots[name] for name in ("chat", "queues", "perturbations"))
    state = state.replace(agents=state.agents.replace(alive=np.ones(3, bool)))
    quiet = image(world, state, scale=SCALE)
    good = chat.replace(partner=three(1, NOBODY, NOBODY), outcome=np.array([1, 0, 0], np.int8))
    shy = chat.replace(partner=three(NOBODY, NOBODY, 1), outcome=np.array([0, 0, 3], np.int8))
    words = lambda **slots: [someone.words for someone in people(world, state.put(**slots))]
    assert words(chat=good)[:2] == ["talking to Kai", "talking to Avery"]
    assert words(chat=shy)[2] == "not talking to Kai" and "talking" not in words(chat=shy)[1]
    assert words(queues=queues.replace(conflict=three(NOBODY, 2, 1)))[1:] == [
        "quarrelling with Blair",
        "quarrelling with Kai",
    ]
    dark = state.put(perturbations=events.replace(ends=state.tick + np.array([0, 5, 9], np.int32)))
    assert happenings(world, state) == () and happenings(world, dark) == ("blackout", "invitation")
    assert (image(world, dark, scale=SCALE) != quiet).any()


def test_the_panel_of_a_small_map_is_not_larger_than_need_be():
    """Eleven cells of 28 pixels are 308 across; the panel has units of 12 pixels, not of 28."""
    world = townlet_jax.load("queue_conflict")
    state = jax.device_get(jax.jit(townlet_jax.reset)(world, jax.random.key(0)))
    large, small = (image(world, state, scale=scale).shape[1] - scale * world.static.width for scale in (28, 12))
    assert large == small


def test_what_people_do_in_words(town):
    slots = town.slots
    doing, job, queue = slots["affordances"], slots["employment"], slots["queues"]
    offers = TOWN.static.names.offers
    A = TOWN.static.num_agents
    of = lambda index, value, rest=0, dtype=np.int32: np.where(np.arange(A) == index, value, rest).astype(dtype)
    shop = int(np.flatnonzero(np.asarray(TOWN.map.facility_kind) == TOWN.static.names.kinds.index("till"))[0])
    busy = town.put(
        affordances=doing.replace(offer=of(0, offers.index("cook")), remaining=of(0, 3)),
        employment=job.replace(pay=of(1, 20), shift=of(1, 2)),
        queues=queue.replace(facility=of(2, shop, townlet_jax.NOTHING), place=of(2, 1)),
    )
    walking = busy.replace(intent=busy.intent.replace(verb=of(3, 1), arg=of(3, 1)))
    home = TOWN.static.actions.home
    walking = walking.put(intents=walking.slots["intents"].replace(option=of(3, home, home + 1)))
    found = people(TOWN, walking)
    assert [someone.activity for someone in found[:5]] == ["cook", "work", "wait", "walk", "idle"]
    assert [someone.words for someone in found[:5]] == [
        "cooking at home",
        "working at home",
        "in line at Grocer",
        "walking home",
        "idle at home",
    ]
    assert found[3].facing == 1 and found[1].shift == "on_time" and found[1].job == "barista"
    assert (image(TOWN, walking, scale=SCALE) != image(TOWN, town, scale=SCALE)).any()


def test_unknown_kinds_needs_and_missing_systems_are_drawn(tiny):
    world, state = tiny
    picture = image(world, state, scale=16)
    assert picture.shape[0] >= 160
    assert people(world, state)[0].job == ""
    assert "a arcade" in ansi(world, state, color=False)
    assert clock(world, state).words == "Day 1  12:00"


def test_names_of_places_cover_no_door_facility_or_each_other():
    drawn = plan(TOWN)
    spots = labels(drawn, {place: 4 for place in range(len(drawn.places))})
    cells = [(row, column + step) for row, column in spots.values() for step in range(4)]
    assert len(spots) == len(drawn.places) and len(set(cells)) == len(cells)
    assert not any(drawn.ground[cell] == "door" for cell in cells)
    assert not {row * drawn.columns + column for row, column in cells} & set(drawn.facilities.tolist())


@pytest.mark.parametrize("num_agents", [1, 16, 20])
def test_the_panel_fits_any_number_of_people(num_agents):
    world = townlet_jax.load("town", num_agents=num_agents)
    state = jax.device_get(townlet_jax.reset(world, jax.random.key(0)))
    assert image(world, state, scale=SCALE).shape[0] == 480


@pytest.mark.parametrize(
    ("offer", "words", "activity"),
    [
        ("sleep", "sleeping", "sleep"),
        ("nap", "napping", "sleep"),
        ("eat_out", "eating out", "eat"),
        ("gym_wash", "washing", "wash"),
        ("bake_bread", "baking bread", "cook"),
        ("play_chess", "playing chess", "other"),
    ],
)
def test_offers_in_words(offer, words, activity):
    assert (gerund(offer), meaning(offer)) == (words, activity)


def test_letters_that_the_font_lacks_are_spelt_with_accents():
    assert spell("Café") == ("Cafe", ((3, "\u0301"),))
    assert spell("\u5e02") == ("?", ())
    short = shorten("walking to the university library", 12, 80)
    assert short.endswith("…") and width_of(short, 12) <= 80


def test_a_batch_is_refused_with_a_hint(town):
    with pytest.raises(ValueError, match="one town"):
        image(TOWN, jax.tree.map(lambda leaf: np.stack([leaf, leaf]), town))


@pytest.mark.parametrize("color", [True, False])
def test_the_terminal_picture_has_a_character_a_cell_and_a_line_an_agent(town, color):
    text = ansi(TOWN, town, color=color)
    assert ("\x1b[" in text) == color
    lines = plain(text).split("\n")
    board = lines[1 : 1 + TOWN.static.height]
    assert all(len(row) == TOWN.static.width for row in board)
    assert lines[0] == "Town  Day 1  12:00"
    assert board[7][6] == "1" and "Grocer" in board[15]  # agent 1 at home, the sign on the wall
    assert len(lines) == 1 + TOWN.static.height + 2 + TOWN.static.num_agents
    assert "hunger" in lines[-1] and "4.00 coins" in lines[-1]


def film(state, count):
    return [moved(at(state, NOON + n), 0, int(state.agents.cell[0]) - n % 3) for n in range(count)]


def test_a_gif_has_a_frame_a_state_in_true_colours(town, tmp_path):
    states = film(town, 5)
    path = animate(TOWN, iter(states), tmp_path / "town.gif", fps=10, scale=SCALE)
    with pen.pillow().Image.open(path) as film_:
        assert film_.n_frames == 5 and film_.info["duration"] == 100
        film_.seek(4)
        found = np.asarray(film_.convert("RGB")).astype(int)
    true = image(TOWN, states[4], scale=SCALE).astype(int)
    assert found.shape == true.shape and np.abs(found - true).mean() < 4
    assert path.stat().st_size < 150_000


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of the reader
def test_an_mp4_has_a_frame_a_state_and_even_sides(tiny, tmp_path):
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    world, state = tiny
    path = animate(world, [at(state, tick) for tick in range(50, 54)], tmp_path / "tiny.mp4", scale=13)
    with imageio.get_reader(path) as film_:
        assert film_.count_frames() == 4
        assert all(side % 2 == 0 for side in film_.get_data(0).shape[:2])


def test_other_suffixes_and_empty_films_are_refused(town, tmp_path):
    with pytest.raises(ValueError, match=r"\.gif, \.html, \.mp4"):
        animate(TOWN, [town], tmp_path / "town.avi")
    with pytest.raises(ValueError, match="no states"):
        animate(TOWN, [], tmp_path / "town.gif")


def test_without_pillow_the_error_names_the_extra(town, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.split(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RuntimeError, match=r"townlet-jax\[viz\]"):
        image(TOWN, town)
    assert "Day 1" in ansi(TOWN, town)  # the terminal needs no Pillow
