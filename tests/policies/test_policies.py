"""Policies: chance keeps to the mask, and the citizen lives well where chance does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, policies
from townlet_jax.core import fixed
from townlet_jax.policies.scripted import EARLY, URGENT
from townlet_jax.systems import employment

TOWNS, DAY, DAYS = 16, 1440, 5


def test_random_takes_only_what_is_allowed(village):
    assert not village.play.forbidden.any()


def test_random_takes_all_that_is_allowed_equally_often(board):
    street = board("###########\n#W.B.S.C.@#\n#.........#\n#h..0...K.#\n###########")
    state = street.state(tick=60)
    keys = jax.random.split(jax.random.key(0), 6000)
    draw = jax.jit(jax.vmap(lambda key: policies.random(street.world, state, key)[0]))
    counts = np.bincount(np.asarray(draw(keys)), minlength=len(street.world.static.actions.names))
    allowed = np.asarray(street.observe(state).action_mask[0])
    assert (counts[~allowed] == 0).all()
    share = 6000 / allowed.sum()
    assert (np.abs(counts[allowed] - share) < 5 * np.sqrt(share)).all()


def life(policy):
    """Totals of 16 towns that live for five days by a policy, as a jitted function of the world."""

    def watch(world, state):
        alive, shift = state.agents.alive, state.slots["employment"].shift
        well = (state.agents.needs > fixed.to_need(0.3)).all(-1) & alive
        number = lambda mask: mask.sum(dtype=jnp.int32)
        present = number(state.slots["employment"].pay > 0)
        return (
            number(alive),
            number(well),
            present,
            number(employment.on_duty(shift)),
            state.agents.wallet.sum(),
            number(state.terminated),
        )

    def town(world, key):
        return engine.unroll(world, policy, engine.reset(world, key), key, DAYS * DAY, watch)[1]

    return jax.jit(jax.vmap(town, (None, 0)))


def lived(town, policy):
    """Share of agent-ticks with all needs above 0.3, attendance, mean wallet in coins by tick, and exits."""
    with jax.numpy_dtype_promotion("strict"):
        seen = life(policy)(town.world, jax.random.split(jax.random.key(5), TOWNS))
    alive, well, present, expected, wallet, gone = (np.asarray(x, np.int64) for x in seen)
    return well.sum() / (TOWNS * 8 * DAYS * DAY), present.sum() / expected.sum(), wallet.mean(0) / 8000, gone.sum()


@pytest.fixture(scope="module")
def citizens(town):
    return lived(town, policies.scripted)


@pytest.fixture(scope="module")
def drifters(town):
    return lived(town, policies.random)


def test_citizens_keep_their_needs_up(citizens):
    well, *_, gone = citizens
    assert well >= 0.9 and gone == 0


def test_citizens_go_to_work(citizens):
    assert citizens[1] >= 0.8


def test_citizens_save_money(citizens):
    wallet = citizens[2]
    assert wallet[-1] > wallet[0]
    evenings = wallet[DAY - 1 :: DAY]
    assert (np.diff(evenings) > 0).all()


def test_drifters_do_none_of_that(drifters):
    well, attendance, wallet, gone = drifters
    assert well < 0.8 and attendance < 0.4 and gone > 0
    assert wallet[-1] < wallet[0]


def test_a_citizen_keeps_to_the_mask_and_uses_no_chance(town):
    state = town.reset(jax.random.key(2))
    act = jax.jit(policies.scripted)
    first, second = (act(town.world, state, jax.random.key(seed)) for seed in (0, 1))
    assert first.dtype == jnp.int32 and first.tolist() == second.tolist()
    mask = np.asarray(town.observe(state).action_mask)
    assert mask[np.arange(8), np.asarray(first)].all()


@pytest.mark.parametrize(("hunger", "choice"), [(URGENT - 0.01, "go_eat"), (URGENT + 0.01, "go_work")])
def test_an_urgent_need_comes_before_work_and_another_does_not(board, hunger, choice):
    street = board("###########\n#W.B.S.C.@#\n#.........#\n#h..0...K.#\n###########")
    state = street.state(tick=95, needs=[fixed.to_need(hunger), *[fixed.to_need(0.9)] * 2])  # the shift begins at 100
    action = int(policies.scripted(street.world, state, jax.random.key(0))[0])
    assert street.world.static.actions.names[action] == choice


def test_a_citizen_at_leisure_eats_early(board):
    street = board("###########\n#W.B.S.C.@#\n#.........#\n#h..0...K.#\n###########")
    state = street.state(tick=40, needs=[fixed.to_need(EARLY - 0.01), *[fixed.to_need(0.9)] * 2], items=[1, 1])
    action = int(policies.scripted(street.world, state, jax.random.key(0))[0])
    assert street.world.static.actions.names[action] == "go_eat"


@pytest.mark.parametrize(("urgent", "choice"), [(0.3, "go_work"), (0.6, "go_eat")])
def test_a_citizen_of_other_habits_minds_its_own_thresholds(board, urgent, choice):
    street = board("###########\n#W.B.S.C.@#\n#.........#\n#h..0...K.#\n###########")
    state = street.state(tick=95, needs=[fixed.to_need(0.45), *[fixed.to_need(0.9)] * 2])  # the shift begins at 100
    names = street.world.static.actions.names
    one = lambda share: policies.citizen(urgent=share)(street.world, state, jax.random.key(0))[0]
    assert names[int(one(urgent))] == choice
    both = jax.jit(jax.vmap(one))(jnp.array([0.3, 0.6], jnp.float32))  # thresholds may be arrays
    assert [names[int(action)] for action in both] == ["go_work", "go_eat"]


def test_the_shipped_thresholds_are_the_script(town):
    state = town.reset(jax.random.key(3))
    pair = [jax.jit(policy)(town.world, state, jax.random.key(0)) for policy in (policies.scripted, policies.citizen())]
    assert pair[0].tolist() == pair[1].tolist()


@pytest.mark.parametrize(
    ("wrong", "message"), [({"urgent": 2}, "shares from 0 to 1"), ({"greed": 1}, "no threshold 'greed'")]
)
def test_thresholds_out_of_bounds_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        policies.citizen(**wrong)
