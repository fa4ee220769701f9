"""Economy: prices, stock and its daily truck, rent and stipend, and the ledger of all money that enters or leaves wallets.

Sum of wallets = sum of wallets at the start + sum of the ledger, to the mill, at every tick.

reads  tick, agents, slots.tuner, slots.perturbations
writes agents.wallet, facilities.stock, slots.economy
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..types import Array, Key, Section, State, System, World
from . import perturbations, tuner

ACCOUNTS = ("sales", "rent", "wages", "fines", "kits", "estates", "gifts")  # positive flows into wallets


class Config(Section):
    """Money."""

    prices: dict[str, float] = Field({}, description="offer -> coins")
    stock: dict[str, int] = Field({}, description="kind of facility -> units that the truck fills it up to")
    restock_at: int = Field(300, ge=0, description="tick of the day when the truck comes")
    rent: float = Field(0.0, ge=0, le=1000, description="coins a day")
    rent_at: int = Field(1200, ge=0, description="tick of the day when rent is due")
    stipend: float = Field(0.0, ge=0, le=100, description="coins a day that everybody is given, when rent is due")
    slack: tuple[float, float] | None = Field(
        None, description="least and most share by which the wage of every job may exceed rent and basket"
    )


class Params(struct.PyTreeNode):
    """The same as arrays."""

    price: Array  # i32[O] mills
    capacity: Array  # i16[K] units
    restock_at: Array  # i32[]
    rent: Array  # i32[] mills
    rent_at: Array  # i32[]
    stipend: Array | None  # i32[] mills; None if there is none


class Slot(struct.PyTreeNode):
    """Books."""

    ledger: Array  # i32[ACCOUNTS] mills since the start, may wrap after 70,000 days
    unpaid: Array  # i8[A] days of rent in a row that the agent could not pay, at most 100


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        price=jnp.array([fixed.to_mills(config.prices.get(offer, 0.0)) for offer in names.offers], jnp.int32),
        capacity=jnp.array([config.stock.get(kind, 0) for kind in names.kinds], jnp.int16),
        restock_at=jnp.int32(config.restock_at),
        rent=jnp.int32(fixed.to_mills(config.rent)),
        rent_at=jnp.int32(config.rent_at),
        stipend=jnp.int32(fixed.to_mills(config.stipend)) if config.stipend else None,
    )


def init(world: World, key: Key) -> Slot:
    """Empty books."""
    return Slot(jnp.zeros(len(ACCOUNTS), jnp.int32), jnp.zeros(world.static.num_agents, jnp.int8))


def price(world: World, state: State, tick: Array | None = None) -> Array:
    """What each offer costs in this tick, or in a later one i32[] as far as it is known now: i32[O] mills.

    It is the world's price times every factor that is on.
    """
    cost = world.params["economy"].price
    if world.static.has("tuner"):
        cost = fixed.scale(cost, tuner.price_factor(world, state))
    if world.static.has("perturbations"):
        cost = fixed.scale(cost, perturbations.price_factor(world, state, tick))
    return cost


def full_stock(world: World) -> Array:
    """What the truck fills each facility up to: i16[F] units."""
    return world.params["economy"].capacity[world.map.facility_kind]


def book(state: State, **flows: Array) -> State:
    """Enter flows i32[] into their accounts; positive is money that came into wallets."""
    slot = state.slots["economy"]
    zero = jnp.int32(0)
    row = jnp.stack([flows.get(account, zero) for account in ACCOUNTS])
    return state.put(economy=slot.replace(ledger=slot.ledger + row))


def support(world: World, state: State) -> State:
    """Everybody is given the stipend, in the tick in which rent is due; before it is taken."""
    params, agents = world.params["economy"], state.agents
    if params.stipend is None:
        return state
    due = (state.tick % world.static.ticks_per_day == params.rent_at) & agents.alive
    given = jnp.where(due, params.stipend, 0)
    state = state.replace(agents=agents.replace(wallet=agents.wallet + given))
    return book(state, gifts=masks.total(given))


def step(world: World, state: State, bits: Array) -> State:
    """The truck comes, the stipend is given and rent is taken, each once a day."""
    state = support(world, state)
    params, agents, slot = world.params["economy"], state.agents, state.slots["economy"]
    time = state.tick % world.static.ticks_per_day
    stock = jnp.where(time == params.restock_at, full_stock(world), state.facilities.stock)

    due = (time == params.rent_at) & agents.alive & (params.rent > 0)
    paid = due & (agents.wallet >= params.rent)
    rent = jnp.where(paid, params.rent, 0)
    unpaid = jnp.where(due, jnp.where(paid, 0, jnp.minimum(slot.unpaid + 1, 100)), slot.unpaid).astype(jnp.int8)
    state = state.replace(
        agents=agents.replace(wallet=agents.wallet - rent), facilities=state.facilities.replace(stock=stock)
    )
    state = state.put(economy=slot.replace(unpaid=jnp.where(agents.alive, unpaid, jnp.int8(0))))
    return book(state, rent=-masks.total(rent))


def metrics(world: World, state: State):
    """The mean wallet of the living, in coins."""
    return {"wallet": masks.mean_where(fixed.to_float(state.agents.wallet, fixed.COIN), state.agents.alive)}


def check(config) -> list[tuple[str, str]]:
    """A slack can be asked for only where there are wages, and needs to spend them on."""
    lacking = [name for name in ("needs", "affordances", "employment") if getattr(config.systems, name) is None]
    if config.systems.economy.slack is None or not lacking:
        return []
    return [("systems.economy.slack", f"there is none in a world without the system {lacking[0]!r}")]


SYSTEM = System(
    "economy",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("agents.wallet", "facilities.stock", "slots.economy"),
    check=check,
)
