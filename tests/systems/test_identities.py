"""Identities: who has which, how long they rest, and when a reuse is forced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import HARSH, VILLAGE

from townlet_jax import ConfigError, engine, load, schema, testing
from townlet_jax.systems import identities
from townlet_jax.types import NOBODY

ROOM = """
    ########
    #h.W..@#
    #0123..#
    #4567..#
    ########
"""


@pytest.fixture
def room(board):
    """A room of eight people."""
    return lambda **section: board(ROOM, **{"systems.identities": section})


@pytest.fixture
def alone(board):
    """One person, one identity, a cooldown of three ticks."""
    section = {"max_slots": 1, "cooldown_ticks": 3}
    return board("#####\n#h.W#\n#0..#\n#####", **{"systems.identities": section})


def identities_of(state):
    return [None if i == NOBODY else i for i in state.slots["identities"].identity.tolist()]


def after(town, state, tick, leave=(), come=()):
    """The identities after a tick in which some slots lose their person and others get one."""
    slot = jnp.arange(town.world.static.num_agents)
    left, came = jnp.isin(slot, jnp.array(leave, jnp.int32)), jnp.isin(slot, jnp.array(come, jnp.int32))
    agents = state.agents.replace(
        alive=(state.agents.alive & ~left) | came, generation=state.agents.generation + came.astype(jnp.int16)
    )
    state = town.only("identities", state.replace(agents=agents, tick=jnp.int32(tick)))
    broken = [rule for rule, holds in identities.rules(town.world, state).items() if not holds]
    assert not broken
    return state


def forced(state):
    return int(state.slots["identities"].forced)


def test_one_identity_with_a_cooldown_of_three_ticks(alone):
    state = after(alone, alone.state(), 1, leave=[0])
    assert identities_of(state) == [None]
    state = after(alone, state, 2, come=[0])
    assert identities_of(state) == [0] and forced(state) == 1  # it rested one tick
    state = after(alone, state, 5, leave=[0])
    state = after(alone, state, 8, come=[0])
    assert identities_of(state) == [0] and forced(state) == 1  # it rested three
    assert int(state.slots["identities"].allocated) == 3


@pytest.mark.parametrize(("back", "count"), [(1, 1), (2, 1), (3, 0), (4, 0)])
def test_what_was_released_at_tick_0_rests_too(alone, back, count):
    state = after(alone, alone.state(), 0, leave=[0])
    assert forced(after(alone, state, back, come=[0])) == count


def test_no_cooldown_forces_nothing(alone):
    town = alone.tuned(identities={"cooldown": jnp.int32(0)})
    state = after(town, town.state(), 1, leave=[0])
    assert forced(after(town, state, 1, come=[0])) == 0


def test_the_first_residents_have_the_first_identities(room):
    assert identities_of(room().state()) == list(range(8))


def test_a_slot_that_begins_empty_has_no_identity_yet(board):
    residents = [{"name": "anna"}, {"name": "ben", "joins": 2}, {"name": "cleo", "joins": 9}]
    town = board(ROOM, **{"systems.identities": {}, "start.residents": residents})
    state = engine.reset(town.world, jax.random.key(0))
    assert identities_of(state) == [0, None, None, 1, 2, 3, 4, 5]
    assert int(state.slots["identities"].allocated) == 6
    state = after(town, state, 2, come=[2])
    assert identities_of(state) == [0, None, 6, 1, 2, 3, 4, 5]


def test_the_lowest_never_used_comes_first(room):
    town = room(max_slots=11, cooldown_ticks=0)
    state = after(town, town.state(), 1, leave=[2, 5])
    state = after(town, state, 2, come=[5])
    assert identities_of(state) == [0, 1, None, 3, 4, 8, 6, 7]
    state = after(town, state, 3, leave=[0], come=[2])
    assert identities_of(state) == [None, 1, 9, 3, 4, 8, 6, 7]


def test_then_the_one_that_has_rested_longest(room):
    town = room(max_slots=8, cooldown_ticks=10)
    state = after(town, town.state(), 1, leave=[6])
    state = after(town, state, 2, leave=[3])
    state = after(town, state, 4, leave=[1])
    state = after(town, state, 11, come=[1])
    assert identities_of(state) == [0, 6, 2, None, 4, 5, None, 7] and forced(state) == 0  # rested ten ticks
    state = after(town, state, 11, come=[3, 6])
    assert identities_of(state) == [0, 6, 2, 3, 4, 5, 1, 7] and forced(state) == 2  # rested nine and seven


def test_several_births_are_served_in_order_of_their_slots(room):
    town = room(max_slots=10, cooldown_ticks=5)
    state = after(town, town.state(), 1, leave=[0, 4, 7])
    state = after(town, state, 2, come=[0, 4, 7])
    assert identities_of(state) == [8, 1, 2, 3, 9, 5, 6, 0]
    assert forced(state) == 1  # two were new, the third had rested for one tick


def test_nobody_takes_what_is_freed_in_the_same_tick_while_there_is_another(room):
    town = room(max_slots=9)
    state = after(town, town.state(), 1, leave=[0, 1])
    state = after(town, state, 2, leave=[2], come=[1])
    assert identities_of(state)[:3] == [None, 8, None]


def test_it_does_what_an_allocator_with_a_list_does(room):
    """Against the rule in words, over 300 ticks of coming and going."""
    town, random = room(max_slots=12, cooldown_ticks=40), np.random.default_rng(0)
    state, who, never, released, count = town.state(), dict(enumerate(range(8))), [8, 9, 10, 11], {}, 0
    for tick in range(1, 301):
        leave = [slot for slot in sorted(who) if random.random() < 0.02]
        come = [slot for slot in range(8) if slot not in who and random.random() < 0.1]
        for slot in leave:
            released[who.pop(slot)] = tick
        for slot in come:
            if never:
                who[slot] = never.pop(0)
                continue
            oldest = min(released.values())
            ties = [identity for identity in released if released[identity] == oldest]  # in order of release
            who[slot] = ties[0]
            count += tick - released.pop(ties[0]) < 40
        state = after(town, state, tick, leave, come)
        assert identities_of(state) == [who.get(slot) for slot in range(8)] and forced(state) == count
    assert 5 < count < 40 < int(state.slots["identities"].allocated)


def test_a_table_of_learned_vectors_has_a_row_for_nobody(room):
    town = room(max_slots=10)
    state = after(town, town.state(), 1, leave=[3])
    rows = identities.identity(town.world, state)
    assert rows.dtype == jnp.int32 and rows.tolist() == [0, 1, 2, 10, 4, 5, 6, 7]


def test_people_see_their_own(room):
    town = room(max_slots=16)
    entry = next(entry for entry in schema(town.world) if entry.name == "embedding_slot_norm")
    state = after(town, town.state(), 1, leave=[3])
    seen = town.observe(state).features[:, entry.start].tolist()
    assert entry.stop == entry.start + 1 and seen == [0, 1 / 16, 2 / 16, 0, 4 / 16, 5 / 16, 6 / 16, 7 / 16]


@pytest.mark.parametrize(("share", "warning"), [(0.05, 1.0), (0.5, 1.0), (0.7, 0.0)])
def test_too_many_forced_reuses_call_for_a_warning(alone, share, warning):
    town = alone.tuned(identities={"warning": jnp.int32(round(share * 65536))})
    state = after(town, town.state(), 1, leave=[0])
    before = identities.metrics(town.world, state)
    assert float(before["identities/warning"]) == 0 and float(before["identities/forced"]) == 0
    for tick in (2, 4):
        state = after(town, after(town, state, tick, come=[0]), tick + 1, leave=[0])
    found = identities.metrics(town.world, state)  # two of three births
    assert (float(found["identities/forced"]), float(found["identities/allocated"])) == (2, 3)
    assert float(found["identities/warning"]) == warning


def test_a_share_of_just_the_warning_is_none(alone):
    town = alone.tuned(identities={"warning": jnp.int32(32768)})
    state = after(town, after(town, town.state(), 1, leave=[0]), 2, come=[0])
    assert float(identities.metrics(town.world, state)["identities/warning"]) == 0  # one of two is not more than half


def test_as_many_identities_as_agents_at_least(room):
    assert room(max_slots=8).world.params["identities"].line.shape == (8,)
    with pytest.raises(ConfigError, match="max_slots.*7 is less than 8 agents"):
        room(max_slots=7)
    with pytest.raises(ConfigError, match="max_slots.*257"):
        room(max_slots=257)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("the living have an identity", {"identity": jnp.full(8, 64, jnp.int16)}),
        ("identities are unique", {"identity": jnp.zeros(8, jnp.int16)}),
        ("those in line are free", {"turn": jnp.arange(1, 65, dtype=jnp.int32)}),
        ("the line has no gap", {"turn": jnp.array([*range(63), 64], jnp.int32)}),
        ("every birth has an identity", {"allocated": jnp.int32(9)}),
        ("forced reuses in bounds", {"forced": jnp.int32(1)}),
        ("released in the past", {"released": jnp.full(64, 1, jnp.int32)}),
    ],
)
def test_rules_can_fail(room, rule, fault):
    town = room()
    state = town.state()
    assert all(bool(holds) for holds in identities.rules(town.world, state).values())
    broken = state.put(identities=state.slots["identities"].replace(**fault))
    assert not bool(identities.rules(town.world, broken)[rule])


def test_the_rule_of_the_dead_can_fail(room):
    town = room()
    assert not bool(identities.rules(town.world, town.state(alive=[False] * 8))["the dead have no identity"])


def test_an_exit_frees_the_identity_in_its_tick_and_a_newcomer_has_one_at_once(board):
    swift = {"systems.lifecycle.collapse_ticks": 1, "systems.lifecycle.arrive_after": [1, 1]}
    town = board(ROOM, **swift, **{"systems.identities": {}})
    state = town.step(town.state(needs=[[0] * 3, *[[500_000] * 3] * 7]))
    assert state.terminated.tolist()[0] and identities_of(state) == [None, 1, 2, 3, 4, 5, 6, 7]
    assert int(state.slots["identities"].released[0]) == int(state.tick)
    state = town.step(town.step(state))
    assert bool(state.agents.alive[0]) and identities_of(state) == [8, 1, 2, 3, 4, 5, 6, 7]


CHARACTERS = {
    "mode": "sampled",
    "patience": True,
    "multipliers": True,
    "rewards": True,
    "biases": True,
    "overrides": {"2": "stoic"},
}


@pytest.mark.parametrize("mode", ["sampled", "profiles"])
def test_rules_hold_in_64_harsh_towns(board, mode):
    """400 ticks of all kinds of conduct and of edits from outside; people come and go, and every rule of every system holds."""
    own = {**CHARACTERS, "mode": mode, "distribution": {"socialite": 1, "industrious": 2}}
    residents = [{"name": "anna"}, {"name": "ben", "joins": 30}]
    sections = {"systems.personality": own, "systems.identities": {"max_slots": 12, "cooldown_ticks": 100}}
    world = board(VILLAGE, **HARSH, **sections, **{"start.residents": residents}).world
    needs = world.params["needs"].replace(decay=jnp.array([8389, 4194, 6291], jnp.int32))
    world = world.replace(params={**world.params, "needs": needs})
    state, lines = testing.fuzz(world, num_towns=64, num_ticks=400)
    assert lines == []
    slot = state.slots["identities"]
    assert (slot.allocated > 12).mean() > 0.8 and (slot.forced > 0).any() and (state.agents.generation > 1).any()
    assert (state.slots["personality"].births == slot.allocated).all()


@pytest.mark.slow  # `make test-wide` checks the town with everything: tests/systems/test_contract.py
def test_the_town_with_characters_keeps_its_promises():
    sections = {"systems.personality": CHARACTERS, "systems.identities": {}}
    world = load("town", **{"observation.variant": "compact"}, **sections)
    assert {"identities are unique", "traits in bounds"} <= testing.check_world(world, num_towns=2, num_ticks=16)
