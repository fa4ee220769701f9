"""One number for a whole state, the same on every machine."""

import hashlib

import jax
import numpy as np

from ..types import State


def digest(state: State) -> str:
    """The sha256 of a state's leaves: paths, types, shapes and bytes (little-endian).

    Args:
        state: one town, or a batch; arrays may live on any device.

    Returns:
        64 hexadecimal digits.
    """
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        array = np.asarray(leaf)
        little = array.astype(array.dtype.newbyteorder("<"), order="C")
        total.update(f"{jax.tree_util.keystr(path)} {little.dtype.str} {little.shape}\n".encode())
        total.update(little.tobytes())
    return total.hexdigest()
