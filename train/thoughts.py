"""Why somebody did what they did: the chances of a learned policy's choices, or the motive of the scripted citizen.

A player is asked again at every decision of an episode, with the memory that it had then.
"""

from functools import partial
from typing import Any

import jax
import numpy as np

from townlet_jax import engine
from townlet_jax.policies.scripted import MOTIVES, SHIPPED, weigh
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.types import State, World

from .players import Player

LEAST = 0.005  # share of the least likely choice that is shown
SURE = 0.9999  # share of what is no choice
CHANCES, REASON = "chances when it last had a choice", "why"
WHY = {
    "home": "nothing else to do",
    "company": "wants company",
    "early": "a need runs low, and there is time",
    "larder": "fills the larder",
    "work": "is due at work",
    "urgent": "a need is urgent",
}
Thoughts = tuple[tuple[str, float | None], ...]


def before(world: World, seed: int, states: State, every: int) -> State:
    """The states in which somebody decided: the fresh town, then every `every`-th, [decisions, ...]."""
    start = jax.device_get(jax.jit(engine.reset)(world, jax.random.key(seed)))
    number = states.tick.shape[0] // every
    return jax.tree.map(
        lambda first, rest: np.concatenate([first[None], rest[every - 1 :: every]])[:number], start, states
    )


@jax.jit
def asked(world: World, player: Player, states: State, key: Any, agent: Any) -> tuple[Any, Any]:
    """What a player chose for one agent at each decision, i32[D], and the chances that it gave each action, f32[D, N] or ()."""

    def decision(memory, state):
        now = engine.stream(engine.tick_key(key, state), "policy")
        choice, memory = player.decide(player.params, world, state, memory, now)
        return memory, jax.tree.map(lambda leaf: leaf[agent], (choice.action, choice.probs))

    begin = player.begin(world, jax.tree.map(lambda leaf: leaf[0], states))
    return jax.lax.scan(decision, begin, states)[1]


def in_words(name: str) -> str:
    """An action in words: `go_eat_meal` is `eat meal`, `wait` is `carry on`."""
    known = {"wait": "carry on", "go_home": "go home", "go_work": "go to work", "go_talk": "look for company"}
    verb, _, rest = name.partition("_")
    return known.get(name) or (rest if verb in ("go", "use") else name).replace("_", " ")


def chances(world: World, player: Player, seed: int, states: State, agent: int) -> list[Thoughts]:
    """The likeliest choices of a learned policy for one agent, one entry a tick: those of the last decision with a choice.

    Each is empty where the player cannot tell its chances.
    """
    seen = before(world, seed, states, player.every)
    actions, probs = jax.device_get(asked(world, player, seen, jax.random.key(seed), agent))
    names, found, thoughts = world.static.actions.names, [], ()
    if not isinstance(probs, np.ndarray):
        return [()] * (len(actions) * player.every)
    for share in probs:
        if share.max() < SURE:  # else it could do one thing only
            ranked = sorted(zip(names, share.tolist()), key=lambda pair: -pair[1])
            thoughts = tuple((in_words(name), value) for name, value in ranked if value >= LEAST)
        found += [thoughts] * player.every
    return found


@jax.jit
def weighed(world: World, states: State) -> tuple[Any, Any]:
    """What the scripted citizen of each slot wants in each state, and why: i32[T, A], i32[T, A]."""
    return jax.vmap(partial(weigh, world, habits=SHIPPED))(states)


def motives(world: World, seed: int, states: State, agent: int) -> list[Thoughts]:
    """Why a scripted citizen does what it does, one entry a tick: the motive of its last choice."""
    actions, reasons = jax.device_get(weighed(world, before(world, seed, states, 1)))
    found, last = [], ()
    for action, reason in zip(actions[:, agent].tolist(), reasons[:, agent].tolist()):
        if action != WAIT_ACTION:
            last = ((WHY[MOTIVES[reason]], None),)
        found.append(last)
    return found
