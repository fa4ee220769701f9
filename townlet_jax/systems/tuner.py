"""Tuner: prices of staples and wages follow the purses, so that a town neither starves nor swims in money.

Once a day it looks at the mean wallet of the living. As long as that is within the band, nothing changes. Has it been on one
side of the band for `patience` days, then each further day moves the factor of prices (a PID controller in velocity form):

    factor += P * (e - e1) + I * e + D * (e - 2 * e1 + e2),   within the bounds

where e is how far the mean is outside the band, as a share of the band's middle, above counting as positive, and e1, e2 are the
errors of the two days before. Wages, if tuned, move the other way by as much.

reads  tick, agents
writes slots.tuner
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..types import Array, Feature, Key, Section, State, System, World


class Config(Section):
    """A controller of prices and wages."""

    staples: tuple[str, ...] = Field((), max_length=24, description="offers whose prices are tuned")
    wages: bool = Field(False, description="whether wages are tuned, too, the other way")
    at: int = Field(0, ge=0, description="tick of the day at which the wallets are looked at")
    band: tuple[float, float] = Field((2.0, 8.0), description="least and most mean wallet that is left alone, coins")
    patience: int = Field(2, ge=1, le=30, description="days in a row outside the band, on one side, before it acts")
    proportional: float = Field(0.1, ge=0, le=1, description="weight of the change of the error")
    integral: float = Field(0.05, ge=0, le=1, description="weight of the error")
    derivative: float = Field(0.0, ge=0, le=1, description="weight of the change of the change")
    bounds: tuple[float, float] = Field((0.8, 1.25), description="least and most that a factor may be")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    staple: Array  # bool[O]
    wages: Array  # bool[]
    at: Array  # i32[]
    band: Array  # i32[2] mills
    patience: Array  # i32[]
    gains: Array  # i32[3] proportional, integral, derivative; parts of fixed.SHARE
    bounds: Array  # i32[2] parts of fixed.SHARE


class Slot(struct.PyTreeNode):
    """What the controller remembers."""

    factor: Array  # i16[] of prices, parts of fixed.SHARE, within the bounds
    errors: Array  # i16[2] of the last two days, the latest first, parts of fixed.SHARE, -SHARE to SHARE
    drift: Array  # i8[] days in a row above the band, or minus those below it, at most 100


def build(config, names) -> Params:
    """YAML to arrays."""
    gains = (config.proportional, config.integral, config.derivative)
    return Params(
        staple=jnp.array([offer in config.staples for offer in names.offers], bool),
        wages=jnp.array(config.wages),
        at=jnp.int32(config.at),
        band=jnp.array([fixed.to_mills(coins) for coins in config.band], jnp.int32),
        patience=jnp.int32(config.patience),
        gains=jnp.array([fixed.to_share(gain) for gain in gains], jnp.int32),
        bounds=jnp.array([fixed.to_share(bound) for bound in config.bounds], jnp.int32),
    )


def init(world: World, key: Key) -> Slot:
    """Nothing is tuned yet."""
    return Slot(jnp.int16(fixed.SHARE), jnp.zeros(2, jnp.int16), jnp.int8(0))


def price_factor(world: World, state: State) -> Array:
    """What the price of each offer is multiplied by: i32[O] parts of fixed.SHARE."""
    factor = state.slots["tuner"].factor.astype(jnp.int32)
    return jnp.where(world.params["tuner"].staple, factor, fixed.SHARE)


def wage_factor(world: World, state: State) -> Array:
    """What all wages are multiplied by: i32[] parts of fixed.SHARE."""
    params = world.params["tuner"]
    factor = 2 * fixed.SHARE - state.slots["tuner"].factor.astype(jnp.int32)
    return jnp.where(params.wages, jnp.clip(factor, params.bounds[0], params.bounds[1]), fixed.SHARE)


def error(params: Params, mean: Array) -> Array:
    """How far a mean wallet i32[] mills is outside the band: i32[], -SHARE to SHARE, 1 is the band's middle."""
    middle = jnp.maximum((params.band[0] + params.band[1]) // 2, 1)
    share = lambda mills: jnp.clip(mills, 0, middle) * fixed.SHARE // middle  # at most 10**6 mills
    return share(mean - params.band[1]) - share(params.band[0] - mean)


def tune(params: Params, slot: Slot, now: Array) -> Slot:
    """The controller a day later, with the error i32[] of that day."""
    side = jnp.sign(now)
    drift = slot.drift.astype(jnp.int32)
    drift = jnp.where(side == jnp.sign(drift), jnp.clip(drift + side, -100, 100), side)
    last, before = slot.errors[0].astype(jnp.int32), slot.errors[1].astype(jnp.int32)
    terms = jnp.stack([now - last, now, now - 2 * last + before])
    change = (masks.total(params.gains * terms) + fixed.SHARE // 2) >> 10
    acts = jnp.abs(drift) >= params.patience
    factor = slot.factor.astype(jnp.int32) + jnp.where(acts, change, 0)
    return Slot(
        factor=jnp.clip(factor, params.bounds[0], params.bounds[1]).astype(jnp.int16),
        errors=jnp.stack([now, last]).astype(jnp.int16),
        drift=drift.astype(jnp.int8),
    )


def step(world: World, state: State, bits: Array) -> State:
    """Once a day, if anybody is there, look and turn the wheel."""
    params, slot, alive = world.params["tuner"], state.slots["tuner"], state.agents.alive
    due = (state.tick % world.static.ticks_per_day == params.at) & alive.any()
    living = jnp.maximum(alive.sum(dtype=jnp.int32), 1)
    mean = masks.total(jnp.where(alive, state.agents.wallet, 0)) // living
    later = tune(params, slot, error(params, mean))
    keep = lambda new, old: jnp.where(due, new, old)
    return state.put(tuner=Slot(*(keep(getattr(later, f), getattr(slot, f)) for f in ("factor", "errors", "drift"))))


def metrics(world: World, state: State):
    """The factors of prices and wages, and the days outside the band."""
    factor = lambda parts: fixed.to_float(parts, fixed.SHARE)
    slot = state.slots["tuner"]
    return {
        "tuner/prices": factor(slot.factor.astype(jnp.int32)),
        "tuner/wages": factor(wage_factor(world, state)),
        "tuner/drift": slot.drift.astype(jnp.float32),
    }


def rules(world: World, state: State):
    """Whatever happens, the factor of prices stays within the bounds; that of wages is clipped where it is used."""
    least, most = world.params["tuner"].bounds
    factor = state.slots["tuner"].factor.astype(jnp.int32)
    return {"price factor in bounds": (least <= factor) & (factor <= most)}


def features(world: World, state: State) -> list[Array]:
    """What everybody sees at the till and on the pay slip."""
    row = lambda factor: jnp.broadcast_to(fixed.to_float(factor, 2 * fixed.SHARE), state.reward.shape)
    return [row(state.slots["tuner"].factor.astype(jnp.int32)), row(wage_factor(world, state))]


def check(config) -> list[tuple[str, str]]:
    """The offers exist, the band and the bounds are in order, the tick is within the day."""
    section, path, wrong = config.systems.tuner, "systems.tuner", []
    offers = [offer.name for offer in config.systems.affordances.offers] if config.systems.affordances else []
    for word in section.staples:
        if word not in offers:
            wrong.append((f"{path}.staples", f"{word!r}: there is no such offer (allowed: {', '.join(offers)})"))
    if not section.staples and not section.wages:
        wrong.append((path, "neither `staples` nor `wages` is named, so that it would tune nothing"))
    if section.wages and config.systems.employment is None:
        wrong.append((f"{path}.wages", "there are no wages in a world without the system 'employment'"))
    if not 0 <= section.band[0] <= section.band[1] <= 1000 or section.band[1] == 0:
        wrong.append((f"{path}.band", f"{list(section.band)}: allowed are 0 <= least <= most <= 1000 coins, most > 0"))
    if not 0.5 <= section.bounds[0] <= 1 <= section.bounds[1] <= 2:
        wrong.append((f"{path}.bounds", f"{list(section.bounds)}: allowed are 0.5 <= least <= 1 <= most <= 2"))
    if section.at >= config.ticks_per_day:
        wrong.append((f"{path}.at", f"{section.at} is not allowed (allowed: 0 to {config.ticks_per_day - 1})"))
    return wrong


SYSTEM = System(
    "tuner",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.tuner",),
    requires=("economy", "affordances"),
    fields=lambda world: [
        Feature("staples_factor", 1, "factor of the staples' prices / 2", 0, 1),
        Feature("wage_factor", 1, "factor of all wages / 2", 0, 1),
    ],
    features=features,
    rules=rules,
    check=check,
)
