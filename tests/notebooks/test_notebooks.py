"""Every notebook runs from top to bottom, and is stored without outputs."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path):
    names: dict = {}
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    for number, cell in enumerate(cells, 1):
        assert not cell["outputs"] and cell["execution_count"] is None
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)


def test_the_first_town_shows_what_it_says(capsys):
    """The last cell prints the refusal with its sum."""
    path = next(path for path in NOTEBOOKS if path.stem == "first_town")
    cell = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"][-1]
    import townlet_jax

    exec("".join(cell["source"]), {"tj": townlet_jax})
    assert "cannot live on it" in capsys.readouterr().out
