"""Timeline: what somebody outside does to the town at given ticks of the episode; the stage directions of a scenario.

Each entry is one edit (`systems.edits`), done as if between two ticks: before the mechanics of its tick, but after people have
decided what to do in it. So prices, outages, needs and talks of an entry count from its tick on, and orders are carried out in the
next. Of entries for one tick those of a verb that comes first in `edits.VERBS` come first, then those that stand first. What cannot
be done is counted and passed over.

reads  tick, agents, intent.priority, and what edits read
writes agents, slots.timeline, and what edits write
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax.numpy as jnp
from flax import struct
from pydantic import Field, model_validator

from ..core import fixed, masks
from ..types import Array, Key, Section, State, Static, System, World
from . import edits
from .edits import NONE, VERBS, Edit

OWN = {  # what each verb must say, and what it may say besides
    "teleport": (("agent", "cell"), ()),
    "need": (("agent", "need", "value"), ()),
    "give": (("agent", "coins"), ()),
    "tie": (("agent", "other"), ("trust", "familiarity", "rivalry")),
    "chat": (("agent", "other"), ("quality",)),
    "event": (("event",), ("ticks", "magnitude", "agent", "other")),
    "cancel": (("event",), ()),
    "remove": (("agent",), ()),
    "spawn": (("agent",), ()),
    "possess": (("agent",), ()),
    "release": (("agent",), ()),
    "command": (("agent", "action"), ()),
    "approve": (("agent",), ()),
    "defer": (("agent",), ()),
}
NEEDED = {  # the system without which a verb means nothing
    "tie": "relationships",
    "chat": "chat",
    "event": "perturbations",
    "cancel": "perturbations",
    "remove": "lifecycle",
    "spawn": "lifecycle",
    "approve": "reviews",
    "defer": "reviews",
}
WRITTEN = (
    "timeline",
    "intents",
    "relationships",
    "chat",
    "perturbations",
    "lifecycle",
    "economy",
    "reviews",
    "timesheets",
)
ORDERS = ("possess", "release", "command")
Verb = Literal[
    "teleport",
    "need",
    "give",
    "tie",
    "chat",
    "event",
    "cancel",
    "remove",
    "spawn",
    "possess",
    "release",
    "command",
    "approve",
    "defer",
]


class Entry(Section):
    """One stage direction."""

    at: int = Field(ge=1, le=10_000_000, description="tick of the episode, 1 is the first")
    do: Verb = Field(description="what is done")
    agent: str | int | None = Field(None, description="to whom: the name of a resident, or a slot")
    other: str | int | None = Field(None, description="tie, chat, event: the other one")
    cell: tuple[int, int] | None = Field(None, description="teleport: row and column, counted from 0")
    need: str | None = Field(None, description="need: which")
    value: float = Field(0.0, ge=0, le=1, description="need: share of a full one")
    coins: float = Field(0.0, ge=-1000, le=1000, description="give: how many, fewer than 0 are taken")
    trust: float = Field(0.0, ge=-1, le=1, description="tie: share of a full one")
    familiarity: float = Field(0.0, ge=-1, le=1, description="tie: the same")
    rivalry: float = Field(0.0, ge=0, le=1, description="tie: the same")
    quality: float = Field(1.0, ge=0, le=1, description="chat: how good")
    event: str | None = Field(None, description="event, cancel: one of systems.perturbations.events")
    ticks: int = Field(0, ge=0, le=10_000, description="event: how long, this tick included; drawn if 0")
    magnitude: float = Field(0.0, ge=0, le=4, description="event: factor of prices, 1 to 4; drawn if 0")
    action: str | None = Field(None, description="command: the action that is taken in the next tick")

    @model_validator(mode="after")
    def whole(self) -> "Entry":
        """Nothing missing or left over for what is done."""
        must, may = OWN[self.do]
        for field in must:
            if field not in self.model_fields_set:
                raise ValueError(f"{self.do} needs `{field}`")
        for field in sorted(self.model_fields_set - {"at", "do", *must, *may}):
            known = ", ".join((*must, *may))
            raise ValueError(f"`{field}` means nothing to {self.do} (it has: {known})")
        if (self.agent is None) != (self.other is None) and self.do == "event":
            raise ValueError("say both `agent` and `other`, who are to meet, or neither")
        return self


class Config(Section):
    """What happens when."""

    entries: tuple[Entry, ...] = Field(min_length=1, max_length=100, description="the stage directions, in any order")


class Params(struct.PyTreeNode):
    """One row an entry, in order of the verbs."""

    at: Array  # i32[L] tick of the episode
    edit: Edit  # i32[L] each
    turns: tuple[tuple[str, int], ...] = struct.field(pytree_node=False)  # (verb, most of it in one tick), in order


class Slot(struct.PyTreeNode):
    """How far the play has come."""

    elapsed: Array  # i32[] ticks since the episode began
    done: Array  # i8[] entries done in this tick
    failed: Array  # i8[] entries of this tick that could not be done


def compiled(config: Any, static: Static) -> Params:
    """The entries as arrays; they name people, events, actions and cells, which `build` does not know.

    Args:
        config: a validated world that runs a timeline.
        static: its sizes and words.
    """
    words = list(VERBS)
    entries = sorted(config.systems.timeline.entries, key=lambda entry: words.index(entry.do))
    most = lambda ticks: max(ticks.count(tick) for tick in ticks)
    used = dict.fromkeys(entry.do for entry in entries)
    turns = tuple((verb, most([entry.at for entry in entries if entry.do == verb])) for verb in used)
    rows = [_row(config, static, entry) for entry in entries]
    columns = (jnp.array(column, jnp.int32) for column in zip(*rows))
    return Params(jnp.array([entry.at for entry in entries], jnp.int32), Edit(*columns), turns)


def _row(config: Any, static: Static, entry: Entry) -> Edit:
    """One entry as integers."""
    residents = [resident.name for resident in config.start.residents]
    slot = lambda who: NONE if who is None else who if isinstance(who, int) else residents.index(who)
    which: int = NONE
    if entry.cell is not None:
        which = entry.cell[0] * static.width + entry.cell[1]
    elif entry.need is not None:
        which = static.names.needs.index(entry.need)
    elif entry.action is not None:
        which = static.actions.names.index(entry.action)
    elif entry.event is not None:
        which = [event.name for event in config.systems.perturbations.events].index(entry.event)
    amount = {
        "need": fixed.to_need(entry.value),
        "give": fixed.to_mills(entry.coins),
        "tie": fixed.to_tie(entry.trust),
        "chat": fixed.to_share(entry.quality),
        "event": entry.ticks,
    }.get(entry.do, 0)
    second = fixed.to_share(entry.magnitude) if entry.do == "event" else fixed.to_tie(entry.familiarity)
    verb = list(VERBS).index(entry.do)
    return Edit(verb, slot(entry.agent), slot(entry.other), which, amount, second, fixed.to_tie(entry.rivalry))


def init(world: World, key: Key) -> Slot:
    """Nothing has happened."""
    return Slot(jnp.int32(0), jnp.int8(0), jnp.int8(0))


def step(world: World, state: State, bits: Array) -> State:
    """Do what is due."""
    params, tick = world.params["timeline"], state.tick
    elapsed = state.slots["timeline"].elapsed + 1
    due = params.at == elapsed
    before = masks.count(jnp.tril(jnp.broadcast_to(due, (due.shape[0], due.shape[0])), -1))
    verbs, done = list(VERBS), jnp.int8(0)
    state = state.replace(tick=tick - 1)  # edits are made between two ticks
    for verb, most in params.turns:
        rows = due & (params.edit.verb == verbs.index(verb))
        first = jnp.where(rows, before, jnp.int8(127)).min()
        for turn in range(most):
            hit = rows & (before == first + jnp.int8(turn))
            edit = Edit(*(jnp.where(hit, column, 0).sum(dtype=jnp.int32) for column in params.edit))
            state, did = edits.perform(world, state, verb, edit, hit.any())
            done = done + did.astype(jnp.int8)
    return state.replace(tick=tick).put(timeline=Slot(elapsed, done, masks.count(due) - done))


def metrics(world: World, state: State):
    """Entries done in this tick, and those that could not be."""
    slot = state.slots["timeline"]
    return {"timeline/done": slot.done.astype(jnp.float32), "timeline/failed": slot.failed.astype(jnp.float32)}


def rules(world: World, state: State):
    """Every entry is done or not."""
    slot = state.slots["timeline"]
    return {"entries are done or not": (slot.elapsed >= 0) & (slot.done >= 0) & (slot.failed >= 0)}


def check(config: Any) -> list[tuple[str, str]]:
    """People, needs and events that do not exist, and verbs that mean nothing in this world."""
    return [
        (f"systems.timeline.entries.{i}.{field}", text)
        for i, entry in enumerate(config.systems.timeline.entries)
        for field, text in _wrong(config, entry)
    ]


def _wrong(config: Any, entry: Entry) -> Iterator[tuple[str, str]]:
    """Findings of one entry: the field, and what is wrong with it."""
    residents, systems = [resident.name for resident in config.start.residents], config.systems
    for field, who in (("agent", entry.agent), ("other", entry.other)):
        slots = f"slots 0 to {config.num_agents - 1}"
        if isinstance(who, int) and not 0 <= who < config.num_agents:
            yield field, f"there is no slot {who} (allowed: {slots})"
        elif isinstance(who, str) and who not in residents:
            yield field, f"there is no resident {who!r} (allowed: {', '.join([*residents, slots])})"
    slot = lambda who: residents.index(who) if who in residents else who
    if entry.other is not None and slot(entry.agent) == slot(entry.other):
        yield "other", f"{entry.other!r} is the same as `agent`: it takes two"
    if entry.need is not None and entry.need not in config.needs:
        yield "need", f"there is no need {entry.need!r} (allowed: {', '.join(config.needs)})"
    if entry.do in NEEDED and getattr(systems, NEEDED[entry.do], None) is None:
        yield "do", f"{entry.do} needs the system {NEEDED[entry.do]!r}, which this world does not run"
    elif entry.event is not None:
        events = [event.name for event in systems.perturbations.events]
        if entry.event not in events:
            yield "event", f"there is no event {entry.event!r} (allowed: {', '.join(events)})"
    if entry.do in ORDERS and not (systems.intents and systems.intents.possession):
        yield "do", f"{entry.do} needs systems.intents.possession"


def findings(config: Any, actions: Sequence[str], height: int, width: int) -> list[tuple[str, str]]:
    """Actions that do not exist, and cells beyond the map, which `check` cannot know.

    Args:
        config: a validated world.
        actions: the names of its actions.
        height: rows of its map.
        width: columns of its map.
    """
    wrong, section = [], config.systems.timeline
    for i, entry in enumerate(section.entries if section else ()):
        path = f"systems.timeline.entries.{i}"
        if entry.action is not None and entry.action not in actions:
            wrong.append((f"{path}.action", f"there is no action {entry.action!r} (allowed: {', '.join(actions)})"))
        if entry.cell is not None and not (0 <= entry.cell[0] < height and 0 <= entry.cell[1] < width):
            wrong.append((f"{path}.cell", f"{list(entry.cell)} is not on the map of {height} x {width} cells"))
    return wrong


SYSTEM = System(
    "timeline",
    step,
    Config,
    init=init,
    metrics=metrics,
    writes=("agents", *(f"slots.{name}" for name in WRITTEN)),
    rules=rules,
    check=check,
)
