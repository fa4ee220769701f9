"""Checkpoints that survive kill -9, a full disk and flipped bits: one directory per step, its manifest written last.

    store = open_store(run / "checkpoints")
    state, manifest = restore(store, target=jax.eval_shape(init, key))
    rewind(store, manifest.step)      # a killed save may have left something newer than what was restored
    save(store, step, state, meta)    # once it returns the step may be reported or promoted

A step that does not verify is never restored: `latest` and `restore` report it and take the next older one, while a
step asked for by number fails. Writers share a file lock, readers need none. One process, a POSIX file system.
"""

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from train import manifest as manifests
from train.manifest import CheckpointError, Manifest, digest_of, is_key, leaf_table, to_host, told_as

PyTree = Any
Report = Callable[[str], None]

STALE = ".orbax-checkpoint-tmp"  # in the name of all that Orbax has begun and not finished


class Store(NamedTuple):
    """A folder of checkpoints; plain data, nothing to close."""

    folder: Path
    keep: int  # newest steps that a rotation leaves
    max_bytes: int  # per step


def to_stderr(message: str) -> None:
    """The default `report`: one line on standard error."""
    print(message, file=sys.stderr)


def open_store(folder: Path, keep: int = 3, max_bytes: int = 8 << 30) -> Store:
    """Open a folder of checkpoints, create it if need be, and clear what a killed save left.

    Args:
        folder: holds one directory per step.
        keep: newest steps to keep, at least 1; the newest two that verify are kept in any case.
        max_bytes: a step larger than this is neither kept nor read.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    if keep < 1:
        raise CheckpointError(f"keep is {keep}, at least 1 checkpoint must be kept")
    store = Store(Path(folder).absolute(), keep, max_bytes)
    with told_as(f"cannot write checkpoints into {store.folder}"):
        store.folder.mkdir(parents=True, exist_ok=True)
        with _lock(store.folder):
            _clear_stale(store.folder)
    return store


def save(store: Store, step: int, state: PyTree, meta: dict[str, Any]) -> Path:
    """Write one step, manifest last, then drop the steps beyond `keep`; on return all of it is on the disk.

    Args:
        store: from `open_store`.
        step: above every step in the folder; after a rollback call `rewind` first.
        state: NumPy arrays, jax arrays, typed keys, None; any size may be zero, but not all.
        meta: plain JSON, handed back by `verify` and `restore`.

    Returns:
        The directory of the step.

    Raises:
        CheckpointError: the step was not saved, or an older one not rotated; the steps before are as they were.
    """
    path = store.folder / str(step)
    with told_as(f"cannot save step {step} in {store.folder}"), _lock(store.folder):
        newest = max(_steps(store.folder), default=-1)
        if step <= newest:
            raise CheckpointError(f"step {step} is not above step {newest} in {store.folder}: call rewind first")
        table, meta = leaf_table(state), json.loads(json.dumps(meta, allow_nan=False))
        _clear_stale(store.folder)
        try:
            values = [to_host(leaf) for leaf in jax.tree.leaves(state)]
            _save_orbax(store.folder, step, {str(i): value for i, value in enumerate(values) if value.size})
            manifests.sync_tree(path)
            files = manifests.hash_files(path, store.max_bytes)
            who = {"versions": manifests.versions(), "machine": manifests.machine()}
            manifests.write(
                path, Manifest(step, meta, **who, leaves=table, files=files, digest=digest_of(table, values))
            )
        except Exception:
            _clear_stale(store.folder)
            _remove(path)
            raise
        _rotate(store)
    return path


def verify(store: Store, step: int) -> Manifest:
    """Recompute every hash of a step and return its manifest.

    Raises:
        CheckpointError: names the file and what differs.
    """
    folder = store.folder / str(step)
    if folder.is_symlink() or not folder.is_dir():
        raise CheckpointError(f"{folder} is {'not a plain directory' if os.path.lexists(folder) else 'missing'}")
    with told_as(f"cannot read step {step} in {store.folder}"):
        manifest = manifests.read(folder)
        if manifest.step != step:
            raise CheckpointError(f"{folder / manifests.NAME} belongs to step {manifest.step}")
        manifests.compare_files(folder, manifest, store.max_bytes)
    return manifest


def latest(store: Store, report: Report = to_stderr) -> int | None:
    """The newest step that verifies, or None; each newer one that does not is told to `report`."""
    return next((manifest.step for manifest in _verified(store, report)), None)


def restore(
    store: Store, target: PyTree, step: int | None = None, report: Report = to_stderr
) -> tuple[PyTree, Manifest]:
    """Load a verified step into the structure of `target`, after comparing each path, dtype and shape.

    Args:
        store: from `open_store`.
        target: arrays, or what `jax.eval_shape` returns; NumPy comes back as NumPy, the rest on the default device.
        step: exactly this one, or None for the newest that verifies.
        report: is told of skipped steps, and of a machine on which training may not resume bit for bit.

    Raises:
        CheckpointError: the named step does not verify, or none does, or the target differs (first five leaves named).
    """
    manifest = verify(store, step) if step is not None else next(_verified(store, report), None)
    if manifest is None:
        raise CheckpointError(f"no step in {store.folder} verifies (found {_steps(store.folder) or 'none'})")
    table = leaf_table(target)
    manifests.compare_leaves(manifest, table)
    with told_as(f"cannot restore step {manifest.step} from {store.folder}"):
        state = _restore_orbax(store.folder / str(manifest.step) / "state", manifest, target)
        if digest_of(table, [to_host(leaf) for leaf in jax.tree.leaves(state)]) != manifest.digest:
            raise CheckpointError(f"step {manifest.step} in {store.folder}: the restored state has another digest")
    if changed := manifests.differences(manifest):
        report(f"step {manifest.step} may not resume bit for bit: {'; '.join(changed)}")
    return state, manifest


def rewind(store: Store, step: int) -> None:
    """Delete all steps newer than `step` (-1: all), verified or not, so that training may save them anew."""
    with told_as(f"cannot rewind {store.folder} to step {step}"), _lock(store.folder):
        for newer in reversed(_steps(store.folder)):
            if newer > step:
                _remove(store.folder / str(newer))


def _save_orbax(folder: Path, step: int, items: dict[str, np.ndarray]) -> None:
    """One synchronous save; the manager is fresh, as one that saw a save fail still counts that step."""
    options = ocp.CheckpointManagerOptions(max_to_keep=None, create=False, enable_async_checkpointing=False)
    with contextlib.closing(ocp.CheckpointManager(folder, options=options)) as manager:
        if not manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(items))):
            raise CheckpointError(f"Orbax declined to save step {step} in {folder}")
        manager.wait_until_finished()


def _restore_orbax(folder: Path, manifest: Manifest, target: PyTree) -> PyTree:
    """Read the leaves back; the empty ones, which Orbax refuses, are made from the shape alone."""
    index = {name: str(i) for i, (name, _, _) in enumerate(manifest.leaves)}
    paths, structure = jax.tree_util.tree_flatten_with_path(target)
    leaves = {index[jax.tree_util.keystr(path)]: leaf for path, leaf in paths}
    blanks = {name: _blank(leaf) for name, leaf in leaves.items()}
    with contextlib.closing(ocp.StandardCheckpointer()) as reader:
        items = reader.restore(folder, {name: blank for name, blank in blanks.items() if blank.size})
    return structure.unflatten(_as_leaf({**blanks, **items}[name], leaf) for name, leaf in leaves.items())


def _blank(leaf: Any) -> np.ndarray:
    """Untouched host memory with the dtype and shape in which a leaf is stored."""
    stored = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
    return np.empty(stored.shape, stored.dtype)


def _as_leaf(value: np.ndarray, like: Any) -> Any:
    """Stored bits as what the target holds there: a key, a NumPy or a jax array; copied, jax may alias host memory."""
    if is_key(like):
        impl = []  # only a traced key tells its implementation without private names
        jax.eval_shape(lambda key: impl.append(jax.random.key_impl(key)), like)
        return jax.random.wrap_key_data(jnp.array(value), impl=impl[0])
    if isinstance(like, np.ndarray | np.generic):
        return np.array(value)
    weak = getattr(like, "weak_type", False) and value.ndim == 0  # made strong, it would promote its neighbours
    return jnp.asarray(value.item()) if weak else jnp.array(value)


def _steps(folder: Path) -> list[int]:
    """Every step in the folder, oldest first, sound or not."""
    with told_as(f"cannot list {folder}"):
        names = [path.name for path in folder.iterdir()]
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def _verified(store: Store, report: Report) -> Iterator[Manifest]:
    """The manifests of the steps that verify, newest first."""
    for step in reversed(_steps(store.folder)):
        try:
            yield verify(store, step)
        except CheckpointError as error:
            report(f"checkpoint step {step} skipped: {error}")


def _rotate(store: Store) -> None:
    """Delete the steps beyond `keep`, oldest first, but never the newest two that verify."""
    surplus = _steps(store.folder)[: -store.keep]
    if surplus:
        proven = {manifest.step for manifest in itertools.islice(_verified(store, to_stderr), 2)}
        for step in sorted(set(surplus) - proven):
            _remove(store.folder / str(step))


def _remove(path: Path) -> None:
    """Delete a step; renamed first, so that no half of it is ever taken for a step."""
    if os.path.lexists(path):
        path.rename(path.with_name(f"{path.name}{STALE}-deleted"))
        _clear_stale(path.parent)


def _clear_stale(folder: Path) -> None:
    """Delete what killed saves and deletions left; only under the lock."""
    for path in folder.glob(f"*{STALE}*"):
        path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """The sole right to change the folder, waited for; the kernel takes it back from a process that dies."""
    with open(folder / ".lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
