"""64 harsh villages at random play for 500 ticks, two days and a half, with every cause, every limit and all of the rewards on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, load, policies, testing
from townlet_jax.core import fixed
from townlet_jax.systems import exits, lifecycle, rewards

VILLAGE = """
    #############
    #hB.S.#C..W.#
    #.0.1.+.2.3.#
    #.4.5.#.6.7.#
    ####.##...K.#
    #@..........#
    #############
"""
COOLDOWN, PER_DAY, DAY = 10, 9, 200
GAMMA = round(0.99 * fixed.WEIGHT) / fixed.WEIGHT
ALL = {
    "systems.lifecycle.recovery": {"rent": 0.5, "ticks": 20},
    "systems.lifecycle.unemployment": {"days": 1},
    "systems.lifecycle.neglect": {"below": 0.3, "share": 0.4},
    "systems.lifecycle.age": {"least": 1, "most": 2},
    "systems.lifecycle.caps": {"exits_per_day": PER_DAY, "exit_cooldown": COOLDOWN},
    "systems.lifecycle.kit_rents": 1.5,
    "systems.rewards.shaping": {"weight": 0.5, "gamma": 0.99},
    "systems.rewards.clip_life": 2.0,
    "systems.nights": {"at": 150, "needs": 0.5},
}
HARSH = {
    "start.tick": [0, 199],
    "start.wallet": 1.0,
    "systems.economy.rent": 0.6,
    "systems.lifecycle.evict_after": 1,
    "systems.lifecycle.collapse_ticks": 15,
    "systems.affordances.offers.0.ticks": 6,
    "systems.affordances.offers.1.ticks": 9,
    "systems.affordances.offers.2.ticks": 5,
    "systems.affordances.offers.3.ticks": 4,
}
RAPID_DECAY = (0.004, 0.001, 0.002)  # more than YAML would let through
REMOVAL = 250  # the tick in which a console removes agent 0


class Seen(NamedTuple):
    """After each tick; [towns, ticks, ...]."""

    tick: Any
    alive: Any
    terminated: Any
    reason: Any
    waiting: Any
    before: Any  # i32[A] potentials before the tick
    after: Any  # i32[A] and after it
    shaped: Any
    reward: Any
    life: Any
    columns: Any  # i32[A] what the breakdown adds up to
    broken: Any  # bool[] some invariant


def town(world, key):
    """One town at random play."""

    def tick(state, number):
        now, before = engine.tick_key(key, state), state.slots["rewards"].potential
        state = jax.lax.cond(number == REMOVAL, lambda s: lifecycle.remove(s, 0), lambda s: s, state)
        state = engine.step(world, state, policies.random(world, state, engine.stream(now, "policy")), now)
        slot, own = state.slots["lifecycle"], state.slots["rewards"]
        return state, Seen(
            tick=state.tick,
            alive=state.agents.alive,
            terminated=state.terminated,
            reason=slot.reason,
            waiting=slot.clocks.waiting,
            before=before,
            after=own.potential,
            shaped=own.shaped,
            reward=state.reward,
            life=own.life,
            columns=rewards.breakdown(world, state).sum(1, dtype=jnp.int32),
            broken=~jnp.stack(list(testing.invariants(world, state).values())).all(),
        )

    return jax.lax.scan(tick, engine.reset(world, key), jnp.arange(500, dtype=jnp.int32))[1]


@pytest.fixture(scope="module")
def seen(board):
    decay = jnp.array([fixed.to_need(rate) for rate in RAPID_DECAY], jnp.int32)
    world = board(VILLAGE, **HARSH, **ALL).tuned(needs={"decay": decay}).world
    with jax.numpy_dtype_promotion("strict"):
        play = jax.jit(jax.vmap(town, (None, 0)))(world, testing.town_keys(3, 64))
    return jax.tree.map(np.asarray, play)


def test_every_invariant_holds(seen):
    assert not seen.broken.any()


def test_every_cause_is_seen(seen):
    counts = {reason: int((seen.reason == i).sum()) for i, reason in enumerate(exits.REASONS)}
    told = {"collapse", "eviction", "unemployment", "neglect", "age", "removed"}
    assert {reason for reason, count in counts.items() if count and reason != "none"} == told
    assert min(counts[reason] for reason in told) >= 5


def by_rule(seen):
    """How many leave in each tick for a reason that the caps hold back: i64[towns, ticks]."""
    return (seen.terminated & (seen.reason != exits.REMOVED)).sum(-1)


def test_no_day_has_more_exits_than_its_cap(seen):
    numbers = by_rule(seen)
    for day in range(4):
        found = np.where(seen.tick // DAY == day, numbers, 0).sum(1)
        assert found.max() <= PER_DAY
    assert (np.where(seen.tick // DAY == 1, numbers, 0).sum(1) == PER_DAY).any()  # and some days reach it


def test_exits_keep_their_distance(seen):
    numbers = by_rule(seen)
    assert numbers.max() == 1
    gaps = np.concatenate([np.diff(np.flatnonzero(row)) for row in numbers])
    assert gaps.min() == COOLDOWN


def test_who_leaves_has_waited_longest(seen):
    # of those who were in line before, nobody who goes on waiting has waited longer
    left = seen.terminated[:, 1:] & (seen.reason[:, 1:] != exits.REMOVED)
    before, still = seen.waiting[:, :-1], seen.waiting[:, 1:] > seen.waiting[:, :-1]
    assert ((before > 0) & left).sum() > 50
    longest = np.where(still, before, 0).max(-1, keepdims=True)
    assert (before >= longest)[left].all()


def test_a_console_is_not_bound_by_the_caps(seen):
    removed = (seen.reason == exits.REMOVED).sum(1)
    assert removed[:, 0].max() == 1 and removed[:, 1:].sum() == 0
    assert removed[:, 0].sum() == (seen.alive[:, REMOVAL - 1, 0]).sum()


def test_the_columns_of_the_breakdown_add_up_to_the_reward_in_every_tick(seen):
    np.testing.assert_array_equal(seen.columns, seen.reward)
    assert (seen.reward != 0).sum() > 100_000


def test_a_life_keeps_to_its_clip(seen):
    assert np.abs(seen.life).max() == 2_000_000 and not seen.life[~seen.alive].any()


def lives(seen):
    """Each life that began under observation: (town, agent, its first tick, one past its last, whether it ended)."""
    for one in range(seen.alive.shape[0]):
        for agent in range(seen.alive.shape[2]):
            here = seen.before[one, :, agent] <= 0  # known before the tick: a life goes on
            edges = np.flatnonzero(np.diff(np.concatenate([[0], here.astype(int), [0]])))
            for first, last in zip(edges[::2], edges[1::2]):
                yield one, agent, first, last, bool(seen.terminated[one, last - 1, agent])


def test_over_a_life_shaping_adds_up_to_its_potentials(seen):
    """Sum of gamma^t F_t = gamma^T phi(s_T) - phi(s_0), so that whatever one does, returns are moved by the same amount."""
    ended = 0
    for one, agent, first, last, ends in lives(seen):
        discount = GAMMA ** np.arange(last - first)
        total = (discount * seen.shaped[one, first:last, agent]).sum()
        final = 0 if ends else seen.after[one, last - 1, agent]
        expected = GAMMA ** (last - first) * final - seen.before[one, first, agent]
        assert abs(total - expected) <= 1 / (1 - GAMMA)  # less than a millionth a tick is rounded off
        ended += ends
    assert ended > 300


def test_shaping_gives_nothing_outside_a_life(seen):
    assert not seen.shaped[seen.before > 0].any()
    assert (seen.shaped[seen.terminated] >= 0).all()  # phi of the end is 0, that of a person is not positive


@pytest.mark.slow  # `make test-wide` checks the town with everything: tests/systems/test_contract.py
def test_the_town_keeps_its_promises_with_all_of_it_on():
    world = load(
        "town",
        **{
            "observation.variant": "compact",
            **{
                name: {}
                for name in ALL
                if name.split(".")[-1] in ("recovery", "unemployment", "neglect", "age", "caps")
            },
            "systems.nights": {},
            "systems.lifecycle.kit_rents": 1.5,
            "systems.rewards.shaping": {},
            "systems.rewards.clip_life": 50.0,
        },
    )
    held = testing.check_world(world, num_towns=2, num_ticks=16)
    assert {"no more exits than a day allows", "nothing earned around a death"} <= held
