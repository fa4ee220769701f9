"""Economy: prices, stock and its daily truck, rent, and the ledger of all money that enters or leaves wallets.

Sum of wallets = sum of wallets at the start + sum of the ledger, to the mill, at every tick.

reads  tick, agents
writes agents.wallet, facilities.stock, slots.economy
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks
from ..types import Array, Key, Section, State, System, World

ACCOUNTS = ("sales", "rent", "wages", "fines", "kits", "estates", "gifts")  # positive flows into wallets


class Config(Section):
    """Money."""

    prices: dict[str, float] = Field({}, description="offer -> coins")
    stock: dict[str, int] = Field({}, description="kind of facility -> units that the truck fills it up to")
    restock_at: int = Field(300, ge=0, description="tick of the day when the truck comes")
    rent: float = Field(0.0, ge=0, le=1000, description="coins a day")
    rent_at: int = Field(1200, ge=0, description="tick of the day when rent is due")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    price: Array  # i32[O] mills
    capacity: Array  # i16[K] units
    restock_at: Array  # i32[]
    rent: Array  # i32[] mills
    rent_at: Array  # i32[]


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
    )


def init(world: World, key: Key) -> Slot:
    """Empty books."""
    return Slot(jnp.zeros(len(ACCOUNTS), jnp.int32), jnp.zeros(world.static.num_agents, jnp.int8))


def price(world: World, state: State) -> Array:
    """What each offer costs in this tick: i32[O] mills."""
    return world.params["economy"].price


def full_stock(world: World) -> Array:
    """What the truck fills each facility up to: i16[F] units."""
    return world.params["economy"].capacity[world.map.facility_kind]


def book(state: State, **flows: Array) -> State:
    """Enter flows i32[] into their accounts; positive is money that came into wallets."""
    slot = state.slots["economy"]
    zero = jnp.int32(0)
    row = jnp.stack([flows.get(account, zero) for account in ACCOUNTS])
    return state.put(economy=slot.replace(ledger=slot.ledger + row))


def step(world: World, state: State, key: Key) -> State:
    """The truck comes and rent is taken, each once a day."""
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


SYSTEM = System(
    "economy",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("agents.wallet", "facilities.stock", "slots.economy"),
)
