"""Many members in one program: `learner.init` and `learner.update` vmapped over stacked runners, keys and worlds.

Every leaf of a stacked runner has the members M as its first axis. Of the worlds only those leaves of `World.params` are stacked
that differ between members: what is the same for all stays without the axis, and costs no more than in one run.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax.config.errors import ConfigError
from townlet_jax.types import World

from .. import guard, learner, runs
from ..hardware.memory import estimate
from ..logging import RunError
from ..program import Program, hyper_of
from ..types import Array, Hyper, Runner
from .members import Member

GIB = 2**30


class Worlds(NamedTuple):
    """The worlds of some members: one of them, and what differs."""

    world: World  # of the first member
    places: tuple[int, ...]  # which leaves of `World.params` differ
    values: tuple[Array, ...]  # these leaves, [M, ...]


class Stack(NamedTuple):
    """Members that one program trains."""

    program: Program  # of the first member
    places: tuple[int, ...]
    values: tuple[Array, ...]  # [M, ...]
    keys: Array  # keys[M]
    hyper: Hyper  # f32[M]

    @property
    def count(self) -> int:
        """The members."""
        return self.keys.shape[0]

    def part(self, start: int, stop: int) -> "Stack":
        """Some of the members."""
        cut = lambda tree: jax.tree.map(lambda leaf: leaf[start:stop], tree)
        return self._replace(values=cut(self.values), keys=cut(self.keys), hyper=cut(self.hyper))


def compiled(members: list[Member]) -> list[World]:
    """The world of each member, compiled by the loader and checked against the learner; each world once.

    Raises:
        ConfigError: a world is refused.
        RunError: it does not fit the learner.
    """
    varies = lambda member: (repr(sorted(member.world.items())), member.config.gamma)  # of all that the check reads
    found: dict[tuple[str, float], World] = {}
    for member in members:
        if varies(member) not in found:
            try:
                its = runs.setup(Path(), member.config, member.document, member.world_document)
            except RunError as error:
                raise RunError(f"{member.group or 'the base'}: {error}") from None
            found[varies(member)] = its.world
    return [found[varies(member)] for member in members]


def worlds_of(worlds: list[World], names: list[str]) -> Worlds:
    """Worlds brought to one static part, with what differs stacked.

    Args:
        worlds: one for each member.
        names: of the members, for messages.

    Raises:
        ConfigError: a world differs in more than numbers of `World.params`.
    """
    first = worlds[0]
    leaves, tree = jax.tree.flatten(first.params)
    tables = [np.asarray(leaf) for leaf in leaves]
    seen = {id(first): tables}
    for world, name in zip(worlds, names):
        if id(world) not in seen:
            wrong = _unlike(first, world, tables)
            if wrong:
                allowed = "a value that changes numbers only, not sizes, words, systems or the map"
                raise ConfigError(f"world_grid: {name}: {wrong} (allowed: {allowed})")
            seen[id(world)] = [np.asarray(leaf) for leaf in jax.tree.leaves(world.params)]
    rows = [seen[id(world)] for world in worlds]
    differs = [
        place for place in range(len(leaves)) if any((row[place] != tables[place]).any() for row in seen.values())
    ]
    stacked = tuple(jnp.asarray(np.stack([row[place] for row in rows])) for place in differs)
    return Worlds(first, tuple(differs), stacked)


def _unlike(first: World, other: World, tables: list[np.ndarray]) -> str:
    """In what a world differs from the first more than by numbers; empty if in nothing."""
    static = other.static._replace(config_id=first.static.config_id)
    names = [name for name, mine, its in zip(static._fields, first.static, static) if mine != its]
    if names:
        return f"it changes {', '.join(names)}"
    if jax.tree.structure(first.params) != jax.tree.structure(other.params):
        return "it switches a part of a system on or off"
    shapes = [(np.asarray(leaf).shape, np.asarray(leaf).dtype) for leaf in jax.tree.leaves(other.params)]
    if shapes != [(leaf.shape, leaf.dtype) for leaf in tables]:
        return "it changes the size of a table"
    same = jax.tree.map(lambda a, b: a.shape == b.shape and bool((a == b).all()), first.map, other.map)
    return "" if all(jax.tree.leaves(same)) else "it changes the map"


def stack_of(members: list[Member]) -> Stack:
    """The members as one program needs them.

    Raises:
        ConfigError, RunError: as `compiled` and `worlds_of`.
    """
    worlds = worlds_of(compiled(members), [member.group for member in members])
    hypers, first = [hyper_of(member.config) for member in members], members[0].config
    return Stack(
        program=learner.program_of(worlds.world, first, runs.teacher_of(worlds.world, first)),
        places=worlds.places,
        values=worlds.values,
        keys=jnp.stack([jax.random.key(member.seed) for member in members]),
        hyper=jax.tree.map(lambda *leaves: jnp.stack(leaves), *hypers),
    )


def bound(program: Program, places: tuple[int, ...], values: tuple[Array, ...]) -> Program:
    """The program of one member, in its own world."""
    leaves, tree = jax.tree.flatten(program.world.params)
    for place, value in zip(places, values):
        leaves[place] = value
    return program._replace(world=program.world.replace(params=jax.tree.unflatten(tree, leaves)))


def init(stack: Stack) -> Runner:
    """Fresh learners in fresh towns, stacked."""

    def one(values: tuple[Array, ...], key: Array, hyper: Hyper) -> Runner:
        return learner.init(bound(stack.program, stack.places, values), key).replace(hyper=hyper)

    return jax.jit(jax.vmap(one))(stack.values, stack.keys, stack.hyper)


def update(stack: Stack, values: tuple[Array, ...], runner: Runner) -> tuple[Runner, dict[str, Array]]:
    """One update of every member.

    Args:
        stack: of which the program is taken.
        values: what differs between the worlds, [M, ...]; an argument, so that blocks of members share one compiled program.
        runner: stacked.

    Returns:
        The runner, and metrics {name: f32[M]}; all of them are NaN for a member whose parameters are not finite any more: what its
        people earn still would be.
    """

    def one(values: tuple[Array, ...], runner: Runner) -> tuple[Runner, dict[str, Array]]:
        runner, metrics = learner.update(bound(stack.program, stack.places, values), runner)
        sound = guard.finite(runner.params)
        return runner, {name: jnp.where(sound, value, jnp.nan) for name, value in metrics.items()}

    return jax.vmap(one)(values, runner)


def member(runner: Runner, index: int) -> Runner:
    """The runner of one member."""
    return jax.tree.map(lambda leaf: leaf[index], runner)


def member_bytes(stack: Stack) -> int:
    """What a member takes while it learns, by estimate."""
    return estimate(stack.program.world, stack.program.config).peak


def block_of(stack: Stack, most: int, memory_gib: float) -> int:
    """How many members one program trains: the most that are allowed, that memory holds and that divide the members.

    Args:
        stack: all members.
        most: members in one program at most; 0 for any number.
        memory_gib: GiB that a program may take.

    Raises:
        RunError: a single member takes more.
    """
    each = member_bytes(stack)
    held = int(memory_gib * GIB // each)
    if not held:
        raise RunError(f"memory_gib {memory_gib:g} is too little: a member takes {each / GIB:.2g} GiB, by estimate")
    most = min(most or stack.count, held, stack.count)
    return max(size for size in range(1, most + 1) if stack.count % size == 0)
