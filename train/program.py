"""What is the same in every update of a run: the world, the sizes, the networks."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from townlet_jax.observe import observe, schema
from townlet_jax.systems.intents import WAIT_ACTION
from townlet_jax.types import Key, Observation, State, World

from .config import TrainConfig
from .distributions import MaskedCategorical
from .networks import MOVES, ActorCritic, ByRole
from .players import Choice, Player
from .types import Array, Hyper

Network = ActorCritic | ByRole


class Program(NamedTuple):
    """Compiled in, not traced."""

    world: World
    config: TrainConfig
    network: Network
    allowed: Array  # bool[num_actions] what the policy may take at all
    adam: optax.GradientTransformation
    num_updates: int
    teacher: Player | None  # whom the policy imitates
    axis: str | None  # mesh axis over which the towns are spread


def may_take(world: World, actions: str) -> Array:
    """The actions that a policy may take at all: bool[num_actions].

    Args:
        world: the world.
        actions: "options" leaves out moves and bare uses, "primitives" leaves out the options, "all" nothing.
    """
    layout = world.static.actions
    index = jnp.arange(len(layout.names))
    option = (index >= layout.options) & (index < layout.options + layout.num_options)
    waits = index == WAIT_ACTION
    return {"options": waits | option, "primitives": waits | ~option, "all": index >= 0}[actions]


def place_of(world: World, feature: str) -> tuple[int, int]:
    """Where a feature stands: its first index and its size; (0, 0) if the world has none of that name."""
    found = [entry for entry in schema(world) if entry.name == feature]
    return (found[0].start, found[0].stop - found[0].start) if found else (0, 0)


def network_of(world: World, config: TrainConfig) -> Network:
    """The network of a run."""
    layout, width = world.static.actions, config.embedding
    first, size = place_of(world, "first_step") if config.actions != "options" else (0, 0)
    count = world.params["identities"].line.shape[0] if width else 0
    body = ActorCritic(
        num_actions=len(layout.names),
        hidden=config.hidden,
        conv=config.conv,
        options=(place_of(world, "option")[0], layout.options, layout.num_options),
        persistence=config.persistence,
        memory=config.memory,
        memory_size=config.memory_size,
        identity=(place_of(world, "embedding_slot_norm")[0], count, width),
        central=config.critic == "central",
        ways=(first, size // MOVES, len(world.static.names.offers)) if size else (0, 0, 0),
        dtype=jnp.dtype(config.compute_dtype),
    )
    return ByRole(body, place_of(world, "job")) if config.roles == "jobs" else body


def hyper_of(config: TrainConfig) -> Hyper:
    """The float hyper-parameters of a configuration, as arrays."""
    return Hyper(**{name: jnp.float32(getattr(config, name)) for name in Hyper.__dataclass_fields__})


def look(network: Network, params: Any, memory: Any, seen: Observation, starts: Array) -> tuple[Any, Array, Array]:
    """One decision of a network.

    Args:
        network: the network.
        params: its weights.
        memory: leaves f32[..., A, ...].
        seen: leaves [..., A, ...].
        starts: bool[..., A].

    Returns:
        The memory afterwards, logits f32[..., A, num_actions] and values f32[..., A].
    """
    found: Any = network.apply(params, memory, jax.tree.map(lambda x: x[None], seen), starts[None])
    memory, logits, value = found
    return memory, logits[0], value[0]


def newcomers(before: State, after: State) -> Array:
    """The slots in which somebody else is now than before, or nobody was: bool[..., A]."""
    return (after.agents.generation != before.agents.generation) | ~before.agents.alive


@cache
def _functions(network: Network, actions: str, greedy: bool) -> tuple[Any, Any]:
    """How a learned player begins and decides; the same for equal networks, so that nothing is compiled twice."""

    def begin(world: World, state: State) -> Any:
        return network.blank(state.agents.alive.shape), state.agents

    def decide(params: Any, world: World, state: State, memory: Any, key: Key) -> tuple[Choice, Any]:
        memory, before = memory
        seen = observe(world, state)
        starts = newcomers(state.replace(agents=before), state)
        memory, logits, value = look(network, params, memory, seen, starts)
        chances = MaskedCategorical(logits, seen.action_mask & may_take(world, actions))
        action = chances.mode() if greedy else chances.sample(seed=key)
        return Choice(action, chances.log_prob(action), value, chances.probs), (memory, state.agents)

    return begin, decide


def learned(world: World, config: TrainConfig, params: Any, greedy: bool = False) -> Player:
    """The player of a learned policy; `greedy` takes the likeliest action instead of drawing one."""
    begin, decide = _functions(network_of(world, config), config.actions, greedy)
    return Player(params, config.ticks_per_decision, begin, decide)
