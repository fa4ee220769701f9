"""Personality: who is born, how evenly, and what a character changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import RESET

from townlet_jax import ConfigError, engine, load, schema
from townlet_jax.core import fixed
from townlet_jax.policies import scripted
from townlet_jax.systems import ORDER, personality, profiles, rewards
from townlet_jax.testing import town_keys

ROOM = """
    ########
    #h.W...#
    #0123..#
    #4567.@#
    ########
"""
SWIFT = {"systems.lifecycle.collapse_ticks": 1, "systems.lifecycle.arrive_after": [1, 1]}
MIXED = {"balanced": 0.5, "socialite": 0.25, "stoic": 0.25}
CITIZEN = jax.jit(scripted)
BALANCED, INDUSTRIOUS, SOCIALITE, STOIC = range(4)  # in order of their names


@pytest.fixture
def room(board):
    """A room of eight people; arguments are the section's keys."""
    return lambda **section: board(ROOM, **SWIFT, **{"systems.personality": section})


def traits_of(state):
    return np.asarray(state.slots["personality"].traits)


def profiles_of(state):
    return state.slots["personality"].profile.tolist()


@jax.jit
def settled(world, keys):
    return jax.vmap(lambda key: engine.reset(world, key).slots["personality"])(keys)


@jax.jit
def born(world, numbers, shifts):
    return jax.vmap(lambda shift: personality.born(world, numbers, shift))(shifts)


def towns(world, number=200, seed=0):
    """The characters of the first residents of many towns."""
    return settled(world, town_keys(seed, number))


def births(world, slot, numbers):
    """Profiles and traits of the births of some numbers, in each of many towns."""
    return born(world, jnp.arange(*numbers, dtype=jnp.int32), slot.shift)


def reborn(state, slots):
    """Other people in some slots."""
    comes = jnp.isin(jnp.arange(8), jnp.array(slots))
    alive = state.agents.alive | comes
    generation = state.agents.generation + comes.astype(jnp.int16)
    return state.replace(agents=state.agents.replace(alive=alive, generation=generation))


def test_the_shipped_profiles():
    rows = {name: (p.extroversion, p.forgiveness, p.ambition) for name, p in profiles.SHIPPED.items()}
    assert rows == {
        "balanced": (0, 0, 0),
        "socialite": (0.6, 0.1, -0.1),
        "industrious": (-0.2, -0.1, 0.5),
        "stoic": (-0.3, 0.5, -0.2),
    }
    factors = {name: (p.need, p.reward, p.behaviour) for name, p in profiles.SHIPPED.items()}
    assert factors == {
        "balanced": ({}, {}, {}),
        "socialite": ({"hygiene": 1.1}, {"social": 1.2}, {"chat_preference": 1.3}),
        "industrious": ({"energy": 0.9}, {"employment": 1.25}, {"work_affinity": 1.4}),
        "stoic": ({"hunger": 0.95}, {"survival": 1.1}, {"conflict_tolerance": 0.6}),
    }


def test_everybody_is_balanced_unless_the_world_says_otherwise(room):
    state = room().state()
    assert profiles_of(state) == [BALANCED] * 8 and not traits_of(state).any()


def test_a_person_has_the_traits_of_the_profile(room):
    state = room(distribution={"socialite": 3}).state()
    assert profiles_of(state) == [SOCIALITE] * 8
    assert traits_of(state).tolist() == [[614, 102, -102]] * 8  # .6, .1 and -.1 of 1,024
    assert personality.trait(state, "ambition").tolist() == [-102] * 8


def test_eight_residents_are_mixed_exactly_as_the_weights_say(room):
    """Half, a quarter and a quarter: every town has 4, 2 and 2, and so has every later eight; by lot 1 in 14 would."""
    world = room(distribution=MIXED).world
    slot = towns(world)
    for profile in (slot.profile, births(world, slot, (8, 16))[0]):
        counts = np.stack([(np.asarray(profile) == p).sum(1) for p in range(4)], axis=1)
        assert (counts == [4, 0, 2, 2]).all()
    lot = jax.random.choice(jax.random.key(0), 4, (200, 8), p=jnp.array([0.5, 0, 0.25, 0.25]))
    assert (np.sort(lot, axis=1) == [0, 0, 0, 0, 2, 2, 3, 3]).all(1).mean() < 0.2
    assert len({tuple(row) for row in slot.profile.tolist()}) > 50  # but who is what differs from town to town


def test_proportions_of_any_weights_are_met(room):
    """Of n = 2**k births a share w has less than 2 more or fewer than n w; of any n, less than 2 for each binary digit of n."""
    world = room(distribution={"balanced": 0.37, "industrious": 0.21, "socialite": 0.29, "stoic": 0.13}).world
    profile = np.asarray(births(world, towns(world), (0, 256))[0])
    so_far = np.cumsum(profile[:, :, None] == np.arange(4), axis=1)
    number = np.arange(1, 257)
    off = np.abs(so_far - number[:, None] * np.array([0.37, 0.21, 0.29, 0.13])).max((0, 2))
    digits = np.array([bin(n).count("1") for n in number])
    assert (off < 2 * digits).all() and off.max() < 4.5
    assert off[[2**k - 1 for k in range(9)]].max() < 2


def test_sampled_traits_are_one_in_each_eighth_of_the_range(room):
    traits = np.sort(towns(room(mode="sampled").world).traits, axis=1)
    assert traits.shape == (200, 8, 3)
    assert ((traits + 1024) // 256 == np.arange(8)[:, None]).all()


def test_the_mean_of_64_births_is_nearly_0(room):
    """One in each 64th of the range, so at most half of one (15 of 1,024) from 0; by lot the mean is 0.07 off as a rule."""
    world = room(mode="sampled").world
    means = np.asarray(births(world, towns(world), (64, 128))[1], float).mean(1)
    assert np.abs(means).max() <= 15
    lot = np.asarray(jax.random.uniform(jax.random.key(0), (200, 64, 3), minval=-1024, maxval=1024)).mean(1)
    assert (np.abs(lot).max(1) > 15).mean() > 0.95


def test_spread_narrows_the_range(room):
    wide, narrow = (towns(room(mode="sampled", spread=s).world).traits.astype(jnp.int32) for s in (1.0, 0.25))
    np.testing.assert_array_equal(narrow, (np.asarray(wide) * 256 + 512) >> 10)
    assert np.abs(narrow).max() <= 256 and np.abs(wide).max() > 1000


def test_who_is_sampled_is_of_the_nearest_profile(room):
    slot = towns(room(mode="sampled").world)
    table = np.array([[0, 0, 0], [-205, -102, 512], [614, 102, -102], [-307, 512, -205]])
    far = ((np.asarray(slot.traits, int)[:, :, None] - table) ** 2).sum(-1)
    np.testing.assert_array_equal(slot.profile, far.argmin(-1))
    assert set(np.unique(slot.profile)) == {0, 1, 2, 3}


def test_a_newcomer_is_somebody_else_and_the_others_stay_who_they_are(room):
    town = room(mode="sampled")
    before = town.state()
    after = town.only("personality", reborn(before, [3]))
    changed = (traits_of(before) != traits_of(after)).any(1).tolist()
    assert changed == [False, False, False, True, False, False, False, False]
    assert int(after.slots["personality"].births) == 9
    same = town.only("personality", after)
    assert traits_of(same).tolist() == traits_of(after).tolist() and int(same.slots["personality"].births) == 9


def test_newcomers_of_one_tick_are_numbered_by_their_slots(room):
    town = room(mode="sampled")
    state = town.only("personality", reborn(town.state(), [6, 1]))
    shift = state.slots["personality"].shift
    _, expected = personality.born(town.world, jnp.array([8, 9], jnp.int32), shift)
    assert traits_of(state)[[1, 6]].tolist() == expected.tolist()


def test_the_dead_lose_their_character_a_tick_after_the_last(room):
    town = room(distribution={"stoic": 1})
    state = town.state(alive=[True] * 7 + [False])
    last = town.only("personality", state.replace(terminated=jnp.arange(8) == 7))
    gone = town.only("personality", last.replace(terminated=jnp.zeros(8, bool)))
    assert profiles_of(last)[7] == STOIC and traits_of(last)[7].any()
    assert profiles_of(gone) == [STOIC] * 7 + [BALANCED] and not traits_of(gone)[7].any()


def test_the_same_seed_has_the_same_people_in_any_batch(room):
    world = room(mode="sampled").world
    many, few, others = towns(world), towns(world, 3), towns(world, 3, seed=1)
    for one, other in zip(jax.tree.leaves(many), jax.tree.leaves(few)):
        np.testing.assert_array_equal(one[:3], other)
    single = RESET(world, town_keys(0, 3)[2]).slots["personality"]
    np.testing.assert_array_equal(single.traits, few.traits[2])
    assert (np.asarray(few.traits) != np.asarray(others.traits)).any((1, 2)).all()


def test_overrides_say_who_lives_in_a_slot_and_move_nobody_else(room):
    free, town = room(mode="sampled"), room(mode="sampled", overrides={2: "stoic", 5: "socialite"})
    state = town.only("personality", reborn(town.state(), [2, 4]))
    assert [profiles_of(state)[slot] for slot in (2, 5)] == [STOIC, SOCIALITE]
    assert traits_of(state)[[2, 5]].tolist() == [[-307, 512, -205], [614, 102, -102]]
    without = free.only("personality", reborn(free.state(), [2, 4]))
    others = [0, 1, 3, 4, 6, 7]
    assert traits_of(state)[others].tolist() == traits_of(without)[others].tolist()


def test_own_profiles_stand_beside_the_shipped_ones(room):
    loner = {"extroversion": -1.0, "need": {"hunger": 2.0}, "behaviour": {"chat_preference": 0.1}}
    town = room(profiles={"loner": loner, "stoic": {}}, distribution={"loner": 1}, multipliers=True, biases=True)
    state = town.state()
    assert town.world.params["personality"].names == ("balanced", "industrious", "loner", "socialite", "stoic")
    assert traits_of(state).tolist() == [[-1024, 0, 0]] * 8
    assert personality.need_factor(town.world, state).tolist() == [[2048, 1024, 1024]] * 8
    assert personality.bias(town.world, state, "chat_preference").tolist() == [102] * 8
    assert town.world.params["personality"].traits[4].tolist() == [0, 0, 0]  # the stoic was replaced


def test_needs_fall_by_the_profile(room):
    decay = {"decay": jnp.array([fixed.to_need(0.01)] * 3, jnp.int32)}
    start = fixed.to_need(0.5)
    lost = {}
    for multipliers in (False, True):
        town = room(distribution=MIXED, multipliers=multipliers).tuned(needs=decay)
        state = town.only("needs", town.state(needs=start))
        fallen = (start - np.asarray(state.agents.needs)).tolist()
        lost[multipliers] = {p: row for p, row in zip(profiles_of(state), fallen)}
    # .01 is 10,486 parts, a factor of 1.1 is 1,126 parts of 1,024 and one of .95 is 973
    assert lost[True] == {0: [10486] * 3, 2: [10486, 11531, 10486], 3: [9964, 10486, 10486]}
    assert lost[False] == {0: [10486] * 3, 2: [10486] * 3, 3: [10486] * 3}


def test_needs_are_felt_by_the_profile(room):
    """The citizen sees early to what falls below 80 per cent: with a factor of 1.1, to what falls below 88."""
    sought = {}
    for multipliers in (False, True):
        town = room(distribution={"socialite": 1}, multipliers=multipliers)
        for hygiene in (0.79, 0.87, 0.89):
            state = town.state(needs=[fixed.to_need(0.99), fixed.to_need(hygiene), fixed.to_need(0.99)])
            action = int(CITIZEN(town.world, state, jax.random.key(0))[0])
            sought[multipliers, hygiene] = town.world.static.actions.names[action]
    off, on = [[sought[m, h] for h in (0.79, 0.87, 0.89)] for m in (False, True)]
    assert off == ["go_wash", "go_home", "go_home"] and on == ["go_wash", "go_wash", "go_home"]


def test_habits_differ_by_the_profile(room):
    town = room(distribution=MIXED, biases=True)
    state = town.state()
    chat, conflict = (
        personality.bias(town.world, state, h).tolist() for h in ("chat_preference", "conflict_tolerance")
    )
    assert dict(zip(profiles_of(state), zip(chat, conflict))) == {0: (1024, 1024), 2: (1331, 1024), 3: (1024, 614)}
    plain = room(distribution=MIXED)
    assert personality.bias(plain.world, plain.state(), "conflict_tolerance").tolist() == [1024] * 8


@pytest.mark.parametrize(("factor", "expected"), [(10_000, 5120), (1, 102)])
def test_habits_stay_within_a_tenth_and_five(room, factor, expected):
    town = room(distribution={"stoic": 1}, biases=True)
    table = {h: jnp.full(4, factor, jnp.int32) for h in profiles.HABITS}
    town = town.tuned(personality={"behaviour": table})
    assert personality.bias(town.world, town.state(), "work_affinity").tolist() == [expected] * 8


def test_the_industrious_want_to_be_early_at_work(room):
    town = room(distribution={"balanced": 1, "industrious": 1}, biases=True)
    early = personality.early(town.world, town.state(), 12)  # 12 x 1.4 = 16.8
    assert early.dtype == jnp.int16
    assert dict(zip(profiles_of(town.state()), early.tolist())) == {BALANCED: 12, INDUSTRIOUS: 17}
    assert personality.early(town.world, town.state(), 200).max() == 240  # not 280
    lazy = room(distribution={"industrious": 1})
    assert personality.early(lazy.world, lazy.state(), 12).tolist() == [12] * 8


def test_the_citizen_sets_out_by_work_affinity(board):
    """The shift begins at 100 and the way is three steps, so one sets out 12 + 3 ticks before, or 17 + 3."""
    street = "#########\n#h.0..K.#\n#.W.....#\n#########"
    sets_out = []
    for biases in (False, True):
        town = board(street, **{"systems.personality": {"distribution": {"industrious": 1}, "biases": biases}})
        states = [town.state(tick, needs=fixed.NEED) for tick in range(78, 90)]
        option = [int(CITIZEN(town.world, state, jax.random.key(0))[0]) for state in states]
        layout = town.world.static.actions
        sets_out.append(78 + option.index(layout.options + layout.work))
    assert sets_out == [85, 80]


def test_rewards_are_liked_by_the_profile(room):
    """Survival pays 1 million x 131 / 2**16 a tick; the stoic make 1,126 / 1,024 of the million."""
    for flag, stoic in ((False, 1998), (True, 2198)):
        town = room(distribution=MIXED, rewards=flag)
        state = town.state()
        terms = rewards.terms(town.world, state)
        assert dict(zip(profiles_of(state), terms["survival"].tolist())) == {0: 1998, 2: 1998, 3: stoic}
        plain = room(distribution=MIXED)
        assert terms["needs"].tolist() == rewards.terms(plain.world, plain.state())["needs"].tolist()


def test_what_is_bad_is_divided(room):
    town = room(distribution={"industrious": 1, "stoic": 1}, rewards=True)
    state = town.state()
    value = jnp.array([1_000_000, -1_000_000] * 4, jnp.int32)
    found = personality.biased(town.world, state, "employment", value)
    industrious = np.array(profiles_of(state)) == INDUSTRIOUS
    expected = np.where(industrious, np.where(value > 0, 1_250_000, -800_000), np.asarray(value))
    assert found.tolist() == expected.tolist() and 0 < industrious.sum() < 8
    liked = personality.liked(town.world, state, {"wage": value, "needs": value})
    assert liked["wage"].tolist() == expected.tolist() and liked["needs"].tolist() == value.tolist()


def test_every_liked_term_is_one_of_the_worlds():
    known = {term for system in ORDER for term in system.terms} | set(profiles.GROUPS["social"])
    assert {term for terms in profiles.GROUPS.values() for term in terms} <= known


def test_modifiers_are_a_switch_for_relationships(room):
    assert room().world.params["personality"].modifiers is None
    assert bool(room(modifiers=True).world.params["personality"].modifiers)


def test_patience_is_one_more_trait_and_moves_no_other(room):
    plain, town = room(mode="sampled"), room(mode="sampled", patience=True)
    before, after = plain.state(), town.state()
    assert traits_of(after).shape == (8, 4) and traits_of(after)[:, :3].tolist() == traits_of(before).tolist()
    assert sorted(((traits_of(after)[:, 3] + 1024) // 256).tolist()) == list(range(8))
    with pytest.raises(ValueError, match="'patience' is no trait in this world .there are: extroversion, forgiveness"):
        personality.trait(before, "patience")


def test_the_patient_queue_first(room):
    """All eight want the shower in the same tick; by chance slot 7 would be last."""
    kinds = {"hasty": {"patience": -1.0}, "calm": {"patience": 1.0}}
    section = {"profiles": kinds, "distribution": {"hasty": 1}, "overrides": {"7": "calm"}}
    last = {}
    for patience in (False, True):
        town = room(**section, patience=patience)
        state = town.state()
        facility, priority = jnp.zeros(8, jnp.int16), jnp.arange(8, dtype=jnp.int8)
        state = state.replace(intent=state.intent.replace(facility=facility, priority=priority))
        places = town.only("queues", state).slots["queues"].place.tolist()
        last[patience] = places
    assert last == {False: [0, 1, 2, 3, 4, 5, 6, 7], True: [1, 2, 3, 4, 5, 6, 7, 0]}


def test_people_see_their_own_traits(room):
    section = {"mode": "sampled", "patience": True}
    town, blind = room(**section), room(**section, observed=False)
    names = [entry.name for entry in schema(town.world)]
    assert [name for name in names if name in personality.TRAITS] == list(personality.TRAITS)
    at = [entry.start for entry in schema(town.world) if entry.name in personality.TRAITS]
    state = town.state()
    np.testing.assert_array_equal(town.observe(state).features[:, jnp.array(at)], traits_of(state) / np.float32(1024))
    assert [entry.name for entry in schema(blind.world)] == [name for name in names if name not in personality.TRAITS]


def test_a_newcomer_is_seen_as_somebody_at_once(room):
    """Slot 0 starves in the first tick and somebody else arrives: in that tick's observation the person is there, with traits."""
    town = room(mode="sampled")
    state = town.state(needs=[[0] * 3, *[[fixed.NEED // 2] * 3] * 7])
    old = traits_of(state)[0].tolist()
    state = town.step(state)
    assert state.terminated.tolist() == [True] + [False] * 7 and traits_of(state)[0].tolist() == old
    while not state.agents.alive[0]:
        state = town.step(state)
        assert bool(state.agents.alive[0]) or not traits_of(state)[0].any()
    new = traits_of(state)[0]
    at = next(entry.start for entry in schema(town.world) if entry.name == "extroversion")
    assert new.tolist() != old and int(state.slots["personality"].births) == 9
    np.testing.assert_array_equal(town.observe(state).features[0, at : at + 3], new / np.float32(1024))


def test_a_slot_that_begins_empty_has_nobody_and_uses_no_number(board):
    residents = [{"name": "anna"}, {"name": "ben", "joins": 3}, *[{"name": f"c{i}"} for i in range(6)]]
    section = {"mode": "sampled"}
    town = board(ROOM, **SWIFT, **{"systems.personality": section, "start.residents": residents})
    state = RESET(town.world, jax.random.key(0))
    slot = state.slots["personality"]
    assert int(slot.births) == 7 and not slot.traits[1].any() and int(slot.profile[1]) == 0
    ends = lambda slot: sorted(personality.born(town.world, jnp.arange(7, dtype=jnp.int32), slot.shift)[1].tolist())
    assert sorted(row for row in slot.traits.tolist() if any(row)) == ends(slot)
    while not state.agents.alive[1]:
        state = town.step(state)
    assert int(state.slots["personality"].births) == 8 and traits_of(state)[1].any()
    assert all(bool(holds) for holds in personality.rules(town.world, state).values())


def test_metrics(room):
    town = room(distribution=MIXED)
    state = town.state(alive=[True] * 8)
    found = personality.metrics(town.world, state)
    assert float(found["profile/balanced"]) == 0.5 and float(found["profile/stoic"]) == 0.25
    assert float(found["personality/births"]) == 8
    # extroversion: 614 twice, -307 twice and 0: mean 614 / 8 = 76.75, mean square 2 (614^2 + 307^2) / 8
    assert float(found["personality/extroversion"]) == pytest.approx(76.75 / 1024)
    spread = ((614**2 + 307**2) / 4 - 76.75**2) ** 0.5 / 1024
    assert float(found["personality/extroversion_spread"]) == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("traits in bounds", {"traits": jnp.full((8, 3), 1025, jnp.int16)}),
        ("profiles exist", {"profile": jnp.full(8, 4, jnp.int8)}),
        ("the living are of this generation", {"seen": jnp.ones(8, jnp.int16)}),
        ("every birth is counted", {"births": jnp.int32(9)}),
        ("traits are those of the profile", {"profile": jnp.full(8, STOIC, jnp.int8)}),
    ],
)
def test_rules_can_fail(room, rule, fault):
    town = room()
    state = town.state()
    assert all(bool(holds) for holds in personality.rules(town.world, state).values())
    broken = state.put(personality=state.slots["personality"].replace(**fault))
    assert not bool(personality.rules(town.world, broken)[rule])


def test_the_rule_of_the_dead_can_fail(room):
    town = room(distribution={"stoic": 1})
    dead = town.state(alive=[False] * 8)
    assert not bool(personality.rules(town.world, dead)["the dead have no character"])
    assert all(bool(holds) for holds in personality.rules(town.world, town.only("personality", dead)).values())


def test_slots_are_quoted_in_yaml(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text('extends: town\nsystems: {personality: {overrides: {"2": stoic, "7": socialite}}}\n')
    override = load(path, **{"observation.variant": "compact"}).params["personality"].override
    assert override[:8].tolist() == [4, 4, STOIC, 4, 4, 4, 4, SOCIALITE]  # 4: drawn


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"distribution": {"stoical": 1}}, "distribution.stoical.*no such profile .allowed: balanced, industrious"),
        ({"distribution": {"stoic": 0}}, "one above 0"),
        ({"distribution": {"stoic": 2, "balanced": -1}}, "weights >= 0"),
        ({"overrides": {8: "stoic"}}, "overrides.8.*no such slot .allowed: 0 to 7"),
        ({"overrides": {0: "hero"}}, "overrides.0.*'hero'.*no such profile"),
        ({"profiles": {"hero": {"need": {"thirst": 2.0}}}}, "profiles.hero.need.thirst.*allowed: hunger, hygiene"),
        ({"profiles": {"hero": {"need": {"hunger": 9.0}}}}, "profiles.hero.need.hunger.*9.0.*allowed: 0.1 to 5"),
        ({"profiles": {"hero": {"reward": {"social": 5.0}}}}, "reward.social.*allowed: 0.25 to 4"),
        ({"profiles": {"hero": {"behaviour": {"courage": 2.0}}}}, "courage"),
        ({"profiles": {"hero": {"extroversion": 1.5}}}, "extroversion"),
        ({"mode": "sobol"}, "mode"),
    ],
)
def test_what_does_not_fit_is_refused(room, section, message):
    with pytest.raises(ConfigError, match=message):
        room(**section)
