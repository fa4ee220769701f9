"""A pool of maps: many towns under the same rules, each on one of M maps, in one program.

    maps = pool("generated", seeds=range(8))
    env = pooled(maps)
    states = env.reset(keys)                      # key[M, B] -> [M, B, ...]: B towns on each map
    states = env.step(states, actions, keys)      # i32[M, B, A]

The tables of a map are stored once a map, not once a town: a pool takes M times the memory of one map. Every table look-up names
the map as well as the cell, which costs a little; `benchmarks/pool.py` says how much. A town of a pool is bit for bit the town
that the same key gives on that map alone.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from . import engine
from .config.errors import ConfigError
from .env import load, timestep
from .observe import observe
from .types import Env, State, World


def pool(name: str | Path, seeds: Iterable[int], **overrides: Any) -> World:
    """The same world on many generated maps.

    Args:
        name: a shipped world, or a path to its YAML; a map that is drawn gives way to generated ones.
        seeds: the seed of each map.
        **overrides: values by dotted path, as in `load`.

    Returns:
        As `stack` returns it.

    Raises:
        ConfigError: as `load`, or there is no seed.
    """
    drawn = {"map.rows": None, **overrides}
    return stack([load(name, **{**drawn, "map.generate.seed": int(seed)}) for seed in seeds])


def stack(worlds: Sequence[World]) -> World:
    """One world out of many that differ in their maps alone.

    Args:
        worlds: compiled worlds with the same rules, sizes and words.

    Returns:
        A world whose `map` has a leading axis [M], its parameters shared. `pooled` gives its functions, `one` takes a map out.

    Raises:
        ConfigError: there is no world, or they differ in more than what stands where.
    """
    if not worlds:
        raise ConfigError("a pool without maps (allowed: one seed or more)")
    first, ids = worlds[0], ",".join(world.static.config_id for world in worlds)
    for number, world in enumerate(worlds):
        differs = _difference(first, world)
        if differs:
            raise ConfigError(f"map {number} of the pool does not go with map 0: {differs}")
    together = jax.tree.map(lambda *tables: jax.numpy.stack(tables), *(world.map for world in worlds))
    config_id = hashlib.sha256(ids.encode()).hexdigest()[:16]
    return first.replace(map=together, static=first.static._replace(config_id=config_id))


def _difference(first: World, other: World) -> str:
    """What keeps two worlds from sharing a program, in words; empty if nothing does."""
    for field, ours, theirs in zip(first.static._fields, first.static, other.static):
        if field != "config_id" and ours != theirs:
            return f"`{field}` is {theirs!r} and {ours!r}"
    for part in ("map", "params"):
        ours, theirs = (jax.tree_util.tree_flatten_with_path(getattr(world, part))[0] for world in (first, other))
        if [path for path, _ in ours] != [path for path, _ in theirs]:
            return f"`{part}` has other parts"
        for (path, one), (_, two) in zip(ours, theirs):
            where = f"{part}{jax.tree_util.keystr(path)}"
            if one.shape != two.shape or one.dtype != two.dtype:
                return f"`{where}` is {two.dtype}{list(two.shape)} and {one.dtype}{list(one.shape)}"
            if part == "params" and not np.array_equal(one, two):
                return f"`{where}` has other values, but parameters are shared"
    return ""


def one(world: World, number: int) -> World:
    """The world of one map of a pool, e.g. to draw a picture of a town on it.

    Raises:
        IndexError: the pool has no such map.
    """
    if not 0 <= number < world.map.ground.shape[0]:
        raise IndexError(f"map {number} is not in the pool (allowed: 0 to {world.map.ground.shape[0] - 1})")
    static = world.static._replace(config_id=f"{world.static.config_id}-{number}")
    return world.replace(map=jax.tree.map(lambda table: table[number], world.map), static=static)


def over_maps(function: Callable[..., Any], world: World) -> Callable[..., Any]:
    """A function of (world, one town's arguments ...) as a function of such arguments with leading axes [M, B].

    Args:
        function: such as `engine.step`.
        world: a pool.

    Returns:
        The function with the pool bound to it; `vmap` over the maps of `vmap` over the towns on each. It raises a ValueError for
        arguments without these axes.
    """

    def on_maps(*arguments: Any) -> Any:
        _fit(world, arguments)
        on_map = lambda tables, *towns: jax.vmap(partial(function, world.replace(map=tables)))(*towns)
        return jax.vmap(on_map)(world.map, *arguments)

    return on_maps


def _fit(world: World, arguments: Sequence[Any]) -> None:
    """Refuse arguments whose leading axes are not maps and towns.

    Raises:
        ValueError: with the shape that one has, and the shape that it should have.
    """
    maps, towns = world.map.ground.shape[0], None
    for number, argument in enumerate(arguments, start=1):
        for path, leaf in jax.tree_util.tree_flatten_with_path(argument)[0]:
            shape = jax.numpy.shape(leaf)
            towns = shape[1] if towns is None and len(shape) > 1 else towns
            if shape[:2] != (maps, towns):
                where = f"argument {number}{jax.tree_util.keystr(path)}"
                wanted = f"[{maps}, {'B' if towns is None else towns}, ...]: {maps} maps, and towns on each"
                raise ValueError(f"{where} is of shape {list(shape)}, but this pool wants {wanted}")


def pooled(world: World) -> Env:
    """The functions of a pool.

    Args:
        world: as `pool` returns it.

    Returns:
        `reset(keys [M, B])`, `step(states, actions i32[M, B, A], keys [M, B])`, `observe(states)` and `timestep(states)`, all of
        which can be jitted; and `render(states, number, town)` for a picture of one town.
    """

    def render(states: State, number: int = 0, town: int = 0, **options: Any):
        from .render import image  # needs the extra `viz`

        return image(one(world, number), jax.tree.map(lambda leaf: leaf[number, town], states), **options)

    return Env(
        world=world,
        reset=over_maps(engine.reset, world),
        step=over_maps(engine.step, world),
        observe=over_maps(observe, world),
        timestep=over_maps(timestep, world),
        render=render,
    )
