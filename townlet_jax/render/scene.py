"""What goes on in a town beside what each person does: sky, outages, closed doors, meetings and ties. Draws nothing."""

from typing import NamedTuple

import numpy as np

from ..systems import occasions, perturbations, utilities
from ..systems.relationships import STRONG
from ..systems.weather import WEATHERS
from ..types import NOBODY, State, World
from .clock import clock, darkness

TALKS = {occasions.SUCCESS: "success", occasions.FAILURE: "failure", occasions.AVOIDED: "avoided"}
CLOSED = "closed"  # why a facility is out of service, where no utility is the reason


class Meeting(NamedTuple):
    """What one person does with another in this tick."""

    one: int  # who speaks or quarrels
    other: int
    sign: str  # a key of `palette.MARKS`: success, failure, avoided or quarrel


class Bond(NamedTuple):
    """A strong tie of two people, in the direction in which it is stronger."""

    one: int  # the lower index
    other: int
    sign: str  # friend or rival


class Scene(NamedTuple):
    """One town at one tick. What a world does not have is empty."""

    sky: str = ""  # a word of `weather.WEATHERS`, or clear
    off: tuple[str, ...] = ()  # utilities that fail
    events: tuple[str, ...] = ()  # names of the events that are on
    shut: tuple[tuple[int, str], ...] = ()  # facilities out of service: index, and the utility it lacks or CLOSED
    meetings: tuple[Meeting, ...] = ()
    bonds: tuple[Bond, ...] = ()


def readable(name: str) -> str:
    """A name of the YAML in words."""
    return name.replace("_", " ")


def scene(world: World, state: State, ties: bool = True) -> Scene:
    """The scene of one town, on the host or the device.

    Args:
        world: the world.
        state: one town.
        ties: whether to look for strong ties.
    """
    has, off, shut = world.static.has, (), {}
    if has("utilities"):
        fails = ~np.asarray(utilities.works(world, state))
        names, needed = world.params["utilities"].names, np.asarray(world.params["utilities"].needed)
        off = tuple(names[u] for u in np.flatnonzero(fails))
        lacking = (needed & fails[:, None])[:, np.asarray(world.map.facility_kind)]  # [U, F]
        shut = {int(f): names[int(lacking[:, f].argmax())] for f in np.flatnonzero(lacking.any(0))}
    if has("perturbations"):
        shut |= {int(f): CLOSED for f in np.flatnonzero(np.asarray(perturbations.closed(world, state)))}
    return Scene(
        sky=sky(world, state),
        off=off,
        events=happenings(world, state),
        shut=tuple(sorted(shut.items())),
        meetings=meetings(state),
        bonds=bonds(world, state) if ties and has("relationships") else (),
    )


def sky(world: World, state: State) -> str:
    """The weather, `clear` instead of `sunny` at night, "" if there is none."""
    if not world.static.has("weather"):
        return ""
    kind = WEATHERS[int(state.slots["weather"].kind)]
    return "clear" if kind == "sunny" and darkness(clock(world, state).hours) > 0.5 else kind


def happenings(world: World, state: State) -> tuple[str, ...]:
    """The names of the events that are on."""
    if not world.static.has("perturbations"):
        return ()
    on = np.asarray(perturbations.active(world, state))
    return tuple(name for name, is_on in zip(world.params["perturbations"].names, on) if is_on)


def meetings(state: State) -> tuple[Meeting, ...]:
    """Who talks, does not talk, and quarrels with whom in this tick, by who begins it."""
    found = []
    if "chat" in state.slots:
        slot = state.slots["chat"]
        talks = zip(np.asarray(slot.outcome).tolist(), np.asarray(slot.partner).tolist())
        found += [Meeting(a, partner, TALKS[outcome]) for a, (outcome, partner) in enumerate(talks) if outcome in TALKS]
    conflict = None if "queues" not in state.slots else state.slots["queues"].conflict
    if conflict is not None:
        found += [Meeting(a, b, "quarrel") for a, b in enumerate(np.asarray(conflict).tolist()) if b != NOBODY]
    return tuple(found)


def bonds(world: World, state: State) -> tuple[Bond, ...]:
    """Strong ties among the living: a friend is trusted or familiar, a rival is resented or distrusted, whichever is more."""
    slot, alive = state.slots["relationships"], np.asarray(state.agents.alive)
    trust, familiarity, rivalry = (np.asarray(part) for part in (slot.trust, slot.familiarity, slot.rivalry))
    either = lambda part: np.maximum(part, part.T) * (alive[:, None] & alive[None, :])
    kind, ill = either(np.maximum(trust, familiarity)), either(np.maximum(rivalry, -trust))
    pairs = zip(*np.nonzero(np.triu(np.maximum(kind, ill) > STRONG, 1)))
    return tuple(Bond(int(a), int(b), "rival" if ill[a, b] >= kind[a, b] else "friend") for a, b in pairs)


def signs(world: World) -> tuple[str, ...]:
    """The marks that pictures of a world may show, in the order of the legend; utilities by name."""
    has, found = world.static.has, []
    if has("chat"):
        found += list(TALKS.values())
    if has("queues") and world.params["queues"].fairness is not None:
        found.append("quarrel")
    if has("relationships"):
        found += ["friend", "rival"]
    if has("perturbations") and world.params["perturbations"].rows("closure"):
        found.append(CLOSED)
    return (*found, *(world.params["utilities"].names if has("utilities") else ()))
