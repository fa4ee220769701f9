"""Tuner: factors of prices and wages follow the mean wallet, once a day, after two days outside the band."""

import jax.numpy as jnp
import pytest

from townlet_jax import ConfigError
from townlet_jax.core import fixed
from townlet_jax.systems import economy, employment, tuner

SHOP = """
    ########
    #h.C.W@#
    #0.1.K2#
    ########
"""
ON = {
    "systems.tuner": {
        "staples": ["eat"],
        "wages": True,
        "at": 100,
        "band": [4.0, 12.0],  # the middle is 8 coins
        "proportional": 0.25,
        "integral": 0.125,
        "derivative": 0.0625,
    }
}
EAT, WASH = 1, 0


@pytest.fixture
def shop(board):
    return board(SHOP, **ON)


def days(shop, state, *wallets):
    """The factors of prices after each of some days, on which everybody has so much at tick 100."""
    factors = []
    for mills in wallets:
        state = state.replace(
            tick=jnp.int32(int(state.tick) // 200 * 200 + 300),
            agents=state.agents.replace(wallet=jnp.full(3, mills, jnp.int32)),
        )
        state = shop.only("tuner", state)
        factors.append(int(state.slots["tuner"].factor))
    return factors, state


@pytest.mark.parametrize(
    ("mean", "error"),
    [(4_000, 0), (12_000, 0), (8_000, 0), (14_000, 256), (20_000, 1024), (500_000, 1024), (2_000, -256), (0, -512)],
)
def test_the_error_is_how_far_the_mean_is_outside_the_band(shop, mean, error):
    assert int(tuner.error(shop.world.params["tuner"], jnp.int32(mean))) == error


def test_within_the_band_nothing_happens(shop):
    factors, state = days(shop, shop.state(), 4_000, 12_000, 8_000)
    assert factors == [1024] * 3 and int(state.slots["tuner"].drift) == 0


def test_two_days_above_the_band_raise_prices(shop):
    # day 1: e = 256, not yet. Day 2: P 256 x (256-256) + I 128 x 256 + D 64 x (256 - 512 + 0) = 16,384 -> 16 of 1024.
    # Day 3: 32,768 + 64 x (256 - 512 + 256) = 32,768 -> 32. Day 4: e = 512, so 65,536 + 65,536 + 64 x 256 -> 144.
    factors, state = days(shop, shop.state(), 14_000, 14_000, 14_000, 16_000)
    assert factors == [1024, 1024 + 16, 1024 + 48, 1024 + 192]
    assert int(state.slots["tuner"].drift) == 4 and state.slots["tuner"].errors.tolist() == [512, 256]


def test_two_days_below_the_band_lower_them_by_as_much(shop):
    assert days(shop, shop.state(), 2_000, 2_000, 2_000)[0] == [1024, 1024 - 16, 1024 - 48]


def test_a_day_on_the_other_side_begins_anew(shop):
    factors, state = days(shop, shop.state(), 14_000, 2_000, 14_000, 2_000)
    assert factors == [1024] * 4 and int(state.slots["tuner"].drift) == -1


def test_a_day_within_the_band_keeps_the_factor(shop):
    factors, state = days(shop, shop.state(), 14_000, 14_000, 8_000, 14_000)
    assert factors == [1024, 1040, 1040, 1040] and int(state.slots["tuner"].drift) == 1


def test_the_bounds_hold(shop):
    factors, _ = days(shop, shop.state(), *[100_000] * 12)
    assert factors[-1] == fixed.to_share(1.25) == max(factors)
    factors, _ = days(shop, shop.state(), *[0] * 12)
    assert factors[-1] == fixed.to_share(0.8) == min(factors)


def test_only_once_a_day_and_only_for_the_living(shop):
    rich = shop.state(tick=99, wallet=[20_000] * 3)
    assert int(shop.only("tuner", rich).slots["tuner"].drift) == 0
    one = shop.state(tick=100, wallet=[20_000, 0, 0], alive=[True, False, False])
    assert int(shop.only("tuner", one).slots["tuner"].drift) == 1
    nobody = shop.state(tick=100, wallet=[0] * 3, alive=[False] * 3)
    assert int(shop.only("tuner", nobody).slots["tuner"].drift) == 0


def factored(state, factor):
    return state.put(tuner=state.slots["tuner"].replace(factor=jnp.int16(factor)))


@pytest.mark.parametrize(
    ("factor", "eat", "wage"),
    [
        (1024, 400, 20),
        (1280, 500, 16),
        (819, 320, 24),
        (1100, 430, 19),
    ],  # 400 x 1100 / 1024 = 429.7; 20 x (2048 - 1100) / 1024 = 18.5
)
def test_prices_of_staples_and_wages_are_multiplied(shop, factor, eat, wage):
    state = factored(shop.state(), factor)
    assert economy.price(shop.world, state).tolist() == [200, eat]  # washing is no staple
    assert employment.wage(shop.world, state).tolist() == [wage] * 3


def test_prices_can_be_tuned_alone(board):
    alone = board(SHOP, **{"systems.tuner": {"staples": ["eat"]}})
    state = factored(alone.state(), 1280)
    assert economy.price(alone.world, state).tolist() == [200, 500]
    assert employment.wage(alone.world, state).tolist() == [20] * 3


def test_a_tuned_wage_is_a_coin_at_most(shop):
    rich = shop.tuned(employment={"wage": jnp.array([1000], jnp.int32)})
    assert employment.wage(rich.world, factored(rich.state(), 819)).tolist() == [1000] * 3


def test_the_live_price_is_paid_and_booked(shop):
    state = factored(shop.state(tick=50, cell=[shop.cell(2, 3), *shop.cells[1:]][:3]), 1280)
    for _ in range(3):
        state = shop.step(state, "use_eat")
    assert state.agents.wallet.tolist() == [9_500, 10_000, 10_000]
    assert state.slots["economy"].ledger[0] == -500
    poor = state.replace(agents=state.agents.replace(wallet=jnp.array([499, 500, 0], jnp.int32)))
    assert [("go_eat" in shop.mask(poor, agent)) for agent in (1, 2)] == [True, False]


def test_one_sees_the_factors(shop):
    price, wage = tuner.SYSTEM.features(shop.world, factored(shop.state(), 1280))
    assert price.tolist() == [0.625] * 3 and wage.tolist() == pytest.approx([819 / 2048] * 3)


REFUSED = {
    "an unknown offer": ({"staples": ["eet"]}, r"tuner.staples: 'eet': there is no such offer \(allowed: wash, eat\)"),
    "nothing to tune": ({}, "neither `staples` nor `wages`"),
    "a band upside down": ({"wages": True, "band": [5.0, 4.0]}, r"tuner.band: \[5.0, 4.0\]: allowed are 0 <= least"),
    "bounds without 1": (
        {"wages": True, "bounds": [1.1, 1.2]},
        "tuner.bounds: .*allowed are 0.5 <= least <= 1 <= most",
    ),
    "another day": ({"wages": True, "at": 200}, "tuner.at: 200 is not allowed"),
}


@pytest.mark.parametrize(("section", "message"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_said(board, section, message):
    with pytest.raises(ConfigError, match=message):
        board(SHOP, **{"systems.tuner": section})


def test_wages_need_jobs(board):
    with pytest.raises(ConfigError, match="tuner.wages: there are no wages"):
        board(SHOP.replace("K", "."), **{"systems.tuner": {"wages": True}})
