"""What offers require: every variable of the vector, and what follows from it for masks and starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError
from townlet_jax.core import fixed
from townlet_jax.systems import affordances, predicates

# facilities in the order of the map: the shower, the bed, the counter; the clerk's post
ROOM = """
    #########
    #W.B.C.K#
    #0..h..1#
    #.......#
    #########
"""
OFFER = "systems.affordances.offers"
WASH, SLEEP, EAT = range(3)


def asks(board, text, offer=WASH):
    return board(ROOM, **{f"{OFFER}.{offer}.requires": text})


def starts(room, state, *names):
    """Who is busy after one tick of these actions."""
    return (np.asarray(room.step(state, *names).slots["affordances"].remaining) > 0).tolist()


def test_a_world_that_requires_nothing_has_no_table(board):
    assert "requires" not in board(ROOM).world.params


def test_a_table_has_a_row_of_boxes_for_each_offer(board):
    table = asks(board, "wallet >= 1 or time < 50").world.params["requires"]
    assert table.low.shape == table.high.shape == (3, predicates.CLAUSES, 15)
    assert (
        np.asarray(table.low <= table.high).all(-1).sum(-1) == [2, 1, 1]
    ).all()  # the others ask nothing, in one box


CASES = {
    "need.hunger < 0.6": ({"needs": [fixed.to_need(0.6) - 1, 0, 0]}, {"needs": [fixed.to_need(0.6), 0, 0]}),
    "need.energy >= 0.25": ({"needs": [0, 0, fixed.NEED // 4]}, {"needs": [0, 0, fixed.NEED // 4 - 1]}),
    "wallet >= 1.5": ({"wallet": 1500}, {"wallet": 1499}),
    "item.meal == 2": ({"items": [0, 2]}, {"items": [2, 1]}),
    "item.raw != 2": ({"items": [1, 0]}, {"items": [2, 0]}),
    "generation > 0": ({"generation": 1}, {"generation": 0}),
    "20 <= time < 40": ({"tick": 219}, {"tick": 239}),
    "day >= 1": ({"tick": 199}, {"tick": 198}),
    "wallet > 5 and item.meal > 0 or item.raw > 9": (
        {"items": [10, 0], "wallet": 1000},
        {"items": [9, 9], "wallet": 5000},
    ),
    "not (wallet < 5 or item.meal > 0)": ({"wallet": 5000}, {"wallet": 9000, "items": [0, 1]}),
}


@pytest.mark.parametrize(("text", "met", "unmet"), [(text, *pair) for text, pair in CASES.items()], ids=CASES)
def test_it_begins_where_the_expression_holds_and_the_mask_says_so(board, text, met, unmet):
    room = asks(board, text)
    for fields, begins in ((met, True), (unmet, False)):
        state = room.state(**fields)
        assert ("use_wash" in room.mask(state), starts(room, state, "use_wash")[0]) == (begins, begins)


def test_nothing_is_paid_where_it_does_not_hold(board):
    room = asks(board, "item.meal > 0")
    state = room.run(room.state(), 3, "use_wash")[-1]
    assert int(state.agents.wallet[0]) == 10_000 and not state.slots["economy"].ledger.any()


def test_only_the_offer_that_requires_it_is_refused(board):
    room = asks(board, "item.meal > 0")
    assert "go_wash" not in room.mask(room.state()) and "go_sleep" in room.mask(room.state())


def test_at_home_is_a_step_from_the_middle_of_the_home(board):
    room = asks(board, "at_home", SLEEP)
    spots = {(3, 4): True, (2, 4): True, (2, 3): True, (3, 3): False, (2, 1): False}
    seen = {spot: "go_sleep" in room.mask(room.state(cell=[room.cell(*spot), room.cell(2, 7)])) for spot in spots}
    assert seen == spots


def test_on_shift(board):
    room = asks(board, "not on_shift", EAT)
    seen = [("go_eat" in room.mask(state)) for state in room.run(room.state(tick=97), 4)]
    assert seen == [True, True, False, False]  # the shift begins at 100, and from then on the clerk is on it


def test_stock_is_that_of_the_facility(board):
    room = asks(board, "stock >= 3", EAT)
    state = room.state(tick=30)
    assert "go_eat" in room.mask(state)
    sold = state.replace(facilities=state.facilities.replace(stock=state.facilities.stock - jnp.int16(1)))
    assert "go_eat" not in room.mask(sold)


def queueing(room, *facilities, runs=(0, 0)):
    """Both stand in the queues of these facilities."""
    state = room.state()
    queue = state.slots["queues"].replace(facility=jnp.array(facilities, jnp.int16))
    doing = state.slots["affordances"].replace(remaining=jnp.array(runs, jnp.int16))
    return state.put(queues=queue, affordances=doing)


def test_waiting_counts_the_others(board):
    room = asks(board, "waiting < 1")
    both = affordances.available(room.world, queueing(room, 0, 1))[:, WASH]
    assert both.tolist() == [True, False]  # agent 0 stands there itself


def test_occupied_is_a_use_by_another(board):
    room = asks(board, "not occupied")
    assert affordances.available(room.world, queueing(room, 0, 1))[:, WASH].tolist() == [True, True]
    assert affordances.available(room.world, queueing(room, 0, 1, runs=(9, 9)))[:, WASH].tolist() == [True, False]


def test_own_is_what_belongs_to_the_home(town):
    state = town.reset(jax.random.key(0))
    words = predicates.variables(town.world.static.names, ("employment",), 1440, ())
    own = [word.name for word in words].index("own")
    route, _ = affordances.routes(town.world, state)
    found = jnp.stack(predicates.columns(town.world, state, state.tick, route), axis=-1)
    names = town.world.static.names
    assert found.shape == (8, len(names.offers), len(words)) and found.dtype == jnp.int32
    home = np.array([kind in ("bed", "shower", "stove", "fridge") for kind in names.offer_kinds])
    assert (np.asarray(found[:, :, own]) == home[None, :]).all()


def test_a_vector_for_one_facility_is_a_row_of_that_for_all(board):
    room = asks(board, "wallet > 0")
    state = room.state(wallet=[1234, 99])
    route, _ = affordances.routes(room.world, state)
    table = predicates.columns(room.world, state, state.tick, route)
    for offer in range(3):
        for one, each in zip(predicates.columns(room.world, state, state.tick, route[:, offer]), table):
            assert (one == each[:, offer]).all()


def test_who_cannot_begin_does_not_block_the_shower(board):
    """In place of freeing the reservation at once: it is lost when `start_within` has passed, and nobody is stuck."""
    room = board(ROOM, **{f"{OFFER}.{WASH}.requires": "item.meal > 0", "systems.queues.fairness": {}})
    state = room.state(items=[[0, 0], [0, 1]], cell=[room.cell(2, 1), room.cell(2, 3)])
    done = [int(s.tick) for s in room.run(state, 60, "go_wash", "go_wash") if bool(s.slots["affordances"].completed[1])]
    assert len(done) == 1 and done[0] <= 11 + 6 + 30  # start_within, the handover, the use


@pytest.mark.parametrize(("down", "can"), [((0, 0), True), ((9, 0), False), ((0, 9), False)])
def test_a_shower_needs_power_and_water(board, down, can):
    """The counter alone is connected, so that it is the expression that refuses."""
    room = board(
        ROOM,
        **{
            f"{OFFER}.{WASH}.requires": "power == true and water",
            "systems.utilities": {"needs": {"power": ["counter"], "water": ["counter"]}},
        },
    )
    state = room.state()
    state = state.put(utilities=state.slots["utilities"].replace(down=jnp.array(down, jnp.int16)))
    assert affordances.available(room.world, state)[:, WASH].tolist() == [can, can]
    assert affordances.available(room.world, state)[:, SLEEP].tolist() == [True, True]


MANIFEST = {
    "a duplicate": ({f"{OFFER}.1.name": "wash"}, f"{OFFER}.1.name: 'wash' is the name of an offer above"),
    "a missing duration": (
        {OFFER: [{"name": "wash", "at": "shower"}]},
        f"{OFFER}.0.ticks: required key is missing (allowed: an integer, 1 <= ticks <= 1000",
    ),
    "an effect that is no number": (
        {f"{OFFER}.0.effects": {"hunger": "much"}},
        "effects.hunger: 'much' is not a number",
    ),
    "a call": (
        {f"{OFFER}.0.requires": "len(wallet) > 2"},
        f"{OFFER}.0.requires: len(...) is a call, and calls are refused",
    ),
    "an unknown word": ({f"{OFFER}.0.requires": "walet > 2"}, "Did you mean 'wallet'?"),
    "a word of a system that is off": ({f"{OFFER}.0.requires": "power"}, "there is no word 'power'"),
}


@pytest.mark.parametrize(("overrides", "message"), MANIFEST.values(), ids=MANIFEST)
def test_a_manifest_that_is_refused(board, overrides, message):
    with pytest.raises(ConfigError) as error:
        board(ROOM, **overrides)
    assert any(message in line for line in error.value.messages), error.value.messages
