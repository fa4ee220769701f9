"""Exits: each cause by hand, the line in front of the caps, and what holds whatever happens. A day has 200 ticks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from books import entries

from townlet_jax import ConfigError
from townlet_jax.core import fixed
from townlet_jax.systems import exits, lifecycle
from townlet_jax.testing import invariants
from townlet_jax.types import NOTHING

HAMLET = """
    #######
    #h...W#
    #0.1.K#
    #@.2.3#
    #######
"""
CAUSES = {
    "systems.lifecycle.recovery": {"rent": 0.5, "ticks": 50},
    "systems.lifecycle.unemployment": {"days": 2},
    "systems.lifecycle.neglect": {"below": 0.1, "share": 0.25},
    "systems.lifecycle.age": {"least": 10, "most": 20},
}
CAPS = {"systems.lifecycle.caps": {"exits_per_day": 2, "exit_cooldown": 30}}
REASON = exits.REASONS.index


@pytest.fixture
def hamlet(board):
    """Every cause is on, nothing holds anybody back."""
    return board(HAMLET, **CAUSES)


@pytest.fixture
def strict(board):
    """Two exits a day, 30 ticks apart."""
    return board(HAMLET, **CAPS)


def fate(state):
    return state.slots["lifecycle"]


def clocks(state, **values):
    """The state with some clocks set."""
    old = fate(state).clocks
    new = {k: jnp.broadcast_to(jnp.array(v, getattr(old, k).dtype), getattr(old, k).shape) for k, v in values.items()}
    return state.put(lifecycle=fate(state).replace(clocks=old.replace(**new)))


def unpaid(state, *days):
    return state.put(economy=state.slots["economy"].replace(unpaid=jnp.array(days, jnp.int8)))


def with_needs(state, share, *agents):
    needs = np.array(state.agents.needs)
    needs[list(agents)] = fixed.to_need(share)
    return state.replace(agents=state.agents.replace(needs=jnp.array(needs)))


def ticks(board, state, num_ticks, seed=0):
    """The states after each of some ticks of the lifecycle alone; the clock moves."""
    states = []
    for i in range(num_ticks):
        state = board.only("lifecycle", state.replace(tick=state.tick + 1), seed + i)
        states.append(state)
    return states


def left_at(states, agent=0):
    """The number of the tick in which an agent left, counted from 1, and why; None if it stayed."""
    for number, state in enumerate(states, 1):
        if bool(state.terminated[agent]):
            return number, exits.REASONS[int(fate(state).reason[agent])]
    return None


# eviction with recovery: the rent is 500 mills, so the recovery money is 250


def test_who_owes_has_fifty_ticks_and_then_leaves(hamlet):
    state = unpaid(hamlet.state(wallet=250), 2, 1, 0, 0)  # 250 is not more than 250
    states = ticks(hamlet, state, 52)
    assert [int(fate(s).clocks.notice[0]) for s in states[:3]] == [1, 2, 3]
    assert left_at(states) == (51, "eviction")
    assert [left_at(states, agent) for agent in (1, 2, 3)] == [None] * 3


def test_who_has_more_than_the_recovery_money_pays_it_and_has_one_day_less_to_answer_for(hamlet):
    state = unpaid(hamlet.state(wallet=[251, 9, 9, 9]), 2, 0, 0, 0)
    state = ticks(hamlet, state, 1)[-1]
    assert state.agents.wallet.tolist() == [1, 9, 9, 9]
    assert state.slots["economy"].unpaid.tolist() == [1, 0, 0, 0]
    assert fate(state).clocks.notice.tolist() == [0, 0, 0, 0]
    assert entries(state) == {"rent": -250}


def test_money_in_the_last_tick_is_in_time_and_one_tick_later_is_too_late(hamlet):
    rich = lambda state: state.replace(agents=state.agents.replace(wallet=jnp.full(4, 300, jnp.int32)))
    states = ticks(hamlet, unpaid(hamlet.state(wallet=0), 2, 0, 0, 0), 51)
    assert left_at(ticks(hamlet, rich(states[49]), 5)) is None
    assert left_at(states) == (51, "eviction")


def test_who_pays_the_rent_is_under_notice_no_more(hamlet):
    state = ticks(hamlet, unpaid(hamlet.state(wallet=0), 2, 2, 0, 0), 40)[-1]
    state = ticks(hamlet, unpaid(state, 0, 2, 0, 0), 1)[-1]
    assert fate(state).clocks.notice.tolist() == [0, 41, 0, 0]


# unemployment: two days of 200 ticks


def test_without_a_wage_one_leaves_in_the_four_hundredth_tick(hamlet):
    states = ticks(hamlet, clocks(hamlet.state(), jobless=[390, 0, 0, 0]), 10)
    assert left_at(states) == (10, "unemployment")
    assert int(fate(states[8]).clocks.jobless[0]) == 399


def test_one_paid_tick_starts_the_count_again(hamlet):
    state = clocks(hamlet.state(), jobless=[399, 399, 0, 0])
    paid = state.slots["employment"].replace(pay=jnp.array([20, 0, 0, 0], jnp.int32))
    state = ticks(hamlet, state.put(employment=paid), 1)[-1]
    assert state.terminated.tolist() == [False, True, False, False]
    assert int(fate(state).clocks.jobless[0]) == 0


@pytest.mark.parametrize(
    ("posts", "alive", "prospects"),
    [
        ([0, NOTHING, NOTHING, NOTHING], [1, 1, 1, 1], [1, 0, 0, 0]),  # the only post is taken
        ([0, NOTHING, NOTHING, NOTHING], [0, 1, 1, 1], [1, 1, 1, 1]),  # its holder is gone
        ([NOTHING] * 4, [1, 1, 1, 1], [1, 1, 1, 1]),  # it is free
    ],
)
def test_jobs_exist_for_who_has_a_post_or_could_have_one(hamlet, posts, alive, prospects):
    town = hamlet.world.map.replace(agent_post=jnp.array(posts, jnp.int16))
    found = exits.has_prospects(hamlet.world.replace(map=town), hamlet.state(alive=alive))
    assert found.tolist() == [bool(x) for x in prospects]


def test_where_all_posts_are_taken_nobody_leaves_for_want_of_one(hamlet):
    town = hamlet.world.map.replace(agent_post=jnp.array([0] + [NOTHING] * 3, jnp.int16))
    crowded = hamlet._replace(world=hamlet.world.replace(map=town))
    state = ticks(crowded, clocks(crowded.state(), jobless=[399] * 4), 1)[-1]
    assert state.terminated.tolist() == [True, False, False, False]
    assert fate(state).clocks.jobless.tolist()[1:] == [0, 0, 0]


# neglect: a quarter of 200 ticks below a tenth; 0.05 is no collapse


def test_fifty_ticks_of_neglect_in_a_day_are_too_many(hamlet):
    states = ticks(hamlet, with_needs(hamlet.state(), 0.05, 0), 50)
    assert left_at(states) == (50, "neglect")


def test_they_need_not_be_in_a_row(hamlet):
    state, low = hamlet.state(), 0
    for number in range(150):
        low += number % 3 == 0
        state = ticks(hamlet, with_needs(state, 0.05 if number % 3 == 0 else 0.6, 0), 1)[-1]
        assert bool(state.terminated[0]) == (low == 50)
        if low == 50:
            return
    pytest.fail("nobody left")


def test_what_was_a_day_ago_is_forgotten(hamlet):
    state = ticks(hamlet, with_needs(hamlet.state(), 0.05, 0), 40)[-1]
    state = ticks(hamlet, with_needs(state, 0.6, 0), 170)[-1]
    # 24 hours of 8 or 9 ticks; tick 210 is in the second, so the 8 of ticks 1 to 8 and the 8 of ticks 9 to 16 are forgotten
    assert fate(state).clocks.neglected[0].tolist() == [0, 0, 8, 9, 7] + [0] * 19
    assert left_at(ticks(hamlet, with_needs(state, 0.05, 0), 20)) is None


def test_a_tenth_is_no_neglect(hamlet):
    assert left_at(ticks(hamlet, with_needs(hamlet.state(), 0.1, 0), 60)) is None


# age: 10 to 20 days of 200 ticks


def test_lives_are_2000_to_4000_ticks_long_all_lengths_equally_likely(hamlet):
    bits = jax.random.bits(jax.random.key(0), (20_000,), jnp.uint32)
    lengths = np.asarray(exits.lifespan(hamlet.world, bits))
    assert lengths.min() == 2000 and lengths.max() == 4000
    counts, _ = np.histogram(lengths, bins=20, range=(2000, 4001))
    assert (np.abs(counts - 1000) < 5 * np.sqrt(950)).all()


def test_first_residents_have_lifespans_of_their_own(hamlet):
    left = np.asarray(fate(hamlet.state()).clocks.left)
    assert len(set(left.tolist())) == 4 and left.min() >= 2000 and left.max() <= 4000


def test_one_leaves_as_the_lifespan_is_over_and_it_costs_nothing(hamlet):
    states = ticks(hamlet, clocks(hamlet.state(), left=[3, 900, 900, 900]), 3)
    assert left_at(states) == (3, "age")
    assert lifecycle.rewards(hamlet.world, states[-1])["terminal"].tolist() == [0, 0, 0, 0]


def test_a_newcomer_has_a_life_of_its_own(hamlet):
    states = ticks(hamlet, clocks(hamlet.state(), left=[1, 900, 900, 900]), 25)
    came = next(state for state in states[1:] if bool(state.agents.alive[0]))
    assert int(fate(came).clocks.left[0]) >= 2000
    assert [int(fate(s).clocks.left[0]) for s in states if not bool(s.agents.alive[0])][-1] == 0


# which reason is told, and what it costs


def test_the_first_cause_of_the_table_is_told(hamlet):
    state = clocks(unpaid(hamlet.state(wallet=0), 0, 2, 0, 0), left=[1, 1, 1, 9], jobless=[399, 399, 399, 0])
    state = clocks(with_needs(state, 0.01, 0), notice=[0, 50, 0, 0])
    state = state.put(lifecycle=fate(state).replace(critical=jnp.array([29, 0, 0, 0], jnp.int8)))
    assert fate(ticks(hamlet, state, 1)[-1]).reason.tolist() == [
        REASON("collapse"),
        REASON("eviction"),
        REASON("unemployment"),
        0,
    ]


def test_penalties_go_by_reason(board):
    dear = board(HAMLET, **{"systems.lifecycle.penalty": {"collapse": 0.5, "age": 0.25}})
    table = dict(zip(exits.REASONS, dear.world.params["lifecycle"].penalty.tolist()))
    assert table["collapse"] == 500_000 and table["age"] == 250_000 and table["removed"] == 0
    assert {table[reason] for reason in ("eviction", "unemployment", "neglect", "dismissal")} == {1_000_000}


# consoles


def test_a_console_removes_in_the_next_tick_whatever_the_rules_say(strict):
    state = clocks(strict.state(), today=2, since=0)
    states = ticks(strict, lifecycle.remove(state, 2), 2)
    assert left_at(states, 2) == (1, "removed")
    assert int(fate(states[0]).clocks.today) == 2  # it does not count
    assert lifecycle.rewards(strict.world, states[0])["terminal"].tolist() == [0] * 4
    assert fate(states[1]).reason.tolist() == [0] * 4 and not states[1].terminated.any()


@pytest.mark.parametrize("agent", [-1, 4, NOTHING])
def test_a_console_cannot_remove_who_is_not_there(strict, agent):
    assert not ticks(strict, lifecycle.remove(strict.state(), agent), 1)[-1].terminated.any()


def test_a_console_cannot_remove_the_dead(strict):
    state = ticks(strict, lifecycle.remove(strict.state(alive=[False, True, True, True]), 0), 1)[-1]
    assert not state.terminated.any() and fate(state).reason.tolist() == [0] * 4


# the line


def due(board, *agents, waiting=(0, 0, 0, 0), priority=(3, 2, 1, 0)):
    """A town in which some have starved for long."""
    state = with_needs(board.state(tick=20), 0.0, *agents)
    hungry = np.zeros(4, np.int8)
    hungry[list(agents)] = 30
    state = state.put(lifecycle=fate(state).replace(critical=jnp.array(hungry)))
    state = state.replace(intent=state.intent.replace(priority=jnp.array(priority, jnp.int8)))
    return clocks(state, waiting=waiting)


def leavers(states):
    """Tick of the day -> who left then."""
    return {int(s.tick): np.flatnonzero(np.asarray(s.terminated)).tolist() for s in states if s.terminated.any()}


def quiet(board):
    """Nobody arrives, so that numbers are of four people only."""
    return board.tuned(lifecycle={"arrive_after": jnp.array([100, 100], jnp.int32)})


def test_three_who_are_due_leave_thirty_ticks_apart_and_two_a_day(strict):
    states = ticks(quiet(strict), due(strict, 0, 1, 2), 240)
    # at 21 and 51; the third waits for midnight, which is tick 200
    assert leavers(states) == {21: [2], 51: [1], 200: [0]}
    assert int(fate(states[178]).clocks.waiting[0]) == 179


def test_the_line_goes_by_the_tick_in_which_one_was_due(strict):
    states = ticks(quiet(strict), due(strict, 0, 1, waiting=(5, 4, 0, 0)), 40)
    assert leavers(states) == {21: [0], 51: [1]}


def test_who_recovers_leaves_the_line(strict):
    first = ticks(quiet(strict), due(strict, 0, 1), 10)
    fed = with_needs(first[-1], 0.6, 0)
    later = ticks(quiet(strict), fed, 60)
    assert leavers(first) == {21: [1]} and leavers(later) == {}
    assert fate(later[0]).clocks.waiting.tolist() == [0] * 4 and fate(later[0]).critical.tolist() == [0] * 4


def test_the_cooldown_runs_over_midnight(strict):
    start = clocks(due(strict, 0, 1), today=0, since=30).replace(tick=jnp.int32(189))
    assert leavers(ticks(quiet(strict), start, 40)) == {190: [1], 220: [0]}


def test_without_a_cooldown_as_many_leave_at_once_as_the_day_allows(strict):
    known = strict.world.params["lifecycle"].exits.replace(cooldown=jnp.int16(0))
    free = quiet(strict).tuned(lifecycle={"exits": known, "arrive_after": jnp.array([100, 100], jnp.int32)})
    assert leavers(ticks(free, clocks(due(free, 0, 1, 2, 3), since=0), 5)) == {21: [2, 3]}


def test_nothing_positive_is_earned_in_line(strict):
    state = clocks(strict.state(), waiting=[0, 1, 0, 0])
    assert lifecycle.guarded(strict.world, state).tolist() == [False, True, False, False]


def test_without_caps_all_leave_at_once(hamlet):
    state = with_needs(hamlet.state(), 0.0, 0, 1, 2, 3)
    state = state.put(lifecycle=fate(state).replace(critical=jnp.full(4, 29, jnp.int8)))
    assert ticks(hamlet, state, 1)[-1].terminated.tolist() == [True] * 4


# city events


def test_while_an_event_is_on_nobody_leaves_for_what_it_may_have_caused(hamlet):
    state = clocks(with_needs(hamlet.state(), 0.01, 0), neglected=0, jobless=[0, 0, 400, 0], notice=[0, 51, 0, 0])
    state = state.put(lifecycle=fate(state).replace(critical=jnp.array([30, 0, 0, 0], jnp.int8)))
    reasons = lambda event: lifecycle.sentence(hamlet.world, state, event)[0].tolist()
    assert reasons(None) == reasons(jnp.array(False)) == [1, 2, REASON("unemployment"), 0]
    assert reasons(jnp.array(True)) == [0, 0, REASON("unemployment"), 0]


def test_another_cause_lets_one_go_in_an_event(hamlet):
    state = clocks(hamlet.state(), notice=[51, 0, 0, 0], left=[0, 9, 9, 9])
    assert lifecycle.sentence(hamlet.world, state, jnp.array(True))[0].tolist() == [REASON("age"), 0, 0, 0]


def test_who_is_held_by_an_event_keeps_the_place_in_line(strict):
    state = due(strict, 0, 1, waiting=(7, 0, 0, 0))
    reason, after = lifecycle.sentence(strict.world, state, jnp.array(True))
    assert reason.tolist() == [0] * 4 and after.waiting.tolist() == [8, 1, 0, 0]
    reason, after = lifecycle.sentence(
        strict.world, state.put(lifecycle=fate(state).replace(clocks=after)), jnp.array(False)
    )
    assert reason.tolist() == [1, 0, 0, 0]


# training mode


def test_where_nobody_is_mortal_only_consoles_remove(hamlet):
    kind = hamlet.tuned(lifecycle={"mortality": jnp.array(False)})
    state = lifecycle.remove(clocks(with_needs(kind.state(), 0.0, 0), left=[9, 1, 9, 9]), 2)
    states = ticks(kind, state, 60)
    assert [left_at(states, agent) for agent in range(4)] == [None, None, (1, "removed"), None]
    assert int(fate(states[-1]).critical[0]) == 30  # counted up to what is due, and still guarded
    assert lifecycle.guarded(kind.world, states[-1]).tolist() == [True, False, False, False]


# what a world without these rules pays for them


def test_rules_that_are_off_have_no_arrays(board):
    plain = board(HAMLET)
    assert jax.tree.leaves(plain.world.params["lifecycle"].exits) == []
    assert jax.tree.leaves(fate(plain.state()).clocks) == []


def test_each_rule_has_only_its_own_arrays(board, strict):
    names = lambda tree: {name for name, leaf in vars(tree).items() if leaf is not None}
    assert names(fate(strict.state()).clocks) == {"waiting", "today", "since"}
    assert names(strict.world.params["lifecycle"].exits) == {"per_day", "cooldown"}


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"systems.lifecycle.penalty": {"boredom": 1.0}}, "systems.lifecycle.penalty.boredom: 1.0: allowed are"),
        ({"systems.lifecycle.penalty": {"age": 1.5}}, "systems.lifecycle.penalty.age: 1.5: allowed are"),
        ({"systems.lifecycle.age": {"least": 5, "most": 4}}, "allowed are least <= most"),
        ({"systems.lifecycle.caps": {"exits_per_day": 0}}, "systems.lifecycle.caps.exits_per_day: 0 is below 1"),
        ({"systems.lifecycle.recovery": {}, "systems.economy.rent": 0.0}, "there is no rent to owe"),
    ],
)
def test_rules_that_make_no_sense_are_refused(board, overrides, line):
    with pytest.raises(ConfigError, match=line.replace(".", r"\.")):
        board(HAMLET, **overrides)


def test_unemployment_needs_employment(board):
    with pytest.raises(ConfigError, match="needs the system 'employment'"):
        board(HAMLET.replace("K", "."), **{"systems.lifecycle.unemployment": {}})


# invariants

CHECK = jax.jit(invariants)
FAULTS = {
    "notice in bounds, 0 for the dead": {"notice": [52, 0, 0, 0]},
    "jobless in bounds, 0 for the dead": {"jobless": [0, 401, 0, 0]},
    "neglected in bounds, 0 for the dead": {"neglected": 10},
    "left in bounds, 0 for the dead": {"left": [-1, 0, 0, 0]},
    "waiting in bounds, 0 for the dead": {"waiting": [30_001, 0, 0, 0]},
    "no more exits than a day allows": {"today": 3},
}


@pytest.fixture
def sound(board):
    world = board(HAMLET, **CAUSES, **CAPS)
    state = world.state()
    order = state.intent.replace(priority=jnp.arange(4, dtype=jnp.int8))
    return world, state.replace(intent=order)


def broken(world, state):
    return {rule for rule, holds in CHECK(world.world, state).items() if not holds}


@pytest.mark.parametrize("rule", FAULTS)
def test_every_rule_notices(sound, rule):
    world, state = sound
    assert broken(world, state) == set()
    assert rule in broken(world, clocks(state, **FAULTS[rule]))


def test_two_who_leave_in_one_tick_are_noticed(sound):
    world, state = sound
    reason = fate(state).replace(reason=jnp.array([1, 1, 0, 0], jnp.int8))
    state = clocks(state.put(lifecycle=reason).replace(terminated=jnp.array([True, True, False, False])), today=2)
    assert "exits keep their distance" in broken(world, state)


def test_clocks_of_the_dead_are_noticed(sound):
    world, state = sound
    dead = state.replace(agents=state.agents.replace(alive=jnp.array([False, True, True, True])))
    assert "left in bounds, 0 for the dead" in broken(world, dead)
