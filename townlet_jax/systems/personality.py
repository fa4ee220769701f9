"""Personality: who somebody is, fixed when the person arrives in town.

A person has traits from -1 to 1, and is of a profile that says how fast needs fall, what is liked and how one behaves. Either
profiles are drawn by their weights, or traits evenly from their range; then the profile is the one whose traits are nearest. Each
birth is one point of a low-discrepancy sequence with a random shift of the town's own, so that even a small town is mixed. It comes
after lifecycle: whoever arrives is somebody at once, and is seen so.

reads  agents.alive, agents.generation, terminated
writes slots.personality
"""

import jax
import jax.numpy as jnp
from flax import struct

from ..core import auction, fixed, masks, sequence, temper
from ..types import Array, Feature, Key, State, System, World
from .profiles import GROUPS, HABITS, LEAST, MAX_AGENTS, MAX_BUFFER, MOST, TRAITS, Config, check, profiles


class Params(struct.PyTreeNode):
    """The same as arrays; P profiles in order of their names, T traits."""

    traits: Array  # i16[P, T] parts of fixed.SHARE
    bounds: Array  # i32[P] cumulative weights, parts of fixed.CHANCE
    spread: Array  # i32[] parts of fixed.SHARE
    override: Array | None  # i8[MAX_AGENTS] the profile of a slot, P if it is drawn
    need: Array | None  # i32[P, N] parts of fixed.SHARE; as all below None if the world does not want it
    reward: dict[str, Array] | None  # i32[P] by group, parts of fixed.SHARE
    behaviour: dict[str, Array] | None  # i32[P] by habit, parts of fixed.SHARE
    modifiers: Array | None  # bool[] True
    names: tuple[str, ...] = struct.field(pytree_node=False)  # of the profiles
    sampled: bool = struct.field(pytree_node=False)
    observed: bool = struct.field(pytree_node=False)


class Slot(struct.PyTreeNode):
    """Each agent's character."""

    profile: Array  # i8[A] index into Params.names, 0 for the dead
    traits: Array  # i16[A, T] parts of fixed.SHARE, 0 for the dead
    seen: Array  # i16[A] generation of the person whose character this is
    births: Array  # i32[] people who have ever lived in the town; numbers the points of the sequence
    shift: Array  # u32[T] of the sequence, drawn for each town


def build(config, names) -> Params:
    """YAML to arrays."""
    kinds, traits = profiles(config), TRAITS[: 4 if config.patience else 3]
    share = lambda rows: jnp.array(jax.tree.map(fixed.to_share, rows), jnp.int32)
    factors = lambda part, words: {
        w: share([getattr(kind, part).get(w, 1.0) for kind in kinds.values()]) for w in words
    }
    weights = [config.distribution.get(name, 0.0) for name in kinds]
    bounds = [round(fixed.CHANCE * sum(weights[: i + 1]) / max(sum(weights), 1e-9)) for i in range(len(weights))]
    drawn = len(kinds)
    override = [list(kinds).index(config.overrides[a]) if a in config.overrides else drawn for a in range(MAX_AGENTS)]
    need = [[kind.need.get(word, 1.0) for word in names.needs] for kind in kinds.values()]
    return Params(
        traits=share([[getattr(kind, trait) for trait in traits] for kind in kinds.values()]).astype(jnp.int16),
        bounds=jnp.array(bounds, jnp.int32),
        spread=jnp.int32(fixed.to_share(config.spread)),
        override=jnp.array(override, jnp.int8) if config.overrides else None,
        need=share(need) if config.multipliers else None,
        reward=factors("reward", GROUPS) if config.rewards else None,
        behaviour=factors("behaviour", HABITS) if config.biases else None,
        modifiers=jnp.ones((), bool) if config.modifiers else None,
        names=tuple(kinds),
        sampled=config.mode == "sampled",
        observed=config.observed,
    )


def born(world: World, number: Array, shift: Array) -> tuple[Array, Array]:
    """Profile i8[A] and traits i16[A, T] of the births of some numbers i32[A], one for each slot."""
    params = world.params["personality"]
    axes = shift.shape[0] if params.sampled else 1
    point = sequence.sobol(number, axes) ^ shift[:axes]
    if params.sampled:
        traits = ((sequence.around_zero(point) * params.spread + fixed.SHARE // 2) >> 10).astype(jnp.int16)
        profile = temper.nearest(traits, params.traits)
    else:
        profile = masks.count((point >> 16).astype(jnp.int32) >= params.bounds)
        traits = params.traits[profile]
    if params.override is not None:
        override = params.override[: world.static.num_agents]
        given = override < len(params.names)
        profile = jnp.where(given, override, profile)
        traits = jnp.where(given[:, None], params.traits[profile], traits)
    return profile, traits


def init(world: World, key: Key) -> Slot:
    """The first residents are the first births of the town, in an order of its own; a slot that begins empty has nobody."""
    A, T = world.static.num_agents, world.params["personality"].traits.shape[1]
    bits, there = jax.random.bits(key, (A + T,), jnp.uint32), world.params["start"].joins == 0
    number = auction.rank(there, auction.random_rank(bits[:A]))
    profile, traits = born(world, number.astype(jnp.int32), bits[A:])
    profile, traits = jnp.where(there, profile, jnp.int8(0)), jnp.where(there[:, None], traits, jnp.int16(0))
    return Slot(profile, traits, jnp.zeros(A, jnp.int16), masks.total(there), bits[A:])


def step(world: World, state: State, bits: Array) -> State:
    """Newcomers are born, those of one tick in order of their slots; of the dead nothing is left a tick after their end."""
    agents, slot = state.agents, state.slots["personality"]
    comes = agents.alive & (agents.generation != slot.seen)
    index = jnp.arange(world.static.num_agents, dtype=jnp.int8)
    rank = auction.rank(comes, index)
    profile, traits = born(world, slot.births + rank.astype(jnp.int32), slot.shift)
    stays = agents.alive | state.terminated
    slot = slot.replace(
        profile=jnp.where(comes, profile, jnp.where(stays, slot.profile, jnp.int8(0))),
        traits=jnp.where(comes[:, None], traits, jnp.where(stays[:, None], slot.traits, jnp.int16(0))),
        seen=jnp.where(comes, agents.generation, slot.seen),
        births=slot.births + masks.total(comes),
    )
    return state.put(personality=slot)


def trait(state: State, name: str) -> Array:
    """One trait of each agent: i32[A] parts of fixed.SHARE, -SHARE to SHARE."""
    traits = state.slots["personality"].traits
    known = TRAITS[: traits.shape[1]]
    if name not in known:
        raise ValueError(f"{name!r} is no trait in this world (there are: {', '.join(known)})")
    return traits[:, known.index(name)].astype(jnp.int32)


def of_profile(state: State, table: Array | None, size: tuple[int, ...] = ()) -> Array:
    """The factors i32[A, ...] of each agent's profile, ones where there is no table."""
    profile = state.slots["personality"].profile
    if table is None:
        return jnp.full((*profile.shape, *size), fixed.SHARE, jnp.int32)
    return jnp.clip(table[profile], fixed.to_share(LEAST), fixed.to_share(MOST))


def need_factor(world: World, state: State) -> Array:
    """How much faster each need falls: i32[A, N] parts of fixed.SHARE."""
    return of_profile(state, world.params["personality"].need, (len(world.static.names.needs),))


def bias(world: World, state: State, habit: str) -> Array:
    """How strong a habit is, one of `HABITS`: i32[A] parts of fixed.SHARE, 0.1 to 5."""
    table = world.params["personality"].behaviour
    return of_profile(state, None if table is None else table[habit])


def reward_bias(world: World, state: State, group: str) -> Array:
    """How much the rewards of a group, one of `GROUPS`, are liked: i32[A] parts of fixed.SHARE."""
    table = world.params["personality"].reward
    return of_profile(state, None if table is None else table[group])


def hastened(world: World, state: State, decay: Array) -> Array:
    """What people lose of each need in a tick, where others lose i32[N]: i32[A, N], or i32[N] if all are alike."""
    if not world.static.has("personality") or world.params["personality"].need is None:
        return decay
    return fixed.scale(decay, need_factor(world, state))


def felt(world: World, state: State) -> Array:
    """Needs as people feel them, lower the faster they fall: i32[A, N] parts of fixed.NEED, above it if slower."""
    if not world.static.has("personality") or world.params["personality"].need is None:
        return state.agents.needs
    return temper.over(state.agents.needs, need_factor(world, state))


def biased(world: World, state: State, group: str, value: Array) -> Array:
    """A reward i32[A] of a group as people like it: times the factor if good, divided by it if bad; |value| <= 2**21."""
    return temper.favour(value, reward_bias(world, state, group))


def liked(world: World, state: State, terms: dict[str, Array]) -> dict[str, Array]:
    """Reward terms i32[A] by name, as people like them; those of no group as they are."""
    if not world.static.has("personality") or world.params["personality"].reward is None:
        return terms
    group = {term: group for group, names in GROUPS.items() for term in names}
    return {t: biased(world, state, group[t], value) if t in group else value for t, value in terms.items()}


def arrival_order(world: World, state: State) -> Array:
    """The order i8[A] of those who join a queue in the same tick: by chance, and by patience where people differ in it."""
    if not world.static.has("personality") or state.slots["personality"].traits.shape[1] < len(TRAITS):
        return state.intent.priority
    return temper.defer(trait(state, "patience"), state.intent.priority)


def early(world: World, state: State, ticks: Array | int) -> Array:
    """How many ticks early people want to be at work, where others take some: i16[A], at most MAX_BUFFER."""
    if not world.static.has("personality"):
        return jnp.full(world.static.num_agents, ticks, jnp.int16)
    return jnp.clip(fixed.scale(jnp.int32(ticks), bias(world, state, "work_affinity")), 0, MAX_BUFFER).astype(jnp.int16)


def metrics(world: World, state: State):
    """Mean and spread of each trait, the share of each profile among the living, and births so far."""
    slot, alive = state.slots["personality"], state.agents.alive
    found = {"personality/births": slot.births.astype(jnp.float32)}
    for i, name in enumerate(TRAITS[: slot.traits.shape[1]]):
        value = fixed.to_float(slot.traits[:, i], fixed.SHARE)
        mean = masks.mean_where(value, alive)
        found[f"personality/{name}"] = mean
        found[f"personality/{name}_spread"] = jnp.sqrt(masks.mean_where((value - mean) ** 2, alive))
    for i, name in enumerate(world.params["personality"].names):
        found[f"profile/{name}"] = masks.mean_where((slot.profile == i).astype(jnp.float32), alive)
    return found


def rules(world: World, state: State):
    """Traits and profiles exist, fit together and belong to the living; every birth has had a number of its own."""
    params, slot, alive = world.params["personality"], state.slots["personality"], state.agents.alive
    births = masks.total(world.params["start"].joins == 0) + masks.total(state.agents.generation)
    someone = (slot.traits != 0).any(-1) | (slot.profile != 0)
    found = {
        "traits in bounds": (jnp.abs(slot.traits) <= fixed.SHARE).all(),
        "profiles exist": ((slot.profile >= 0) & (slot.profile < len(params.names))).all(),
        "the living are of this generation": (~alive | (slot.seen == state.agents.generation)).all(),
        "the dead have no character": (alive | state.terminated | ~someone).all(),
        "every birth is counted": slot.births == births,
    }
    if not params.sampled:
        found["traits are those of the profile"] = (~alive | (slot.traits == params.traits[slot.profile]).all(-1)).all()
    return found


def fields(world: World) -> list[Feature]:
    """The own traits."""
    params = world.params["personality"]
    return [Feature(name, 1, "trait", -1, 1) for name in TRAITS[: params.traits.shape[1]] if params.observed]


def features(world: World, state: State) -> list[Array]:
    """The own traits."""
    return [fixed.to_float(trait(state, field.name), fixed.SHARE) for field in fields(world)]


SYSTEM = System(
    "personality",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.personality",),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
