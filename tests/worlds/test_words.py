"""Words and times that fit nowhere are refused by path, with what is allowed and the nearest word."""

import pytest

from townlet_jax import ConfigError

HOUSE = """
    #########
    #W.B.S.C#
    #0..1..K#
    #@.....h#
    #########
"""
OFFERS = "systems.affordances.offers"
JOB = "systems.employment.jobs.0"


def refusals(board, drawing=HOUSE, **overrides):
    with pytest.raises(ConfigError) as error:
        board(drawing, **overrides)
    return error.value.messages


UNKNOWN = {
    "need of decay": ({"systems.needs.decay.hunge": 0.1}, "systems.needs.decay.hunge", "no such need", "'hunger'"),
    "need of weight": (
        {"systems.needs.weight.energie": 1.0},
        "systems.needs.weight.energie",
        "no such need",
        "'energy'",
    ),
    "need of an effect": (
        {f"{OFFERS}.0.effects": {"hygeine": 0.4}},
        f"{OFFERS}.0.effects.hygeine",
        "no such need",
        "'hygiene'",
    ),
    "need of collapse": (
        {"systems.lifecycle.collapse": {"huger": 0.1}},
        "systems.lifecycle.collapse.huger",
        "no such need",
        "'hunger'",
    ),
    "item at the start": ({"start.items": {"meel": 1}}, "start.items.meel", "no such item", "'meal'"),
    "item taken": ({f"{OFFERS}.2.takes": {"row": 1}}, f"{OFFERS}.2.takes.row", "no such item", "'raw'"),
    "item given": ({f"{OFFERS}.2.gives": {"meals": 1}}, f"{OFFERS}.2.gives.meals", "no such item", "'meal'"),
    "item of the kit": (
        {"systems.lifecycle.kit_items": {"rwa": 1}},
        "systems.lifecycle.kit_items.rwa",
        "no such item",
        "'raw'",
    ),
    "kind of an offer": ({f"{OFFERS}.0.at": "showr"}, f"{OFFERS}.0.at.showr", "no such kind of facility", "'shower'"),
    "kind of a stock": (
        {"systems.economy.stock": {"conter": 3}},
        "systems.economy.stock.conter",
        "no such kind",
        "'counter'",
    ),
    "priced offer": ({"systems.economy.prices": {"wsh": 0.1}}, "systems.economy.prices.wsh", "no such offer", "'wash'"),
    "job of a post": ({"map.legend.K.post": "clark"}, "map.legend.post.clark", "no such job", "'clerk'"),
    "terminal term": (
        {"systems.rewards.terminal": ["termnal"]},
        "systems.rewards.terminal.termnal",
        "no such term",
        "'terminal'",
    ),
}


@pytest.mark.parametrize(("overrides", "path", "what", "near"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_word(board, overrides, path, what, near):
    lines = [line for line in refusals(board, **overrides) if f": {path}: " in line]
    assert len(lines) == 1
    assert what in lines[0] and "(allowed: " in lines[0] and f"Did you mean {near}?" in lines[0]


def test_an_unknown_reward_term(board):
    assert "there is no such reward term" in refusals(board, **{"systems.rewards.weights.survivel": 0.002})[0]


RANGES = {
    "decay": (
        {"systems.needs.decay.hunger": 1.5},
        "systems.needs.decay.hunger: 1.5 is not allowed (allowed: 0.0 to 1.0",
    ),
    "effect": (
        {f"{OFFERS}.0.effects.hygiene": 1.2},
        f"{OFFERS}.0.effects.hygiene: 1.2 is not allowed (allowed: -1.0 to 1.0",
    ),
    "takes": ({f"{OFFERS}.2.takes.raw": 101}, "takes.raw: 101 is not allowed (allowed: 0 to 100"),
    "price": (
        {"systems.economy.prices.wash": -0.1},
        "systems.economy.prices.wash: -0.1 is not allowed (allowed: 0.0 to 1000.0 coins)",
    ),
    "stock": (
        {"systems.economy.stock.counter": 10001},
        "stock.counter: 10001 is not allowed (allowed: 0 to 10000 units)",
    ),
    "restock_at": (
        {"systems.economy.restock_at": 200},
        "systems.economy.restock_at: 200 is not allowed (allowed: 0 to 199",
    ),
    "rent_at": ({"systems.economy.rent_at": 200}, "systems.economy.rent_at: 200 is not allowed (allowed: 0 to 199"),
    "weight": (
        {"systems.rewards.weights.needs": 4.5},
        "systems.rewards.weights.needs: 4.5 is not allowed (allowed: 0.0 to 4.0",
    ),
    "collapse": (
        {"systems.lifecycle.collapse.hunger": 2.0},
        "collapse.hunger: 2.0 is not allowed (allowed: 0.0 to 1.0",
    ),
    "hours past midnight": (
        {f"{OFFERS}.3.hours": [20, 201]},
        "hours: [20, 201] is not allowed (allowed: 0 <= first < last <= 200",
    ),
    "hours backwards": ({f"{OFFERS}.3.hours": [120, 20]}, "hours: [120, 20] is not allowed"),
    "shift": ({f"{JOB}.end": 100}, f"{JOB}.end: [100, 100] is not allowed"),
    "start": ({"start.tick": [0, 200]}, "start.tick: 200 is not allowed (allowed: 0 to 199"),
    "arrival": (
        {"systems.lifecycle.arrive_after": [9, 3]},
        "arrive_after: [9, 3]: allowed are 1 <= least <= most <= 100",
    ),
}


@pytest.mark.parametrize(("overrides", "message"), RANGES.values(), ids=RANGES)
def test_a_number_out_of_its_range(board, overrides, message):
    assert any(message in line for line in refusals(board, **overrides))


def test_a_shift_may_end_at_midnight_and_no_later(board):
    assert board(HOUSE, **{f"{JOB}.end": 200}).world.params["employment"].end[0] == 200
    assert "<= 200" in refusals(board, **{f"{JOB}.end": 201})[0]


MISSING = {
    "decay of a need": ({"needs": ["hunger", "hygiene", "energy", "fun"]}, "systems.needs.decay: 'fun' is missing"),
    "a need twice": ({"needs": ["hunger", "hygiene", "energy", "hunger"]}, "needs: 'hunger' stands there twice"),
    "an offer twice": ({f"{OFFERS}.1.name": "wash"}, f"{OFFERS}.1.name: 'wash' is the name of an offer above"),
    "a job twice": (
        {"systems.employment.jobs": [{"name": "clerk", "start": 100, "end": 160, "wage": 0.02}] * 2},
        "'clerk' is the name of a job above",
    ),
    "a post": ({"systems.employment.jobs.0.name": "baker"}, "the job 'baker' has no post on the map"),
    "a home": ({"map.legend.h.home": False}, "no home on the map"),
    "an entry": ({"map.legend.@.entry": False}, "no entry on the map"),
    "the economy": (
        {"systems.economy": None},
        "systems.affordances: needs the system 'economy', which this world does not run",
    ),
    "queues": ({"systems.queues": None}, "systems.intents: needs the system 'queues'"),
    "movement": ({"systems.movement": None}, "systems.intents: needs the system 'movement'"),
}


@pytest.mark.parametrize(("overrides", "message"), MISSING.values(), ids=MISSING)
def test_what_is_missing_or_there_twice(board, overrides, message):
    assert any(message in line for line in refusals(board, **overrides))


def test_every_fault_is_told_at_once(board):
    lines = refusals(board, **{"start.items": {"meel": 1}, "systems.economy.rent_at": 999, f"{OFFERS}.0.at": "showr"})
    assert len(lines) == 3


def test_a_fault_names_the_source_and_the_line(board):
    assert refusals(board, **{"systems.economy.rent_at": 999})[0].startswith("overrides:1: systems.economy.rent_at")
