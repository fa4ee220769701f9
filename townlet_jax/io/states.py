"""A state as bytes, and back: for snapshots between ticks. Nothing is pickled, and what does not fit is refused."""

import io
import json
import zipfile
from typing import Any

import jax
import numpy as np

from ..types import State, World
from .digest import digest

FORMAT = 1


def to_bytes(world: World, state: State) -> bytes:
    """A state, or a batch of them, as an npz archive with a JSON header.

    Args:
        world: the world that it belongs to.
        state: arrays on any device.
    """
    state = jax.device_get(state)
    leaves = jax.tree_util.tree_leaves_with_path(state)
    header = {"format": FORMAT, "config_id": world.static.config_id, "digest": digest(state)}
    header["leaves"] = [jax.tree_util.keystr(path) for path, _ in leaves]
    arrays = {f"leaf{i}": np.asarray(leaf) for i, (_, leaf) in enumerate(leaves)}
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return buffer.getvalue()


def from_bytes(world: World, like: State, data: bytes) -> State:
    """The state that `to_bytes` wrote.

    Args:
        world: the world in which it shall live.
        like: a state of this world, of the same batch; only its structure, shapes and types count.
        data: as `to_bytes` returns it.

    Returns:
        The same state, as numpy arrays.

    Raises:
        ValueError: the bytes are damaged, of another format, of another configuration, or do not fit `like`.
    """
    try:
        header, leaves = _read(data)
    except (ValueError, LookupError, OSError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a readable state: {error}") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"a state of format {header.get('format')}, allowed is {FORMAT}")
    if header.get("config_id") != world.static.config_id:
        mine = world.static.config_id
        raise ValueError(f"a state of the configuration {header.get('config_id')}, this world has {mine}")
    wanted = jax.tree_util.tree_leaves_with_path(like)
    for (path, leaf), name, array in zip(wanted, header["leaves"], leaves, strict=False):
        place = jax.tree_util.keystr(path)
        if (place, leaf.shape, np.dtype(leaf.dtype)) != (name, array.shape, array.dtype):
            raise ValueError(
                f"the state has {name} {array.dtype}{list(array.shape)}, wanted is {place} {leaf.dtype}{list(leaf.shape)}"
            )
    if len(wanted) != len(leaves):
        raise ValueError(f"the state has {len(leaves)} leaves, wanted are {len(wanted)}")
    state = jax.tree.unflatten(jax.tree.structure(like), leaves)
    if digest(state) != header.get("digest"):
        raise ValueError("the state does not have the digest that was written with it: it was damaged or edited")
    return state


def _read(data: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The header and the leaves of an archive."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        header = json.loads(bytes(file["header"]))
        return header, [file[f"leaf{i}"] for i in range(len(header["leaves"]))]
