"""The shape of the code: which package may import which, and what must never stand in it."""

import ast
import re
from pathlib import Path

import jax
import pytest

from townlet_jax import engine, load

ROOT = Path(__file__).parents[1]
PRODUCT = sorted([*ROOT.glob("townlet_jax/**/*.py"), *ROOT.glob("train/**/*.py")])
OURS = [path for path in PRODUCT if path.is_relative_to(ROOT / "townlet_jax")]
LAYERS = (  # imports go to the same line or one above it
    {"types"},
    {"core"},
    {"systems", "observe"},
    {"engine"},
    {"config", "worlds"},
    {"env"},
    {"policies", "telemetry", "render", "io", "console", "adapters", "testing", "pool", ""},
)
LAZY = {("townlet_jax/env.py", "render")}  # imported when a picture is asked for
OUTSIDE = {"jax", "flax", "pydantic"}  # what the inner layers may import, besides the standard library
PURE = {"types", "core", "systems", "observe", "engine"}
STANDARD = {"collections", "functools", "typing", "zlib", "__future__", "math"}
NUMPY = {"core/grid.py", "observe/__init__.py"}  # tables made once with numpy, words for people
MAX_LINES = 400


def name(path):
    return path.relative_to(ROOT).as_posix()


def part(path):
    """The first part below townlet_jax: `core` of townlet_jax/core/grid.py, `` of the package itself."""
    parts = path.relative_to(ROOT / "townlet_jax").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imported(path):
    """Absolute names of all that a file imports, wherever in the file, such as `townlet_jax.core.fixed`."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def calls(path):
    """(name, keywords) of all calls in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


def rank(folder):
    return next(number for number, layer in enumerate(LAYERS) if folder in layer)


@pytest.mark.parametrize("path", OURS, ids=name)
def test_imports_run_one_way(path):
    own = rank(part(path))
    for module in imported(path):
        if module.startswith("townlet_jax."):
            other = module.split(".")[1]
            other = other if any(other in layer for layer in LAYERS) else ""  # a name of the package itself
            allowed = rank(other) <= own or (name(path), other) in LAZY
            assert allowed, f"{name(path)} imports {module}, which is built on it"


@pytest.mark.parametrize("path", OURS, ids=name)
def test_nothing_imports_the_trainer(path):
    assert not [module for module in imported(path) if module.split(".")[0] == "train"]


@pytest.mark.parametrize("path", [path for path in OURS if part(path) in PURE], ids=name)
def test_the_simulation_imports_only_jax(path):
    allowed = OUTSIDE | STANDARD | {"townlet_jax"}
    if path.relative_to(ROOT / "townlet_jax").as_posix() in NUMPY:
        allowed |= {"numpy"}
    assert {module.split(".")[0] for module in imported(path)} <= allowed


@pytest.mark.parametrize("path", [path for path in OURS if part(path) == "core"], ids=name)
def test_kernels_know_no_world(path):
    assert not [module for module in imported(path) if module.startswith("townlet_jax.types")]


def test_systems_import_pydantic_only_for_their_config():
    for path in (path for path in OURS if part(path) in PURE - {"types"}):
        taken = {module for module in imported(path) if module.startswith("pydantic")}
        assert taken <= {"pydantic.Field", "pydantic.model_validator", "pydantic.field_validator"}, name(path)


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_nothing_dangerous(path):
    modules = {module.split(".")[0] for module in imported(path)}
    assert not modules & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
    for function, keywords in calls(path):
        where = f"{name(path)}: {function}"
        assert function not in {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"}, where
        assert not function.endswith(("extractall", "yaml.unsafe_load", "yaml.full_load")), where
        assert keywords.get("shell") != "True" and keywords.get("allow_pickle") != "True", where
        assert keywords.get("force") != "True", (
            f"{where}: an overwriting save loses the only checkpoint when it is killed"
        )


@pytest.mark.parametrize("path", OURS, ids=name)
def test_no_callbacks(path):
    forbidden = re.compile(r"(jax\.debug\.|debug\.callback|io_callback|pure_callback|debug\.print|host_callback)")
    assert not forbidden.search(path.read_text())


def test_one_file_knows_distrax():
    users = [name(path) for path in PRODUCT if any(module.split(".")[0] == "distrax" for module in imported(path))]
    assert users in ([], ["train/distributions.py"])


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) < MAX_LINES


def test_no_float_in_the_state():
    state = jax.eval_shape(engine.reset, load("town"), jax.random.key(0))
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(state)}
    assert kinds <= {"bool", "int8", "int16", "int32", "uint8", "uint16", "uint32"}


@pytest.mark.parametrize(
    "source",
    ["from ..env import make", "from townlet_jax import env", "import townlet_jax.worlds", "from .. import worlds"],
)
def test_the_import_rule_can_fail(source, tmp_path, monkeypatch):
    monkeypatch.setattr("test_structure.ROOT", tmp_path)
    path = tmp_path / "townlet_jax/core/bad.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    with pytest.raises(AssertionError, match="which is built on it"):
        test_imports_run_one_way(path)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "eval('1')",
        "run('ls', shell=True)",
        "np.load(f, allow_pickle=True)",
        "yaml.load(f)",
        "save(1, force=True)",
    ],
)
def test_the_rule_against_danger_can_fail(source, tmp_path, monkeypatch):
    monkeypatch.setattr("test_structure.ROOT", tmp_path)
    (tmp_path / "bad.py").write_text(source)
    with pytest.raises(AssertionError):
        test_nothing_dangerous(tmp_path / "bad.py")
