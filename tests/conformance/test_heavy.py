"""Heavy use: saved and restored after every tick, rolled back, and at the ends of clock and purse."""

import jax
import jax.numpy as jnp
import pytest

from townlet_jax import engine, load, observe, testing
from townlet_jax.io import states
from townlet_jax.io.digest import digest
from townlet_jax.systems.events import MAX_TICKS
from townlet_jax.testing.play import tick, town_keys

TOWNS, TICKS, BACK = 64, 300, 7


@pytest.fixture(scope="module", params=["town", pytest.param("m5", marks=pytest.mark.slow)])
def world(request):
    return load(request.param, **{"observation.variant": "compact"})


@pytest.fixture(scope="module")
def keys():
    return town_keys(0, TOWNS)


@pytest.fixture(scope="module")
def advance():
    return jax.jit(jax.vmap(tick, (None, 0, 0)))


@pytest.fixture(scope="module")
def straight(world, keys, advance):
    """The states after each of the ticks, as numpy arrays."""
    state, seen = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys), []
    for _ in range(TICKS):
        state = advance(world, state, keys)
        seen.append(jax.device_get(state))
    return seen


def test_saved_and_restored_after_every_tick(world, keys, advance, straight):
    state = jax.device_get(jax.vmap(engine.reset, (None, 0))(world, keys))
    for _ in range(TICKS):
        after = jax.device_get(advance(world, state, keys))
        state = states.from_bytes(world, after, states.to_bytes(world, after))
    assert digest(state) == digest(straight[-1])


def test_rolled_back_and_played_again(world, keys, advance, straight):
    for start in range(0, TICKS - BACK, BACK):
        state = straight[start]
        for _ in range(BACK):
            state = advance(world, state, keys)
        assert digest(state) == digest(straight[start + BACK])


@pytest.mark.slow
def test_saved_and_rolled_back_for_long(world, keys, advance):
    """3,000 ticks: saved and restored after each, and every 7 of them played twice."""
    state = jax.device_get(jax.vmap(engine.reset, (None, 0))(world, keys))
    for _ in range(3000 // BACK):
        again = state
        for _ in range(BACK):
            after = jax.device_get(advance(world, state, keys))
            state = states.from_bytes(world, after, states.to_bytes(world, after))
        for _ in range(BACK):
            again = advance(world, again, keys)
        assert digest(again) == digest(state)


@pytest.mark.parametrize("start", [2**30, 2**31 - 1 - 64, 1440 * 365 * 4000])
def test_the_clock_does_not_wrap(world, keys, advance, start):
    start = min(start, 2**31 - 65 - (2 * MAX_TICKS if world.static.has("perturbations") else 0))  # events end later
    state = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys)
    fate = state.slots["lifecycle"].replace(ends=jnp.full(TOWNS, 2**31 - 1, jnp.int32))
    state = state.replace(tick=jnp.full(TOWNS, start, jnp.int32)).put(lifecycle=fate)
    for number in range(1, 61):
        before, state = state, advance(world, state, keys)
        assert (state.tick == start + number).all()
    steps = jax.vmap(testing.transitions, (None, 0, 0))(world, before, state)
    assert [rule for rule, held in steps.items() if not bool(held.all())] == []
    holds = jax.vmap(testing.invariants, (None, 0))(world, state)
    assert [rule for rule, held in holds.items() if not bool(held.all())] == []


@pytest.mark.parametrize("price", [0.0, 1000.0])
def test_prices_at_their_bounds(price, keys, advance):
    expensive = {"systems.economy.prices": {"wash": 0.2, "eat_out": price, "buy_food": 0.45, "gym_wash": price}}
    world = load("town", **{"observation.variant": "compact"}, **expensive)
    state = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys)
    state = state.replace(agents=state.agents.replace(wallet=jnp.full((TOWNS, 8), 1 << 24, jnp.int32)))
    before = state
    for _ in range(60):
        state = advance(world, state, keys)
    spent = before.agents.wallet.sum() - state.agents.wallet.sum()
    ledger = state.slots["economy"].ledger.sum()
    assert (state.agents.wallet >= 0).all() and int(spent) == -int(ledger)


@pytest.mark.wide
def test_no_nan_arises(world):
    """Not even one that a mask would hide afterwards."""
    with jax.debug_nans(True):
        run = jax.jit(jax.vmap(lambda key: observe(world, testing.random_play(world, key, 200)).features))
        assert bool(jnp.isfinite(run(town_keys(0, TOWNS))).all())
        with pytest.raises(FloatingPointError):
            jax.jit(lambda x: x / x)(jnp.zeros(3))
