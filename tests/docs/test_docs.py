"""The pages say what the code does: generated pages are current, code blocks run, and all that is named exists."""

import ast
import contextlib
import importlib
import importlib.util
import io
import re
import sys
import tomllib
from pathlib import Path

import jax
import pytest
import yaml

from townlet_jax.systems import edits, timeline

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLDERS = ("townlet_jax", "train", "configs", "docs", "tests", "benchmarks", "notebooks", ".ci")


def generate():
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dependencies():
    """The packages that are installed with this one, by the names under which they are imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", word).group().replace("-", "_") for word in project["dependencies"]}
    return names - {"orbax_checkpoint", "pyyaml"} | {"orbax", "yaml"}


def blocks(page):
    """(language and words after it, body, line) of each block of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        (head.strip(), body, text.count("\n", 0, found.start()) + 2)
        for found in BLOCK.finditer(text)
        for head, body in [found.groups()]
    ]


def runnable(page):
    return any(head == "python" for head, _, _ in blocks(page))


def run(page, folder):
    """Run a page in a folder.

    YAML is saved under the name in its first line, Python runs in one namespace, and an `output` block must be what the Python
    block above it printed.

    Returns:
        How many Python blocks there were.
    """
    names, printed, ran = {"__name__": "page"}, "", 0
    for head, body, line in blocks(page):
        if head == "yaml" and body.startswith("# ") and body.split("\n", 1)[0].endswith(".yaml"):
            (folder / body.split("\n", 1)[0].removeprefix("# ")).write_text(body, encoding="utf-8")
        elif head == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * (line - 1) + body, str(page), "exec"), names)
            printed, ran = out.getvalue(), ran + 1
        elif head == "output":
            assert printed == body, f"{page.name}:{line}: the block above prints something else"
    return ran


# The quick run sees the mechanic of this page in its notebook.
WIDE = ("adding_a_mechanic",)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.wide if page.stem in WIDE else ()) for page in PAGES if runnable(page)],
    ids=lambda page: page.stem,
)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    with jax.numpy_dtype_promotion("standard"):
        assert run(page, tmp_path) > 0


def test_a_block_that_prints_something_else_is_caught(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(2 + 2)\n```\n\n```output\n5\n```\n")
    with pytest.raises(AssertionError, match="page.md:6"):
        run(page, tmp_path)


def test_generated_pages_are_current():
    assert not generate().stale()


def test_a_page_that_is_out_of_date_is_told(monkeypatch, capsys):
    module = generate()
    monkeypatch.setitem(module.PAGES, "configuration.md", lambda: "# Configuration\n\nanother text\n")
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as exit:
        module.main()
    told = capsys.readouterr().err
    assert exit.value.code == 1
    assert "docs/configuration.md is out of date: run `python docs/generate.py`" in told and "+++ from the code" in told


def test_blocks_that_are_not_run_are_python_and_need_another_package():
    """A block that begins with `python not run` is only parsed: what it imports is none of the packages that are installed here."""
    found = [(page, body, line) for page in PAGES for head, body, line in blocks(page) if head == "python not run"]
    assert found
    for page, body, line in found:
        nodes = list(ast.walk(ast.parse("\n" * (line - 1) + body, str(page))))
        needed = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        needed |= {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        ours = {*sys.stdlib_module_names, *dependencies(), "townlet_jax", "train"}
        assert needed - ours, f"{page.name}:{line} could be run: it needs nothing that is missing here"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_relative_links_resolve(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_yaml_blocks_are_yaml(page):
    for head, body, _ in blocks(page):
        if head == "yaml":
            assert isinstance(yaml.safe_load(body), dict)


def commands(text):
    """(what is run, its arguments) of all commands of a page: in code blocks, in code style, or indented."""
    return re.findall(r"(?:python3?|\S*/python)\s+(-m\s+[\w.]+|\S+\.py)([^\n`]*)", text)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_and_flags_exist(page):
    parsers = generate().command_parsers()
    for what, arguments in commands(page.read_text(encoding="utf-8")):
        flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", arguments))
        module = what.removeprefix("-m").strip()
        if module in parsers:
            known = {flag for action in parsers[module]()._actions for flag in action.option_strings}
        elif what.startswith("-m"):
            assert importlib.util.find_spec(module), f"{page.name}: there is no module {module}"
            continue
        else:
            assert (ROOT / what).is_file(), f"{page.name}: there is no {what}"
            known = set(re.findall(r"--[a-z][a-z-]*", (ROOT / what).read_text(encoding="utf-8")))
        assert flags <= known, f"{page.name}: {module} has no {', '.join(sorted(flags - known))}"


def test_commands_are_found():
    text = "run `python -m train.ppo --no-such` or\n\n    python docs/generate.py --check\n"
    assert commands(text) == [("-m train.ppo", " --no-such"), ("docs/generate.py", " --check")]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^\s*(?:\$ )?)make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets, f"{page.name}: make has no {', '.join(sorted(named - targets))}"


def quoted(page):
    """All words in code style on a page, outside blocks."""
    return re.findall(r"`([^`\n]+)`", BLOCK.sub("", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_named_files_exist(page):
    for word in quoted(page):
        if re.fullmatch(rf"({'|'.join(map(re.escape, FOLDERS))})/[\w./-]*", word):
            assert (ROOT / word).exists(), f"{page.name}: there is no {word}"


def exists(word):
    """Whether a dotted name is a module, or something in one."""
    module, found = [], None
    for part in word.split("."):
        if found is not None and hasattr(found, part):
            found = getattr(found, part)
            continue
        module.append(part)
        try:
            found = importlib.import_module(".".join(module))
        except ImportError:
            return False
    return True


def test_a_name_that_is_not_there_is_caught():
    assert exists("townlet_jax.engine.step") and not exists("townlet_jax.engine.leap") and not exists("train.nothing")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_named_python_exists(page):
    dotted = [word for word in quoted(page) if re.fullmatch(r"(townlet_jax|train)(\.[A-Za-z_]\w*)+", word)]
    missing = [word for word in dotted if not word.endswith((".py", ".yaml")) and not exists(word)]
    assert not missing, f"{page.name}: there is no {', '.join(missing)}"


def test_the_table_of_stage_directions_is_whole():
    """Each verb of a timeline with what it must and may say, in the order in which they are carried out."""
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8").split("## What a timeline can do")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in re.findall(r"^\| `.*$", text, re.MULTILINE)]
    words = lambda fields: ", ".join(f"`{field}`" for field in fields) or "-"
    assert rows[1:] == [[f"`{verb}`", words(must), words(may)] for verb, (must, may) in timeline.OWN.items()]
    assert list(timeline.OWN) == [verb for verb in edits.VERBS if verb != "nothing"]


def test_the_catalogue_names_every_scenario():
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE))
    found = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("configs/scenarios/*.yaml")}
    assert rows == {name: str(scene["schedule"]["ticks"]) for name, scene in found.items()}
