"""Stage directions and orders: what a timeline does at its ticks, what people do who are possessed, and what YAML is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import ConfigError, testing
from townlet_jax.core import fixed
from townlet_jax.systems import edits

ROOM = "########\n#h.W..C#\n#0....1#\n#@.....#\n########"
ORDERS = {"systems.intents.possession": True}
TWO = {"start.residents": [{"name": "ann", "cell": [2, 1]}, {"name": "bob", "cell": [2, 6]}]}


def timeline(*entries):
    """A timeline of (tick, verb, what else)."""
    return {**TWO, "systems.timeline": {"entries": [{"at": at, "do": do, **more} for at, do, more in entries]}}


def sound(room, states):
    for state in states:
        assert [rule for rule, holds in testing.invariants(room.world, state).items() if not bool(holds)] == []


def test_each_direction_is_carried_out_in_its_tick_and_once(board):
    entries = (
        (2, "teleport", {"agent": "ann", "cell": [3, 5]}),
        (3, "need", {"agent": "bob", "need": "hygiene", "value": 0.25}),
        (3, "give", {"agent": 1, "coins": -2.5}),
        (4, "give", {"agent": "ann", "coins": 1.0}),
        (4, "teleport", {"agent": "bob", "cell": [0, 0]}),  # a wall
    )
    room = board(ROOM, **timeline(*entries))
    states = room.run(room.state(), 6)
    assert [room.cell(2, 1)] + [room.cell(3, 5)] * 5 == [int(state.agents.cell[0]) for state in states]
    assert [state.agents.wallet.tolist() for state in states[1:4]] == [[10000, 10000], [10000, 7500], [11000, 7500]]
    needs = [int(state.agents.needs[1, 1]) for state in states]
    assert needs == [fixed.to_need(0.6)] * 2 + [fixed.to_need(0.25)] * 4
    counted = [(int(state.slots["timeline"].done), int(state.slots["timeline"].failed)) for state in states]
    assert counted == [(0, 0), (1, 0), (2, 0), (1, 1), (0, 0), (0, 0)]
    sound(room, states)


def test_of_one_tick_the_first_verb_comes_first_then_the_first_line(board):
    """Ann must have left her cell before Bob can be put there, and is paid before Bob's purse is emptied."""
    moves = ((1, "give", {"agent": "bob", "coins": 5.0}), (1, "teleport", {"agent": "ann", "cell": [3, 5]}))
    room = board(ROOM, **timeline(*moves, (1, "teleport", {"agent": "bob", "cell": [2, 1]})))
    state = room.step(room.state())
    assert state.agents.cell.tolist() == [room.cell(3, 5), room.cell(2, 1)] and int(state.slots["timeline"].done) == 3
    turned = ((1, "teleport", {"agent": "bob", "cell": [2, 1]}), (1, "teleport", {"agent": "ann", "cell": [3, 5]}))
    room = board(ROOM, **timeline(*turned, (1, "give", {"agent": "bob", "coins": 5.0})))
    state = room.step(room.state())
    assert state.agents.cell.tolist() == [room.cell(3, 5), room.cell(2, 6)] and int(state.slots["timeline"].failed) == 1


def test_somebody_leaves_and_somebody_comes_when_told(board):
    """Removed in tick 2, somebody new in tick 4, long before the 5 to 20 ticks are over; that costs nobody a penalty."""
    room = board(ROOM, **timeline((2, "remove", {"agent": "bob"}), (4, "spawn", {"agent": "bob"})))
    states = room.run(room.state(), 5)
    assert [bool(state.agents.alive[1]) for state in states] == [True, False, False, True, True]
    assert [int(state.agents.generation[1]) for state in states] == [0, 0, 0, 1, 1]
    assert int(states[1].reward[1]) == 0 and bool(states[1].terminated[1])
    assert int(states[3].agents.cell[1]) == room.cell(3, 1)  # the entry
    sound(room, states)


def test_cases_in_the_exit_queue_are_decided(board):
    """Both are caught in tick 1. Ann is approved in tick 3 and leaves; Bob is deferred in tick 4, with a clean sheet."""
    office = "########\n#h.W.KC#\n#0....1#\n#@.....#\n########"
    verdicts = ((3, "approve", {"agent": "ann"}), (4, "defer", {"agent": "bob"}), (5, "approve", {"agent": "bob"}))
    on = {"systems.timesheets": {}, "systems.reviews": {}}
    room = board(office, **timeline(*verdicts), **on)
    state = room.state()
    sheets = state.slots["timesheets"]
    state = state.put(timesheets=sheets.replace(absent=jnp.ones_like(sheets.absent)))
    states = room.run(state, 5)
    waits = [state.slots["reviews"].pending.tolist() for state in states]
    assert waits == [[True, True]] * 2 + [[False, True]] + [[False, False]] * 2
    assert [state.agents.alive.tolist() for state in states] == [[True, True]] * 2 + [[False, True]] * 3
    assert [int(state.slots["timesheets"].absent[1].sum()) for state in states] == [7, 7, 7, 0, 0]
    counted = [(int(state.slots["timeline"].done), int(state.slots["timeline"].failed)) for state in states]
    assert counted == [(0, 0), (0, 0), (1, 0), (1, 0), (0, 1)]
    sound(room, states)


@pytest.fixture
def room(board):
    return board(ROOM, **ORDERS)


def do(room, state, verb, *arguments):
    """One edit, and whether it was done."""
    return getattr(edits, verb)(room.world, state, *(jnp.int32(argument) for argument in arguments))


def action(room, name):
    return room.world.static.actions.names.index(name)


def test_who_is_possessed_acts_on_orders_only(room):
    state, done = do(room, room.step(room.state()), "possess", 0)
    assert bool(done) and state.slots["intents"].possessed.tolist() == [True, False]
    assert state.slots["intents"].reset.tolist() == [True, False]
    assert room.mask(state) == ["wait"]
    state = room.step(state, "move_east", "move_west")
    assert state.agents.cell.tolist() == [room.cell(2, 1), room.cell(2, 5)]  # one's own will counts for nothing
    state, done = do(room, state, "command", 0, action(room, "move_east"))
    assert bool(done)
    states = room.run(state, 2)
    assert [int(state.agents.cell[0]) for state in states] == [room.cell(2, 2)] * 2  # an order is for one tick
    sound(room, states)


def test_who_is_released_acts_again(room):
    state, _ = do(room, room.step(room.state()), "possess", 0)
    assert not bool(do(room, state, "release", 1)[1])  # who is not possessed cannot be released
    state, done = do(room, state, "release", 0)
    assert bool(done)
    assert int(room.step(state, "move_east").agents.cell[0]) == room.cell(2, 2)


def test_an_order_is_taken_by_the_free_too_and_the_last_one_counts(room):
    state = room.step(room.state())
    for name in ("move_south", "move_east"):
        state, done = do(room, state, "command", 0, action(room, name))
        assert bool(done)
    state = room.step(state, "move_north", "move_west")
    assert state.agents.cell.tolist() == [room.cell(2, 2), room.cell(2, 5)]


def test_an_order_to_take_an_option_is_a_goal(room):
    """Two steps to the place below the shower; the order binds for 15 ticks like a choice, so that washing begins in the third."""
    state, _ = do(room, room.step(room.state()), "possess", 0)
    state, _ = do(room, state, "command", 0, action(room, "go_wash"))
    states = room.run(state, 4)
    assert [int(state.slots["affordances"].remaining[0]) for state in states] == [0, 0, 29, 28]
    assert int(states[-1].agents.cell[0]) == room.cell(2, 3)


def test_who_uses_something_cannot_be_possessed_or_ordered_about(room):
    state = room.run(room.state(cell=[room.cell(2, 3), room.cell(2, 6)]), 2, "go_wash")[-1]
    assert int(state.slots["affordances"].remaining[0]) > 0
    for verb, arguments in (("possess", (0,)), ("command", (0, 1))):
        after, done = do(room, state, verb, *arguments)
        assert not bool(done)
        jax.tree.map(np.testing.assert_array_equal, after, state)


def test_without_possession_nobody_takes_orders(board):
    plain = board(ROOM)
    state = plain.step(plain.state())
    assert state.slots["intents"].possessed is None
    for verb, arguments in (("possess", (0,)), ("release", (0,)), ("command", (0, 1))):
        after, done = do(plain, state, verb, *arguments)
        assert after is state and not bool(done)


def test_the_possession_ends_with_the_person(room):
    state, _ = do(room, room.step(room.state()), "possess", 1)
    state, _ = do(room, state, "command", 1, action(room, "move_west"))
    state, _ = do(room, state, "remove", 1)
    states = room.run(state, 2)
    assert states[-1].slots["intents"].possessed.tolist() == [False, False]
    sound(room, states)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ((1, "teleport", {"agent": "ann"}), "teleport needs `cell`"),
        (
            (1, "give", {"agent": "ann", "coins": 1.0, "need": "hunger"}),
            r"`need` means nothing to give \(it has: agent",
        ),
        ((1, "give", {"agent": "carl", "coins": 1.0}), r"no resident 'carl' \(allowed: ann, bob, slots 0 to 1\)"),
        ((1, "give", {"agent": 2, "coins": 1.0}), r"there is no slot 2 \(allowed: slots 0 to 1\)"),
        ((1, "need", {"agent": "ann", "need": "thirst", "value": 0.5}), "there is no need 'thirst'"),
        ((1, "need", {"agent": "ann", "need": "hunger", "value": 1.5}), "1.5"),
        ((0, "give", {"agent": "ann", "coins": 1.0}), "at"),
        ((1, "dance", {"agent": "ann"}), "dance"),
        ((1, "tie", {"agent": "ann", "other": "bob"}), "tie needs the system 'relationships'"),
        ((1, "chat", {"agent": "ann", "other": 0}), "it takes two"),
        ((1, "chat", {"agent": "ann", "other": "ann"}), "it takes two"),
        ((1, "event", {"event": "storm"}), "event needs the system 'perturbations'"),
        ((1, "event", {"event": "storm", "agent": "ann"}), "say both `agent` and `other`"),
        ((1, "possess", {"agent": "ann"}), "possess needs systems.intents.possession"),
        ((1, "defer", {"agent": "ann"}), "defer needs the system 'reviews'"),
        ((1, "teleport", {"agent": "ann", "cell": [9, 1]}), r"\[9, 1\] is not on the map of 5 x 8 cells"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_directions_that_make_no_sense_are_refused(board, entry, message):
    with pytest.raises(ConfigError, match=message):
        board(ROOM, **timeline(entry))


def test_an_order_must_be_an_action_that_there_is(board):
    with pytest.raises(ConfigError, match="there is no action 'go_fly'"):
        board(ROOM, **ORDERS, **timeline((1, "command", {"agent": "ann", "action": "go_fly"})))


def test_an_event_must_be_one_that_there_is(board):
    events = {"systems.perturbations": {"events": [{"name": "feast", "kind": "chaos", "ticks": [5, 9]}]}}
    with pytest.raises(ConfigError, match=r"there is no event 'storm' \(allowed: feast\)"):
        board(ROOM, **events, **timeline((1, "cancel", {"event": "storm"})))
    room = board(
        ROOM, **events, **timeline((1, "event", {"event": "feast", "ticks": 9}), (4, "cancel", {"event": "feast"}))
    )
    on = [int(state.slots["perturbations"].ends[0]) > int(state.tick) for state in room.run(room.state(), 5)]
    assert on == [True, True, True, False, False]
