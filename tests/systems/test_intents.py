"""Intents: what an action becomes, how long a choice binds, and what ends it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax.core import fixed
from townlet_jax.systems.intents import MOVE, USE, WAIT

# the shower's user stands in column 4, row 3: five steps from agent 0
ROOM = """
    #######
    #0....#
    #1....#
    #h2..W#
    #######
"""
WASH, HOME, NONE = 0, 1, 2  # options of this world


@pytest.fixture
def room(board):
    return board(ROOM)


def option(state):
    return int(state.slots["intents"].option[0])


def verb(state):
    return int(state.intent.verb[0])


def alone(room, cell=(1, 1), **agents):
    """Only agent 0 is alive, so that nobody is in its way."""
    return room.state(alive=[True, False, False], cell=[room.cell(*cell)] * 3, **agents)


def test_the_actions_of_a_world_in_order(room):
    names = ["wait", "move_north", "move_east", "move_south", "move_west", "use_wash", "go_wash", "go_home"]
    assert list(room.world.static.actions.names) == names


@pytest.mark.parametrize(
    ("name", "to"), [("move_north", (1, 3)), ("move_east", (2, 4)), ("move_south", (3, 3)), ("move_west", (2, 2))]
)
def test_a_move_is_one_step_for_one_tick(room, name, to):
    state = room.step(alone(room, (2, 3)), name)
    assert int(state.agents.cell[0]) == room.cell(*to) and verb(state) == MOVE
    state = room.step(state)
    assert int(state.agents.cell[0]) == room.cell(*to) and verb(state) == WAIT


def test_wait_without_a_choice_does_nothing(room):
    state = room.run(alone(room), 3)[-1]
    assert verb(state) == WAIT and option(state) == NONE and int(state.agents.cell[0]) == room.cell(1, 1)


def test_an_option_walks_queues_and_uses_while_one_waits(room):
    states = [room.step(alone(room), "go_wash")]
    states += room.run(states[0], 6)
    distance = room.world.map.distance[:, 0]
    assert [int(distance[s.agents.cell[0]]) for s in states] == [4, 3, 2, 1, 0, 0, 0]
    assert [verb(s) for s in states] == [MOVE] * 5 + [USE] + [WAIT]  # it runs by itself
    assert [int(s.slots["affordances"].remaining[0]) for s in states] == [0, 0, 0, 0, 0, 29, 28]


def test_a_choice_binds_for_15_ticks(room):
    states = [room.step(alone(room), "go_home")]
    states += room.run(states[0], 16, "go_wash")
    assert [option(s) for s in states] == [HOME] * 15 + [WASH] * 2


def test_a_primitive_does_not_break_a_commitment(room):
    states = [room.step(alone(room), "go_home")]
    states += room.run(states[0], 15, "move_east")
    assert [int(s.agents.cell[0]) for s in states[1:]] == [room.cell(3, 1)] * 14 + [room.cell(3, 2)]
    assert option(states[-1]) == NONE


@pytest.mark.parametrize(("hunger", "obeys"), [(0.149, WASH), (0.15, HOME)])
def test_a_need_below_15_per_cent_overrides_it(room, hunger, obeys):
    state = room.step(alone(room, needs=[fixed.to_need(hunger), FINE, FINE]), "go_home")
    assert option(room.step(state, "go_wash")) == obeys


FINE = fixed.to_need(0.6)


def test_wait_carries_on_under_pressure(room):
    state = room.step(alone(room, needs=[0, FINE, FINE]), "go_home")
    assert option(room.step(state, "wait")) == HOME


def test_nothing_overrides_what_runs(room):
    state = room.step(alone(room, (3, 4), needs=[0, FINE, FINE]), "use_wash")
    later = room.run(state, 3, "move_west")[-1]
    assert int(later.agents.cell[0]) == room.cell(3, 4) and int(later.slots["affordances"].remaining[0]) == 26


def test_a_finished_use_frees_one_before_the_15_ticks_are_over(board):
    room = board(ROOM, **{"systems.affordances.offers.0.ticks": 5})
    states = [room.step(alone(room, (3, 4)), "go_wash")]  # joins at tick 1, starts at 2, ends at 6
    states += room.run(states[0], 5)
    assert [bool(s.slots["affordances"].completed[0]) for s in states] == [False] * 5 + [True]
    assert int(states[-1].slots["intents"].commit[0]) > 0
    assert "go_home" in room.mask(states[-1])
    assert option(room.step(states[-1], "go_home")) == HOME
    assert option(room.step(states[-1], "wait")) == NONE


def test_an_option_runs_out_when_nobody_renews_it(room):
    states = [room.step(alone(room), "go_home")]
    states += room.run(states[0], 15)
    assert [option(s) for s in states] == [HOME] * 15 + [NONE]


@pytest.mark.parametrize("action", [-1, -(2**31), 8, 127, 128, 256, 2**31 - 1])
def test_an_action_out_of_range_counts_as_wait(room, action):
    free = alone(room)
    step = lambda value: room.only("intents", free.replace(actions=jnp.full(3, value, jnp.int32)))
    wild, still = step(action), step(0)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), wild.replace(actions=still.actions), still)
    assert all(jax.tree.leaves(same))
    assert option(step(7)) == HOME  # 7 is the last that counts


def test_the_priority_is_a_new_permutation_every_tick(room):
    orders = [tuple(room.step(alone(room), seed=seed).intent.priority.tolist()) for seed in range(60)]
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len(set(orders)) == 6


def test_the_arguments_name_the_offer_and_the_facility(room):
    state = room.step(alone(room, (3, 4)), "use_wash")
    assert (verb(state), int(state.intent.arg[0]), int(state.intent.facility[0])) == (USE, WASH, 0)
    assert int(state.slots["intents"].commit[0]) == 0  # a primitive binds for its own tick only


def test_each_option_leads_where_its_name_says(board):
    town = board("""
        ###########
        #W.B.S.C.@#
        #.........#
        #h..0...K.#
        ###########
    """)
    ends = {}
    for name in ("go_wash", "go_sleep", "go_cook", "go_eat", "go_home", "go_work"):
        state = town.run(town.state(tick=80), 12, name)[-1]  # the counter is open, work may be sought
        ends[name] = divmod(int(state.agents.cell[0]), 11)
    assert ends == {
        "go_wash": (2, 1),
        "go_sleep": (2, 3),
        "go_cook": (2, 5),
        "go_eat": (2, 7),
        "go_home": (3, 1),
        "go_work": (3, 8),
    }
    assert np.asarray(state.agents.alive).all()
