"""reset, step and unroll: the whole simulation as pure functions of one town."""

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .core import blocks
from .systems import economy, rewards
from .types import NOTHING, Agents, Array, Facilities, Intent, Key, State, World

MOST = 2**31 - 1  # of 32 bits


def stream(key: Key, name: str) -> Key:
    """A random stream named by a word, so that a new system moves no other system's draws."""
    return jax.random.fold_in(key, code(name))


def code(name: str) -> int:
    """The number of a word, 31 bits."""
    return zlib.crc32(name.encode()) & 0x7FFF_FFFF


def random_words(key: Key, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Random bits for several names, hashed side by side, since a hash by itself costs the most in getting started.

    A name's pairs of words are the key folded with its code, the code + 1 and so on: what one draws does not depend on the others.

    Args:
        key: of a tick.
        sizes: how many words each name wants.

    Returns:
        u32[size] for each name.
    """
    pairs = {name: -(-size // 2) for name, size in sizes.items()}
    numbers = [code(name) + i for name, count in pairs.items() for i in range(count)]
    hashes = jax.vmap(partial(jax.random.fold_in, key))(jnp.array(numbers, jnp.uint32))
    words, found, begin = jax.random.key_data(hashes)[:, :2], {}, 0
    for name, size in sizes.items():
        found[name] = words[begin : begin + pairs[name]].reshape(-1)[:size]
        begin += pairs[name]
    return found


def people(world: World, key: Key) -> Agents:
    """The first residents, each in its place, with needs drawn between the two bounds of the world's `start`."""
    static, start = world.static, world.params["start"]
    A, N = static.num_agents, len(static.names.needs)
    span = (start.needs[1] - start.needs[0] + 1).astype(jnp.uint32)
    bits = jax.random.bits(stream(key, "needs"), (A, N), jnp.uint32) >> 8
    needs = start.needs[0] + (bits % span).astype(jnp.int32)
    return Agents(
        alive=start.joins == 0,
        generation=jnp.zeros(A, jnp.int16),
        cell=world.map.start_cell,
        needs=jnp.where((start.joins == 0)[:, None], needs, 0),
        wallet=start.wallet,
        items=start.items,
    )


def reset(world: World, key: Key) -> State:
    """A new town at the beginning of an episode.

    Args:
        world: what is the same for every town.
        key: the town's key; the same key gives the same town, in any batch.

    Returns:
        The state before the first tick.
    """
    static, start = world.static, world.params["start"]
    A = static.num_agents
    zeros = jnp.zeros(A, jnp.int8)
    span = (start.tick[1] - start.tick[0] + 1).astype(jnp.uint32)
    tick = start.tick[0] + (jax.random.bits(stream(key, "start"), (), jnp.uint32) % span).astype(jnp.int32)
    stock = economy.full_stock(world) if static.has("economy") else jnp.zeros(static.num_facilities, jnp.int16)
    state = State(
        tick=tick,
        actions=jnp.zeros(A, jnp.int32),
        intent=Intent(zeros, zeros, jnp.full(A, NOTHING, jnp.int16), zeros),
        agents=people(world, key),
        facilities=Facilities(stock),
        slots={},
        reward=jnp.zeros(A, jnp.int32),
        terminated=jnp.zeros(A, bool),
        truncated=jnp.zeros((), bool),
    )
    slots = {system.name: system.init(world, stream(key, system.name)) for system in static.systems}
    if "lifecycle" in slots:
        fate = slots["lifecycle"]
        slots["lifecycle"] = fate.replace(ends=fate.ends + tick, arrives=start.joins)
    if "rewards" in slots:
        slots["rewards"] = rewards.admit(world, state, slots["rewards"])
    state = state.put(**{name: slot for name, slot in slots.items() if jax.tree.leaves(slot)})
    return jax.tree.map(jnp.copy, state)  # no two leaves share a buffer, so that the state can be donated


def step(world: World, state: State, actions: Array, key: Key) -> State:
    """One tick: hand the actions over, then let each system act in order.

    Args:
        world: what is the same for every town.
        state: one town.
        actions: i32[A] indices into `world.static.actions.names`; others count as `wait`.
        key: the key of this tick, as of `tick_key`.

    Returns:
        The town one tick later.

    Raises:
        ValueError: `actions` has another shape or is not of integers, or the state is of another world or of many towns.
    """
    actions = narrow(actions)
    wanted = (world.static.num_agents,)
    if state.agents.alive.shape != wanted:
        raise ValueError(
            f"the state has people of shape {list(state.agents.alive.shape)}, allowed is one town of this world,"
            f" {list(wanted)}; `jax.vmap` over the states of many"
        )
    if actions.shape != wanted or not jnp.issubdtype(actions.dtype, jnp.integer):
        raise ValueError(
            f"actions are {actions.dtype}{list(actions.shape)}, allowed are integers{list(wanted)}, one an agent"
        )
    state = state.replace(tick=state.tick + 1, actions=actions.astype(jnp.int32))
    systems = world.static.systems
    bits = random_words(key, {system.name: system.draws(world) for system in systems})
    for system in systems:
        with jax.named_scope(system.name):
            state = settled(state, system.step(world, state, bits[system.name]))
    return state


def narrow(numbers: Any) -> Array:
    """Integers from outside as an array of 32 bits at most; of 64 bits the nearest that fit, which are no actions."""
    dtype = getattr(numbers, "dtype", None)
    if not isinstance(numbers, jax.Array) and dtype is not None and dtype.kind in "iu" and dtype.itemsize > 4:
        numbers = numbers.clip(-1 if dtype.kind == "i" else 0, MOST)
    return jnp.asarray(numbers)


def settled(before: State, after: State) -> State:
    """The state after a system, what it has written computed once (`blocks.once`), so that who reads it does not do so again."""
    old, (new, tree) = jax.tree.leaves(before), jax.tree.flatten(after)
    wrote = [i for i, leaf in enumerate(new) if i >= len(old) or leaf is not old[i]]
    for i, leaf in zip(wrote, blocks.once([new[i] for i in wrote]) if wrote else []):
        new[i] = leaf
    return jax.tree.unflatten(tree, new)


def tick_key(key: Key, state: State) -> Key:
    """The key of the next tick of a town whose own key is given; it depends on nothing but the two."""
    return jax.random.fold_in(key, state.tick)


def unroll(
    world: World,
    policy: Callable[[World, State, Key], Array],
    state: State,
    key: Key,
    num_ticks: int,
    watch: Callable[[World, State], Any] = lambda world, state: (),
) -> tuple[State, Any]:
    """Run one town with a policy.

    Args:
        world: what is the same for every town.
        policy: (world, state, key) -> actions i32[A].
        state: the town at the start.
        key: the town's own key.
        num_ticks: how many ticks.
        watch: what to keep of the state after each tick.

    Returns:
        The last state, and what `watch` returned, stacked [num_ticks, ...].
    """

    def tick(state, _):
        now = tick_key(key, state)
        state = step(world, state, policy(world, state, stream(now, "policy")), now)
        return state, watch(world, state)

    return jax.lax.scan(tick, state, None, num_ticks)
