"""What each agent is doing, in words that a stranger understands. Reads a state, draws nothing."""

from typing import NamedTuple

import numpy as np

from ..core import fixed
from ..systems import employment, intents, lifecycle
from ..types import NOTHING, Agents, State, World
from .plan import Plan, plan
from .scene import meetings, readable

MEANING: dict[str, tuple[str, ...]] = {  # activity -> words in the names of offers
    "sleep": ("sleep", "nap", "rest", "doze"),
    "wash": ("wash", "shower", "bath", "bathe", "clean", "brush"),
    "cook": ("cook", "bake", "fry", "brew", "grill"),
    "eat": ("eat", "dine", "drink", "lunch", "snack", "breakfast", "dinner"),
    "buy": ("buy", "shop", "purchase"),
}
SHIFTS = {
    "idle": "off duty",
    "await": "shift soon",
    "on_time": "on time",
    "late": "late",
    "absent": "absent",
    "post": "shift over",
}


class Person(NamedTuple):
    """One slot at one tick."""

    index: int
    alive: bool
    cell: int
    activity: str  # a key of `palette.ACTIVITY`
    words: str  # as in "cooking at home"
    letter: str  # for a badge of an activity that has no sign
    facing: int  # direction of a walk, -1 if none
    needs: tuple[float, ...]  # shares, 0 to 1
    coins: float
    job: str  # the trade, "" if none
    shift: str  # a key of `palette.SHIFT`, "" if none
    name: str  # as the YAML calls the first one of a slot, "" if it does not


class _Doing(NamedTuple):
    """What the systems say of each agent; arrays have a row an agent."""

    running: np.ndarray  # bool[A]
    offer: np.ndarray
    pay: np.ndarray
    shift: np.ndarray
    place: np.ndarray  # in the queue
    queue: np.ndarray  # facility queued at
    option: np.ndarray
    post: np.ndarray  # NOTHING if it has none
    target: np.ndarray  # facility walked to
    verb: np.ndarray
    arg: np.ndarray
    talks: dict[int, int]  # who talks to whom, both ways
    shuns: dict[int, int]  # who has thought better of talking to whom
    quarrels: dict[int, int]  # who quarrels with whom
    unborn: np.ndarray  # bool[A] nobody has lived there yet


def people(world: World, state: State) -> list[Person]:
    """Every slot of a town, in order.

    Args:
        world: the world.
        state: one town, on the host or the device.

    Raises:
        ValueError: the state holds more than one town.
    """
    if np.ndim(state.tick) != 0:
        raise ValueError(
            "a picture shows one town: take it from the batch by jax.tree.map(lambda leaf: leaf[0], state)"
        )
    town, doing = plan(world), _doing(world, state)
    agents = state.agents.replace(**{field: np.asarray(value) for field, value in vars(state.agents).items()})
    return [_person(world, town, agents, doing, a) for a in range(world.static.num_agents)]


def _person(world: World, town: Plan, agents: Agents, doing: _Doing, a: int) -> Person:
    """One slot; the agents are on the host."""
    alive, works = bool(agents.alive[a]), world.static.has("employment") and doing.post[a] != NOTHING
    activity, words, letter = ("away", "not here yet" if doing.unborn[a] else "moved away", "")
    if alive:
        activity, words, letter = _activity(world, town, doing, agents, a)
    return Person(
        index=a,
        alive=alive,
        cell=int(agents.cell[a]),
        activity=activity,
        words=words,
        letter=letter,
        facing=int(doing.arg[a]) if activity == "walk" else -1,
        needs=tuple((agents.needs[a] / fixed.NEED).tolist()),
        coins=float(agents.wallet[a] / fixed.COIN),
        job=town.trades[doing.post[a]] if works else "",
        shift=employment.STATES[doing.shift[a]] if works else "",
        name=name_of(world, agents, a),
    )


def name_of(world: World, agents: Agents, a: int) -> str:
    """The name of who lives in a slot, in words; nothing for newcomers and where the YAML names nobody."""
    names = world.static.names.residents
    return readable(names[a]).capitalize() if a < len(names) and int(agents.generation[a]) == 0 else ""


def _doing(world: World, state: State) -> _Doing:
    """The parts of the slots that tell what goes on; a system that is absent says nothing."""
    A = world.static.num_agents
    zeros, nowhere = np.zeros(A, np.int64), np.full(A, NOTHING)

    def part(system: str, field: str, default: np.ndarray) -> np.ndarray:
        slot = state.slots.get(system)
        return default if slot is None else np.asarray(getattr(slot, field))

    runs = part("affordances", "remaining", zeros) > 0
    return _Doing(
        running=runs | part("affordances", "completed", zeros > 0),
        offer=part("affordances", "offer", zeros),
        pay=part("employment", "pay", zeros),
        shift=part("employment", "shift", zeros),
        place=part("queues", "place", zeros),
        queue=part("queues", "facility", nowhere),
        option=part("intents", "option", np.full(A, world.static.actions.num_options)),
        post=np.asarray(employment.post_of(world, state)),
        target=part("intents", "facility", nowhere),
        verb=np.asarray(state.intent.verb),
        arg=np.asarray(state.intent.arg),
        **_company(state),
        unborn=(part("lifecycle", "since", zeros) >= lifecycle.LONG_AGO) & (np.asarray(state.agents.generation) == 0),
    )


def _company(state: State) -> dict[str, dict[int, int]]:
    """Who talks and quarrels with whom in this tick."""
    talks, shuns, quarrels = {}, {}, {}
    for one, other, sign in meetings(state):
        if sign == "quarrel":
            quarrels[one] = other
        elif sign == "avoided":
            shuns[one] = other
        else:
            talks |= {one: other, other: one}
    return {"talks": talks, "shuns": shuns, "quarrels": quarrels}


def _activity(world: World, town: Plan, doing: _Doing, agents: Agents, a: int) -> tuple[str, str, str]:
    """The activity of a living agent, the words for it and a letter."""
    here = _where(town, int(agents.cell[a]), a)
    for activity, words, others in (
        ("quarrel", "quarrelling with", doing.quarrels),
        ("talk", "talking to", doing.talks),
        ("talk", "not talking to", doing.shuns),
    ):
        if a in others:
            return activity, f"{words} {name_of(world, agents, others[a]) or others[a] + 1}", ""
    if doing.running[a]:
        offer = world.static.names.offers[doing.offer[a]]
        return meaning(offer), f"{gerund(offer)} {here}", offer[0].upper()
    if doing.pay[a] > 0:
        return "work", f"working {here}", ""
    if doing.verb[a] == intents.MOVE:
        return "walk", f"walking{_destination(world, town, doing, a)}", ""
    if doing.queue[a] != NOTHING and doing.place[a] > 0:
        return "wait", f"in line {_where(town, int(town.facilities[doing.queue[a]]), a)}", ""
    if doing.queue[a] != NOTHING:
        kind = town.kinds[doing.queue[a]].replace("_", " ")
        return "wait", f"waiting for the {kind}", ""
    return "idle", f"idle {here}", ""


def _where(town: Plan, cell: int, a: int) -> str:
    """`at home`, `at Café` or `outdoors`."""
    place = town.place(cell)
    if place < 0:
        return "outdoors"
    return "at home" if a in town.residents[place] else f"at {town.places[place]}"


def _destination(world: World, town: Plan, doing: _Doing, a: int) -> str:
    """` home`, ` to Café` or nothing."""
    layout = world.static.actions
    if doing.option[a] == layout.home and layout.num_options > 0:
        return " home"
    cell = -1
    if layout.work is not None and doing.option[a] == layout.work and doing.post[a] != NOTHING:
        cell = int(town.posts[doing.post[a]])
    elif doing.target[a] != NOTHING:
        cell = int(town.facilities[doing.target[a]])
    if cell < 0:
        return ""
    place = town.place(cell)
    if place < 0:
        return ""
    return " home" if a in town.residents[place] else f" to {town.places[place]}"


def meaning(offer: str) -> str:
    """The activity that an offer's name speaks of; offers are open-ended, so it may be `other`."""
    words = offer.split("_")
    for activity, known in MEANING.items():
        if any(word in known for word in words):
            return activity
    return "other"


def gerund(offer: str) -> str:
    """`eat_meal` as `eating meal`, `gym_wash` as `washing`: the words from the first known verb on, or all."""
    words = offer.split("_")
    known = {word for group in MEANING.values() for word in group}
    start = next((i for i, word in enumerate(words) if word in known), 0)
    verb, rest = words[start], words[start + 1 :]
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        verb = verb[:-1]
    elif verb in ("nap", "shop", "run", "swim", "chat", "sit", "jog"):
        verb += verb[-1]
    return " ".join([f"{verb}ing", *rest])
