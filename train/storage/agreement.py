"""Whether a checkpoint was made by a run like the one that wants it."""

from itertools import zip_longest
from typing import Any

from .errors import CheckpointError

LATER = ("teacher",)  # not known of older checkpoints, and not held against them


def agree(mine: dict[str, Any], its: dict[str, Any], what: str) -> None:
    """Compare the identity of a checkpoint with that of a run.

    Args:
        mine: the identity of the run that wants to use it, of `runs.identity`.
        its: the identity of the checkpoint.
        what: the checkpoint, in words.

    Raises:
        CheckpointError: they differ; it says in what.
    """
    differs = [name for name in mine if mine[name] != its.get(name) and (name in its or name not in LATER)]
    if differs:
        raise CheckpointError(
            f"{what} was made with another {', '.join(differs)}: "
            + "; ".join(_difference(name, its.get(name), mine[name]) for name in differs)[:400]
        )


def _difference(name: str, its: Any, mine: Any) -> str:
    if isinstance(its, dict) and isinstance(mine, dict):
        keys = [key for key in sorted({*its, *mine}) if its.get(key) != mine.get(key)]
        return ", ".join(f"{key} was {its.get(key)!r}, is {mine.get(key)!r}" for key in keys)
    if isinstance(its, list) and isinstance(mine, list):
        pairs = [(a, b) for a, b in zip_longest(its, mine) if a != b]
        return f"{name}: {pairs[0][0]!r} was, {pairs[0][1]!r} is, the first of {len(pairs)}"
    return f"{name} was {its!r}, is {mine!r}"
