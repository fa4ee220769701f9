"""No update that breaks the learner is kept: one that ends in NaN or infinity anywhere is undone on the device."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .types import Array

Metrics = dict[str, Array]


def finite(tree: Any) -> Array:
    """Whether all floats in a tree are finite: bool[]."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all() if leaves else jnp.bool_(True)


def guarded(
    update: Callable[[Any], tuple[Any, Metrics]],
) -> Callable[[Any], tuple[Any, Metrics, dict[str, Array]]]:
    """An update that is refused if anything in its outcome is not finite.

    Args:
        update: runner -> (runner, metrics), pure; the runner is a struct.

    Returns:
        runner -> (runner, metrics, sound {term: bool[]}): one term for each metric, and one for each field of the runner. Unless
        all are sound the runner is the one that was given, whole: parameters, optimiser, towns, counters and keys.
    """

    def checked(runner: Any) -> tuple[Any, Metrics, dict[str, Array]]:
        after, metrics = update(runner)
        fields = {name: finite(getattr(after, name)) for name in after.__dataclass_fields__}
        sound = {**{name: finite(value) for name, value in metrics.items()}, **fields}
        keep = jnp.stack(list(sound.values())).all()
        return jax.tree.map(lambda new, old: jnp.where(keep, new, old), after, runner), metrics, sound

    return checked


def complaint(update: int, metrics: Mapping[str, Any], sound: Mapping[str, Any]) -> str:
    """One line that says what was not finite in an update, or nothing if all was.

    Args:
        update: the number of the update that was tried.
        metrics: of it, on the host.
        sound: of it, on the host.
    """
    wrong = [name for name, fine in sound.items() if not fine]
    if not wrong:
        return ""
    measures: dict[str, list[str]] = {}
    for name in wrong:
        measures.setdefault(str(float(metrics[name])) if name in metrics else "not finite", []).append(name)
    told = "; ".join(f"{', '.join(names)}: {value}" for value, names in measures.items())
    advice = "a smaller learning_rate or reward_scale may help"
    return f"update {update} is refused ({told}); the learner is as it was after update {update - 1}; {advice}"
