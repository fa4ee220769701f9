"""How checkpoints of older schemas are read: one migration from each schema to the next, applied in a row.

Whoever raises `train.storage.manifest.SCHEMA` registers a migration here and stores a small checkpoint of the old
schema beside the tests.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .errors import CheckpointError

Fields = dict[str, Any]  # of a manifest, as its JSON has them
Stored = dict[str, tuple[str, np.ndarray]]  # path of a leaf -> dtype, bits (a key as uint32)


class Migration(NamedTuple):
    """From one schema to the next."""

    fields: Callable[[Fields], Fields]  # of the manifest, when it is read
    leaves: Callable[[Stored], Stored] = lambda stored: stored  # of the state, when it is restored


HOUSEKEEPING = (
    "name",
    "checkpoint_every",
    "keep_checkpoints",
)  # what schema 1 noted of a configuration, and 2 does not


def named_policies(fields: Fields) -> Fields:
    """Schema 2 tells the policy's hash and the score of a step, and lets the keys change that say what is kept.

    The hash is not known before the state is read (`train.checkpoint.restore` fills it in), and no step of schema 1 has a score.
    """
    meta = dict(fields["meta"])
    if isinstance(meta.get("config"), dict):
        meta["config"] = {key: value for key, value in meta["config"].items() if key not in HOUSEKEEPING}
    versions = {"optax": "unknown", **fields["versions"]}
    return {**fields, "meta": meta, "versions": versions, "policy": "", "score": None}


MIGRATIONS: dict[tuple[int, int], Migration] = {(1, 2): Migration(named_policies)}


def path(schema: int, newest: int) -> list[Migration]:
    """The migrations from a schema to the newest one, in order.

    Raises:
        CheckpointError: one of them is not registered.
    """
    missing = [(old, old + 1) for old in range(schema, newest) if (old, old + 1) not in MIGRATIONS]
    if missing:
        raise CheckpointError(
            f"a checkpoint of schema {schema} cannot be read: no migration {missing[0]} is registered"
        )
    return [MIGRATIONS[old, old + 1] for old in range(schema, newest)]


def migrate_fields(fields: Fields, newest: int) -> Fields:
    """The fields of a manifest as the newest schema has them; `schema` itself stays what was written."""
    for migration in path(fields["schema"], newest):
        fields = migration.fields(fields)
    return fields


def migrate_leaves(schema: int, stored: Stored, newest: int) -> Stored:
    """The leaves of a state as the newest schema has them."""
    for migration in path(schema, newest):
        stored = migration.leaves(stored)
    return stored
