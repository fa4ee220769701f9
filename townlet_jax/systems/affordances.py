"""Affordances: start, run and finish what facilities offer.

An offer is paid for when it starts (money, carried items, stock) and has its effects when it ends. Closing time ends what still
runs, and so do losing the user's place, an outage and a closed door: then everything paid is given back. All rules are rows of
tables, one row an offer.

reads  tick, intent, agents, facilities, slots.queues, slots.employment, slots.tuner, slots.perturbations, slots.utilities
writes agents.needs, agents.wallet, agents.items, facilities.stock, slots.affordances, slots.economy
"""

from functools import reduce

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import blocks, fixed, masks
from ..core.grid import UNREACHABLE
from ..types import NOTHING, Array, Key, Section, State, System, World
from . import economy, perturbations, predicates, queues, utilities
from .intents import USE, home_row

MAX_CARRIED = 100  # of one item


class Offer(Section):
    """What one kind of facility lets people do."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="the word for it, as in use_<name>")
    at: str = Field(description="the kind of facility")
    ticks: int = Field(ge=1, le=1000, description="how long it takes")
    effects: dict[str, float] = Field({}, description="need -> share added when it ends, -1 to 1")
    takes: dict[str, int] = Field({}, description="item -> how many it uses up")
    gives: dict[str, int] = Field({}, description="item -> how many one gets when it ends")
    stock: int = Field(0, ge=0, le=100, description="units of the facility's stock that it uses up")
    hours: tuple[int, int] | None = Field(None, description="ticks of the day between which it is offered")
    requires: str = Field(
        "", max_length=500, description="what must hold to begin it, as in `wallet >= 1 and not occupied`"
    )


class Config(Section):
    """The offers; their order is their index."""

    offers: tuple[Offer, ...] = Field(min_length=1, max_length=24, description="what facilities offer")


class Params(struct.PyTreeNode):
    """One row an offer."""

    ticks: Array  # i16[O]
    effect: Array  # i32[O, N] parts of fixed.NEED
    takes: Array  # i8[O, I]
    gives: Array  # i8[O, I]
    stock: Array  # i16[O]
    opens: Array  # i16[O] tick of the day
    closes: Array  # i16[O] tick of the day


class Slot(struct.PyTreeNode):
    """What runs."""

    offer: Array  # i8[A] the offer that runs or ran last
    remaining: Array  # i16[A] ticks until it ends, 0 if nothing runs
    paid: Array  # i32[A] mills paid for what runs, 0 if nothing runs
    finished: Array  # bool[A] something ended in this tick, done or refunded
    completed: Array  # bool[A] something was done to its end in this tick


def build(config, names) -> Params:
    """YAML to arrays."""
    table = lambda rows, words, convert: [[convert(row.get(word, 0)) for word in words] for row in rows]
    offers = config.offers
    hours = [offer.hours or (0, 32767) for offer in offers]
    shape = lambda x, width, dtype: jnp.array(x, dtype).reshape(len(offers), width)
    return Params(
        ticks=jnp.array([o.ticks for o in offers], jnp.int16),
        effect=shape(table([o.effects for o in offers], names.needs, fixed.to_need), len(names.needs), jnp.int32),
        takes=shape(table([o.takes for o in offers], names.items, int), len(names.items), jnp.int8),
        gives=shape(table([o.gives for o in offers], names.items, int), len(names.items), jnp.int8),
        stock=jnp.array([o.stock for o in offers], jnp.int16),
        opens=jnp.array([h[0] for h in hours], jnp.int16),
        closes=jnp.array([h[1] for h in hours], jnp.int16),
    )


def init(world: World, key: Key) -> Slot:
    """Nothing runs."""
    A = world.static.num_agents
    no = jnp.zeros(A, bool)
    return Slot(jnp.zeros(A, jnp.int8), jnp.zeros(A, jnp.int16), jnp.zeros(A, jnp.int32), no, no)


def is_open(world: World, tick: Array) -> Array:
    """Which offers are made at that tick of the episode: bool[O]."""
    params, time = world.params["affordances"], (tick % world.static.ticks_per_day).astype(jnp.int16)
    return (params.opens <= time) & (time < params.closes)


def is_in_service(world: World, state: State, tick: Array) -> Array | None:
    """Which facilities no event has closed and nothing lacks that they need: bool[F]; None where nothing can close one."""
    parts = []
    if world.static.has("perturbations") and world.params["perturbations"].rows("closure"):
        parts.append(~perturbations.closed(world, state, tick))
    if world.static.has("utilities"):
        parts.append(utilities.serves(world, state, tick))
    return blocks.once(jnp.stack(parts).all(0)) if parts else None


def may_begin(world: World, state: State, tick: Array, facility: Array, offer: Array | slice) -> Array:
    """Whether agents may begin offers at facilities: the one rule for masks and for what happens.

    Args:
        world: the world.
        state: one town.
        tick: i32[] in which it would begin.
        facility: i16[A] or i16[A, O], within range.
        offer: i8[A], or `slice(None)` for all offers, which gathers nothing.

    Returns:
        bool of the facility's shape: the offer is made then, the facility is in service, the stock is there, the agent has the
        money and the items, the queue admits it, and what the offer requires holds.
    """
    params, agents = world.params["affordances"], state.agents
    each = (slice(None), *[None] * (facility.ndim - 1))  # agents first, whatever follows
    has_items = (agents.items[each] >= params.takes[offer]).all(-1)
    affords = agents.wallet[each] >= economy.price(world, state, tick)[offer]
    stocked = state.facilities.stock[facility] >= params.stock[offer]
    can = [is_open(world, tick)[offer], stocked, has_items, affords, queues.admits(world, state, facility)]
    service = is_in_service(world, state, tick)
    if service is not None:
        can.append(service[facility])
    if "requires" in world.params:
        can.append(predicates.hold(world, state, tick, facility, offer))
    return reduce(jnp.logical_and, blocks.once(can))


def routes(world: World, state: State) -> tuple[Array, Array]:
    """The facility that each agent would use for each offer, and the steps to it: i16[A, O] each."""
    row = home_row(world, state)
    return blocks.once((world.map.route[row], world.map.route_distance[row]))


def available(world: World, state: State) -> Array:
    """Whether each agent may begin each offer in the next tick at the facility that it would use: bool[A, O]."""
    facility, steps = routes(world, state)
    can = may_begin(world, state, state.tick + 1, facility, slice(None))
    return can & (steps < UNREACHABLE) & state.agents.alive[:, None]


def holds(world: World, state: State) -> Array:
    """Who holds the reservation of the facility that it wants, and stands in the user's place: bool[A]."""
    slot, facility = state.slots["queues"], state.intent.facility
    cell = world.map.place_cell[jnp.where(facility == NOTHING, jnp.int16(0), facility), 0]
    return (slot.facility == facility) & (facility != NOTHING) & (slot.place == 0) & (state.agents.cell == cell)


def begin(world: World, state: State) -> State:
    """Start what the holders of reservations ask for, and take the pay."""
    static, params, slot = world.static, world.params["affordances"], state.slots["affordances"]
    agents, intent = state.agents, state.intent
    facility = jnp.where(intent.facility == NOTHING, jnp.int16(0), intent.facility)
    offer = jnp.clip(intent.arg, 0, len(static.names.offers) - 1)
    asks = agents.alive & (intent.verb == USE) & holds(world, state) & (slot.remaining == 0)
    kind = jnp.array([static.names.kinds.index(k) for k in static.names.offer_kinds], jnp.int8)
    fits = world.map.facility_kind[facility] == kind[offer]
    starts = asks & fits & may_begin(world, state, state.tick, facility, offer)

    price = jnp.where(starts, economy.price(world, state)[offer], 0)
    items = agents.items - jnp.where(starts[:, None], params.takes[offer], jnp.int8(0))
    seller = jnp.where(starts, facility, jnp.int16(NOTHING))
    stock = state.facilities.stock.at[seller].add(-params.stock[offer], mode="drop")
    state = state.replace(
        agents=agents.replace(wallet=agents.wallet - price, items=items),
        facilities=state.facilities.replace(stock=stock),
    )
    slot = slot.replace(
        offer=jnp.where(starts, offer, slot.offer),
        remaining=jnp.where(starts, params.ticks[offer], slot.remaining),
        paid=jnp.where(starts, price, slot.paid),
    )
    return economy.book(state, sales=-masks.total(price)).put(affordances=slot)


def refund(world: World, state: State) -> tuple[State, Array]:
    """End what can go on no longer, and give all back. Returns the state and who was refunded bool[A]."""
    params, slot, agents = world.params["affordances"], state.slots["affordances"], state.agents
    goes_on, service = (
        is_open(world, state.tick)[slot.offer] & holds(world, state),
        is_in_service(world, state, state.tick),
    )
    if service is not None:
        goes_on = goes_on & service[jnp.minimum(state.intent.facility, world.static.num_facilities - 1)]
    closed = (slot.remaining > 0) & ~goes_on & agents.alive
    price = jnp.where(closed, slot.paid, 0)
    items = agents.items + jnp.where(closed[:, None], params.takes[slot.offer], jnp.int8(0))
    seller = jnp.where(closed, state.intent.facility, jnp.int16(NOTHING))  # which one wants for as long as it runs
    stock = state.facilities.stock.at[seller].add(params.stock[slot.offer], mode="drop")
    stock = jnp.minimum(stock, economy.full_stock(world))  # the truck may have come in between
    state = state.replace(
        agents=agents.replace(wallet=agents.wallet + price, items=items),
        facilities=state.facilities.replace(stock=stock),
    )
    slot = slot.replace(remaining=jnp.where(closed, jnp.int16(0), slot.remaining))
    return economy.book(state, sales=masks.total(price)).put(affordances=slot), closed


def step(world: World, state: State, bits: Array) -> State:
    """Refund, begin, run on, and end."""
    params = world.params["affordances"]
    state, closed = refund(world, state)
    state = begin(world, state)
    slot, agents = state.slots["affordances"], state.agents
    ends = (slot.remaining == 1) & agents.alive
    needs = agents.needs + jnp.where(ends[:, None], params.effect[slot.offer], 0)
    gains = jnp.where(ends[:, None], params.gives[slot.offer], jnp.int8(0)).astype(jnp.int16)
    items = jnp.minimum(agents.items.astype(jnp.int16) + gains, MAX_CARRIED).astype(jnp.int8)
    remaining = jnp.where(agents.alive, jnp.maximum(slot.remaining - 1, 0), 0).astype(jnp.int16)
    paid = jnp.where(remaining > 0, slot.paid, 0)
    agents = agents.replace(needs=jnp.clip(needs, 0, fixed.NEED), items=items)
    return state.replace(agents=agents).put(affordances=Slot(slot.offer, remaining, paid, ends | closed, ends))


def rewards(world: World, state: State):
    """Completed = 1 in the tick in which an offer is done to its end."""
    return {"completed": jnp.where(state.slots["affordances"].completed, jnp.int32(fixed.MILLION), 0)}


def metrics(world: World, state: State):
    """Share of agents for whom something runs; of this tick, what was broken off and paid back, and each offer's completions."""
    slot = state.slots["affordances"]
    done = {
        f"done/{name}": (slot.completed & (slot.offer == i)).sum(dtype=jnp.int32).astype(jnp.float32)
        for i, name in enumerate(world.static.names.offers)
    }
    refunds = (slot.finished & ~slot.completed).sum(dtype=jnp.int32).astype(jnp.float32)
    return {"busy": (slot.remaining > 0).astype(jnp.float32).mean(), "refunds": refunds, **done}


SYSTEM = System(
    "affordances",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    writes=(
        "agents.needs",
        "agents.wallet",
        "agents.items",
        "facilities.stock",
        "slots.affordances",
        "slots.economy.ledger",
    ),
    requires=("intents", "queues", "economy"),
    terms=("completed",),
)
