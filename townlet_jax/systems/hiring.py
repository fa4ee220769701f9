"""Hiring: a post has one holder, and who has none waits for a vacancy.

Once a day vacancies are filled. Nobody need go anywhere for it: each of the living without a post applies with a chance, and
applicants take one vacancy each, in the order of this tick's priority. A newcomer may find a post on arrival. The first residents
begin in the posts that the map gives them; where two would share one, lots are drawn. Who is absent too often loses the post, and
sits some hirings out.

reads  tick, agents, intent.priority, slots.timesheets
writes slots.hiring, slots.timesheets
"""

import jax
import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import auction, blocks, fixed
from ..types import NOTHING, Array, Feature, Key, Section, State, System, World
from . import employment, timesheets


class Config(Section):
    """How people come by a post, and lose it."""

    hire_at: int = Field(480, ge=0, description="tick of the day at which vacancies are filled")
    chance: float = Field(1.0, ge=0, le=1, description="chance a day that one without a post applies")
    pre_employed: float = Field(0.5, ge=0, le=1, description="chance that a newcomer takes a vacancy on arrival")
    quit_after: int = Field(
        0, ge=0, le=30, description="absent shifts, as the timesheets count, that cost the post; 0 for never"
    )
    sit_out: int = Field(1, ge=0, le=100, description="hirings for which who lost a post may not apply")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    hire_at: Array  # i32[]
    chance: Array  # i32[] parts of fixed.CHANCE
    pre_employed: Array  # i32[] parts of fixed.CHANCE
    quit_after: Array  # i8[]
    sit_out: Array  # i8[]


class Slot(struct.PyTreeNode):
    """Who works where."""

    post: Array  # i16[A] NOTHING if none; no two hold the same
    settled: Array  # bool[A] has had the chance of a newcomer
    barred: Array  # i8[A] hirings still to sit out, 0 to 100


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        hire_at=jnp.int32(config.hire_at),
        chance=jnp.int32(fixed.to_chance(config.chance)),
        pre_employed=jnp.int32(fixed.to_chance(config.pre_employed)),
        quit_after=jnp.int8(config.quit_after),
        sit_out=jnp.int8(config.sit_out),
    )


def init(world: World, key: Key) -> Slot:
    """The first residents are settled."""
    A, given = world.static.num_agents, world.map.agent_post
    lots = auction.random_rank(jax.random.bits(key, (A,), jnp.uint32))
    holds = auction.first(given, given != NOTHING, lots)
    return Slot(jnp.where(holds, given, jnp.int16(NOTHING)), jnp.ones(A, bool), jnp.zeros(A, jnp.int8))


def vacant(world: World, state: State) -> Array:
    """Which posts have no holder: bool[P]."""
    return employment.vacant(world, state.slots["hiring"].post)


def unemployed(world: World, state: State) -> Array:
    """Who of the living has no post: bool[A]."""
    return state.agents.alive & (state.slots["hiring"].post == NOTHING)


def match(vacancy: Array, applies: Array, priority: Array, offset: Array) -> tuple[Array, Array]:
    """The n-th applicant gets the n-th vacancy.

    Args:
        vacancy: bool[P] which posts are free.
        applies: bool[A] who wants one.
        priority: i8[A] distinct; the least is the first applicant.
        offset: i32[], 0 to P - 1, the post at which the vacancies are counted from, round about.

    Returns:
        The post i16[A] of each applicant, and whether it got one bool[A].
    """
    posts = jnp.arange(vacancy.shape[0], dtype=jnp.int32)
    vacancy, turn = blocks.once((vacancy, (posts - offset) % vacancy.shape[0]))
    number = (vacancy[None, :] & (turn[None, :] < turn[:, None])).sum(-1, dtype=jnp.int16)
    place = auction.rank(applies, priority).astype(jnp.int16)
    number, place = blocks.once((number, place))
    gets = applies[:, None] & vacancy[None, :] & (place[:, None] == number[None, :])
    return jnp.argmax(gets, axis=-1).astype(jnp.int16), gets.any(-1)


def resign(world: World, state: State) -> State:
    """The dead leave their posts, and those who were absent too often lose theirs."""
    params, slot, alive = world.params["hiring"], state.slots["hiring"], state.agents.alive
    none = jnp.int16(NOTHING)
    loses = jnp.zeros_like(alive)
    if world.static.has("timesheets"):
        absent = timesheets.absences(state)
        loses = alive & (slot.post != none) & (params.quit_after > 0) & (absent >= params.quit_after)
        state = timesheets.excuse(state, loses)
    barred = jnp.where(loses, params.sit_out, slot.barred)
    return state.put(
        hiring=Slot(
            post=jnp.where(alive & ~loses, slot.post, none),
            settled=slot.settled & alive,
            barred=jnp.where(alive, barred, jnp.int8(0)),
        )
    )


def step(world: World, state: State, bits: Array) -> State:
    """Free the posts of those who are gone, then fill vacancies."""
    params, A = world.params["hiring"], world.static.num_agents
    state = resign(world, state)
    slot, alive = state.slots["hiring"], state.agents.alive
    today = state.tick % world.static.ticks_per_day == params.hire_at
    draw = (bits[:A] >> 16).astype(jnp.int32)
    chance = jnp.where(slot.settled, jnp.where(today, params.chance, 0), params.pre_employed)
    applies = unemployed(world, state) & (slot.barred == 0) & (draw < chance)
    offset = (bits[A] % jnp.uint32(world.static.num_posts)).astype(jnp.int32)
    post, hired = match(vacant(world, state), applies, state.intent.priority, offset)
    barred = jnp.where(today, jnp.maximum(slot.barred - 1, 0), slot.barred).astype(jnp.int8)
    return state.put(hiring=Slot(jnp.where(hired, post, slot.post), alive, barred))


def metrics(world: World, state: State):
    """People without a post, and posts without people."""
    number = lambda mask: mask.sum(dtype=jnp.int32).astype(jnp.float32)
    return {"hiring/unemployed": number(unemployed(world, state)), "hiring/vacant": number(vacant(world, state))}


def fields(world: World) -> list[Feature]:
    """The labour market, as far as it concerns one; the one-hot `job` says what one does."""
    return [
        Feature("vacancies", 1, "share of all posts that nobody holds", 0, 1),
        Feature("barred", 1, "hirings to sit out / 100", 0, 1),
    ]


def features(world: World, state: State) -> list[Array]:
    """The labour market."""
    share = vacant(world, state).astype(jnp.float32).mean()
    barred = state.slots["hiring"].barred.astype(jnp.float32) * jnp.float32(0.01)
    return [jnp.broadcast_to(share, barred.shape), barred]


def rules(world: World, state: State):
    """A post has one holder at most, and the dead hold none."""
    slot, gone = state.slots["hiring"], ~state.agents.alive & ~state.terminated
    holds = slot.post != NOTHING
    same = (slot.post[:, None] == slot.post[None, :]) & holds[:, None] & ~jnp.eye(holds.shape[0], dtype=bool)
    return {
        "a post has one holder": ~same.any(),
        "posts exist": (~holds | ((slot.post >= 0) & (slot.post < world.static.num_posts))).all(),
        "the dead have no post": (~gone | (~holds & ~slot.settled & (slot.barred == 0))).all(),
        "hirings to sit out in bounds": ((slot.barred >= 0) & (slot.barred <= 100)).all(),
    }


def check(config) -> list[tuple[str, str]]:
    """The tick is within the day, and absences that cost a post are counted."""
    section, sheets, wrong = config.systems.hiring, config.systems.timesheets, []
    if section.hire_at >= config.ticks_per_day:
        text = f"{section.hire_at} is not allowed (allowed: 0 to {config.ticks_per_day - 1})"
        wrong.append(("systems.hiring.hire_at", text))
    if section.quit_after and sheets is None:
        text = f"{section.quit_after} absences: nobody counts them without the system 'timesheets'"
        wrong.append(("systems.hiring.quit_after", text))
    elif section.quit_after and section.quit_after > sheets.days:
        text = f"{section.quit_after} absences: the timesheets count {sheets.days} at most (systems.timesheets.days)"
        wrong.append(("systems.hiring.quit_after", text))
    return wrong


SYSTEM = System(
    "hiring",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    draws=lambda world: world.static.num_agents + 1,
    writes=("slots.hiring", "slots.timesheets.absent"),
    requires=("intents", "employment"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
