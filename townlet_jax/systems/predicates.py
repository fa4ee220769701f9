"""What an offer may ask of who wants to begin it: a fixed vector of integers, and boxes in which it must lie.

The expressions of the YAML are compiled (`config.expressions`) to unions of boxes: for each offer up to CLAUSES, for each box a
least and a most value of every variable. So a changed number is a changed array, and nothing is compiled anew. Only the variables
that some offer names, and only as many boxes as the longest expression has, are computed; other words or more alternatives are
another program.

Part of the system `affordances`.

reads  tick, agents, facilities, slots.queues, slots.affordances, slots.employment, slots.utilities
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from flax import struct

from ..core import fixed
from ..types import NOTHING, Array, Names, State, World
from . import employment, queues, utilities

CLAUSES = 4  # boxes an offer, at most
LEAST, MOST = -(2**31), 2**31 - 1
LARGE = 1_000_000  # more than any count, day or sum of coins that one may compare with

Box = dict[int, tuple[int, int]]  # index of the variable -> least and most value


class Variable(NamedTuple):
    """A word of expressions."""

    name: str
    unit: str  # for messages
    scale: int  # parts in 1 of what the YAML says; 1 where only whole numbers make sense
    low: int  # least value, in parts
    high: int  # most value, in parts

    @property
    def flag(self) -> bool:
        """Whether it is true or false."""
        return self.unit == "flag"


class Table(struct.PyTreeNode):
    """One row an offer."""

    low: Array  # i32[O, CLAUSES, V] least value of each variable
    high: Array  # i32[O, CLAUSES, V] most value; below the least in a box that holds nothing
    clauses: int = struct.field(pytree_node=False)  # boxes of the longest expression
    columns: tuple[int, ...] = struct.field(pytree_node=False)  # variables that some offer names, ascending


def variables(
    names: Names, systems: Collection[str], ticks_per_day: int, utilities: Sequence[str]
) -> tuple[Variable, ...]:
    """The vector of a world, in the order of `columns`."""
    flag = lambda name: Variable(name, "flag", 1, 0, 1)
    whole = lambda name, unit, high: Variable(name, unit, 1, 0, high)
    return (
        *(Variable(f"need.{need}", "share, 0 to 1", fixed.NEED, 0, fixed.NEED) for need in names.needs),
        Variable("wallet", "coins", fixed.COIN, 0, LARGE * fixed.COIN),
        *(whole(f"item.{item}", "count", LARGE) for item in names.items),
        whole("time", "tick of the day", ticks_per_day - 1),
        whole("day", "days since the first", LARGE),
        whole("generation", "people before in this slot", LARGE),
        flag("at_home"),
        *([flag("on_shift")] if "employment" in systems else []),
        whole("stock", "units", LARGE),
        whole("waiting", "others in the queue", LARGE),
        flag("occupied"),
        flag("own"),
        *(flag(name) for name in utilities),
    )


def build(rows: Sequence[Sequence[Box]], num_variables: int) -> Table:
    """A table of the boxes of each offer; an offer without boxes asks nothing."""
    low = [[[1] * num_variables for _ in range(CLAUSES)] for _ in rows]
    high = [[[0] * num_variables for _ in range(CLAUSES)] for _ in rows]
    for offer, boxes in enumerate(rows):
        for clause, box in enumerate(boxes or ({},)):
            low[offer][clause] = [box.get(v, (LEAST, MOST))[0] for v in range(num_variables)]
            high[offer][clause] = [box.get(v, (LEAST, MOST))[1] for v in range(num_variables)]
    columns = sorted({variable for boxes in rows for box in boxes for variable in box})
    clauses = max(map(len, rows), default=0)
    return Table(jnp.array(low, jnp.int32), jnp.array(high, jnp.int32), max(clauses, 1), tuple(columns))


def hold(world: World, state: State, tick: Array, facility: Array, offer: Array | slice) -> Array:
    """Whether what the offers require holds; arguments and result as of `affordances.may_begin`."""
    table = world.params["requires"]
    value = columns(world, state, tick, facility)
    met = jnp.zeros(facility.shape, bool)
    for clause in range(table.clauses):
        inside = jnp.ones(facility.shape, bool)
        for v in table.columns:
            inside &= (table.low[:, clause, v][offer] <= value[v]) & (value[v] <= table.high[:, clause, v][offer])
        met |= inside & (table.low[:, clause, 0] <= table.high[:, clause, 0])[offer]  # a box that holds nothing
    return met


def columns(world: World, state: State, tick: Array, facility: Array) -> list[Array]:
    """The variables of each agent at facilities i16[A] or i16[A, O], in the order of `variables`: i32 of that shape each."""
    each = (slice(None), *[None] * (facility.ndim - 1))  # agents first, whatever follows
    of_agents, of_facilities = agent_values(world, state, tick), facility_values(world, state, tick, facility)
    found = [jnp.asarray(value).astype(jnp.int32) for value in of_agents]
    found = [value if value.ndim == 0 else value[each] for value in found]
    found += [value.astype(jnp.int32) for value in of_facilities]
    return [jnp.broadcast_to(value, facility.shape) for value in found]


def agent_values(world: World, state: State, tick: Array) -> list[Array]:
    """What does not depend on the facility: [A] or [] each."""
    static, agents = world.static, state.agents
    home = employment.home_target(world)
    found = [
        *agents.needs.T,
        agents.wallet,
        *agents.items.T,
        tick % static.ticks_per_day,
        tick // static.ticks_per_day,
        agents.generation,
        world.map.distance[agents.cell, home] <= 1,
    ]
    if static.has("employment"):
        found.append(employment.on_duty(state.slots["employment"].shift))
    return found


def facility_values(world: World, state: State, tick: Array, facility: Array) -> list[Array]:
    """What depends on the facility: [A] or [A, O] each, and [] for what holds in the whole town."""
    each = (slice(None), *[None] * (facility.ndim - 1))
    queue, home = state.slots["queues"].facility[each], world.map.agent_home[each]
    runs = state.slots["affordances"].remaining > 0
    used = jnp.where(runs, state.slots["queues"].facility, jnp.int16(NOTHING))
    busy = jnp.zeros(world.static.num_facilities, bool).at[used].set(True, mode="drop")
    found = [
        state.facilities.stock[facility],
        queues.load(world, state)[facility] - (queue == facility).astype(jnp.int8),
        busy[facility] & ~(runs[each] & (queue == facility)),
        world.map.facility_home[facility] == home,
    ]
    if world.static.has("utilities"):
        found += list(utilities.works(world, state, tick))
    return found
