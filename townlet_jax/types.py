"""The nouns of a town.

Axes: A agents, F facilities, K kinds, N needs, I items, O offers, P posts, Q queue places, H homes, C cells (rows x columns).
Units: needs in parts of `fixed.NEED` (1.0 = satisfied), money in mills (1/1000 coin), time in ticks, rewards in millionths.
No leaf of `State` is a float, so that a run replays bit for bit on any batch size and machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from flax import struct
from pydantic import BaseModel, ConfigDict

Array = jax.Array
Key = jax.Array

NOBODY = 32767  # an agent index that is out of range at the top, so that a scatter drops it
NOTHING = 32767  # the same for facilities and targets


class Section(BaseModel):
    """A frozen piece of YAML; an unknown name or a loose type in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)


class Names(NamedTuple):
    """The words of a world, in index order."""

    needs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    offer_kinds: tuple[str, ...] = ()  # the kind of facility that makes each offer
    jobs: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    residents: tuple[str, ...] = ()  # of the first people of the first slots, where the YAML names them


class Actions(NamedTuple):
    """The layout of the discrete action space: wait, four moves, one `use` an offer, talks, then the options."""

    names: tuple[str, ...]
    use: int  # first `use_<offer>`
    options: int  # first option
    num_options: int
    work: int | None  # option index, if the world has jobs
    home: int  # option index
    talk: int | None = None  # first talk_<k>, if the world has chats
    company: int | None = None  # option index of go_talk, the same


class Static(NamedTuple):
    """What cannot change without recompiling: sizes, words and code."""

    name: str
    version: int
    num_agents: int
    height: int
    width: int
    ticks_per_day: int
    num_facilities: int
    num_places: int  # queue places a facility
    num_posts: int
    names: Names
    actions: Actions
    systems: tuple[System, ...]
    observation: str  # "compact", "hybrid" or "full"
    window: int  # cells, odd: side of the map window
    config_id: str
    ways: bool = False  # whether agents see the first steps of ways

    def has(self, system: str) -> bool:
        """Whether the world runs the system of that name."""
        return any(s.name == system for s in self.systems)


class Map(struct.PyTreeNode):
    """Tables of what stands where; the same for every town of a world. Target t = facility * Q + place, then posts, then homes."""

    ground: Array  # u8[C] index into `core.grid.GROUNDS`
    neighbour: Array  # u16[C, 4] the cell to the N, E, S, W, or the cell itself where one cannot go
    facility_kind: Array  # i8[F] index into Names.kinds
    facility_cell: Array  # u16[F]
    facility_home: Array  # i16[F] the home that it belongs to, NOTHING if public
    place_cell: Array  # u16[F, Q] where its user stands, then those who wait
    post_cell: Array  # u16[P]
    post_job: Array  # i8[P] index into Names.jobs
    home_cell: Array  # u16[H]
    entry_cell: Array  # u16[E] where newcomers arrive
    start_cell: Array  # u16[A] where each slot's first resident begins
    agent_home: Array  # i16[A] the home of each slot
    agent_post: Array  # i16[A] the post of each slot, NOTHING if it has no job
    next_hop: Array  # i8[C, T] direction to walk towards target t; 4 where it is reached
    distance: Array  # i16[C, T] ticks of walking to target t; steps, unless some ground costs more than one
    route: Array  # i16[H * C, O] the facility that a resident of home h on cell c would use for offer o
    route_distance: Array  # i16[H * C, O] the distance to it
    place_of: Array  # i8[C] index into Names.places, -1 outdoors (for pictures only)
    around: Array  # u8[C] facilities within `NEAR` cells
    window: Array  # u8[C, L * w * w] the static map layers around each cell
    landmark: Array | None = None  # i16[C] the target nearest to each cell, if the world has chats


class World(struct.PyTreeNode):
    """Everything that stays the same during an episode."""

    params: Mapping[str, Any]  # one Params per system
    map: Map
    static: Static = struct.field(pytree_node=False)

    def __repr__(self) -> str:
        return f"World({self.static.name!r}, {self.static.num_agents} agents, config_id={self.static.config_id!r})"


class Intent(struct.PyTreeNode):
    """What each agent is about to do in this tick."""

    verb: Array  # i8[A] index into `VERBS`
    arg: Array  # i8[A] direction of a move, offer of a use, agent whom one talks to
    facility: Array  # i16[A] the facility that it wants to use, NOTHING if none
    priority: Array  # i8[A] a random order of the agents, drawn each tick; settles every conflict


class Agents(struct.PyTreeNode):
    """The people, one row a slot; a slot outlives its person."""

    alive: Array  # bool[A]
    generation: Array  # i16[A] how many people this slot has held before
    cell: Array  # u16[A] row * width + column
    needs: Array  # i32[A, N] 0 empty, fixed.NEED full
    wallet: Array  # i32[A] mills, >= 0
    items: Array  # i8[A, I] carried, 0 to MAX_CARRIED


class Facilities(struct.PyTreeNode):
    """What changes about the things that people use."""

    stock: Array  # i16[F] units left to sell; 0 where nothing is sold


class State(struct.PyTreeNode):
    """All that changes, for one town."""

    tick: Array  # i32[] ticks since the midnight before the episode began
    actions: Array  # i32[A] as received
    intent: Intent
    agents: Agents
    facilities: Facilities
    slots: Mapping[str, Any]  # the private state of each system, under its name
    reward: Array  # i32[A] millionths
    terminated: Array  # bool[A] this person's life in the town ended in this tick
    truncated: Array  # bool[] the episode was cut short in this tick

    def put(self, **slots: Any) -> State:
        """A copy with the private states of some systems replaced."""
        return self.replace(slots={**self.slots, **slots})


class Observation(struct.PyTreeNode):
    """What agents see. A part that a variant lacks has length 0."""

    features: Array  # f32[A, D], see `observe.schema`
    layers: Array  # u8[A, L, w, w]
    action_mask: Array  # bool[A, num_actions] True = allowed


class TimeStep(struct.PyTreeNode):
    """What a learner sees of a state."""

    observation: Observation
    reward: Array  # f32[A]
    terminated: Array  # bool[A]
    truncated: Array  # bool[]
    mask: Array  # bool[A] the slot holds a living person, or one whose life has just ended


class Feature(NamedTuple):
    """A run of neighbouring features with one meaning."""

    name: str
    size: int
    unit: str
    low: float
    high: float
    entries: tuple[str, ...] = ()  # a word for each of `size`, if they differ


class System(NamedTuple):
    """One mechanic: a bundle of pure functions, all but `step` optional.

    `build(config, names) -> Params` turns YAML into arrays, `init(world, key) -> Slot` is its private state of one town,
    `step(world, state, bits) -> state` is one tick; `bits` are u32[draws(world)] random words, all of its own,
    `rewards(world, state) -> {term: i32[A]}` are millionths within [-1e6, 1e6] before weights, `metrics` are f32[] scalars.
    `writes` lists every part of the state that `step` may change, as dotted paths; `requires` the systems that it builds on;
    `terms` the names of its rewards. `fields(world)` and `features(world, state) -> [f32[A, size], ...]` are what it adds to the
    feature vector, one array a field. `rules(world, state) -> {rule: bool[]}` hold in every town after every tick, whatever
    anybody does; `check_world` watches them. `check(config) -> [(dotted path, what is wrong)]` sees the whole configuration of
    a world that runs the system, and finds words and numbers in it that do not fit together.
    """

    name: str
    step: Callable[[World, State, Array], State]
    Config: type[Section] = Section
    build: Callable[[Any, Names], Any] = lambda config, names: ()
    init: Callable[[World, Key], Any] = lambda world, key: ()
    rewards: Callable[[World, State], Mapping[str, Array]] = lambda world, state: {}
    metrics: Callable[[World, State], Mapping[str, Array]] = lambda world, state: {}
    draws: Callable[[World], int] = lambda world: 0
    writes: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    fields: Callable[[World], list[Feature]] = lambda world: []
    features: Callable[[World, State], list[Array]] = lambda world, state: []
    rules: Callable[[World, State], Mapping[str, Array]] = lambda world, state: {}
    check: Callable[[Any], list[tuple[str, str]]] = lambda config: []

    def __repr__(self) -> str:
        return f"System({self.name!r})"


class Env(NamedTuple):
    """A world with its functions bound to it; all of them are pure and can be jitted and vmapped."""

    world: World
    reset: Callable[[Key], State]
    step: Callable[[State, Array, Key], State]
    observe: Callable[[State], Observation]
    timestep: Callable[[State], TimeStep]
    render: Callable[..., Any]

    def __repr__(self) -> str:
        static = self.world.static
        return f"Env({static.name!r}, {static.num_agents} agents, {self.num_actions} actions, {static.observation})"

    @property
    def num_agents(self) -> int:
        """Slots of a town, with the dead and unborn."""
        return self.world.static.num_agents

    @property
    def num_actions(self) -> int:
        """Size of the discrete action space."""
        return len(self.world.static.actions.names)
