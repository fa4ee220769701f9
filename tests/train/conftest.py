"""A tiny run that the tests of commands share."""

from pathlib import Path

import pytest
from tiny_runs import run_command, tiny_words

from train import ppo


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """The folder of a complete tiny run."""
    runs = tmp_path_factory.mktemp("runs")
    assert run_command(ppo.main, *tiny_words(runs, "tiny")) == 0
    return runs / "tiny"
