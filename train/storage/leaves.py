"""The leaves of a state: their bits on the host, a table of them, and digests."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .errors import CheckpointError

Leaf = tuple[str, str, tuple[int, ...]]  # path, dtype, shape
PARAMS = ".params"  # where a runner keeps what is a policy


class Snapshot(NamedTuple):
    """All of a state on the host, apart from whatever happens to the state itself afterwards."""

    table: tuple[Leaf, ...]  # in the order of the tree
    values: list[np.ndarray]  # the bits of each


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed PRNG keys (or its shape)."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def to_host(leaf: Any) -> np.ndarray:
    """The bits of a leaf; a key as the uint32 below it."""
    return np.asarray(jax.device_get(jax.random.key_data(leaf) if is_key(leaf) else leaf))


def leaf_table(tree: Any) -> tuple[Leaf, ...]:
    """Path, dtype and shape of each leaf, in the order of the tree.

    Raises:
        CheckpointError: a leaf is not an array of numbers or keys (a Python number belongs into `meta`).
    """
    table = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path)
        if not hasattr(leaf, "dtype") or (not is_key(leaf) and np.dtype(leaf.dtype).kind in "OSUMm"):
            raise CheckpointError(f"leaf {name} is a {type(leaf).__name__}, not an array of numbers")
        table.append((name, str(leaf.dtype), tuple(leaf.shape)))
    if len({name for name, _, _ in table}) < len(table):
        raise CheckpointError("two leaves of the state have the same path")
    return tuple(table)


def snapshot(state: Any) -> Snapshot:
    """Copy a state to the host. The copy is a true one: on a CPU the host's view of an array is the array itself,
    which the next update may overwrite if it was donated.

    Raises:
        CheckpointError: see `leaf_table`.
    """
    return Snapshot(leaf_table(state), [np.array(to_host(leaf)) for leaf in jax.tree.leaves(state)])


def digest_of(table: Sequence[Leaf], values: Sequence[np.ndarray]) -> str:
    """The sha256 over path, dtype, shape and bytes of all leaves, sorted by path."""
    total = hashlib.sha256()
    for entry, value in sorted(zip(table, values, strict=True), key=lambda pair: pair[0]):
        total.update(json.dumps(entry).encode())
        total.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    return total.hexdigest()


def policy_of(table: Sequence[Leaf], values: Sequence[np.ndarray]) -> str:
    """The hash of the policy in a runner: the digest of its parameters alone; empty where there are none."""
    pairs = [
        ((path.removeprefix(PARAMS), dtype, shape), value)
        for (path, dtype, shape), value in zip(table, values, strict=True)
        if path.startswith(PARAMS)
    ]
    return digest_of([entry for entry, _ in pairs], [value for _, value in pairs]) if pairs else ""


def policy_hash(params: Any) -> str:
    """The hash of a policy: the sha256 over the leaves of its parameters, the same wherever they are kept."""
    return digest_of(leaf_table(params), [to_host(leaf) for leaf in jax.tree.leaves(params)])
