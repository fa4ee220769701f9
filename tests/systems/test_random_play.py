"""What holds in every tick of 64 crowded villages that are played at random for 300 ticks: 153,600 agent-ticks."""

import numpy as np
import pytest

from townlet_jax.core import fixed
from townlet_jax.systems.affordances import MAX_CARRIED
from townlet_jax.types import NOTHING


@pytest.fixture
def play(village):
    return village.play


def pairs(values, valid):
    """Whether two agents of a tick have the same value and are both valid: bool[towns, ticks, A, A]."""
    same = (values[..., :, None] == values[..., None, :]) & valid[..., :, None] & valid[..., None, :]
    return same & ~np.eye(values.shape[-1], dtype=bool)


def test_much_happens(play):
    assert play.terminated.sum() > 300 and play.ghost.sum() > 300
    assert (play.place[play.queue != NOTHING] > 0).sum() > 300
    assert (play.remaining > 0).sum() > 3000 and (play.reward > 0).sum() > 300


def test_of_those_who_share_a_cell_all_but_one_are_flagged(play):
    unflagged = play.alive & ~play.ghost
    assert not pairs(play.cell, unflagged).any()


def test_who_is_flagged_shares_a_cell(play):
    # movement comes before deaths: a partner of this tick may just have died; who has just arrived has not moved yet
    shares = pairs(play.cell, play.alive | play.terminated).any(-1)
    walked = play.alive[:, 1:] & play.alive[:, :-1]
    assert not (play.ghost & ~shares)[:, 1:][walked].any()


def test_nobody_stands_in_a_wall_or_on_a_facility(village, play):
    steps = np.asarray(village.world.map.neighbour)
    solid = (steps == np.arange(len(steps))[:, None]).all(1)
    assert not solid[play.cell[play.alive]].any()


def test_nobody_jumps(village, play):
    width = village.world.static.width
    row, column = play.cell // width, play.cell % width
    stays = play.alive[:, 1:] & play.alive[:, :-1] & ~play.terminated[:, 1:]
    stays &= play.generation[:, 1:] == play.generation[:, :-1]
    steps = np.abs(np.diff(row.astype(int), axis=1)) + np.abs(np.diff(column.astype(int), axis=1))
    assert steps[stays].max() == 1


def test_a_facility_never_has_two_holders_and_its_places_have_no_gap(play):
    queues = play.queue != NOTHING
    assert not pairs(play.queue.astype(int) * 100 + play.place, queues).any()
    for facility in np.unique(play.queue[queues]):
        members = play.queue == facility
        last = np.where(members, play.place, -1).max(-1)
        assert (last + 1 == members.sum(-1)).all()


LATE_START = "queues.step: who begins in the last tick of `start_within` is sent to the tail in the next, while it runs"


def test_who_uses_a_facility_stands_in_its_queue(play):
    assert (play.queue[play.alive & (play.remaining > 0)] != NOTHING).all()


def test_only_who_holds_a_facility_uses_it(play):
    assert (play.place[play.alive & (play.remaining > 0)] == 0).all()


def test_no_facility_has_two_users(play):
    assert not pairs(play.queue, play.alive & (play.remaining > 0)).any()


def test_the_dead_hold_nothing(play):
    gone = ~play.alive & ~play.terminated  # a queue lets go of the dead in the tick after
    assert (play.queue[gone] == NOTHING).all() and (play.remaining[gone] == 0).all()
    assert (
        not play.needs[~play.alive].any() and not play.wallet[~play.alive].any() and not play.items[~play.alive].any()
    )


def test_everything_stays_in_its_range(village, play):
    assert play.needs.min() >= 0 and play.needs.max() <= fixed.NEED
    assert play.wallet.min() >= 0
    assert play.items.min() >= 0 and play.items.max() <= MAX_CARRIED
    capacity = np.asarray(village.world.params["economy"].capacity)[np.asarray(village.world.map.facility_kind)]
    assert play.stock.min() >= 0 and (play.stock <= capacity).all()


def test_a_life_ends_once_and_a_slot_is_filled_again(play):
    alive_before = np.concatenate([np.ones_like(play.alive[:, :1]), play.alive[:, :-1]], axis=1)
    assert alive_before[play.terminated].all() and not play.alive[play.terminated].any()
    born = play.alive & ~alive_before
    generation_before = np.concatenate([np.zeros_like(play.generation[:, :1]), play.generation[:, :-1]], axis=1)
    np.testing.assert_array_equal(play.generation - generation_before, born)


def test_an_empty_slot_waits_at_least_5_ticks(play):
    for town in range(64):
        for agent in range(play.alive.shape[-1]):
            empty = np.flatnonzero(~play.alive[town, :, agent])
            runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1) if len(empty) else []
            assert all(len(run) >= 5 for run in runs if run[-1] < 299)


def test_rewards_keep_to_the_clip_and_to_the_guard(play):
    assert np.abs(play.reward[~play.terminated]).max() <= 200_000
    assert (play.reward[play.terminated] <= -1_000_000).all()
    assert (play.reward[play.guarded] <= 0).all()
    assert not play.reward[~play.alive & ~play.terminated].any()


def test_no_episode_is_cut_short_before_its_time(play):
    assert not play.truncated.any()
