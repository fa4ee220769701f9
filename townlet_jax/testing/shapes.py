"""What can be checked without running anything: types, shapes and names."""

from typing import Any

import jax
import jax.numpy as jnp

from .. import engine
from ..env import timestep
from ..observe import schema
from ..types import World
from .findings import WorldError, leaves

INTEGERS = ("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32")
WEAK = " (weak)"


def check_types(world: World) -> dict[str, str]:
    """No floats in the state, every step a fixed point of types, and the parts of a `TimeStep` as promised.

    Returns:
        The type of each leaf of the state by its path.

    Raises:
        WorldError: the first fault.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(engine.reset, world, key)
    for path, leaf in leaves(state).items():
        if leaf.dtype.name not in INTEGERS:
            rule = "no floats" if jnp.issubdtype(leaf.dtype, jnp.inexact) else "narrow integers"
            raise WorldError(rule, path, f"{leaf.dtype} in the state (allowed: {', '.join(INTEGERS)})")
    actions = jax.ShapeDtypeStruct((world.static.num_agents,), jnp.int32)
    for system in world.static.systems:
        bits = jax.ShapeDtypeStruct((system.draws(world),), jnp.uint32)
        _fixed_point(state, jax.eval_shape(system.step, world, state, bits), system.name)
    _fixed_point(state, jax.eval_shape(engine.step, world, state, actions, key), "the engine")
    _timestep(world, state)
    _reports(world, state)
    return {path: leaf.dtype.name for path, leaf in leaves(state).items()}


def _fixed_point(before: Any, after: Any, who: str) -> None:
    old, new = leaves(before), leaves(after)
    for path in {**old, **new}:
        if path not in old or path not in new:
            raise WorldError("fixed point", path, f"{'removed' if path in old else 'added'} by the step of {who}")
        if _kind(old[path]) != _kind(new[path]):
            raise WorldError("fixed point", path, f"{who} turns {_kind(old[path])} into {_kind(new[path])}")
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise WorldError("fixed point", "state", f"{who} changes its structure")


def _kind(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}" + (WEAK if getattr(leaf, "weak_type", False) else "")


def _timestep(world: World, state: Any) -> None:
    out = jax.eval_shape(timestep, world, state)
    A, side, entries = world.static.num_agents, world.static.window, schema(world)
    width = entries[-1].stop if entries else 0
    num_layers = out.observation.layers.shape[1] if side else 0
    expected = {
        "observation.features": f"float32{[A, width]}",
        "observation.layers": f"uint8{[A, num_layers, side, side]}",
        "observation.action_mask": f"bool{[A, len(world.static.actions.names)]}",
        "reward": f"float32{[A]}",
        "terminated": f"bool{[A]}",
        "truncated": "bool[]",
        "mask": f"bool{[A]}",
    }
    for path, leaf in leaves(out).items():
        if _kind(leaf) != expected.get(path):
            raise WorldError("observation types", path, f"{_kind(leaf)}, expected {expected.get(path)}")


def _reports(world: World, state: Any) -> None:
    seen: dict[str, str] = {}
    for system in world.static.systems:
        parts = (
            ("rewards", system.rewards, f"int32{[world.static.num_agents]}"),
            ("metrics", system.metrics, "float32[]"),
        )
        for rule, report, expected in parts:
            for name, leaf in jax.eval_shape(report, world, state).items():
                if _kind(leaf).removesuffix(WEAK) != expected:
                    raise WorldError(f"{rule} types", f"{name} of {system.name}", f"{_kind(leaf)}, expected {expected}")
                if rule == "rewards" and name not in system.terms:
                    raise WorldError("rewards names", name, f"reported by {system.name}, but not among its `terms`")
                if f"{rule}.{name}" in seen:
                    raise WorldError(
                        f"{rule} names", name, f"reported by {seen[f'{rule}.{name}']} and by {system.name}"
                    )
                seen[f"{rule}.{name}"] = system.name
