"""The path hint: the next step to what one has chosen, to whom one looks for, and to the meeting to which one is called."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax.core import fixed
from townlet_jax.core.grid import ARRIVED, DIRECTIONS
from townlet_jax.observe import schema
from townlet_jax.systems import intents, perturbations

# two rooms with one door between them, and a yard; 0 and 1 stand wall to wall, a long way from each other
ROOMS = """
    ###########
    #h...#..W.#
    #...0#1...#
    #....#....#
    #....+....#
    #@...#...S#
    ###########
"""
TOWARDS_1 = ["south", "south", "east", "east", "north"]  # through the door, until 1 is across a corner
SOCIAL = {"systems.relationships": {"stage": "C3"}, "systems.chat": {}}
MEETS = {
    "systems.perturbations": {"events": [{"name": "party", "kind": "meet", "ticks": [30, 30], "location": "shower"}]}
}
TOWARDS_SHOWER = ["south", "south", "east", "east", "north", "east"]
WELL, HUNGRY = fixed.to_need(0.6), fixed.to_need(0.1)


def hints(board, state):
    """The ways shown to each agent; None where there is none."""
    entry = next(entry for entry in schema(board.world) if entry.name == "path_hint")
    rows = np.asarray(board.observe(state).features[:, entry.start : entry.stop])
    assert set(np.unique(rows)) <= {0.0, 1.0} and (rows.sum(1) <= 1).all()
    return [DIRECTIONS[int(row.argmax())] if row.any() else None for row in rows]


def steps(board, state, num_ticks):
    """What 0 was shown before each of some ticks in which all wait, how it went then, and the last state."""
    shown, went = [], []
    for _ in range(num_ticks):
        shown.append(hints(board, state)[0])
        before, state = int(state.agents.cell[0]), board.step(state)
        moved = board.world.map.neighbour[before] == state.agents.cell[0]
        went.append(DIRECTIONS[int(moved.argmax())] if int(state.agents.cell[0]) != before else None)
    return shown, went, state


def invited(board, state, *agents):
    """The state with those called to the party."""
    chosen = jnp.array([agent in agents for agent in range(board.world.static.num_agents)])
    return perturbations.trigger(board.world, state, 0, None, None, chosen)


def test_to_whom_one_looks_for_it_leads_through_the_door(board):
    rooms = board(ROOMS, **SOCIAL)
    state = rooms.step(rooms.state(tick=1), "go_talk")
    assert int(state.slots["intents"].partner[0]) == 1
    shown, went, state = steps(rooms, state, 4)
    assert ["south", *shown] == TOWARDS_1 and went == shown  # the first step was taken with the choice
    assert hints(rooms, state) == [None, None]  # beside 1, who looks for nobody: now one speaks


def test_it_follows_who_walks_away(board):
    yard = board("#########\n#h0...1.#\n#@..W...#\n#########", **SOCIAL)
    state = yard.step(yard.state(tick=1), "go_talk")
    assert hints(yard, state)[0] == "east"
    away = jnp.array([yard.cell(1, 3), yard.cell(1, 1)], jnp.uint16)
    away = state.replace(agents=state.agents.replace(cell=away))  # two steps behind it
    assert hints(yard, away)[0] == "west"
    gone = state.replace(agents=state.agents.replace(alive=jnp.array([True, False])))
    assert hints(yard, gone) == [None, None]  # it is looked for no more


def test_to_a_meeting_it_leads_whom_it_calls(board):
    rooms = board(ROOMS, **MEETS)
    state = invited(rooms, rooms.state(tick=1), 0, 1)
    shown, went, _ = steps(rooms, state, len(TOWARDS_SHOWER))
    assert shown == TOWARDS_SHOWER and went == shown
    assert hints(rooms, rooms.state(tick=1)) == [None, None]  # nobody is called
    some = invited(rooms, rooms.state(tick=1, needs=[[WELL] * 3, [WELL, HUNGRY, WELL]]), 0, 1)
    assert hints(rooms, some) == ["south", None]  # a hard need comes first


def test_a_meeting_comes_before_company_and_both_before_the_option(board):
    rooms = board(ROOMS, **SOCIAL, **MEETS)
    looks = rooms.step(rooms.state(tick=1), "go_talk")
    there = rooms.cell(4, 7)  # right below 1, in the room of the shower
    looks = looks.replace(agents=looks.agents.replace(cell=jnp.array([there, rooms.cells[1]], jnp.uint16)))
    home = rooms.step(rooms.state(tick=1), "go_home")
    assert hints(rooms, looks)[0] == "north"
    assert hints(rooms, home)[0] == "west"
    called = invited(rooms, looks, 0, 1)
    hop = rooms.world.map.next_hop[there, called.slots["perturbations"].people.target[0]]
    assert hints(rooms, called)[0] == DIRECTIONS[int(hop)] == "east"
    assert hints(rooms, invited(rooms, home, 0, 1))[0] == "south"


def look_ups(board, **overrides):
    """How many gathers the hint takes beyond those of the way of the option."""
    world, state = board(ROOMS, **overrides).world, board(ROOMS, **overrides).state()
    count = lambda function: len(re.findall(r"\bgather\[", str(jax.make_jaxpr(function)(state))))
    target = count(lambda state: intents.walk_target(world, state, state.slots["intents"]))
    return count(lambda state: intents.heading(world, state)) - target


def test_it_looks_the_way_up_once_whatever_there_is_to_look_for(board):
    assert look_ups(board) == 1
    assert look_ups(board, **MEETS) == 1


def test_where_nothing_else_happens_it_is_the_step_that_is_taken(board):
    """Random people in a town with company and meetings: who is shown a way and waits goes that way, or nowhere."""
    rooms = board(ROOMS, **SOCIAL, **MEETS)
    rng, state, followed = np.random.default_rng(0), rooms.state(tick=1), 0
    names = [name for name in rooms.world.static.actions.names if name.startswith("go_")]
    for tick in range(160):
        state = invited(rooms, state, 0, 1) if tick % 60 == 30 else state
        state = rooms.step(state, *rng.choice(names, 2))
        way, after = np.asarray(intents.heading(rooms.world, state)), rooms.step(state)
        for agent in np.flatnonzero(way != ARRIVED):
            here, now = int(state.agents.cell[agent]), int(after.agents.cell[agent])
            assert now in (here, int(rooms.world.map.neighbour[here, way[agent]])) or bool(after.terminated[agent])
            followed += now != here
        state = after
    assert followed > 60
