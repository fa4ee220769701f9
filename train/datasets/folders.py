"""The folder of a dataset that is being written: begun, gone on with, and added to, shard by shard."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..storage.exchange import PART
from ..storage.manifest import now, versions
from .dataset import manifests, open_dataset
from .npz import Arrays, DatasetError, write_arrays, write_text
from .shards import MANIFEST, METRICS, SCHEMA, WORLD, Manifest, Metadata, Sample, Schema, write_manifest


class Origin(NamedTuple):
    """Where the towns of a capture come from."""

    seed: int
    policy: str
    policy_hash: str
    actions: str  # that the policy may take: options, primitives or all
    reward_scale: float  # of the rewards in which its values are


class Book(NamedTuple):
    """A dataset that is being written."""

    folder: Path
    prefix: str
    schema: Schema
    manifest: Manifest
    metrics: dict[str, Any]  # of each sample


def hash_of_policy(policy: Callable[..., Any]) -> str:
    """The sha256 of the file in which a policy is written."""
    return hashlib.sha256(Path(inspect.getfile(policy)).read_bytes()).hexdigest()


def start(folder: Path, prefix: str, schema: Schema, world: str, origin: Origin, append: bool) -> Book:
    """Begin a dataset, or go on with one; what a killed capture left half-written is removed.

    Args:
        folder: exists.
        prefix: of the names of files.
        schema: of what will be added.
        world: its YAML, resolved.
        origin: of what will be added.
        append: whether to go on with what is there.

    Returns:
        The book, with a manifest on the disk.

    Raises:
        DatasetError: there is a dataset and `append` is off, or there is none and it is on, or it is damaged or of another schema.
    """
    there = manifests(folder)
    if append and not there:
        raise DatasetError(f"{folder} holds no dataset to add to: leave out --append")
    if there and not append:
        raise DatasetError(f"{folder} already holds a dataset: add to it with --append or choose another --out")
    for path in folder.glob(f"*{PART}"):
        if path.is_file():
            path.unlink()
    if append:
        return _again(folder, prefix, schema, origin)
    files = {
        SCHEMA: write_text(folder / SCHEMA, schema.model_dump_json(indent=1)),
        WORLD: write_text(folder / WORLD, world),
    }
    manifest = Manifest(metadata=_metadata(schema, origin), files=files, next_town={})
    write_manifest(folder / f"{prefix}{MANIFEST}", manifest)
    return Book(folder, prefix, schema, manifest, {})


def _again(folder: Path, prefix: str, schema: Schema, origin: Origin) -> Book:
    dataset = open_dataset(folder)
    told = [f"its prefix is {dataset.prefix!r}, not {prefix!r}"] if dataset.prefix != prefix else []
    for name in Schema.model_fields:
        its, mine = getattr(dataset.schema, name), getattr(schema, name)
        long = isinstance(its, dict) or (isinstance(its, tuple) and len(its) > 8)
        told += [] if its == mine else [f"another {name}" if long else f"its {name} is {its}, not {mine}"]
    if told:
        raise DatasetError(f"{folder} cannot be added to: {'; '.join(told)}")
    try:
        found = json.loads((folder / f"{prefix}{METRICS}").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # lost or damaged: a report, made anew for what is added
        found = {}
    listed = [sample.sample for sample in dataset.manifest.samples]
    kept = {name: found[name] for name in listed if name in found} if isinstance(found, dict) else {}
    manifest = dataset.manifest.model_copy(update={"metadata": _metadata(schema, origin)})
    return Book(folder, prefix, schema, manifest, kept)


def _metadata(schema: Schema, origin: Origin) -> Metadata:
    return Metadata(
        config_id=schema.config_id,
        world=schema.world,
        world_version=schema.world_version,
        ticks=schema.timesteps * schema.ticks_per_decision,
        seed=origin.seed,
        policy=origin.policy,
        policy_hash=origin.policy_hash,
        timestamp=now(),
        versions=versions(),
    )


def add(
    book: Book, origin: Origin, arrays: Arrays, metrics: Mapping[str, float | int], next_town: int, compress: bool
) -> Book:
    """Write a shard, its metrics, and then the manifest that lists it; of a shard without towns only the manifest.

    Args:
        book: as it stands.
        origin: of the shard.
        arrays: of the shard, see `shards.KEYS`.
        metrics: of the shard.
        next_town: number of the first town of the seed that was not played.
        compress: whether to compress the arrays.

    Returns:
        The book with the shard in it.

    Raises:
        DatasetError: the disk refuses.
    """
    its, towns, samples, told = book.schema, len(arrays["towns"]), book.manifest.samples, book.metrics
    if towns:
        name = f"{book.prefix}_{len(samples):05d}.npz"
        size, sha256 = write_arrays(book.folder / name, arrays, compress)
        one = Sample(
            sample=name,
            bytes=size,
            sha256=sha256,
            towns=towns,
            timesteps=its.timesteps,
            frame_count=its.timesteps * towns * len(its.agents),
            seed=origin.seed,
            policy=origin.policy,
            policy_hash=origin.policy_hash,
            actions=origin.actions,
            reward_scale=origin.reward_scale,
            timestamp=now(),
        )
        samples, told = (*samples, one), {**told, name: dict(metrics)}
        write_text(book.folder / f"{book.prefix}{METRICS}", json.dumps(told, indent=1, allow_nan=False))
    played = {**book.manifest.next_town, str(origin.seed): next_town}
    manifest = book.manifest.model_copy(update={"samples": samples, "next_town": played})
    write_manifest(book.folder / f"{book.prefix}{MANIFEST}", manifest)
    return book._replace(manifest=manifest, metrics=told)
