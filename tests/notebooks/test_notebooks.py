"""Every notebook says what is true, is stored without outputs, and runs from top to bottom in a kernel of its own.

A kernel, and not `exec`: `!` and `%%` lines are run as Colab runs them, and each notebook sees only what its own cells make.
"""

import ast
import builtins
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ("add_a_mechanic", "first_town", "replay_checkpoint", "sweep", "train_ppo")
PINNED = re.compile(r"\bjax(lib)?(\[\w+\])?\s*(==|[<>~]=?)|install[^\n]*\bjax(lib)?\b(?!\[viz\])")
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    """The cells of a kind; the source of each is one text."""
    found = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]
    return [{**cell, "source": "".join(cell["source"])} for cell in found]


def sources(path, kind="code"):
    return [cell["source"] for cell in cells(path, kind)]


def python(source):
    """A cell without what only a notebook understands."""
    lines = [] if source.startswith("%%") else source.split("\n")
    return "\n".join("pass" if line.startswith(("!", "%")) else line for line in lines)


def commands(source):
    """The lines that a cell gives to the shell."""
    return [line for line in source.split("\n") if line.startswith("!")]


def test_the_five_are_there():
    assert tuple(path.stem for path in NOTEBOOKS) == NAMES


@every
def test_it_is_stored_without_outputs(path):
    for cell in cells(path, "code"):
        assert not cell["outputs"] and cell["execution_count"] is None and not cell["metadata"], cell["id"]


@every
def test_it_is_a_notebook_with_ids_of_its_own(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids) and (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    pytest.importorskip("nbformat", reason="the extra `notebook` is not installed").validate(book)


@every
def test_it_begins_with_words_about_the_runtime(path):
    opening = sources(path, "markdown")[0]
    assert json.loads(path.read_text())["cells"][0]["cell_type"] == "markdown"
    assert opening.startswith("# ") and "**Runtime:**" in opening


def test_all_install_alike_and_from_where_the_package_says_that_it_is():
    """The address is that of pyproject.toml; as long as there is none there, there is none here to be trusted."""
    firsts = {sources(path)[0] for path in NOTEBOOKS}
    assert len(firsts) == 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project.get("urls", {}).get("Repository", "")
    assert f'SOURCE = "{address and f"git+{address}"}"' in firsts.pop()


@pytest.fixture
def installing(monkeypatch):
    """What the first cell would run where the package is missing: (source of the cell with an address, list of commands)."""
    asked, find = [], importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "townlet_jax" else find(name))
    monkeypatch.setattr(subprocess, "run", lambda command, check: asked.append([*map(str, command)]))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return sources(NOTEBOOKS[0])[0], asked


def test_the_first_cell_keeps_the_jax_that_is_there(installing):
    """One pip command, held by constraints to the versions of the runtime; the cell itself names none."""
    cell, asked = installing
    assert not PINNED.search(cell)
    exec(re.sub(r'SOURCE = ".*?"', 'SOURCE = "git+https://example.org/town"', cell), {})
    (command,) = asked
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-1] == "townlet-jax[viz] @ git+https://example.org/town"
    kept = Path(command[command.index("--constraint") + 1]).read_text().split("\n")
    assert {f"jax=={version('jax')}", f"jaxlib=={version('jaxlib')}"} <= set(kept)


def test_the_first_cell_asks_for_an_address_before_it_installs(installing):
    cell, asked = installing
    with pytest.raises(RuntimeError, match="set SOURCE"):
        exec(re.sub(r'SOURCE = ".*?"', 'SOURCE = ""', cell), {})
    assert not asked


def test_the_first_cell_does_nothing_where_the_package_is(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(subprocess, "run", lambda *words, **more: asked.append(words))
    exec(sources(NOTEBOOKS[0])[0], {})
    assert not asked


@pytest.mark.parametrize(
    "line", ["pip install jax", "install jax==0.6", "x = 'jaxlib>=0.5'", "!pip install -U jax[cuda12]"]
)
def test_a_cell_that_names_a_jax_is_caught(line):
    assert PINNED.search(line)


def exists(module, name):
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.util.find_spec(f"{module}.{name}"))
    except ModuleNotFoundError:
        return False


def imports(path):
    """(module, name) of all that a notebook takes from our packages."""
    for node in (node for source in sources(path) for node in ast.walk(ast.parse(python(source)))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("townlet_jax", "train"):
            yield from ((node.module, alias.name) for alias in node.names)


def fits(path, word):
    """Whether a word in code style is something: a file that is there, a name in the code, in our packages or in a shipped YAML."""
    if re.search(r"[/\s:]", word) or word.endswith((".ipynb", ".py", ".html", ".yaml")):
        return not re.search(r"\.(ipynb|md)$", word) or (ROOT / word).exists() or (ROOT / "notebooks" / word).exists()
    text = "\n".join([*sources(path), *(file.read_text() for file in ROOT.glob("configs/*/*.yaml"))])
    whole = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    flag = word.startswith("--") and f'"{word}"' in "".join(file.read_text() for file in ROOT.glob("train/*.py"))
    module, _, name = word.rpartition(".")
    return bool(whole or flag or hasattr(builtins, word) or (module and exists(module, name)))


@every
def test_what_it_names_exists(path):
    missing = [f"{module}.{name}" for module, name in imports(path) if not exists(module, name)]
    words = [word for text in sources(path, "markdown") for word in re.findall(r"`([^`\n]+)`", text)]
    assert not missing + [word for word in words if not fits(path, word)]


def test_a_name_that_is_not_there_is_caught():
    path = next(path for path in NOTEBOOKS if path.stem == "train_ppo")
    assert fits(path, "make_train") and fits(path, "docs/training.md") and fits(path, "train.ppo")
    assert not fits(path, "make_trains") and not fits(path, "docs/none.md") and not fits(path, "train.nothing")
    assert not exists("train.learner", "learn_all") and not exists("train.nothing", "x")


def test_the_mechanic_is_that_of_the_page():
    """The notebook's cell is the page's file, from the imports on."""
    page = (ROOT / "docs" / "adding_a_mechanic.md").read_text(encoding="utf-8")
    file = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0].split('"""\n\n', 1)[1]
    assert file.strip() in sources(next(path for path in NOTEBOOKS if path.stem == "add_a_mechanic"))


# What a run is made smaller by, a fifth of the updates and half of the seeds; each must stand in the notebook once.
BRIEF = ("total_timesteps=102_400", "total_timesteps=20_480")
TINY = {"replay_checkpoint": (BRIEF,), "sweep": (BRIEF, ("SEEDS = 4", "SEEDS = 2")), "train_ppo": (BRIEF,)}


def executed(path, folder):
    """The cells of a notebook after a run in a folder, in a kernel that finds this checkout and keeps what it compiles.

    A line for the shell does not fail by itself: after each such cell its exit code is asked for.
    """
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.read(path, as_version=4)
    for long, short in TINY.get(path.stem, ()):
        (sizes,) = (cell for cell in book.cells if cell.cell_type == "code" and long in cell.source)
        sizes.source = sizes.source.replace(long, short)
    asked = []
    for cell in book.cells:
        asked.append(cell)
        if cell.cell_type == "code" and commands(cell.source):
            assert len(commands(cell.source)) == 1, f"{cell.id}: one command a cell"
            asked.append(nbformat.v4.new_code_cell("assert _exit_code == 0, _exit_code"))
    book.cells = asked
    client = nbclient.NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute()
    return book.cells


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """An empty folder to run in, and the environment of the kernel."""
    pytest.importorskip("ipykernel", reason="the extra `notebook` is not installed")
    cache = str(ROOT / ".jax_cache")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TOWNLET_JAX_CACHE", cache)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


# What a run must have printed, and how many pictures it must show.
SHOWN = {
    "add_a_mechanic": (1, r"rules held", r"writes.*agents\.needs|agents\.needs", r"washes in a day"),
    "first_town": (3, r"people in 64 towns", r"rent: 1\.2", r"cannot live on it"),
    "replay_checkpoint": (3, r"what differs: nothing", r"day 1: \w+ was recorded, \w+ came", r"1 digests match"),
    "sweep": (2, r"95 % interval", r"9 cells in 1 compiled program", r"the intervals are apart"),
    "train_ppo": (3, r"10 of 10 updates", r"scripted", r"learned: 16 towns"),
}


@every
def test_it_runs(path, surroundings):
    outputs = [out for cell in executed(path, str(surroundings)) if cell.cell_type == "code" for out in cell.outputs]
    text = "".join(out.text for out in outputs if out.output_type == "stream")
    pictures = [out for out in outputs if any(kind.startswith("image/") for kind in out.get("data", {}))]
    number, *lines = SHOWN[path.stem]
    assert len(pictures) == number
    for line in lines:
        assert re.search(line, text), f"nothing like {line!r} in:\n{text[-3000:]}"


def test_a_command_that_fails_is_seen(tmp_path, surroundings):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("!exit 3")])
    nbformat.write(book, tmp_path / "fails.ipynb")
    with pytest.raises(nbclient.exceptions.CellExecutionError) as failed:
        executed(tmp_path / "fails.ipynb", str(surroundings))
    assert (failed.value.ename, failed.value.evalue) == ("AssertionError", "3")
