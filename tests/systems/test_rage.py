"""Rage: who has waited too long, or was overtaken too often, storms off, stays away, and knows whose fault it was."""

import jax.numpy as jnp
import numpy as np
import pytest
from social_boards import parts, tie
from test_queues import ALICE, BATH, BOB, CAROL, DAN, Line

from townlet_jax import ConfigError, schema
from townlet_jax.types import NOTHING

STORMS = {"patience_ticks": 5, "overtaken": 50, "pause_ticks": 10}
PROUD = {"patience_ticks": 2000, "overtaken": 1, "pause_ticks": 10}


def angry_bath(board, rage, **overrides):
    return board(BATH, **{"systems.queues.reach": 2, "systems.queues.fairness": {"rage": rage}, **overrides})


def rage_of(state):
    return state.slots["queues"].fair.rage


def storms(state):
    return np.flatnonzero(rage_of(state).storms).tolist()


def test_without_it_there_is_nothing_of_it(board):
    bath = board(BATH, **{"systems.queues.fairness": {}})
    assert bath.world.params["queues"].fairness.rage is None and rage_of(bath.state()) is None
    assert "anger" not in [entry.name for entry in schema(bath.world)]


def test_who_has_waited_5_ticks_storms_off_and_stays_away_for_10(board):
    """Bob comes at tick 1, and at tick 6 has waited 5 ticks; at tick 16 he may come again."""
    line = Line(angry_bath(board, STORMS)).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=5)
    assert line.order == [ALICE, BOB] and storms(line.state) == []
    line.ask(ALICE, BOB, CAROL, runs=[ALICE])
    assert line.tick == 6 and storms(line.state) == [BOB] and line.order == [ALICE, CAROL]
    fair = line.state.slots["queues"].fair
    assert int(fair.cooldown[BOB, 0]) == 10 and int(fair.waited[BOB]) == 0 and int(fair.waited_for[BOB]) == NOTHING
    line.ask(ALICE, BOB, runs=[ALICE])
    assert storms(line.state) == [] and line.order == [ALICE]
    assert (
        line.ask(ALICE, BOB, runs=[ALICE], until=15).order == [ALICE] and line.counts[0] == 0
    )  # he has not asked anew
    assert line.ask(ALICE, BOB, runs=[ALICE]).order == [ALICE, BOB]


def test_who_is_next_in_the_last_tick_of_its_patience_stays(board):
    line = Line(angry_bath(board, STORMS)).ask(ALICE).ask(ALICE, BOB, CAROL, runs=[ALICE], until=5)
    line.ask(BOB, CAROL, done=[ALICE])
    assert storms(line.state) == [CAROL] and line.order == [BOB]


def overtaken(board, rage, **overrides):
    """Bob has waited 24 ticks before and comes back: at tick 27 he is let in before Carol, who was there before him."""
    line = Line(angry_bath(board, rage, **overrides)).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=25)
    line.ask(ALICE, CAROL, runs=[ALICE], until=26).ask(ALICE, BOB, CAROL, runs=[ALICE])
    assert line.order == [ALICE, CAROL, BOB]
    return line.ask(BOB, CAROL, DAN, done=[ALICE])


def test_who_was_overtaken_once_storms_off_and_knows_by_whom(board):
    line = overtaken(board, PROUD)
    rage = rage_of(line.state)
    assert storms(line.state) == [CAROL] and line.order == [BOB, DAN]
    assert rage.overtaken.tolist() == [0, 0, 1, 0] and np.argwhere(np.asarray(rage.by)).tolist() == [[CAROL, BOB]]
    assert line.ask(BOB, DAN, runs=[BOB]).order == [BOB, DAN] and not rage_of(line.state).by.any()


def test_who_bears_it_once_waits_on_and_a_turn_makes_good_for_it(board):
    line = overtaken(board, {**PROUD, "overtaken": 2})
    assert line.order == [BOB, CAROL, DAN] and rage_of(line.state).overtaken.tolist() == [0, 0, 1, 0]
    line.ask(BOB, CAROL, DAN, runs=[BOB])
    assert rage_of(line.state).overtaken.tolist() == [0, 0, 1, 0]  # nobody else came before her
    line.ask(CAROL, DAN, done=[BOB])
    assert line.order == [CAROL, DAN] and rage_of(line.state).overtaken.tolist() == [0] * 4


def test_a_rival_is_who_overtook_and_one_way_only(board):
    line = overtaken(board, {**PROUD, "rivalry": 0.2}, **{"systems.relationships": {"stage": "A"}})
    felt = line.bath.only("relationships", line.state.replace(tick=jnp.int32(1)))  # in no hour's first tick
    assert parts(felt, CAROL, BOB) == (0, 0, tie(0.2)) and parts(felt, BOB, CAROL) == (0, 0, 0)
    assert parts(felt, CAROL, ALICE)[2] == 0 and parts(felt, CAROL, DAN)[2] == 0
    line.ask(BOB, DAN, runs=[BOB])
    later = felt.put(queues=line.state.slots["queues"])
    assert parts(line.bath.only("relationships", later), CAROL, BOB) == (0, 0, tie(0.2))  # once for a storm


def test_who_storms_off_is_free_to_do_something_else(board):
    """A use takes 30 ticks and a choice binds for 15: only the storm sets free within a choice."""
    bath = board(BATH, **{"systems.queues.fairness": {"rage": {**STORMS, "patience_ticks": 7}}})
    state, names = bath.state(), bath.world.static.actions.names
    while not storms(state):
        state = bath.step(state, *["go_wash"] * 4)
        assert int(state.tick) < 40
    agent = storms(state)[0]
    assert int(state.slots["intents"].option[agent]) == names.index("go_wash") - bath.world.static.actions.options
    assert "move_north" in bath.mask(state, agent) and "go_wash" not in bath.mask(state, agent)
    state = bath.step(state)
    assert int(state.slots["intents"].option[agent]) == bath.world.static.actions.num_options
    assert int(state.slots["queues"].facility[agent]) == NOTHING


def test_anger_is_seen_to_rise(board):
    bath = angry_bath(board, {**STORMS, "overtaken": 4})
    column = next(entry.start for entry in schema(bath.world) if entry.name == "anger")
    line = Line(bath).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=3)
    assert bath.observe(line.state).features[:, column].tolist() == [0, pytest.approx(2 / 5), 0, 0]
    fair = line.state.slots["queues"].fair
    worse = fair.replace(rage=fair.rage.replace(overtaken=jnp.array([0, 3, 0, 0], jnp.int8)))
    state = line.state.put(queues=line.state.slots["queues"].replace(fair=worse))
    assert bath.observe(state).features[:, column].tolist() == [0, pytest.approx(3 / 4), 0, 0]


@pytest.mark.parametrize(
    ("rage", "said"),
    [
        ({"rivalry": 0.00001}, "rage.rivalry: 1e-05 is less than the town can count"),
        ({"overtaken": 0}, "1 <= overtaken <= 50"),
        ({"pause_ticks": 601}, "1 <= pause_ticks <= 600"),
    ],
)
def test_what_could_not_be_counted_is_refused(board, rage, said):
    with pytest.raises(ConfigError, match=said):
        angry_bath(board, rage)
