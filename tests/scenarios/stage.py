"""Plays a scenario once and answers questions about it; ticks are counted from 1, as in its timeline."""

import json
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from townlet_jax import engine, load
from townlet_jax.core import fixed
from townlet_jax.policies import scheduled
from townlet_jax.types import State, World


class Play(NamedTuple):
    """A scenario from its first tick to its last; arrays have a row a tick."""

    world: World
    states: State  # after each tick, [T, ...] on the host

    @property
    def num_ticks(self) -> int:
        return self.states.tick.shape[0]

    def after(self, tick: int) -> State:
        """The state after a tick."""
        return jax.tree.map(lambda leaf: leaf[tick - 1], self.states)

    def slot(self, system: str) -> Any:
        """The private state of a system after each tick."""
        return self.states.slots[system]

    def coins(self, tick: int) -> list[float]:
        """What is in each wallet after a tick."""
        return (self.states.agents.wallet[tick - 1] / fixed.COIN).tolist()

    def needs(self, tick: int, agent: int) -> list[float]:
        """The needs of somebody after a tick, as shares."""
        return (self.states.agents.needs[tick - 1, agent] / fixed.NEED).tolist()

    def cell(self, tick: int, agent: int) -> tuple[int, int]:
        """Row and column on which somebody stands after a tick."""
        return divmod(int(self.states.agents.cell[tick - 1, agent]), self.world.static.width)

    def tie(self, tick: int, part: str, owner: int, other: int) -> float:
        """A part of a tie after a tick, as a share."""
        return float(getattr(self.slot("relationships"), part)[tick - 1, owner, other] / fixed.TIE)

    def uses(self, agent: int) -> list[tuple[int, int, str]]:
        """(first tick, last tick, offer) of all that somebody did to its end."""
        slot, names = self.slot("affordances"), self.world.static.names.offers
        ticks = self.world.params["affordances"].ticks.tolist()
        ends = [(tick, int(slot.offer[tick - 1, agent])) for tick in when(slot.completed[:, agent])]
        return [(end - ticks[offer] + 1, end, names[offer]) for end, offer in ends]


def when(mask: np.ndarray) -> list[int]:
    """The ticks in which bool[T] holds."""
    return [int(tick) for tick in np.flatnonzero(mask) + 1]


@partial(jax.jit, static_argnames="num_ticks")
def acted(world: World, num_ticks: int) -> State:
    """The states after each tick of a town in which everybody follows the schedule."""
    key = jax.random.key(0)
    return engine.unroll(world, scheduled, engine.reset(world, key), key, num_ticks, lambda world, state: state)[1]


def play(name: str, **overrides: Any) -> Play:
    """A scenario by name, with overrides by dotted path; played once, however often it is asked for."""
    return played(name, json.dumps(overrides))


@cache
def played(name: str, overrides: str) -> Play:
    """The same with overrides as text, which can be remembered."""
    world = load(name, **json.loads(overrides))
    return Play(world, jax.device_get(acted(world, int(world.params["schedule"].ticks))))
