"""Written forms of a resolved tree: its id, and YAML text that reads back to the same tree."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import yaml

from townlet_jax.config.errors import ConfigError
from townlet_jax.config.scalars import FLOAT, INT, resolve_scalar

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
_OLD_WORDS = {"y", "n", "yes", "no", "on", "off"}  # booleans to YAML 1.1 readers


def config_id(tree: Mapping[str, Any]) -> str:
    """Names a configuration by its content.

    Args:
        tree: A resolved tree of plain values; the order of keys does not matter.

    Returns:
        The first 16 hex digits of the SHA-256 of its canonical JSON.

    Raises:
        ConfigError: If a number is not finite.
    """
    try:
        text = json.dumps(tree, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise ConfigError(f"a configuration cannot be named: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dump(tree: Mapping[str, Any]) -> str:
    """Writes a tree as YAML that `read_yaml` reads back unchanged.

    Strings of several lines, such as ASCII maps, become block literals; lists of plain scalars take one line.

    Args:
        tree: Plain values with string keys, as read by `resolve` or given by `model_dump(mode="json")`.

    Returns:
        YAML text, keys in the order of the tree.

    Raises:
        ConfigError: If a number is not finite, or a value is not plain.
    """
    try:
        return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    except yaml.representer.RepresenterError as error:
        raise ConfigError(f"a configuration cannot be written: {error}") from None


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper with the scalars of `townlet_jax.config.scalars` and no aliases."""

    yaml_implicit_resolvers: dict = {}

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"'
    if "\n" in text and text.replace("\n", "").isprintable():
        style = "|"
    elif _PLAIN.fullmatch(text) and text.lower() not in _OLD_WORDS and _stays_text(text):
        style = None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _stays_text(text: str) -> bool:
    try:
        return resolve_scalar(text) == text
    except ValueError:
        return False


def _represent_float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    if not math.isfinite(number):
        raise yaml.representer.RepresenterError(f"{number} is not finite")
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(number))


def _represent_mapping(dumper: yaml.SafeDumper, mapping: dict) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping, flow_style=not mapping)


def _represent_list(dumper: yaml.SafeDumper, items: list) -> yaml.SequenceNode:
    flat = not any(isinstance(item, list | tuple | dict) or (isinstance(item, str) and "\n" in item) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(dict, _represent_mapping)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)
for _tag, _pattern in (("null", "null"), ("bool", "true|false"), ("int", INT.pattern), ("float", FLOAT.pattern)):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), None)
