"""Residents described one by one, and the schedules that they follow."""

import jax
import jax.numpy as jnp
import pytest

from townlet_jax import ConfigError, engine, policies, testing
from townlet_jax.core import fixed

ROOM = "######\n#h.B.#\n#0.1.#\n#@...#\n######"
TWO = {
    "start.residents": [
        {"name": "anna", "cell": [3, 4], "needs": {"hunger": 0.25}, "wallet": 1.5, "items": {"meal": 2}},
        {"name": "ben", "joins": 3},
    ]
}
LOOP = {"schedule": {"ticks": 9, "loop": {"anna": ["move_west", "wait", "move_north"]}}}


@pytest.fixture
def room(board):
    return board(ROOM, **TWO, **LOOP)


def test_a_resident_begins_as_described(room):
    state = engine.reset(room.world, jax.random.key(3))
    needs = state.agents.needs[0].tolist()
    assert needs == [fixed.NEED // 4, *[fixed.to_need(0.6)] * 2]
    assert int(state.agents.cell[0]) == room.cell(3, 4) and int(state.agents.wallet[0]) == 1500
    assert state.agents.items[0].tolist() == [0, 2]


def test_an_empty_slot_owns_nothing_until_somebody_comes(room):
    state = engine.reset(room.world, jax.random.key(3))
    assert state.agents.alive.tolist() == [True, False]
    assert int(state.agents.wallet[1]) == 0 and not bool(state.agents.needs[1].any())
    alive = [bool(s.agents.alive[1]) for s in room.run(state, 6)]
    assert alive.index(True) in (2, 3) and all(alive[alive.index(True) :])


def test_the_books_start_with_what_residents_have(room):
    state = room.run(engine.reset(room.world, jax.random.key(3)), 6)[-1]
    assert all(bool(holds) for holds in testing.invariants(room.world, state).values())


def test_a_schedule_is_followed_in_a_loop(room):
    state = engine.reset(room.world, jax.random.key(0))
    chosen = []
    for tick in range(6):
        state = state.replace(tick=jnp.int32(tick))
        chosen.append(policies.scheduled(room.world, state, jax.random.key(0)).tolist())
    layout = room.world.static.actions.names
    assert [layout[row[0]] for row in chosen] == ["move_west", "wait", "move_north"] * 2
    assert {row[1] for row in chosen} == {0}  # ben has no list


def test_without_a_schedule_there_is_nothing_to_follow(board):
    plain = board(ROOM)
    with pytest.raises(ValueError, match="no `schedule`"):
        policies.scheduled(plain.world, plain.state(), jax.random.key(0))


@pytest.mark.parametrize(
    ("resident", "message"),
    [
        ({"name": "anna", "cell": [0, 0]}, "nobody can stand on row 0, column 0"),
        ({"name": "anna", "cell": [99, 0]}, "nobody can stand on row 99"),
        ({"name": "anna", "needs": {"hungre": 0.5}}, "Did you mean 'hunger'"),
        ({"name": "anna", "needs": {"hunger": 1.5}}, "1.5 is not allowed"),
        ({"name": "anna", "items": {"mael": 1}}, "Did you mean 'meal'"),
        ({"name": "ben"}, "'ben' is the name of a resident above"),
        ({"name": "anna", "cell": [3, 4]}, "slots 0 and 1 both begin at row 3, column 4"),
    ],
)
def test_residents_who_do_not_fit_are_refused(board, resident, message):
    with pytest.raises(ConfigError, match=message):
        board(ROOM, **{"start.residents": [{"name": "ben", "cell": [3, 4]}, resident]})


@pytest.mark.parametrize("residents", [[], [{"name": "anna", "cell": [3, 4]}]])
def test_more_people_than_cells_are_refused_whoever_is_described(board, residents):
    with pytest.raises(ConfigError, match="num_agents: 12 agents, but home 1 has only 11 cells within reach"):
        board(ROOM, num_agents=12, **{"start.residents": residents})


@pytest.mark.parametrize(
    ("loop", "message"),
    [({"carl": ["wait"]}, "no such resident"), ({"anna": ["go_slep"]}, "Did you mean 'go_sleep'")],
)
def test_schedules_of_words_that_do_not_exist_are_refused(board, loop, message):
    with pytest.raises(ConfigError, match=message):
        board(ROOM, **TWO, schedule={"ticks": 9, "loop": loop})
