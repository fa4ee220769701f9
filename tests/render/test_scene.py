"""Sky, outages and closed doors on the picture of a town, each against a town without it."""

import jax
import numpy as np
import pytest
from streets import (
    BED,
    BLACKOUT,
    COMPANY,
    COUNTER,
    DRY_TAPS,
    HEIGHT,
    NIGHT,
    NOON,
    REPAIR,
    SCALE,
    SHOWER,
    SKY,
    STREET,
    TROUBLE,
    at_noon,
    bare,
    cell,
    count,
    differing,
    on,
    streets,
    talk,
    tie,
    under,
)

import townlet_jax
from townlet_jax.render import animate, ansi, caption, image, marks, palette, panel, pen
from townlet_jax.render.backdrop import signposts
from townlet_jax.render.plan import plan
from townlet_jax.render.scene import Scene, scene

pytest.importorskip("PIL")


@pytest.fixture
def street(board):
    return streets(board)


# What a world does not have


def test_a_plain_town_has_no_scene_no_marks_and_a_caption_of_one_line(street):
    plain = street()
    state = at_noon(plain)
    assert scene(plain.world, state) == Scene() and plan(plain.world).signs == ()
    assert caption.num_lines(plan(plain.world)) == 1
    assert caption.num_lines(plan(street(**TROUBLE).world)) == 2
    assert [entry.group for group in panel.legends(plan(plain.world), ()) for entry in group[:1]] == [
        "kind",
        "activity",
    ]


def test_a_quiet_town_with_everything_in_it_has_the_map_of_a_plain_one(street):
    plain, full = street(), street(**SKY, **TROUBLE, **COMPANY)
    before, sunny, rainy = (
        bare(plain, at_noon(plain))[0],
        *(bare(full, under(at_noon(full), kind))[0] for kind in (0, 1)),
    )
    assert (before == sunny).all() and not (before == rainy).all()


def test_the_legend_has_the_marks_of_a_world_and_no_others(street):
    assert plan(street(**SKY).world).signs == ()
    assert plan(street(**TROUBLE).world).signs == ("closed", "power", "water")
    signs = plan(street(**COMPANY).world).signs
    assert signs == ("success", "failure", "avoided", "quarrel", "friend", "rival")
    assert [marks.meaning(sign) for sign in (*signs, "water")][-3:] == ["friends", "rivals", "water off"]
    full = street(**COMPANY)
    state = at_noon(full)
    lines = [count(image(full.world, state, ties=ties), palette.MARKS["friend"]) for ties in (True, False)]
    assert lines[0] > 0 == lines[1]


# Sky


def test_rain_and_frost_lie_on_all_that_is_out_of_doors_and_nowhere_else(street):
    town = street(**SKY)
    sunny, rainy, cold = (bare(town, under(at_noon(town), kind))[0] for kind in range(3))
    grass = {(5, column) for column in range(1, 11)} | {(4, 1)}  # the home stands on grass, too
    labels = {(row, column) for row in (4, 5, 6) for column in range(6)}  # the name of the home lies over some of it
    assert grass - labels <= differing(sunny, rainy) <= grass
    assert grass - labels <= differing(sunny, cold) <= grass
    assert cell(cold, (5, 8)).mean() > cell(sunny, (5, 8)).mean() > cell(rainy, (5, 8)).mean()


def test_the_caption_tells_the_weather_and_a_night_is_clear(street):
    town = street(**SKY)
    said = lambda tick, kind: caption.parts(scene(town.world, under(at_noon(town, tick), kind)))
    assert [said(NOON, kind) for kind in range(3)] == [[(word, word)] for word in ("sunny", "rainy", "cold")]
    assert said(NIGHT, 0) == [("clear", "clear")] and said(NIGHT, 1) == [("rainy", "rainy")]
    lines = [bare(town, under(at_noon(town), kind))[1] for kind in range(3)]
    assert count(lines[0], palette.SKY["sunny"]) > 0 == count(lines[1], palette.SKY["sunny"])
    assert count(lines[1], palette.CLOUD) > 0 == count(lines[2], palette.CLOUD)


# Out of service


@pytest.mark.parametrize(("event", "name", "where"), [(BLACKOUT, "power", BED), (DRY_TAPS, "water", SHOWER)])
def test_an_outage_marks_what_needs_the_utility(street, event, name, where):
    town = street(**TROUBLE)
    state = at_noon(town)
    dark = on(town, state, event)
    (before, quiet), (after, told) = bare(town, state), bare(town, dark)
    assert differing(before, after) == {where}
    assert count(cell(after, where), palette.OFF) > 20 and count(cell(before, where), palette.OFF) == 0
    assert scene(town.world, dark).off == (name,)
    assert caption.parts(scene(town.world, dark))[0] == (name, f"{name} off")
    assert count(told, palette.OFF) > 20 and count(quiet, palette.OFF) == 0


def test_a_fault_is_told_like_an_outage_by_an_event(street):
    town = street(**TROUBLE)
    faulty = at_noon(town).put(utilities=at_noon(town).slots["utilities"].replace(down=np.array([0, 3], np.int16)))
    assert scene(town.world, faulty) == Scene(off=("water",), shut=((0, "water"),))


def test_a_closed_facility_is_grey_and_crossed_out(street):
    town = street(**TROUBLE)
    state = at_noon(town)
    before, after = bare(town, state)[0], bare(town, on(town, state, REPAIR))[0]
    assert differing(before, after) == {COUNTER}
    crossed = cell(after, COUNTER)
    for place in (6, 10, 13):  # on both diagonals
        assert tuple(crossed[place, place]) == tuple(crossed[place, SCALE - 1 - place]) == palette.MARKS["closed"]
    spread = lambda picture: np.ptp(cell(picture, COUNTER)[SCALE // 2 - 1, :3].astype(int), axis=-1).max()
    assert spread(after) < spread(before) / 2  # wood without its colour, beside the cross


def test_what_is_closed_and_lacks_water_is_closed(street):
    section = {**TROUBLE["systems.utilities"], "needs": {"power": ["bed"], "water": ["counter"]}}
    town = street(**{**TROUBLE, "systems.utilities": section})
    dry = on(town, at_noon(town), DRY_TAPS)
    assert scene(town.world, dry).shut == ((2, "water"),)
    assert scene(town.world, on(town, dry, REPAIR)).shut == ((2, "closed"),)


def test_no_lamp_burns_without_power(street):
    """Agent 2 is awake behind the door: its room has light at night, unless the power is off; water does not matter."""
    town = street(STREET.replace(".2..", ".2P."), **TROUBLE, **{"map.legend.P": {"ground": "floor", "place": "Hall"}})
    state = at_noon(town, NIGHT)
    nights = (state, on(town, state, DRY_TAPS), on(town, state, BLACKOUT))
    lit, dry, dark = (cell(bare(town, night)[0], (3, 10)).mean() for night in nights)
    assert lit == dry > dark + 40


def test_other_utilities_have_their_initials():
    gas, steam = (np.asarray(marks.mark(name, 20)) for name in ("gas", "steam"))
    assert (gas != steam).any() and (np.asarray(marks.mark("power", 20)) != np.asarray(marks.mark("water", 20))).any()


# Names, films, the terminal, and what is only read


@pytest.mark.parametrize("scale", [6, 12, 28])
@pytest.mark.parametrize("name", ["town", "town_6", "demo_story_arc", "queue_conflict", "starvation"])
def test_names_of_places_lie_inside_the_picture(name, scale):
    world = townlet_jax.load(name)
    drawn = signposts(plan(world), scale)
    assert len(drawn) == len(world.static.names.places)
    for words, left, top, right, bottom in drawn.values():
        assert words and 0 <= left < right <= world.static.width * scale - 1
        assert 0 <= top < bottom <= world.static.height * scale - 1


def test_a_name_that_is_too_long_for_the_map_is_cut(street):
    """Twelve cells of 20 pixels are 240 pixels across."""
    named = lambda name: (
        street(STREET.replace(".2..", ".2P."), **{"map.legend.P": {"ground": "floor", "place": name}}).world
    )
    words, left, _, right, _ = next(
        label for label in signposts(plan(named("M" * 20)), SCALE).values() if label.words[0] == "M"
    )
    assert words.endswith("…") and 0 <= left < right < 240
    assert "Hall" in [label.words for label in signposts(plan(named("Hall")), SCALE).values()]


def test_a_label_at_the_upper_border_is_whole():
    """The white edge of the label of Home 1 runs along the first row of pixels of the picture."""
    world = townlet_jax.load("queue_conflict")
    state = jax.device_get(jax.jit(townlet_jax.reset)(world, jax.random.key(0)))
    label = signposts(plan(world), 28)[0]
    edge = image(world, state, scale=28)[round(label.top), round(label.left) + 10 : round(label.right) - 10]
    assert round(label.top) == 0 and (edge == 255).all()


def test_a_frame_with_a_talk_stands_longer(street, tmp_path):
    town = street(**COMPANY)
    state = at_noon(town)
    states = [state, talk(state, 0, 1, 1), at_noon(town, NOON + 10)]
    path = animate(town.world, states, tmp_path / "talk.gif", fps=10, scale=8)
    durations = []
    with pen.pillow().Image.open(path) as film:
        for number in range(film.n_frames):
            film.seek(number)
            durations.append(film.info["duration"])
    assert durations == [100, 400, 100]


def test_the_terminal_tells_the_same(street):
    town = street(**SKY, **TROUBLE)
    state = under(at_noon(town), 1)
    quiet, shut = (ansi(town.world, now, color=False).split("\n") for now in (state, on(town, state, REPAIR)))
    assert quiet[0] == "Board  Day 1  12:00  rainy"
    assert shut[0] == "Board  Day 1  12:00  rainy  repair"
    assert quiet[2][10] == "c" and shut[2][10] == "!"
    assert "! out of service" in shut[1 + HEIGHT] and "! out" not in "".join(quiet)


def test_a_picture_changes_nothing_in_the_state(street):
    town = street(**SKY, **TROUBLE, **COMPANY)
    state = jax.tree.map(np.array, tie(on(town, talk(at_noon(town), 0, 1, 1), BLACKOUT), 1, 2, rivalry=0.6))
    before = jax.tree.map(np.copy, state)
    first, again = (image(town.world, state, scale=SCALE) for _ in range(2))
    assert (first == again).all()
    jax.tree.map(np.testing.assert_array_equal, state, before)
