"""Strict YAML: one small UTF-8 document of mappings, lists and plain scalars, with the line of every value.

The tree is built straight from the parser's events, so that depth, node count, anchors and tags are refused before
anything is expanded; no YAML constructor runs.
"""

import itertools
import re
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, NamedTuple, NoReturn

import yaml

from townlet_jax.config.errors import ConfigError, Path, dotted, shown
from townlet_jax.config.scalars import resolve_scalar

SUFFIXES = (".yaml", ".yml")  # of configuration files
MAX_BYTES = 64 * 1024
MAX_DEPTH = 12
MAX_NODES = 20_000

Lines = dict[Path, tuple[str, int]]

_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BETWEEN = ",:-?[{\n"  # each of these begins two values at most, as the colon in [a: 1]
_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)


class Document(NamedTuple):
    """A configuration as read: plain values, and where each of them was written."""

    path: str  # the file asked for
    tree: dict[str, Any]  # str keys; values are dict, list, str, int, float, bool, None
    lines: Lines  # path -> (source file or "--set", line or number from 1; 0 if neither says anything)


def read_yaml(path: str | FilePath, source: str = "") -> Document:
    """Reads one file by the strict rules, without following `extends`.

    Args:
        path: A regular file of at most 64 KiB, UTF-8 without a byte order mark, whose root is a mapping.
        source: What messages call it; the path, if empty.

    Returns:
        The document, with a line for every path in it.

    Raises:
        ConfigError: For a file that cannot be read or a text outside the rules, naming file, line and what is allowed.
    """
    source = source or str(path)
    value, lines = parse(_text(FilePath(path), source), source)
    if not isinstance(value, dict):
        kind = "empty" if value is None else f"{shown(value)}, not a mapping"
        raise ConfigError(f"{source}:{lines[()][1]}: the document is {kind} (allowed: a mapping such as `key: value`)")
    return Document(source, value, lines)


def parse(text: str, source: str, first_line: int = 1, path: Path = ()) -> tuple[Any, Lines]:
    """Parses one document of any kind.

    Args:
        text: YAML text; an empty one reads as None.
        source: What messages call the text.
        first_line: The number of the first line.
        path: Where in a larger tree the value will stand; its parts count as depth.

    Returns:
        The value, and the place of each path in it; paths begin with `path`.

    Raises:
        ConfigError: For a text outside the rules.
    """
    builder = _Builder(source, first_line)
    tab = _TAB_INDENT.search(text)
    if tab:
        builder.fail(text.count("\n", 0, tab.start()) + first_line, (), "tab in the indentation (allowed: spaces)")
    try:
        if 2 * sum(map(text.count, _BETWEEN)) > MAX_NODES - 2:
            builder.count(yaml.parse(text, Loader=_Parser))
        return builder.document(yaml.parse(text, Loader=_Parser), path), builder.lines
    except yaml.YAMLError as error:
        builder.fail(first_line + _lines_above(error, text), (), f"not valid YAML: {_reason(error)}")
    except RecursionError:
        builder.fail(first_line, (), f"nested too deep (allowed: {MAX_DEPTH} levels)")
    except (ValueError, OverflowError) as error:  # characters outside Unicode, such as "\U00110000"
        if isinstance(error, ConfigError):
            raise
        builder.fail(first_line, (), f"not valid YAML: {error}")


def _lines_above(error: yaml.YAMLError, text: str) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    last = text.rstrip("\n").count("\n")  # an error at the end of the file is marked past its last line
    return min(mark.line, last) if mark else 0


def _reason(error: yaml.YAMLError) -> str:
    return getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)


def _text(path: FilePath, source: str) -> str:
    try:
        mode = path.stat().st_mode
        data = _head(path) if stat.S_ISREG(mode) else None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if data is None:
        kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise ConfigError(f"{source}: cannot be read: it is {kind} (allowed: a YAML file)")
    return _decoded(data, source)


def _head(path: FilePath) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _decoded(data: bytes, source: str) -> str:
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source}: is larger than {MAX_BYTES} bytes (allowed: 64 KiB)")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{source}:1: is UTF-16 (allowed: UTF-8 without a byte order mark)")
    if data.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{source}:1: begins with a byte order mark (allowed: UTF-8 without one)")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise ConfigError(f"{source}:{line}: holds a NUL byte (allowed: UTF-8 text)")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{source}:{line}: byte 0x{data[error.start]:02x} is not UTF-8 (allowed: UTF-8)") from None


class _Builder:
    """Turns parser events into plain values and notes the line of each."""

    def __init__(self, source: str, first_line: int):
        self.source = source
        self.first_line = first_line
        self.lines: Lines = {}
        self.events: Iterator[yaml.Event] = iter(())

    def fail(self, line: int, path: Path, fault: str) -> NoReturn:
        place = f"{self.source}:{line}: " + (f"{dotted(path)}: " if path else "")
        raise ConfigError(place + fault)

    def count(self, events: Iterator[yaml.Event]) -> None:
        """Refuses too many values without building any of them, which would take four times as long."""
        nodes = (event for event in events if isinstance(event, yaml.NodeEvent))
        if event := next(itertools.islice(nodes, MAX_NODES, None), None):
            self.fail(self.line(event), (), f"too many values (allowed: {MAX_NODES})")

    def document(self, events: Iterator[yaml.Event], path: Path) -> Any:
        self.events = events
        next(events)  # stream start
        start = next(events)
        if isinstance(start, yaml.StreamEndEvent):
            self.lines[path] = (self.source, self.first_line)
            return None
        if start.version or start.tags:
            self.fail(self.line(start), (), "directives (%YAML, %TAG) are not read (allowed: none)")
        value = self.value(next(events), path)
        next(events)  # document end
        more = next(events)
        if not isinstance(more, yaml.StreamEndEvent):
            self.fail(self.line(more), (), "a second document begins (allowed: one)")
        return value

    def line(self, event: yaml.Event) -> int:
        return event.start_mark.line + self.first_line

    def value(self, event: yaml.Event, path: Path) -> Any:
        self.check(event, path)
        self.lines.setdefault(path, (self.source, self.line(event)))
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.scalar(event, path)

    def check(self, event: yaml.Event, path: Path) -> None:
        line = self.line(event)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            name = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor}"
            self.fail(line, path, f"{name} is an anchor or alias (allowed: none; write the value out)")
        if event.tag is not None:
            self.fail(line, path, f"{event.tag} is a tag (allowed: none)")
        if isinstance(event, yaml.CollectionStartEvent) and len(path) >= MAX_DEPTH:
            self.fail(line, path[:3] + ("...",), f"nested too deep (allowed: {MAX_DEPTH} levels)")

    def mapping(self, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, path)
            if key in built:
                first = self.lines[*path, key][1]
                self.fail(self.line(event), (*path, key), f"duplicate key, first in line {first} (allowed: once)")
            self.lines[*path, key] = (self.source, self.line(event))
            built[key] = self.value(next(self.events), (*path, key))
        return built

    def key(self, event: yaml.Event, path: Path) -> str:
        self.check(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            self.fail(self.line(event), path, "a list or mapping stands as a key (allowed: strings)")
        key = self.scalar(event, path)
        if not isinstance(key, str):
            self.fail(self.line(event), path, f"the key {shown(key)} is not a string (allowed: strings; quote it)")
        return key

    def sequence(self, path: Path) -> list[Any]:
        built: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            built.append(self.value(event, (*path, len(built))))
        return built

    def scalar(self, event: yaml.ScalarEvent, path: Path) -> Any:
        try:
            event.value.encode("utf-8")  # a lone surrogate has no UTF-8 form
            return resolve_scalar(event.value) if event.implicit[0] else event.value
        except UnicodeEncodeError:
            self.fail(self.line(event), path, f"{shown(event.value)} holds a lone surrogate (allowed: Unicode text)")
        except ValueError as error:
            self.fail(self.line(event), path, f"{_cut(event.value)} {error}")


def _cut(text: str) -> str:
    return shown(text).strip("'")
