"""Weather and warmth: which spell follows which, who is out in it, and what it takes from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from words import words

from townlet_jax import ConfigError, engine, load, policies, schema, testing
from townlet_jax.core import fixed
from townlet_jax.systems import weather
from townlet_jax.systems.weather import WEATHERS
from townlet_jax.testing import invariants
from townlet_jax.testing.watch import NEVER, watch

SUNNY, RAINY, COLD = range(3)
YARD = """
    #########
    #0..+,,,#
    #h..#1,,#
    #W2.#,@,#
    #########
"""
GARDEN = 6  # a column of grass
to_need = fixed.to_need


def always(name):
    """A sky that never changes."""
    return {"start": {name: 1.0}, "then": {before: {name: 1.0} for before in WEATHERS}}


def sky(state, kind, left=50):
    """The town under another sky."""
    return state.put(weather=weather.Slot(jnp.int8(kind), jnp.int16(left)))


def spells(kinds):
    """Runs of the same number: [(kind, length), ...]."""
    ends = [*(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)]
    return [(int(kinds[end - 1]), end - start) for start, end in zip([0, *ends], ends)]


@pytest.fixture
def play(board):
    """`play(num_ticks, seed, **section)`: the kind of weather in each of so many ticks."""

    def skies(num_ticks, seed=0, **section):
        world = board(YARD, **{"systems.weather": section}).world

        def tick(state, number):
            state = weather.step(
                world, state, words(world, weather.SYSTEM, jax.random.fold_in(jax.random.key(seed), number))
            )
            return state, state.slots["weather"].kind

        begin = engine.reset(world, jax.random.key(seed))
        return np.asarray(jax.jit(lambda: jax.lax.scan(tick, begin, jnp.arange(num_ticks, dtype=jnp.int32))[1])())

    return skies


# The chain of spells


def test_each_weather_lasts_its_ticks_and_the_next_one_follows(play):
    kinds = play(
        60,
        ticks={"sunny": [3, 3], "rainy": [2, 2], "cold": [1, 1]},
        then={"sunny": {"rainy": 1.0}, "rainy": {"cold": 1.0}, "cold": {"sunny": 1.0}},
    )
    first, *rest, _ = spells(kinds)
    assert rest[:6] == [((first[0] + n) % 3, 3 - (first[0] + n) % 3) for n in range(1, 7)]


def test_the_length_of_a_spell_lies_between_its_bounds_and_each_is_equally_likely(play):
    kinds = play(
        20_000,
        ticks={"sunny": [4, 8], "rainy": [1, 1], "cold": [1, 1]},
        then={"sunny": {"rainy": 1.0}, "rainy": {"sunny": 1.0}, "cold": {"sunny": 1.0}},
    )
    lengths = [length for kind, length in spells(kinds)[1:-1] if kind == SUNNY]
    counts = np.bincount(lengths, minlength=10)
    assert counts[:4].sum() == 0 and counts[9:].sum() == 0
    expected = len(lengths) / 5
    assert (np.abs(counts[4:9] - expected) < 5 * np.sqrt(expected * 0.8)).all()  # five standard deviations


def test_what_follows_comes_as_often_as_its_share(play):
    kinds = play(
        30_000,
        ticks={name: [1, 1] for name in WEATHERS},
        then={"sunny": {"sunny": 0.2, "rainy": 0.6, "cold": 0.2}, "rainy": {"sunny": 1.0}, "cold": {"sunny": 1.0}},
    )
    after_sun = kinds[1:][kinds[:-1] == SUNNY]
    for kind, share in ((SUNNY, 0.2), (RAINY, 0.6), (COLD, 0.2)):
        assert abs((after_sun == kind).mean() - share) < 5 * np.sqrt(share * (1 - share) / len(after_sun))
    assert (kinds[1:][kinds[:-1] != SUNNY] == SUNNY).all()


def test_in_the_long_run_time_is_shared_by_the_lengths(play):
    """Sun of 30 ticks and rain of 10 in turns: three ticks of sun for each of rain."""
    kinds = play(
        8_000,
        ticks={"sunny": [20, 40], "rainy": [10, 10], "cold": [1, 1]},
        then={"sunny": {"rainy": 1.0}, "rainy": {"sunny": 1.0}, "cold": {"sunny": 1.0}},
    )
    assert abs((kinds == SUNNY).mean() - 0.75) < 0.02


def test_an_episode_begins_somewhere_in_a_spell(board):
    """Sunny or cold, one to three, and all remaining lengths of [5, 5] equally likely."""
    section = {"start": {"sunny": 0.25, "cold": 0.75}, "ticks": {"sunny": [5, 5], "rainy": [1, 1], "cold": [5, 5]}}
    world = board(YARD, **{"systems.weather": section}).world
    keys = jax.random.split(jax.random.key(0), 2000)
    slot = jax.jit(jax.vmap(lambda key: weather.init(world, key)))(keys)
    assert set(np.unique(slot.kind).tolist()) == {SUNNY, COLD}
    assert abs((slot.kind == COLD).mean() - 0.75) < 0.05
    counts = np.bincount(slot.left)
    assert len(counts) == 5 and (np.abs(counts - 400) < 90).all()  # five standard deviations of a binomial(2000, 1/5)


def test_towns_have_weather_of_their_own(board):
    world = board(YARD, **{"systems.weather": {}}).world
    keys = jax.random.split(jax.random.key(0), 50)
    left = jax.jit(jax.vmap(lambda key: engine.reset(world, key).slots["weather"].left))(keys)
    assert len(np.unique(left)) > 40


# Out in it


def test_out_of_doors_is_every_ground_but_floors_and_doors(board):
    yard = board(YARD, **{"systems.weather": {}})
    where = lambda row, column: bool(weather.outdoors(yard.world, yard.state(cell=yard.cell(row, column)))[0])
    assert [where(1, 1), where(1, 4), where(1, 5), where(3, 6)] == [False, False, True, True]


def test_steps_cost_more_only_out_in_such_weather(board):
    yard = board(YARD, **{"systems.weather": {"extra_cost": {"rainy": 1, "cold": 3}}})
    state = yard.state(cell=[yard.cell(1, GARDEN), yard.cell(1, 2), yard.cell(1, 4)])
    costs = [weather.step_cost(yard.world, sky(state, kind)).tolist() for kind in (SUNNY, RAINY, COLD)]
    assert costs == [[0, 0, 0], [1, 0, 0], [3, 0, 0]]


def test_a_step_out_into_the_cold_is_followed_by_a_rest_and_one_inside_is_not(board):
    yard = board(YARD, **{"systems.weather": {**always("cold"), "extra_cost": {"cold": 3}}})
    state = yard.state(cell=[yard.cell(1, 3), yard.cells[1], yard.cells[2]])
    columns = [int(s.agents.cell[0]) % 9 for s in yard.run(state, 8, "move_east")]
    assert columns == [4, 5, 5, 5, 5, 6, 6, 6]  # the door is indoors


def test_weather_that_slows_nobody_costs_nothing(board):
    """No array for it, and the town is the same as without weather."""
    bare, calm = board(YARD), board(YARD, **{"systems.weather": {"extra_cost": {}}})
    assert calm.world.params["weather"].extra is None and calm.state().slots["movement"].rest is None
    assert not weather.slows(calm.world)
    assert not bare.world.static.has("weather") and "weather" not in bare.state().slots
    play = jax.jit(lambda world: engine.unroll(world, policies.random, engine.reset(world, KEY), KEY, 60)[0])
    before, after = play(bare.world), play(calm.world)
    after = after.replace(slots={name: slot for name, slot in after.slots.items() if name != "weather"})
    jax.tree.map(np.testing.assert_array_equal, before, after)


KEY = jax.random.key(7)


def test_a_walk_in_the_rain_takes_at_most_so_long(board):
    yard = board(YARD, **{"systems.weather": {"extra_cost": {"rainy": 2}}})
    ticks = jnp.array([0, 1, 7, 30000, 32767], jnp.int16)
    assert weather.way(yard.world, sky(yard.state(), RAINY), ticks).tolist() == [0, 3, 21, 32767, 32767]
    assert weather.way(yard.world, sky(yard.state(), SUNNY), ticks).tolist() == ticks.tolist()


def test_citizens_leave_for_work_earlier_in_the_rain(board):
    """The post is 10 steps off and one is 12 ticks early: 22 ticks ahead in the dry, 32 where each step takes two."""
    street = board(
        """
        ##############
        #0,,,,,,,,,K.#
        #h.S.B.W.C...#
        ##############
        """,
        **{"systems.weather": {"extra_cost": {"rainy": 1}}, "systems.employment.notice": 60},
    )
    goes = {}
    for kind in (SUNNY, RAINY):
        choose = jax.jit(policies.scripted)
        for tick in range(60, 100):
            state = sky(street.state(tick=tick, needs=fixed.NEED, items=1), kind)
            action = int(choose(street.world, state, KEY)[0])
            if street.world.static.actions.names[action] == "go_work":
                goes[kind] = 100 - tick
                break
    assert goes == {SUNNY: 22, RAINY: 32}


def test_the_weather_is_seen_and_its_end_is_not(board):
    yard = board(YARD, **{"systems.weather": {}})
    entries = {entry.name: slice(entry.start, entry.stop) for entry in schema(yard.world)}
    state = yard.state(cell=[yard.cell(1, GARDEN), yard.cell(1, 2), yard.cell(1, 3)], alive=[True, True, False])
    seen = [yard.observe(sky(state, kind)).features for kind in (SUNNY, RAINY, COLD)]
    for kind in (SUNNY, RAINY, COLD):
        one = [float(kind == k) for k in range(3)]
        assert seen[kind][:, entries["weather"]].tolist() == [one, one, [0.0] * 3]
        assert seen[kind][:, entries["outdoors"]].tolist() == [[1.0], [0.0], [0.0]]
    np.testing.assert_array_equal(
        yard.observe(sky(state, COLD, 1)).features, yard.observe(sky(state, COLD, 99)).features
    )


def test_metrics_say_which_weather_it_is_and_how_many_are_out(board):
    yard = board(YARD, **{"systems.weather": {}})
    state = yard.state(cell=[yard.cell(1, GARDEN), yard.cell(1, 2), yard.cell(1, 7)], alive=[True, True, False])
    found = {name: float(value) for name, value in weather.metrics(yard.world, sky(state, COLD)).items()}
    assert found == {"weather/sunny": 0.0, "weather/rainy": 0.0, "weather/cold": 1.0, "weather/outdoors": 0.5}


@pytest.mark.parametrize(
    ("kind", "left", "rule"),
    [(3, 0, "weather exists"), (-1, 0, "weather exists"), (RAINY, 300, "weather ends"), (SUNNY, -1, "weather ends")],
)
def test_a_sky_that_cannot_be_is_noticed(board, kind, left, rule):
    yard = board(YARD, **{"systems.weather": {}})
    holds = invariants(yard.world, sky(yard.state(), kind, left))
    assert not bool(holds[rule])
    assert all(bool(value) for value in invariants(yard.world, sky(yard.state(), RAINY, 299)).values())


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ({"extra_cost": {"snowy": 1}}, "systems.weather.extra_cost.snowy: 'snowy' is not among the choices"),
        ({"extra_cost": {"rainy": 17}}, "systems.weather.extra_cost.rainy: 17 is above 16"),
        ({"ticks": {"sunny": [5, 9]}}, "systems.weather.ticks: 'rainy' is missing"),
        (
            {"ticks": {"sunny": [9, 5], "rainy": [1, 1], "cold": [1, 1]}},
            r"systems.weather.ticks.sunny: \[9, 5\]: allowed are least <= most",
        ),
        (
            {"then": {"sunny": {"rainy": 1.0}, "rainy": {"sunny": 1.0}}},
            "systems.weather.then.cold: no weather has a share",
        ),
        ({"start": {"cold": 0.0}}, "systems.weather.start: no weather has a share above 0"),
        ({"start": {"cold": -1.0}}, "systems.weather.start.cold: -1.0 is below 0"),
    ],
)
def test_a_sky_that_makes_no_sense_is_refused(board, overrides, fault):
    with pytest.raises(ConfigError, match=fault):
        board(YARD, **{"systems.weather": overrides})


# Warmth


def cold_yard(board, sky_of="cold", coat=None, weather_of=None, **section):
    """The yard with a need for warmth; nobody else's numbers change."""
    needs = ["hunger", "hygiene", "energy", "warmth"]
    warmth = {"loss": {"rainy": 0.01, "cold": 0.02}, "gain": 0.05, "mild": 0.1, **section}
    return board(
        YARD,
        **{
            "needs": needs,
            "systems.needs.decay": dict.fromkeys(needs, 0.0),
            "systems.needs.weight": dict.fromkeys(needs, 1.0),
            "systems.weather": weather_of or always(sky_of),
            "systems.warmth": warmth if coat is None else {**warmth, "coat": coat},
            "systems.lifecycle.collapse": {"warmth": 0.05},
        },
    )


def warmths(state):
    return state.agents.needs[:, 3].tolist()


def outside(yard, **agents):
    """0 and 1 stand in the garden, 2 in the house."""
    return yard.state(cell=[yard.cell(1, GARDEN), yard.cell(2, GARDEN), yard.cell(3, 2)], **agents)


@pytest.mark.parametrize(("kind", "loss"), [(RAINY, 0.01), (COLD, 0.02), (SUNNY, None)])
def test_one_tick_of_each_weather(board, kind, loss):
    """From 60 %: rain takes 1 % and cold 2 % out of doors, where nothing is lost 5 % come back."""
    yard = cold_yard(board)
    state = yard.only("warmth", sky(outside(yard), kind))
    start, gain = to_need(0.6), to_need(0.05)
    out = start + gain if loss is None else start - to_need(loss)
    assert warmths(state) == [out, out, start + gain]
    assert state.agents.needs[:, :3].tolist() == [[start] * 3] * 3  # no other need


def test_warmth_ends_at_full(board):
    yard = cold_yard(board)
    state = sky(outside(yard, needs=fixed.NEED - 5), SUNNY)
    assert warmths(yard.only("warmth", state)) == [fixed.NEED] * 3


def test_a_coat_keeps_off_half_or_all_of_the_loss(board):
    start = to_need(0.6)
    for keeps, loss in ((0.5, to_need(0.01)), (0.75, to_need(0.005)), (1.0, 0)):
        yard = cold_yard(board, coat="meal", coat_keeps=keeps)
        items = [[0, 1], [9, 0], [0, 1]]  # 0 and 2 wear one, 1 does not
        state = yard.only("warmth", sky(outside(yard, items=items), COLD))
        assert warmths(state) == [start - loss, start - to_need(0.02), start + to_need(0.05)]


def test_only_the_cold_out_of_doors_takes_the_last_of_it(board):
    yard = cold_yard(board)
    low = to_need(0.001)
    assert warmths(yard.only("warmth", sky(outside(yard, needs=low), COLD))) == [0, 0, to_need(0.1)]
    for kind in (RAINY, SUNNY):
        assert warmths(yard.only("warmth", sky(outside(yard, needs=low), kind))) == [to_need(0.1)] * 3
    just = to_need(0.1) + 7  # rain stops at the mild share
    assert warmths(yard.only("warmth", sky(outside(yard, needs=just), RAINY)))[:2] == [to_need(0.1)] * 2


def test_the_dead_feel_nothing(board):
    yard = cold_yard(board)
    state = outside(yard, alive=[False, True, False], needs=0)
    assert warmths(yard.only("warmth", sky(state, SUNNY))) == [0, to_need(0.1), 0]


def fates(yard, state, num_ticks):
    """Who lives after each of some ticks."""
    return [s.agents.alive.tolist() for s in yard.run(state, num_ticks)]


def test_who_stays_out_in_the_cold_collapses_after_30_ticks_of_it(board):
    """60 % less 28 x 2 % is 4 %, the first below 5 %: critical in tick 28, for the 30th time in tick 57."""
    yard = cold_yard(board)
    lives = fates(yard, outside(yard), 57)
    assert lives[55] == [True] * 3 and lives[56] == [False, False, True]


def test_nobody_collapses_who_comes_in_at_the_last_moment(board):
    yard = cold_yard(board)
    state = yard.run(outside(yard), 56)[-1]
    assert state.slots["lifecycle"].critical.tolist() == [29, 29, 0] and warmths(state)[0] == 0
    inside = state.agents.cell.at[0].set(jnp.uint16(yard.cell(1, 2)))
    state = yard.step(state.replace(agents=state.agents.replace(cell=inside)))
    assert state.agents.alive.tolist() == [True, False, True]
    assert warmths(state)[0] == to_need(0.1) and int(state.slots["lifecycle"].critical[0]) == 0


@pytest.mark.parametrize("name", ["rainy", "sunny"])
def test_nobody_freezes_but_in_the_cold(board, name):
    yard = cold_yard(board, name)
    assert all(all(alive) for alive in fates(yard, outside(yard), 150))


def test_nobody_freezes_in_the_house(board):
    yard = cold_yard(board)
    lives = fates(yard, yard.state(cell=[yard.cell(1, 1), yard.cell(1, 2), yard.cell(1, 3)], needs=1), 100)
    assert all(all(alive) for alive in lives)


def test_metrics_say_how_many_are_exposed(board):
    yard = cold_yard(board)
    seen = lambda state: float(yard_metrics(yard.world, state)["warmth/exposed"])
    yard_metrics = next(s.metrics for s in yard.world.static.systems if s.name == "warmth")
    state = outside(yard, alive=[True, False, True])
    assert [seen(sky(state, kind)) for kind in (SUNNY, RAINY, COLD)] == [0.0, 0.5, 0.5]


def test_a_need_that_does_not_decay_is_no_drain(board):
    """No offer raises warmth, and the world is liveable all the same: it falls with the weather alone."""
    assert cold_yard(board).world.params["needs"].decay.tolist() == [0, 0, 0, 0]
    with pytest.raises(ConfigError, match="warmth falls by 0.20 a day and no offer raises it"):
        needs = ["hunger", "hygiene", "energy", "warmth"]
        decay = {**dict.fromkeys(needs, 0.0), "warmth": 0.001}
        board(YARD, needs=needs, **{"systems.needs.decay": decay, "systems.needs.weight": dict.fromkeys(needs, 1.0)})


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"need": "heat"}, "systems.warmth.need: there is no 'heat'"),
        ({"coat": "parka"}, "systems.warmth.coat: there is no 'parka' .allowed: raw, meal"),
        ({"loss": {"cold": 1e-7}}, "systems.warmth.loss.cold: 1e-07 a tick is less than the town can count"),
        ({"loss": {"snowy": 0.1}}, "systems.warmth.loss.snowy: 'snowy' is not among the choices"),
        ({"gain": 0.0}, "systems.warmth.gain: 0.0 is not above 0"),
        ({"mild": 0.04}, "systems.warmth.mild: 0.04 is below 0.05, at which one collapses"),
    ],
)
def test_warmth_that_makes_no_sense_is_refused(board, section, fault):
    with pytest.raises(ConfigError, match=fault):
        cold_yard(board, **section)


def test_warmth_needs_weather(board):
    with pytest.raises(ConfigError, match="systems.warmth: needs the system 'weather'"):
        board(YARD, **{"systems.warmth": {"need": "energy"}})


# Everything at once

VILLAGE = """
    ###############
    #,,,,,,,,,,,,,#
    #,h,B..S,,C,W,#
    #,0,1.+2,3,,4,#
    #,5,6..7,,,,K,#
    ####,##,,######
    #@,,,,,,,,,,,@#
    ###############
"""
WILD = {
    "ticks": {"sunny": [1, 20], "rainy": [1, 30], "cold": [1, 60]},
    "extra_cost": {"rainy": 3, "cold": 1},
}


def test_nothing_breaks_in_64_villages(board):
    """Costs, weather and warmth under random play, with every rule and range watched in each of 400 ticks."""
    needs = ["hunger", "hygiene", "energy", "warmth"]
    village = board(
        VILLAGE,
        **{
            "needs": needs,
            "start.tick": [0, 199],
            "systems.needs.decay": dict.fromkeys(needs, 0.0),
            "systems.needs.weight": dict.fromkeys(needs, 1.0),
            "systems.movement.cost": {"grass": 2, "road": 4, "door": 3},
            "systems.weather": WILD,
            "systems.warmth": {"loss": {"rainy": 0.02, "cold": 0.06}, "gain": 0.02, "coat": "meal"},
            "systems.lifecycle.collapse": {"warmth": 0.05},
            "systems.lifecycle.collapse_ticks": 10,
        },
    )
    keys = testing.town_keys(3, 64)
    state, first = jax.device_get(jax.jit(watch, static_argnums=2)(village.world, keys, 400))
    assert not [name for name, ticks in first.items() if ticks.min(initial=NEVER) != NEVER]
    assert state.agents.generation.sum() > 20 and set(np.unique(state.slots["weather"].kind)) == {0, 1, 2}
    assert state.slots["movement"].rest.max() > 1 and state.slots["movement"].ghost.any()


@pytest.mark.slow  # `make test-wide` checks the town with everything: tests/systems/test_contract.py
def test_a_town_with_weather_keeps_its_promises():
    needs = ["hunger", "hygiene", "energy", "warmth"]
    world = load(
        "town",
        **{
            "observation.variant": "compact",
            "needs": needs,
            "systems.needs.decay.warmth": 0.0,
            "systems.needs.weight.warmth": 0.5,
            "systems.movement.cost": {"grass": 2, "park": 2},
            "systems.weather": {},
            "systems.warmth": {},
            "systems.lifecycle.collapse.warmth": 0.05,
        },
    )
    assert {"weather exists", "rest in bounds"} <= testing.check_world(world, num_towns=2, num_ticks=16)
