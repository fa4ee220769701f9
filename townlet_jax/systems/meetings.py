"""Meetings: events that call some people to a place. They walk there by themselves and stay until the event is over.

Whoever has been called least comes first, or the two whose rivalry is greatest; either way one is left alone for some time after.
The spot is the one nearest to the first of them. A part of `perturbations`; `intents` asks who is called where.
"""

import jax.numpy as jnp
from flax import struct

from ..core import agenda, blocks, fixed, masks
from ..core.grid import UNREACHABLE
from ..types import NOTHING, Array, Feature, State, World

NEAR = 3  # steps from the meeting point within which one is there
MOST_CALLS = 10_000
LAST = 1 << 30  # behind all who may be called


class People(struct.PyTreeNode):
    """Who is called; M meetings, a row for each event of that kind."""

    called: Array  # bool[M, A]
    target: Array  # i16[M] where to, index into the targets of the map
    free_at: Array  # i32[A] tick from which one may be called again
    calls: Array  # i16[A] times that one was called, at most MOST_CALLS


def init(world: World) -> People | None:
    """Nobody is called; None in a world without meetings."""
    meets, A = len(world.params["perturbations"].rows("meet")), world.static.num_agents
    none = People(
        jnp.zeros((meets, A), bool), jnp.zeros(meets, jnp.int16), jnp.zeros(A, jnp.int32), jnp.zeros(A, jnp.int16)
    )
    return none if meets else None


def held(world: World) -> bool:
    """Whether there are meetings in this world at all."""
    return world.static.has("perturbations") and "meet" in world.params["perturbations"].kinds


def meeting(world: World, state: State) -> tuple[Array, Array]:
    """The target i32[A] of the map to which each agent is called, and whether it is called at all bool[A]."""
    people, A = state.slots["perturbations"].people, world.static.num_agents
    if people is None:
        return jnp.zeros(A, jnp.int32), jnp.zeros(A, bool)
    target = jnp.where(people.called, people.target[:, None].astype(jnp.int32), 0).sum(0, dtype=jnp.int32)
    return target, people.called.any(0) & state.agents.alive


def stands(world: World, state: State) -> Array:
    """Who of those who are called need not walk on: bool[A].

    The nearest goes to the very spot and the others stop one behind the other; who is blocked within `NEAR` steps stops there.
    """
    target, called = meeting(world, state)
    steps, target, called = blocks.once((world.map.distance[state.agents.cell, target], target, called))
    index = jnp.arange(world.static.num_agents, dtype=jnp.int16)
    nearer = (steps[None, :] < steps[:, None]) | (
        (steps[None, :] == steps[:, None]) & (index[None, :] < index[:, None])
    )
    ahead = blocks.once(masks.count(nearer & (target[:, None] == target[None, :]) & called[None, :]))
    close = jnp.minimum(ahead, NEAR).astype(jnp.int16)
    blocked = state.slots["movement"].blocked > 0
    return called & ((steps <= close) | (blocked & (steps <= NEAR)))


def met(world: World, state: State) -> Array:
    """The meetings at which everybody who is called is there: bool[M]."""
    people, alive = state.slots["perturbations"].people, state.agents.alive
    steps = world.map.distance[state.agents.cell[None, :], people.target[:, None].astype(jnp.int32)]
    called = people.called & alive[None, :]
    return (masks.count(called) >= 2) & (~called | (steps <= NEAR)).all(-1)


def eligible(world: World, state: State) -> Array:
    """Who may be called to a meeting: bool[A], alive, not called already, and not lately."""
    people = state.slots["perturbations"].people
    return state.agents.alive & ~people.called.any(0) & (people.free_at <= state.tick)


def sites(world: World, e: int) -> tuple[Array, Array]:
    """Where people may meet for an event: targets i32[F + P] (a facility's second place, or a post), and which may serve."""
    static, params, where = world.static, world.params["perturbations"], world.map
    public = where.facility_home == NOTHING
    kind = params.site[e][where.facility_kind]
    kind = kind & (public | ~(kind & public).any())
    inside = lambda cell: (where.place_of[cell] == params.place[e]) & (params.place[e] >= 0)
    place = min(1, static.num_places - 1)
    facilities = jnp.arange(static.num_facilities, dtype=jnp.int32) * static.num_places + place
    posts = static.num_facilities * static.num_places + jnp.arange(static.num_posts, dtype=jnp.int32)
    serves = jnp.concatenate([kind | inside(where.facility_cell), inside(where.post_cell)])
    return jnp.concatenate([facilities, posts]), serves


def call(world: World, state: State, starts: Array, given: Array) -> tuple[State, Array]:
    """Find people and a spot for the meetings that are to begin.

    Args:
        world: the world.
        state: one town.
        starts: bool[E].
        given: bool[E, A] who is to be called; a row without anybody leaves the choice to fairness.

    Returns:
        The state, and `starts` without the meetings for which fewer than two people are found.
    """
    params, slot = world.params["perturbations"], state.slots["perturbations"]
    people = slot.people
    for row, e in enumerate(params.rows("meet")):
        now = state.put(perturbations=slot.replace(people=people))
        priority = state.intent.priority
        free = agenda.least_called(eligible(world, now), people.calls, priority, params.participants[e])
        if params.who[e] == "rivals":
            rivals = agenda.dearest_pair(state.slots["relationships"].rivalry, eligible(world, now))
            free = jnp.where(rivals.any(), rivals, free)
        chosen = jnp.where(given[e].any(), given[e] & state.agents.alive, free)
        begins = starts[e] & (masks.count(chosen) >= 2)
        chosen = chosen & begins
        order = jnp.where(chosen, people.calls.astype(jnp.int32) * 128 + priority.astype(jnp.int32), LAST)
        targets, serves = sites(world, e)
        steps = world.map.distance[state.agents.cell[jnp.argmin(order)], targets]
        spot = targets[jnp.argmin(jnp.where(serves, steps, jnp.int16(UNREACHABLE)))].astype(jnp.int16)
        called = jnp.where(begins, (people.called & ~chosen[None, :]).at[row].set(chosen), people.called)
        people = people.replace(
            called=called,
            target=people.target.at[row].set(jnp.where(begins, spot, people.target[row])),
            calls=jnp.minimum(people.calls + chosen.astype(jnp.int16), MOST_CALLS).astype(jnp.int16),
        )
        starts = starts.at[e].set(begins)
    return state.put(perturbations=slot.replace(people=people)), starts


def possible(world: World, state: State) -> Array:
    """Which events are not meetings for want of people: bool[E]."""
    kinds, people = world.params["perturbations"].kinds, state.slots["perturbations"].people
    other = jnp.array([kind != "meet" for kind in kinds])
    return other if people is None else other | (masks.count(eligible(world, state)) >= 2)


def part(world: World, state: State, over: Array) -> tuple[People | None, Array]:
    """Send home the people of what is over bool[E], and forget the dead; a meeting with fewer than two is over, too."""
    slot = state.slots["perturbations"]
    people, rows = slot.people, jnp.array(world.params["perturbations"].rows("meet"), jnp.int32)
    if people is None:
        return None, over
    alive = state.agents.alive
    called = people.called & alive[None, :]
    over = over.at[rows].set(over[rows] | ((slot.ends[rows] != 0) & (masks.count(called) < 2)))
    left = dismissed(world, people, over, state.tick)
    return left.replace(
        called=left.called & alive[None, :],
        free_at=jnp.where(alive, left.free_at, 0),
        calls=jnp.where(alive, left.calls, jnp.int16(0)),
    ), over


def dismiss(world: World, state: State, over: Array) -> People | None:
    """The people, without those who were called to what is over bool[E]; these are left alone for some time."""
    people = state.slots["perturbations"].people
    return None if people is None else dismissed(world, people, over, state.tick)


def dismissed(world: World, people: People, over: Array, tick: Array) -> People:
    """The same where there are meetings."""
    params = world.params["perturbations"]
    gone = over[jnp.array(params.rows("meet"), jnp.int32)][:, None] & people.called
    free_at = jnp.where(gone.any(0), tick + params.agent_cooldown, people.free_at)
    return people.replace(called=people.called & ~gone, free_at=free_at)


def fields(world: World) -> list[Feature]:
    """What one knows of the meeting to which one is called."""
    if not world.params["perturbations"].rows("meet"):
        return []
    return [Feature("called", 1, "0 or 1", 0, 1), Feature("meeting_distance", 1, "steps / 64, at most 1", 0, 1)]


def features(world: World, state: State) -> list[Array]:
    """The same as arrays."""
    if state.slots["perturbations"].people is None:
        return []
    target, called = meeting(world, state)
    steps = jnp.where(called, world.map.distance[state.agents.cell, target], jnp.int16(0)).astype(jnp.int32)
    return [called.astype(jnp.float32), jnp.minimum(fixed.to_float(steps, 64), 1.0)]


def rules(world: World, state: State):
    """Who is called is alive and called once, to a meeting that is on."""
    slot, people = state.slots["perturbations"], state.slots["perturbations"].people
    if people is None:
        return {}
    gone = ~state.agents.alive & ~state.terminated
    on = slot.ends[jnp.array(world.params["perturbations"].rows("meet"), jnp.int32)] > state.tick
    targets = world.map.distance.shape[1]
    return {
        "nobody is called to two meetings": (masks.count(people.called.T) <= 1).all(),
        "who is called is called to something": (on | ~people.called.any(-1)).all(),
        "the dead are not called": (
            ~gone | ~(people.called.any(0) | (people.calls != 0) | (people.free_at != 0))
        ).all(),
        "meeting points exist": ((people.target >= 0) & (people.target < targets)).all(),
        "calls in bounds": ((people.calls >= 0) & (people.calls <= MOST_CALLS)).all(),
    }
