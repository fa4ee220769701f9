"""Economy: the truck, the rent, and books that agree with the purses to the mill."""

import jax.numpy as jnp
import numpy as np
import pytest
from books import entries

from townlet_jax.systems import economy

SHOP = """
    #######
    #h.C.@#
    #0.1.2#
    #######
"""
SALES, RENT, WAGES, FINES, KITS, ESTATES = range(6)


@pytest.fixture
def shop(board):
    return board(SHOP)  # 3 units, restocked at 50; rent of 0.5 coins at 150; a day has 200 ticks


def stocked(state, units):
    return state.replace(facilities=state.facilities.replace(stock=jnp.array([units], jnp.int16)))


@pytest.mark.parametrize(("tick", "stock"), [(49, 1), (50, 3), (51, 1), (249, 1), (250, 3)])
def test_the_truck_fills_the_shop_up_once_a_day(shop, tick, stock):
    assert shop.only("economy", stocked(shop.state(tick=tick), 1)).facilities.stock.tolist() == [stock]


def test_a_town_begins_with_full_shelves(shop):
    assert shop.state().facilities.stock.tolist() == [3]


@pytest.mark.parametrize(("tick", "wallet"), [(149, 10_000), (150, 9_500), (151, 10_000), (350, 9_500)])
def test_rent_is_taken_once_a_day(shop, tick, wallet):
    state = shop.only("economy", shop.state(tick=tick))
    assert state.agents.wallet.tolist() == [wallet] * 3
    assert state.slots["economy"].ledger.tolist()[RENT] == 3 * (wallet - 10_000)


def test_who_cannot_pay_in_full_pays_nothing_and_is_counted(shop):
    state = shop.only("economy", shop.state(tick=150, wallet=[499, 500, 0]))
    assert state.agents.wallet.tolist() == [499, 0, 0]
    assert state.slots["economy"].unpaid.tolist() == [1, 0, 1]
    assert entries(state) == {"rent": -500}


def test_one_paid_rent_wipes_the_count_out(shop):
    state = shop.only("economy", shop.state(tick=150, wallet=[0, 0, 0]))
    state = state.replace(agents=state.agents.replace(wallet=jnp.array([600, 0, 600], jnp.int32)))
    assert shop.only("economy", state).slots["economy"].unpaid.tolist() == [0, 2, 0]


def test_between_two_rents_the_count_stays(shop):
    state = shop.only("economy", shop.state(tick=150, wallet=[0, 0, 0]))
    state = shop.only("economy", state.replace(tick=jnp.int32(151)))
    assert state.slots["economy"].unpaid.tolist() == [1, 1, 1]


def test_the_dead_owe_nothing(shop):
    state = shop.only("economy", shop.state(tick=150, wallet=[0, 9_000, 9_000], alive=[False, False, True]))
    assert state.agents.wallet.tolist() == [0, 9_000, 8_500]
    assert state.slots["economy"].unpaid.tolist() == [0, 0, 0]


def test_two_days_without_rent_end_in_eviction(shop):
    state, gone = shop.state(tick=148, wallet=[499, 10_000, 10_000]), []
    for _ in range(204):
        state = shop.step(state)
        if state.terminated.any():
            gone.append((int(state.tick), state.terminated.tolist(), state.slots["lifecycle"].reason.tolist()))
    assert gone == [(350, [True, False, False], [2, 0, 0])]  # unpaid at 150, and again at 350
    assert entries(state) == {
        "rent": -2_000,
        "estates": -499,
    }  # two rents of two others; what the evicted owned is gone


def test_a_world_without_rent_counts_nobody(board):
    shop = board(SHOP, **{"systems.economy.rent": 0.0})
    state = shop.only("economy", shop.state(tick=150, wallet=[0, 0, 0]))
    assert state.slots["economy"].unpaid.tolist() == [0, 0, 0]


def test_books_add_up_by_account(shop):
    state = economy.book(shop.state(), sales=jnp.int32(-7), kits=jnp.int32(5))
    state = economy.book(state, sales=jnp.int32(-1))
    assert entries(state) == {"sales": -8, "kits": 5}


def test_purses_equal_the_books_to_the_mill_in_random_play(village):
    play = village.play
    money = play.wallet.astype(np.int64).sum(axis=-1)  # [towns, ticks]
    books = play.ledger.astype(np.int64).sum(axis=-1)
    start = int(village.world.params["start"].wallet.sum())
    np.testing.assert_array_equal(money, start + books)
    assert (play.wallet >= 0).all()
    used = (play.ledger[:, -1] != 0).any(axis=0)
    assert used[: economy.ACCOUNTS.index("gifts")].all()  # every account was used, or this test shows nothing
