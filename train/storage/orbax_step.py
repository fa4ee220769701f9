"""What Orbax does for a checkpoint: write the bits of a state into a step directory, and read them back."""

import contextlib
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from .errors import CheckpointError
from .leaves import Leaf, is_key
from .manifest import Manifest

ITEM = "state"
WORDS = {"key<fry>": 2, "key<rbg>": 4, "key<urbg>": 4}  # uint32 below a key


def write(folder: Path, step: int, values: list[np.ndarray]) -> None:
    """One synchronous save; the manager is fresh, as one that saw a save fail still counts that step. Empty leaves are
    left out, since Orbax refuses them.

    Raises:
        CheckpointError: Orbax declined.
    """
    items = {str(i): value for i, value in enumerate(values) if value.size}
    options = ocp.CheckpointManagerOptions(
        max_to_keep=None, create=False, enable_async_checkpointing=False, multiprocessing_options=alone()
    )
    with contextlib.closing(ocp.CheckpointManager(folder, options=options)) as manager:
        if not manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(items))):
            raise CheckpointError(f"Orbax declined to save step {step} in {folder}")
        manager.wait_until_finished()


def alone() -> ocp.options.MultiprocessingOptions:
    """Wait for no other process: only the first one saves, and each one reads for itself."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(index, {index}, f"process_{index}")


def read(folder: Path, manifest: Manifest, blanks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The bits of the leaves of a step, by path.

    Args:
        folder: of the step.
        manifest: of the step.
        blanks: path -> an array of the dtype and shape in which the leaf is stored; empty ones come back as they are.
    """
    index = {name: str(i) for i, (name, _, _) in enumerate(manifest.leaves)}
    wanted = {index[name]: blank for name, blank in blanks.items() if blank.size}
    with contextlib.closing(ocp.StandardCheckpointer(multiprocessing_options=alone())) as reader:
        items = reader.restore(folder / ITEM, wanted)
    return {name: items.get(index[name], blank) for name, blank in blanks.items()}


def blank(leaf: Any) -> np.ndarray:
    """Untouched host memory with the dtype and shape in which a leaf is stored."""
    stored = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
    return np.empty(stored.shape, stored.dtype)


def blanks_of(table: tuple[Leaf, ...], max_bytes: int) -> dict[str, np.ndarray]:
    """The same for all leaves of a manifest, of which no target is known.

    Raises:
        CheckpointError: they need more than `max_bytes`, or a dtype is unknown.
    """
    stored = {}
    for name, dtype, shape in table:
        if dtype.startswith("key<") and dtype not in WORDS:
            raise CheckpointError(f"leaf {name} is a {dtype}, which is not known here")
        words = (WORDS[dtype],) if dtype in WORDS else ()
        stored[name] = jnp.dtype("uint32" if words else dtype), (*shape, *words)
    size = sum(kind.itemsize * math.prod(shape) for kind, shape in stored.values())
    if size > max_bytes:
        raise CheckpointError(f"the state needs {size} bytes, the limit is {max_bytes}")
    return {name: np.empty(shape, kind) for name, (kind, shape) in stored.items()}


def as_leaf(value: np.ndarray, like: Any) -> Any:
    """Stored bits as what the target holds there: a key, a NumPy or a jax array; copied, jax may alias host memory."""
    if is_key(like):
        impl = []  # only a traced key tells its implementation without private names
        jax.eval_shape(lambda key: impl.append(jax.random.key_impl(key)), like)
        return jax.random.wrap_key_data(jnp.array(value), impl=impl[0])
    if isinstance(like, np.ndarray | np.generic):
        return np.array(value)
    weak = getattr(like, "weak_type", False) and value.ndim == 0  # made strong, it would promote its neighbours
    return jnp.asarray(value.item()) if weak else jnp.array(value)
