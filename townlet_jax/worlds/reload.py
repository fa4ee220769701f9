"""A changed YAML for a town that runs: compiled in full first, then taken over between two ticks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine
from ..config.load import Document
from ..systems import ORDER, economy
from ..types import State, System, World
from . import compile_document, read
from .manifest import manifest_checksum

REMEMBERED = (
    "params.start.wallet",
    "params.affordances.takes",
    "params.affordances.stock",
    "params.lifecycle.exits.",
    "params.spoilage.",
    "params.tuner.",
    "params.relationships.",
    "params.chat.",
)


class Report(NamedTuple):
    """What a reload changes.

    Attributes:
        reuses: whether compiled programs go on without a new trace: all shapes, all that is static and the map are the same.
        fits: whether a running state goes on in the new world (after `adopt`): its shapes, the length of the day and the map are
            the same, each need, item and event, by index, is still the same one, each offer is still made at the same kind of
            facility for the same goods, and no number of `REMEMBERED` has changed, by which a state counts what is behind it.
        changed: the arrays with other values, as dotted paths.
        differs: what has another shape, type or static value, as `path: before -> after`.
        config_id: the id of the new configuration. If `reuses`, `world.static.config_id` stays that of the compiled program.
        before: the checksum of the manifest of offers before the reload.
        after: and after it.
    """

    reuses: bool
    fits: bool
    changed: tuple[str, ...]
    differs: tuple[str, ...]
    config_id: str
    before: str
    after: str


def reload(
    world: World, document: Document | str | Path, order: Sequence[System] = ORDER, overrides: Sequence[str] = ()
) -> tuple[World, Report]:
    """Compile a configuration in place of a world; a world is an argument of `step`, so between two ticks it may be another.

    Args:
        world: what runs; it is not changed.
        document: as `worlds.read` returns it, or the name or path of a YAML file.
        order: every system that exists, in data-flow order.
        overrides: assignments such as "systems.needs.decay.hunger=0.001", for a name or path.

    Returns:
        The new world, and what is different about it.

    Raises:
        ConfigError: the configuration is refused; nothing has happened then.
    """
    read_already = isinstance(document, Document)
    new = compile_document(document if read_already else read(document, overrides), order)
    before, after = _leaves(world), _leaves(new)
    differs = [f"static.{name}: {old} -> {now}" for name, old, now in _static_changes(world, new)]
    differs += [
        f"{path}: {_shape(before.get(path))} -> {_shape(after.get(path))}"
        for path in {**before, **after}
        if _shape(before.get(path)) != _shape(after.get(path))
    ]
    shape = lambda params, name: jax.tree.structure(params.get(name))
    differs += [
        f"params.{name}: what is compiled of it, such as the words that `requires` uses"
        for name in {**world.params, **new.params}
        if shape(world.params, name) != shape(new.params, name)
        and not any(f"params.{name}." in line for line in differs)
    ]
    changed = [path for path in before if path in after and not np.array_equal(before[path], after[path])]
    moved = any(path.startswith("map.") for path in changed)  # pictures are kept by the id of the configuration
    reuses = not differs and not moved
    same_places = not moved and _words(world) == _words(new)
    kept = not any(path.startswith(REMEMBERED) for path in changed)
    report = Report(
        reuses=reuses,
        fits=kept and (reuses or (same_places and _fresh(world) == _fresh(new))),
        changed=tuple(changed),
        differs=tuple(differs),
        config_id=new.static.config_id,
        before=manifest_checksum(world),
        after=manifest_checksum(new),
    )
    return (new.replace(static=world.static) if reuses else new), report


def adopt(world: World, state: State) -> State:
    """Bring one town's state within the bounds of a reloaded world: pure, so it can be jitted and mapped over towns.

    What runs ends after the new duration at the latest, stock above the new capacity is taken away, and no reservation is
    older than the new limit. Prices, effects and what is required hold from the next tick; what is paid is paid. Whether the state
    means the same in the new world it does not tell: `Report.fits` does.

    Raises:
        ValueError: the state has other shapes or types than those of the new world.
    """
    old, new = _state_shapes(state), _fresh(world)
    wrong = [
        f"{path}: {old.get(path, 'nothing')} -> {new.get(path, 'nothing')}"
        for path in {**old, **new}
        if old.get(path) != new.get(path)
    ]
    if wrong:
        raise ValueError(f"the state does not fit the new world (see `Report.fits`): {'; '.join(wrong[:4])}")
    if world.static.has("affordances"):
        doing = state.slots["affordances"]
        ticks = world.params["affordances"].ticks[doing.offer]
        state = state.put(affordances=doing.replace(remaining=jnp.minimum(doing.remaining, ticks)))
    if world.static.has("economy"):
        stock = jnp.minimum(state.facilities.stock, economy.full_stock(world))
        state = state.replace(facilities=state.facilities.replace(stock=stock))
    if world.static.has("queues") and world.params["queues"].fairness is not None:
        from ..systems import fairness

        slot = state.slots["queues"]
        held = jnp.minimum(slot.fair.held, fairness.limit(world))
        state = state.put(queues=slot.replace(fair=slot.fair.replace(held=held)))
    return state


def _words(world: World) -> tuple[Any, ...]:
    """What the columns and counters of a state stand for, beside its shapes."""
    static, names = world.static, world.static.names
    events = world.params["perturbations"] if static.has("perturbations") else None
    told = () if events is None else (events.names, events.kinds, events.utilities)
    return static.ticks_per_day, names.needs, names.items, names.offer_kinds, told


def _leaves(world: World) -> dict[str, jax.Array]:
    """The arrays of a world by dotted path."""
    found, _ = jax.tree_util.tree_flatten_with_path((world.params, world.map))
    root = ("params", "map")
    return {".".join((root[path[0].idx], *map(_key, path[1:]))): leaf for path, leaf in found}


def _key(part) -> str:
    return str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part))))


def _shape(leaf: jax.Array | None) -> str:
    return "nothing" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}{' weak' if leaf.weak_type else ''}"


def _static_changes(world: World, new: World):
    """(name, before, after) of all that is static and different, the id apart."""
    for name, old, now in zip(world.static._fields, world.static, new.static):
        if old != now and name != "config_id":
            yield name, old, now


def _fresh(world: World) -> dict[str, str]:
    """The shapes and types of a state of a world by path."""
    return _state_shapes(jax.eval_shape(engine.reset, world, jax.random.key(0)))


def _state_shapes(state: State) -> dict[str, str]:
    """The shapes and types of a state by path."""
    found, _ = jax.tree_util.tree_flatten_with_path(state)
    return {".".join(map(_key, path)): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in found}
