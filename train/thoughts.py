"""Why somebody did what they did: the chances of a learned policy's choices, or the motive of the scripted citizen.

A player is asked again at every decision of an episode, with the memory that it had then. Its chances come from its own
`log_prob` of many draws, so nothing of its network needs to be known; a choice that no draw took is not shown.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.policies.scripted import MOTIVES, SHIPPED, weigh
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.types import State, World

from .players import Player

DRAWS = 48  # choices that are drawn at each decision
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


@partial(jax.jit, static_argnames="draws")
def asked(world: World, player: Player, states: State, key: Any, agent: Any, draws: int) -> tuple[Any, Any]:
    """What a player chose for one agent at each decision, then what it draws: i32[D, 1 + draws], and the log_prob f32 of each."""

    def decision(memory, state):
        now = engine.stream(engine.tick_key(key, state), "policy")
        choice, after = player.decide(player.params, world, state, memory, now)
        again = jax.vmap(lambda key: player.decide(player.params, world, state, memory, key)[0])
        many = again(jax.random.split(jax.random.fold_in(now, 1), draws))
        take = lambda part: jnp.concatenate([getattr(choice, part)[agent][None], getattr(many, part)[:, agent]])
        return after, (take("action"), take("log_prob"))

    begin = player.begin(world, jax.tree.map(lambda leaf: leaf[0], states))
    return jax.lax.scan(decision, begin, states)[1]


def in_words(name: str) -> str:
    """An action in words: `go_eat_meal` is `eat meal`, `wait` is `carry on`."""
    known = {"wait": "carry on", "go_home": "go home", "go_work": "go to work", "go_talk": "look for company"}
    verb, _, rest = name.partition("_")
    return known.get(name) or (rest if verb in ("go", "use") else name).replace("_", " ")


def chances(world: World, player: Player, seed: int, states: State, agent: int) -> list[Thoughts]:
    """The likeliest choices of a learned policy for one agent, one entry a tick: those of the last decision with a choice.

    Empty where the player cannot tell its chances.
    """
    seen = before(world, seed, states, player.every)
    actions, log_probs = jax.device_get(asked(world, player, seen, jax.random.key(seed), agent, DRAWS))
    names, found, thoughts = world.static.actions.names, [], ()
    for drawn, shares in zip(actions, np.exp(log_probs)):
        share = dict(zip(drawn.tolist(), shares.tolist()))
        ranked = sorted(share.items(), key=lambda pair: -pair[1])
        if any(value < SURE for value in share.values()):  # else it could do one thing only, or does not tell
            thoughts = tuple((in_words(names[action]), value) for action, value in ranked if value >= LEAST)
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
