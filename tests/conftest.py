"""Shared by all tests: a compile cache, strict dtypes, the shipped town, and small worlds drawn as text.

A drawn world is a map of these marks; a digit is an agent on the floor, and the digits say how many agents there are:

    # wall   . floor   + door   h home   @ entry   W shower   B bed   S stove   C counter   K post of a clerk

Needs do not decay there and a day has 200 ticks, so that numbers can be worked by hand. Everything else of `base` may be overridden.
"""

import functools
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from townlet_jax import engine, make, observe
from townlet_jax.config.load import dump
from townlet_jax.env import load
from townlet_jax.systems import ORDER
from townlet_jax.types import State, World

TESTS = Path(__file__).parent
jax.config.update("jax_compilation_cache_dir", str(TESTS.parent / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

LEGEND = {
    "#": {"ground": "wall"},
    ".": {"ground": "floor"},
    "+": {"ground": "door"},
    "h": {"ground": "grass", "home": True},
    "@": {"ground": "road", "entry": True},
    "W": {"facility": "shower"},
    "B": {"facility": "bed"},
    "S": {"facility": "stove"},
    "C": {"facility": "counter"},
    "K": {"post": "clerk"},
}
OFFERS = (
    {"name": "wash", "at": "shower", "ticks": 30, "effects": {"hygiene": 0.45, "energy": -0.03}},
    {"name": "sleep", "at": "bed", "ticks": 60, "effects": {"energy": 0.8}},
    {"name": "cook", "at": "stove", "ticks": 40, "effects": {"hunger": 0.1}, "takes": {"raw": 1}, "gives": {"meal": 1}},
    {"name": "eat", "at": "counter", "ticks": 15, "effects": {"hunger": 0.4}, "stock": 1, "hours": [20, 120]},
)
CLERK = {"name": "clerk", "start": 100, "end": 160, "wage": 0.02, "late_fine": 0.1}
PRICES = {"wash": 0.2, "eat": 0.4}
WEIGHTS = {"survival": 0.002, "needs": 0.2, "wage": 0.5, "punctuality": 0.005, "terminal": 1.0}

STEP = jax.jit(engine.step)
RESET = jax.jit(engine.reset)
SYSTEM_STEPS = {system.name: jax.jit(system.step) for system in ORDER}


def base(rows: list[str], num_agents: int) -> dict[str, Any]:
    """The configuration of a drawn world, with those offers, jobs and lives that its marks allow."""
    marks = set("".join(rows))
    kinds = {LEGEND[mark]["facility"] for mark in marks if "facility" in LEGEND.get(mark, {})}
    offers = [offer for offer in OFFERS if offer["at"] in kinds]
    names = {offer["name"] for offer in offers}
    systems: dict[str, Any] = {
        "intents": {},
        "needs": {"decay": {"hunger": 0.0, "hygiene": 0.0, "energy": 0.0}, "weight": {"hunger": 1.0, "hygiene": 0.6, "energy": 0.8}},
        "movement": {},
        "queues": {},
        "affordances": {"offers": offers},
        "economy": {
            "prices": {name: price for name, price in PRICES.items() if name in names},
            "stock": {kind: 3 for kind in kinds if kind == "counter"},
            "restock_at": 50,
            "rent": 0.5,
            "rent_at": 150,
        },
        "rewards": {"weights": WEIGHTS, "clip": 0.2},
    }
    if "K" in marks:
        systems["employment"] = {"jobs": [CLERK], "notice": 30}
    if "@" in marks:
        systems["lifecycle"] = {"episode_ticks": 1000, "kit_wallet": 2.25, "kit_items": {"raw": 1}}
    return {
        "name": "board",
        "num_agents": num_agents,
        "ticks_per_day": 200,
        "needs": ["hunger", "hygiene", "energy"],
        "items": ["raw", "meal"],
        "observation": {"variant": "compact"},
        "start": {"needs": [0.6, 0.6], "wallet": 10.0, "items": {"raw": 2}},
        "systems": systems,
        "map": {"legend": LEGEND, "rows": "\n".join(rows) + "\n"},
    }


@functools.cache
def compiled(drawing: str, overrides: str) -> "Board":
    """The board of a drawing, made once; worlds of one shape and vocabulary share their compiled functions."""
    drawn = [line.strip() for line in drawing.strip().splitlines()]
    flat = "".join(drawn)
    agents = sorted(mark for mark in flat if mark.isdigit())
    rows = ["".join("." if mark.isdigit() else mark for mark in row) for row in drawn]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "board.yaml"
        path.write_text(dump(base(rows, max(len(agents), 1))))
        world = load(path, **json.loads(overrides))
    cells = np.array([flat.index(mark) for mark in agents], np.uint16)
    world = world.replace(static=world.static._replace(config_id="board"))
    return Board(world, tuple(rows), cells)


class Board(NamedTuple):
    """A tiny world with its drawing."""

    world: World
    rows: tuple[str, ...]  # without agents
    cells: np.ndarray  # u16[A] where the digits stand

    def cell(self, row: int, column: int) -> int:
        """The flat index of a cell."""
        return row * self.world.static.width + column

    def tuned(self, **params: dict[str, Any]) -> "Board":
        """The same board with other parameters of some systems, e.g. `tuned(needs={"decay": array})`; compiles nothing."""
        old = self.world.params
        new = {name: old[name].replace(**fields) for name, fields in params.items()}
        return self._replace(world=self.world.replace(params={**old, **new}))

    def state(self, tick: int = 0, **agents: Any) -> State:
        """The town before `tick + 1` with everybody on their digits; `agents` replaces fields of `state.agents`."""
        state = RESET(self.world, jax.random.key(0))
        fields = {"cell": self.cells, **agents} if len(self.cells) else agents
        own = {name: np.asarray(value, getattr(state.agents, name).dtype) for name, value in fields.items()}
        own = {name: np.broadcast_to(value, getattr(state.agents, name).shape) for name, value in own.items()}
        state = state.replace(agents=state.agents.replace(**{name: jax.numpy.array(v) for name, v in own.items()}))
        return state.replace(tick=jax.numpy.int32(tick))

    def actions(self, *names: str) -> np.ndarray:
        """Names of actions, one an agent, as i32[A]; missing ones wait."""
        layout = self.world.static.actions.names
        named = [layout.index(name) for name in names]
        return np.array(named + [0] * (self.world.static.num_agents - len(named)), np.int32)

    def step(self, state: State, *names: str, seed: int = 0) -> State:
        """One tick of the whole engine."""
        return STEP(self.world, state, self.actions(*names), jax.random.fold_in(jax.random.key(seed), state.tick))

    def run(self, state: State, num_ticks: int, *names: str, seed: int = 0) -> list[State]:
        """The states after each of some ticks, the same actions in each."""
        states = []
        for _ in range(num_ticks):
            state = self.step(state, *names, seed=seed)
            states.append(state)
        return states

    def only(self, system: str, state: State, seed: int = 0) -> State:
        """One tick of one system; the clock stands still."""
        return SYSTEM_STEPS[system](self.world, state, jax.random.key(seed))

    def mask(self, state: State, agent: int = 0) -> list[str]:
        """The names of the allowed actions of an agent."""
        row = np.asarray(observe(self.world, state).action_mask[agent])
        return [name for name, allowed in zip(self.world.static.actions.names, row) if allowed]

    def draw(self, state: State) -> str:
        """The map with the living on it as digits; `*` where two share a cell."""
        marks = [list(row) for row in self.rows]
        where = np.asarray(state.agents.cell)[np.asarray(state.agents.alive)].tolist()
        for agent in np.flatnonzero(np.asarray(state.agents.alive)):
            cell = int(state.agents.cell[agent])
            row, column = divmod(cell, self.world.static.width)
            marks[row][column] = "*" if where.count(cell) > 1 else str(agent)
        return "\n".join("".join(row) for row in marks)


@pytest.fixture(scope="session")
def board():
    """`board(drawing, **overrides)` is the world of a drawing; overrides go by dotted path as in `make`."""
    return lambda drawing, **overrides: compiled(drawing, json.dumps(overrides))


@pytest.fixture(scope="session")
def town():
    """The shipped town without map layers; its functions are jitted."""
    env = make("town", **{"observation.variant": "compact"})
    return env._replace(**{name: jax.jit(getattr(env, name)) for name in ("reset", "step", "observe", "timestep")})


@pytest.fixture(autouse=True)
def strict_dtypes(request):
    """No silent dtype promotion in tests of `townlet_jax`; the tests of the trainer may promote."""
    inside = request.node.path.is_relative_to(TESTS) and request.node.path.relative_to(TESTS).parts[0]
    with jax.numpy_dtype_promotion("standard" if inside == "train" else "strict"):
        yield
