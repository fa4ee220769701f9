"""Scenes of everyday life: each shows what its name says, with numbers worked by hand (specification §20)."""

import jax
import numpy as np
import pytest
from stage import play, when

from townlet_jax import observe, schema
from townlet_jax.systems import rewards
from townlet_jax.types import NOBODY

OBSERVE = jax.jit(jax.vmap(observe, (None, 0)))


def about(value, within=1e-3):
    """A share that is kept as an integer."""
    return pytest.approx(value, abs=within)


def test_kitchen_breakfast_takes_turns_at_the_stove_and_nobody_waits_for_the_fridge():
    """Alice stands one step from the stove: she is there after tick 1, so she cooks in ticks 2 to 41 and walks 4 steps."""
    kitchen = play("kitchen_breakfast")
    assert kitchen.uses(0) == [(2, 41, "cook"), (46, 60, "eat_meal")]
    assert kitchen.uses(1) == [(44, 83, "cook"), (88, 102, "eat_meal")]
    runs = kitchen.slot("affordances").remaining > 0
    assert when(runs.all(1)) == list(range(46, 60))  # one cooks while the other eats, and never two at one thing


def test_kitchen_breakfast_feeds_both_for_the_price_of_the_gas():
    kitchen = play("kitchen_breakfast")
    last = kitchen.num_ticks
    assert kitchen.coins(last) == pytest.approx([1.5 - 0.15, 1.2 - 0.15])
    assert kitchen.needs(last, 0) == about([0.4 + 0.1 + 0.4, 0.6, 0.5 - 0.05 + 0.05])
    assert kitchen.needs(last, 1) == about([0.3 + 0.1 + 0.4, 0.7, 0.6 - 0.05 + 0.05])
    assert kitchen.states.agents.items[-1].tolist() == [[0, 0], [0, 0]]  # what was cooked is eaten
    assert (kitchen.states.agents.items[41 - 1] == [[0, 1], [1, 0]]).all()


def test_queue_conflict_gives_everybody_a_turn_of_full_length():
    """A turn takes 20 ticks; handing over and stepping up takes 2. Nobody is thrown out of the shower, as the original did."""
    shower = play("queue_conflict")
    assert [shower.uses(agent) for agent in range(3)] == [[(2, 21, "wash")], [(24, 43, "wash")], [(46, 65, "wash")]]
    slot = shower.slot("affordances")
    assert when(slot.finished.any(1)) == when(slot.completed.any(1)) == [21, 43, 65]
    assert when(slot.remaining[:, 0] == 19) == [2, 68]  # and it is Anna's turn again


def test_queue_conflict_makes_rivals_of_who_waits_and_who_bathes():
    """Ten ticks behind somebody: a quarrel of intensity 0.4, and 0.25 more for a second in line; handing over mends 0.05.

    The counts of the original (32 conflicts, rivalry .858) came from throwing out whoever bathed in every third tick. The corrected
    rule is that of `impatient_after`: seven quarrels, each worth 0.2 times its intensity, so that nobody is avoided in the end.
    """
    shower = play("queue_conflict")
    conflict, intensity = shower.slot("queues").conflict, shower.slot("queues").intensity
    heat = {tick: int(intensity[tick - 1].max()) / 1024 for tick in when((conflict != NOBODY).any(1))}
    assert heat == about({12: 0.65, 14: 0.65, 32: 0.4, 42: 0.65, 54: 0.4, 64: 0.65, 76: 0.4})
    anna, ben, cara = range(3)
    assert shower.tie(21, "rivalry", anna, ben) == about(0.2 * 0.65)
    assert shower.tie(22, "rivalry", anna, ben) == about(0.13 - 0.05)
    assert shower.tie(80, "rivalry", anna, ben) == about(0.2 * (0.65 + 0.4) - 0.05)
    assert shower.tie(80, "rivalry", ben, cara) == about(0.2 * (0.4 + 0.65) - 0.05)
    assert shower.tie(80, "rivalry", anna, cara) == about(0.2 * (0.65 + 0.4 + 0.65) - 0.05)
    rivalry = shower.slot("relationships").rivalry
    assert (rivalry == rivalry.transpose(0, 2, 1)).all() and rivalry.max() / 2**14 < 0.4


def test_employment_punctuality_counts_late_as_the_original_did():
    """Erin is late from tick 10 to the end, 71 of 80 ticks: .8875 in the mean, the number of the original."""
    cafe = play("employment_punctuality")
    lateness = cafe.slot("timesheets").lateness
    assert lateness[:, 1].mean() == 71 / 80 == 0.8875
    assert not lateness[:, 0].any()


def test_employment_punctuality_pays_by_the_tick():
    """A shift of 20 ticks at 0.03. Erin comes 8 ticks late, pays 0.2, and misses 8 x 0.03 = 0.24."""
    cafe = play("employment_punctuality")
    slot = cafe.slot("timesheets")
    assert cafe.coins(80) == pytest.approx([1 + 20 * 0.03, 1 - 0.2 + 12 * 0.03])
    assert slot.withheld[-1].tolist() == [0, 240] and slot.late_ticks[-1].tolist() == [0, 20]
    pay = cafe.slot("employment").pay
    assert when(pay[:, 0] == 30) == list(range(10, 30)) and when(pay[:, 1] == 30) == list(range(18, 30))
    assert cafe.tie(10, "trust", 1, 0) == about(0.2)  # a colleague was there for her


def test_rivalry_decay_by_the_hour_until_they_talk():
    """0.88 less 0.05 an hour of ten ticks: below 0.7 with the fourth hour, gone with the eighteenth."""
    park = play("rivalry_decay")
    for hours in range(18):
        assert park.tie(max(10 * hours, 1), "rivalry", 0, 1) == about(0.88 - 0.05 * hours)
        assert park.tie(10 * hours + 9, "rivalry", 1, 0) == about(0.88 - 0.05 * hours)
    assert not park.slot("relationships").rivalry[180 - 1 :].any()
    chat = park.slot("chat").outcome[:, 0]
    assert when(chat == 3) == list(range(5, 41, 5))  # he thinks better of it, eight times
    assert when(chat == 1) == list(range(45, 201, 5))  # 0.68 is less than 0.7


def test_observation_baseline_sees_nothing_change_but_the_clock():
    room = play("observation_baseline")
    seen = OBSERVE(room.world, room.states)
    changes = np.ptp(np.asarray(seen.features), axis=0).max(0) > 0
    moving = [entry.name for entry in schema(room.world) if changes[entry.start : entry.stop].any()]
    assert moving == ["time"]
    assert not np.ptp(np.asarray(seen.layers), axis=0).any()


def test_observation_baseline_earns_the_penalty_of_the_original():
    """-(1 + 0.5 + 0.6) x 0.6^2 = -0.756 a tick; squares are rounded down to 2^-10, so that it is 0.4 % less here."""
    room = play("observation_baseline")
    reward = room.states.reward[:, 0] / 1e6
    assert np.unique(reward).size == 1 and reward[0] == pytest.approx(-0.756, rel=0.005)
    assert rewards.breakdown_names(room.world)[0] == "needs"
    rows = jax.vmap(rewards.breakdown, (None, 0))(room.world, room.states)
    assert (np.asarray(rows)[:, 0, 0] == room.states.reward[:, 0]).all()  # nothing is clipped
