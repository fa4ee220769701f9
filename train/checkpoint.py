"""Checkpoints that survive kill -9, a full disk and flipped bits: one directory per step, its manifest written last.

    store = open_store(run / "checkpoints")
    state, manifest = restore(store, target=jax.eval_shape(init, key))
    rewind(store, manifest.step)      # a killed save may have left something newer than what was restored
    save(store, step, state, meta)    # once it returns the step may be reported or promoted

A step that does not verify is never restored: `latest`, `best` and `restore` report it and take the next one, while a
step asked for by number fails. Writers share a file lock, readers need none. One process, a POSIX file system.
`train/storage/saving.py` saves in the background.
"""

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from .storage import manifest as manifests
from .storage import orbax_step
from .storage.errors import CheckpointError, told_as
from .storage.exchange import sync_tree
from .storage.leaves import Leaf, Snapshot, digest_of, leaf_table, policy_of, snapshot, to_host
from .storage.manifest import Manifest
from .storage.migrations import migrate_leaves

PyTree = Any
Report = Callable[[str], None]

STALE = ".orbax-checkpoint-tmp"  # in the name of all that Orbax has begun and not finished


class Store(NamedTuple):
    """A folder of checkpoints; plain data, nothing to close."""

    folder: Path  # absolute
    keep: int = 3  # newest steps that a rotation leaves
    max_bytes: int = 8 << 30  # per step
    keep_best: int = 0  # steps of the highest scores that a rotation leaves besides


def to_stderr(message: str) -> None:
    """The default `report`: one line on standard error."""
    print(message, file=sys.stderr)


def silent(message: str) -> None:
    """A `report` that says nothing."""


def open_store(folder: Path, keep: int = 3, max_bytes: int = 8 << 30, keep_best: int = 0) -> Store:
    """Open a folder of checkpoints, create it if need be, and clear what a killed save left.

    Args:
        folder: holds one directory per step.
        keep: newest steps to keep, at least 1; the newest two that verify are kept in any case.
        max_bytes: a step larger than this is neither kept nor read.
        keep_best: steps of the highest scores to keep as well; they are not rotated away however old they are.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    if keep < 1:
        raise CheckpointError(f"keep is {keep}, at least 1 checkpoint must be kept")
    store = Store(Path(folder).absolute(), keep, max_bytes, keep_best)
    with told_as(f"cannot write checkpoints into {store.folder}"):
        store.folder.mkdir(parents=True, exist_ok=True)
        with _lock(store.folder):
            _clear_stale(store.folder)
    return store


def save(store: Store, step: int, state: PyTree, meta: dict[str, Any], score: float | None = None) -> Path:
    """Write one step, manifest last, then drop what is not kept; on return all of it is on the disk.

    Args:
        store: from `open_store`.
        step: above every step in the folder; after a rollback call `rewind` first.
        state: NumPy arrays, jax arrays, typed keys, None; any size may be zero, but not all.
        meta: plain JSON, handed back by `verify` and `restore`.
        score: how good the step is, the more the better; None where it is not known.

    Returns:
        The directory of the step.

    Raises:
        CheckpointError: the step was not saved, or an older one not rotated; the steps before are as they were.
    """
    with told_as(f"cannot save step {step} in {store.folder}"):
        taken = snapshot(state)
    return commit(store, step, taken, meta, score)


def commit(store: Store, step: int, taken: Snapshot, meta: dict[str, Any], score: float | None = None) -> Path:
    """`save` for a state that is already on the host, from any thread."""
    path, (table, values) = store.folder / str(step), taken
    with told_as(f"cannot save step {step} in {store.folder}"), _lock(store.folder):
        newest = max(_steps(store.folder), default=-1)
        if step <= newest:
            raise CheckpointError(f"step {step} is not above step {newest} in {store.folder}: call rewind first")
        meta = json.loads(json.dumps(meta, allow_nan=False))
        _clear_stale(store.folder)
        try:
            orbax_step.write(store.folder, step, values)
            sync_tree(path)
            files = manifests.hash_files(path, store.max_bytes)
            who = {"versions": manifests.versions(), "machine": manifests.machine()}
            sums = {"files": files, "digest": digest_of(table, values), "policy": policy_of(table, values)}
            manifests.write(path, Manifest(step, meta, **who, leaves=table, **sums, score=score))
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
        what = "not a plain directory" if os.path.lexists(folder) else "missing"
        raise CheckpointError(f"{folder} is {what} (there: {', '.join(map(str, _steps(store.folder))) or 'none'})")
    with told_as(f"cannot read step {step} in {store.folder}"):
        manifest = manifests.read(folder)
        if manifest.step != step:
            raise CheckpointError(f"{folder / manifests.NAME} belongs to step {manifest.step}")
        manifests.compare_files(folder, manifest, store.max_bytes)
    return manifest


def latest(store: Store, report: Report = to_stderr) -> int | None:
    """The newest step that verifies, or None; each newer one that does not is told to `report`."""
    return next((manifest.step for manifest in _verified(store, report)), None)


def best(store: Store, report: Report = to_stderr) -> int | None:
    """The step of the highest score that verifies, or None if no step has a score."""
    return next((manifest.step for manifest in _verified(store, report, _ranked(store))), None)


def finished(folder: Path) -> list[Path]:
    """The manifests of the steps whose save came to its end, sound or not."""
    return list(folder.glob(f"[0-9]*/{manifests.NAME}"))


def restore(
    store: Store,
    target: PyTree,
    step: int | None = None,
    report: Report = to_stderr,
    agree: Callable[[Manifest], None] = lambda manifest: None,
) -> tuple[PyTree, Manifest]:
    """Load a verified step into the structure of `target`, after comparing each path, dtype and shape.

    Args:
        store: from `open_store`.
        target: arrays, or what `jax.eval_shape` returns; NumPy comes back as NumPy, the rest on the default device.
        step: exactly this one, or None for the newest that verifies.
        report: is told of skipped steps, and of a machine on which training may not resume bit for bit.
        agree: is shown the manifest before anything is loaded, and raises if the step is not what it wants.

    Raises:
        CheckpointError: the named step does not verify, or none does, or the target differs (first five leaves named).
    """
    manifest = verify(store, step) if step is not None else next(_verified(store, report), None)
    if manifest is None:
        raise CheckpointError(f"no step in {store.folder} verifies (found {_steps(store.folder) or 'none'})")
    agree(manifest)
    table = leaf_table(target)
    if manifest.schema == manifests.SCHEMA:
        manifests.compare_leaves(manifest, table)
    with told_as(f"cannot restore step {manifest.step} from {store.folder}"):
        stored, manifest = _load(store, manifest, target)
        manifests.compare_leaves(manifest, table)
        paths, structure = jax.tree_util.tree_flatten_with_path(target)
        named = [(jax.tree_util.keystr(path), like) for path, like in paths]
        state = structure.unflatten([orbax_step.as_leaf(stored[name], like) for name, like in named])
        values = [to_host(leaf) for leaf in jax.tree.leaves(state)]
        if digest_of(table, values) != manifest.digest or policy_of(table, values) != manifest.policy:
            raise CheckpointError(f"step {manifest.step} in {store.folder}: the restored state has another digest")
    if changed := manifests.differences(manifest):
        report(f"step {manifest.step} may not resume bit for bit: {'; '.join(changed)}")
    return state, manifest


def _load(store: Store, manifest: Manifest, target: PyTree) -> tuple[dict[str, Any], Manifest]:
    """The bits of a step by path, and its manifest; both migrated if they are of an older schema."""
    folder = store.folder / str(manifest.step)
    if manifest.schema == manifests.SCHEMA:
        leaves = jax.tree_util.tree_leaves_with_path(target)
        blanks = {jax.tree_util.keystr(path): orbax_step.blank(leaf) for path, leaf in leaves}
        return orbax_step.read(folder, manifest, blanks), manifest
    found = orbax_step.read(folder, manifest, orbax_step.blanks_of(manifest.leaves, store.max_bytes))
    if digest_of(manifest.leaves, [found[name] for name, _, _ in manifest.leaves]) != manifest.digest:
        raise CheckpointError(f"step {manifest.step} in {store.folder}: the restored state has another digest")
    old = {name: (dtype, found[name]) for name, dtype, _ in manifest.leaves}
    stored = migrate_leaves(manifest.schema, old, manifests.SCHEMA)
    table, values = _tabled(stored), [value for _, value in stored.values()]
    sums = {"digest": digest_of(table, values), "policy": policy_of(table, values)}
    migrated = replace(manifest, leaves=table, schema=manifests.SCHEMA, **sums)
    return {name: value for name, (_, value) in stored.items()}, migrated


def _tabled(stored: dict[str, tuple[str, Any]]) -> tuple[Leaf, ...]:
    """The table of stored leaves; the last axis of a key's bits is not one of the key."""
    shapes = {
        name: value.shape[:-1] if dtype in orbax_step.WORDS else value.shape for name, (dtype, value) in stored.items()
    }
    return tuple((name, dtype, tuple(shapes[name])) for name, (dtype, _) in stored.items())


def rewind(store: Store, step: int) -> None:
    """Delete all steps newer than `step` (-1: all), verified or not, so that training may save them anew."""
    with told_as(f"cannot rewind {store.folder} to step {step}"), _lock(store.folder):
        for newer in reversed(_steps(store.folder)):
            if newer > step:
                _remove(store.folder / str(newer))


def _steps(folder: Path) -> list[int]:
    """Every step in the folder, oldest first, sound or not."""
    with told_as(f"cannot list {folder}"):
        names = [path.name for path in folder.iterdir()]
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def _verified(store: Store, report: Report, steps: Iterable[int] | None = None) -> Iterator[Manifest]:
    """The manifests of the steps that verify, newest first, or in the order of `steps`."""
    for step in reversed(_steps(store.folder)) if steps is None else steps:
        try:
            yield verify(store, step)
        except CheckpointError as error:
            report(f"checkpoint step {step} skipped: {error}")


def _ranked(store: Store) -> list[int]:
    """The steps that have a score, the highest first and the newer of two equals; only manifests are read."""
    scores = {}
    for step in _steps(store.folder):
        with contextlib.suppress(CheckpointError, OSError):
            scores[step] = manifests.read(store.folder / str(step)).score
    known = [(score, step) for step, score in scores.items() if score is not None]
    return [step for _, step in sorted(known, reverse=True)]


def _rotate(store: Store) -> None:
    """Delete the steps beyond `keep`, oldest first, but never the newest two nor the best ones that verify."""
    surplus = _steps(store.folder)[: -store.keep]
    if surplus:
        newest = itertools.islice(_verified(store, to_stderr), 2)
        ranked = itertools.islice(_verified(store, silent, _ranked(store)), store.keep_best)
        spared = {manifest.step for manifest in itertools.chain(newest, ranked)}
        for step in sorted(set(surplus) - spared):
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
