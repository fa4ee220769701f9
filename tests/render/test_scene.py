"""What goes on in a town, on its picture: sky, outages, closed doors, talks, quarrels and ties, each against a town without it."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import townlet_jax
from townlet_jax.core import fixed
from townlet_jax.render import animate, ansi, caption, image, marks, overlay, palette, panel, pen
from townlet_jax.render.backdrop import signposts
from townlet_jax.render.people import people
from townlet_jax.render.plan import plan
from townlet_jax.render.scene import Bond, Meeting, Scene, bonds, scene
from townlet_jax.systems import perturbations, relationships
from townlet_jax.types import NOBODY

pytest.importorskip("PIL")

SCALE, WIDTH, HEIGHT = 20, 12, 7
NOON, NIGHT = 100, 195  # of a day of 200 ticks
# below the rooms there is a strip of grass; whoever uses something stands below it
STREET = """
    ############
    #..W..#.B.C#
    #.....#....#
    #.01..+.2..#
    #h.3..######
    #,,,,,,,,,,#
    ############
"""
SKY = {"systems.weather": {}}
TROUBLE = {
    "systems.utilities": {"needs": {"power": ["bed"], "water": ["shower"]}},
    "systems.perturbations": {
        "events": [
            {"name": "blackout", "kind": "outage", "ticks": [5, 5], "utility": "power"},
            {"name": "dry_taps", "kind": "outage", "ticks": [5, 5], "utility": "water"},
            {"name": "repair", "kind": "closure", "ticks": [5, 5], "at": ["counter"]},
        ]
    },
}
COMPANY = {"systems.relationships": {"stage": "C1"}, "systems.chat": {}, "systems.queues.fairness": {}}
BLACKOUT, DRY_TAPS, REPAIR = range(3)
SHOWER, BED, COUNTER = (1, 3), (1, 8), (1, 10)


@pytest.fixture
def street(board):
    """`street(**overrides)` is the street with more in it, under a name of its own, since plans are kept by name."""

    def build(drawing=STREET, **overrides):
        made = board(drawing, **overrides)
        name = str(zlib.crc32((drawing + json.dumps(overrides)).encode()))
        return made._replace(world=made.world.replace(static=made.world.static._replace(config_id=name)))

    return build


def at_noon(street, tick=NOON):
    return jax.device_get(street.state(tick=tick))


def under(state, kind):
    return state.put(weather=state.slots["weather"].replace(kind=np.int8(kind)))


def on(street, state, event):
    return jax.device_get(perturbations.trigger(street.world, jax.tree.map(jnp.asarray, state), event, 5))


def talk(state, one, other, outcome):
    slot, who = state.slots["chat"], np.arange(4) == one
    partner = np.where(who, other, NOBODY).astype(np.int16)
    return state.put(chat=slot.replace(partner=partner, outcome=np.where(who, outcome, 0).astype(np.int8)))


def quarrel(state, *conflict):
    return state.put(queues=state.slots["queues"].replace(conflict=np.array(conflict, np.int16)))


def tie(state, one, other, **parts):
    ties = [fixed.to_tie(parts.get(part, 0.0)) for part in ("trust", "familiarity", "rivalry")]
    return jax.device_get(relationships.set_tie(state, one, other, *ties))


def bare(street, state, **options):
    """The map and the caption of a town."""
    picture = image(street.world, state, scale=SCALE, panel=False, **options)
    return picture[: HEIGHT * SCALE], picture[HEIGHT * SCALE :]


def differing(before, after):
    """The cells in which two maps differ."""
    rows, columns = np.nonzero((before != after).any(-1))
    return {(int(row), int(column)) for row, column in zip(rows // SCALE, columns // SCALE)}


def count(picture, colour):
    return int((picture == np.array(colour)).all(-1).sum())


def cell(picture, spot):
    row, column = spot
    return picture[row * SCALE : (row + 1) * SCALE, column * SCALE : (column + 1) * SCALE]


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


# Talks and quarrels; 0 stands at (3, 2), 1 at (3, 3), 2 at (3, 8), 3 at (4, 3)


@pytest.mark.parametrize(("outcome", "sign"), [(1, "success"), (2, "failure")])
def test_a_talk_has_its_mark_above_the_two_in_its_tick(street, outcome, sign):
    town = street(**COMPANY)
    state = at_noon(town)
    talking = talk(state, 1, 0, outcome)
    assert scene(town.world, talking).meetings == (Meeting(1, 0, sign),)
    ((_, spot),) = overlay.placed(scene(town.world, talking).meetings, SPOTS, SCALE, (WIDTH, HEIGHT))
    assert spot == pytest.approx((3.0, 3.5 - overlay.BESIDE))
    before, after = bare(town, state)[0], bare(town, talking)[0]
    assert count(after, palette.MARKS[sign]) > 100 and count(before, palette.MARKS[sign]) == 0
    other = palette.MARKS["failure" if sign == "success" else "success"]
    assert count(after, other) == 0
    assert differing(before, after) <= {(row, column) for row in (1, 2, 3, 4) for column in (1, 2, 3, 4)}


SPOTS = {0: (2.5, 3.5), 1: (3.5, 3.5), 2: (8.5, 3.5), 3: (3.5, 4.5)}  # right and down


def test_spots_are_the_middles_of_cells_and_two_on_one_cell_stand_aside(street):
    town = street(**COMPANY)
    state = at_noon(town)
    folk = people(town.world, state)
    assert overlay.spots(plan(town.world), folk) == SPOTS
    shared = [someone._replace(cell=folk[0].cell) if someone.index == 1 else someone for someone in folk]
    found = overlay.spots(plan(town.world), shared)
    assert found[0] == pytest.approx((2.1, 3.5)) and found[1] == pytest.approx((2.9, 3.5))


def test_who_keeps_away_has_a_mark_alone(street):
    town = street(**COMPANY)
    shy = talk(at_noon(town), 2, 0, 3)
    found = scene(town.world, shy).meetings
    assert found == (Meeting(2, 0, "avoided"),) and marks.of_people(found) == {2: "avoided"}
    ((_, (x, y)),) = overlay.placed(found, SPOTS, SCALE, (WIDTH, HEIGHT))
    assert abs(x - 8.5) < 1 and 2 < y < 3.5
    assert {column for _, column in differing(bare(town, at_noon(town))[0], bare(town, shy)[0])} <= {8, 9, 10}


def test_a_quarrel_of_two_has_one_mark_between_them(street):
    town = street(**COMPANY)
    state = at_noon(town)
    angry = quarrel(state, NOBODY, 3, NOBODY, 1)
    found = scene(town.world, angry).meetings
    assert found == (Meeting(1, 3, "quarrel"), Meeting(3, 1, "quarrel"))
    placed = overlay.placed(found, SPOTS, SCALE, (WIDTH, HEIGHT))
    assert [spot for _, spot in placed] == [
        pytest.approx((3.5 - overlay.BESIDE, 4.0))
    ]  # one above the other: to the left
    before, after = bare(town, state)[0], bare(town, angry)[0]
    assert count(after, palette.MARKS["quarrel"]) > 100 > 0 == count(before, palette.MARKS["quarrel"])


def test_marks_do_not_cover_each_other_and_stay_on_the_map():
    """0, 1 and 2 stand in the left upper corner, one below the other; all three quarrel."""
    spots = {0: (0.5, 0.5), 1: (0.5, 1.5), 2: (0.5, 2.5)}
    found = tuple(Meeting(one, other, "quarrel") for one, other in ((0, 1), (1, 2), (0, 2)))
    placed = [spot for _, spot in overlay.placed(found, spots, SCALE, (WIDTH, HEIGHT))]
    assert all(overlay.MARK / 2 <= x <= WIDTH - overlay.MARK / 2 and overlay.MARK / 2 <= y for x, y in placed)
    apart = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) for i, a in enumerate(placed) for b in placed[:i]]
    assert min(apart) >= 0.9 * overlay.MARK


def test_who_has_left_in_this_tick_has_no_mark():
    assert overlay.placed((Meeting(0, 9, "quarrel"),), SPOTS, SCALE, (WIDTH, HEIGHT)) == []


def test_the_table_shows_the_mark_of_a_talk(street):
    town = street(**COMPANY)
    state = at_noon(town)
    right = lambda now: image(town.world, now, scale=SCALE)[:, WIDTH * SCALE :]
    quiet, talking = right(state), right(talk(state, 0, 1, 2))
    rows = np.nonzero((quiet != talking).any((1, 2)))[0]
    assert len(rows) and count(talking, palette.MARKS["failure"]) > count(quiet, palette.MARKS["failure"])


# Ties


def test_strong_ties_are_bows_that_can_be_switched_off(street):
    town = street(**COMPANY)
    state = at_noon(town)
    known = tie(tie(state, 0, 2, familiarity=0.31), 1, 2, rivalry=0.6, trust=0.4)
    assert bonds(town.world, known) == (Bond(0, 2, "friend"), Bond(1, 2, "rival"))
    plain, drawn, off = bare(town, state)[0], bare(town, known)[0], bare(town, known, ties=False)[0]
    assert (plain == off).all()
    near = lambda colour: int((np.abs(drawn[3 * SCALE :, :].astype(int) - colour).max(-1) < 60).sum())
    before = lambda colour: int((np.abs(plain[3 * SCALE :, :].astype(int) - colour).max(-1) < 60).sum())
    for sign in marks.BONDS:
        assert near(palette.MARKS[sign]) > before(palette.MARKS[sign]) + 50


@pytest.mark.parametrize("parts", [{"trust": 0.3}, {"familiarity": 0.3}, {"rivalry": 0.3}])
def test_weak_ties_are_not_drawn(street, parts):
    town = street(**COMPANY)
    state = at_noon(town)
    assert bonds(town.world, tie(state, 0, 2, **parts)) == ()
    assert len(bonds(town.world, tie(state, 0, 2, **{part: 0.32 for part in parts}))) == 1
    assert (bare(town, tie(state, 0, 2, **parts))[0] == bare(town, state)[0]).all()


def test_a_tie_of_one_side_counts_and_that_of_who_is_gone_does_not(street):
    town = street(**COMPANY)
    state = at_noon(town)
    trust = np.zeros((4, 4), np.int16)
    trust[3, 1] = -fixed.to_tie(0.5)
    wary = state.put(relationships=state.slots["relationships"].replace(trust=trust))
    assert bonds(town.world, wary) == (Bond(1, 3, "rival"),)
    gone = wary.replace(agents=wary.agents.replace(alive=np.array([True, False, True, True])))
    assert bonds(town.world, gone) == ()


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
