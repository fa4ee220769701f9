"""The events that may befall a town: from YAML to arrays, and what must fit together. `perturbations` makes them happen.

price_spike  the price of some offers, or of all offers at some kinds of facility, is multiplied by `magnitude`
outage       a utility fails (see `utilities`), a blackout if it is the power
meet         some people are called to a place and walk there
closure      a facility of some kind is closed, or all of them
chaos        the chances of all other events are multiplied
"""

from collections.abc import Iterator
from typing import Any, Literal

import jax.numpy as jnp
from flax import struct
from pydantic import Field, model_validator

from ..core import fixed
from ..types import Array, Section

WORD = r"^[a-z][a-z0-9_]{0,30}$"
OWN = {  # what each kind of event must say, and what it may say besides
    "price_spike": (("magnitude",), ("offers", "at")),
    "outage": (("utility",), ()),
    "meet": (("location",), ("participants", "who")),
    "closure": (("at",), ("every",)),
    "chaos": ((), ()),
}
MAX_TICKS = 10_000  # that an event lasts
MAX_MAGNITUDE = 4


class Event(Section):
    """One event that may happen again and again, never twice at a time."""

    name: str = Field(pattern=WORD, description="the word for it")
    kind: Literal["price_spike", "outage", "meet", "closure", "chaos"] = Field(description="what it does")
    chance_per_day: float = Field(0.0, ge=0, le=30000, description="how often it begins by itself, if nothing forbids")
    cooldown_ticks: int = Field(0, ge=0, le=100_000, description="ticks after its end before it may begin again")
    ticks: tuple[int, int] = Field(description="how long it lasts, least and most")
    max_per_window: int | None = Field(None, ge=0, le=16, description="its own limit, 0 for none")
    magnitude: tuple[float, float] = Field((1.0, 1.0), description="price_spike: least and most factor, 1 to 4")
    offers: tuple[str, ...] = Field((), description="price_spike: the offers that become dear")
    at: tuple[str, ...] = Field((), description="price_spike, closure: the kinds of facility that are hit")
    every: bool = Field(False, description="closure: whether all of them close, or one of them")
    utility: str | None = Field(None, description="outage: the utility that fails")
    location: str | None = Field(None, description="meet: a kind of facility, or the name of a place on the map")
    participants: int = Field(2, ge=2, le=64, description="meet: how many are called at most")

    who: Literal["least_called", "rivals"] = Field("least_called", description="meet: whom it calls; rivals are two")

    @model_validator(mode="after")
    def whole(self) -> "Event":
        """Ranges in order, and nothing missing or left over for its kind."""
        must, may = OWN[self.kind]
        for field in must:
            if field not in self.model_fields_set:
                raise ValueError(f"the kind {self.kind} needs `{field}`")
        for field in ("magnitude", "offers", "at", "every", "utility", "location", "participants", "who"):
            if field in self.model_fields_set and field not in (*must, *may):
                raise ValueError(
                    f"`{field}` means nothing to the kind {self.kind} (it has: {', '.join((*must, *may)) or '-'})"
                )
        if self.kind == "price_spike" and not (self.offers or self.at):
            raise ValueError("the kind price_spike needs `offers` or `at`")
        if not 1 <= self.ticks[0] <= self.ticks[1] <= MAX_TICKS:
            raise ValueError(f"ticks {list(self.ticks)}: allowed are 1 <= least <= most <= {MAX_TICKS}")
        if not 1 <= self.magnitude[0] <= self.magnitude[1] <= MAX_MAGNITUDE:
            raise ValueError(f"magnitude {list(self.magnitude)}: allowed are 1 <= least <= most <= {MAX_MAGNITUDE}")
        return self


class Entry(Section):
    """An event that happens for sure, whatever its cooldown and the limits say."""

    event: str = Field(description="its name")
    at: int | None = Field(None, ge=1, description="tick of the episode, 1 is the first")
    day: int | None = Field(None, ge=0, le=10_000, description="day of the clock, 0 is the first; every day if absent")
    tick: int | None = Field(None, ge=0, description="tick of the day")
    ticks: int | None = Field(None, ge=1, le=MAX_TICKS, description="how long it lasts; drawn if absent")
    magnitude: float | None = Field(None, ge=1, le=MAX_MAGNITUDE, description="factor of prices; drawn if absent")
    agents: tuple[int, ...] = Field((), max_length=64, description="slots of those who are called; chosen if empty")

    @model_validator(mode="after")
    def one_time(self) -> "Entry":
        """Either a tick of the episode or a time of the clock."""
        if (self.at is None) == (self.tick is None) or (self.day is not None and self.tick is None):
            raise ValueError("say either `at` (tick of the episode), or `tick` (of the day) and perhaps `day`")
        if self.agents and len(set(self.agents)) < 2:
            raise ValueError(f"agents {list(self.agents)}: it takes two to meet")
        return self


class Config(Section):
    """Events, and how many of them a town bears."""

    events: tuple[Event, ...] = Field(min_length=1, max_length=16, description="what may happen, in index order")
    schedule: tuple[Entry, ...] = Field((), max_length=64, description="what happens for sure")
    max_concurrent: int = Field(2, ge=1, le=16, description="events at a time; chaos does not count")
    stagger_ticks: int = Field(60, ge=1, le=10_000, description="most ticks by which one too many is put off")
    global_cooldown_ticks: int = Field(240, ge=0, le=100_000, description="added to the cooldown of every event")
    per_agent_cooldown_ticks: int = Field(
        360, ge=0, le=100_000, description="ticks after a meeting before one is called again"
    )
    window_ticks: int = Field(1440, ge=1, le=100_000, description="ticks over which starts are counted")
    max_per_window: int = Field(2, ge=0, le=16, description="starts of each event in a window, 0 for no limit")
    grace_ticks: int = Field(60, ge=0, le=10_000, description="ticks after an outage in which nobody has to leave")
    chaos_factor: int = Field(3, ge=1, le=10, description="by which chaos multiplies the chances of other events")


class Schedule(struct.PyTreeNode):
    """One row an entry."""

    at: Array  # i32[S] tick of the episode, 0 if it goes by the clock
    day: Array  # i32[S] -1 for every day
    tick: Array  # i32[S] of the day, -1 if it goes by the episode
    event: Array  # i8[S]
    ticks: Array  # i32[S] 0 if drawn
    magnitude: Array  # i32[S] parts of fixed.SHARE, 0 if drawn
    agents: Array  # bool[S, 64]


class Params(struct.PyTreeNode):
    """One row an event."""

    chance: Array  # i32[E] parts of fixed.CHANCE a day
    cooldown: Array  # i32[E] ticks
    ticks: Array  # i32[E, 2] least and most
    magnitude: Array  # i32[E, 2] least and most, parts of fixed.SHARE
    limit: Array  # i8[E] starts in a window, 0 for no limit
    offers: Array  # bool[E, O] whose price it multiplies
    at: Array  # bool[E, K] the kinds that it closes
    every: Array  # bool[E] closes all of them
    site: Array  # bool[E, K] the kinds at which people meet
    place: Array  # i8[E] the place in which they meet, -1 if it is not a place
    participants: Array  # i8[E]
    max_concurrent: Array  # i32[]
    stagger: Array  # i32[] ticks
    agent_cooldown: Array  # i32[] ticks
    window: Array  # i32[] ticks
    grace: Array  # i32[] ticks
    chaos: Array  # i32[] factor
    schedule: Schedule | None  # None if nothing is fixed beforehand
    names: tuple[str, ...] = struct.field(pytree_node=False)
    kinds: tuple[str, ...] = struct.field(pytree_node=False)
    utilities: tuple[str | None, ...] = struct.field(pytree_node=False)  # the utility that fails
    who: tuple[str, ...] = struct.field(pytree_node=False)  # whom a meeting calls
    memory: int = struct.field(pytree_node=False)  # starts of an event that are remembered

    def rows(self, kind: str) -> list[int]:
        """The indices of the events of a kind."""
        return [e for e, other in enumerate(self.kinds) if other == kind]


def build(config: Config, names: Any) -> Params:
    """YAML to arrays."""
    events = config.events
    row = lambda field, dtype: jnp.array([field(event) for event in events], dtype)
    table = lambda has, words: jnp.array([[has(event, i) for i in range(len(words))] for event in events], bool)
    limit = [config.max_per_window if e.max_per_window is None else e.max_per_window for e in events]
    hits = lambda e, o: e.kind == "price_spike" and (names.offers[o] in e.offers or names.offer_kinds[o] in e.at)
    in_place = lambda e: e.location not in names.kinds and e.location in names.places
    return Params(
        chance=row(lambda e: fixed.to_chance(e.chance_per_day), jnp.int32),
        cooldown=row(lambda e: e.cooldown_ticks + config.global_cooldown_ticks, jnp.int32),
        ticks=row(lambda e: e.ticks, jnp.int32),
        magnitude=row(lambda e: [fixed.to_share(factor) for factor in e.magnitude], jnp.int32),
        limit=jnp.array(limit, jnp.int8),
        offers=table(hits, names.offers).reshape(len(events), len(names.offers)),
        at=table(lambda e, k: e.kind == "closure" and names.kinds[k] in e.at, names.kinds),
        every=row(lambda e: e.every, bool),
        site=table(lambda e, k: names.kinds[k] == e.location, names.kinds),
        place=row(lambda e: names.places.index(e.location) if in_place(e) else -1, jnp.int8),
        participants=row(lambda e: e.participants, jnp.int8),
        max_concurrent=jnp.int32(config.max_concurrent),
        stagger=jnp.int32(config.stagger_ticks),
        agent_cooldown=jnp.int32(config.per_agent_cooldown_ticks),
        window=jnp.int32(config.window_ticks),
        grace=jnp.int32(config.grace_ticks),
        chaos=jnp.int32(config.chaos_factor),
        schedule=_schedule(config) if config.schedule else None,
        names=tuple(event.name for event in events),
        kinds=tuple(event.kind for event in events),
        utilities=tuple(event.utility for event in events),
        who=tuple(event.who for event in events),
        memory=max(limit),
    )


def _schedule(config: Config) -> Schedule:
    names = [event.name for event in config.events]
    row = lambda field, dtype=jnp.int32: jnp.array([field(entry) for entry in config.schedule], dtype)
    return Schedule(
        at=row(lambda s: s.at or 0),
        day=row(lambda s: -1 if s.day is None else s.day),
        tick=row(lambda s: -1 if s.tick is None else s.tick),
        event=row(lambda s: names.index(s.event), jnp.int8),
        ticks=row(lambda s: s.ticks or 0),
        magnitude=row(lambda s: fixed.to_share(s.magnitude or 0.0)),
        agents=row(lambda s: [a in s.agents for a in range(64)], bool),
    )


def check(config: Any) -> list[tuple[str, str]]:
    """Words that do not exist, events that would change nothing, times and agents out of range."""
    section = config.systems.perturbations
    wrong = []
    names = [event.name for event in section.events]
    for i, event in enumerate(section.events):
        path = f"systems.perturbations.events.{i}"
        wrong += [(f"{path}.{field}", text) for field, text in _event(config, event)]
        if event.name in names[:i]:
            wrong.append((f"{path}.name", f"{event.name!r} is the name of an event above"))
    for i, entry in enumerate(section.schedule):
        path = f"systems.perturbations.schedule.{i}"
        wrong += [(f"{path}.{field}", text) for field, text in _entry(config, entry)]
        if any(_time(entry) == _time(other) and entry.event == other.event for other in section.schedule[:i]):
            wrong.append((path, f"{entry.event!r} begins at that tick already"))
    return wrong


def _unknown(word: str | None, known: list[str], what: str) -> list[str]:
    """What to say of a word that is not known; nothing of one that is."""
    return [] if word in known else [f"{word!r} is no {what} (allowed: {', '.join(dict.fromkeys(known)) or 'none'})"]


def _event(config: Any, event: Event) -> Iterator[tuple[str, str]]:
    """Findings of one event: the field, and what is wrong with it."""
    offers = config.systems.affordances.offers if config.systems.affordances else ()
    prices = config.systems.economy.prices if config.systems.economy else {}
    kinds = [offer.at for offer in offers]
    for name in event.offers:
        yield from (("offers", text) for text in _unknown(name, [offer.name for offer in offers], "offer"))
        if name in [offer.name for offer in offers] and not prices.get(name):
            yield "offers", f"{name!r} is free, a factor changes nothing"
    for kind in event.at:
        yield from (("at", text) for text in _unknown(kind, kinds, "kind of facility that offers anything"))
        dear = [offer.name for offer in offers if offer.at == kind and prices.get(offer.name)]
        if event.kind == "price_spike" and kind in kinds and not dear:
            yield "at", f"nothing at a {kind} costs anything, a factor changes nothing"
    if event.kind == "closure" and not event.at:
        yield "at", "closes nothing"
    if event.kind == "price_spike" and event.magnitude[1] <= 1:
        yield "magnitude", f"{list(event.magnitude)} changes nothing"
    if event.kind == "outage":
        utilities = getattr(config.systems, "utilities", None)
        known = list(utilities.utilities) if utilities else []
        yield from (("utility", text) for text in _unknown(event.utility, known, "utility of systems.utilities"))
    if event.kind == "meet":
        places = dict(_places(config.map))
        known = [*kinds, *places]
        yield from (("location", text) for text in _unknown(event.location, known, "kind of facility or place"))
        if event.location not in kinds and places.get(event.location) is False:
            yield "location", f"there is no facility and no post in {event.location!r} to meet at"
    if event.who == "rivals" and getattr(config.systems, "relationships", None) is None:
        yield "who", "there are no rivals in a world without the system 'relationships'"
    parts = fixed.to_chance(event.chance_per_day)
    if event.chance_per_day > 0 and parts * 256 // config.ticks_per_day == 0:
        yield "chance_per_day", f"{event.chance_per_day} a day is less than the town can count (2**-24 a tick)"


def _entry(config: Any, entry: Entry) -> Iterator[tuple[str, str]]:
    """Findings of one entry of the schedule."""
    events = {event.name: event for event in config.systems.perturbations.events}
    yield from (("event", text) for text in _unknown(entry.event, list(events), "event"))
    kind = events[entry.event].kind if entry.event in events else None
    if entry.tick is not None and entry.tick >= config.ticks_per_day:
        yield "tick", f"{entry.tick} is not allowed (allowed: 0 to {config.ticks_per_day - 1}, the ticks of a day)"
    for agent in entry.agents:
        if not 0 <= agent < config.num_agents:
            yield "agents", f"there is no agent {agent} (allowed: 0 to {config.num_agents - 1})"
    if entry.agents and kind not in (None, "meet"):
        yield "agents", f"nobody is called to an event of kind {kind!r}"
    if entry.magnitude is not None and kind not in (None, "price_spike"):
        yield "magnitude", f"an event of kind {kind!r} has none"


def _time(entry: Entry) -> tuple[int | None, ...]:
    return entry.at, entry.day, entry.tick


def _places(drawing: Any) -> Iterator[tuple[str, bool]]:
    """The named places of a map, and whether one can meet there: a facility or post, and no later name for the same room."""
    rows = drawing.rows.rstrip("\n").split("\n")
    marks = {(r, c): drawing.marks[mark] for r, row in enumerate(rows) for c, mark in enumerate(row)}
    named = [cell for cell, mark in marks.items() if mark.place is not None]
    for start in named:
        room, edge = {start}, [start]
        while edge:
            r, c = edge.pop()
            near = {(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)} - room
            found = [cell for cell in near if cell in marks and marks[cell].ground == marks[start].ground]
            room.update(found)
            edge += found
        last = [cell for cell in named if cell in room][-1]
        yield marks[start].place, last == start and any(marks[cell].facility or marks[cell].post for cell in room)
