"""Hiring: a post has one holder; vacancies go to applicants once a day, at tick 90 of 200; the shift is 100 to 160."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from workdays import play, table

from townlet_jax import ConfigError, engine, load, testing
from townlet_jax.core.shifts import IDLE, ON_TIME
from townlet_jax.render.people import people
from townlet_jax.render.plan import plan
from townlet_jax.systems import employment, hiring
from townlet_jax.systems.economy import ACCOUNTS
from townlet_jax.types import NOTHING

# two clerks and a baker are wanted, and there are five people
MARKET = """
    ########
    #hh.W@.#
    #012K.K#
    #34...,#
    ########
"""
BAKER = {"name": "baker", "start": 20, "end": 80, "wage": 0.03}
CLERK = {"name": "clerk", "start": 100, "end": 160, "wage": 0.02, "late_fine": 0.1}
HIRES = {
    "systems.hiring": {"hire_at": 90, "pre_employed": 0.0},
    "map.legend.,": {"post": "baker"},
    "systems.employment.jobs": [CLERK, BAKER],
}
FREE = NOTHING
CLERK_1, CLERK_2, BAKERY = range(3)


@pytest.fixture
def market(board):
    return board(MARKET, **HIRES)


def holding(board, state, posts, **fields):
    """The town with these posts held, by agent."""
    slot = state.slots["hiring"].replace(post=jnp.array(posts, jnp.int16))
    return state.put(hiring=slot.replace(**{name: jnp.array(value) for name, value in fields.items()}))


def hire(board, state, priority=(0, 1, 2, 3, 4), alive=(True,) * 5, seed=0):
    """One tick of hiring alone."""
    state = state.replace(intent=state.intent.replace(priority=jnp.array(priority, jnp.int8)))
    state = state.replace(agents=state.agents.replace(alive=jnp.array(alive)))
    return board.only("hiring", state, seed=seed)


def posts(state):
    return state.slots["hiring"].post.tolist()


def test_posts_of_the_map_are_never_shared(market):
    reset = jax.jit(jax.vmap(engine.reset, (None, 0)))
    first = np.asarray(reset(market.world, jax.random.split(jax.random.key(0), 64)).slots["hiring"].post)
    assert market.world.map.agent_post.tolist() == [CLERK_1, BAKERY, CLERK_2, CLERK_1, BAKERY]
    for row in first:
        assert sorted(row.tolist()) == [CLERK_1, CLERK_2, BAKERY, FREE, FREE]
        assert row[2] == CLERK_2
    assert {tuple(row) for row in (first == FREE).tolist()} == {  # lots are drawn between 0 and 3, and between 1 and 4
        (True, True, False, False, False),
        (True, False, False, False, True),
        (False, True, False, True, False),
        (False, False, False, True, True),
    }


def test_without_hiring_the_map_decides(board):
    shared = board(MARKET, **{key: value for key, value in HIRES.items() if key != "systems.hiring"})
    assert employment.post_of(shared.world, shared.state()).tolist() == [CLERK_1, BAKERY, CLERK_2, CLERK_1, BAKERY]


@pytest.mark.parametrize(("tick", "hired"), [(89, False), (90, True), (91, False), (290, True)])
def test_vacancies_are_filled_once_a_day(market, tick, hired):
    state = hire(market, holding(market, market.state(tick=tick), [CLERK_1, BAKERY, CLERK_2, FREE, FREE]))
    assert posts(state) == [CLERK_1, BAKERY, CLERK_2, FREE, FREE]  # nothing is free
    state = hire(market, holding(market, market.state(tick=tick), [CLERK_1, FREE, CLERK_2, FREE, FREE]))
    assert posts(state) == [CLERK_1, BAKERY if hired else FREE, CLERK_2, FREE, FREE]


@pytest.mark.parametrize("priority", [(4, 3, 2, 1, 0), (0, 1, 2, 3, 4), (2, 0, 4, 1, 3)])
def test_one_vacancy_goes_to_the_applicant_of_least_priority(market, priority):
    state = holding(market, market.state(tick=90), [FREE, FREE, CLERK_2, CLERK_1, FREE])
    winner = min((0, 1, 4), key=lambda agent: priority[agent])
    expected = [FREE, FREE, CLERK_2, CLERK_1, FREE]
    expected[winner] = BAKERY
    assert posts(hire(market, state, priority)) == expected


def test_each_vacancy_goes_to_another(market):
    seen = set()
    for seed in range(20):
        state = hire(market, holding(market, market.state(tick=90), [FREE] * 5), (4, 3, 2, 1, 0), seed=seed)
        assert posts(state)[:2] == [FREE, FREE]  # the last in order
        assert sorted(posts(state)[2:]) == [CLERK_1, CLERK_2, BAKERY]
        seen.add(tuple(posts(state)[2:]))
    assert len(seen) == 3  # the vacancies are counted from any of the three


def test_more_vacancies_than_applicants(market):
    alive = (True, False, False, False, False)
    state = hire(market, holding(market, market.state(tick=90), [FREE] * 5), alive=alive)
    assert sorted(posts(state)) == sorted([posts(state)[0], FREE, FREE, FREE, FREE]) and posts(state)[0] != FREE
    assert hiring.vacant(market.world, state).sum() == 2


def test_the_post_of_the_dead_is_free_for_others_in_the_next_hiring(market):
    state = holding(market, market.state(tick=70), [CLERK_1, BAKERY, CLERK_2, FREE, FREE])
    alive = (True, False, True, True, True)
    state = hire(market, state, alive=alive)
    assert posts(state) == [CLERK_1, FREE, CLERK_2, FREE, FREE]
    assert hiring.vacant(market.world, state).tolist() == [False, False, True]
    assert hiring.unemployed(market.world, state).tolist() == [False, False, False, True, True]
    state = hire(market, state.replace(tick=jnp.int32(90)), alive=alive)
    assert posts(state) == [CLERK_1, FREE, CLERK_2, BAKERY, FREE]


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 40, 88), (1.0, 128, 128)])
def test_a_share_of_newcomers_finds_work_on_arrival(market, share, least, most):
    tuned = market.tuned(hiring={"pre_employed": jnp.int32(round(share * 65536))})
    old = holding(tuned, tuned.state(tick=10), [CLERK_1, FREE, CLERK_2, FREE, FREE], settled=[True] * 3 + [False, True])
    states = [hire(tuned, old, seed=seed) for seed in range(128)]
    assert least <= sum(posts(state)[3] == BAKERY for state in states) <= most
    assert all(posts(state)[:3] == [CLERK_1, FREE, CLERK_2] and posts(state)[4] == FREE for state in states)
    again = [hire(tuned, state, seed=7) for state in states[:8]]  # one is new for one tick only
    assert [posts(state) for state in again] == [posts(state) for state in states[:8]]
    assert all(state.slots["hiring"].settled.all() for state in states)


def test_a_newcomer_has_no_part_in_the_hiring_of_that_very_day(market):
    state = holding(market, market.state(tick=90), [CLERK_1, FREE, CLERK_2, FREE, FREE], settled=[False] * 5)
    assert posts(hire(market, state)) == [CLERK_1, FREE, CLERK_2, FREE, FREE]


@pytest.mark.parametrize(("chance", "least", "most"), [(0.0, 0, 0), (0.25, 14, 52), (1.0, 128, 128)])
def test_one_applies_with_a_chance(market, chance, least, most):
    tuned = market.tuned(hiring={"chance": jnp.int32(round(chance * 65536))})
    old = holding(tuned, tuned.state(tick=90), [CLERK_1, BAKERY, CLERK_2, FREE, FREE])
    old = holding(tuned, old, [CLERK_1, FREE, CLERK_2, FREE, FREE], barred=jnp.array([0, 1, 0, 0, 1], jnp.int8))
    hired = [posts(hire(tuned, old, seed=seed))[3] == BAKERY for seed in range(128)]
    assert least <= sum(hired) <= most


def test_who_is_hired_works_on_the_next_shift(market):
    state = holding(market, market.state(tick=80), [CLERK_1, BAKERY, FREE, FREE, FREE])
    _, slots, wallet = play(market, state, np.ones((200, 5), bool))
    work, held = slots["employment"], slots["hiring"].post
    assert held[8, 2] == FREE and held[9, 2] == CLERK_2  # ticks 89 and 90
    assert work.shift[19, 2] == ON_TIME  # tick 100
    assert wallet[-1].tolist() == [10_000 + 1200, 10_000 + 1800, 10_000 + 1200, 10_000, 10_000]


def test_who_is_hired_during_the_shift_is_expected_the_next_day(market):
    noon = market.tuned(hiring={"hire_at": jnp.int32(130)})
    state = holding(noon, noon.state(tick=80), [CLERK_1, BAKERY, FREE, FREE, FREE])
    _, slots, wallet = play(noon, state, np.ones((200, 5), bool))
    assert slots["hiring"].post[49, 2] == CLERK_2  # tick 130
    assert (slots["employment"].shift[49:70, 2] == IDLE).all()
    assert wallet[-1].tolist() == [10_000 + 1200, 10_000 + 1800, 10_000, 10_000, 10_000]
    _, _, wallet = play(noon, state, np.ones((300, 5), bool))
    assert wallet[-1, 2] == 10_000 + 1200


def test_the_unemployed_earn_nothing_and_have_no_shift(market):
    state = holding(market, market.state(tick=90), [CLERK_1, BAKERY, CLERK_2, FREE, FREE])
    assert employment.may_work(market.world, state).tolist() == [True, False, True, False, False]
    assert "go_work" in market.mask(state, 0) and "go_work" not in market.mask(state, 3)
    assert employment.wage(market.world, state).tolist() == [20, 30, 20, 0, 0]
    state, slots, wallet = play(market, state, np.ones((200, 5), bool))
    assert (slots["employment"].shift[:, 3] == IDLE).all() and wallet[-1, 3] == 10_000
    assert state.slots["economy"].ledger[ACCOUNTS.index("wages")] == 1800 + 2 * 1200


def test_the_option_leads_to_the_post_one_holds_now(market):
    cells = [(2, 1), (2, 2), (1, 1), (3, 1), (3, 2)]
    state = market.state(tick=90, cell=[market.cell(*spot) for spot in cells])
    state = holding(market, state, [CLERK_1, CLERK_2, FREE, FREE, BAKERY])  # the map would send 1 to the bakery
    for _ in range(6):
        state = market.step(state, "go_work", "go_work")
    at = market.world.map.post_cell
    assert state.agents.cell.tolist()[:2] == [int(at[CLERK_1]), int(at[CLERK_2])]


def test_pictures_show_who_works_where_now(market):
    state = holding(market, market.state(tick=90), [BAKERY, FREE, CLERK_1, FREE, FREE])
    assert [person.job for person in people(market.world, state)] == ["baker", "", "clerk", "", ""]
    assert plan(market.world).owners == ((), (), ())  # a mat has nobody's colour where posts change hands


QUITS = {
    **HIRES,
    "systems.timesheets": {},
    "systems.hiring": {"hire_at": 90, "quit_after": 2, "pre_employed": 0.0},
    "systems.economy.rent": 0.0,
}


def test_two_absences_cost_the_post_for_a_hiring(board):
    strict = board(MARKET, **QUITS)
    held = [CLERK_1, BAKERY, CLERK_2, FREE, FREE]
    state = holding(strict, strict.state(tick=80), held, barred=jnp.array([0, 0, 0, 9, 9], jnp.int8))
    present = table(81, 880, 5, (1, 81, 880), (2, 81, 880))  # 0 is absent at 120, at 320 and so on
    _, slots, _ = play(strict, state, present)
    at = lambda tick: slots["hiring"].post[tick - 81].tolist()
    assert at(319) == held
    assert at(320) == [FREE, BAKERY, CLERK_2, FREE, FREE]  # absent from 120 and from 320: the second time
    assert slots["timesheets"].absent[320 - 81, 0].tolist() == [False] * 7  # struck
    assert slots["employment"].shift[321 - 81, 0] == IDLE
    assert slots["timesheets"].withheld[399 - 81, 0] == 21 * 20  # ticks 300 to 320
    assert at(490) == at(320) and at(690)[0] == CLERK_1  # sits out the hiring at 490, is back after that at 690
    assert slots["hiring"].barred[[319 - 81, 320 - 81, 490 - 81], 0].tolist() == [0, 1, 0]


def test_what_may_not_be_said(board):
    refused = {
        "hire_at": ({**HIRES, "systems.hiring": {"hire_at": 200}}, r"hiring.hire_at: 200 .*allowed: 0 to 199"),
        "no sheets": ({**QUITS, "systems.timesheets": None}, "quit_after: 2 absences: nobody counts them"),
        "too few": ({**QUITS, "systems.timesheets": {"days": 1}}, "quit_after: 2 absences: the timesheets count 1"),
    }
    for overrides, message in refused.values():
        with pytest.raises(ConfigError, match=message):
            board(MARKET, **overrides)


@pytest.mark.slow  # `make test-wide` checks the town with everything: tests/systems/test_contract.py
def test_a_town_with_everything_about_work_and_money():
    """The checker on the town with hiring, timesheets, reviews, the tuner and spoilage."""
    sections = {
        "timesheets": {"days": 5},
        "hiring": {"chance": 0.8, "quit_after": 4},
        "reviews": {"review_ticks": 600},
        "tuner": {"staples": ["eat_out", "buy_food"], "wages": True},
        "spoilage": {"shelf_life": {"raw_food": 3, "meal": 1}},
    }
    overrides = {f"systems.{name}": section for name, section in sections.items()}
    world = load("town", num_agents=12, **{"observation.variant": "compact"}, **overrides)
    held = testing.check_world(world, num_towns=2, num_ticks=16)
    assert {
        "a post has one holder",
        "the exit queue has no gaps",
        "price factor in bounds",
        "ages not negative",
    } <= held
