"""Queues: order of arrival, gaps that close, holders who do not begin, and how long one waits at most."""

import jax.numpy as jnp
import numpy as np
import pytest
from social_boards import tied

from townlet_jax import ConfigError, schema
from townlet_jax.core import fixed, turns
from townlet_jax.types import NOBODY, NOTHING

# the shower's user stands below it, the queue behind: places 0, 1 and 2 of the first shower are column 3, rows 2 to 4
BATH = """
    #######
    #..W.W#
    #0...3#
    #1....#
    #2....#
    #h....#
    #######
"""


@pytest.fixture
def bath(board):
    return board(BATH, **{"systems.queues.reach": 2})


def at(bath, rows_columns):
    return bath.state(cell=[bath.cell(*spot) for spot in rows_columns])


FAR = (5, 2)  # five steps from the first shower
NEAR = [(2, 3), (3, 3), (2, 2), (3, 2)]
ARRIVALS = [FAR, (2, 2), (3, 3), (2, 3)]  # at most two steps from it, agent 0 apart


def lined_up(bath, state, wants, priority=(0, 1, 2, 3), cells=None):
    """One tick of the queues alone; `wants` has a facility for each agent, or None."""
    facility = np.array([NOTHING if want is None else want for want in wants], np.int16)
    intent = state.intent.replace(facility=jnp.array(facility), priority=jnp.array(priority, jnp.int8))
    if cells is not None:
        where = jnp.array([bath.cell(*spot) for spot in cells], jnp.uint16)
        state = state.replace(agents=state.agents.replace(cell=where))
    return bath.only("queues", state.replace(intent=intent))


def places(state):
    """The place of each agent, None if it stands in no queue."""
    slot = state.slots["queues"]
    return [
        None if facility == NOTHING else place for facility, place in zip(slot.facility.tolist(), slot.place.tolist())
    ]


def test_the_cells_of_a_queue_stand_one_behind_the_other(bath):
    assert bath.world.map.place_cell[0].tolist() == [bath.cell(2, 3), bath.cell(3, 3), bath.cell(4, 3)]


def test_who_is_out_of_reach_stands_in_no_queue(bath):
    state = lined_up(bath, at(bath, [FAR, *ARRIVALS[1:]]), [0, 0, None, None])
    assert places(state) == [None, 0, None, None]


def test_three_who_arrive_one_after_the_other_stand_in_order_of_arrival(bath):
    spots, state = [FAR] * 4, at(bath, NEAR)
    seen = []
    for agent in (2, 0, 1):  # 2 comes first though its index is the highest
        spots = [NEAR[a] if a == agent else spot for a, spot in enumerate(spots)]
        state = lined_up(bath, state, [0, 0, 0, None], cells=spots)
        seen.append(places(state))
    assert seen == [[None, None, 0, None], [1, None, 0, None], [1, 2, 0, None]]


def test_no_priority_moves_a_newcomer_ahead_of_who_waits(bath):
    state = lined_up(bath, at(bath, NEAR), [None, 0, None, None], (3, 2, 1, 0))
    state = lined_up(bath, state, [0, 0, 0, 0], (0, 3, 2, 1))
    assert places(state) == [1, 0, 3, 2]


def test_arrivals_of_one_tick_are_settled_by_priority(bath):
    assert places(lined_up(bath, at(bath, NEAR), [0, 0, 0, 0], (2, 0, 3, 1))) == [2, 0, 3, 1]


def test_over_many_ticks_each_of_three_rivals_comes_first(board):
    trio = board(BATH)
    start = trio.state()
    first = [places(trio.step(start, *["go_wash"] * 3, seed=seed)).index(0) for seed in range(60)]
    assert (np.bincount(first, minlength=3) >= 8).all()  # 20 expected, 8 is over three standard deviations below


@pytest.mark.parametrize(("leaver", "after"), [(0, [None, 0, 1, 2]), (1, [0, None, 1, 2]), (3, [0, 1, 2, None])])
def test_a_gap_closes(bath, leaver, after):
    state = lined_up(bath, at(bath, NEAR), [0, 0, 0, 0])
    state = lined_up(bath, state, [None if agent == leaver else 0 for agent in range(4)])
    assert places(state) == after


def test_who_walks_off_loses_the_place(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, 0, None])
    state = lined_up(bath, state, [0, 0, 0, None], cells=[FAR, *NEAR[1:]])
    assert places(state) == [None, 0, 1, None]
    state = lined_up(bath, state, [0, 0, 0, None], cells=NEAR)
    assert places(state) == [2, 0, 1, None]


def test_who_changes_queue_starts_at_its_tail(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])
    both = [(2, 4)] * 4  # within two steps of either shower
    state = lined_up(bath, state, [0, 0, 1, None], cells=both)
    state = lined_up(bath, state, [1, 0, 1, None], cells=both)
    assert state.slots["queues"].facility.tolist() == [1, 0, 1, NOTHING]
    assert places(state) == [1, 0, 0, None]


def test_the_dead_stand_in_no_queue(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, 0, None])
    state = state.replace(agents=state.agents.replace(alive=jnp.array([False, True, True, True])))
    assert places(lined_up(bath, state, [0, 0, 0, None])) == [None, 0, 1, None]


def test_a_holder_who_does_not_begin_goes_to_the_tail_after_so_many_ticks(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])  # arrives, and holds
    for tick in range(1, 11):  # start_within is 10
        state = lined_up(bath, state, [0, 0, None, None])
        assert places(state)[:2] == [0, 1] and state.slots["queues"].idle.tolist()[0] == tick
    state = lined_up(bath, state, [0, 0, 0, None])  # and one who arrives in that tick stands before it, too
    assert places(state) == [2, 0, 1, None]


def test_a_holder_who_uses_the_facility_is_not_idle(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])
    using = state.slots["affordances"].replace(remaining=jnp.array([20, 0, 0, 0], jnp.int16))
    state = state.put(affordances=using)
    for _ in range(15):
        state = lined_up(bath, state, [0, 0, None, None])
    assert places(state)[:2] == [0, 1] and state.slots["queues"].idle.tolist() == [0] * 4


def test_a_holder_who_begins_in_its_last_tick_keeps_its_place(bath):
    state = lined_up(bath, at(bath, NEAR), [0, 0, None, None])
    for _ in range(10):
        state = lined_up(bath, state, [0, 0, None, None])
    begun = state.slots["affordances"].replace(remaining=jnp.array([29, 0, 0, 0], jnp.int16))  # in this very tick
    assert places(lined_up(bath, state.put(affordances=begun), [0, 0, None, None])) == [0, 1, None, None]


def test_a_lone_holder_who_dawdles_keeps_the_facility(bath):
    state = at(bath, NEAR)
    for _ in range(25):
        state = lined_up(bath, state, [0, None, None, None])
    assert places(state) == [0, None, None, None]


def served(bath, again):
    """The ticks at which each of three agents has washed; all want to once, those in `again` again and again."""
    state, done = bath.state(), [[], [], []]
    for tick in range(1, 200):
        wish = ["go_wash" if not done[a] or (a in again) else "wait" for a in range(3)]
        state = bath.step(state, *wish)
        for agent in range(3):
            if bool(state.slots["affordances"].completed[agent]):
                done[agent].append(tick)
    return done


def test_the_wait_is_bounded_by_the_place_in_the_queue(board):
    # A use takes 30 ticks. Handing over takes 6 at most: the place falls free, three tries to pass the one who still
    # stands there, a ghost step, and the start. The first of all walks 2 steps. So the k-th is done by 3 + 36 (k + 1).
    ends = sorted(ticks[0] for ticks in served(board(BATH), again=()))
    assert all(end <= 3 + 36 * (k + 1) for k, end in enumerate(ends))
    assert ends[0] >= 30 and all(later - sooner >= 30 for sooner, later in zip(ends, ends[1:]))


def test_who_has_finished_goes_behind_those_who_wait(board):
    done = served(board(BATH), again=(0, 1, 2))
    assert all(ticks for ticks in done)


# fairness

ALICE, BOB, CAROL, DAN = range(4)
COOLDOWNS, ROTATIONS, TIMEOUTS = range(3)


def fair_bath(board, **fairness):
    return board(BATH, **{"systems.queues.reach": 2, "systems.queues.fairness": fairness})


def holding(room, ticks):
    """The same with another `max_hold`, one in which a use that begins late has no room."""
    section = room.world.params["queues"].fairness
    return room.tuned(queues={"fairness": section.replace(max_hold=jnp.int16(ticks))})


@pytest.fixture
def fair(board):
    return fair_bath(board)


class Line:
    """The queue of the first shower, tick by tick; who is done has had it to the end in the tick before."""

    def __init__(self, bath, tick=-1):
        self.bath, self.state, self.tick = bath, at(bath, NEAR), tick

    def ask(self, *agents, done=(), runs=(), until=None, priority=(0, 1, 2, 3)):
        """The next tick, or all up to one; these agents want the shower, the others nothing."""
        for _ in range(1 if until is None else until - self.tick):
            mark = lambda chosen: jnp.array([agent in chosen for agent in range(4)])
            doing = self.state.slots["affordances"].replace(
                completed=mark(done), finished=mark(done), remaining=mark(runs).astype(jnp.int16) * jnp.int16(9)
            )
            wants = [0 if agent in agents else None for agent in range(4)]
            self.state, self.tick = (
                lined_up(self.bath, self.state.put(affordances=doing), wants, priority),
                self.tick + 1,
            )
        return self

    @property
    def order(self):
        """Those who stand in it, the holder first."""
        seats = places(self.state)
        return sorted((agent for agent in range(4) if seats[agent] is not None), key=seats.__getitem__)

    @property
    def counts(self):
        return self.state.slots["queues"].fair.counts.tolist()

    def entry(self, name):
        return getattr(self.state.slots["queues"], name).tolist()


def test_without_fairness_there_is_nothing_of_it(bath):
    slot, params = bath.state().slots["queues"], bath.world.params["queues"]
    assert params.fairness is None and [slot.fair, slot.conflict, slot.intensity, slot.handover] == [None] * 4


def test_who_has_used_it_while_another_waited_is_refused_for_60_ticks(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB, until=9, runs=[ALICE]).ask(BOB, done=[ALICE])
    assert line.tick == 10 and line.order == [BOB]
    line.ask(BOB, until=19, runs=[BOB]).ask(ALICE, BOB, runs=[BOB])
    assert line.tick == 20 and line.order == [BOB] and line.counts == [1, 0, 0]
    line.ask(ALICE, BOB, runs=[BOB])
    assert line.counts == [1, 0, 0]  # it is one request for as long as it lasts
    line.ask(until=74).ask(ALICE)
    assert line.tick == 75 and line.order == [ALICE] and line.counts == [1, 0, 0]


@pytest.mark.parametrize(
    ("cooldown", "tick", "granted"), [(60, 69, False), (60, 70, True), (3, 1, False), (3, 6, True)]
)
def test_a_cooldown_ends_on_its_tick(board, cooldown, tick, granted):
    release = 10 if cooldown == 60 else 0
    line = Line(fair_bath(board, cooldown_ticks=cooldown), release - 3).ask(ALICE).ask(ALICE, BOB, runs=[ALICE])
    line.ask(BOB, done=[ALICE]).ask(until=tick - 1).ask(ALICE)
    assert (line.order == [ALICE]) is granted and line.counts[COOLDOWNS] == (not granted)


def test_who_used_it_alone_may_come_again_at_once(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, runs=[ALICE]).ask(ALICE, done=[ALICE])
    assert line.order == [ALICE] and line.counts == [0, 0, 0]


def test_who_gives_up_without_using_it_is_not_refused(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB).ask(BOB)
    assert line.order == [BOB]
    assert line.ask(ALICE, BOB).order == [BOB, ALICE] and line.counts == [0, 0, 0]


def test_three_get_it_once_each_and_then_it_is_free(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, until=4, runs=[ALICE]).ask(ALICE, BOB, runs=[ALICE])
    line.ask(ALICE, BOB, CAROL, until=9, runs=[ALICE]).ask(BOB, CAROL, done=[ALICE])
    seen = [line.order]
    seen.append(line.ask(BOB, CAROL, until=19, runs=[BOB]).ask(CAROL, done=[BOB]).order)
    seen.append(line.ask(CAROL, until=29, runs=[CAROL]).ask(done=[CAROL]).order)
    assert seen == [[BOB, CAROL], [CAROL], []] and line.tick == 30


def test_a_queue_keeps_its_order_when_the_holder_leaves(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB).ask(ALICE, BOB, CAROL)
    assert line.order == [ALICE, BOB, CAROL]
    assert line.ask(BOB, CAROL).order == [BOB, CAROL]


@pytest.mark.parametrize("ticks", [1, 2, 3])
def test_a_blocker_loses_the_reservation_on_its_tick_and_is_refused(board, ticks):
    """In place of ejecting users every few ticks: only who does not begin loses the place."""
    bath = fair_bath(board).tuned(queues={"start_within": jnp.int8(ticks)})
    line = Line(bath).ask(ALICE)
    assert line.ask(ALICE, BOB, until=ticks).order == [ALICE, BOB]
    line.ask(ALICE, BOB)
    assert line.order == [BOB] and line.counts == [1, 0, 1]
    assert line.ask(ALICE, until=60 + ticks).order == []
    assert line.ask(ALICE).order == [ALICE] and line.counts[COOLDOWNS] == 1


def test_a_lone_blocker_is_in_nobodys_way(fair):
    line = Line(fair).ask(ALICE, until=40)
    assert line.order == [ALICE] and line.counts[COOLDOWNS] == 0 and line.entry("conflict") == [NOBODY] * 4


def test_without_cooldown_a_blocker_goes_to_the_tail_and_is_listed_once(board):
    line = Line(fair_bath(board, cooldown_ticks=0)).ask(ALICE).ask(ALICE, BOB, CAROL, until=11)
    assert line.order[-1] == ALICE and len(line.order) == 3 and line.counts == [0, 1, 1]
    line.ask(ALICE, BOB, CAROL)
    assert line.order[-1] == ALICE and line.counts == [0, 1, 1]


def test_a_reservation_ends_after_max_hold_even_in_use(board):
    line = Line(holding(fair_bath(board), 31)).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=30)
    assert line.order == [ALICE, BOB] and line.state.slots["queues"].fair.held[ALICE] == 31
    line.ask(ALICE, BOB, runs=[ALICE])
    assert line.order == [BOB, ALICE] and line.counts == [0, 1, 1]  # who used it is not refused


def test_what_runs_is_refunded_when_the_reservation_ends(board):
    room = holding(board(BATH, **{"systems.queues.fairness": {}}), 31)
    state = room.run(room.state(), 5, "use_wash")[-1]  # holds from the first tick, stands elsewhere
    assert state.slots["queues"].place[0] == 0 and state.slots["queues"].fair.held[0] == 5
    state = room.run(state, 5, "go_wash")[-1]
    assert 0 < int(state.slots["affordances"].remaining[0]) and int(state.agents.wallet[0]) == 9_800
    later = room.run(state, 40, "wait", "go_wash")
    ended = next(s for s in later if bool(s.slots["affordances"].finished[0]))
    assert int(ended.tick) == 32
    assert not ended.slots["affordances"].completed[0] and int(ended.agents.wallet[0]) == 10_000
    assert ended.slots["queues"].fair.counts[TIMEOUTS] == 1 and int(ended.slots["affordances"].remaining[0]) == 0


def test_who_is_alone_may_end_what_runs_longer(board):
    room = holding(board(BATH, **{"systems.queues.fairness": {}}), 31)
    state = room.run(room.run(room.state(), 5, "use_wash")[-1], 5, "go_wash")[-1]
    ended = next(s for s in room.run(state, 40) if bool(s.slots["affordances"].finished[0]))
    assert ended.slots["affordances"].completed[0] and ended.slots["queues"].fair.counts[TIMEOUTS] == 1


def test_by_default_a_reservation_lasts_for_twice_the_longest_offer(fair, board):
    from townlet_jax.systems import fairness

    assert int(fairness.limit(fair.world)) == 60
    short = board(BATH, **{"systems.queues.fairness": {}, "systems.affordances.offers.0.ticks": 4})
    assert int(fairness.limit(short.world)) == 14  # the use and the ten ticks in which one must begin


def test_a_max_hold_that_no_use_fits_in_is_refused(board):
    with pytest.raises(
        ConfigError, match="max_hold: 39 ticks are not enough for 'wash', .* 10 ticks late .allowed: 40"
    ):
        fair_bath(board, max_hold=39)


def test_with_the_least_max_hold_everybody_is_served(board):
    """Four who go on washing: each is served, though a reservation lasts no longer than a use that begins late."""
    bath = board(BATH, num_agents=4, **{"systems.queues.fairness": {"max_hold": 40}, "systems.economy.prices": {}})
    states = bath.run(bath.state(), 1200, *["go_wash"] * 4)
    served = np.array([state.slots["affordances"].completed for state in states]).sum(0)
    assert served.min() >= 4, served


@pytest.mark.parametrize(("waited", "first"), [((0, 10), 0), ((0, 11), 1), ((5, 15), 0), ((5, 16), 1)])
def test_one_place_behind_overtakes_after_more_than_ten_ticks_more(waited, first):
    order = turns.age_order(jnp.array([1, 2], jnp.int8), jnp.array(waited, jnp.int16), jnp.int32(102))
    assert int(order.argmin()) == first


def test_the_order_by_age_does_not_overflow():
    place, waited = jnp.array([0, 63], jnp.int8), jnp.array([turns.MAX_WAITED, 0], jnp.int16)
    least, most = turns.age_order(place, waited, jnp.int32(fixed.SHARE)).tolist()
    assert (least, most) == (-turns.MAX_WAITED * 1024 * 128, 63 * 1024 * 128 + 63)


@pytest.mark.parametrize(("away", "last"), [(1, CAROL), (13, BOB)])
def test_who_has_waited_before_and_comes_back_is_let_in_by_age(fair, away, last):
    """Bob waits 24 ticks, is away, and is behind Carol then; what he has waited fades while he is away."""
    line = Line(fair).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=25)
    assert line.state.slots["queues"].fair.waited.tolist()[BOB] == 24
    line.ask(ALICE, CAROL, runs=[ALICE], until=25 + away).ask(ALICE, BOB, CAROL, runs=[ALICE])
    assert line.order == [ALICE, CAROL, BOB]
    assert line.state.slots["queues"].fair.waited.tolist() == [0, 24 - away, away, 0]
    assert line.ask(BOB, CAROL, done=[ALICE]).order[-1] == last
    assert line.state.slots["queues"].fair.waited.tolist()[line.order[0]] == 0  # a turn spends it


def test_who_leaves_it_to_whom_is_told(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB, runs=[ALICE]).ask(ALICE, BOB, CAROL, runs=[ALICE])
    line.ask(BOB, CAROL, done=[ALICE])
    assert line.order == [BOB, CAROL] and line.entry("handover") == [NOBODY, ALICE, NOBODY, NOBODY]
    assert line.ask(BOB, CAROL, runs=[BOB]).entry("handover") == [NOBODY] * 4
    assert line.ask(CAROL).entry("handover") == [NOBODY] * 4  # Bob was not done


def test_a_favourite_must_score_above_zero_and_pays_for_its_place():
    may = jnp.array([[False, True, True], [False] * 3, [False] * 3])
    index = jnp.array([0, 0, 1], jnp.int8)  # agent 1 waits first, then agent 2
    chosen = lambda one, two: turns.favourites(
        may, jnp.array([[0, fixed.to_tie(one), fixed.to_tie(two)], [0] * 3, [0] * 3], jnp.int32), index
    ).tolist()
    assert chosen(0, 0.9) == [False, False, True]  # .85 against 0
    assert chosen(0, 0.05) == [False, False, False]  # 0 against 0
    assert chosen(0.5, 0.55) == [False, True, False]  # a tie goes to who waits first
    assert chosen(0.5, 0.56) == [False, False, True]


@pytest.mark.parametrize("fairness", [None, {}])
def test_the_patient_come_first_of_those_who_arrive_in_the_same_tick(board, fairness):
    """Luck puts Alice first, then Bob, then Carol: 0, 1/3 and 2/3 of a patience; Carol has one and Alice is hasty."""
    kinds = {"hasty": {"patience": -1.0}, "calm": {"patience": 1.0}}
    section = {"profiles": kinds, "overrides": {"0": "hasty", "2": "calm"}}
    queues = {"systems.queues.reach": 2, "systems.queues.fairness": fairness}
    differ, alike = (
        board(BATH, **queues, **{"systems.personality": {**section, "patience": patience}})
        for patience in (True, False)
    )
    assert Line(alike).ask(ALICE, BOB, CAROL).order == [ALICE, BOB, CAROL]
    assert Line(differ).ask(ALICE, BOB, CAROL).order == [CAROL, BOB, ALICE]
    assert Line(differ).ask(ALICE).ask(ALICE, CAROL).order == [ALICE, CAROL]  # nobody passes who was there before


def test_a_user_who_is_done_lets_a_friend_in(board):
    """Alice finishes, Carol waits, then Bob; trust .6 and familiarity .3 for Bob: .9 - .05 = .85 beats Carol's 0."""
    town = board(
        BATH,
        **{"systems.queues.reach": 2, "systems.queues.fairness": {}, "systems.relationships": {"stage": "A"}},
    )
    line = Line(town)
    line.state = tied(line.state, (ALICE, BOB, 0.6, 0.3, 0), (BOB, ALICE, -1.0, 0, 0))
    line.ask(ALICE).ask(ALICE, CAROL, runs=[ALICE])
    line.ask(ALICE, BOB, CAROL, runs=[ALICE])
    assert line.order == [ALICE, CAROL, BOB]
    line.ask(BOB, CAROL, done=[ALICE])
    assert line.order == [BOB, CAROL] and line.entry("handover") == [NOBODY, ALICE, NOBODY, NOBODY]
    assert line.counts == [0, 1, 0]


@pytest.mark.parametrize(
    ("base", "length", "heat"), [(1.5, 1, 1.5), (1.5, 3, 2.0), (0.4, 1, 0.4), (0.4, 0, 0.4), (1.5, 60, 5.0)]
)
def test_a_quarrel_is_the_fiercer_the_longer_the_queue(base, length, heat):
    found = turns.intensity(jnp.array([fixed.to_share(base)], jnp.int16), jnp.array([length], jnp.int8))
    assert found.tolist() == [fixed.to_share(heat)]


def test_a_blocker_quarrels_with_who_is_next(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB).ask(ALICE, BOB, CAROL, until=10)
    assert line.entry("conflict") == [NOBODY] * 4
    line.ask(ALICE, BOB, CAROL)
    assert line.entry("conflict") == [BOB, ALICE, NOBODY, NOBODY]
    assert line.entry("intensity") == [1792, 1792, 0, 0]  # 1.5 + .25 for the second who waits
    assert line.ask(ALICE, BOB, CAROL, runs=[BOB]).entry("conflict") == [NOBODY] * 4


def test_who_waits_for_30_ticks_behind_one_holder_quarrels_with_them(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=30)
    assert line.entry("conflict") == [NOBODY] * 4  # Bob came at tick 1
    line.ask(ALICE, BOB, runs=[ALICE])
    assert line.entry("conflict") == [BOB, ALICE, NOBODY, NOBODY] and line.entry("intensity") == [410, 410, 0, 0]
    line.ask(ALICE, BOB, runs=[ALICE])
    assert line.entry("conflict") == [NOBODY] * 4


def test_another_holder_is_another_matter(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB, runs=[ALICE]).ask(ALICE, BOB, CAROL, runs=[ALICE], until=25)
    line.ask(BOB, CAROL, done=[ALICE]).ask(BOB, CAROL, runs=[BOB], until=55)
    assert line.entry("conflict") == [NOBODY] * 4
    assert line.ask(BOB, CAROL, runs=[BOB]).entry("conflict") == [NOBODY, CAROL, BOB, NOBODY]


def test_the_dead_are_refused_nowhere_and_have_waited_for_nothing(fair):
    line = Line(fair).ask(ALICE).ask(ALICE, BOB, until=11)
    assert line.state.slots["queues"].fair.cooldown[ALICE, 0] == 60
    line.state = line.state.replace(agents=line.state.agents.replace(alive=jnp.array([False, False, True, True])))
    fair_record = line.ask(ALICE, BOB).state.slots["queues"].fair
    assert not fair_record.cooldown.any() and not fair_record.waited.any() and not fair_record.held.any()


def test_the_refused_see_it_and_may_not_choose_it(board):
    room = board(BATH, **{"systems.queues.fairness": {}})
    state = room.state()
    record = state.slots["queues"].fair
    state = state.put(
        queues=state.slots["queues"].replace(fair=record.replace(cooldown=record.cooldown.at[0, 0].set(30)))
    )
    names = [entry.name for entry in schema(room.world)]
    entry = schema(room.world)[names.index("cooldown")]
    assert room.observe(state).features[:, entry.start].tolist() == [0.5, 0.0, 0.0, 0.0]
    assert "go_wash" not in room.mask(state, 0) and "go_wash" in room.mask(state, 1)
