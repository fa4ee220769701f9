"""Datasets in the forms of others: files of single agents, Parquet, Minari. Each is a folder in that of the dataset.

    agents/    <prefix>_agent_<slot>_<nnn>.npz and .json: one slot of one town each, as the original wrote them (specification §19)
    parquet/   <prefix>_<nnnnn>.parquet: one row a decision that somebody took
    minari/    one Minari dataset: an episode is one person's time in a slot

An export is made from the whole dataset, one shard in memory at a time, in a draft folder that then takes the place of the old one.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..storage.exchange import PART
from .dataset import Dataset, load_sample
from .npz import Arrays, DatasetError, write_arrays, write_text
from .record import keep_towns, metrics
from .shards import MANIFEST, METRICS, Schema

MINARI_ID = "capture-v0"
ROWS = 1 << 16  # of a group of rows in Parquet
FLAT = (
    "actions",
    "old_log_probs",
    "value_preds",
    "final_values",
    "rewards",
    "dones",
    "starts",
)  # columns without the s
SINGLE = ("map", "features", "actions", "old_log_probs", "value_preds", "rewards", "dones")  # the keys of §19


def export(dataset: Dataset, kind: str) -> Path:
    """Write a dataset in another form, in place of an earlier export.

    Args:
        dataset: from `open_dataset`.
        kind: of `EXPORTS`.

    Returns:
        The folder that was written.

    Raises:
        DatasetError: a shard is damaged, the disk refuses, or a package of the extra `data` is missing.
    """
    folder = dataset.folder / kind
    draft, old = (folder.with_name(f"{kind}-{word}{PART}") for word in ("new", "old"))
    try:
        for path in (draft, old):
            shutil.rmtree(path, ignore_errors=True)
        draft.mkdir()
        EXPORTS[kind](dataset, draft)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise DatasetError(f"cannot write {folder}: {error.strerror or error}") from None
    except ImportError as error:
        raise DatasetError(f"--export {kind} needs the extra: pip install 'townlet-jax[data]' ({error})") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def samples(dataset: Dataset) -> Iterator[tuple[int, Arrays]]:
    """The number and the arrays of each sample, one after the other."""
    for number, pick in enumerate(dataset.picks):
        if len(pick):
            yield number, load_sample(dataset, number)


def to_agents(dataset: Dataset, folder: Path) -> None:
    """One NPZ and one JSON for each slot of each town, without the axes of towns and agents; types as in the specification."""
    listed, told, number = [], {}, 0
    for place, arrays in samples(dataset):
        for town in range(len(arrays["towns"])):
            its = keep_towns(arrays, np.array([town]))
            for column, agent in enumerate(dataset.schema.agents):
                stem = f"{dataset.prefix}_agent_{agent}_{number:03d}"
                one = {key: its[key] if key == "towns" else its[key][:, :, column : column + 1] for key in its}
                meta = _single_meta(dataset, place, one, agent)
                told[f"{stem}.npz"] = meta["metrics"]
                write_arrays(folder / f"{stem}.npz", single(dataset.schema, one), compress=True)
                write_text(folder / f"{stem}.json", json.dumps(meta, indent=1, allow_nan=False))
                entry = {"agent_id": meta["agent_id"], "frame_count": meta["frame_count"]}
                listed.append({"sample": f"{stem}.npz", "meta": f"{stem}.json", **entry})
            number += 1
    metadata = dataset.manifest.metadata.model_dump(mode="json")
    write_text(folder / f"{dataset.prefix}{METRICS}", json.dumps(told, indent=1, allow_nan=False))
    whole = {"metadata": metadata, "samples": listed}
    write_text(folder / f"{dataset.prefix}{MANIFEST}", json.dumps(whole, indent=1, allow_nan=False))


def single(schema: Schema, one: Arrays) -> Arrays:
    """The arrays of one slot of one town, [T, ...]: floats are f32, actions i64."""
    types = {"map": np.float32, "actions": np.int64}
    kept = {key: np.asarray(one[key][:, 0, 0], types.get(key, one[key].dtype)) for key in SINGLE}
    return {**kept, "action_dim": np.array(schema.action_dim, np.int64)}


def _single_meta(dataset: Dataset, place: int, one: Arrays, agent: int) -> dict[str, Any]:
    schema, sample = dataset.schema, dataset.manifest.samples[place]
    return {
        "feature_names": schema.feature_names,
        "map_shape": schema.map_shape,
        "variant": schema.variant,
        "action_lookup": schema.action_lookup,
        "action_dim": schema.action_dim,
        "timesteps": schema.timesteps,
        "value_pred_steps": schema.timesteps + 1,
        "agent_id": f"agent_{agent}",
        "town": int(one["towns"][0]),
        "frame_count": schema.timesteps,
        "capture_metadata": {
            "config_id": schema.config_id,
            "world": schema.world,
            "ticks": schema.timesteps * schema.ticks_per_decision,
            "seed": sample.seed,
            "policy": sample.policy,
            "policy_hash": sample.policy_hash,
            "timestamp": sample.timestamp,
        },
        "metrics": metrics(schema, one),
    }


def to_parquet(dataset: Dataset, folder: Path) -> None:
    """One file a shard; a row is a decision that somebody took, a feature a column of its own."""
    import pyarrow as pa  # pyright: ignore[reportMissingImports]
    import pyarrow.parquet as pq  # pyright: ignore[reportMissingImports]

    kept = json.dumps({"schema": dataset.schema.model_dump_json()}).encode()
    for number, arrays in samples(dataset):
        writer = None
        path = folder / f"{Path(dataset.manifest.samples[number].sample).stem}.parquet"
        per_group = max(ROWS // (dataset.schema.timesteps * len(dataset.schema.agents)), 1)
        for start in range(0, len(arrays["towns"]), per_group):
            some = keep_towns(arrays, np.arange(start, min(start + per_group, len(arrays["towns"]))))
            columns = {name: _column(pa, values) for name, values in rows(dataset.schema, some).items()}
            table = pa.table(columns).replace_schema_metadata({b"townlet_jax": kept})
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _column(pa: Any, values: np.ndarray) -> Any:
    """A column; what has more than one number a row becomes a list of fixed length."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values[0].size if len(values) else 1)


def rows(schema: Schema, arrays: Arrays) -> Arrays:
    """One row for each decision that somebody took, by town, slot and time."""
    alive = np.moveaxis(arrays["alive"], 0, 2)  # [B, A, T]
    town, agent, time = np.nonzero(alive)
    of = lambda name: arrays[name][time, town, agent]
    found = {
        "town": arrays["towns"][town],
        "agent": np.array(schema.agents, np.int32)[agent],
        "timestep": time.astype(np.int32),
        **{name.rstrip("s"): of(name) for name in FLAT},
        **{name: of(name) for name in ("terminated", "truncated", "action_mask")},
        **{f"feature_{name}": of("features")[:, place] for place, name in enumerate(schema.feature_names)},
    }
    return {**found, "map": of("map").reshape(len(time), -1)} if schema.layer_names else found


def to_minari(dataset: Dataset, folder: Path) -> None:
    """One dataset, `MINARI_ID`, in HDF5; a person's time in a slot is an episode, see `lives`."""
    import minari  # pyright: ignore[reportMissingImports]
    from gymnasium.spaces import Box, Dict, Discrete, MultiBinary  # pyright: ignore[reportMissingImports]
    from minari.data_collector import EpisodeBuffer  # pyright: ignore[reportMissingImports]
    from minari.dataset.minari_storage import MinariStorage  # pyright: ignore[reportMissingImports]

    its = dataset.schema
    spaces = {
        "features": Box(-np.inf, np.inf, (len(its.feature_names),), np.float32),
        "action_mask": MultiBinary(its.action_dim),
    }
    if its.layer_names:
        spaces["map"] = Box(0, 1, its.map_shape, np.uint8)
    place = folder / MINARI_ID / "data"
    place.parent.mkdir()
    storage = MinariStorage.new(place, observation_space=Dict(spaces), action_space=Discrete(its.action_dim))
    told = f"{its.world} ({its.config_id}), {its.ticks_per_decision} ticks a decision"
    storage.update_metadata({"dataset_id": MINARI_ID, "minari_version": minari.__version__, "description": told})
    found = (life for _, arrays in samples(dataset) for life in lives(arrays))
    storage.update_episodes(
        EpisodeBuffer(
            observations={name: life[name] for name in spaces},
            actions=life["actions"],
            rewards=life["rewards"],
            terminations=life["terminated"],
            truncations=life["truncated"],
        )
        for life in found
    )


def lives(arrays: Arrays) -> Iterator[Arrays]:
    """Each person's time in a slot: n + 1 observations, n actions, rewards and ends, by the names of the keys.

    Where the person's life ended, the last observation is repeated: its value counts for nothing. Where the record was cut, by the
    end of an episode or of the capture, the last decision is left out, since what was seen after it is not on record, and the time
    ends as truncated. A time of which nothing would be left is left out.
    """
    for town, agent in np.ndindex(arrays["alive"].shape[1:]):
        one = {name: arrays[name][:, town, agent] for name in ("features", "action_mask", "map", "actions", "rewards")}
        alive, died = arrays["alive"][:, town, agent], arrays["terminated"][:, town, agent]
        for time in np.split(np.flatnonzero(alive), np.flatnonzero(arrays["starts"][:, town, agent][alive])):
            count = len(time) if len(time) and died[time[-1]] else len(time) - 1
            if count < 1:
                continue
            seen = time if count < len(time) else np.append(time, time[-1])
            ends = np.arange(1, count + 1) == count
            yield {
                **{name: one[name][seen] for name in ("features", "action_mask", "map")},
                **{name: one[name][time[:count]] for name in ("actions", "rewards")},
                "terminated": ends & died[time[-1]],
                "truncated": ends & ~died[time[-1]],
            }


EXPORTS: dict[str, Callable[[Dataset, Path], None]] = {
    "agents": to_agents,
    "parquet": to_parquet,
    "minari": to_minari,
}
