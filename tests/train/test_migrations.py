"""Checkpoints of older schemas are read; the samples beside this file were written by the versions that had them."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from train.checkpoint import best, latest, open_store, restore, save, verify
from train.storage import manifest as manifests
from train.storage import migrations
from train.storage.errors import CheckpointError
from train.storage.leaves import policy_hash
from train.storage.migrations import Migration

SAMPLES = Path(__file__).parent / "samples"


class Small(struct.PyTreeNode):
    """The state in the samples."""

    params: Any
    opt_state: Any
    key: jax.Array
    update: jax.Array


def wanted() -> Small:
    kernel = jnp.array(np.arange(6, dtype=np.float32).reshape(2, 3) / 7)
    params = {"params": {"Dense_0": {"kernel": kernel, "bias": jnp.zeros(3)}}}
    return Small(params, (jnp.ones((2, 3)),), jax.random.key(5), jnp.int32(4))


@pytest.fixture
def store(tmp_path):
    """The sample of schema 1, in a folder that may be written."""
    return open_store(Path(shutil.copytree(SAMPLES / "schema_1", tmp_path / "copy")), keep_best=1)


def quiet(message: str) -> None:
    """The packages of the sample may be others."""


def test_a_checkpoint_of_schema_1_is_read(store):
    state, manifest = restore(store, wanted(), report=quiet)
    assert np.array_equal(state.params["params"]["Dense_0"]["kernel"], np.arange(6, dtype=np.float32).reshape(2, 3) / 7)
    assert jax.random.key_data(state.key).tolist() == jax.random.key_data(jax.random.key(5)).tolist()
    assert int(state.update) == 4 and manifest.step == 4 and manifest.schema == manifests.SCHEMA
    assert manifest.policy == policy_hash(wanted().params) and manifest.score is None
    assert manifest.meta["config"] == {"world": "town", "gamma": 0.9}  # and nothing of what is kept when
    assert manifest.meta["world_version"] == 1 and manifest.versions["optax"] == "unknown"


def test_an_old_step_lives_beside_new_ones(store):
    assert verify(store, 4).schema == 1 and best(store) is None
    save(store, 5, wanted(), {}, score=1.0)
    assert (latest(store), best(store)) == (5, 5)
    assert verify(store, 5).schema == 2


def test_an_old_step_is_still_verified(store):
    victim = max((store.folder / "4" / "state" / "d").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is damaged"):
        restore(store, wanted(), 4)


def test_leaves_are_migrated_and_then_compared(store, monkeypatch):
    """A later schema renames one leaf and adds another: the target decides whether all of it fits."""

    def renamed(stored):
        moved = {path.replace(".opt_state", ".adam"): leaf for path, leaf in stored.items()}
        return {**moved, ".phase": ("int32", np.int32(3).reshape(()))}

    monkeypatch.setitem(migrations.MIGRATIONS, (2, 3), Migration(lambda fields: fields, renamed))
    monkeypatch.setattr(manifests, "SCHEMA", 3)

    class Later(struct.PyTreeNode):
        params: Any
        adam: Any
        key: jax.Array
        update: jax.Array
        phase: jax.Array

    old = wanted()
    target = Later(old.params, old.opt_state, old.key, old.update, jnp.int32(0))
    state, _ = restore(store, target, report=quiet)
    assert int(state.phase) == 3 and state.adam[0].tolist() == [[1.0] * 3] * 2
    with pytest.raises(CheckpointError, match=r"\.phase is int32\[\] there, absent here"):
        restore(store, target.replace(phase=None), report=quiet)


def test_a_step_without_a_migration_is_refused(store, monkeypatch):
    monkeypatch.delitem(migrations.MIGRATIONS, (1, 2))
    with pytest.raises(CheckpointError, match=r"schema 1 cannot be read: no migration \(1, 2\)"):
        verify(store, 4)


def test_every_schema_has_its_migration_and_its_sample():
    for schema in range(1, manifests.SCHEMA):
        assert (schema, schema + 1) in migrations.MIGRATIONS
        assert list((SAMPLES / f"schema_{schema}").rglob(manifests.NAME))


def test_a_forged_shape_of_an_old_step_needs_no_memory(store):
    path = store.folder / "4" / manifests.NAME
    fields = json.loads(path.read_bytes())
    del fields["sha256"]
    fields["leaves"][0][2] = [1 << 36]
    path.write_bytes(manifests.encode(fields))
    with pytest.raises(CheckpointError, match="the state needs .* bytes, the limit is"):
        restore(store, wanted(), 4)
