"""How a broken promise is said, and how trees are named and compared."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np


class WorldError(AssertionError):
    """A world breaks a rule.

    Attributes:
        rule: the name of the rule.
        path: the leaf, system or field concerned, dotted.
    """

    def __init__(self, rule: str, path: str, detail: str = ""):
        self.rule, self.path = rule, path
        super().__init__(f"[{rule}] {path}" + (f": {detail}" if detail else ""))


def dotted(path: tuple[Any, ...]) -> str:
    """A path of `jax.tree_util` as words with dots between them, such as `slots.economy.ledger`."""
    words = [getattr(key, "name", getattr(key, "key", getattr(key, "idx", key))) for key in path]
    return ".".join(str(word) for word in words)


def leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by dotted path."""
    return {dotted(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def within(path: str, parts: tuple[str, ...]) -> bool:
    """Whether a dotted path is one of the parts or lies below one."""
    return any(path == part or path.startswith(f"{part}.") for part in parts)


def differences(one: Any, other: Any) -> Iterator[str]:
    """The dotted paths at which two trees of arrays differ in type, shape or bytes."""
    left, right = leaves(one), leaves(other)
    for path in {**left, **right}:
        if path not in left or path not in right:
            yield path
            continue
        a, b = np.asarray(left[path]), np.asarray(right[path])
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
            yield path


def same(rule: str, one: Any, other: Any, detail: str) -> None:
    """Raise a `WorldError` that names the first leaf in which two trees differ."""
    for path in differences(one, other):
        raise WorldError(rule, path, detail)
