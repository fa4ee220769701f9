"""Perturbations: dear days, blackouts, closed doors and arranged meetings, by chance, by schedule or by hand.

Each event of the YAML is one row of a fixed table. It is on from the tick in which it begins to the one before `ends`, and nothing
else is changed: prices, utilities, doors and goals ask here, so that its end undoes it exactly.

An event begins by itself only if it is off, its cooldown is over and its window is not full. One more than the town bears at a
time is put off by a few ticks, as often as need be. The schedule and `trigger` ask nobody: they begin an event anew even if it is
on. What begins now is felt by facilities in this tick; who is called sets out in the next, since intents come first.

reads  tick, intent, agents, slots.movement, slots.relationships
writes slots.perturbations
"""

import jax.numpy as jnp

from ..core import fixed
from ..types import Array, Feature, State, System, World
from . import meetings
from .event_table import active, begin, by_chance, cancel, draws, end, init, scheduled, trigger
from .events import MAX_TICKS, Config, build, check
from .meetings import meeting

__all__ = ["SYSTEM", "active", "cancel", "closed", "cut", "meeting", "price_factor", "suppresses", "trigger"]
DEAREST = 16 * fixed.SHARE  # what all price spikes together may multiply a price by


def price_factor(world: World, state: State, tick: Array | None = None) -> Array:
    """By what each offer's price is multiplied: i32[O] parts of fixed.SHARE, SHARE to DEAREST."""
    params, slot = world.params["perturbations"], state.slots["perturbations"]
    on = active(world, state, tick)
    factor = jnp.full(len(world.static.names.offers), fixed.SHARE, jnp.int32)
    for e in params.rows("price_spike"):
        dear = jnp.minimum((factor * slot.magnitude[e].astype(jnp.int32)) >> 10, DEAREST)
        factor = jnp.where(on[e] & params.offers[e], dear, factor)
    return factor


def cut(world: World, state: State, tick: Array | None = None) -> Array:
    """Which utilities fail for an event: bool[U], in the order of `utilities`."""
    params, on = world.params["perturbations"], active(world, state, tick)
    fails = lambda utility: jnp.array([utility == other for other in params.utilities])
    return jnp.stack([(on & fails(utility)).any() for utility in world.params["utilities"].names])


def closed(world: World, state: State, tick: Array | None = None) -> Array:
    """Which facilities an event has closed: bool[F]."""
    params, slot = world.params["perturbations"], state.slots["perturbations"]
    on, kind = active(world, state, tick), world.map.facility_kind
    index = jnp.arange(world.static.num_facilities, dtype=jnp.int16)
    no = jnp.zeros(world.static.num_facilities, bool)
    for row, e in enumerate(params.rows("closure")):
        hit = jnp.where(params.every[e], params.at[e][kind], index == slot.shut[row])
        no = no | (on[e] & hit)
    return no


def suppresses(world: World, state: State) -> Array:
    """Whether nobody has to leave town now: bool[], while a utility fails for an event, and some ticks after."""
    return state.tick < state.slots["perturbations"].calm


def random_words(world: World) -> int:
    """Five for each event, and one for each facility that might close."""
    params = world.params["perturbations"]
    return 5 * len(params.names) + (world.static.num_facilities if params.rows("closure") else 0)


def step(world: World, state: State, bits: Array) -> State:
    """What is over ends; what is due, drawn or scheduled begins."""
    params, E = world.params["perturbations"], len(world.params["perturbations"].names)
    dice = bits[: 5 * E].reshape(5, E)
    state = end(world, state)
    drawn = draws(world, dice[3:])
    plan = scheduled(world, state, drawn)
    starts, due = by_chance(world, state, plan.starts, dice[:3])
    state = state.put(perturbations=state.slots["perturbations"].replace(due=due))
    state = begin(world, state, plan._replace(starts=plan.starts | starts), bits[5 * E :])
    outage = jnp.array([kind == "outage" for kind in params.kinds])
    slot = state.slots["perturbations"]
    alarm = (active(world, state) & outage).any()
    return state.put(perturbations=slot.replace(calm=jnp.where(alarm, state.tick + 1 + params.grace, slot.calm)))


def metrics(world: World, state: State):
    """Events that are on, began, ended and are put off in this tick, and meetings at which all are there."""
    slot = state.slots["perturbations"]
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    on = active(world, state)
    found = {
        "perturbations/active": number(on),
        "perturbations/started": number(on & (slot.since == state.tick)),
        "perturbations/ended": number(slot.ended),
        "perturbations/put_off": number(slot.due > 0),
    }
    return found if slot.people is None else {**found, "perturbations/met": number(meetings.met(world, state))}


def fields(world: World) -> list[Feature]:
    """What everybody knows of events."""
    names, offers = world.params["perturbations"].names, world.static.names.offers
    known = [
        Feature("event", len(names), "0 or 1: it is on", 0, 1, names),
        Feature("event_left", len(names), "ticks left / the most that it lasts, at most 1", 0, 1, names),
    ]
    if world.params["perturbations"].rows("price_spike"):
        known.append(Feature("price_factor", len(offers), "factor / 4, at most 1", 0, 1, offers))
    return known + meetings.fields(world)


def features(world: World, state: State) -> list[Array]:
    """The same for everybody, but for meetings."""
    params, slot, A = world.params["perturbations"], state.slots["perturbations"], world.static.num_agents
    on = active(world, state)
    left = jnp.where(on, slot.ends - 1 - state.tick, 0).astype(jnp.float32)
    everywhere = [on.astype(jnp.float32), jnp.minimum(left / params.ticks[:, 1].astype(jnp.float32), 1.0)]
    if params.rows("price_spike"):
        everywhere.append(jnp.minimum(fixed.to_float(price_factor(world, state), 4 * fixed.SHARE), 1.0))
    return [jnp.broadcast_to(row, (A, *row.shape)) for row in everywhere] + meetings.features(world, state)


def rules(world: World, state: State):
    """Events end, factors and facilities in range; nobody is called twice, or without a meeting."""
    params, slot = world.params["perturbations"], state.slots["perturbations"]
    dear = price_factor(world, state)
    found = {
        "an event is off or will end": (
            ((slot.ends == 0) | (slot.ends > state.tick)) & (slot.ends - state.tick <= MAX_TICKS)
        ).all(),
        "put off to a later tick": ((slot.due == 0) | (slot.due > state.tick)).all(),
        "price factors in bounds": ((dear >= fixed.SHARE) & (dear <= DEAREST)).all(),
        "spikes in bounds": ((slot.magnitude >= fixed.SHARE) & (slot.magnitude <= 4 * fixed.SHARE)).all(),
        "starts are remembered in order": (slot.past[:, :-1] >= slot.past[:, 1:]).all(),
    }
    if params.rows("outage"):
        outage = jnp.array([kind == "outage" for kind in params.kinds])
        found["nobody has to leave in an outage"] = ~(active(world, state) & outage).any() | suppresses(world, state)
    return {**found, **meetings.rules(world, state)}


SYSTEM = System(
    "perturbations",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    draws=random_words,
    writes=("slots.perturbations",),
    requires=("intents", "movement", "affordances", "economy"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
