"""What holds between two ticks: nobody jumps, nothing comes from nothing, who waits keeps the order, rewards keep to the clip."""

import jax.numpy as jnp

from ..core import masks
from ..systems import rewards
from ..systems.affordances import MAX_CARRIED
from ..systems.economy import ACCOUNTS
from ..types import NOTHING, Array, State, World


def transitions(world: World, before: State, after: State) -> dict[str, Array]:
    """Rules about one tick; `before` is the town as the tick found it, after whatever was edited.

    Args:
        world: any world; rules about systems that it does not run are left out.
        before: one town.
        after: the same town one tick later.

    Returns:
        Rule -> bool[], True where it holds.
    """
    static = world.static
    rules = lives(before, after)
    if static.has("movement"):
        rules["nobody jumps"] = steps(world, before, after)
    if static.has("affordances"):
        rules["goods come and go by offers"] = goods(world, before, after)
        rules["what runs runs on"] = runs_on(before, after)
    if static.has("queues") and world.params["queues"].fairness is None:
        rules["who waits keeps the order"] = keeps_order(before, after)
    if static.has("employment"):
        rules["wages are what was earned"] = wages(before, after)
    if static.has("rewards"):
        rules["rewards within the clip"] = within_clip(world, after)
    return rules


def same_person(before: State, after: State) -> Array:
    """Whose slot holds the same living person as before: bool[A]."""
    return before.agents.alive & after.agents.alive & (before.agents.generation == after.agents.generation)


def lives(before: State, after: State) -> dict[str, Array]:
    """Time goes on, and a life begins and ends once."""
    old, new = before.agents, after.agents
    born = new.alive & ~same_person(before, after)
    return {
        "a tick is a tick": after.tick == before.tick + 1,
        "only the living leave": (~after.terminated | old.alive).all(),
        "nobody vanishes": (~old.alive | new.alive | after.terminated).all(),
        "a birth is a generation": (new.generation - old.generation == born.astype(jnp.int16)).all(),
        "a slot is empty before a birth": (~born | ~old.alive).all(),
    }


def steps(world: World, before: State, after: State) -> Array:
    """A cell at most, along a way that there is; newcomers, the put to bed and those moved by a timeline apart."""
    old, new = before.agents.cell, after.agents.cell
    walked = (world.map.neighbour[old] == new[:, None]).any(-1) | (old == new)
    free = ~same_person(before, after)
    if world.static.has("nights"):
        free = free | after.slots["nights"].moved
    if world.static.has("timeline"):
        free = free | after.slots["intents"].reset
    return (walked | free).all()


def uses(before: State, after: State) -> tuple[Array, Array]:
    """Who began to use something in this tick, and who was given back what it had paid: bool[A] each; some both."""
    old, new = before.slots["affordances"], after.slots["affordances"]
    ran, ends = old.remaining > 0, new.finished
    another = (new.remaining > 0) | (new.completed & ((new.offer != old.offer) | (old.remaining > 1)))
    refunded = ran & ends & (~new.completed | another)
    return (~ran & ((new.remaining > 0) | new.completed)) | (ran & ends & another), refunded


def goods(world: World, before: State, after: State) -> Array:
    """What each carries is what it carried, less what it paid with or was given back, plus what it got, less what went bad."""
    params, old, new = world.params["affordances"], before.slots["affordances"], after.slots["affordances"]
    begins, refunded = uses(before, after)
    wide = lambda mask, table, offer: jnp.where(mask[:, None], table[offer].astype(jnp.int32), 0)
    count = before.agents.items.astype(jnp.int32) + wide(refunded, params.takes, old.offer)
    count = count - wide(begins, params.takes, new.offer) + wide(new.completed, params.gives, new.offer)
    held, now = jnp.minimum(count, MAX_CARRIED), after.agents.items.astype(jnp.int32)
    lost = (held - now).sum(-1, dtype=jnp.int32)
    spoilt = after.slots["spoilage"].spoilt.astype(jnp.int32) if world.static.has("spoilage") else jnp.int32(0)
    same = same_person(before, after)
    return (~same[:, None] | (now <= held)).all() & (jnp.where(same, lost, 0).sum(dtype=jnp.int32) <= spoilt)


def runs_on(before: State, after: State) -> Array:
    """A tick of use is a tick less of it, unless it ended or another use began."""
    old, new = before.slots["affordances"], after.slots["affordances"]
    going = same_person(before, after) & (old.remaining > 0) & ~new.finished
    return (~going | ((new.remaining == old.remaining - jnp.int16(1)) & (new.offer == old.offer))).all()


def keeps_order(before: State, after: State) -> Array:
    """Of two who wait behind somebody in a queue and stay in it, the first stays before the second."""
    old, new = before.slots["queues"], after.slots["queues"]
    stays = same_person(before, after) & (old.facility == new.facility) & (old.facility != NOTHING) & (old.place > 0)
    both = stays[:, None] & stays[None, :] & (old.facility[:, None] == old.facility[None, :])
    ahead = old.place[:, None] < old.place[None, :]
    return (~(both & ahead) | (new.place[:, None] < new.place[None, :])).all()


def wages(before: State, after: State) -> Array:
    """All that is earned is booked as wages."""
    old, new = before.slots["economy"].ledger, after.slots["economy"].ledger
    account = ACCOUNTS.index("wages")
    return new[account] - old[account] == masks.total(after.slots["employment"].pay)


def within_clip(world: World, after: State) -> Array:
    """What a living person gets in a tick, shaping and the ends of lives apart, is no more than the clip."""
    due, clip = rewards.bill(world, after), world.params["rewards"].clip
    slot = after.slots.get("rewards")
    kept = after.reward - due.outside
    if slot is not None and slot.shaped is not None:
        kept = kept - slot.shaped
    return (jnp.abs(kept) <= clip).all()
