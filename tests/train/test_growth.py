"""What a run remembers of its updates does not grow with their number."""

import gc
import tracemalloc
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import struct

from townlet_jax import load
from train import runs, session
from train.config import load_config
from train.logging import open_run, read_rows
from train.promotion.thresholds import load_gate
from train.promotion.watch import Watch
from train.types import Train

UPDATES = 400
NAMES = 40  # numbers in a row


class Fake(struct.PyTreeNode):
    """A runner that only counts."""

    update: jax.Array


class Row(dict):
    """A row that can be looked for."""


def update(runner):
    metrics = {f"needs/{name}": 0.001 * runner.update for name in range(NAMES)}
    return Fake(runner.update + 1), {"wallet": jnp.float32(1.0), **metrics}


def fake(folder: Path) -> runs.Setup:
    """A run whose updates cost nothing."""
    config, document = load_config("ppo_town", ("best_by=wallet", "checkpoint_every=100"))
    return runs.Setup(folder, config, document, document, load("town"), Train(None, update, UPDATES, 8), None)


def test_nothing_is_kept_of_four_hundred_updates(tmp_path, monkeypatch):
    """No row is alive but those of the canaries' first and last windows; Python holds as many bytes as at first."""
    run, rows, traced = fake(tmp_path / "run"), [], {}
    limits = load_gate("gate").stability
    watch = Watch(run.folder, run.world, limits, lambda line: None)
    make = session.row_of

    def row_of(*arguments):
        row = Row(make(*arguments))
        rows.append(weakref.ref(row))
        return row

    def look(row):
        if row["update"] in (200, UPDATES):
            gc.collect()
            traced[row["update"]] = tracemalloc.get_traced_memory()[0], sum(ref() is not None for ref in rows)
        watch(row)

    monkeypatch.setattr(session, "row_of", row_of)
    tracemalloc.start()
    try:
        session.learn(run, open_run(run.folder, ""), Fake(jnp.int32(0)), look)
    finally:
        tracemalloc.stop()
    assert len(rows) == len(read_rows(run.folder)) + 1 == UPDATES + 1  # one more asks for the names
    (early, few), (late, many) = traced[200], traced[UPDATES]
    assert many <= few and many <= limits.rows * (watch.recent.maxlen + 2)
    assert late - early < 100_000, "200 rows of 45 numbers are 400 kB"
