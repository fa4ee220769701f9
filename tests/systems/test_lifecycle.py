"""Lifecycle: who goes, what stays of them, who comes instead, and when the episode is cut short."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from books import entries
from words import words

from townlet_jax import engine
from townlet_jax.core import fixed
from townlet_jax.systems import employment, lifecycle
from townlet_jax.types import NOTHING

# slots 0 and 2 arrive on the left, slot 1 on the right
INN = """
    #######
    #h...W#
    #0.1.2#
    #@...@#
    #######
"""
EDGE = fixed.to_need(0.03)
FINE = fixed.to_need(0.6)


@pytest.fixture
def inn(board):
    return board(INN)


def hungry(state, agents=(0,), level=EDGE - 1):
    needs = np.array(state.agents.needs)
    needs[list(agents), 0] = level
    return state.replace(agents=state.agents.replace(needs=jnp.array(needs)))


def ticks(inn, state, num_ticks, seed=0):
    """The states after each of some ticks of the lifecycle alone."""
    states = []
    for tick in range(num_ticks):
        state = inn.only("lifecycle", state, seed + tick)
        states.append(state)
    return states


def test_one_collapses_in_the_thirtieth_tick_below_three_per_cent(inn):
    *before, last = ticks(inn, hungry(inn.state()), 30)
    assert not any(state.terminated.any() for state in before)
    assert last.terminated.tolist() == [True, False, False]
    assert last.agents.alive.tolist() == [False, True, True]
    assert last.slots["lifecycle"].reason.tolist() == [1, 0, 0]


def test_at_three_per_cent_nobody_collapses(inn):
    assert not any(state.terminated.any() for state in ticks(inn, hungry(inn.state(), level=EDGE), 40))


def test_one_tick_above_starts_the_count_again(inn):
    state = ticks(inn, hungry(inn.state()), 29)[-1]
    state = inn.only("lifecycle", hungry(state, level=EDGE))
    assert state.slots["lifecycle"].critical.tolist() == [0, 0, 0]
    assert not any(later.terminated.any() for later in ticks(inn, hungry(state), 29))


def test_nobody_dies_of_dirt(inn):
    state = inn.state(needs=[FINE, 0, 0])
    assert not any(later.terminated.any() for later in ticks(inn, state, 40))


def test_an_exit_is_told_in_one_tick_only(inn):
    last, *after = ticks(inn, hungry(inn.state()), 50)[29:]
    assert last.terminated.any() and not any(state.terminated.any() for state in after)


def test_what_the_dead_owned_is_gone_and_booked(inn):
    last = ticks(inn, hungry(inn.state(wallet=[7_000, 1, 2])), 30)[-1]
    assert last.agents.wallet.tolist() == [0, 1, 2]
    assert last.agents.items[0].tolist() == [0, 0] and last.agents.needs[0].tolist() == [0, 0, 0]
    assert entries(last) == {"estates": -7_000}


def test_eviction_is_told_as_such_and_collapse_comes_first(inn):
    state = hungry(inn.state(), agents=(1,))
    books = state.slots["economy"].replace(unpaid=jnp.array([2, 2, 1], jnp.int8))
    fate = state.slots["lifecycle"].replace(critical=jnp.array([0, 29, 0], jnp.int8))
    state = inn.only("lifecycle", state.put(economy=books, lifecycle=fate))
    assert state.slots["lifecycle"].reason.tolist() == [2, 1, 0]
    assert state.terminated.tolist() == [True, True, False]


def test_a_newcomer_comes_5_to_20_ticks_later_all_equally_likely(inn):
    fate = lambda state: state.slots["lifecycle"]
    state = hungry(inn.state())
    state = state.put(lifecycle=fate(state).replace(critical=jnp.array([29, 0, 0], jnp.int8)))
    keys = jax.random.split(jax.random.key(0), 3200)
    waits = jax.jit(
        jax.vmap(lambda key: fate(lifecycle.step(inn.world, state, words(inn.world, lifecycle.SYSTEM, key))).arrives[0])
    )(keys)
    counts = np.bincount(waits, minlength=32)
    assert counts[:5].sum() == 0 and counts[21:].sum() == 0
    assert (np.abs(counts[5:21] - 200) < 70).all()  # five standard deviations of a binomial(3200, 1/16)


def dead(inn, slots, waits):
    """A state in which some have just gone and newcomers are so many ticks away."""
    state = inn.state(alive=[slot not in slots for slot in range(3)])
    arrives = np.zeros(3, np.int8)
    arrives[list(slots)] = waits
    since = np.where(arrives > 0, 0, lifecycle.LONG_AGO).astype(np.int8)
    return state.put(lifecycle=state.slots["lifecycle"].replace(arrives=jnp.array(arrives), since=jnp.array(since)))


def test_the_newcomer_stands_at_the_entry_with_the_kit(inn):
    *before, state = ticks(inn, dead(inn, [0], [5]), 5)
    assert [s.agents.alive.tolist()[0] for s in before] == [False] * 4
    people = state.agents
    assert people.alive.tolist() == [True] * 3 and people.generation.tolist() == [1, 0, 0]
    assert int(people.cell[0]) == inn.cell(3, 1)
    assert people.needs[0].tolist() == [FINE] * 3
    assert int(people.wallet[0]) == 2_250 and people.items[0].tolist() == [1, 0]
    assert entries(state) == {"kits": 2_250}


def test_a_kit_may_be_counted_in_rents(board):
    # without a clerk the rent is 0.5 coins here
    rich = board(INN, **{"systems.lifecycle.kit_rents": 1.5})
    state = ticks(rich, dead(rich, [0], [5]), 5)[-1]
    assert int(state.agents.wallet[0]) == 750
    assert state.slots["economy"].ledger.tolist()[4] == 750


def test_respawn_as_in_the_specification(board):
    # respawn_delay 2: absent at t1, present at t2 as the next of its line, needs 0.5, home kept; the wallet is not carried over
    quick = board(INN, **{"systems.lifecycle.arrive_after": [2, 2], "systems.lifecycle.kit_needs": 0.5})
    state = hungry(quick.state(wallet=9_000))
    state = state.put(lifecycle=state.slots["lifecycle"].replace(critical=jnp.array([29, 0, 0], jnp.int8)))
    t0, t1, t2 = ticks(quick, state, 3)
    assert [bool(s.agents.alive[0]) for s in (t0, t1, t2)] == [False, False, True]
    assert t2.agents.generation.tolist() == [1, 0, 0]
    assert t2.agents.needs[0].tolist() == [fixed.to_need(0.5)] * 3
    assert int(t2.agents.wallet[0]) == 2_250 and int(quick.world.map.agent_home[0]) == 0


def test_who_is_evicted_at_work_leaves_no_shift_behind(board):
    # the original enqueues an exit, and clears the shift as it is processed; the reason is told as an event of one tick
    shop = board(INN.replace("@...@", "@.K.@"), **{"systems.employment.jobs.0.start": 10})
    state = shop.state(tick=20)
    work = state.slots["employment"]
    work = work.replace(shift=jnp.full(3, employment.LATE, jnp.int8), present=jnp.full(3, 5, jnp.int16))
    books = state.slots["economy"].replace(unpaid=jnp.array([2, 0, 0], jnp.int8))
    gone, after = shop.run(state.put(employment=work, economy=books), 2)
    assert gone.slots["lifecycle"].reason.tolist() == [2, 0, 0]
    after = after.slots["employment"]
    assert after.shift.tolist()[0] == employment.IDLE and after.present.tolist()[0] == 0
    assert after.shift.tolist()[1] != employment.IDLE


def test_several_needs_may_bring_one_down(board):
    # a collapse of hunger and, in a cold town, of warmth: here energy stands for it, below 5 per cent
    cold = board(INN, **{"systems.lifecycle.collapse": {"hunger": 0.03, "energy": 0.05}})
    low = cold.state(needs=[FINE, FINE, fixed.to_need(0.04)])
    assert left_after(cold, low) == 30
    assert left_after(cold, cold.state(needs=[FINE, FINE, fixed.to_need(0.05)])) is None


def left_after(inn, state, num_ticks=35):
    """The tick in which agent 0 goes, None if it stays."""
    gone = [bool(state.terminated[0]) for state in ticks(inn, state, num_ticks)]
    return gone.index(True) + 1 if any(gone) else None


@pytest.mark.parametrize(("share", "tick"), [(0.04, None), (0.0299, 30)])
def test_hunger_of_4_and_of_3_per_cent(inn, share, tick):
    # the original faints at once at 0.03 or less; here below 0.03 for 30 ticks in a row
    assert left_after(inn, hungry(inn.state(), level=fixed.to_need(share))) == tick


def test_nobody_arrives_where_somebody_stands(inn):
    start = dead(inn, [0], [5])
    cell = start.agents.cell.at[1].set(jnp.uint16(inn.cell(3, 1)))
    state = ticks(inn, start.replace(agents=start.agents.replace(cell=cell)), 9)[-1]
    assert not bool(state.agents.alive[0])
    away = state.agents.cell.at[1].set(jnp.uint16(inn.cell(2, 3)))
    state = inn.only("lifecycle", state.replace(agents=state.agents.replace(cell=away)))
    assert bool(state.agents.alive[0])


def test_newcomers_for_one_entry_come_one_at_a_time(inn):
    states = ticks(inn, dead(inn, [0, 1, 2], [5, 5, 5]), 7)
    assert states[4].agents.alive.tolist() == [True, True, False]  # 1 has its own entry
    assert states[6].agents.alive.tolist() == [True, True, False]  # 0 still stands there


def test_an_empty_slot_is_inert(inn):
    state = dead(inn, [0], [20])
    start = int(state.agents.cell[0])
    for name in ("go_wash", "move_east", "use_wash", "go_home", "move_north"):
        state = inn.step(state, name)
        assert inn.mask(state) == ["wait"]
        assert not inn.observe(state).features[0].any()
        assert int(state.reward[0]) == 0 and int(state.agents.cell[0]) == start
    assert state.agents.alive.tolist() == [False, True, True]


def test_a_newcomer_remembers_nothing(inn):
    # 0 was washing, in a queue, in debt and impatient when it collapsed
    state = inn.step(inn.state(cell=[inn.cell(2, 5), *inn.cells[1:2], inn.cell(2, 1)]), "use_wash")
    assert int(state.slots["affordances"].remaining[0]) == 29
    state = hungry(state).put(
        economy=state.slots["economy"].replace(unpaid=jnp.array([1, 0, 0], jnp.int8)),
        movement=state.slots["movement"].replace(blocked=jnp.array([2, 0, 0], jnp.int8)),
        lifecycle=state.slots["lifecycle"].replace(critical=jnp.array([29, 0, 0], jnp.int8)),
    )
    state = inn.step(state)
    assert state.terminated.tolist() == [True, False, False]
    while not bool(state.agents.alive[0]):
        state = inn.step(state)
    slots = state.slots
    assert int(slots["affordances"].remaining[0]) == 0
    assert int(slots["queues"].facility[0]) == NOTHING and int(slots["intents"].facility[0]) == NOTHING
    assert int(slots["intents"].option[0]) == inn.world.static.actions.num_options
    assert int(slots["intents"].commit[0]) == 0
    assert int(slots["economy"].unpaid[0]) == 0 and int(slots["movement"].blocked[0]) == 0
    assert int(slots["lifecycle"].critical[0]) == 0


def test_the_episode_is_cut_short_at_its_last_tick_and_nobody_is_terminated(inn):
    before, last = inn.run(inn.state(tick=998), 2)
    assert (bool(before.truncated), bool(last.truncated)) == (False, True)
    assert int(last.tick) == 1000 and not last.terminated.any()


def test_episodes_are_as_long_wherever_the_day_they_begin(board):
    late = board(INN, **{"start.tick": [150, 150]})
    state = jax.jit(engine.reset)(late.world, jax.random.key(0))
    assert int(state.tick) == 150 and int(state.slots["lifecycle"].ends) == 1150


@pytest.mark.parametrize(
    ("critical", "since", "guarded"), [(0, 100, False), (1, 100, True), (0, 0, True), (0, 10, True), (0, 11, False)]
)
def test_the_guard_stands_around_a_death(inn, critical, since, guarded):
    state = inn.state()
    fate = state.slots["lifecycle"].replace(
        critical=jnp.array([critical, 0, 0], jnp.int8), since=jnp.array([since, 100, 100], jnp.int8)
    )
    assert lifecycle.guarded(inn.world, state.put(lifecycle=fate)).tolist() == [guarded, False, False]


def test_rewards_are_one_a_tick_alive_and_minus_one_in_the_tick_of_an_exit(inn):
    state = inn.state(alive=[True, False, False]).replace(terminated=jnp.array([False, True, False]))
    terms = lifecycle.rewards(inn.world, state)
    assert terms["survival"].tolist() == [1_000_000, 0, 0]
    assert terms["terminal"].tolist() == [0, -1_000_000, 0]
