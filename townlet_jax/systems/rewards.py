"""Rewards: weigh, add, guard and clip the terms of every system. Runs last.

    inside = sum of weight * term                  but for the terminal terms
    kept   = clip(inside, -clip, clip)             and nothing positive around a death
    paid   = change of clip(sum of kept in this life, -clip_life, clip_life)
    reward = paid + sum of weight * terminal term + shaping

Shaping is a difference of potentials, gamma * phi(s') - phi(s), with phi = - weight * sum of (need's weight * deficit). phi is 0
once a life has ended, and a newcomer's first phi is that of the state it arrives in. When an episode is cut short nothing special
is done, as the learner goes on from its value there. So the discounted sum of a life is -phi(s_0), gamma^T * phi(s_T) - phi(s_0)
before its end, whatever the policy does, and the order of policies is preserved (Ng, Harada and Russell, "Policy invariance under
reward transformations", ICML 1999, theorem 1). That is why it stands outside clip and guard.

reads  everything that terms read
writes reward, slots.rewards
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import blocks, fixed
from ..types import Array, Key, Section, State, System, World
from . import lifecycle, needs, personality

NOT_YET = 1  # the potential of who has not arrived; real ones are not positive


class Shaping(Section):
    """A difference of potentials."""

    weight: float = Field(0.5, ge=0, le=1, description="the potential of who has every need empty, negative")
    gamma: float = Field(0.9995, ge=0, le=1, description="the learner's discount of a tick, or the best policy changes")


class Config(Section):
    """Weights of the terms that the world's systems report."""

    weights: dict[str, float] = Field(description="term -> weight, 0 to 4; a term without a weight counts nothing")
    clip: float = Field(0.2, gt=0, le=1, description="the most that one tick may give or take, terminal terms apart")
    clip_life: float | None = Field(None, gt=0, le=1000, description="the same for one life; no bound without it")
    terminal: tuple[str, ...] = Field(("terminal",), description="terms outside the clip")
    shaping: Shaping | None = Field(
        None, description="reward of getting better, which moves no optimum; off without it"
    )


class Params(struct.PyTreeNode):
    """The same as arrays."""

    weights: dict[str, Array]  # i32[] parts of fixed.WEIGHT
    outside: dict[str, Array]  # the same, for terms outside the clip
    clip: Array  # i32[] millionths
    clip_life: Array | None = None  # i32[] millionths
    shaping: Array | None = None  # i32[] parts of fixed.WEIGHT
    gamma: Array | None = None  # i32[] parts of fixed.WEIGHT


class Slot(struct.PyTreeNode):
    """What the optional parts remember; None where one is off."""

    potential: Array | None  # i32[A] millionths in [-1e6, 0], NOT_YET in an empty slot
    shaped: Array | None  # i32[A] millionths that shaping gave in this tick
    life: Array | None  # i32[A] millionths kept in this life, clipped; 0 in an empty slot
    excess: Array | None  # i32[A] millionths that the clip of a life changed in this tick


class Bill(NamedTuple):
    """The sums of one tick, in millionths."""

    terms: dict[str, Array]  # i32[A] each weighted term
    inside: Array  # i32[A] the sum of those inside the clip
    kept: Array  # i32[A] the same after clip and guard
    outside: Array  # i32[A] the sum of the terminal ones


def build(config, names) -> Params:
    """YAML to arrays."""
    weights = {term: jnp.int32(round(w * fixed.WEIGHT)) for term, w in config.weights.items()}
    outside = {term: weights.pop(term) for term in config.terminal if term in weights}
    shaping = config.shaping
    return Params(
        weights,
        outside,
        clip=jnp.int32(fixed.to_millionths(config.clip)),
        clip_life=None if config.clip_life is None else jnp.int32(fixed.to_millionths(config.clip_life)),
        shaping=None if shaping is None else jnp.int32(round(shaping.weight * fixed.WEIGHT)),
        gamma=None if shaping is None else jnp.int32(round(shaping.gamma * fixed.WEIGHT)),
    )


def init(world: World, key: Key) -> Slot:
    """Nobody has lived yet; the engine lets the first residents in with `admit`."""
    params, A = world.params["rewards"], world.static.num_agents
    zeros = lambda part, value=0: None if part is None else jnp.full(A, value, jnp.int32)
    return Slot(zeros(params.shaping, NOT_YET), zeros(params.shaping), zeros(params.clip_life), zeros(params.clip_life))


def admit(world: World, state: State, slot: Slot) -> Slot:
    """The slot as the first residents move in: from here their potentials count."""
    return slot if slot.potential is None else slot.replace(potential=potential(world, state))


def potential(world: World, state: State) -> Array:
    """The potential in this state: i32[A] millionths in [-1e6, 0], NOT_YET for the dead."""
    phi = -fixed.weigh(needs.deficit(world, state), world.params["rewards"].shaping)
    return jnp.where(state.agents.alive, phi, jnp.int32(NOT_YET))


def shape(world: World, state: State) -> tuple[Array, Array]:
    """What shaping gives in this tick, and the potentials after it: i32[A] millionths each."""
    before, after = state.slots["rewards"].potential, potential(world, state)
    later = fixed.weigh(jnp.minimum(after, 0), world.params["rewards"].gamma)  # 0 at the end of a life
    return jnp.where(before == NOT_YET, 0, later - before), after


def terms(world: World, state: State) -> dict[str, Array]:
    """The weighted reward of each term that has a weight: i32[A] millionths by name."""
    weights = {**world.params["rewards"].weights, **world.params["rewards"].outside}
    raw = {term: value for system in world.static.systems for term, value in system.rewards(world, state).items()}
    raw = blocks.once(personality.liked(world, state, raw))
    return {term: fixed.weigh(raw[term], weight) for term, weight in sorted(weights.items()) if term in raw}


def bill(world: World, state: State) -> Bill:
    """Add the terms up, clip and guard them."""
    params, weighted = world.params["rewards"], terms(world, state)
    zero = jnp.zeros(world.static.num_agents, jnp.int32)
    inside = sum((value for term, value in weighted.items() if term in params.weights), zero)
    outside = sum((value for term, value in weighted.items() if term in params.outside), zero)
    kept = jnp.clip(inside, -params.clip, params.clip)
    if world.static.has("lifecycle"):
        kept = jnp.where(lifecycle.guarded(world, state), jnp.minimum(kept, 0), kept)
    return Bill(weighted, inside, kept, outside)


def step(world: World, state: State, bits: Array) -> State:
    """Settle the bill of this tick."""
    params, due = world.params["rewards"], bill(world, state)
    reward, slot = due.kept + due.outside, state.slots.get("rewards")
    if params.clip_life is not None:
        assert slot is not None
        life = jnp.clip(slot.life + due.kept, -params.clip_life, params.clip_life)
        excess = life - slot.life - due.kept
        reward, slot = reward + excess, slot.replace(life=jnp.where(state.agents.alive, life, 0), excess=excess)
    if params.shaping is not None:
        assert slot is not None
        shaped, after = shape(world, state)
        reward, slot = reward + shaped, slot.replace(shaped=shaped, potential=after)
    state = state.replace(reward=reward)
    return state if slot is None else state.put(rewards=slot)


def breakdown_names(world: World) -> tuple[str, ...]:
    """What the columns of `breakdown` are: the terms that have a weight, shaping if there is any, and the clips and guard."""
    params, told = world.params["rewards"], {term for system in world.static.systems for term in system.terms}
    shaping = () if params.shaping is None else ("shaping",)
    return (*sorted(told & {*params.weights, *params.outside}), *shaping, "clip_adjustment")


def breakdown(world: World, state: State) -> Array:
    """Where the reward of this tick comes from: i32[A, terms] millionths, weighted; each row adds up to `state.reward`.

    `breakdown_names` has the names of the columns.

    The last column is what the guard and the clips of tick and life changed.
    """
    due, slot = bill(world, state), state.slots.get("rewards")
    zero = jnp.zeros(world.static.num_agents, jnp.int32)
    adjusted = due.kept - due.inside
    more = {"clip_adjustment": adjusted if slot is None or slot.excess is None else adjusted + slot.excess}
    if slot is not None and slot.shaped is not None:
        more["shaping"] = slot.shaped
    return jnp.stack([{**due.terms, **more}.get(name, zero) for name in breakdown_names(world)], axis=1)


def metrics(world: World, state: State):
    """The mean reward of an agent in this tick, by term and in all; and how often the clip is hit."""
    share = lambda value: fixed.to_float(value, fixed.MILLION).mean()
    due, rows = bill(world, state), breakdown(world, state)
    parts = {f"reward/{name}": share(rows[:, i]) for i, name in enumerate(breakdown_names(world)[:-1])}
    clipped = jnp.abs(due.inside) >= world.params["rewards"].clip
    return {**parts, "reward/total": share(state.reward), "reward/clipped": clipped.astype(jnp.float32).mean()}


def check(config) -> list[tuple[str, str]]:
    """What the rewards of a world need of its other systems."""
    section, path = config.systems.rewards, "systems.rewards"
    wrong = []
    if section.shaping is not None and config.systems.needs is None:
        wrong.append((f"{path}.shaping", "needs the system 'needs', which this world does not run"))
    pain, punctuality = section.weights.get("needs"), section.weights.get("punctuality", 0.0)
    if pain is not None and punctuality > pain:
        wrong.append(
            (f"{path}.weights.punctuality", f"{punctuality} is not allowed (allowed: at most that of needs, {pain})")
        )
    return wrong


SYSTEM = System(
    "rewards",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("reward", "slots.rewards"),
    check=check,
)
