"""What a dataset says of itself: a schema that declares the arrays of its shards, and a manifest that is written last.

    <folder>/schema.json  world.yaml  <prefix>_<nnnnn>.npz ...  <prefix>_metrics.json  <prefix>_manifest.json

The manifest is written after all that it lists, so a capture that is killed leaves a dataset of the shards that were whole.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from townlet_jax.observe import layer_names
from townlet_jax.observe import schema as fields_of
from townlet_jax.types import Section, World

from ..storage.manifest import encode
from .npz import DatasetError, Declared, plain_bytes, write_text

FORMAT = 1  # raised whenever an older reader would misread the files
SCHEMA, WORLD = "schema.json", "world.yaml"
MANIFEST, METRICS = "_manifest.json", "_metrics.json"
PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,60}")
CONFLICT = "rivalry_max", "rivalry_avoid_count"  # the features of conflicts, in worlds with ties
MAX_SHARD = 4 << 30  # bytes of a shard in memory

# T decisions, B towns, A agents, F features, L layers of W x W cells, N actions
KEYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "map": ("uint8", ("T", "B", "A", "L", "W", "W")),  # what each agent sees before it decides
    "features": ("float32", ("T", "B", "A", "F")),
    "action_mask": ("bool", ("T", "B", "A", "N")),  # what the policy could choose among
    "actions": ("int32", ("T", "B", "A")),
    "old_log_probs": ("float32", ("T", "B", "A")),  # of the action under the policy; 0 where it cannot be told
    "value_preds": ("float32", ("T+1", "B", "A")),  # in the rewards of the policy's learner; 0 where it expects nothing
    "final_values": ("float32", ("T", "B", "A")),  # the same of the last state where truncated, else 0
    "rewards": ("float32", ("T", "B", "A")),  # sum over the ticks of a decision, discounted by gamma per tick
    "dones": ("bool", ("T", "B", "A")),  # terminated or truncated
    "terminated": ("bool", ("T", "B", "A")),  # the life of who decided ended during the decision
    "truncated": ("bool", ("T", "B", "A")),  # the episode was cut short after the decision
    "alive": ("bool", ("T", "B", "A")),  # there was somebody to decide
    "starts": ("bool", ("T", "B", "A")),  # the person in the slot is new: a memory of the slot no longer fits
    "towns": ("int32", ("B",)),  # number of the town among those of its seed
}


class Column(Section):
    """The type and the axes of one array."""

    dtype: str
    axes: tuple[str, ...]


class Schema(Section):
    """What every shard of a dataset holds."""

    format: int = FORMAT
    world: str
    world_version: int
    config_id: str
    variant: str
    ticks_per_decision: int = Field(ge=1, le=100_000)
    gamma: float = Field(gt=0, le=1)
    timesteps: int = Field(ge=1, le=10_000_000)
    num_agents: int = Field(ge=1, le=65_536)
    agents: tuple[int, ...] = Field(min_length=1)
    feature_names: tuple[str, ...] = Field(max_length=65_536)
    conflict_features: tuple[str, ...]
    layer_names: tuple[str, ...] = Field(max_length=1024)
    map_shape: tuple[int, int, int]
    action_dim: int = Field(ge=1, le=65_536)
    action_lookup: dict[str, int]
    keys: dict[str, Column] = {name: Column(dtype=dtype, axes=axes) for name, (dtype, axes) in KEYS.items()}


class Sample(Section):
    """One shard."""

    sample: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,80}\.npz$")
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    towns: int = Field(ge=1, le=10_000_000)
    timesteps: int
    frame_count: int
    seed: int
    policy: str
    policy_hash: str
    actions: str  # that the policy may take: options, primitives or all
    reward_scale: float  # of the rewards in which its values are
    timestamp: str


class Metadata(Section):
    """Who captured, and what; of the capture that wrote last."""

    config_id: str
    world: str
    world_version: int
    ticks: int
    seed: int
    policy: str
    policy_hash: str
    timestamp: str
    versions: dict[str, str]


class Manifest(Section):
    """What a dataset holds."""

    format: int = FORMAT
    metadata: Metadata
    files: dict[str, tuple[int, str]]  # bytes and sha256 of schema and world
    next_town: dict[str, int]  # seed -> number of the first town that was not played
    samples: tuple[Sample, ...] = ()


def declared(schema: Schema, towns: int) -> dict[str, Declared]:
    """What each array of a shard of so many towns must be."""
    layers, side, _ = schema.map_shape
    sizes = {
        **{"T": schema.timesteps, "T+1": schema.timesteps + 1, "B": towns, "A": len(schema.agents)},
        **{"F": len(schema.feature_names), "L": layers, "W": side, "N": schema.action_dim},
    }
    return {
        name: Declared(np.dtype(dtype), tuple(sizes[axis] for axis in axes)) for name, (dtype, axes) in KEYS.items()
    }


def shard_bytes(schema: Schema, towns: int) -> int:
    """The memory that a shard of so many towns takes, in bytes."""
    return sum(array.nbytes for array in declared(schema, towns).values())


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest with the sha256 of the rest inside."""
    write_text(path, encode(manifest.model_dump(mode="json")).decode())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; the files that it lists are not looked at.

    Raises:
        DatasetError: it is damaged or of a newer format.
    """
    raw = plain_bytes(path)
    try:
        fields = json.loads(raw)
        _known(path, fields)
        fields.pop("sha256")
        if encode(fields) != raw:
            raise DatasetError(f"{path} is damaged: its own sha256 differs")
        return Manifest.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise DatasetError(f"{path} is damaged: {_first(error)}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def read_schema(path: Path) -> Schema:
    """Read a schema.

    Raises:
        DatasetError: it is damaged or of a newer format, or its parts contradict each other.
    """
    raw = plain_bytes(path)
    try:
        _known(path, json.loads(raw))
        its = Schema.model_validate_json(raw)
    except ValidationError as error:
        raise DatasetError(f"{path} is damaged: {_first(error)}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    layers, height, width = its.map_shape
    wrong = {
        "keys": {name: (key.dtype, key.axes) for name, key in its.keys.items()} != dict(KEYS),
        "agents": sorted({*its.agents} & {*range(its.num_agents)}) != list(its.agents),
        "map_shape": height != width or not 0 <= width <= 1024 or layers != len(its.layer_names),
        "action_lookup": sorted(its.action_lookup.values()) != list(range(its.action_dim)),
        "conflict_features": not {*its.conflict_features} <= {*its.feature_names},
    }
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        raise DatasetError(f"{path} is damaged: its {name} do not fit the rest of it")
    return its


def _known(path: Path, fields: dict[str, Any]) -> None:
    if fields["format"] > FORMAT:
        raise DatasetError(f"{path} has format {fields['format']}, this version reads {FORMAT}: a newer one is needed")


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc'])) or 'it'}: {found['msg']}"


def schema_of(world: World, every: int, gamma: float, timesteps: int, agents: tuple[int, ...]) -> Schema:
    """The schema of captures in a world.

    Args:
        world: the world.
        every: ticks of a decision.
        gamma: discount per tick within a decision.
        timesteps: decisions of a town.
        agents: the slots that are kept.
    """
    static, names = world.static, tuple(name for entry in fields_of(world) for name in entry.names)
    layers = layer_names(world)
    return Schema(
        world=static.name,
        world_version=static.version,
        config_id=static.config_id,
        variant=static.observation,
        ticks_per_decision=every,
        gamma=gamma,
        timesteps=timesteps,
        num_agents=static.num_agents,
        agents=agents,
        feature_names=names,
        conflict_features=tuple(name for name in CONFLICT if name in names),
        layer_names=layers,
        map_shape=(len(layers), static.window, static.window),
        action_dim=len(static.actions.names),
        action_lookup={name: number for number, name in enumerate(static.actions.names)},
    )
