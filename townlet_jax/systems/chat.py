"""Chat: two people who stand near each other talk, and it goes well or not.

    p = base * (1 + 0.3 trust) * (1 + 0.2 familiarity) * interest      (specification §8; the speaker's own tie)

`interest` is 1 + topic_span * (dot product of what the two care about / its most). A talk takes one tick. Each takes part in at
most one talk a tick; of talks that share somebody the one whose speaker has priority takes place. Who is busy, or has moved
away, is not disturbed: nothing happens. Somebody whom one avoids is not spoken to: that counts as a failed talk, and as avoidance.

A talk that somebody outside has arranged (`systems.edits`) takes place wherever the two are, and goes well.

reads  intent, agents, slots.affordances, slots.relationships, slots.personality
writes slots.chat
"""

import jax
import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import blocks, fixed
from ..types import NOBODY, Array, Key, Section, State, System, World
from . import encounters, relationships, temperament
from .intents import TALK
from .occasions import ARRANGED, AVOIDED, FAILURE, OUTCOMES, SILENCE, SUCCESS, pairs

TOPICS = 4
WARMTH = fixed.to_share(0.3), fixed.to_share(0.2)  # what full trust and familiarity add to the chance
MOST_COMMON = TOPICS * 64  # the largest dot product of topics, each -8 to 7


class Config(Section):
    """How talks go and what they are worth."""

    base: float = Field(0.7, ge=0, le=1, description="chance of success between strangers without a common topic")
    topic_span: float = Field(0.5, ge=0, le=1, description="share by which topics raise or lower the chance at most")
    quality_spread: float = Field(
        0.2, ge=0, le=1, description="how far the quality of a good talk lies from its chance"
    )
    quality_least: float = Field(0.1, ge=0, le=1, description="least quality of a good talk")
    cooldown: int = Field(30, ge=1, le=1000, description="ticks until who has spoken may speak again")
    reward_base: float = Field(
        0.01, ge=0, le=0.2, description="reward of a good talk, from stage C1; half lost if it fails"
    )
    reward_trust: float = Field(0.3, ge=0, le=0.4, description="added to it for full trust")
    reward_familiarity: float = Field(0.2, ge=0, le=0.4, description="added to it for full familiarity")
    need_least: float = Field(0.15, ge=0, le=1, description="share of every need below which a talk is no joy")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    base: Array  # i32[] parts of fixed.CHANCE
    topic_span: Array  # i32[] parts of fixed.SHARE
    quality_spread: Array  # i32[] parts of fixed.SHARE
    quality_least: Array  # i32[] parts of fixed.SHARE
    cooldown: Array  # i16[] ticks
    reward: Array  # i32[3] millionths: base, trust, familiarity
    need_least: Array  # i32[] parts of fixed.NEED


class Slot(struct.PyTreeNode):
    """The talks of this tick, by speaker."""

    partner: Array  # i16[A] who was spoken to, NOBODY if no one
    outcome: Array  # i8[A] index into OUTCOMES; ARRANGED between two ticks for a talk that is to be
    quality: Array  # i16[A] of a success, parts of fixed.SHARE, else 0
    cooldown: Array  # i16[A] ticks until one may speak again
    topics: Array  # i8[A, TOPICS] what one cares about, -8 to 7, drawn when one comes to town; the first is odd


def build(config, names) -> Params:
    """YAML to arrays."""
    reward = (config.reward_base, config.reward_trust, config.reward_familiarity)
    return Params(
        base=jnp.int32(fixed.to_chance(config.base)),
        topic_span=jnp.int32(fixed.to_share(config.topic_span)),
        quality_spread=jnp.int32(fixed.to_share(config.quality_spread)),
        quality_least=jnp.int32(fixed.to_share(config.quality_least)),
        cooldown=jnp.int16(config.cooldown),
        reward=jnp.array([fixed.to_millionths(part) for part in reward], jnp.int32),
        need_least=jnp.int32(fixed.to_need(config.need_least)),
    )


def draw_topics(bits: Array) -> Array:
    """What people care about, from random bits u32[A]: i8[A, TOPICS]. The first is odd, so that no row is all zeros."""
    nibbles = jnp.stack([(bits >> (4 * topic)) & 15 for topic in range(TOPICS)], axis=-1).astype(jnp.int8) - jnp.int8(8)
    return nibbles.at[:, 0].set(nibbles[:, 0] | jnp.int8(1))


def init(world: World, key: Key) -> Slot:
    """Nobody has spoken."""
    number = world.static.num_agents
    zeros, nobody = jnp.zeros(number, jnp.int16), jnp.full(number, NOBODY, jnp.int16)
    topics = draw_topics(jax.random.bits(key, (number,), jnp.uint32))
    return Slot(nobody, zeros.astype(jnp.int8), zeros, zeros, topics)


def may_talk(world: World, state: State) -> Array:
    """Who may speak in the next tick, if there is somebody to speak to: bool[A]; nobody before stage B."""
    ready = state.agents.alive & (state.slots["chat"].cooldown == 0)
    return ready & relationships.reaches(world, "B")


def chance(world: World, state: State) -> Array:
    """The chance that a talk goes well: i32[A, A] parts of CHANCE, row = who speaks."""
    params, slot, topics = world.params["chat"], state.slots["relationships"], state.slots["chat"].topics
    lift = lambda part, most: fixed.SHARE + ((part.astype(jnp.int32) * most) >> 14)
    common = (topics[:, None, :].astype(jnp.int32) * topics[None, :, :].astype(jnp.int32)).sum(-1, dtype=jnp.int32)
    interest = fixed.SHARE + common * params.topic_span // MOST_COMMON
    p = (params.base * lift(slot.trust, WARMTH[0])) >> 10
    p = (p * lift(slot.familiarity, WARMTH[1])) >> 10
    return jnp.clip((p * interest) >> 10, 0, fixed.CHANCE)


def contested(tries: Array, partner: Array, priority: Array) -> Array:
    """Whose talk gives way to one that shares somebody with it: bool[A].

    Args:
        tries: bool[A] who would speak.
        partner: i16[A] to whom.
        priority: i8[A] distinct; the least takes place.
    """
    index = jnp.arange(partner.shape[0], dtype=jnp.int16)
    tries, partner, priority = blocks.once((tries, partner, priority))
    shares = (partner[:, None] == partner[None, :]) | (partner[:, None] == index) | (index[:, None] == partner[None, :])
    return tries & (shares & tries[None, :] & (priority[None, :] < priority[:, None])).any(-1)


def step(world: World, state: State, bits: Array) -> State:
    """Who speaks to whom, and how it goes."""
    params, slot, intent = world.params["chat"], state.slots["chat"], state.intent
    alive, busy = state.agents.alive, state.slots["affordances"].remaining > 0
    bits = bits.reshape(world.static.num_agents, 3)
    arranged = alive & (slot.outcome == ARRANGED)
    engaged = arranged | pairs(slot.partner, arranged).any(0)
    asks = may_talk(world, state) & (intent.verb == TALK) & ~busy & ~engaged
    person = jnp.clip(intent.arg, 0, world.static.num_agents - 1).astype(jnp.int16)
    to, shuns = blocks.once((pairs(person, asks) & encounters.near(world, state), relationships.avoids(world, state)))

    avoided = (to & shuns).any(-1)
    tries = (to & ~shuns & ~busy[None, :] & ~engaged[None, :]).any(-1)
    speaks = tries & ~contested(tries, person, intent.priority)
    refuses = (to & shuns.T).any(-1)  # the other will have none of it
    p = jnp.where(to, chance(world, state), 0).sum(-1, dtype=jnp.int32)
    well = speaks & ~refuses & ((bits[:, 0] >> 16).astype(jnp.int32) < p)
    swing = ((bits[:, 1] >> 16).astype(jnp.int32) - fixed.CHANCE // 2) * params.quality_spread >> 15
    quality = jnp.clip((p >> 6) + swing, params.quality_least, fixed.SHARE).astype(jnp.int16)

    outcome = jnp.where(well, SUCCESS, jnp.where(speaks, FAILURE, jnp.where(avoided, AVOIDED, SILENCE)))
    outcome = jnp.where(arranged, SUCCESS, outcome)
    quality = jnp.where(arranged, slot.quality, quality)
    partner = jnp.where(arranged, slot.partner, person)
    done = outcome != SILENCE
    rest = jnp.where(
        done, temperament.pause(world, state, params.cooldown), jnp.maximum(slot.cooldown - jnp.int16(1), jnp.int16(0))
    )
    new = (slot.topics == 0).all(-1, keepdims=True)
    topics = jnp.where(new, draw_topics(bits[:, 2]), slot.topics)
    return state.put(
        chat=Slot(
            partner=jnp.where(done, partner, jnp.int16(NOBODY)),
            outcome=outcome.astype(jnp.int8),
            quality=jnp.where(well | arranged, quality, jnp.int16(0)),
            cooldown=jnp.where(alive, rest, jnp.int16(0)),
            topics=jnp.where(alive[:, None], topics, jnp.int8(0)),
        )
    )


def joy(world: World, state: State) -> Array:
    """What a talk of quality 1 with each other is worth to each: i32[A, A] millionths, (base + trust + familiarity)."""
    reward, slot = world.params["chat"].reward, state.slots["relationships"]
    part = lambda tie, worth: (tie.astype(jnp.int32) * (worth >> 6)) >> 8
    return reward[0] + part(slot.trust, reward[1]) + part(slot.familiarity, reward[2])


def rewards(world: World, state: State):
    """Two terms from stage C1, zero before (specification §13); ties are those after the talk.

    social_bonus = (base + 0.3 trust + 0.2 familiarity) * quality of a good talk, for both, nothing to whom a need presses hard;
    social_penalty = - base / 2 for who spoke in vain or to whom one avoids, - base / 4 for who was spoken to in vain.
    """
    params, slot = world.params["chat"], state.slots["chat"]
    counts = relationships.reaches(world, "C1")
    good = blocks.once(
        jnp.where(pairs(slot.partner, slot.outcome == SUCCESS), slot.quality.astype(jnp.int32)[:, None], 0)
    )
    bonus = (((joy(world, state) >> 2) * (good + good.T)) >> 8).sum(-1, dtype=jnp.int32)
    pressed = (state.agents.needs < params.need_least).any(-1)
    heard = pairs(slot.partner, slot.outcome == FAILURE).any(0)
    spoke = (slot.outcome == FAILURE) | (slot.outcome == AVOIDED)
    base = params.reward[0]
    penalty = jnp.where(spoke, base >> 1, 0) + jnp.where(heard, base >> 2, 0)
    return {
        "social_bonus": jnp.where(counts & ~pressed, jnp.clip(bonus, -fixed.MILLION, fixed.MILLION), 0),
        "social_penalty": jnp.where(counts, -penalty, 0),
    }


def metrics(world: World, state: State):
    """Talks of this tick by how they went; those with somebody avoided are among the failures."""
    outcome = state.slots["chat"].outcome
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    return {"chats": number(outcome == SUCCESS), "chat_failures": number(outcome >= FAILURE)}


def rules(world: World, state: State):
    """Each in one talk at most, quality for good talks only, and the dead say and care for nothing."""
    params, slot = world.params["chat"], state.slots["chat"]
    gone, spoke = ~state.agents.alive & ~state.terminated, slot.outcome != SILENCE
    talks = pairs(slot.partner, (slot.outcome == SUCCESS) | (slot.outcome == FAILURE))
    part = talks.sum(0, dtype=jnp.int8) + talks.sum(1, dtype=jnp.int8)
    known = (slot.partner >= 0) & (slot.partner < world.static.num_agents)
    least = jnp.where(slot.outcome == SUCCESS, params.quality_least.astype(jnp.int16), jnp.int16(0))
    quiet = ~spoke & (slot.cooldown == 0) & (slot.topics == 0).all(-1)
    return {
        "outcomes exist": ((slot.outcome >= 0) & (slot.outcome < len(OUTCOMES))).all(),
        "a talk has a partner": jnp.where(spoke, known, slot.partner == NOBODY).all(),
        "one talk each": (part <= 1).all(),
        "quality of good talks": ((slot.quality >= least) & (slot.quality <= fixed.SHARE)).all()
        & ((slot.outcome == SUCCESS) | (slot.quality == 0)).all(),
        "silence in bounds": (slot.cooldown >= 0).all(),
        "topics in bounds": ((slot.topics >= -8) & (slot.topics <= 7)).all(),
        "the dead are silent": (~gone | quiet).all(),
    }


def check(config) -> list[tuple[str, str]]:
    """The option go_talk is taken."""
    offers = config.systems.affordances.offers if config.systems.affordances else ()
    text = "'talk' is taken: there is an option go_talk already"
    return [(f"systems.affordances.offers.{i}.name", text) for i, offer in enumerate(offers) if offer.name == "talk"]


SYSTEM = System(
    "chat",
    step,
    Config,
    build,
    init,
    rewards,
    metrics,
    draws=lambda world: 3 * world.static.num_agents,
    writes=("slots.chat",),
    requires=("intents", "movement", "affordances", "relationships"),
    terms=("social_bonus", "social_penalty"),
    rules=rules,
    check=check,
)
