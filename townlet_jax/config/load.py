"""Loads a configuration: finds the file, follows `extends`, applies overrides; `validate` then builds the model."""

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any, NoReturn

from townlet_jax.config.canonical import config_id, dump
from townlet_jax.config.errors import ConfigError, Path, dotted, listed, shown, suggestion
from townlet_jax.config.strict_yaml import MAX_BYTES, MAX_DEPTH, SUFFIXES, Document, Lines, parse, read_yaml
from townlet_jax.config.validate import validate

__all__ = ["ConfigError", "Document", "config_id", "dump", "find", "read_yaml", "resolve", "shipped", "validate"]

MAX_EXTENDS = 8
KINDS = {  # the folders of shipped configurations, and what messages call one and several of each
    "worlds": ("world", "worlds"),
    "scenarios": ("scenario", "scenarios"),
    "train": ("training configuration", "training configurations"),
    "curricula": ("curriculum", "curricula"),
    "promotion": ("gate", "gates"),
    "sweeps": ("sweep", "sweeps"),
}
FROM_SHELL, FROM_PYTHON = "--set", "overrides"  # what messages call what is written over a file

_PACKAGE = FilePath(__file__).resolve().parents[1]
_CONFIG_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")  # in a wheel, in a checkout


def resolve(
    path: str | FilePath, overrides: Sequence[str] = (), source: str = FROM_SHELL, counted: bool = True
) -> Document:
    """Reads a file with all it extends, then applies overrides.

    Mappings merge deeply and the extending file wins; lists and scalars replace what was there, and null takes it away.

    Args:
        path: The file; its top-level `extends:` is a path relative to it or a shipped name, at most 8 links long.
        overrides: Assignments `a.b.c=1` in order, the value in strict YAML; a number in the path indexes a list.
        source: What messages call the overrides.
        counted: Whether messages say which of them it was; those that stand in a mapping nobody counts.

    Returns:
        The merged document without `extends`; overridden lines have that source and count the overrides from 1, or are 0.

    Raises:
        ConfigError: For a file outside the rules, a chain too long or circular, or an override that fits nothing.
    """
    tree: dict[str, Any] = {}
    lines: Lines = {}
    for document in reversed(_chain(FilePath(path))):
        tree = _merge(tree, document.tree)
        lines = _present(tree, lines | document.lines)
    tree.pop("extends", None)
    for number, override in enumerate(overrides, start=1):
        lines |= _override(tree, override, (source, number if counted else 0))
    return Document(str(path), tree, _present(tree, lines))


def find(name: str, *folders: str) -> FilePath:
    """Finds a shipped configuration by name, or a file by path.

    Args:
        name: Such as `town`, or a path that ends in .yaml or .yml.
        *folders: The kinds of configuration that will do: keys of `KINDS`.

    Returns:
        The path of an existing file.

    Raises:
        ConfigError: If there is none, listing the names there are.
    """
    files = {stem: file for folder in reversed(folders) for stem, file in shipped(folder).items()}
    if not name.endswith(SUFFIXES):
        if name in files:
            return files[name]
        kinds = "; ".join(f"the {KINDS[folder][1]} {listed(sorted(shipped(folder)))}" for folder in folders)
        fault = f"there is no {KINDS[folders[0]][0]} {shown(name)} (allowed: {kinds}; or a file, NAME.yaml)"
        raise ConfigError(f"{fault}.{suggestion(name, files)}")
    if not FilePath(name).is_file():
        raise ConfigError(f"{name}: no such file.{suggestion(FilePath(name).stem, files)}".removesuffix("."))
    return FilePath(name)


def shipped(folder: str) -> dict[str, FilePath]:
    """The shipped configurations of a kind (a key of `KINDS`) by name."""
    folders = [root / folder for root in _CONFIG_FOLDERS]
    return {file.stem: file for place in reversed(folders) for file in sorted(place.glob("*.y*ml"))}


def _chain(path: FilePath) -> list[Document]:
    """Reads a file and the files below it, the extending one first."""
    documents: list[Document] = []
    seen: list[FilePath] = []
    while True:
        seen.append(path.resolve())
        documents.append(read_yaml(path, _source(path)))
        if "extends" not in documents[-1].tree:
            return documents
        path = _base(documents[-1], path)
        if path.resolve() in seen:
            names = " -> ".join(file.name for file in [*seen, path])
            _refuse(documents[-1], f"the files extend each other: {names} (allowed: no cycle)")
        if len(documents) > MAX_EXTENDS:
            _refuse(documents[-1], f"the chain is too long (allowed: {MAX_EXTENDS} links)")


def _source(path: FilePath) -> str:
    """What messages call a file: a shipped one `configs/worlds/town.yaml`, wherever it lies."""
    home = next((root for root in _CONFIG_FOLDERS if path.resolve().is_relative_to(root)), None)
    return path.resolve().relative_to(home.parent).as_posix() if home else str(path)


def _base(document: Document, path: FilePath) -> FilePath:
    name = document.tree["extends"]
    if not isinstance(name, str) or "\0" in name:
        _refuse(
            document, f"{shown(name)} is not a name (allowed: a shipped configuration, or a path relative to this file)"
        )
    files = {stem: file for kind in KINDS for stem, file in shipped(kind).items()}
    beside = path.parent / name
    if name.endswith(SUFFIXES) and beside.is_file():
        return beside
    stem = name.removesuffix(".yaml").removesuffix(".yml")
    if stem in files:
        return files[stem]
    near = [*files, *(file.name for file in path.parent.glob("*.y*ml") if file != path)]
    allowed = f"allowed: a path relative to this file, or one of {listed(sorted(files))}"
    _refuse(
        document, f"{shown(name)} is neither a file nor a shipped configuration ({allowed}).{suggestion(name, near)}"
    )


def _refuse(document: Document, fault: str) -> NoReturn:
    source, line = document.lines[("extends",)]
    raise ConfigError(f"{source}:{line}: extends: {fault}")


def _merge(base: Any, child: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(child, dict)):
        return child
    gone = {key for key, value in child.items() if value is None and key in base}
    return {
        key: _merge(base.get(key), child[key]) if key in child else base[key] for key in base | child if key not in gone
    }


def _present(tree: Any, lines: Lines) -> Lines:
    """Keeps the lines of the paths that the tree still has."""
    kept: Lines = {}
    pending: list[tuple[Path, Any]] = [((), tree)]
    while pending:
        path, node = pending.pop()
        if path in lines:
            kept[path] = lines[path]
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        pending += [((*path, part), value) for part, value in items]
    return kept


def _override(tree: dict[str, Any], override: str, origin: tuple[str, int]) -> Lines:
    """Writes one override into the tree and returns the lines it sets."""
    place = f"{origin[0]}:{origin[1]}"
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or not text.strip():
        raise ConfigError(f"{place}: {shown(override)} is not an override (allowed: path.to.key=value)")
    if parts[0] == "extends" or len(parts) > MAX_DEPTH or len(text) > MAX_BYTES:
        raise ConfigError(f"{place}: {shown(override)}: allowed: keys other than extends, {MAX_DEPTH} levels, 64 KiB")
    path: Path = ()
    node: Any = tree
    lines: Lines = {}
    for part in parts[:-1]:
        index = _index(node, path, part, place)
        path = (*path, index)
        if isinstance(node, dict) and index not in node:
            node[index], lines[path] = {}, origin
        node = node[index]
    index = _index(node, path, parts[-1], place)
    node[index], written = parse(text, *origin, (*path, index))
    if isinstance(node[index], dict | list) and not text.lstrip().startswith(("{", "[")):
        raise ConfigError(f"{place}: {key}: {shown(text)} is block YAML (allowed: a scalar, [a, b] or {{a: 1}})")
    return lines | {at: origin for at in written}


def _index(node: Any, path: Path, part: str, place: str) -> str | int:
    """Returns the key or index that a part of an override means in `node`."""
    if isinstance(node, dict):
        return part
    target = dotted((*path, part))
    if not isinstance(node, list):
        raise ConfigError(f"{place}: {target}: {dotted(path)} is {shown(node)}, which has no keys (allowed: a mapping)")
    if not (part.isascii() and part.isdigit() and len(part) < 6 and int(part) < len(node)):
        raise ConfigError(f"{place}: {target}: {part} is not in the list (allowed: 0 to {len(node) - 1})")
    return int(part)
