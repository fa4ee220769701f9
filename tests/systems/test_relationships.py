"""Relationships: what events make of ties, how many one keeps, how they fade, and who avoids whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from social_boards import SOCIAL, SQUARE, TIE, characters, parts, quarrel, tie, tied, ties_of

from townlet_jax import ConfigError, explain, load
from townlet_jax.core.shifts import ABSENT, BECAME_ABSENT, BECAME_LATE, LATE, ON_TIME
from townlet_jax.systems import relationships
from townlet_jax.types import NOBODY, NOTHING

HOUR = 8  # ticks; a day of the board has 200, and at its tick 1 no hour is full
OFFICE = """
    #########
    #h..W..K#
    #.01..K.#
    #.2...3.#
    #@...K..#
    #########
"""


@pytest.fixture
def square(board):
    return board(SQUARE, **SOCIAL)


@pytest.fixture
def office(board):
    return board(OFFICE, **SOCIAL | {"systems.relationships": {"stage": "A"}, "systems.chat": None})


def limits(board, **numbers):
    """A board whose people keep that many ties; what cannot be traced is not an array."""
    return board.tuned(relationships=numbers)


def fading(board, trust, familiarity, rivalry, faint):
    """A board whose ties fade that much an hour."""
    rates = jnp.array([tie(trust), tie(familiarity), tie(rivalry)], jnp.int16)
    return board.tuned(relationships={"fade": rates, "faint": jnp.int16(tie(faint))})


def ended(state):
    """How many ties ended in this tick, by reason."""
    return dict(zip(relationships.REASONS, state.slots["relationships"].ended.tolist()))


# what the original's tests say about its two ledgers, which are one here


def test_rivalry_ledger_three_conflicts_leave_two_entries(square):
    change = square.world.params["relationships"].change.at[-1, 2].set(tie(0.6))
    two = square.tuned(relationships={"change": change, "max_rivals": 2, "max_friends": 0})
    state = square.state(tick=1)
    for other in (1, 2, 3):
        state = quarrel(two, state, 0, other)
    assert len(ties_of(state, 0)) == 2 and ended(state)["capacity"] == 1
    for _ in range(3):
        state = quarrel(two, state, 0, ties_of(state, 0)[0])
    assert int(state.slots["relationships"].rivalry.max()) == TIE


def test_rivalry_ledger_decay_and_eviction(square):
    # bob .5, cara .3, decay .2, eviction at .1 and below: bob .3, cara removed
    state = tied(square.state(tick=HOUR), (0, 1, 0, 0, 0.5), (0, 2, 0, 0, 0.3))
    state = fading(square, 0, 0, 0.2, 0.1).only("relationships", state)
    assert parts(state, 0, 1) == (0, 0, tie(0.5) - tie(0.2)) and ties_of(state, 0) == [1]


def test_rivalry_ledger_one_conflict_crosses_the_threshold(square):
    easy = square.tuned(relationships={"avoid": jnp.int32(tie(0.4))})
    state = tied(square.state(tick=1), (0, 1, 0, 0, 0.35))
    assert not relationships.avoids(easy.world, state).any()
    state = quarrel(easy, state, 0, 1)  # + .15
    assert np.argwhere(relationships.avoids(easy.world, state)).tolist() == [[0, 1]]


def test_relationship_ledger_fades_in_three_steps_and_ends_once(square):
    fast = fading(square, 0.2, 0.2, 0.2, 0.0)
    state = tied(square.state(tick=HOUR), (0, 1, 0.6, 0.4, 0.3))
    state = fast.only("relationships", state)
    assert parts(state, 0, 1) == tuple(tie(share) - tie(0.2) for share in (0.6, 0.4, 0.3))  # .4, .2, .1
    counts = [ended(state)["decay"]]
    for _ in range(3):
        state = fast.only("relationships", state)
        counts.append(ended(state)["decay"])
    assert ties_of(state, 0) == [] and counts == [0, 0, 1, 0]


def test_relationship_ledger_of_one_place_drops_the_weaker(square):
    one = limits(square, max_friends=1, max_rivals=0)
    state = one.only("relationships", tied(square.state(tick=1), (0, 1, 0.8, 0, 0)))
    state = one.only("relationships", tied(state, (0, 2, 0.6, 0, 0)))
    assert ties_of(state, 0) == [1] and ended(state) == {"capacity": 1, "decay": 0, "exit": 0}


# events


def test_a_quarrel_makes_rivals_of_both_by_its_intensity(square):
    state = quarrel(square, square.state(tick=1), 0, 1, intensity=1.5)
    assert parts(state, 0, 1) == parts(state, 1, 0)
    assert parts(state, 0, 1)[2] == pytest.approx(tie(0.225), abs=2)


def test_handing_over_makes_friends_and_takes_rivalry_away(square):
    state = tied(square.state(tick=1), (0, 1, 0, 0, 0.2), (1, 0, 0, 0, 0.2))
    handover = jnp.array([NOBODY, 0, NOBODY, NOBODY], jnp.int16)  # 0 was done, 1 is next
    state = square.only("relationships", state.put(queues=state.slots["queues"].replace(handover=handover)))
    assert parts(state, 0, 1) == parts(state, 1, 0) == (tie(0.05), tie(0.05), tie(0.2) - tie(0.05))


def meal(square, state, completed=(), running=(), cells=None):
    """One tick in which some end a meal (`cook` is one there) and some go on with it."""
    cook = square.world.static.names.offers.index("cook")
    doing = state.slots["affordances"]
    of = lambda who, yes, no: jnp.array([yes if agent in who else no for agent in range(4)])
    doing = doing.replace(
        offer=jnp.full(4, cook, jnp.int8),
        completed=of(completed, True, False),
        remaining=of(running, 9, 0).astype(jnp.int16),
    )
    if cells:
        state = state.replace(agents=state.agents.replace(cell=jnp.array(cells, jnp.uint16)))
    return square.only("relationships", state.put(affordances=doing))


def test_who_ends_a_meal_beside_somebody_who_eats_has_shared_it(square):
    state = meal(square, square.state(tick=1), completed=[0], running=[1, 3])  # 3 sits four cells away
    assert parts(state, 0, 1) == parts(state, 1, 0) == (tie(0.10), tie(0.25), 0)
    assert ties_of(state, 0) == [1] and ties_of(state, 3) == []


def test_two_who_end_their_meal_at_once_have_shared_one(square):
    assert parts(meal(square, square.state(tick=1), completed=[0, 1]), 0, 1) == (tie(0.10), tie(0.25), 0)


def test_three_cells_are_a_table(square):
    near, far = [square.cell(2, 2 + apart) for apart in (3, 4)]
    here = square.cell(2, 2)
    state = meal(square, square.state(tick=1), [0], [1, 2], cells=[here, near, far, square.cell(4, 6)])
    assert ties_of(state, 0) == [1]


def test_eating_alone_and_going_on_with_a_meal_make_no_friends(square):
    assert ties_of(meal(square, square.state(tick=1), completed=[0]), 0) == []
    assert ties_of(meal(square, square.state(tick=1), running=[0, 1]), 0) == []
    other = square.tuned(relationships={"meal": jnp.zeros(2, bool)})
    assert ties_of(meal(other, square.state(tick=1), completed=[0], running=[1]), 0) == []


def shift(office, events, states, present=(True,) * 4):
    """One tick in which those things happen at work; all four are clerks."""
    state = office.state(tick=1)
    work = state.slots["employment"].replace(
        event=jnp.array(events, jnp.int8),
        shift=jnp.array(states, jnp.int8),
        away=jnp.array([0 if here else 5 for here in present], jnp.int16),
    )
    return office.only("relationships", state.put(employment=work))


def test_who_is_absent_while_a_colleague_is_on_shift_makes_a_rival(office):
    state = shift(office, [BECAME_ABSENT, 0, 0, 0], [ABSENT, ON_TIME, ABSENT, 0], present=(False, True, False, True))
    assert parts(state, 0, 1) == parts(state, 1, 0) == (tie(-0.10), 0, tie(0.30))  # trust < 0, rivalry > 0
    assert ties_of(state, 0) == [1]


def test_who_comes_late_is_helped_by_colleagues(office):
    state = shift(office, [BECAME_LATE, 0, 0, 0], [LATE, ON_TIME, LATE, ON_TIME], present=(False, True, False, True))
    trust, familiarity, rivalry = parts(state, 0, 1)
    assert (trust, familiarity, rivalry) == (tie(0.20), tie(0.10), 0)  # trust > 0, rivalry not up
    assert ties_of(state, 0) == [1, 3]  # 2 is not there either


def test_work_without_events_changes_nothing(office):
    assert ties_of(shift(office, [0] * 4, [ON_TIME] * 4), 0) == []


def waits(square, ticks):
    """Agent 1 stands for some ticks behind 0, who uses the shower: the states after each."""
    state, seen = square.state(tick=1), []
    queue = state.slots["queues"].replace(
        facility=jnp.array([0, 0, NOTHING, NOTHING], jnp.int16), place=jnp.array([0, 1, 0, 0], jnp.int8)
    )
    doing = state.slots["affordances"].replace(remaining=jnp.array([99, 0, 0, 0], jnp.int16))
    state = state.put(queues=queue, affordances=doing)
    for _ in range(ticks):
        state = square.only("relationships", state)
        seen.append(state)
    return seen


def test_a_long_wait_blocks_once(square):
    seen = [parts(state, 1, 0) for state in waits(square, 90)]
    assert seen[28] == (0, 0, 0) and seen[29] == seen[89] == (0, tie(-0.05), tie(0.15))


def test_the_longest_patience_counts_one_conflict(board):
    square = board(SQUARE, **SOCIAL, **{"systems.relationships.blocked_after": 99})
    told = [float(relationships.metrics(square.world, state)["ties/conflicts"]) for state in waits(square, 105)]
    assert [tick for tick, number in enumerate(told, 1) if number] == [99]


def test_where_queues_keep_account_of_quarrels_a_wait_is_not_counted_twice(square):
    state = square.state(tick=1)
    none = jnp.full(4, NOBODY, jnp.int16)
    queue = state.slots["queues"].replace(
        facility=jnp.array([0, 0, NOTHING, NOTHING], jnp.int16),
        place=jnp.array([0, 1, 0, 0], jnp.int8),
        conflict=none,
        intensity=jnp.zeros(4, jnp.int16),
    )
    doing = state.slots["affordances"].replace(remaining=jnp.array([99, 0, 0, 0], jnp.int16))
    state = state.put(queues=queue, affordances=doing)
    for _ in range(40):
        state = square.only("relationships", state)
    assert ties_of(state, 1) == []


# character


def test_character_changes_what_a_quarrel_means_to_its_owner(board):
    def felt(**character):
        town = characters(board, **character)
        change = town.world.params["relationships"].change
        town = town.tuned(relationships={"change": change.at[-1].set(jnp.array([tie(-0.4), tie(-0.2), tie(0.2)]))})
        return list(parts(quarrel(town, town.state(tick=1), 0, 1), 0, 1))

    near = lambda *shares: pytest.approx([tie(share) for share in shares], abs=3)
    assert felt(forgiveness=1.0) == near(-0.2, -0.1, 0.1)
    assert felt(forgiveness=-1.0) == near(-0.6, -0.3, 0.3)
    assert felt(ambition=1.0) == near(-0.4, -0.2, 0.26)
    assert felt(modifiers=False, forgiveness=1.0, ambition=1.0) == near(-0.4, -0.2, 0.2)  # the switch is off


def test_the_forgiving_forget_rivalry_sooner(board):
    for forgiveness, factor in {1.0: 1.5, 0.0: 1.0, -1.0: 0.5}.items():
        town = fading(characters(board, forgiveness=forgiveness), 0, 0, 0.2, 0)
        state = town.only("relationships", tied(town.state(tick=HOUR), (0, 1, 0, 0, 0.8)))
        assert parts(state, 0, 1)[2] == pytest.approx(tie(0.8 - 0.2 * factor), abs=3)


@pytest.mark.parametrize(("tolerance", "avoided"), [(1.0, [0.7, 0.9]), (0.6, []), (1.4, [0.5, 0.7, 0.9])])
def test_the_tolerant_avoid_fewer_people(board, tolerance, avoided):
    # .7 / .6 is more than a full rivalry, .7 / 1.4 is .5
    town = characters(board, habits={"conflict_tolerance": tolerance})
    rivalries = [0.5, 0.7, 0.9]
    state = tied(town.state(tick=1), *((0, other + 1, 0, 0, share + 0.002) for other, share in enumerate(rivalries)))
    seen = np.array(relationships.avoids(town.world, state))[0, 1:]
    assert [share for share, shuns in zip(rivalries, seen) if shuns] == avoided


# keeping, fading and leaving


def test_ties_fade_on_the_hour_only(square):
    for tick, fades in ((HOUR - 1, False), (HOUR, True), (HOUR + 1, False)):
        state = square.only("relationships", tied(square.state(tick=tick), (0, 1, 0.5, -0.5, 0.5)))
        lost = (tie(0.002), -tie(0.002), tie(0.02)) if fades else (0, 0, 0)
        assert parts(state, 0, 1) == (tie(0.5) - lost[0], tie(-0.5) - lost[1], tie(0.5) - lost[2])


def test_a_friendship_lasts_ten_days_and_a_rivalry_not_two(square):
    state = tied(square.state(tick=HOUR), (0, 1, 0.5, 0, 0), (0, 2, 0, 0, 0.7))
    for _ in range(36):
        state = square.only("relationships", state)
    assert ties_of(state, 0) == [1] and parts(state, 0, 1)[0] > tie(0.4)


def test_an_acquaintance_is_forgotten(square):
    state = tied(square.state(tick=HOUR), (0, 1, 0.01, -0.02, 0.02), (0, 2, 0.03, 0, 0))
    state = square.only("relationships", state)
    assert ties_of(state, 0) == [2] and ended(state) == {"capacity": 0, "decay": 1, "exit": 0}


def test_of_who_leaves_nothing_remains(square):
    state = tied(square.state(tick=1), (0, 1, 0.5, 0.5, 0), (1, 0, 0.5, 0.5, 0), (1, 2, 0, 0, 0.9), (2, 3, 0.4, 0, 0))
    state = state.replace(agents=state.agents.replace(alive=jnp.array([True, False, True, True])))
    state = square.only("relationships", state)
    assert [ties_of(state, agent) for agent in range(4)] == [[], [], [3], []]
    assert ended(state) == {"capacity": 0, "decay": 0, "exit": 3}


def test_a_tie_may_be_set_from_outside_for_both_and_never_with_the_dead(square):
    state = square.state(tick=1, alive=[True, True, True, False])
    state = relationships.set_tie(state, 0, 1, tie(0.5), tie(-2.0), tie(0.25))
    assert parts(state, 0, 1) == parts(state, 1, 0) == (tie(0.5), -TIE, tie(0.25))
    for a, b in ((2, 2), (2, 3), (3, 2)):
        assert ties_of(relationships.set_tie(state, a, b, TIE, TIE, TIE), 2) == []
    assert parts(square.only("relationships", state), 0, 1) == (tie(0.5), -TIE, tie(0.25))


def test_friends_first_and_rivals_who_are_none_of_them(square):
    state = tied(square.state(tick=1), (0, 1, 0.5, 0.2, 0.6), (0, 2, 0.1, 0.0, 0.0), (0, 3, -0.5, 0.1, 0.3))
    friends, rivals = relationships.top(square.world, state, 2)
    assert friends[0].tolist() == [1, 2] and rivals[0].tolist() == [3, NOBODY]
    assert friends[1].tolist() == rivals[1].tolist() == [NOBODY, NOBODY]
    assert int(relationships.affinity(square.world, state)[0, 1]) == tie(0.5) + tie(0.2) - tie(0.6)


# avoidance and rewards


def at_shower(square, wanted, now, rival=0.8, finished=False):
    """One tick in which 0, who wanted the shower, wants `now` while 1 stands at the shower."""
    state = tied(square.state(tick=1), (0, 1, 0, 0, rival))
    slots = state.slots
    state = state.replace(intent=state.intent.replace(facility=jnp.array([now, 0, NOTHING, NOTHING], jnp.int16)))
    state = state.put(
        relationships=slots["relationships"].replace(wanted=jnp.array([wanted, 0, NOTHING, NOTHING], jnp.int16)),
        queues=slots["queues"].replace(facility=jnp.array([NOTHING, 0, NOTHING, NOTHING], jnp.int16)),
        affordances=slots["affordances"].replace(finished=jnp.array([finished, False, False, False])),
    )
    return square.only("relationships", state)


@pytest.mark.parametrize(
    ("wanted", "now", "rival", "avoided"),
    [(0, 1, 0.8, True), (0, NOTHING, 0.8, True), (0, 0, 0.8, False), (0, 1, 0.6, False), (1, NOTHING, 0.8, False)],
)
def test_who_gives_a_facility_up_to_a_rival_avoids_it(square, wanted, now, rival, avoided):
    assert at_shower(square, wanted, now, rival).slots["relationships"].avoided.tolist() == [
        avoided,
        False,
        False,
        False,
    ]


def test_what_has_been_used_is_wanted_no_longer(square):
    assert at_shower(square, 0, 0, finished=True).slots["relationships"].wanted.tolist()[0] == NOTHING
    assert at_shower(square, 0, 0).slots["relationships"].wanted.tolist()[0] == 0


def test_avoiding_counts_once_in_a_while(square):
    state = at_shower(square, 0, NOTHING)
    again = lambda state: state.put(
        relationships=state.slots["relationships"].replace(wanted=jnp.array([0, 0, NOTHING, NOTHING], jnp.int16))
    )
    seen = []
    for _ in range(61):
        state = square.only("relationships", again(state))
        seen.append(bool(state.slots["relationships"].avoided[0]))
    assert seen == [False] * 60 + [True]


@pytest.mark.parametrize(("stage", "millionths"), [("C1", 0), ("C2", 5_000), ("C3", 5_000)])
def test_avoidance_pays_from_stage_c2(square, stage, millionths):
    staged = square.tuned(relationships={"stage": jnp.int8(relationships.STAGES.index(stage))})
    terms = relationships.rewards(staged.world, at_shower(square, 0, NOTHING))
    assert terms["social_avoidance"].tolist() == [millionths, 0, 0, 0]


def test_good_friends_pay_in_the_last_stage(square):
    state = tied(square.state(tick=1), (0, 1, 0.6, 0, 0), (0, 2, 0.3, 0, 0), (1, 0, -0.5, 0.9, 0))
    paid = lambda stage: relationships.rewards(square.tuned(relationships={"stage": jnp.int8(stage)}).world, state)[
        "relationship_quality"
    ].tolist()
    assert paid(4) == [pytest.approx(300, abs=1), 0, 0, 0]  # (.6 + .3 + 0) / 3 of 1000; distrust is no quality
    assert paid(3) == [0, 0, 0, 0]


# what is seen of it


def test_social_gold_slot(square):
    # the original shows (.6, .3, .1) of the friend; its rivalry_max .15 came from the other ledger, here from another tie
    state = tied(square.state(tick=1), (0, 1, 0.6, 0.3, 0.1), (0, 3, 0, 0, 0.15))
    words = explain(square.world, square.observe(state), 0)
    shown = [words[f"friend_0_{part}"] for part in ("trust", "familiarity", "rivalry", "distance", "near")]
    assert shown == pytest.approx([0.6, 0.3, 0.1, 1 / 64, 1.0], abs=1e-4)
    assert [words[f"rival_0_{part}"] for part in ("rivalry", "distance", "near")] == pytest.approx(
        [0.15, 5 / 64, 0], abs=1e-4
    )
    assert words["rivalry_max"] == pytest.approx(0.15, abs=1e-4) and words["rivalry_avoid_count"] == 0.0
    aggregates = [words[f"social_{name}"] for name in ("trust_mean", "trust_max", "rivalry_mean", "rivalry_max")]
    assert aggregates == pytest.approx([0.3, 0.6, 0.125, 0.15], abs=1e-4)


def test_strangers_show_nothing(square):
    words = explain(square.world, square.observe(square.state(tick=1)), 0)
    assert not any(words[name] for name in words if name.startswith(("friend", "rival", "social", "beside")))


def test_metrics_count_strong_ties_of_the_living(square):
    state = tied(
        square.state(tick=1, alive=[True, True, True, False]), (0, 1, 0.31, 0, 0), (1, 0, 0.29, 0, 0), (2, 0, 0, 0, 0.5)
    )
    found = relationships.metrics(square.world, state)
    assert float(found["ties/agents_with_tie"]) == pytest.approx(2 / 3) and float(found["ties/count"]) == 3


# the configuration


@pytest.mark.parametrize(
    ("section", "chats", "message"),
    [
        ({"stage": "C1"}, None, "add `systems.chat`"),
        ({"meals": ["dinner"]}, {}, "there is no offer 'dinner'"),
        ({"trust_fade": 0.00001}, {}, "less than the town can count"),
        ({"stage": "D"}, {}, "stage"),
        ({"blocked_after": 100}, {}, "blocked_after: 100 is above 99"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(section, chats, message):
    with pytest.raises(ConfigError, match=message):
        load("town", **{"systems.relationships": section, "systems.chat": chats})


def test_stage_off_is_as_without_the_section():
    gone = load("m3", **{"systems.relationships": None, "systems.chat": None})
    off = load("m3", **{"systems.relationships.stage": "OFF"})
    assert not off.static.has("relationships") and off.static.systems == gone.static.systems


@pytest.mark.parametrize("name", ["m3", "m5"])
def test_stage_a_is_as_without_chats(name):
    """Nobody may talk before stage B: a preset at stage A has no actions that can never be used, nor what they would need."""
    compact = {"observation.variant": "compact", "systems.relationships.stage": "A"}
    mute, gone = load(name, **compact), load(name, **compact, **{"systems.chat": None})
    assert mute.static.has("relationships") and not mute.static.has("chat")
    assert mute.static._replace(config_id="") == gone.static._replace(config_id="")
    assert not [action for action in mute.static.actions.names if "talk" in action] and mute.map.landmark is None
    assert [
        action for action in load(name, **{"observation.variant": "compact"}).static.actions.names if "talk" in action
    ]


def test_a_world_without_has_no_trace_of_it(town):
    state = jax.eval_shape(town.reset, jax.random.key(0))
    assert not {"relationships", "chat"} & {*state.slots, *town.world.params}
    assert town.world.map.landmark is None and state.slots["intents"].partner is None
    assert not [name for name in town.world.static.actions.names if "talk" in name]
