"""Utilities: what stands still in an outage, what comes back, and who is served after it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError
from townlet_jax.core import fixed
from townlet_jax.systems import perturbations, utilities

# the shower's user stands below it at column 3, the queue behind; the stove's and the counter's users below them
BATH = """
    ##########
    #..W..S.C#
    #..0.....#
    #..1.....#
    #h.......#
    ##########
"""
POWER, WATER = range(2)
NEEDS = {"power": ["stove", "shower"], "water": ["shower"]}
OUTAGES = {
    "systems.utilities": {"needs": NEEDS},
    "systems.perturbations": {
        "events": [
            {"name": "blackout", "kind": "outage", "ticks": [5, 5], "utility": "power"},
            {"name": "dry_taps", "kind": "outage", "ticks": [5, 5], "utility": "water"},
        ]
    },
    "systems.affordances.offers.0.stock": 1,
    "systems.economy.stock": {"shower": 2, "counter": 3},
}
SHOWER, STOVE, COUNTER = range(3)
WALLET = 10_000


@pytest.fixture
def bath(board):
    return board(BATH, **OUTAGES)


def outage(bath, state, utility=WATER, ticks=5):
    return perturbations.trigger(bath.world, state, utility, ticks)


def remaining(state):
    return state.slots["affordances"].remaining.tolist()


@pytest.mark.parametrize(
    ("utility", "served"), [(POWER, [False, False, True]), (WATER, [False, True, True])], ids=["power", "water"]
)
def test_what_needs_a_utility_stands_still_without_it(bath, utility, served):
    dark = outage(bath, bath.state(), utility)
    assert utilities.serves(bath.world, bath.state()).tolist() == [True, True, True]
    assert utilities.serves(bath.world, dark).tolist() == served


def test_nothing_begins_without_it_and_nothing_is_paid(bath):
    dark = outage(bath, bath.state())
    assert "use_wash" in bath.mask(bath.state()) and "use_wash" not in bath.mask(dark)
    after = bath.step(dark, "use_wash")
    assert remaining(after) == [0, 0] and after.agents.wallet.tolist() == [WALLET, WALLET]
    assert after.facilities.stock.tolist() == [2, 0, 3]


def test_an_outage_in_the_middle_of_a_shower(bath):
    """Interrupted, paid back to the mill, nobody stuck, and who waits is served after it."""
    state = bath.step(bath.state(), "use_wash")
    state = bath.run(state, 9, "wait", "go_wash")[-1]
    assert remaining(state) == [20, 0] and state.agents.wallet.tolist() == [9_800, WALLET]
    assert state.slots["queues"].place.tolist() == [0, 1] and state.facilities.stock.tolist() == [1, 0, 3]
    before = state.agents.needs

    state = bath.step(outage(bath, state, ticks=5), "wait", "go_wash")
    doing = state.slots["affordances"]
    assert remaining(state) == [0, 0] and doing.finished.tolist() == [True, False] and not doing.completed.any()
    assert state.agents.wallet.tolist() == [WALLET, WALLET] and state.facilities.stock.tolist() == [2, 0, 3]
    assert not state.slots["economy"].ledger.any() and state.agents.needs.tolist() == before.tolist()

    state = bath.step(state, "wait", "go_wash")
    queues = state.slots["queues"]
    assert int(queues.facility[0]) != SHOWER and (int(queues.facility[1]), int(queues.place[1])) == (SHOWER, 0)
    for _ in range(3):  # the rest of the outage
        state = bath.step(state, "move_east", "go_wash")
        assert remaining(state) == [0, 0]
    ran = bath.run(state, 5, "wait", "go_wash")
    assert any(int(s.slots["affordances"].remaining[1]) for s in ran) and int(ran[-1].agents.wallet[1]) == 9_800


def test_who_was_interrupted_may_begin_again_when_it_is_back(bath):
    state = bath.step(bath.state(), "use_wash")
    state = bath.run(outage(bath, state, ticks=2), 2, "use_wash")[-1]
    assert remaining(state) == [0, 0] and "use_wash" in bath.mask(state)  # the mask knows that it will be back
    assert remaining(bath.run(state, 2, "use_wash")[-1])[0] > 0


def test_items_come_back_too(bath):
    at_stove = bath.state(cell=[bath.cell(2, 6), bath.cell(4, 1)])
    state = bath.step(at_stove, "use_cook")
    assert state.agents.items[0].tolist() == [1, 0]
    assert bath.step(outage(bath, state, WATER)).agents.items[0].tolist() == [1, 0]  # a stove needs no water
    assert bath.step(outage(bath, state, POWER)).agents.items[0].tolist() == [2, 0]


def test_both_may_fail_and_both_must_be_back(bath):
    state = outage(bath, outage(bath, bath.state(), POWER, 2), WATER, 4)
    served = []
    for _ in range(5):
        state = bath.step(state)
        served.append(bool(utilities.serves(bath.world, state)[SHOWER]))
    assert served == [False, False, False, False, True]


# --- faults of its own


def faulty(bath, a_day, least=3, most=3):
    fields = {"chance": jnp.int32(fixed.to_chance(a_day)), "ticks": jnp.array([least, most], jnp.int32)}
    return bath.tuned(utilities=fields)


def down(state):
    return state.slots["utilities"].down.tolist()


def test_a_fault_lasts_its_ticks(bath):
    always, never = faulty(bath, 200.0), faulty(bath, 0.0)
    state = always.only("utilities", always.state())
    seen = [down(state)]
    for _ in range(3):
        state = never.only("utilities", state)
        seen.append(down(state))
    assert seen == [[3, 3], [2, 2], [1, 1], [0, 0]]


def test_a_fault_stops_what_needs_it_until_it_has_passed(bath):
    broken = bath.state()
    broken = broken.put(utilities=utilities.Slot(jnp.array([0, 2], jnp.int16)))
    works = lambda ahead: utilities.works(bath.world, broken, broken.tick + ahead).tolist()
    assert [works(0), works(1), works(2)] == [[True, False], [True, False], [True, True]]
    assert utilities.serves(bath.world, broken).tolist() == [False, True, True]


def test_faults_come_as_often_as_they_should(bath):
    room = faulty(bath, 50.0, 1, 9)  # a quarter in each tick
    start = room.state()
    hits = np.array([down(room.only("utilities", start, seed)) for seed in range(200)])
    assert (np.abs((hits > 0).mean(0) - 0.25) < 0.1).all()  # three standard deviations
    assert set(hits[hits > 0]) == set(range(1, 10))
    assert (hits[:, 0] != hits[:, 1]).any()  # each on its own


def test_no_faults_unless_they_are_asked_for(bath):
    start = bath.state()
    assert not np.array([down(bath.only("utilities", start, seed)) for seed in range(50)]).any()


def test_utilities_run_without_events(board):
    room = board(BATH, **{"systems.utilities": {"utilities": ["gas"], "needs": {"gas": ["stove"]}}})
    state = room.state()
    assert utilities.works(room.world, state).tolist() == [True]
    cold = state.put(utilities=utilities.Slot(jnp.array([4], jnp.int16)))
    assert utilities.serves(room.world, cold).tolist() == [True, False, True]
    assert utilities.features(room.world, cold)[0].tolist() == [[0.0], [0.0]]
    assert float(utilities.metrics(room.world, cold)["utilities/gas"]) == 0
    assert jax.tree.leaves(state.slots.get("perturbations")) == []


WRONG = {
    "utility": ({"needs": {**NEEDS, "gas": ["stove"]}}, "needs.gas", "there is no such utility"),
    "kind": ({"needs": {**NEEDS, "water": ["sink"]}}, "needs.water", "'sink' is no kind of facility"),
    "nobody": ({"needs": {"power": ["stove"]}}, "needs", "nothing needs 'water'"),
    "twice": ({"utilities": ["power", "power"], "needs": {"power": ["stove"]}}, "utilities", "stands there twice"),
    "ticks": ({"needs": NEEDS, "fault_ticks": [5, 2]}, "utilities", "1 <= least <= most"),
    "too rare": ({"needs": NEEDS, "fault_per_day": 0.000007}, "fault_per_day", "less than the town can count"),
}


@pytest.mark.parametrize(("section", "path", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused(board, section, path, words):
    with pytest.raises(ConfigError) as caught:
        board(BATH, **{"systems.utilities": section})
    assert f"{path}:" in str(caught.value) and words in str(caught.value)
