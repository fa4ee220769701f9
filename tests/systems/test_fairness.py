"""Properties of fair queues: nobody starves behind those who cut or block, and no reservation sticks in any town at play."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import HARSH, RAPID_DECAY, VILLAGE

from townlet_jax import engine, testing
from townlet_jax.core import fixed
from townlet_jax.systems import edits
from townlet_jax.testing.play import random_actions
from townlet_jax.types import NOTHING

HALL = """
    #########
    #...W...#
    #0..h..5#
    #1.....4#
    #2.....3#
    #.......#
    #########
"""
USE, HAND_OVER, COOLDOWN, START_WITHIN, WALK = 8, 7, 60, 10, 6
NUM = 6


@pytest.fixture(scope="module")
def hall(board):
    return board(HALL, **{"systems.queues.fairness": {}, "systems.affordances.offers.0.ticks": USE})


@jax.jit
def history(world, state, again, blocks):
    """Whether each agent completed a use, was refused, and was near the shower in each of 600 ticks: bool[T, A].

    Everybody goes for the shower until they have had it; those in `again` for ever. Those in `blocks` ask for it from where
    they stand, and never go to it.
    """
    layout = world.static.actions
    go, use = layout.names.index("go_wash"), layout.names.index("use_wash")

    def tick(carry, _):
        state, served = carry
        wants = ~served | again
        actions = jnp.where(blocks, use, jnp.where(wants, go, 0)).astype(jnp.int32)
        state = engine.step(world, state, actions, engine.tick_key(jax.random.key(0), state))
        done = state.slots["affordances"].completed
        refused = state.slots["queues"].fair.refused != NOTHING
        return (state, served | done), (done, refused)

    return jax.lax.scan(tick, (state, jnp.zeros(again.shape[0], bool)), None, 600)[1]


def played(hall, again=(), blocks=()):
    mark = lambda agents: jnp.array([agent in agents for agent in range(NUM)])
    done, refused = history(hall.world, hall.state(), mark(again), mark(blocks))
    return [np.flatnonzero(column) + 1 for column in np.asarray(done).T], np.asarray(refused)


def test_everybody_is_served_within_n_uses_and_handovers(hall):
    """A use takes 8 ticks, handing over 7 at most: three failed steps, a ghost step, one more cell, the start, the tick between."""
    ends, _ = played(hall)
    assert max(served[0] for served in ends) <= WALK + NUM * (USE + HAND_OVER)
    assert [len(served) for served in ends] == [1] * NUM


@pytest.mark.parametrize("again", [(0,), (0, 1, 2), range(NUM)], ids=len)
def test_nobody_starves_behind_those_who_come_again_and_again(hall, again):
    ends, _ = played(hall, again)
    assert max(served[0] for served in ends) <= WALK + NUM * (USE + HAND_OVER)
    for cutter in again:  # each comes again after the cooldown and one use of each other
        gaps = np.diff(ends[cutter])
        assert len(gaps) >= 2 and gaps.max() <= COOLDOWN + WALK + NUM * (USE + HAND_OVER)


@pytest.mark.parametrize("blocks", [(0,), (0, 1, 2)], ids=len)
def test_a_blocker_holds_others_up_for_start_within_ticks_a_cooldown(hall, blocks):
    ends, refused = played(hall, again=(5,), blocks=blocks)
    honest = [agent for agent in range(NUM) if agent not in blocks]
    bound = (
        WALK + len(honest) * (USE + HAND_OVER) + 2 * len(blocks) * (START_WITHIN + 1)
    )  # two rounds, as one cooldown lasts
    assert max(ends[agent][0] for agent in honest) <= bound
    assert len(ends[5]) >= 4 and all(refused[:, agent].sum() >= COOLDOWN for agent in blocks)
    assert not any(len(ends[agent]) for agent in blocks)


NUM_TOWNS, NUM_TICKS = 64, 500
MAYHEM = {**HARSH, "systems.queues.fairness": {"cooldown_ticks": 15, "impatient_after": 5}}
SHORT = jnp.int16(10)  # ticks of a reservation, too few for a use that begins late


def teleport(world, state, key):
    """One in eight towns moves one agent to a random free cell."""
    bits = jax.random.bits(key, (3,), jnp.uint32)
    walkable = np.flatnonzero(
        (np.asarray(world.map.neighbour) != np.arange(world.map.neighbour.shape[0])[:, None]).any(1)
    )
    cell = jnp.array(walkable, jnp.uint16)[bits[0] % jnp.uint32(len(walkable))]
    who = (bits[1] % jnp.uint32(world.static.num_agents)).astype(jnp.int32)
    goes = (bits[2] & 7 == 0) & ~((state.agents.cell == cell) & state.agents.alive).any() & state.agents.alive[who]
    cells = state.agents.cell.at[who].set(jnp.where(goes, cell, state.agents.cell[who]))
    return state.replace(agents=state.agents.replace(cell=cells))


def mayhem(world):
    """Random play with teleports: {rule: bool[B]} whether it always held, and totals over all towns."""

    def town(key):
        def tick(carry, _):
            state, holds, seen = carry
            now = engine.tick_key(key, state)
            before = state.slots["queues"].fair.counts
            state = teleport(world, state, engine.stream(now, "teleport"))
            state = engine.step(world, state, random_actions(world, state, engine.stream(now, "policy")), now)
            slot = state.slots["queues"]
            rules = {**testing.invariants(world, state), "counters never fall": (slot.fair.counts >= before).all()}
            events = [(slot.conflict != NOTHING).any(), (slot.handover != NOTHING).any(), state.terminated.any()]
            seen = seen + jnp.stack(events).astype(jnp.int32)
            return (state, {rule: holds[rule] & rules[rule] for rule in rules}, seen), None

        state = engine.reset(world, key)
        holds = {rule: jnp.ones((), bool) for rule in (*testing.invariants(world, state), "counters never fall")}
        carry = (state, holds, jnp.zeros(3, jnp.int32))
        state, holds, seen = jax.lax.scan(tick, carry, None, NUM_TICKS)[0]
        return holds, seen, state.slots["queues"].fair.counts

    return jax.vmap(town)(testing.town_keys(5, NUM_TOWNS))


def test_no_reservation_sticks_in_64_towns_with_teleports_and_deaths(board):
    world = board(VILLAGE, **MAYHEM).world
    decay = jnp.array([round(rate * fixed.NEED) for rate in RAPID_DECAY], jnp.int32)
    queues = world.params["queues"]
    queues = queues.replace(fairness=queues.fairness.replace(max_hold=SHORT))
    world = world.replace(
        params={**world.params, "needs": world.params["needs"].replace(decay=decay), "queues": queues}
    )
    # the world is closed over, for its walkable cells
    holds, seen, counts = jax.device_get(jax.jit(lambda: mayhem(world))())
    assert [f"{rule} in {(~kept).sum()} towns" for rule, kept in holds.items() if not kept.all()] == []
    assert {"no reservation beyond its limit", "users stand at it", "only the holder uses"} <= set(holds)
    assert (seen.sum(0) > 20).all() and (counts.sum(0) > 20).all()  # quarrels, handovers and deaths, and every counter


@pytest.mark.slow  # `make test-wide` checks the town with everything: tests/systems/test_contract.py
def test_a_fair_hall_with_conditions_keeps_the_promises(board):
    asks = {"systems.affordances.offers.0.requires": "need.hygiene < 0.9 and not occupied"}
    world = board(HALL, **{"systems.queues.fairness": {}, **asks}).world
    assert "no reservation beyond its limit" in testing.check_world(world, num_towns=2, num_ticks=40)


FAULTS = {
    "no reservation beyond its limit": {"held": 61},
    "held by holders only": {"held": 1},
    "the refused do not queue": None,
    "cooldowns in bounds": {"cooldown": -1},
    "waiting in bounds": {"waited": -1},
    "queue counters not negative": {"counts": -1},
    "quarrels have a partner": None,
    "the dead neither wait nor quarrel": None,
}


@pytest.mark.parametrize("rule", FAULTS)
def test_every_rule_notices(hall, rule):
    state = hall.state()
    slot = state.slots["queues"]
    if FAULTS[rule]:
        slot = slot.replace(
            fair=slot.fair.replace(**{name: getattr(slot.fair, name) + v for name, v in FAULTS[rule].items()})
        )
    elif rule == "the refused do not queue":
        fair = slot.fair.replace(cooldown=slot.fair.cooldown.at[0, 0].set(3), held=slot.fair.held.at[0].set(1))
        slot = slot.replace(facility=slot.facility.at[0].set(0), fair=fair)
    elif rule == "quarrels have a partner":
        slot = slot.replace(conflict=slot.conflict.at[0].set(1))
    else:
        state = state.replace(agents=state.agents.replace(alive=jnp.zeros(NUM, bool)))
        slot = slot.replace(handover=slot.handover.at[0].set(1))
    check = jax.jit(testing.invariants)
    assert check(hall.world, hall.state())[rule]
    assert not check(hall.world, state.put(queues=slot))[rule]


def test_a_stranger_is_served_among_friends(board):
    """Ties put friends first, but not for ever: nobody waits for long behind handovers."""
    rows = """
        #########
        #...W...#
        #0..h..3#
        #1......#
        #2......#
        #.......#
        #########
    """
    hall = board(
        rows,
        **{
            "systems.queues.fairness": {},
            "systems.economy.prices": {"wash": 0.0},
            "systems.relationships": {"stage": "A"},
            "start.tick": [1, 1],
        },
    )
    state, part = hall.state(), fixed.TIE * 15 // 100
    for one, other in ((0, 1), (0, 2), (1, 2)):
        state, done = edits.tie(hall.world, state, one, other, (part, part, 0))
        assert bool(done)
    wash = jnp.full(4, hall.world.static.actions.names.index("go_wash"), jnp.int32)

    def tick(state, _):
        state = engine.step(hall.world, state, wash, engine.tick_key(jax.random.key(0), state))
        slot = state.slots["queues"]
        return state, (state.slots["affordances"].completed, (slot.handover != NOTHING).any())

    served, handovers = jax.tree.map(np.asarray, jax.jit(lambda state: jax.lax.scan(tick, state, None, 2000)[1])(state))
    assert served.sum(0).min() >= 0.6 * served.sum(0).max() and handovers.any()
    waits = np.diff(np.flatnonzero(served[:, 3]))
    assert waits.max() <= 300  # eight uses of about 35 ticks
