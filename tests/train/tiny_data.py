"""What the tests of datasets share: a small dataset without a town behind it, whose numbers say where they belong."""

import json
from pathlib import Path

import numpy as np

from townlet_jax import load
from townlet_jax.config.load import dump
from townlet_jax.worlds import read
from train.datasets import folders
from train.datasets.npz import Arrays
from train.datasets.record import metrics
from train.datasets.shards import MANIFEST, Manifest, Schema, declared, read_manifest, schema_of, write_manifest

PREFIX = "rollout_sample"
SETTING = "observation.variant=compact"
ORIGIN = folders.Origin(seed=7, policy="nobody", policy_hash="0" * 64, actions="all", reward_scale=1.0)
T = 3


def town():
    return load("town", **dict([SETTING.split("=")]))


def schema(agents=(0, 1)) -> Schema:
    return schema_of(town(), every=15, gamma=1.0, timesteps=T, agents=agents)


def arrays(its: Schema, numbers: range) -> Arrays:
    """The action of slot a of town n at time t is (5 n + 2 t + a) modulo the number of actions, and its reward is n."""
    found = {name: np.zeros(one.shape, one.dtype) for name, one in declared(its, len(numbers)).items()}
    n = np.array(numbers, np.int32)
    time, town_, agent = np.ogrid[: its.timesteps, : len(n), : len(its.agents)]
    found["actions"] = ((5 * n[town_] + 2 * time + agent) % its.action_dim).astype(np.int32)
    found["rewards"] += n[None, :, None].astype(np.float32)
    found["features"] += n[None, :, None, None].astype(np.float32)
    found["action_mask"][:] = True
    found["alive"][:] = True
    found["starts"][0] = True
    return {**found, "towns": n}


def write(folder: Path, shards=(5, 3, 4)) -> Path:
    """A dataset of shards with so many towns."""
    folder.mkdir(parents=True, exist_ok=True)
    its, first = schema(), 0
    book = folders.start(folder, PREFIX, its, dump(read("town", [SETTING]).tree), ORIGIN, append=False)
    for count in shards:
        one = arrays(its, range(first, first + count))
        first += count
        book = folders.add(book, ORIGIN, one, metrics(its, one), first, compress=True)
    return folder


def sign(folder: Path, manifest: Manifest) -> None:
    """Write a manifest as if a capture had written it."""
    write_manifest(folder / f"{PREFIX}{MANIFEST}", manifest)


def signed(folder: Path, **changes) -> None:
    """The manifest with other values, signed again."""
    sign(folder, read_manifest(folder / f"{PREFIX}{MANIFEST}").model_copy(update=changes))


def edited(path: Path, **changes) -> None:
    """A JSON file with other values at its top level."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
