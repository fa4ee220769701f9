"""Towns on many devices: each device has its own part of the towns and its own copy of the networks; sums go over all of them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from .logging import RunError
from .storage.leaves import is_key

TOWNS = "towns"  # the mesh axis
SPREAD = ("states", "memory", "starts", "episode", "scaling.returns")  # parts of a runner with the axis of towns first


def total(x: Any, axis: str | None) -> Any:
    """The sum over the devices of a mesh axis, leaf by leaf; x itself without an axis."""
    return x if axis is None else jax.lax.psum(x, axis)


def mean(x: Any, axis: str | None) -> Any:
    """The mean over the devices of a mesh axis, leaf by leaf; x itself without an axis."""
    return x if axis is None else jax.lax.pmean(x, axis)


def mesh_of(shards: int) -> Mesh | None:
    """The devices over which a run spreads its towns: as many as divide `shards`; None for a single one.

    Raises:
        RunError: there are several processes, and some device would have no towns.
    """
    devices = jax.devices()
    if jax.process_count() > 1 and shards % len(devices):
        raise RunError(f"shards {shards} must be a multiple of the {len(devices)} devices of all processes")
    count = max(n for n in range(1, len(devices) + 1) if shards % n == 0)
    if count == 1:
        return None
    return jax.make_mesh((count,), (TOWNS,), axis_types=(AxisType.Auto,), devices=devices[:count])


def specs(runner: Any) -> Any:
    """Which leaves of a runner (or of its shapes) are spread over the towns' axis, as a tree of partition specs."""

    def spec(path: Any, leaf: Any) -> PartitionSpec:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        spread = any(name == part or name.startswith(f"{part}.") for part in SPREAD)
        return PartitionSpec(TOWNS) if spread else PartitionSpec()

    return jax.tree_util.tree_map_with_path(spec, runner)


def placed(mesh: Mesh, runner: Any) -> Any:
    """The tree of shardings of a runner (or of its shapes)."""
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs(runner))


def spread(mesh: Mesh, update: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An update of all devices, from that of one device over the axis `TOWNS`: (runner) -> (runner, metrics)."""

    def whole(runner: Any) -> Any:
        where = specs(runner)
        out = (where, PartitionSpec())
        return jax.shard_map(update, mesh=mesh, in_specs=(where,), out_specs=out, check_vma=False)(runner)

    return whole


def put(mesh: Mesh | None, runner: Any) -> Any:
    """A runner on the devices of a mesh, each with its own part; leaves that are elsewhere must be the same in every process."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, runner)

    def place(leaf: Any, sharding: NamedSharding) -> Any:
        if isinstance(leaf, jax.Array) and leaf.sharding.is_equivalent_to(sharding, leaf.ndim):
            return leaf
        if is_key(leaf):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf), sharding), impl=jax.random.key_impl(leaf))
        value = np.asarray(leaf)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    return jax.tree.map(place, runner, placed(mesh, runner))


def whole(mesh: Mesh | None, runner: Any) -> Any:
    """A runner of which this process holds every part, for saving; all processes must take part."""
    if mesh is None or jax.process_count() == 1:
        return runner
    return jax.jit(_same, out_shardings=NamedSharding(mesh, PartitionSpec()))(runner)


def _same(runner: Any) -> Any:
    return runner
