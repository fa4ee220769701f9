"""Arguments: which quarrels are heard, who hears them, and what the witnesses make of it."""

import jax.numpy as jnp
import numpy as np
import pytest
from social_boards import SOCIAL, SQUARE, parts, tie, tied
from test_queues import ALICE, BATH, BOB, CAROL, DAN, Line

from townlet_jax import ConfigError, load, schema
from townlet_jax.core import fixed
from townlet_jax.types import NOBODY

NUMBERS = {"rivalry": 0.4, "hearing": 3, "trust": -0.02, "familiarity": 0.01}
FAIR = {"systems.queues.fairness": {}}
LESS, MORE = tie(-0.02), tie(0.01)


@pytest.fixture
def square(board):
    """Agents 0 and 1 stand side by side, 2 next to both, 3 three columns from 1 and four from 0."""
    return board(SQUARE, **SOCIAL, **FAIR, **{"systems.arguments": NUMBERS})


def quarrelling(state, *two):
    """The note of a quarrel between two, as one of them has it: the other may have had a worse one."""
    one, other = two
    conflict = np.full(4, NOBODY, np.int16)
    conflict[one] = other
    heat = np.where(conflict == NOBODY, 0, fixed.SHARE).astype(np.int16)
    return state.put(queues=state.slots["queues"].replace(conflict=jnp.array(conflict), intensity=jnp.array(heat)))


def heard(board, state):
    """(witness, who argues) of all that is heard in a tick."""
    return np.argwhere(np.asarray(board.only("arguments", state).slots["arguments"].witness)).tolist()


def test_without_it_there_is_nothing_of_it(board):
    square = board(SQUARE, **SOCIAL, **FAIR)
    assert "arguments" not in square.state().slots and "arguments" not in square.world.params
    assert "argument" not in [entry.name for entry in schema(square.world)]


@pytest.mark.parametrize(
    ("of_0", "of_1", "loud"), [(0.4, 0.4, True), (0.4, 0.39, False), (0.39, 1.0, False), (0.0, 0.0, False)]
)
def test_two_argue_in_public_if_neither_can_stand_the_other(square, of_0, of_1, loud):
    state = tied(square.state(tick=1), (0, 1, 0, 0, of_0), (1, 0, 0, 0, of_1))
    assert heard(square, quarrelling(state, 0, 1)) == ([[2, 0], [2, 1], [3, 1]] if loud else [])
    assert heard(square, state) == []  # rivals who do not quarrel are silent


def test_it_takes_only_one_to_name_the_quarrel(square):
    state = tied(square.state(tick=1), (0, 1, 0, 0, 1.0), (1, 0, 0, 0, 1.0))
    assert heard(square, quarrelling(state, 0, 1)) == heard(square, quarrelling(state, 1, 0)) != []


def test_the_dead_hear_nothing(square):
    state = tied(square.state(tick=1, alive=[True, True, False, True]), (0, 1, 0, 0, 1.0), (1, 0, 0, 0, 1.0))
    assert heard(square, quarrelling(state, 0, 1)) == [[3, 1]]


def test_a_witness_trusts_less_and_knows_better_whom_it_hears(square):
    """Trust falls by 0.02 and familiarity rises by 0.01; the two of the quarrel have 0.15 more rivalry, and nothing else."""
    assert (LESS, MORE) == (-328, 164)
    state = tied(square.state(tick=1), (0, 1, 0, 0, 0.5), (1, 0, 0, 0, 0.5), (2, 0, 0.3, 0.2, 0))
    state = square.only("relationships", square.only("arguments", quarrelling(state, 0, 1)))
    assert parts(state, 2, 0) == (tie(0.3) - 328, tie(0.2) + 164, 0) and parts(state, 2, 1) == (-328, 164, 0)
    assert parts(state, 3, 1) == (-328, 164, 0) and parts(state, 3, 0) == (0, 0, 0)
    assert parts(state, 0, 2) == parts(state, 1, 2) == parts(state, 2, 3) == (0, 0, 0)
    assert parts(state, 0, 1) == parts(state, 1, 0) == (0, 0, tie(0.5) + tie(0.15))


def test_no_witness_no_change(square):
    far = [square.cell(2, 1), square.cell(2, 2), square.cell(4, 7), square.cell(1, 7)]
    state = tied(square.state(tick=1, cell=far), (0, 1, 0, 0, 0.5), (1, 0, 0, 0, 0.5))
    assert heard(square, quarrelling(state, 0, 1)) == []


def test_the_forgiving_think_less_badly_of_it(board):
    """With forgiveness 1 what hurts counts half: trust falls by 0.01, familiarity rises as with others."""
    section = {"profiles": {"saint": {"forgiveness": 1.0}}, "distribution": {"saint": 1.0}, "modifiers": True}
    kind = board(SQUARE, **SOCIAL, **FAIR, **{"systems.arguments": NUMBERS, "systems.personality": section})
    state = tied(kind.state(tick=1), (0, 1, 0, 0, 0.5), (1, 0, 0, 0, 0.5))
    state = kind.only("relationships", kind.only("arguments", quarrelling(state, 0, 1)))
    assert parts(state, 2, 0) == (-164, 164, 0)


def test_a_quarrel_in_a_queue_is_heard_by_who_waits_behind(board):
    """Alice blocks the shower for ten ticks and Bob gets it at the eleventh; Carol waits behind, Dan stands by."""
    bath = board(
        BATH,
        **{
            "systems.queues.reach": 2,
            **FAIR,
            "systems.relationships": {"stage": "A"},
            "systems.arguments": {**NUMBERS, "hearing": 1},
        },
    )
    line = Line(bath)
    line.state = tied(line.state, (ALICE, BOB, 0, 0, 0.4), (BOB, ALICE, 0, 0, 0.4))
    line.ask(ALICE).ask(ALICE, BOB, CAROL, until=10)
    assert heard(bath, line.state) == []
    line.ask(ALICE, BOB, CAROL)
    both = lambda witness: [[witness, ALICE], [witness, BOB]]
    assert heard(bath, line.state) == both(CAROL) + both(DAN)  # the four of them stand on a square of four cells


def test_it_is_seen_by_those_whom_it_concerns(square):
    column = next(entry.start for entry in schema(square.world) if entry.name == "argument")
    state = tied(square.state(tick=1), (0, 1, 0, 0, 0.5), (1, 0, 0, 0, 0.5))
    state = square.only("arguments", quarrelling(state, 0, 1))
    assert square.observe(state).features[:, column : column + 2].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("fairness", "numbers", "said"),
    [
        (None, {}, "nobody quarrels in this world: add `systems.queues.fairness`"),
        ({}, {"trust": 0.0, "familiarity": 0.0}, "it changes nothing: trust or familiarity must not be 0"),
        ({}, {"trust": -0.00001}, "arguments.trust: -1e-05 is less than the town can count"),
        ({}, {"trust": -0.3}, "-0.2 <= trust <= 0.2"),
    ],
)
def test_an_argument_about_nothing_is_refused(board, fairness, numbers, said):
    with pytest.raises(ConfigError, match=said):
        board(SQUARE, **SOCIAL, **{"systems.queues.fairness": fairness, "systems.arguments": {**NUMBERS, **numbers}})


def test_without_ties_there_is_nothing_to_argue_about():
    compact = {"observation.variant": "compact", **FAIR, "systems.arguments": {}}
    with pytest.raises(ConfigError, match="systems.arguments: needs the system 'relationships'"):
        load("town", **compact)
    off = load("town", **compact, **{"systems.relationships": {"stage": "OFF"}})
    assert not off.static.has("arguments") and not off.static.has("relationships")
