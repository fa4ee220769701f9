"""Test cards: what may go wrong in a town, played out with numbers worked by hand (specification §26)."""

import numpy as np
import pytest
from stage import play, when

from townlet_jax.systems.exits import REASONS


def test_starvation_takes_the_hungry_one_only():
    """Hunger 0.1 falls by 0.002 a tick: 0.03 after 35 ticks, below it from 36 on, and the tenth such tick is 45."""
    cafe = play("starvation")
    alive, critical = cafe.states.agents.alive, cafe.slot("lifecycle").critical[:, 0]
    assert when(critical > 0) == list(range(36, 45))
    assert when(cafe.states.terminated.any(1)) == [45] and cafe.states.terminated[45 - 1].tolist() == [
        True,
        False,
        False,
    ]
    assert REASONS[cafe.slot("lifecycle").reason[45 - 1, 0]] == "collapse"
    assert alive[:, 1:].all() and not cafe.states.agents.generation[:, 1:].any()
    assert cafe.states.agents.wallet[:, 1:].min() == 2000  # nobody else notices anything
    assert cafe.uses(0) == []


def test_starvation_is_followed_by_somebody_new_within_20_ticks():
    cafe = play("starvation")
    arrives = when(np.diff(cafe.states.agents.generation[:, 0]) > 0)[0] + 1
    assert 5 <= arrives - 45 <= 20
    assert cafe.needs(arrives, 0) == pytest.approx([0.6] * 3, abs=1e-3) and cafe.coins(arrives)[0] == 2.0
    earned = cafe.states.reward[:, 0]
    assert earned[45 - 1] == -1_000_000 and (earned[45 : 45 + 10] <= 0).all() and (earned[45 + 10 :] > 0).all()


def test_starvation_does_not_happen_when_the_cafe_is_open():
    """The same without the closure: four steps to the counter, a meal in ticks 5 to 19, and all is well."""
    cafe = play("starvation", **{"systems.timeline": None})
    assert cafe.uses(0)[0] == (5, 19, "eat_out")
    assert cafe.states.agents.alive.all()


def test_eviction_takes_who_cannot_pay_and_spares_who_got_help():
    """Two days without rent (ticks 100 and 220), 20 ticks of grace; half a rent in tick 231 saves Theo."""
    flats = play("eviction")
    unpaid = flats.slot("economy").unpaid
    assert when(np.diff(unpaid[:, 0]) > 0) == [100 - 1, 220 - 1]
    assert when(flats.states.terminated[:, 0]) == [240] and not flats.states.terminated[:, 1].any()
    assert REASONS[flats.slot("lifecycle").reason[240 - 1, 0]] == "eviction"
    assert flats.coins(230)[1] == 0.24 and flats.coins(231)[1] == pytest.approx(0.24 + 1.0 - 0.25)
    assert unpaid[231 - 1].tolist() == [2, 1]


def test_eviction_comes_of_dear_food_and_low_wages():
    """40 ticks at 0.02 less 0.4 leave 0.1 + 0.4 = 0.5 on the first day, of which a tick's walk costs 0.02: no meal, no rent."""
    flats = play("eviction")
    assert flats.coins(100)[0] == pytest.approx(0.1 + 39 * 0.02 - 0.4)
    assert flats.uses(0)[0][2] == "eat_out" and flats.uses(0)[0][0] > 180
    assert flats.coins(220)[0] == pytest.approx(0.48 + 38 * 0.02 - 0.4 - 2 * 0.3)


def test_exit_storm_lets_two_go_a_day_120_ticks_apart():
    """Three are due in tick 5. Tick 380 is midnight: the third waits for it, although 120 ticks have passed in tick 245."""
    town = play("exit_storm")
    gone = town.states.terminated
    assert when(gone.any(1)) == [5, 125, 380] and (gone.sum(1) <= 1).all()
    assert gone[:, :3].sum(0).tolist() == [1, 1, 1] and not gone[:, 3].any()
    waiting = (town.slot("lifecycle").clocks.waiting > 0).sum(1)
    assert waiting[5 - 1] == 2 and waiting[125 - 1] == 1 and waiting[245 - 1] == 1 and waiting[380 - 1] == 0
    assert (town.states.reward[town.slot("lifecycle").clocks.waiting > 0] <= 0).all()  # waiting in line pays nothing


def test_exit_storm_fills_every_place_again():
    town = play("exit_storm")
    assert town.states.agents.generation[-1].tolist() == [1, 1, 1, 0] and town.states.agents.alive[-1].all()
    empty = (~town.states.agents.alive).sum(0)
    assert (empty[:3] >= 5).all() and (empty[:3] <= 30).all() and empty[3] == 0


def test_outage_mid_shower_gives_the_money_back_and_the_next_one_the_shower():
    """Water fails in ticks 12 to 21. Sam has paid 0.2 in tick 2; Tim steps up, pays when it runs again and bathes first."""
    bath = play("outage_mid_shower")
    runs = bath.slot("affordances").remaining > 0
    assert when(runs[:, 0])[:10] == list(range(2, 12)) and not runs[12 - 1 : 22 - 1].any()
    assert [bath.coins(tick)[0] for tick in (1, 2, 11, 12)] == [1.0, 0.8, 0.8, 1.0]
    assert bath.uses(1) == [(22, 51, "wash")] and bath.uses(0) == [(54, 83, "wash")]
    assert bath.coins(90) == [0.8, 0.8]
    assert bath.needs(90, 0)[1] == bath.needs(90, 1)[1] == pytest.approx(0.3 + 0.45, abs=1e-3)


def test_mass_arrival_lets_them_in_one_at_a_time():
    """All three are due in tick 5; the way in is one cell, and a step into a cell takes a tick in which it is free."""
    town = play("mass_arrival")
    alive = town.states.agents.alive
    assert [when(alive[:, agent])[0] for agent in range(4)] == [5, 6, 8, 1]
    entry = int(town.world.map.entry_cell[0])
    assert ((town.states.agents.cell == entry) & alive).sum(1).max() == 1
    assert [town.coins(tick)[agent] for agent, tick in enumerate((5, 6, 8))] == [2.25] * 3


def test_mass_arrival_brings_each_to_a_home_of_its_own():
    """6, 12 and 18 steps from the entry; the third loses a tick to the one ahead of it, who loses one at the entry."""
    town = play("mass_arrival")
    homes = town.world.map.home_cell
    reach = [when(town.states.agents.cell[:, agent] == int(homes[agent])) for agent in range(3)]
    alive = town.states.agents.alive
    assert [next(t for t in ticks if alive[t - 1, agent]) for agent, ticks in enumerate(reach)] == [11, 19, 27]
    for tick in range(town.num_ticks):
        cells = town.states.agents.cell[tick][alive[tick]]
        assert len(set(cells.tolist())) == len(cells)
