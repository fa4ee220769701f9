"""Shared by all tests: a compile cache, strict dtypes, the shipped town, and small worlds drawn as text.

A drawn world is a map of these marks; a digit is an agent on the floor, and the digits say how many agents there are:

    # wall   . floor   , grass   + door   h home (on grass)   @ entry (on road)
    W shower   B bed   S stove   C counter   K post of a clerk (all on floor)

Needs do not decay there and a day has 200 ticks, so that numbers can be worked by hand; `base` may be overridden.
"""

import functools
import gc
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from words import words

from townlet_jax import engine, make, observe, policies
from townlet_jax.config.load import dump
from townlet_jax.core import fixed
from townlet_jax.env import load
from townlet_jax.systems import ORDER, lifecycle
from townlet_jax.types import Key, Observation, State, System, World
from train.cli import SELDOM

TESTS = Path(__file__).parent
gc.set_threshold(*SELDOM)
jax.config.update("jax_compilation_cache_dir", str(TESTS.parent / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
QUICK = ["--xla_backend_optimization_level=1"]  # 0 compiles sooner, but what it compiles runs five times as long
if jax.__version_info__[:2] == (0, 10):  # XLA stops at a flag that it does not know
    QUICK += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]

MOST_MAPPINGS = (
    30_000  # of memory, in one process; Linux allows 65,530, and a compiled tick of the whole town holds 1,500
)

LEGEND = {
    "#": {"ground": "wall"},
    ".": {"ground": "floor"},
    ",": {"ground": "grass"},
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
OBSERVE = jax.jit(observe)


def alone(system: System) -> Callable[[World, State, Key], State]:
    """A tick of one system, with the random words that the engine would give it."""
    return jax.jit(lambda world, state, key: system.step(world, state, words(world, system, key)))


SYSTEM_STEPS = {system.name: alone(system) for system in ORDER}


def base(rows: list[str], num_agents: int) -> dict[str, Any]:
    """The configuration of a drawn world, with those offers, jobs and lives that its marks allow."""
    marks = set("".join(rows))
    kinds = {LEGEND[mark]["facility"] for mark in marks if "facility" in LEGEND.get(mark, {})}
    offers = [offer for offer in OFFERS if offer["at"] in kinds]
    names = {offer["name"] for offer in offers}
    systems: dict[str, Any] = {
        "intents": {},
        "needs": {
            "decay": {"hunger": 0.0, "hygiene": 0.0, "energy": 0.0},
            "weight": {"hunger": 1.0, "hygiene": 0.6, "energy": 0.8},
        },
        "movement": {},
        "queues": {},
        "affordances": {"offers": offers},
        "economy": {
            "prices": {name: price for name, price in PRICES.items() if name in names},
            "stock": {kind: 3 for kind in kinds if kind == "counter"},
            "restock_at": 50,
            "rent": 0.5 if "K" in marks else 0.0,
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


def pytest_configure(config):
    """The quick runs compile without costly passes, since most of their time is compiling; the long run compiles as users do.

    Two runs of tests share two cores: what one of them compiles it compiles in one piece, which costs a fifth less in all.
    """
    if "not slow" in config.option.markexpr:
        os.environ["XLA_FLAGS"] = " ".join([*QUICK, os.environ.get("XLA_FLAGS", "")]).strip()


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
    free = not {"K", "systems.economy.rent"} & {*drawing, *json.loads(overrides)}
    if free and "economy" in world.params:  # rent without jobs: refused in YAML, wanted in tests
        economy = world.params["economy"].replace(rent=jax.numpy.int32(500))
        world = world.replace(params={**world.params, "economy": economy})
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
        """The same board with other parameters, e.g. `tuned(needs={"decay": array})`; compiles nothing."""
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

    def observe(self, state: State) -> Observation:
        """What the agents see."""
        return OBSERVE(self.world, state)

    def mask(self, state: State, agent: int = 0) -> list[str]:
        """The names of the allowed actions of an agent."""
        row = np.asarray(self.observe(state).action_mask[agent])
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


# A crowded place with one door, hungry people, short leases and quick replacement: much happens in 300 ticks.
VILLAGE = """
    #############
    #hB.S.#C..W.#
    #.0.1.+.2.3.#
    #.4.5.#.6.7.#
    ####.##...K.#
    #@..........#
    #############
"""
HARSH = {
    "start.tick": [0, 199],
    "start.wallet": 1.0,
    "systems.economy.rent": 0.6,
    "systems.lifecycle.collapse_ticks": 10,
    "systems.lifecycle.kit_wallet": 0.7,
    "systems.rewards.weights.needs": 0.01,
    "systems.affordances.offers.0.ticks": 6,
    "systems.affordances.offers.1.ticks": 9,
    "systems.affordances.offers.2.ticks": 5,
    "systems.affordances.offers.3.ticks": 4,
}
RAPID_DECAY = (0.008, 0.004, 0.006)


class Play(NamedTuple):
    """What was seen of 64 towns in 300 ticks of random play; [towns, ticks, ...], after each tick."""

    cell: Any
    alive: Any
    ghost: Any
    terminated: Any
    truncated: Any
    generation: Any
    needs: Any
    wallet: Any
    items: Any
    ledger: Any
    stock: Any
    queue: Any
    place: Any
    remaining: Any
    tick: Any
    arrives: Any
    reward: Any
    guarded: Any
    low: Any  # f32[towns, ticks, D] the least of each feature over the agents
    high: Any
    forbidden: Any  # bool[towns, ticks] some agent took an action that its mask did not allow


class Village(NamedTuple):
    """A harsh world and what happened in it."""

    world: World
    play: Play


def watched(world: World, state: State, forbidden: Any) -> Play:
    """What to keep of one state."""
    features, slots = observe(world, state).features, state.slots
    return Play(
        cell=state.agents.cell,
        alive=state.agents.alive,
        ghost=slots["movement"].ghost,
        terminated=state.terminated,
        truncated=state.truncated,
        generation=state.agents.generation,
        needs=state.agents.needs,
        wallet=state.agents.wallet,
        items=state.agents.items,
        ledger=slots["economy"].ledger,
        stock=state.facilities.stock,
        queue=slots["queues"].facility,
        place=slots["queues"].place,
        remaining=slots["affordances"].remaining,
        tick=state.tick,
        arrives=slots["lifecycle"].arrives,
        reward=state.reward,
        guarded=lifecycle.guarded(world, state),
        low=features.min(0),
        high=features.max(0),
        forbidden=forbidden,
    )


@jax.jit
def random_play(world: World, keys: Any) -> Play:
    """300 ticks of uniform allowed actions in one town for each key."""

    def town(key):
        def tick(state, _):
            now = engine.tick_key(key, state)
            action = policies.random(world, state, engine.stream(now, "policy"))
            mask = observe(world, state).action_mask
            allowed = jax.numpy.take_along_axis(mask, action[:, None], axis=1)
            state = engine.step(world, state, action, now)
            return state, watched(world, state, ~allowed.all())

        return jax.lax.scan(tick, engine.reset(world, key), None, 300)[1]

    return jax.vmap(town)(keys)


@pytest.fixture(scope="session")
def village():
    """64 towns after 300 ticks of random play in a harsh world, as numpy arrays."""
    world = compiled(VILLAGE, json.dumps(HARSH)).world
    decay = jax.numpy.array([round(rate * fixed.NEED) for rate in RAPID_DECAY], jax.numpy.int32)
    world = world.replace(params={**world.params, "needs": world.params["needs"].replace(decay=decay)})
    with jax.numpy_dtype_promotion("strict"):
        play = random_play(world, jax.random.split(jax.random.key(1), 64))
    return Village(world, jax.tree.map(np.asarray, play))


@pytest.fixture(autouse=True)
def strict_dtypes(request):
    """No silent dtype promotion in tests of `townlet_jax`; the tests of the trainer may promote."""
    inside = request.node.path.is_relative_to(TESTS) and request.node.path.relative_to(TESTS).parts[0]
    with jax.numpy_dtype_promotion("standard" if inside == "train" else "strict"):
        yield


def mappings() -> int:
    """How many mappings of memory this process holds; 0 where the system does not tell."""
    file = Path("/proc/self/maps")
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.fixture(scope="module", autouse=True)
def room_for_programs():
    """Forget compiled programs after a module when there are too many of them; the compile cache brings back what is needed."""
    yield
    if mappings() > MOST_MAPPINGS:
        jax.clear_caches()
