"""Reputation: what a name loses by, how it comes back, who knows it and who goes by it."""

import jax.numpy as jnp
import numpy as np
import pytest
from social_boards import SQUARE
from test_chat import WASHES, choices
from test_queues import ALICE, BATH, BOB, CAROL, Line, at
from test_utilities import BATH as KITCHEN
from test_utilities import OUTAGES, SHOWER, outage

from townlet_jax import ConfigError, observe, schema
from townlet_jax.core import fixed
from townlet_jax.systems.reputation import FULL

QUARREL, WAITING, OUTAGE, RECOVERY = (fixed.to_need(share) for share in (0.05, 0.0002, 0.001, 0.0005))
NUMBERS = {"quarrel": 0.05, "waiting": 0.0002, "outage": 0.001, "recovery": 0.0005}
FIRST, SECOND = range(2)


def famous(board, fairness=None, **numbers):
    section = {**NUMBERS, **numbers}
    return board(
        BATH, **{"systems.queues.reach": 2, "systems.queues.fairness": fairness, "systems.reputation": section}
    )


def scored(state, *scores):
    return state.put(reputation=state.slots["reputation"].replace(score=jnp.array(scores, jnp.int32)))


def score(state):
    return state.slots["reputation"].score.tolist()


def talked(line):
    """The scores after what happened in the queue in this tick; they count for the next."""
    line.state = line.bath.only("reputation", line.state)
    return score(line.state)


def test_without_it_there_is_nothing_of_it(board):
    bath = board(BATH)
    assert "reputation" not in bath.state().slots and "reputation" not in bath.world.params
    assert "reputation" not in [entry.name for entry in schema(bath.world)]


def test_each_who_waits_costs_two_hundredths_of_a_per_cent_a_tick(board):
    assert (QUARREL, WAITING, OUTAGE, RECOVERY) == (52429, 210, 1049, 524)
    line = Line(famous(board)).ask(ALICE)
    assert talked(line) == [FULL, FULL]  # who is alone waits for nobody
    line.ask(ALICE, BOB, runs=[ALICE])
    assert talked(line) == [FULL - 210, FULL]
    line.ask(ALICE, BOB, CAROL, runs=[ALICE])
    assert talked(line) == [FULL - 630, FULL]


def test_it_comes_back_while_nothing_happens_and_no_further_than_the_best(board):
    bath = famous(board)
    state = scored(at(bath, [(2, 3)] * 4), FULL - 1000, 0)
    state = bath.only("reputation", state)
    assert score(state) == [FULL - 476, 524]
    assert score(bath.only("reputation", state)) == [FULL, 1048]


def test_each_who_quarrels_costs_5_per_cent(board):
    """Alice holds and does not begin: at tick 11 Bob has it and the two have quarrelled, while Carol waits."""
    line = Line(famous(board, {})).ask(ALICE).ask(ALICE, BOB, CAROL, until=11)
    assert line.order == [BOB, CAROL]
    assert talked(line) == [FULL - 2 * 52429 - 210, FULL]


def test_who_storms_out_costs_as_much(board):
    line = Line(famous(board, {"rage": {"patience_ticks": 5}})).ask(ALICE).ask(ALICE, BOB, runs=[ALICE], until=6)
    assert line.order == [ALICE]
    assert talked(line) == [FULL - 52429, FULL]


def test_no_name_is_worse_than_none(board):
    line = Line(famous(board, {}, quarrel=1.0)).ask(ALICE).ask(ALICE, BOB, until=11)
    assert talked(line) == [0, FULL]


def test_out_of_service_costs_a_thousandth_a_tick(board):
    kitchen = board(KITCHEN, **OUTAGES, **{"systems.reputation": NUMBERS})
    state = outage(kitchen, kitchen.state(), ticks=5)
    seen = [score(after) for after in kitchen.run(state, 6)]
    assert [names[SHOWER] for names in seen[:5]] == [FULL - 1049 * tick for tick in (1, 2, 3, 4, 5)]
    assert seen[5][SHOWER] == FULL - 5 * 1049 + 524
    assert all(names[SHOWER + 1 :] == [FULL, FULL] for names in seen)


def test_everybody_knows_the_name_of_where_one_would_go(board):
    bath = famous(board)
    column = next(entry.start for entry in schema(bath.world) if entry.name == "reputation")
    state = scored(at(bath, [(2, 1), (2, 5), (2, 1), (2, 5)]), FULL // 4, FULL // 2)
    assert observe(bath.world, state).features[:, column].tolist() == [0.25, 0.5, 0.25, 0.5]


@pytest.mark.parametrize(
    ("name", "choice"), [(1.0, "go_wash"), (0.75, "go_wash"), (0.73, "go_splash"), (0.0, "go_splash")]
)
def test_the_citizen_goes_where_nobody_complains(board, name, choice):
    """0.45 in 30 ticks of use and 2 of way, or 0.4 in 30 and 5: even if the first seems 7 ticks farther off, not 8."""
    square = board(
        SQUARE,
        **{
            "systems.affordances.offers": WASHES,
            "systems.economy.prices": {},
            "systems.reputation": {"detour_ticks": 30},
        },
    )
    state = square.state(tick=1, needs=fixed.to_need(0.3))
    where = square.world.map.facility_kind.tolist()
    scores = np.where(np.array(where) == square.world.static.names.kinds.index("shower"), round(name * FULL), FULL)
    assert choices(square, scored(state, *scores.tolist()))[0] == choice


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"waiting": 1e-7}, "reputation.waiting: 1e-07 is less than the town can count"),
        ({"quarrel": 0.0, "waiting": 0.0, "outage": 0.0}, "nothing lowers it: one of quarrel, waiting, outage must be"),
        ({"recovery": 0.0}, "0 < recovery <= 1"),
        ({"detour_ticks": 501}, "0 <= detour_ticks <= 500"),
    ],
)
def test_what_could_not_change_is_refused(board, numbers, said):
    with pytest.raises(ConfigError, match=said):
        famous(board, **numbers)
