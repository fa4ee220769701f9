"""Affordances: when they start, what is paid and when, when they end, and what comes back at closing time."""

import jax.numpy as jnp
import numpy as np
import pytest
from books import entries

from townlet_jax.core import fixed
from townlet_jax.systems import affordances
from townlet_jax.systems.intents import USE
from townlet_jax.types import NOTHING

# each facility's user stands below it
ROOM = """
    #########
    #W.B.S.C#
    #0.....1#
    #h......#
    #########
"""
HUNGER, HYGIENE, ENERGY = range(3)
RAW, MEAL = range(2)
COOKS = {"systems.affordances.offers.2.hours": [20, 120]}  # the stove closes, too
COUNTER = 3  # facility


@pytest.fixture
def room(board):
    return board(ROOM)


def share(state, agent, need):
    return float(fixed.to_float(state.agents.needs[agent, need], fixed.NEED))


def remaining(state):
    return np.asarray(state.slots["affordances"].remaining).tolist()


def needs(*shares):
    return [fixed.to_need(value) for value in shares]


def test_a_shower_of_30_ticks_started_at_10_ends_at_39_with_its_effects(room):
    state = room.step(room.state(tick=9, needs=needs(0.6, 0.3, 0.6)), "use_wash")
    assert int(state.tick) == 10 and remaining(state) == [29, 0]
    states = room.run(state, 29)
    assert [remaining(s)[0] for s in states] == list(range(28, -1, -1))
    last, end = states[-2:]
    assert int(end.tick) == 39
    assert last.agents.needs[0].tolist() == needs(0.6, 0.3, 0.6)  # nothing before the end
    assert end.agents.needs[0].tolist() == [
        needs(0.6)[0],
        needs(0.3)[0] + needs(0.45)[0],
        needs(0.6)[0] + needs(-0.03)[0],
    ]
    assert end.slots["affordances"].completed.tolist() == [True, False]
    assert not last.slots["affordances"].completed.any()


def test_the_price_is_paid_once_at_the_start(room):
    state = room.step(room.state(), "use_wash")
    wallets = {int(s.agents.wallet[0]) for s in [state, *room.run(state, 31)]}
    assert wallets == {9_800}  # 10 coins less 0.2
    assert state.slots["economy"].ledger.tolist()[0] == -200
    assert int(state.agents.wallet[1]) == 10_000


def test_items_are_taken_at_the_start_and_given_at_the_end(room):
    start = room.state(cell=[room.cell(2, 5), room.cell(2, 7)], items=[[2, 0], [2, 0]])
    state = room.step(start, "use_cook")
    assert state.agents.items[0].tolist() == [1, 0]
    states = room.run(state, 39)
    assert states[-2].agents.items[0].tolist() == [1, 0]
    assert states[-1].agents.items[0].tolist() == [1, 1]  # 40 ticks, the start's included
    assert states[-1].agents.items[1].tolist() == [2, 0]


def test_stock_is_taken_at_the_start(room):
    state = room.step(room.state(tick=60), "wait", "use_eat")
    assert state.facilities.stock.tolist() == [0, 0, 0, 2]
    assert room.run(state, 15)[-1].facilities.stock.tolist() == [0, 0, 0, 2]


def test_an_option_starts_it_one_tick_after_it_joined_the_queue(room):
    first = room.step(room.state(), "go_wash")
    assert remaining(first)[0] == 0 and int(first.slots["queues"].facility[0]) == 0
    assert remaining(room.step(first))[0] == 29


def refused(room, start, *names):
    """Nothing starts and nothing is paid."""
    state = room.step(start, *names)
    assert remaining(state) == [0, 0]
    assert state.agents.wallet.tolist() == start.agents.wallet.tolist()
    assert state.agents.items.tolist() == start.agents.items.tolist()
    assert state.facilities.stock.tolist() == start.facilities.stock.tolist()
    assert entries(state) == {}
    return True


def test_a_mill_too_little_buys_nothing(room):
    assert refused(room, room.state(wallet=[199, 10_000]), "use_wash")
    assert remaining(room.step(room.state(wallet=[200, 10_000]), "use_wash")) == [29, 0]


def test_without_the_items_nothing_starts(room):
    at_stove = [room.cell(2, 5), room.cell(2, 7)]
    assert refused(room, room.state(cell=at_stove, items=[[0, 5], [2, 0]]), "use_cook")


def test_without_stock_nothing_starts(room):
    start = room.state(tick=60)
    empty = start.replace(facilities=start.facilities.replace(stock=jnp.zeros(4, jnp.int16)))
    assert refused(room, empty, "wait", "use_eat")


@pytest.mark.parametrize(("tick", "starts"), [(19, False), (20, True), (119, True), (120, False)])
def test_it_starts_from_the_first_to_the_last_tick_of_its_hours(room, tick, starts):
    if not starts:
        assert refused(room, room.state(tick=tick - 1), "wait", "use_eat")
    else:
        assert remaining(room.step(room.state(tick=tick - 1), "wait", "use_eat")) == [0, 14]


def test_hours_come_again_every_day(room):
    assert remaining(room.step(room.state(tick=419), "wait", "use_eat")) == [0, 14]  # 20 past the third midnight


def test_one_step_away_nothing_starts(room):
    assert refused(room, room.state(cell=[room.cell(2, 2), room.cell(2, 7)]), "use_wash")


def test_a_facility_of_another_kind_does_not_make_the_offer(room):
    # agent 0 holds the bed and stands beside it, but its intent asks for a shower there
    state = room.state(cell=[room.cell(2, 3), room.cell(2, 7)])
    one = lambda value, dtype: jnp.full(2, value, dtype)
    queues = state.slots["queues"].replace(facility=one(1, jnp.int16), place=jnp.array([0, 1], jnp.int8))
    for offer, runs in ((0, 0), (1, 59)):  # wash, sleep
        intent = state.intent.replace(verb=one(USE, jnp.int8), arg=one(offer, jnp.int8), facility=one(1, jnp.int16))
        asked = state.put(queues=queues).replace(intent=intent)
        assert remaining(room.only("affordances", asked)) == [runs, 0]


def test_who_stands_behind_another_in_the_queue_does_not_start(room):
    both = room.state(cell=[room.cell(2, 1), room.cell(2, 2)])
    state = room.step(both, "go_wash")
    state = room.step(state, "wait", "use_wash")
    assert remaining(state) == [29, 0] and state.slots["queues"].place.tolist() == [0, 1]


def test_what_runs_cannot_be_started_again_or_left(room):
    state = room.step(room.state(), "use_wash")
    later = room.run(state, 5, "use_wash")[-1]
    assert remaining(later)[0] == 24 and int(later.agents.wallet[0]) == 9_800
    walked = room.run(state, 5, "move_east")[-1]
    assert int(walked.agents.cell[0]) == room.cell(2, 1) and remaining(walked)[0] == 24


def test_an_offer_that_ends_in_the_last_open_tick_is_done(room):
    state = room.step(room.state(tick=104), "wait", "use_eat")  # 105 to 119
    end = room.run(state, 14)[-1]
    assert int(end.tick) == 119 and end.slots["affordances"].completed.tolist() == [False, True]
    assert int(end.agents.needs[1, HUNGER]) == sum(needs(0.6, 0.4))


def test_closing_time_gives_money_and_stock_back(room):
    start = room.state(tick=105)
    state = room.step(start, "wait", "use_eat")  # 106 to 120, but it closes at 120
    assert (int(state.agents.wallet[1]), int(state.facilities.stock[COUNTER])) == (9_600, 2)
    before, end = room.run(state, 14)[-2:]
    assert remaining(before) == [0, 1] and remaining(end) == [0, 0]
    assert (int(end.agents.wallet[1]), int(end.facilities.stock[COUNTER])) == (10_000, 3)
    assert end.agents.needs.tolist() == start.agents.needs.tolist()
    assert entries(end) == {}
    slot = end.slots["affordances"]
    assert slot.finished.tolist() == [False, True] and slot.completed.tolist() == [False, False]
    refunds = [float(affordances.SYSTEM.metrics(room.world, state)["refunds"]) for state in (before, end)]
    assert refunds == [0, 1]


def test_who_is_moved_away_gets_money_and_stock_back_and_nobody_uses_it_meanwhile(room):
    state = room.step(room.state(tick=60), "wait", "use_eat")
    assert (int(state.agents.wallet[1]), int(state.facilities.stock[COUNTER])) == (9_600, 2)
    state = room.run(state, 3)[-1]
    elsewhere = state.agents.cell.at[1].set(room.cell(3, 4))
    after = room.step(state.replace(agents=state.agents.replace(cell=elsewhere)))
    assert (int(after.agents.wallet[1]), int(after.facilities.stock[COUNTER])) == (10_000, 3)
    slot = after.slots["affordances"]
    assert remaining(after) == [0, 0] and slot.finished.tolist() == [False, True] and not slot.completed.any()
    assert entries(after) == {}


def test_closing_time_gives_the_items_back(board):
    room = board(ROOM, **COOKS)
    state = room.step(room.state(tick=99, cell=[room.cell(2, 5), room.cell(2, 7)]), "use_cook")
    assert state.agents.items[0].tolist() == [1, 0]
    end = room.run(state, 20)[-1]
    assert int(end.tick) == 120 and end.agents.items[0].tolist() == [2, 0]


def test_a_refund_does_not_overfill_the_shelf(board):
    room = board(ROOM, **{"systems.affordances.offers.3.hours": [20, 60]})
    state = room.step(room.state(tick=47), "wait", "use_eat")  # 48 to 62; the truck comes at 50, it closes at 60
    assert int(room.run(state, 12)[-1].facilities.stock[COUNTER]) == 3


def test_effects_stop_at_full_and_at_empty(room):
    end = room.run(room.state(needs=needs(0.6, 0.9, 0.01)), 30, "use_wash")[-1]
    assert end.agents.needs[0].tolist() == [needs(0.6)[0], fixed.NEED, 0]


def ended(room, **agents):
    """The state after the last tick of cooking, which gives a meal."""
    start = room.state(cell=[room.cell(2, 5), room.cell(2, 7)], **agents)
    slot = start.slots["affordances"].replace(offer=jnp.array([2, 0], jnp.int8), remaining=jnp.array([1, 0], jnp.int16))
    stove = jnp.array([2, NOTHING], jnp.int16)
    holds = start.slots["queues"].replace(facility=stove)
    start = start.replace(intent=start.intent.replace(facility=stove))
    return room.only("affordances", start.put(affordances=slot, queues=holds))


def test_nobody_carries_more_than_100_of_an_item(room):
    assert ended(room, items=[[0, 99], [0, 0]]).agents.items[0].tolist() == [0, 100]
    assert ended(room, items=[[0, 100], [0, 0]]).agents.items[0].tolist() == [0, 100]


def test_a_large_gift_does_not_wrap_around(board):
    room = board(ROOM, **{"systems.affordances.offers.2.gives": {"meal": 50}})
    assert ended(room, items=[[0, 100], [0, 0]]).agents.items[0].tolist() == [0, 100]


def test_the_dead_finish_nothing(room):
    state = ended(room, alive=[False, True])
    assert remaining(state) == [0, 0] and not state.slots["affordances"].completed.any()
    assert state.agents.items[0].tolist() == [2, 0]


def test_completed_pays_one_in_the_tick_of_the_end(room):
    assert affordances.rewards(room.world, ended(room))["completed"].tolist() == [1_000_000, 0]
