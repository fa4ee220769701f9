"""Relationships: directed trust, familiarity and rivalry, and the few ties that one keeps.

Events change ties, in both directions. Each owner keeps `max_friends` ties by trust + familiarity and `max_rivals` by rivalry. Once
an hour of the town (a 24th of its day) ties fade towards 0 and the faint ones are forgotten. The hourly rates are chosen so that
a friendship of 0.5 lasts ten days without a word (0.002 an hour) and a rivalry of 0.7 a day and a half (0.02 an hour); at 0.0005
and 0.005 a tick, which the specification weighs, no friendship would outlive two days and no rivalry a morning.

reads  tick, intent, agents, slots.queues, slots.affordances, slots.employment, slots.chat, slots.arguments, slots.personality
writes slots.relationships
"""

import jax.numpy as jnp
from flax import struct

from ..core import blocks, fixed, masks, ties
from ..types import NOTHING, Array, Key, State, System, World
from . import temperament
from .customs import PARTS, STAGES, Config, build, check, meaning
from .occasions import MOST_TICKS, blocked, occasions, quarrels, turns_away, waiting

LEAST = (-fixed.TIE, -fixed.TIE, 0)  # of trust, familiarity and rivalry
STRONG = fixed.to_tie(0.3)  # above it a tie is a strong one
REASONS = ("capacity", "decay", "exit")  # why a tie ends


class Slot(struct.PyTreeNode):
    """What people are to each other; a row belongs to its owner, the diagonal is 0."""

    trust: Array  # i16[A, A] parts of fixed.TIE, -TIE to TIE
    familiarity: Array  # i16[A, A] parts of fixed.TIE, -TIE to TIE
    rivalry: Array  # i16[A, A] parts of fixed.TIE, 0 to TIE
    ended: Array  # i16[REASONS] ties that ended in this tick, each direction counted
    avoided: Array  # bool[A] kept away from somebody in this tick
    wanted: Array  # i16[A] the facility that one wanted and has not used, NOTHING if none
    pause: Array  # i8[A] ticks until avoiding counts again
    behind: Array  # i8[A] ticks in a row behind who uses a facility, at most MOST_TICKS


def init(world: World, key: Key) -> Slot:
    """All are strangers."""
    number = world.static.num_agents
    none, zeros = jnp.zeros((number, number), jnp.int16), jnp.zeros(number, jnp.int8)
    ended = jnp.zeros(len(REASONS), jnp.int16)
    return Slot(none, none, none, ended, zeros > 0, jnp.full(number, NOTHING, jnp.int16), zeros, zeros)


def reaches(world: World, stage: str) -> Array:
    """Whether the world's stage is that one or a later: bool[]."""
    return world.params["relationships"].stage >= STAGES.index(stage)


def affinity(world: World, state: State) -> Array:
    """The trust + familiarity - rivalry of each owner for each other: i32[A, A] parts of TIE."""
    slot = state.slots["relationships"]
    return slot.trust.astype(jnp.int32) + slot.familiarity.astype(jnp.int32) - slot.rivalry.astype(jnp.int32)


def avoids(world: World, state: State) -> Array:
    """Whom each owner keeps away from: bool[A, A], rivalry at the threshold or above.

    The threshold is `avoid` / conflict_tolerance, at most 1, where people have a personality (specification §10).
    """
    threshold = temperament.avoid_from(world, state, world.params["relationships"].avoid)
    return state.slots["relationships"].rivalry.astype(jnp.int32) >= threshold


def strong(state: State) -> Array:
    """Who has a tie to anybody of which a part is above `STRONG`: bool[A]."""
    slot = state.slots["relationships"]
    return ties.exists(slot.trust, slot.familiarity, slot.rivalry, STRONG).any(-1)


def top(world: World, state: State, number: int) -> tuple[Array, Array]:
    """The best friends by trust + familiarity above 0, and the worst rivals who are none of these: i16[A, number] each."""
    slot, size = state.slots["relationships"], world.static.num_agents
    kindness = slot.trust.astype(jnp.int32) + slot.familiarity.astype(jnp.int32)
    friends = ties.best(kindness, kindness > 0, number)
    able = (slot.rivalry > 0) & ~ties.picked(friends, size)
    return friends, ties.best(slot.rivalry.astype(jnp.int32), able, number)


def set_tie(
    state: State, a: Array | int, b: Array | int, trust: Array | int, familiarity: Array | int, rivalry: Array | int
) -> State:
    """A town in which a and b are that to each other, in both directions, parts of TIE; nothing if a is b or one is not alive."""
    slot, index = state.slots["relationships"], jnp.arange(state.agents.alive.shape[0], dtype=jnp.int32)
    one, other = index == a, index == b
    pair = (one[:, None] & other[None, :]) | (other[:, None] & one[None, :])
    pair = pair & (a != b) & state.agents.alive[:, None] & state.agents.alive[None, :]
    within = lambda value, least: jnp.clip(jnp.asarray(value), least, fixed.TIE).astype(jnp.int16)
    put = lambda part, value, least: jnp.where(pair, within(value, least), part)
    slot = slot.replace(
        trust=put(slot.trust, trust, -fixed.TIE),
        familiarity=put(slot.familiarity, familiarity, -fixed.TIE),
        rivalry=put(slot.rivalry, rivalry, 0),
    )
    return state.put(relationships=slot)


def faded(world: World, state: State) -> list[Array]:
    """Trust, familiarity and rivalry i16[A, A] of the living; if an hour is full, faded and the faint ones forgotten."""
    params, slot = world.params["relationships"], state.slots["relationships"]
    old = (slot.trust, slot.familiarity, slot.rivalry)
    full = state.tick % max(world.static.ticks_per_day // 24, 1) == 0
    rates = (params.fade[0], params.fade[1], temperament.grudge_fade(world, state, params.fade[2]))
    faint = lambda part, rate: (
        jnp.abs(part).astype(jnp.int32) <= params.faint.astype(jnp.int32) + rate.astype(jnp.int32)
    )
    forgotten = full & faint(old[0], rates[0]) & faint(old[1], rates[1]) & faint(old[2], rates[2])
    gone = forgotten | ~(state.agents.alive[:, None] & state.agents.alive[None, :])
    new = [ties.fade(part, jnp.where(full, rate, jnp.int16(0))) for part, rate in zip(old, rates)]
    return [jnp.where(gone, jnp.int16(0), part) for part in new]


def changed(world: World, state: State, parts: list[Array], found: dict[str, Array]) -> tuple[Array, ...]:
    """Trust, familiarity and rivalry i16[A, A] after the occasions of this tick, as their owners feel them."""
    found = blocks.once(found)
    after = []
    for i, name in enumerate(PARTS):
        change = jnp.zeros(parts[i].shape, jnp.int32)
        for event, amount in found.items():
            felt = temperament.felt(world, state, event, name, meaning(world, event)[i])
            change = change + ((amount.astype(jnp.int32) * felt[:, None]) >> 10)
        if "chat_success" in found:
            warmth = temperament.warmth(world, state, name)[:, None]
            change = change + jnp.where(found["chat_success"] > 0, warmth, 0)
        after.append(jnp.clip(parts[i].astype(jnp.int32) + change, LEAST[i], fixed.TIE).astype(jnp.int16))
    return blocks.once(tuple(after))


def step(world: World, state: State, bits: Array) -> State:
    """Fade, let what happened count, keep the ties that count most, and forget who has left."""
    params, slot, alive = world.params["relationships"], state.slots["relationships"], state.agents.alive
    behind, enough = waiting(world, state, slot.behind)
    before = ties.exists(slot.trust, slot.familiarity, slot.rivalry)
    living = alive[:, None] & alive[None, :]
    parts = faded(world, state)
    old = ties.exists(*parts)
    parts = changed(world, state, parts, occasions(world, state, enough))
    kept, weak = ties.keep(parts, old, state.intent.priority, params.max_friends, params.max_rivals, params.admit)
    lost = ties.exists(*parts) & ~kept & ~weak
    ended = blocks.once([lost, before & living & ~old, before & ~living])  # in the order of REASONS
    number = lambda mask: mask.sum(dtype=jnp.int16)
    turned, wanted = turns_away(world, state, avoids(world, state), slot.wanted)
    avoided = turned & alive & (slot.pause == 0)
    pause = jnp.where(avoided, params.avoid_pause, jnp.maximum(slot.pause - jnp.int8(1), jnp.int8(0)))
    return state.put(
        relationships=Slot(
            *(jnp.where(kept, part, jnp.int16(0)) for part in parts),
            ended=jnp.stack([number(mask) for mask in ended]),
            avoided=avoided,
            wanted=wanted,
            pause=jnp.where(alive, pause, jnp.int8(0)),
            behind=behind,
        )
    )


def rewards(world: World, state: State):
    """Two terms, of the later stages (specification §13).

    social_avoidance = `avoid_reward` in a tick in which one keeps away from a rival, from stage C2; relationship_quality =
    `quality_reward` times the mean trust of one's friends (places that are free count as 0), in stage C3.
    """
    params, slot = world.params["relationships"], state.slots["relationships"]
    avoided = slot.avoided & reaches(world, "C2")
    kindness = slot.trust.astype(jnp.int32) + slot.familiarity.astype(jnp.int32)
    order = kindness * 64 - jnp.arange(world.static.num_agents, dtype=jnp.int32)
    friends = ties.strongest(order, kindness > 0, params.max_friends)
    trust = jnp.where(friends, jnp.maximum(slot.trust, jnp.int16(0)), jnp.int16(0)).sum(-1, dtype=jnp.int32)
    trust = trust // max(params.max_friends, 1)
    quality = jnp.where(state.agents.alive & reaches(world, "C3"), ((trust >> 4) * params.quality_reward) >> 10, 0)
    return {"social_avoidance": jnp.where(avoided, params.avoid_reward, 0), "relationship_quality": quality}


def metrics(world: World, state: State):
    """Ties by direction, the share of the living with a strong one, and what happened to ties in this tick."""
    slot, alive = state.slots["relationships"], state.agents.alive
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    between = quarrels(state)
    return {
        "ties/count": number(ties.exists(slot.trust, slot.familiarity, slot.rivalry)),
        "ties/agents_with_tie": masks.mean_where(strong(state).astype(jnp.float32), alive),
        "ties/conflicts": number(blocked(world, slot.behind) if between is None else between.any(-1)),
        "ties/avoided": number(slot.avoided),
        **{f"ties/ended/{reason}": slot.ended[i].astype(jnp.float32) for i, reason in enumerate(REASONS)},
    }


def rules(world: World, state: State):
    """Ties within bounds and within the number that one keeps; none with oneself, none with who is gone."""
    params, slot = world.params["relationships"], state.slots["relationships"]
    there, gone = ties.exists(slot.trust, slot.familiarity, slot.rivalry), ~state.agents.alive & ~state.terminated
    whole = jnp.stack([slot.trust, slot.familiarity])
    own = jnp.eye(world.static.num_agents, dtype=bool)
    counters = (slot.behind >= 0) & (slot.behind <= MOST_TICKS) & (slot.pause >= 0) & (slot.pause <= params.avoid_pause)
    rests = (slot.behind == 0) & (slot.pause == 0) & ~slot.avoided & (slot.wanted == NOTHING)
    return {
        "ties in bounds": ((jnp.abs(whole) <= fixed.TIE).all() & (slot.rivalry >= 0).all()),
        "rivalry in bounds": (slot.rivalry <= fixed.TIE).all(),
        "no tie with oneself": ~(there & own).any(),
        "no more ties than one keeps": (masks.count(there) <= params.max_friends + params.max_rivals).all(),
        "no tie with who is gone": ~(there & (gone[:, None] | gone[None, :])).any(),
        "counters of relationships in bounds": counters.all() & (slot.ended >= 0).all(),
        "the dead avoid nobody": (~gone | rests).all(),
    }


SYSTEM = System(
    "relationships",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    writes=("slots.relationships",),
    terms=("social_avoidance", "relationship_quality"),
    rules=rules,
    check=check,
)
