"""Datasets that `train.capture` wrote: validated, split by town, and streamed in batches of towns.

    dataset = open_dataset("data/town", world)
    learns, held_out = split(dataset, 0.1)
    for batch in batches(learns, num_towns=64, seed=0, epochs=4):
        seen, actions = observation(batch), batch["actions"]   # [T, 64, A, ...]

No more than two shards are in memory at a time.
"""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from townlet_jax.config.load import read_yaml
from townlet_jax.types import Observation, World
from townlet_jax.worlds import compile_document

from .npz import Arrays, DatasetError, read_arrays
from .record import keep_towns
from .shards import (
    MANIFEST,
    MAX_SHARD,
    SCHEMA,
    WORLD,
    Manifest,
    Sample,
    Schema,
    declared,
    read_manifest,
    read_schema,
    schema_of,
    shard_bytes,
)


class Dataset(NamedTuple):
    """A folder of shards, or the part of it that a split gave; plain data, nothing to close."""

    folder: Path
    prefix: str
    schema: Schema
    manifest: Manifest
    picks: tuple[np.ndarray, ...]  # of each sample, the positions of the towns that belong to this part

    @property
    def num_towns(self) -> int:
        """Towns of this part."""
        return sum(len(pick) for pick in self.picks)


def open_dataset(folder: str | Path, world: World | None = None) -> Dataset:
    """Open a dataset. Every file is read once, to compare its sha256 with the manifest.

    Args:
        folder: that `python -m train.capture --out` named.
        world: in which something is to be learned from it; None if that does not matter.

    Raises:
        DatasetError: there is none, a file is damaged (it is named), or it was captured in a world with other features or actions.
    """
    folder = Path(folder)
    found = manifests(folder)
    if len(found) != 1:
        told = f"{len(found)} of them are there" if found else "there is none"
        raise DatasetError(f"{folder} holds no dataset: one <prefix>{MANIFEST} is expected, {told}")
    manifest, prefix = read_manifest(found[0]), found[0].name.removesuffix(MANIFEST)
    if {*manifest.files} != {SCHEMA, WORLD}:
        raise DatasetError(f"{found[0]} is damaged: it lists {', '.join(manifest.files)}, not {SCHEMA} and {WORLD}")
    for name, (size, sha) in manifest.files.items():
        compare(folder / name, size, sha)
    schema = read_schema(folder / SCHEMA)
    names = [sample.sample for sample in manifest.samples]
    if len({*names}) < len(names):
        raise DatasetError(f"{found[0]} is damaged: it lists a sample twice")
    for sample in manifest.samples:
        _bounded(folder, schema, sample)
        compare(folder / sample.sample, sample.bytes, sample.sha256)
    dataset = Dataset(folder, prefix, schema, manifest, tuple(np.arange(sample.towns) for sample in manifest.samples))
    if world is not None:
        fits(dataset, world)
    return dataset


def manifests(folder: Path) -> list[Path]:
    """The manifests in a folder."""
    return sorted(folder.glob(f"*{MANIFEST}"))


def compare(path: Path, size: int, sha256: str) -> None:
    """Compare a file with what the manifest says of it.

    Raises:
        DatasetError: it is missing, no plain file, or differs.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise DatasetError(f"{path} is {'no plain file' if path.exists() or path.is_symlink() else 'missing'}")
        found = path.stat().st_size
        if found != size:
            raise DatasetError(f"{path} is damaged: it has {found} bytes, the manifest says {size}")
        with path.open("rb") as file:
            its = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from None
    if its != sha256:
        raise DatasetError(f"{path} is damaged: its sha256 is {its[:12]}, the manifest says {sha256[:12]}")


def _bounded(folder: Path, schema: Schema, sample: Sample) -> None:
    if sample.timesteps != schema.timesteps:
        said = f"{sample.timesteps} timesteps, {SCHEMA} says {schema.timesteps}"
        raise DatasetError(f"{folder / sample.sample} is damaged: the manifest says {said}")
    size = shard_bytes(schema, sample.towns)
    if size > MAX_SHARD:
        raise DatasetError(f"{folder / sample.sample} claims {size} bytes in memory, the limit is {MAX_SHARD}")


def fits(dataset: Dataset, world: World) -> None:
    """Refuse a dataset whose features, map or actions are not those of a world; other prices and rates are allowed.

    Raises:
        DatasetError: names what differs, and of a list its first difference.
    """
    its = dataset.schema
    mine = schema_of(world, its.ticks_per_decision, its.gamma, its.timesteps, tuple(range(its.num_agents)))
    lists = {
        "features": (its.feature_names, mine.feature_names),
        "layers": (its.layer_names, mine.layer_names),
        "actions": tuple(tuple(sorted(one.action_lookup, key=one.action_lookup.__getitem__)) for one in (its, mine)),
    }
    told = [_differs(name, *pair) for name, pair in lists.items() if pair[0] != pair[1]]
    for name in ("num_agents", "map_shape"):
        was, here = getattr(its, name), getattr(mine, name)
        told += [f"{name} was {was}, is {here}"] if was != here else []
    if told:
        where = f"{dataset.folder} was captured in another world ({its.world}, {its.variant})"
        raise DatasetError(f"{where} than {mine.world}, {mine.variant}: {'; '.join(told)}")


def _differs(name: str, its: tuple[str, ...], mine: tuple[str, ...]) -> str:
    pairs = enumerate(zip_longest(its, mine, fillvalue="nothing"))
    place, (was, here) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    return f"{len(its)} {name} there, {len(mine)} here, and number {place} was {was!r}, is {here!r}"


def world_of(dataset: Dataset) -> World:
    """The world in which a dataset was captured, compiled from its own YAML."""
    return compile_document(read_yaml(dataset.folder / WORLD))


def load_sample(dataset: Dataset, number: int) -> Arrays:
    """The arrays of one sample, those of this part's towns: `shards.KEYS` says what they are.

    Raises:
        DatasetError: the file is damaged; it is named.
    """
    sample, pick = dataset.manifest.samples[number], dataset.picks[number]
    arrays = read_arrays(dataset.folder / sample.sample, declared(dataset.schema, sample.towns))
    return arrays if len(pick) == sample.towns else keep_towns(arrays, pick)


def split(dataset: Dataset, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Two parts without a town in common: what to learn from, and what is held out.

    Args:
        dataset: of at least two towns.
        share: of the towns that are held out; at least one is, and one is not.
        seed: of the choice.

    Raises:
        DatasetError: the share is no share, or there are too few towns.
    """
    total = dataset.num_towns
    if not 0 < share < 1 or total < 2:
        raise DatasetError(
            f"{share} of {total} towns cannot be held out (a share between 0 and 1, of at least 2 towns)"
        )
    held = np.zeros(total, bool)
    held[np.random.default_rng(seed).permutation(total)[: min(max(round(share * total), 1), total - 1)]] = True
    parts = np.split(held, np.cumsum([len(pick) for pick in dataset.picks])[:-1])
    part = lambda sign: tuple(pick[mask == sign] for pick, mask in zip(dataset.picks, parts, strict=True))
    return dataset._replace(picks=part(False)), dataset._replace(picks=part(True))


def batches(
    dataset: Dataset, num_towns: int, seed: int | None = 0, epochs: int = 1, drop_last: bool = False
) -> Iterator[Arrays]:
    """Stream a dataset, shard by shard.

    Shards come in random order, and the towns of each as well, so that towns of different shards meet in a batch only where one
    shard ends. The towns that a shard leaves over go into the next batch. The same seed gives the same batches.

    Args:
        dataset: or a part of it.
        num_towns: towns a batch; the last batch of an epoch may have fewer.
        seed: of the order; None keeps that of the files.
        epochs: passes over the dataset, each in an order of its own.
        drop_last: leave out a last batch with fewer towns, so that all have the same shape.

    Yields:
        Arrays by the names of `shards.KEYS`, [T, num_towns, A, ...].

    Raises:
        DatasetError: there is no town or no number of them, or a shard turns out to be damaged (it is named).
    """
    if num_towns < 1 or not dataset.num_towns:
        raise DatasetError(
            f"batches of {num_towns} towns cannot be made of the {dataset.num_towns} in {dataset.folder}"
        )
    for epoch in range(epochs):
        rng = None if seed is None else np.random.default_rng((seed, epoch))
        left: Arrays | None = None
        order = np.arange(len(dataset.picks)) if rng is None else rng.permutation(len(dataset.picks))
        for number in (number for number in order.tolist() if len(dataset.picks[number])):
            arrays = load_sample(dataset, number)
            if rng is not None:
                arrays = keep_towns(arrays, rng.permutation(len(arrays["towns"])))
            arrays = arrays if left is None else _join(left, arrays)
            whole = len(arrays["towns"]) // num_towns * num_towns
            for start in range(0, whole, num_towns):
                yield keep_towns(arrays, np.arange(start, start + num_towns))
            left = keep_towns(arrays, np.arange(whole, len(arrays["towns"])))
        if left is not None and len(left["towns"]) and not drop_last:
            yield left


def _join(left: Arrays, right: Arrays) -> Arrays:
    """Towns of two shards side by side."""
    return {name: np.concatenate([left[name], right[name]], 0 if name == "towns" else 1) for name in left}


def observation(batch: Mapping[str, Any]) -> Observation:
    """What everybody saw, as networks take it: leaves [T, B, A, ...]."""
    return Observation(batch["features"], batch["map"], batch["action_mask"])
