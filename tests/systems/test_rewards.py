"""Rewards: totals by hand in millionths, the clip, and the guard around a death.

Weights are kept in parts of 4096, so 0.002 is 8/4096 = 0.001953 and 0.005 is 20/4096 = 0.004883.
"""

import jax.numpy as jnp
import pytest

from townlet_jax.core import fixed
from townlet_jax.systems import rewards
from townlet_jax.systems.employment import IDLE, LATE, ON_TIME

WORKSHOP = """
    #######
    #h...W#
    #0.1.K#
    #@....#
    #######
"""
FULL = fixed.NEED
SURVIVAL, PUNCTUAL = 1_998, 5_004


@pytest.fixture
def workshop(board):
    return board(WORKSHOP)


def rewarded(board, shift=IDLE, coins=0, critical=0, since=100, terminated=False, **agents):
    """The reward of agent 0 in a tick in which all that is so."""
    state = board.state(**agents)
    slots, both = state.slots, lambda value, dtype: jnp.full(2, value, dtype)
    state = state.replace(terminated=jnp.full(2, terminated)).put(
        employment=slots["employment"].replace(shift=both(shift, jnp.int8), pay=both(coins, jnp.int32)),
        lifecycle=slots["lifecycle"].replace(critical=both(critical, jnp.int8), since=both(since, jnp.int8)),
    )
    return int(board.only("rewards", state).reward[0])


def test_a_quiet_tick_of_a_happy_agent_pays_its_survival(workshop):
    assert rewarded(workshop, needs=FULL) == SURVIVAL


def test_an_hour_at_work_adds_half_the_wage_and_punctuality(workshop):
    # 20 mills are 0.020, half of it 0.010
    assert rewarded(workshop, ON_TIME, 20, needs=FULL) == SURVIVAL + 10_000 + PUNCTUAL
    assert rewarded(workshop, LATE, 20, needs=FULL) == SURVIVAL + 10_000


def test_needs_at_40_per_cent_cost_072(workshop):
    # 0.6^2 = 0.36 of everything, times 0.2
    assert rewarded(workshop, needs=fixed.to_need(0.4)) == pytest.approx(SURVIVAL - 72_000, abs=400)


def test_a_starving_agent_costs_about_the_clip_and_no_more(workshop):
    assert rewarded(workshop, needs=0) == pytest.approx(SURVIVAL - 200_000, rel=0.005)
    hard = workshop.tuned(
        rewards={"weights": {**workshop.world.params["rewards"].weights, "needs": jnp.int32(4 * 4096)}}
    )
    assert rewarded(hard, needs=0) == -200_000


def test_a_golden_tick_is_clipped(workshop):
    assert rewarded(workshop, ON_TIME, 1_000, needs=FULL) == 200_000  # half a coin otherwise


def test_the_terminal_term_stands_outside_the_clip(workshop):
    assert rewarded(workshop, terminated=True, alive=False, needs=0, since=0) == -1_000_000


@pytest.mark.parametrize("around", [{"critical": 1}, {"since": 0}, {"since": 10}])
def test_nothing_positive_is_earned_around_a_death(workshop, around):
    assert rewarded(workshop, ON_TIME, 20, needs=FULL, **around) == 0
    free = rewarded(workshop, needs=fixed.to_need(0.4))
    assert rewarded(workshop, needs=fixed.to_need(0.4), **around) == free < 0  # pain is felt as ever


def test_eleven_ticks_after_a_death_one_earns_again(workshop):
    assert rewarded(workshop, needs=FULL, since=11) == SURVIVAL


def test_terms_are_weighted_one_by_one(workshop):
    state = workshop.state(needs=FULL)
    found = {term: int(value[0]) for term, value in rewards.terms(workshop.world, state).items()}
    assert found == {"needs": 0, "punctuality": 0, "survival": SURVIVAL, "terminal": 0, "wage": 0}


def test_a_term_without_a_weight_counts_nothing(workshop):
    weights = dict(workshop.world.params["rewards"].weights)
    del weights["survival"]
    assert rewarded(workshop.tuned(rewards={"weights": weights}), needs=FULL) == 0


def test_the_dead_earn_nothing(workshop):
    assert rewarded(workshop, alive=False, needs=0) == 0


def test_the_highest_wage_allowed_is_worth_something(board):
    job = {"systems.employment.jobs.0.wage": 1.0, "systems.rewards.weights.wage": 4.0}
    assert rewarded(board(WORKSHOP, **job), ON_TIME, 1_000, needs=FULL) == 200_000
