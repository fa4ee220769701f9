"""Reputation: what people say of each facility. Quarrels, waiting and outages lower it, quiet ticks bring it back.

A score of each facility, 1 at first. A tick costs `quarrel` for each person who quarrels in its queue or storms out of it,
`waiting` for each person who waits in it behind somebody, and `outage` if it is out of service: something that it needs fails, or
an event has closed it. A tick without any of it gives `recovery` back. Everybody knows the scores; the scripted citizen takes a
facility of no reputation at all for one that is `detour_ticks` farther away. The specification (§29) names venue reputation and
has no number for it; all numbers are ours.

reads  tick, intent.facility, slots.queues, slots.perturbations, slots.utilities
writes slots.reputation
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed
from ..types import Array, Feature, Key, Section, State, System, World
from . import affordances, storms

FULL = fixed.NEED  # the best score there is, 2**20
COSTS = ("quarrel", "waiting", "outage")


class Config(Section):
    """What a name suffers from. All but the last are shares of the best score."""

    quarrel: float = Field(0.05, ge=0, le=1, description="lost for each who quarrels in the queue, or storms out of it")
    waiting: float = Field(0.0002, ge=0, le=1, description="lost per tick for each who waits behind somebody")
    outage: float = Field(0.001, ge=0, le=1, description="lost per tick out of service")
    recovery: float = Field(0.0005, gt=0, le=1, description="gained per tick without any of these")
    detour_ticks: int = Field(
        30, ge=0, le=500, description="how much farther off a facility of no reputation seems to the scripted citizen"
    )


class Params(struct.PyTreeNode):
    """The same as arrays."""

    cost: Array  # i32[COSTS] parts of FULL
    recovery: Array  # i32[] parts of FULL a tick
    detour: Array  # i32[] ticks


class Slot(struct.PyTreeNode):
    """The name of each facility."""

    score: Array  # i32[F] parts of FULL, 0 to FULL


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        cost=jnp.array([fixed.to_need(getattr(config, cost)) for cost in COSTS], jnp.int32),
        recovery=jnp.int32(fixed.to_need(config.recovery)),
        detour=jnp.int32(config.detour_ticks),
    )


def init(world: World, key: Key) -> Slot:
    """Nobody has anything to complain about."""
    return Slot(jnp.full(world.static.num_facilities, FULL, jnp.int32))


def trouble(world: World, state: State) -> Array:
    """What happened at each facility in this tick: i32[COSTS, F], people who quarrel, people who wait, and 1 if out of service."""
    queues, facility = state.slots["queues"], state.intent.facility  # who storms off stands nowhere, and still wants it
    none = jnp.zeros(world.static.num_facilities, jnp.int32)
    number = lambda who: none.at[facility].add(who.astype(jnp.int32), mode="drop")
    service = affordances.is_in_service(world, state, state.tick)
    out = none if service is None else (~service).astype(jnp.int32)
    return jnp.stack([number(storms.upset(state)), number(queues.place > 0), out])


def step(world: World, state: State, bits: Array) -> State:
    """Lose for what happened, or recover."""
    params, score = world.params["reputation"], state.slots["reputation"].score
    happened = trouble(world, state)
    cost = (happened * params.cost[:, None]).sum(0, dtype=jnp.int32)  # below 2**28 with 64 people
    gain = jnp.where((happened == 0).all(0), params.recovery, 0)
    return state.put(reputation=Slot(jnp.clip(score + gain - cost, 0, FULL)))


def detour(world: World, state: State) -> Array:
    """How much farther off the facility of each offer seems for its reputation: i32[A, O] ticks, 0 to `detour_ticks`."""
    route, _ = affordances.routes(world, state)
    return ((FULL - score_of(state, route)) * world.params["reputation"].detour) >> 20


def score_of(state: State, facility: Array) -> Array:
    """The reputation of facilities i16[...]: i32 of that shape."""
    return state.slots["reputation"].score[facility]


def metrics(world: World, state: State):
    """The mean and the least score, as shares."""
    score = fixed.to_float(state.slots["reputation"].score, FULL)
    return {"reputation/mean": score.mean(), "reputation/least": score.min()}


def fields(world: World) -> list[Feature]:
    """What everybody knows."""
    offers = world.static.names.offers
    return [Feature("reputation", len(offers), "share, 1 is the best: of where one would do it", 0, 1, offers)]


def features(world: World, state: State) -> list[Array]:
    """Of the facilities that each agent would use."""
    route, _ = affordances.routes(world, state)
    return [fixed.to_float(score_of(state, route), FULL)]


def rules(world: World, state: State):
    """No name is better than the best or worse than none."""
    score = state.slots["reputation"].score
    return {"reputations in bounds": ((score >= 0) & (score <= FULL)).all()}


def check(config) -> list[tuple[str, str]]:
    """Something lowers it, and no rate vanishes."""
    section, path = config.systems.reputation, "systems.reputation"
    rates = {name: getattr(section, name) for name in (*COSTS, "recovery")}
    wrong = [
        (f"{path}.{name}", f"{share} is less than the town can count (2**-21)")
        for name, share in rates.items()
        if share > 0 and fixed.to_need(share) == 0
    ]
    if not any(rates[name] > 0 for name in COSTS):
        wrong.append((path, f"nothing lowers it: one of {', '.join(COSTS)} must be above 0"))
    queues, systems = config.systems.queues, config.systems
    may_happen = {
        "quarrel": queues is None or queues.fairness is not None,
        "outage": systems.utilities is not None or systems.perturbations is not None,
    }
    if wrong == [] and not any(rates[name] > 0 and may_happen.get(name, True) for name in COSTS):
        wrong.append(
            (path, "nothing lowers it: without `queues.fairness` nobody quarrels, and nothing can fail or close")
        )
    return wrong


SYSTEM = System(
    "reputation",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.reputation",),
    requires=("queues", "affordances"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
