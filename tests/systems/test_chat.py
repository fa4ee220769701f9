"""Chats: who talks to whom, how it goes, what becomes of it, and how one finds company."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from social_boards import SHARE, SOCIAL, SQUARE, SURE, VAIN, characters, parts, tie, tied, ties_of
from words import words

from townlet_jax import ConfigError, load
from townlet_jax.core import fixed
from townlet_jax.policies import scripted
from townlet_jax.systems import chat, encounters, relationships
from townlet_jax.systems.intents import MOVE, TALK, WAIT
from townlet_jax.systems.occasions import AVOIDED, FAILURE, SILENCE, SUCCESS
from townlet_jax.types import NOBODY, NOTHING

# two rooms with one door between them, and a yard; 0 and 1 stand wall to wall, a long way from each other
ROOMS = """
    ###########
    #h...#..W.#
    #...0#1...#
    #....#....#
    #....+....#
    #@...#...S#
    ###########
"""
FULL = fixed.NEED


@pytest.fixture
def square(board):
    return board(SQUARE, **SOCIAL)


@pytest.fixture
def sure(square):
    return square.tuned(chat=SURE)


@pytest.fixture
def vain(square):
    return square.tuned(chat=VAIN)


def spoke(state):
    """(speaker, partner, outcome) of the talks of this tick."""
    slot = state.slots["chat"]
    return [
        (agent, int(slot.partner[agent]), int(slot.outcome[agent]))
        for agent in np.flatnonzero(slot.outcome != SILENCE).tolist()
    ]


def talk(board, state, whom, priority=(0, 1, 2, 3), seed=0):
    """One tick of the chats alone, in which each speaks to that one, or to nobody (None)."""
    verb = jnp.array([WAIT if other is None else TALK for other in whom], jnp.int8)
    arg = jnp.array([0 if other is None else other for other in whom], jnp.int8)
    intent = state.intent.replace(verb=verb, arg=arg, priority=jnp.array(priority, jnp.int8))
    return board.only("chat", state.replace(intent=intent), seed=seed)


def huddle(square, **agents):
    """All four within one cell of each other."""
    return square.state(tick=1, cell=[square.cell(*spot) for spot in ((2, 2), (2, 3), (3, 2), (3, 3))], **agents)


# how it goes


def test_chat_success_between_strangers(sure):
    state = sure.step(sure.state(tick=1), "talk_0")
    assert spoke(state) == [(0, 1, SUCCESS)] and int(state.slots["chat"].quality[0]) == SHARE
    assert parts(state, 0, 1) == parts(state, 1, 0) == (tie(0.05), tie(0.10), 0)
    assert [ties_of(state, agent) for agent in (2, 3)] == [[], []]


def test_a_chat_that_goes_wrong(vain):
    state = vain.step(vain.state(tick=1), "talk_0")
    assert spoke(state) == [(0, 1, FAILURE)] and int(state.slots["chat"].quality[0]) == 0
    assert parts(state, 0, 1) == parts(state, 1, 0) == (0, tie(-0.05), tie(0.05))


def test_half_a_quality_is_half_a_step(square):
    half = square.tuned(chat=SURE | {"base": jnp.int32(fixed.CHANCE // 2), "quality_least": jnp.int32(SHARE // 2)})
    half = half.tuned(chat={"quality_spread": jnp.int32(0)})
    states = [half.step(half.state(tick=1), "talk_0", seed=seed) for seed in range(12)]
    good = [parts(state, 0, 1) for state in states if spoke(state)[0][2] == SUCCESS]
    assert good and all(found == (tie(0.05) // 2, tie(0.10) // 2, 0) for found in good)


def talked(town):
    """The town after one good chat of 0 with 1."""
    return town.only("relationships", talk(town, town.state(tick=1), [1, None, None, None]))


def test_extroversion_makes_a_chat_more_familiar(board):
    for extroversion, familiarity in ((1.0, 0.12), (-1.0, 0.08)):
        trust, found, rivalry = parts(talked(characters(board, extroversion=extroversion).tuned(chat=SURE)), 0, 1)
        assert found == pytest.approx(tie(familiarity), abs=1) and (trust, rivalry) == (tie(0.05), 0)


def test_extroversion_1_makes_fam_05_07(board):
    town = characters(board, extroversion=1.0).tuned(chat=SURE)
    change = town.world.params["relationships"].change.at[0, 1].set(tie(0.05))
    assert parts(talked(town.tuned(relationships={"change": change})), 0, 1)[1] == pytest.approx(tie(0.07), abs=1)


@pytest.mark.parametrize(
    ("trust", "familiarity", "common", "p"),
    [
        (0, 0, 0, 0.7),
        (0.5, 0, 0, 0.805),  # .7 * 1.15
        (-1, 0, 0, 0.49),
        (0, 0.5, 0, 0.77),
        (1, 1, 0, 1.0),  # .7 * 1.3 * 1.2 = 1.092
        (0, 0, 256, 1.0),  # .7 * 1.5 = 1.05
        (0, 0, -128, 0.525),  # .7 * .75
        (-1, -1, -128, 0.294),  # .7 * .7 * .8 * .75
    ],
)
def test_the_chance_of_a_talk(square, trust, familiarity, common, p):
    topics = {0: ((1, 0, 0, 0), (1, 0, 0, 0)), 256: ((-8,) * 4, (-8,) * 4), -128: ((-8,) * 4, (4,) * 4)}[common]
    state = tied(square.state(tick=1), (0, 1, trust, familiarity, 0))
    rows = jnp.array([topics[0], topics[1], topics[1], topics[1]], jnp.int8)
    state = state.put(chat=state.slots["chat"].replace(topics=rows))
    assert int(chat.chance(square.world, state)[0, 1]) == pytest.approx(p * fixed.CHANCE, rel=0.005)


def test_talks_go_well_as_often_as_their_chance_says(square):
    plain = square.tuned(chat={"topic_span": jnp.int32(0)})
    state = plain.state(tick=1)
    intent = state.intent.replace(verb=jnp.array([TALK, 0, 0, 0], jnp.int8), arg=jnp.array([1, 0, 0, 0], jnp.int8))
    keys = jax.random.split(jax.random.key(3), 2000)
    one = lambda key: chat.step(plain.world, state.replace(intent=intent), words(plain.world, chat.SYSTEM, key)).slots[
        "chat"
    ]
    slot = jax.jit(jax.vmap(one))(keys)
    outcome, quality = np.asarray(slot.outcome[:, 0]), np.asarray(slot.quality[:, 0])
    assert set(outcome.tolist()) == {SUCCESS, FAILURE}
    assert (outcome == SUCCESS).mean() == pytest.approx(0.7, abs=0.041)  # four standard deviations
    good = quality[outcome == SUCCESS] / SHARE
    assert good.min() == pytest.approx(0.5, abs=0.01) and good.max() == pytest.approx(0.9, abs=0.01)
    assert good.mean() == pytest.approx(0.7, abs=0.013) and not quality[outcome == FAILURE].any()


# who talks


def test_who_is_not_near_hears_nothing(sure):
    state = talk(sure, sure.state(tick=1), [3, None, None, None])
    assert spoke(state) == [] and int(state.slots["chat"].cooldown[0]) == 0


def test_across_a_corner_is_near(sure):
    assert spoke(talk(sure, huddle(sure), [3, None, None, None])) == [(0, 3, SUCCESS)]


@pytest.mark.parametrize("busy", [0, 1])
def test_who_is_busy_neither_speaks_nor_is_disturbed(sure, busy):
    state = sure.state(tick=1)
    doing = state.slots["affordances"].replace(remaining=jnp.zeros(4, jnp.int16).at[busy].set(5))
    state = talk(sure, state.put(affordances=doing), [1, None, None, None])
    assert spoke(state) == [] and int(state.slots["chat"].cooldown[0]) == 0


def test_nobody_talks_to_the_dead_or_to_oneself(sure):
    assert spoke(talk(sure, sure.state(tick=1, alive=[True, False, True, True]), [1, 0, None, None])) == []
    assert spoke(talk(sure, sure.state(tick=1), [0, None, None, None])) == []


@pytest.mark.parametrize(("priority", "speaker"), [((0, 1, 2, 3), 0), ((3, 1, 2, 0), 2)])
def test_of_two_who_speak_to_one_the_priority_decides(sure, priority, speaker):
    state = talk(sure, huddle(sure), [1, None, 1, None], priority)
    assert spoke(state) == [(speaker, 1, SUCCESS)]
    assert state.slots["chat"].cooldown.tolist() == [30 if agent == speaker else 0 for agent in range(4)]


@pytest.mark.parametrize(("priority", "speaker"), [((0, 1, 2, 3), 0), ((1, 0, 2, 3), 1)])
def test_of_two_who_speak_to_each_other_one_listens(sure, priority, speaker):
    assert spoke(talk(sure, huddle(sure), [1, 0, None, None], priority)) == [(speaker, 1 - speaker, SUCCESS)]


def test_who_speaks_is_not_spoken_to(sure):
    assert spoke(talk(sure, huddle(sure), [1, 2, None, None], (1, 0, 2, 3))) == [(1, 2, SUCCESS)]
    assert spoke(talk(sure, huddle(sure), [1, None, 3, None])) == [(0, 1, SUCCESS), (2, 3, SUCCESS)]


def test_after_a_talk_one_is_silent_for_a_while(sure):
    state = talk(sure, sure.state(tick=1), [1, None, None, None])
    for _ in range(30):
        assert "talk_0" not in sure.mask(state)
        state = talk(sure, state, [1, None, None, None])
        assert spoke(state) == []
    assert "talk_0" in sure.mask(state)
    assert spoke(talk(sure, state, [1, None, None, None])) == [(0, 1, SUCCESS)]


def test_who_likes_to_chat_is_silent_for_less_long(board):
    for liking, ticks in ((2.0, 15), (0.5, 60)):
        town = characters(board, habits={"chat_preference": liking}).tuned(chat=SURE)
        assert int(talk(town, town.state(tick=1), [1, None, None, None]).slots["chat"].cooldown[0]) == ticks


def test_before_stage_b_nobody_talks(sure):
    mute = sure.tuned(relationships={"stage": jnp.int8(0)})
    state = mute.state(tick=1)
    assert not [name for name in mute.mask(state) if "talk" in name]
    assert spoke(mute.step(state, "talk_0", "go_talk")) == []


# guardrail


def test_guardrail_an_avoided_person_is_not_spoken_to(square):
    state = tied(square.state(tick=1), (0, 1, 0.9, 0.9, 0.7))
    assert [name for name in square.mask(state) if "talk" in name] == ["talk_1", "go_talk"]  # agent 2 is near as well
    state = square.step(state, "talk_0")
    assert spoke(state) == [(0, 1, AVOIDED)]
    assert parts(state, 0, 1) == (tie(0.9), tie(0.9), tie(0.7)) and ties_of(state, 1) == []  # nothing was said
    found = {**chat.metrics(square.world, state), **relationships.metrics(square.world, state)}
    assert float(found["chat_failures"]) == 1 and float(found["chats"]) == 0 and float(found["ties/avoided"]) == 1
    assert chat.rewards(square.world, state)["social_penalty"].tolist() == [-5_000, 0, 0, 0]
    assert relationships.rewards(square.world, state)["social_avoidance"].tolist() == [5_000, 0, 0, 0]


def test_a_little_less_rivalry_is_no_reason_to_avoid_somebody(sure):
    state = tied(sure.state(tick=1), (0, 1, 0.9, 0.9, 0.69))
    assert spoke(sure.step(state, "talk_0")) == [(0, 1, SUCCESS)]


def test_who_avoids_the_speaker_will_have_none_of_it(sure):
    state = tied(sure.state(tick=1), (1, 0, 0, 0, 0.8))
    assert spoke(talk(sure, state, [1, None, None, None])) == [(0, 1, FAILURE)]


# rewards


def paid(board, state, stage, *names):
    """Rewards i32[A] of a tick in which agents do that, as shares of 1.0."""
    staged = board.tuned(
        relationships={"stage": jnp.int8(relationships.STAGES.index(stage)), "quality_reward": jnp.int32(0)}
    )
    return [reward / fixed.MILLION for reward in staged.step(state, *names).reward.tolist()]


@pytest.mark.parametrize(("stage", "total"), [("B", 0.002), ("C1", 0.047), ("C2", 0.047)])
def test_a_good_chat_pays_both(sure, stage, total):
    seen = paid(sure, sure.state(tick=1, needs=FULL), stage, "talk_0")
    assert seen == pytest.approx([total, total, 0.002, 0.002], abs=5e-5)


def test_a_hungry_speaker_earns_nothing_and_the_listener_does(sure):
    needs = np.full((4, 3), FULL)
    needs[0, 0] = fixed.to_need(0.1)  # deficit .9
    seen = paid(sure, sure.state(tick=1, needs=needs), "C1", "talk_0")
    assert seen[0] <= 0 and seen[1] == pytest.approx(0.047, abs=5e-5)


def test_a_failed_chat_costs_the_speaker_twice_what_it_costs_the_listener(vain):
    seen = paid(vain, vain.state(tick=1, needs=FULL), "C1", "talk_0")
    assert seen == pytest.approx([-0.003, -0.0005, 0.002, 0.002], abs=5e-5)  # .002 - .005 and .002 - .0025


def test_avoiding_a_rival_pays_what_failing_costs(square):
    state = tied(square.state(tick=1, needs=FULL), (0, 1, 0, 0, 0.8))
    assert paid(square, state, "C2", "talk_0")[0] == pytest.approx(0.002, abs=5e-5)
    assert paid(square, state, "C1", "talk_0")[0] == pytest.approx(-0.003, abs=5e-5)


@pytest.mark.parametrize(("since", "positive"), [(0, False), (5, False), (20, True)])
def test_no_chat_pays_around_a_death(sure, since, positive):
    # terminated at 50, chats at 50, 55 and 70, window 10
    state = sure.step(sure.state(tick=1, needs=FULL), "talk_0")
    fate = state.slots["lifecycle"].replace(since=jnp.array([since, 100, 100, 100], jnp.int8))
    rewards = sure.only("rewards", state.put(lifecycle=fate)).reward.tolist()
    assert (rewards[0] > 0) is positive and rewards[1] > 40_000


# company


def test_the_nearest_are_named_in_order(square):
    state = square.state(tick=1, cell=[square.cell(*spot) for spot in ((2, 2), (3, 3), (2, 3), (3, 6))])
    assert encounters.nearby(square.world, state)[0].tolist() == [2, 1, NOBODY, NOBODY]
    assert encounters.nearby(square.world, state)[3].tolist() == [NOBODY] * 4


def test_talks_are_offered_with_people_near_only(square):
    state = square.state(tick=1)
    assert [name for name in square.mask(state, 0) if "talk" in name] == ["talk_0", "talk_1", "go_talk"]
    assert [name for name in square.mask(state, 3) if "talk" in name] == ["go_talk"]


def test_no_company_where_all_are_busy_or_avoided(square):
    state = tied(square.state(tick=1), (0, 1, 0, 0, 0.9), (0, 3, 0, 0, 0.9))
    doing = state.slots["affordances"].replace(remaining=jnp.array([0, 0, 9, 0], jnp.int16))
    assert not [name for name in square.mask(state.put(affordances=doing)) if "talk" in name]


def test_a_friend_is_worth_a_walk_and_a_stranger_is_nearer(square):
    whom = lambda *entries: int(encounters.sought(square.world, tied(square.state(tick=1), *entries))[0])
    assert whom() == 1
    assert whom((0, 3, 0.1, 0.1, 0)) == 3  # .2, less five steps of .02, is more than -.02
    assert whom((0, 3, 0.03, 0.03, 0)) == 1
    assert whom((0, 1, 0, 0, 0.8), (0, 2, 0, 0, 0.8)) == 3


def test_company_is_found_and_talked_to(sure):
    state, seen = sure.state(tick=1), []
    for _ in range(8):
        state = sure.step(state, "wait", "wait", "wait", "go_talk")
        seen += spoke(state)
    assert seen == [(3, 1, SUCCESS)]


def test_around_a_wall_one_walks_through_the_door(board):
    rooms = board(ROOMS, **SOCIAL).tuned(chat=SURE)
    state = rooms.state(tick=1)
    assert not encounters.near(rooms.world, state).any()  # two cells apart, a wall between
    path, seen = [], []
    for _ in range(30):
        state = rooms.step(state, "go_talk")
        path.append(int(state.agents.cell[0]))
        seen += spoke(state)
        if seen:
            break
    assert (
        seen[0][:2] == (0, 1) and rooms.cell(4, 5) in path and len(path) <= 10
    )  # 3 steps to the door's row, 1, 1, then back up


def test_who_has_talked_is_free_at_once(sure):
    state = sure.step(sure.state(tick=1), "go_talk")
    assert spoke(state) == [(0, 1, SUCCESS)] and len(sure.mask(state)) > 1


def test_who_is_looked_for_in_vain_is_given_up(square):
    state = square.step(square.state(tick=1), "wait", "wait", "wait", "go_talk")
    assert int(state.slots["intents"].partner[3]) == 1 and int(state.intent.verb[3]) == MOVE
    doing = state.slots["affordances"].replace(remaining=jnp.array([0, 30, 0, 0], jnp.int16))
    state = square.step(state.put(affordances=doing), "wait", "wait", "wait", "go_talk")
    assert int(state.slots["intents"].partner[3]) != 1


# the citizen

WASHES = (
    {"name": "wash", "at": "shower", "ticks": 30, "effects": {"hygiene": 0.45}},
    {"name": "splash", "at": "stove", "ticks": 30, "effects": {"hygiene": 0.4}},
)
CITIZEN = jax.jit(scripted)


def choices(board, state):
    """What the citizens of the board would do."""
    layout = board.world.static.actions.names
    return [layout[action] for action in CITIZEN(board.world, state, jax.random.key(0)).tolist()]


def test_the_citizen_looks_for_company_when_all_is_well(square):
    state = square.state(tick=1, needs=FULL, items=[1, 1])
    assert choices(square, state) == ["go_talk"] * 4
    tired = state.put(chat=state.slots["chat"].replace(cooldown=jnp.array([9, 0, 0, 0], jnp.int16)))
    assert choices(square, tired) == ["go_home", "go_talk", "go_talk", "go_talk"]
    needs = np.full((4, 3), FULL)
    needs[0, 1] = fixed.to_need(0.7)
    assert choices(square, square.state(tick=1, needs=needs, items=[1, 1])) == ["go_wash", *["go_talk"] * 3]


@pytest.mark.parametrize(("rivalry", "choice"), [(0.8, "go_splash"), (0.6, "go_wash")])
def test_the_citizen_would_rather_not_meet_a_rival(board, rivalry, choice):
    free = {"systems.economy.prices": {}, "systems.relationships": {"stage": "C3"}}
    washes = {"systems.affordances.offers": WASHES, **free}
    square = board(SQUARE, **SOCIAL | washes)
    state = tied(square.state(tick=1, needs=fixed.to_need(0.3)), (0, 1, 0, 0, rivalry))
    at_shower = state.slots["queues"].replace(facility=jnp.array([NOTHING, 0, NOTHING, NOTHING], jnp.int16))
    assert choices(square, state.put(queues=at_shower))[0] == choice


# topics


def test_topics_last_for_a_life(sure):
    state = huddle(sure)
    first = state.slots["chat"].topics
    assert (first != 0).any(-1).all() and len({tuple(row) for row in first.tolist()}) == 4
    later = talk(sure, state, [None] * 4, seed=5)
    assert (later.slots["chat"].topics == first).all()
    dead = later.replace(agents=later.agents.replace(alive=jnp.array([False, True, True, True])))
    dead = talk(sure, dead, [None] * 4)
    assert not dead.slots["chat"].topics[0].any()
    born = talk(sure, dead.replace(agents=state.agents), [None] * 4, seed=9)
    assert born.slots["chat"].topics[0].any() and (born.slots["chat"].topics[0] != first[0]).any()
    assert (born.slots["chat"].topics[1:] == first[1:]).all()


def test_every_draw_cares_for_something():
    topics = chat.draw_topics(jnp.arange(1 << 16, dtype=jnp.uint32))
    assert topics.min() == -8 and topics.max() == 7 and (topics[:, 0] & 1).all()


def test_an_offer_may_not_be_called_talk():
    offers = [{"name": "talk", "at": "bench", "ticks": 5}]
    with pytest.raises(ConfigError, match="go_talk"):
        load(
            "town",
            **{
                "systems.affordances.offers": offers,
                "systems.economy.prices": {},
                **SOCIAL,
                "systems.relationships": {},
            },
        )
