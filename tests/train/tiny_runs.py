"""What the tests of commands share: a tiny training run."""

import sys
from pathlib import Path

import jax
import numpy as np

from train import cli
from train.logging import read_rows

RATES = ("decisions_per_second", "steps_per_second")

TINY = (
    "num_envs=8",
    "num_steps=4",
    "num_minibatches=2",
    "update_epochs=2",
    "hidden=[16]",
    "reset_pool=4",
    "checkpoint_every=2",
    "total_timesteps=1536",
)  # 6 updates of 256 decisions


def run_command(main, *words: str) -> int:
    """The exit code of a command's main with those words on its command line."""
    before = sys.argv
    sys.argv = ["command", *map(str, words)]
    try:
        cli.command(main)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


def tiny_words(runs: Path, name: str, *more: str) -> list[str]:
    """The command line of a tiny training run."""
    return ["--runs", str(runs), "--name", name, "--no-pictures", *(w for s in (*TINY, *more) for w in ("--set", s))]


def bits_of(leaf) -> np.ndarray:
    """The bits of a leaf; a key as its numbers."""
    return np.asarray(jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def same_leaves(a, b) -> bool:
    """Whether two trees have the same leaves, bit for bit."""
    one, other = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(one) == len(other) and all(bits_of(x).tobytes() == bits_of(y).tobytes() for x, y in zip(one, other))


def without_rates(folder: Path) -> list[dict]:
    """What a run logged, apart from how fast it was."""
    return [{key: value for key, value in row.items() if key not in RATES} for row in read_rows(folder)]
