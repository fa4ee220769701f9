"""The mask agrees with the systems: what it allows happens when one is alone, and what it forbids does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine
from townlet_jax.observe import action_mask

STREET = """
    ###########
    #W.B.S.C.@#
    #.........#
    #h..0...K.#
    ###########
"""
USERS = {"wash": (2, 1), "sleep": (2, 3), "cook": (2, 5), "eat": (2, 7)}
OPEN, CLOSED = 60, 150


@pytest.fixture
def street(board):
    return board(STREET)


@jax.jit
def tried(world, state, cells, actions):
    """For each pair of a cell and an action: was it allowed, and the states after it and after a second tick."""

    def one(cell, action):
        start = state.replace(agents=state.agents.replace(cell=cell[None]))

        def tick(state, action):
            state = engine.step(world, state, action[None], jax.random.key(0))
            return state, state

        return action_mask(world, start)[0, action], jax.lax.scan(tick, start, jnp.array([action, 0]))[1]

    return jax.vmap(one)(cells, actions)


def outcomes(street, state, spots, names):
    """Allowed bool[spots, names], and the states [spots, names, 2, ...] after one tick and after two."""
    layout, size = street.world.static.actions.names, len(street.world.map.ground)
    cells, actions = (
        np.repeat(np.arange(size), len(layout)),
        np.tile(np.arange(len(layout)), size),
    )  # one shape for all tests
    found = tried(street.world, state, jnp.array(cells, jnp.uint16), jnp.array(actions, jnp.int32))
    rows = np.array(spots)[:, None] * len(layout) + np.array([layout.index(name) for name in names])
    return jax.tree.map(lambda x: np.asarray(x)[rows], found)


def walkable(street):
    steps = np.asarray(street.world.map.neighbour)
    return np.flatnonzero((steps != np.arange(len(steps))[:, None]).any(1))


def test_a_move_is_allowed_exactly_where_it_moves(street):
    cells = walkable(street)
    names = ["move_north", "move_east", "move_south", "move_west"]
    allowed, states = outcomes(street, street.state(), cells, names)
    moved = states.agents.cell[:, :, 0, 0] != cells[:, None]
    np.testing.assert_array_equal(allowed, moved)
    assert 0 < moved.sum() < moved.size


@pytest.mark.parametrize("tick", [OPEN, CLOSED])
@pytest.mark.parametrize("agents", [{}, {"wallet": 250}, {"wallet": 0}, {"items": [0, 0]}])
def test_a_use_is_allowed_at_the_facility_exactly_where_it_starts(street, tick, agents):
    state = street.state(tick=tick, **agents)
    allowed, states = outcomes(
        street, state, [street.cell(*spot) for spot in USERS.values()], [f"use_{o}" for o in USERS]
    )
    starts = states.slots["affordances"].remaining[:, :, 0, 0] > 0
    own = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(allowed[own], starts[own])
    assert not starts[~own].any()  # somewhere else nothing starts


@pytest.mark.parametrize("tick", [OPEN, CLOSED])
@pytest.mark.parametrize("agents", [{}, {"wallet": 250}, {"items": [0, 0]}])
def test_an_option_is_allowed_at_the_facility_exactly_where_it_starts(street, tick, agents):
    state = street.state(tick=tick, **agents)
    allowed, states = outcomes(
        street, state, [street.cell(*spot) for spot in USERS.values()], [f"go_{o}" for o in USERS]
    )
    starts = states.slots["affordances"].remaining[:, :, 1, 0] > 0
    own = np.eye(4, dtype=bool)
    np.testing.assert_array_equal(allowed[own], starts[own])


def test_an_allowed_option_leads_nearer_or_is_there(street):
    cells = walkable(street)
    allowed, states = outcomes(street, street.state(tick=OPEN), cells, ["go_wash"])
    distance = np.asarray(street.world.map.distance)[:, 0]
    assert allowed.all()
    np.testing.assert_array_equal(distance[states.agents.cell[:, 0, 0, 0]], np.maximum(distance[cells] - 1, 0))


def test_a_use_is_allowed_within_reach_of_the_queue(street):
    names = [street.mask(street.state(cell=street.cell(2, column))) for column in (7, 8)]
    assert ["use_wash" in allowed for allowed in names] == [True, False]  # reach is 6 steps


@pytest.mark.parametrize(("stock", "may"), [(1, True), (0, False)])
def test_an_empty_shelf_is_not_offered(street, stock, may):
    state = street.state(tick=OPEN, cell=street.cell(2, 7))
    state = state.replace(facilities=state.facilities.replace(stock=jnp.array([0, 0, 0, stock], jnp.int16)))
    assert [name in street.mask(state) for name in ("use_eat", "go_eat")] == [may, may]


def test_home_is_no_option_at_home(street):
    assert "go_home" not in street.mask(street.state(cell=street.cell(3, 1)))
    assert "go_home" in street.mask(street.state(cell=street.cell(3, 2)))


@pytest.mark.parametrize(("tick", "may"), [(68, False), (69, True), (99, True)])
def test_work_is_an_option_from_the_notice_on(street, tick, may):
    assert ("go_work" in street.mask(street.state(tick=tick))) == may


def test_who_is_busy_or_bound_may_only_wait(street):
    busy = street.step(street.state(cell=street.cell(2, 1)), "use_wash")
    assert street.mask(busy) == ["wait"]
    bound = street.step(street.state(), "go_home")
    assert street.mask(bound) == ["wait"]


def test_a_pressing_need_unbinds_but_does_not_interrupt(street):
    starving = street.step(street.state(needs=0), "go_home")
    assert "go_wash" in street.mask(starving)
    busy = street.step(street.state(needs=0, cell=street.cell(2, 1)), "use_wash")
    assert street.mask(busy) == ["wait"]


@pytest.mark.parametrize("tick", [19, 119])
def test_the_mask_knows_the_hours_of_the_tick_in_which_the_action_runs(street, tick):
    at_counter = street.state(tick=tick, cell=street.cell(2, 7))
    starts = int(street.step(at_counter, "use_eat").slots["affordances"].remaining[0]) > 0
    assert ("use_eat" in street.mask(at_counter)) == starts


def test_no_action_is_allowed_that_can_never_start(board):
    # agent 0 lives in the upper home, which has no bed; the only bed stands in the lower home, on its grass
    town = board(
        """
        #########
        #S..#h..#
        #...+.1.#
        #,B,....#
        #,h,..0.#
        #########
        """,
        **{"map.legend.B": {"facility": "bed", "ground": "grass"}},
    )
    assert "go_sleep" in town.mask(town.state(), 1)
    assert "go_sleep" not in town.mask(town.state(), 0)
