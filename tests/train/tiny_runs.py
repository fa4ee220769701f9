"""What the tests of commands share: a tiny training run."""

import sys
from pathlib import Path

from train import cli

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
