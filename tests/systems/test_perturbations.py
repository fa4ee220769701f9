"""Perturbations: what each event does while it is on, when it may begin, and that its end undoes it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError, engine, testing
from townlet_jax.core import fixed
from townlet_jax.observe import explain
from townlet_jax.systems import affordances, economy, perturbations, utilities
from townlet_jax.testing.watch import NEVER, watch
from townlet_jax.types import NOTHING

# each facility's user stands below it; two showers, so that one of them may close
HALL = """
    ############
    #W.W...B..C#
    #0.........#
    #..........#
    #..........#
    #h1.....2.3#
    ############
"""
DEAR, BLACKOUT, DRY, MEET, SHUT, CHAOS = range(6)
EVENTS = [
    {"name": "dear_food", "kind": "price_spike", "ticks": [3, 3], "magnitude": [1.2, 1.2], "at": ["counter"]},
    {"name": "blackout", "kind": "outage", "ticks": [2, 2], "utility": "power"},
    {"name": "dry_taps", "kind": "outage", "ticks": [2, 2], "utility": "water"},
    {"name": "reunion", "kind": "meet", "ticks": [20, 20], "location": "bed"},
    {"name": "repair", "kind": "closure", "ticks": [3, 3], "at": ["shower"]},
    {"name": "chaos_hour", "kind": "chaos", "ticks": [5, 5]},
]
SETTINGS = {
    "max_concurrent": 2,
    "global_cooldown_ticks": 0,
    "per_agent_cooldown_ticks": 30,
    "window_ticks": 40,
    "max_per_window": 2,
    "stagger_ticks": 4,
}
NEEDS = {"power": ["counter", "shower"], "water": ["shower"]}
SHOCKS = {
    "systems.perturbations": {"events": EVENTS, **SETTINGS},
    "systems.utilities": {"needs": NEEDS},
}
EVERY_TICK = 200.0  # a day: certain
WASH, EAT = 0, 2  # offers
COUNTER = 3  # facilities: two showers, a bed, the counter
FINE = fixed.to_need(0.6)


@pytest.fixture
def hall(board):
    return board(HALL, **SHOCKS)


def chances(hall, **a_day):
    """The hall with chances of its own, in times a day; without limits on how often."""
    names = [event["name"] for event in EVENTS]
    row = [fixed.to_chance(a_day.get(name, 0.0)) for name in names]
    return hall.tuned(perturbations={"chance": jnp.array(row, jnp.int32), "limit": jnp.zeros(6, jnp.int8)})


def slot(state):
    return state.slots["perturbations"]


def at_tick(hall, state, tick, seed=0):
    """One tick of the events alone."""
    return hall.only("perturbations", state.replace(tick=jnp.int32(tick)), seed=seed)


def on(state):
    return np.flatnonzero(np.asarray(slot(state).ends > state.tick)).tolist()


def started(state):
    return np.flatnonzero(np.asarray((slot(state).since == state.tick) & (slot(state).ends > state.tick))).tolist()


def ended(state):
    return np.flatnonzero(np.asarray(slot(state).ended)).tolist()


def prices(hall, state):
    return economy.price(hall.world, state).tolist()


def trigger(hall, state, event, ticks=None, magnitude=None, agents=None):
    chosen = None if agents is None else jnp.array([a in agents for a in range(4)])
    return perturbations.trigger(hall.world, state, event, ticks, magnitude, chosen)


def called(state):
    return np.flatnonzero(np.asarray(slot(state).people.called.any(0))).tolist()


# --- price spikes


def test_a_spike_of_1_2_lasts_its_ticks_and_is_undone_to_the_mill(hall):
    state = hall.state(tick=10)
    assert prices(hall, state) == [200, 0, 400]  # wash, sleep, eat
    state = trigger(hall, state, DEAR, 3, fixed.to_share(1.2))
    assert prices(hall, state) == [200, 0, 480]
    seen = []
    for tick in range(11, 17):
        state = at_tick(hall, state, tick)
        seen.append((prices(hall, state)[EAT], started(state), ended(state)))
    assert seen == [
        (480, [DEAR], []),
        (480, [], []),
        (480, [], []),
        (400, [], [DEAR]),  # exactly one end is told
        (400, [], []),
        (400, [], []),
    ]


@pytest.mark.parametrize("price", [5, 200, 450, 1000])
@pytest.mark.parametrize("percent", [100, 110, 120, 133, 155, 180, 400])
def test_a_price_up_to_a_coin_is_the_nearest_mill(price, percent):
    dear = int(fixed.scale(jnp.int32(price), jnp.int32(fixed.to_share(percent / 100))))
    assert abs(dear * 100 - price * percent) <= 50 + 50 * price // 1024  # half a mill, and half a part of SHARE
    if price * percent % 100 == 0:
        assert dear == price * percent // 100


def test_the_largest_price_and_factor_do_not_overflow():
    assert int(fixed.scale(jnp.int32(1_000_000), jnp.int32(16 * fixed.SHARE))) == 16_000_000


def test_two_spikes_multiply_and_spikes_touch_only_what_they_name(board):
    more = [*EVENTS[:1], {"name": "dear_all", "kind": "price_spike", "ticks": [9, 9], "magnitude": [2.0, 2.0]}]
    more[1]["offers"] = ["eat", "wash"]
    room = board(HALL, **{"systems.perturbations": {"events": more}, "systems.utilities": {"needs": NEEDS}})
    state = room.state()
    for event, expected in ((0, [200, 0, 480]), (1, [400, 0, 960])):
        state = perturbations.trigger(room.world, state, event)
        assert prices(room, state) == expected


def test_the_dear_price_is_paid_and_given_back(hall):
    start = hall.state(tick=112, cell=[hall.cell(2, 1), hall.cell(5, 2), hall.cell(5, 8), hall.cell(2, 10)])
    state = hall.step(trigger(hall, start, DEAR), "wait", "wait", "wait", "use_eat")
    assert int(state.agents.wallet[3]) == 10_000 - 480
    after = hall.run(state, 3)[-1]
    assert prices(hall, after)[EAT] == 400
    closed = hall.run(after, 4)[-1]  # it closes at 120, before the 15 ticks are over
    assert int(closed.tick) == 120 and int(closed.agents.wallet[3]) == 10_000


def test_who_can_pay_the_price_but_not_the_dear_one_is_refused_and_the_mask_knows(hall):
    where = [hall.cell(2, 1), hall.cell(5, 2), hall.cell(5, 8), hall.cell(2, 10)]
    start = hall.state(tick=60, cell=where, wallet=450)
    assert "use_eat" in hall.mask(start, 3)
    dear = trigger(hall, start, DEAR, 1)
    assert "use_eat" not in hall.mask(dear, 3)
    refused = hall.step(dear, "wait", "wait", "wait", "use_eat")
    assert refused.agents.wallet.tolist() == [450] * 4
    assert "use_eat" in hall.mask(refused, 3)  # it will be over in the next tick, and the mask knows that, too
    bought = hall.step(refused, "wait", "wait", "wait", "use_eat")
    assert int(bought.agents.wallet[3]) == 50


# --- when they begin


def test_a_certain_event_with_a_cooldown_of_2_fires_is_blocked_and_fires(hall):
    room = chances(hall, blackout=EVERY_TICK)  # lasts 2 ticks
    params = room.world.params["perturbations"]
    room = room.tuned(perturbations={"cooldown": params.cooldown.at[BLACKOUT].set(2)})
    state, fired = room.state(), []
    for tick in range(9):
        state = at_tick(room, state, tick, seed=tick)
        fired += [tick] if started(state) else []
    assert fired == [0, 4, 8]  # on at 0 and 1, cooling down at 2 and 3


def test_no_event_begins_while_it_is_on(hall):
    room = chances(hall, dear_food=EVERY_TICK)
    state, begins, ends = room.state(), [], []
    for tick in range(1, 20):
        state = at_tick(room, state, tick, seed=tick)
        begins += [tick] if started(state) else []
        ends += [tick] if ended(state) else []
    assert begins == [1, 4, 7, 10, 13, 16, 19]  # three ticks each, one after the other
    assert ends == [4, 7, 10, 13, 16, 19]


def test_one_event_too_many_is_put_off_and_not_dropped(hall):
    room = chances(hall, dear_food=EVERY_TICK, blackout=EVERY_TICK, dry_taps=EVERY_TICK)
    state = at_tick(room, room.state(), 1)
    first, waiting = on(state), np.flatnonzero(np.asarray(slot(state).due)).tolist()
    assert len(first) == 2 and sorted(first + waiting) == [DEAR, BLACKOUT, DRY]
    due = int(slot(state).due[waiting[0]])
    assert 2 <= due <= 5  # 1 to 4 ticks later
    # chances off: only who waits may begin now
    quiet = chances(hall)
    begun = None
    for tick in range(2, 40):
        state = at_tick(quiet, state, tick, seed=tick)
        begun = tick if waiting[0] in started(state) else begun
        assert len(on(state)) <= 2
    assert begun is not None and begun >= due and not slot(state).due.any()


def test_by_chance_a_town_never_bears_more_than_two_at_a_time(hall):
    room = chances(hall, dear_food=60.0, blackout=60.0, dry_taps=60.0, reunion=60.0, repair=60.0, chaos_hour=20.0)
    state, together, seen = room.state(), [], set()
    for tick in range(1, 300):
        state = at_tick(room, state, tick, seed=tick)
        together.append(len([event for event in on(state) if event != CHAOS]))
        seen |= set(started(state))
    assert max(together) == 2 and seen == {DEAR, BLACKOUT, DRY, MEET, SHUT, CHAOS}


def test_which_of_two_begins_is_chance_and_not_the_order_of_the_yaml(hall):
    room = chances(hall, dear_food=EVERY_TICK, blackout=EVERY_TICK, dry_taps=EVERY_TICK)
    start = room.state()
    first = [event for seed in range(30) for event in on(at_tick(room, start, 1, seed))]
    assert (np.bincount(first, minlength=3)[:3] >= 11).all()  # 20 of 30 expected, sd 2.6


def test_a_window_holds_only_so_many_starts(hall):
    room = chances(hall, blackout=EVERY_TICK)
    room = room.tuned(perturbations={"limit": jnp.full(6, 2, jnp.int8)})  # in 40 ticks
    state, fired = room.state(), []
    for tick in range(1, 90):
        state = at_tick(room, state, tick, seed=tick)
        fired += [tick] if started(state) else []
    assert fired == [1, 3, 41, 43, 81, 83]


def test_chaos_makes_all_other_chances_three_times_as_large(hall):
    third = 200 / 3  # a day: a third in each tick, and with chaos every tick
    room = chances(hall, dear_food=third, chaos_hour=third)
    calm, wild = room.state(), perturbations.trigger(room.world, room.state(), CHAOS, 50)
    count = lambda state: sum(DEAR in started(at_tick(room, state, 1, seed)) for seed in range(60))
    assert 10 <= count(calm) <= 30 and count(wild) == 60


def test_chaos_does_not_raise_its_own_chance_nor_take_a_place(hall):
    room = chances(hall, dear_food=EVERY_TICK, blackout=EVERY_TICK)
    state = perturbations.trigger(room.world, room.state(), CHAOS, 50)
    assert on(at_tick(room, state, 1)) == [DEAR, BLACKOUT, CHAOS]


def test_lengths_and_magnitudes_are_drawn_from_their_ranges(board):
    wide = [{**EVENTS[0], "ticks": [3, 6], "magnitude": [1.2, 1.8]}]
    room = board(HALL, **{"systems.perturbations": {"events": wide}})
    room = room.tuned(perturbations={"chance": jnp.array([fixed.to_chance(EVERY_TICK)], jnp.int32)})
    states = [at_tick(room, room.state(), 1, seed) for seed in range(40)]
    assert {int(slot(state).ends[0]) - 1 for state in states} == {3, 4, 5, 6}
    factors = [int(slot(state).magnitude[0]) for state in states]
    assert min(factors) >= 1229 and max(factors) <= 1844 and len(set(factors)) > 20


def test_the_same_key_gives_the_same_events_and_another_does_not(hall):
    room = chances(hall, dear_food=30.0, blackout=30.0, reunion=30.0, repair=30.0)

    def play(first):
        state, seen = room.state(), []
        for tick in range(1, 60):
            state = at_tick(room, state, tick, seed=first + tick)
            seen.append(tuple(on(state)))
        return seen

    assert play(0) == play(0) != play(1000)


# --- schedules and hands


SCHEDULE = [
    {"at": 5, "event": "blackout"},
    {"at": 6, "event": "dear_food", "ticks": 7, "magnitude": 1.5},
    {"at": 8, "event": "reunion", "agents": [1, 3]},
    {"day": 1, "tick": 30, "event": "dry_taps"},
    {"tick": 90, "event": "chaos_hour"},
]


def test_a_schedule_happens_at_its_very_ticks(board):
    room = board(HALL, **{**SHOCKS, "systems.perturbations": {"events": EVENTS, **SETTINGS, "schedule": SCHEDULE}})
    state, begun = room.state(tick=100), []  # the episode begins at the 100th tick of day 0
    for tick in range(101, 600):
        state = at_tick(room, state, tick)
        begun += [(tick, event) for event in started(state)]
        if tick == 106:
            assert int(slot(state).ends[DEAR]) == 113 and int(slot(state).magnitude[DEAR]) == 1536
        if tick == 108:
            assert called(state) == [1, 3]
    assert begun == [(105, BLACKOUT), (106, DEAR), (108, MEET), (230, DRY), (290, CHAOS), (490, CHAOS)]


def test_the_schedule_asks_no_limit_but_counts(board):
    entries = [{"at": 3, "event": name} for name in ("dear_food", "blackout", "dry_taps")]
    room = board(HALL, **{**SHOCKS, "systems.perturbations": {"events": EVENTS, **SETTINGS, "schedule": entries}})
    room = room.tuned(perturbations={"chance": jnp.array([0, 0, 0, 0, fixed.to_chance(EVERY_TICK), 0], jnp.int32)})
    state = room.state()
    for tick in range(1, 4):
        state = at_tick(room, state, tick)
    assert on(state) == [DEAR, BLACKOUT, DRY, SHUT]  # by chance it had begun before
    state = at_tick(room, state, 4)  # over, and may not begin again: three are on
    assert on(state) == [DEAR, BLACKOUT, DRY] and int(slot(state).due[SHUT]) > 4


def test_an_event_that_is_triggered_again_begins_anew_and_is_one_event(hall):
    state = at_tick(hall, trigger(hall, hall.state(), DEAR, 10, fixed.to_share(1.2)), 1)
    state = trigger(hall, state, DEAR, 5, fixed.to_share(2.0))
    assert prices(hall, state)[EAT] == 800  # and not 960
    ends = []
    for tick in range(2, 15):
        state = at_tick(hall, state, tick)
        ends += [tick] * len(ended(state))
    assert ends == [7] and prices(hall, state)[EAT] == 400


@pytest.mark.parametrize("event", [DEAR, BLACKOUT, DRY, MEET, SHUT, CHAOS])
def test_to_cancel_is_to_end_at_once(hall, event):
    state = at_tick(hall, trigger(hall, hall.state(), event, 50), 1)
    assert on(state) == [event]
    off = perturbations.cancel(hall.world, state, event)
    assert on(off) == [] and called(off) == [] and prices(hall, off) == [200, 0, 400]
    assert utilities.serves(hall.world, off).all() and not perturbations.closed(hall.world, off).any()
    told = at_tick(hall, off, 2)
    assert ended(told) == [event] and ended(at_tick(hall, told, 3)) == []


def test_to_cancel_what_is_not_on_does_nothing(hall):
    state = hall.state()
    after = perturbations.cancel(hall.world, state, DEAR)
    assert ended(at_tick(hall, after, 1)) == []


def test_to_cancel_what_was_put_off_forgets_it(hall):
    state = hall.state()
    waits = state.put(perturbations=slot(state).replace(due=slot(state).due.at[DRY].set(9)))
    assert not slot(perturbations.cancel(hall.world, waits, DRY)).due.any()


# --- blackouts and closed doors


def test_a_blackout_of_2_ticks_is_over_after_2(hall):
    state, seen = trigger(hall, hall.state(), BLACKOUT, 2), []
    for tick in range(1, 5):
        state = at_tick(hall, state, tick)
        seen.append((utilities.works(hall.world, state).tolist(), utilities.serves(hall.world, state).tolist()))
    dark = ([False, True], [False, False, True, False])  # power serves the showers and the counter
    light = ([True, True], [True] * 4)
    assert seen == [dark, dark, light, light]


def test_nobody_has_to_leave_in_an_outage_and_60_ticks_after(hall):
    state, calm = trigger(hall, hall.state(), DRY, 2), []
    for tick in range(1, 70):
        state = at_tick(hall, state, tick)
        calm += [tick] if perturbations.suppresses(hall.world, state) else []
    assert calm == list(range(1, 63))  # 2 ticks of outage, then 60


def test_a_spike_suppresses_nothing(hall):
    state = at_tick(hall, trigger(hall, hall.state(), DEAR), 1)
    assert not perturbations.suppresses(hall.world, state)


def test_a_closed_shower_is_one_of_the_two(hall):
    shut = set()
    for seed in range(20):
        state = perturbations.trigger(hall.world, hall.state(), SHUT, 3, key=jax.random.key(seed))
        closed = np.flatnonzero(np.asarray(perturbations.closed(hall.world, state))).tolist()
        assert len(closed) == 1
        shut |= set(closed)
    assert shut == {0, 1}


def test_every_shower_closes_if_it_says_so(board):
    events = [{**EVENTS[SHUT], "every": True}]
    room = board(HALL, **{"systems.perturbations": {"events": events}})
    state = perturbations.trigger(room.world, room.state(), 0)
    assert perturbations.closed(room.world, state).tolist() == [True, True, False, False]
    assert int(slot(state).shut[0]) == NOTHING


def test_at_a_closed_door_nothing_begins_and_what_runs_is_given_back(hall):
    state = hall.step(hall.state(), "use_wash")
    assert int(state.agents.wallet[0]) == 9_800
    key = next(k for k in map(jax.random.key, range(9)) if _closes_first(hall, state, k))
    shut = perturbations.trigger(hall.world, state, SHUT, 3, key=key)
    assert "use_wash" not in hall.mask(shut)
    after = hall.step(shut)
    assert int(after.agents.wallet[0]) == 10_000 and not after.slots["affordances"].remaining.any()
    assert after.slots["affordances"].finished.tolist() == [True, False, False, False]
    refused = hall.step(after, "use_wash")
    assert not refused.slots["affordances"].remaining.any() and int(refused.agents.wallet[0]) == 10_000
    opened = hall.run(refused, 2, "use_wash")[-1]  # the tick after its last one
    assert int(opened.agents.wallet[0]) == 9_800


def _closes_first(hall, state, key):
    return bool(perturbations.closed(hall.world, perturbations.trigger(hall.world, state, SHUT, 3, key=key))[0])


# --- meetings


def cells(state):
    return np.asarray(state.agents.cell).tolist()


def test_who_is_called_walks_there_without_a_jump_and_stays(hall):
    target_cell = int(hall.world.map.place_cell[2, 1])  # the bed's second place
    state = trigger(hall, hall.state(), MEET, 20, agents=[0, 3])
    assert called(state) == [0, 3] and int(slot(state).people.target[0]) == 2 * 3 + 1
    distance = np.asarray(hall.world.map.distance[:, 7])
    ways, blocked = [[int(distance[c]) for c in cells(state)]], []
    for _ in range(19):
        state = hall.step(state)
        blocked.append(bool(state.slots["movement"].blocked.any()))
        ways.append([int(distance[c]) for c in cells(state)])
    ways = np.array(ways)
    assert (np.abs(np.diff(ways, axis=0)) <= 1).all()  # one step a tick, nobody is moved by hand
    assert sorted(ways[-1][[0, 3]]) == [0, 1] and target_cell in cells(state)  # one on the spot, the other beside it
    assert (np.diff(ways[:, [0, 3]], axis=0) <= 0).all()  # never back
    assert not any(blocked[-5:])  # nobody pushes for the very spot
    assert perturbations.metrics(hall.world, state)["perturbations/met"] == 1
    assert [cells(state)[a] for a in (1, 2)] == [cells(hall.state())[a] for a in (1, 2)]  # the others stay
    over = hall.run(state, 2)[-1]
    assert called(over) == [] and perturbations.metrics(hall.world, over)["perturbations/met"] == 0


def test_who_is_called_may_only_wait_and_its_choice_waits_with_it(hall):
    state = hall.step(hall.state(), "wait", "go_wash")
    commit, option = state.slots["intents"].commit[1], state.slots["intents"].option[1]
    state = trigger(hall, state, MEET, 4, agents=[1, 2])
    assert hall.mask(state, 1) == ["wait"] and len(hall.mask(state, 0)) > 1
    ways = np.asarray(hall.world.map.distance[:, 7])
    for _ in range(4):
        before, state = state, hall.step(state, "wait", "go_home", "go_home")
        assert ways[state.agents.cell[1]] < ways[before.agents.cell[1]]
        assert (state.slots["intents"].commit[1], state.slots["intents"].option[1]) == (commit, option)
    after = hall.step(state)  # in this tick it is over, but whoever acts first still goes there
    after = hall.step(after)
    assert int(after.slots["intents"].option[1]) == WASH and int(after.slots["intents"].commit[1]) < int(commit)


def test_a_hard_need_comes_before_a_meeting(hall):
    low = [[FINE] * 3, [FINE, fixed.to_need(0.1), FINE], [FINE] * 3, [FINE] * 3]
    state = trigger(hall, hall.state(needs=low), MEET, 20, agents=[1, 2])
    assert "go_wash" in hall.mask(state, 1) and hall.mask(state, 2) == ["wait"]
    state = hall.run(state, 4, "wait", "go_wash", "go_wash")[-1]
    options = state.slots["intents"].option.tolist()
    assert options[1] == WASH and options[2] == hall.world.static.actions.num_options


def test_what_runs_is_finished_before_one_goes(board):
    room = board(HALL, **{**SHOCKS, "systems.affordances.offers.0.ticks": 6})
    state = room.step(room.state(), "use_wash")
    state = trigger(room, state, MEET, 40, agents=[0, 1])
    runs = room.run(state, 5)
    assert [int(s.slots["affordances"].remaining[0]) for s in runs] == [4, 3, 2, 1, 0]
    assert {int(s.agents.cell[0]) for s in runs} == {room.cell(2, 1)}
    assert int(room.step(runs[-1]).agents.cell[0]) != room.cell(2, 1)


def test_who_is_called_leaves_the_queue(hall):
    two = hall.state(cell=[hall.cell(2, 1), hall.cell(3, 1), hall.cell(5, 8), hall.cell(5, 10)])
    state = hall.step(two, "go_wash", "go_wash")
    assert state.slots["queues"].facility.tolist()[:2] == [0, 0]
    state = hall.step(trigger(hall, state, MEET, 20, agents=[1, 2]))
    assert int(state.slots["queues"].facility[1]) == NOTHING


def test_those_who_were_called_least_are_called(hall):
    state, times = hall.state(), np.zeros(4, int)
    for tick in range(1, 400, 50):
        for later in range(tick, tick + 50):
            if later == tick:
                state = perturbations.trigger(hall.world, state.replace(tick=jnp.int32(tick - 1)), MEET, 10)
            state = at_tick(hall, state, later)
            if later == tick:
                times[called(state)] += 1
                assert times.max() - times.min() <= 1
    assert times.tolist() == [4, 4, 4, 4] == slot(state).people.calls.tolist()


def test_nobody_is_called_again_before_the_cooldown_is_over(hall):
    room = chances(hall, reunion=EVERY_TICK)  # 20 ticks each; 4 agents, two at a time; 30 ticks of rest
    state, begins = room.state(), []
    for tick in range(1, 120):
        before, state = state, at_tick(room, state, tick, seed=tick)
        if started(state):
            begins.append((tick, tuple(called(state))))
            assert not set(called(state)) & set(called(before))
    # 1 to 20 the first two, 21 to 40 the others; the first are free again at 21 + 30, the others at 41 + 30
    assert [tick for tick, _ in begins] == [1, 21, 51, 71, 101]
    assert begins[0][1] == begins[2][1] == begins[4][1] and begins[1][1] == begins[3][1]


def test_rivals_are_called_by_how_much_they_dislike_each_other(hall):
    class Ties(NamedTuple):
        rivalry: Any

    params = hall.world.params["perturbations"].replace(who=tuple("rivals" for _ in EVENTS))
    world = hall.world.replace(params={**hall.world.params, "perturbations": params})
    rivalry = jnp.zeros((4, 4), jnp.int16)
    call = lambda rivalry: called(
        perturbations.trigger(world, hall.state().put(relationships=Ties(rivalry)), MEET, 20, key=jax.random.key(0))
    )
    assert call(rivalry.at[1, 3].set(9000).at[0, 2].set(5000)) == [1, 3]
    assert call(rivalry) == [0, 1]  # nobody dislikes anybody: fairness decides


def test_it_takes_two(hall):
    alone = hall.state(alive=[True, False, False, False])
    assert on(trigger(hall, alone, MEET, 20)) == [] and on(trigger(hall, alone, MEET, 20, agents=[0, 1])) == []
    room = chances(hall, reunion=EVERY_TICK)
    assert on(at_tick(room, room.state(alive=[True, False, False, False]), 1)) == []


def test_a_meeting_ends_when_fewer_than_two_are_left_of_it(hall):
    state = at_tick(hall, trigger(hall, hall.state(), MEET, 20, agents=[0, 3]), 1)
    dead = state.replace(agents=state.agents.replace(alive=jnp.array([True, True, True, False])))
    after = at_tick(hall, dead, 2)
    assert ended(after) == [MEET] and called(after) == []
    people = slot(after).people
    assert people.calls.tolist() == [1, 0, 0, 0] and people.free_at.tolist() == [32, 0, 0, 0]


def test_at_the_same_time_nobody_is_at_two_meetings(board):
    two = [EVENTS[MEET], {**EVENTS[MEET], "name": "party", "location": "counter", "participants": 3}]
    room = board(HALL, **{"systems.perturbations": {"events": two, **SETTINGS}})
    chosen = lambda *agents: jnp.array([a in agents for a in range(4)])
    state = perturbations.trigger(room.world, room.state(), 0, 20, agents=chosen(0, 1, 2))
    state = perturbations.trigger(room.world, state, 1, 20, agents=chosen(2, 3))
    assert slot(state).people.called.tolist() == [[True, True, False, False], [False, False, True, True]]
    target, has = perturbations.meeting(room.world, state)
    assert target.tolist() == [7, 7, 10, 10] and has.all()
    state = perturbations.trigger(room.world, state, 1, 20, agents=chosen(0, 1, 2, 3))  # all go there now
    state = at_tick(room, state, 1)
    assert slot(state).people.called.tolist() == [[False] * 4, [True] * 4] and ended(state) == [0]


def test_people_meet_in_a_place_by_its_name(board):
    legend = {"P": {"place": "Park", "ground": "grass"}, "B": {"facility": "bed", "ground": "grass"}}
    drawing = HALL.replace("..B..C", ".+BP.C").replace("#0....", "#0.##.").replace("...2.3", ".2...3")
    meet = [{**EVENTS[MEET], "location": "Park"}]
    marks = {f"map.legend.{mark}": what for mark, what in legend.items()}
    room = board(drawing, **{"systems.perturbations": {"events": meet}, **marks})
    state = perturbations.trigger(room.world, room.state(), 0, agents=jnp.array([True, True, False, False]))
    assert int(slot(state).people.target[0]) == 2 * 3 + 1  # at the bed, which stands in the park


# --- what is seen, and what may be said


def test_everybody_knows_what_is_on(hall):
    state = hall.step(trigger(hall, trigger(hall, hall.state(), MEET, 10, agents=[0, 3]), DEAR, 3))
    seen = explain(hall.world, hall.observe(state), agent=1)
    assert [seen[f"event_{event['name']}"] for event in EVENTS] == [1, 0, 0, 1, 0, 0]
    assert seen["event_left_dear_food"] == pytest.approx(2 / 3) and seen["event_left_reunion"] == pytest.approx(9 / 20)
    assert seen["price_factor_eat"] == pytest.approx(1229 / 4096) and seen["price_factor_wash"] == 0.25
    assert seen["called"] == 0 and seen["meeting_distance"] == 0
    mine = explain(hall.world, hall.observe(state), agent=0)
    steps = int(hall.world.map.distance[state.agents.cell[0], 7])
    assert mine["called"] == 1 and mine["meeting_distance"] == pytest.approx(steps / 64)


def test_the_measures_count_what_began_and_ended(hall):
    state = at_tick(hall, trigger(hall, hall.state(), DEAR, 1), 1)
    measure = lambda state: {k.split("/")[1]: float(v) for k, v in perturbations.metrics(hall.world, state).items()}
    assert measure(state) == {"active": 1, "started": 1, "ended": 0, "put_off": 0, "met": 0}
    assert measure(at_tick(hall, state, 2)) == {"active": 0, "started": 0, "ended": 1, "put_off": 0, "met": 0}


def test_a_world_without_events_has_no_trace_of_them(board):
    plain = board(HALL)
    state = plain.state()
    assert not {"perturbations", "utilities"} & {*state.slots, *plain.world.params}
    assert affordances.is_in_service(plain.world, state, state.tick) is None


SPIKE = EVENTS[DEAR]
WRONG = {
    "offer": ([{**SPIKE, "at": [], "offers": ["eta"]}], [], "events.0.offers", "'eta' is no offer"),
    "free offer": ([{**SPIKE, "at": [], "offers": ["sleep"]}], [], "events.0.offers", "'sleep' is free"),
    "kind": ([{**SPIKE, "at": ["grocer"]}], [], "events.0.at", "'grocer' is no kind of facility"),
    "free kind": ([{**SPIKE, "at": ["bed"]}], [], "events.0.at", "nothing at a bed costs anything"),
    "no effect": ([{**SPIKE, "magnitude": [1.0, 1.0]}], [], "events.0.magnitude", "changes nothing"),
    "too much": ([{**SPIKE, "magnitude": [1.2, 4.5]}], [], "events.0", "1 <= least <= most <= 4"),
    "no target": ([{**SPIKE, "at": []}], [], "events.0", "kind price_spike needs `offers` or `at`"),
    "ticks": ([{**SPIKE, "ticks": [5, 4]}], [], "events.0", "1 <= least <= most"),
    "missing": ([{"name": "x", "kind": "outage", "ticks": [1, 1]}], [], "events.0", "kind outage needs `utility`"),
    "left over": ([{**EVENTS[CHAOS], "at": ["bed"]}], [], "events.0", "`at` means nothing to the kind chaos"),
    "utility": ([{**EVENTS[DRY], "utility": "gas"}], [], "events.0.utility", "'gas' is no utility"),
    "location": ([{**EVENTS[MEET], "location": "cafe"}], [], "events.0.location", "'cafe' is no kind of facility"),
    "rivals": ([{**EVENTS[MEET], "who": "rivals"}], [], "events.0.who", "without the system 'relationships'"),
    "closure": ([{**EVENTS[SHUT], "at": []}], [], "events.0.at", "closes nothing"),
    "twice": ([SPIKE, SPIKE], [], "events.1.name", "is the name of an event above"),
    "too rare": (
        [{**SPIKE, "chance_per_day": 0.000007}],
        [],
        "events.0.chance_per_day",
        "less than the town can count",
    ),
    "event": ([SPIKE], [{"at": 1, "event": "dear"}], "schedule.0.event", "'dear' is no event"),
    "two times": ([SPIKE], [{"at": 1, "tick": 1, "event": "dear_food"}], "schedule.0", "say either `at`"),
    "no time": ([SPIKE], [{"event": "dear_food"}], "schedule.0", "say either `at`"),
    "day alone": ([SPIKE], [{"day": 1, "at": 3, "event": "dear_food"}], "schedule.0", "say either `at`"),
    "tick of day": ([SPIKE], [{"tick": 200, "event": "dear_food"}], "schedule.0.tick", "0 to 199"),
    "agent": ([EVENTS[MEET]], [{"at": 1, "event": "reunion", "agents": [0, 4]}], "schedule.0.agents", "no agent 4"),
    "alone": ([EVENTS[MEET]], [{"at": 1, "event": "reunion", "agents": [2]}], "schedule.0", "takes two"),
    "called to": (
        [SPIKE],
        [{"at": 1, "event": "dear_food", "agents": [0, 1]}],
        "schedule.0.agents",
        "nobody is called",
    ),
    "factor of": (
        [EVENTS[DRY]],
        [{"at": 1, "event": "dry_taps", "magnitude": 2.0}],
        "schedule.0.magnitude",
        "has none",
    ),
    "same tick": ([SPIKE], [{"at": 1, "event": "dear_food"}] * 2, "schedule.1", "begins at that tick already"),
}


@pytest.mark.parametrize(("events", "schedule", "path", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_exist_or_changes_nothing_is_refused(board, events, schedule, path, words):
    section = {"events": events, "schedule": schedule}
    with pytest.raises(ConfigError) as caught:
        board(HALL, **{"systems.perturbations": section, "systems.utilities": {"needs": NEEDS}})
    assert f"systems.perturbations.{path}:" in str(caught.value) and words in str(caught.value)


def test_a_place_with_nothing_in_it_is_refused(board):
    legend = {"map.legend.P": {"place": "Lawn", "ground": "grass"}}
    drawing = HALL.replace("#..........#", "#.......P..#", 1)
    with pytest.raises(ConfigError, match="no facility and no post in 'Lawn'"):
        board(drawing, **{"systems.perturbations": {"events": [{**EVENTS[MEET], "location": "Lawn"}]}, **legend})


# --- everything at once


CROWD = """
    ###############
    #hB.S.#C..W..W#
    #.0.1.+.2.3...#
    #.4.5.#.6.7...#
    ####.####+#####
    #@..........K.#
    ###############
"""
STORM = {
    "systems.perturbations": {
        "events": [
            {**EVENTS[DEAR], "ticks": [3, 9], "magnitude": [1.2, 1.8], "chance_per_day": 12.0},
            {**EVENTS[BLACKOUT], "ticks": [2, 9], "chance_per_day": 12.0},
            {**EVENTS[DRY], "ticks": [2, 9], "chance_per_day": 12.0},
            {**EVENTS[MEET], "ticks": [8, 30], "chance_per_day": 20.0, "participants": 3},
            {**EVENTS[SHUT], "at": ["shower", "counter"], "chance_per_day": 20.0},
            {**EVENTS[CHAOS], "chance_per_day": 10.0},
            {**EVENTS[MEET], "name": "market", "location": "counter", "chance_per_day": 20.0},
        ],
        **{**SETTINGS, "max_per_window": 4, "max_concurrent": 3, "grace_ticks": 3},  # else nobody would ever leave
        "schedule": [{"at": 40, "event": "reunion", "agents": [0, 1, 2]}, {"tick": 120, "event": "blackout"}],
    },
    "systems.utilities": {
        "needs": {**NEEDS, "power": ["counter", "stove"]},
        "fault_per_day": 6.0,
        "fault_ticks": [1, 5],
    },
    "start.tick": [0, 199],
    "systems.economy.rent": 0.6,
    "systems.lifecycle.collapse_ticks": 10,
    "systems.affordances.offers.0.ticks": 6,
    "systems.affordances.offers.1.ticks": 9,
    "systems.affordances.offers.2.ticks": 5,
    "systems.affordances.offers.3.ticks": 4,
}


@pytest.fixture(scope="module")
def storm(board):
    room = board(CROWD, **STORM)
    decay = jnp.array([round(rate * fixed.NEED) for rate in (0.008, 0.004, 0.006)], jnp.int32)
    return room.tuned(needs={"decay": decay})


def test_64_towns_bear_500_ticks_of_it_with_every_rule_kept(storm):
    keys = testing.town_keys(3, 64)
    states, first = jax.device_get(jax.jit(watch, static_argnames="num_ticks")(storm.world, keys, num_ticks=500))
    broken = {name: int(ticks.min()) for name, ticks in first.items() if ticks.min(initial=NEVER) != NEVER}
    assert not broken
    table = states.slots["perturbations"]
    assert (table.past > 0).any(axis=(0, 2)).all()  # each event happened somewhere
    assert states.agents.generation.max() > 0  # and people came and went
    assert (states.slots["economy"].ledger.sum(1) != 0).any()


def meddled(storm, key, num_ticks):
    """A town at random play in which events are begun and cancelled by hand; the first tick at which each rule broke."""

    def tick(state, number):
        now = jax.random.fold_in(key, number)
        bits = jax.random.bits(now, (6,), jnp.uint32)
        event, agents = (bits[0] % 7).astype(jnp.int32), (bits[5] >> jnp.arange(8, dtype=jnp.uint32)) & 1 == 1
        begun = perturbations.trigger(
            storm.world, state, event, (bits[2] % 12).astype(jnp.int32) + 1, None, agents & (bits[3] % 2 == 0), now
        )
        ended = perturbations.cancel(storm.world, state, event)
        choice = bits[4] % 8  # one tick in eight something is begun, one in eight something is ended
        pick = lambda a, b, c: jnp.where(choice == 0, a, jnp.where(choice == 1, b, c))
        state = jax.tree.map(pick, begun, ended, state)
        state = engine.step(storm.world, state, testing.random_actions(storm.world, state, now), now)
        broken = {rule: jnp.where(ok, NEVER, number) for rule, ok in testing.invariants(storm.world, state).items()}
        waits = state.slots["queues"].idle.max()
        return state, (broken, waits, state.slots["affordances"].completed.sum(dtype=jnp.int32))

    state, (broken, waits, done) = jax.lax.scan(
        tick, engine.reset(storm.world, key), jnp.arange(num_ticks, dtype=jnp.int32)
    )
    return state, jax.tree.map(lambda x: x.min(), broken), waits.max(), done[num_ticks // 2 :].sum(dtype=jnp.int32)


def test_blackouts_and_calls_by_hand_at_any_time_break_no_rule(storm):
    keys = testing.town_keys(4, 16)
    play = jax.jit(jax.vmap(lambda key: meddled(storm, key, 300)))
    states, broken, waits, done = jax.device_get(play(keys))
    assert {rule: int(ticks.min()) for rule, ticks in broken.items() if ticks.min() != NEVER} == {}
    assert waits.max() <= 10  # nobody holds a reservation for longer than `start_within` without using it, or is alone
    assert (done > 0).all()  # in no town does everything stand still
