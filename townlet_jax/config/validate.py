"""Checks a document against a pydantic model and words every fault as one line."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from townlet_jax.config.allowed import UNKNOWN, Slot, allowed, below, choices, fields, keys, tagged
from townlet_jax.config.errors import ConfigError, Path, dotted, listed, shown, suggestion
from townlet_jax.config.strict_yaml import SUFFIXES, Document, Lines

Model = TypeVar("Model", bound=BaseModel)

_BOUNDS = {
    "less_than": "is not below {lt}",
    "less_than_equal": "is above {le}",
    "greater_than": "is not above {gt}",
    "greater_than_equal": "is below {ge}",
    "multiple_of": "is not a multiple of {multiple_of}",
    "literal_error": "is not among the choices",
    "enum": "is not among the choices",
    "string_pattern_mismatch": "does not match the pattern",
}
_TYPES = {
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_FROM_VALIDATORS = ("value_error", "assertion_error")


class Fault(NamedTuple):
    """One thing wrong at one path."""

    path: Path
    problem: str  # what is wrong
    allowed: str = ""  # what would be right; may be empty
    hint: str = ""  # " Did you mean ...?" or empty
    value: str = ""  # the offending value as shown; may be empty
    shared: bool = False  # one of several alternatives of a union
    together: bool = False  # keys below the path do not go together; the problem names them


def validate(model: type[Model], document: Document) -> Model:
    """Builds a model from a document, or names all that is wrong with it.

    Args:
        model: A pydantic model with `strict=True`, such as a `Section`.
        document: A document as `read_yaml` or `resolve` returns it.

    Returns:
        The validated model.

    Raises:
        ConfigError: With a line `file:line: path: fault (allowed: ...)` for each fault.
    """
    try:
        # The JSON mode takes arrays for tuples and strings for enums, and stays strict otherwise.
        return model.model_validate_json(json.dumps(document.tree))
    except ValidationError as error:
        details = error.errors(include_url=False)
    faults = [_fault(model, document.tree, detail) for detail in details if not _follows(detail)]
    raise ConfigError([_line(fault, document) for fault in _merged(faults)])


def _follows(detail: Mapping[str, Any]) -> bool:
    """Whether a list is called too short only since some of it is wrong: pydantic counts what is right."""
    items = detail["input"]
    return (
        detail["type"] == "too_short" and isinstance(items, list | dict) and len(items) >= detail["ctx"]["min_length"]
    )


def _fault(model: type[BaseModel], tree: Any, detail: Mapping[str, Any]) -> Fault:
    path, owner, slot, shared = _walk(Slot(model), tree, detail["loc"])
    kind, value = detail["type"], detail["input"]
    name = str(path[-1]) if path else "value"
    if kind.startswith("union_tag"):
        return _tag_fault(path, slot, detail)
    if kind == "extra_forbidden":
        names = list(fields(owner.model)) if owner.model else []
        prefix = "".join(f"{part}." for part in path[:-1])
        return Fault(path, "unknown key", listed(names), suggestion(name, names, prefix), shared=shared)
    if kind == "missing":
        about = "; ".join(text for text in (allowed(slot, name), slot.description) if text)
        return Fault(path, "required key is missing", about, shared=shared)
    if kind in _FROM_VALIDATORS:
        text = detail["msg"].split(", ", 1)[-1]  # after "Value error" or "Assertion failed"
        together = isinstance(value, dict | list)
        return Fault(path, text, value="" if together else f"{shown(value)}:", shared=shared, together=together)
    return Fault(path, _problem(detail), allowed(slot, name), _value_hint(detail), shown(value), shared)


def _walk(slot: Slot, tree: Any, location: Path) -> tuple[Path, Slot, Slot, bool]:
    """Follows pydantic's location, which names union members between the keys, through model and tree.

    Returns:
        The path in the file, the slot around it, its own slot, and whether a union was crossed.
    """
    path: Path = ()
    owner = slot
    shared = False
    for position, part in enumerate(location):
        members, last = choices(slot), position == len(location) - 1
        if len(members) > 1:
            slot, shared = slot if last else tagged(slot, str(part)), True
            continue
        node = _node(tree, path)
        held = part in node if isinstance(node, dict) else isinstance(node, list)
        if part == "[key]":
            slot = keys(owner)
            continue
        if members[0] == UNKNOWN and not held and not last:
            continue
        owner, slot = members[0], below(members[0], part) or UNKNOWN
        path = (*path, part)
    return path, owner, slot, shared


def _node(tree: Any, path: Path) -> Any:
    for part in path:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _problem(detail: Mapping[str, Any]) -> str:
    kind = detail["type"]
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**{key: str(bound).removesuffix(".0") for key, bound in detail["ctx"].items()})
    if kind in _TYPES:
        return f"is not {_TYPES[kind]}"
    message = detail["msg"]
    return message.removeprefix("Input ") if message.startswith("Input ") else f"is refused: {message}"


def _value_hint(detail: Mapping[str, Any]) -> str:
    if detail["type"] not in ("literal_error", "enum") or not isinstance(detail["input"], str):
        return ""
    return suggestion(detail["input"], detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", "))


def _tag_fault(path: Path, slot: Slot, detail: Mapping[str, Any]) -> Fault:
    key = detail["ctx"]["discriminator"].strip("'")
    path = (*path, key)
    kinds = [below(member, key) or UNKNOWN for member in choices(slot)]
    right = " or ".join(text for text in (allowed(kind, key) for kind in kinds) if text)
    if "tag" not in detail["ctx"]:
        return Fault(path, "required key is missing", right)
    hint = suggestion(str(detail["ctx"]["tag"]), right.replace("'", "").split(" or "))
    return Fault(path, "is not among the choices", right, hint, shown(detail["input"][key]))


def _merged(faults: list[Fault]) -> list[Fault]:
    """Joins the alternatives of a union at one path; a fault deeper inside one of them speaks for them all."""
    around = {fault.path[:length] for fault in faults for length in range(len(fault.path))}
    kept: dict[Path, Fault] = {}
    for fault in faults:
        if fault.shared and fault.path in around:
            continue
        first = kept.setdefault(fault.path, fault)
        if fault.allowed != first.allowed:
            kept[fault.path] = first._replace(allowed=f"{first.allowed} or {fault.allowed}")
        elif fault.problem != first.problem:
            kept[fault.path] = first._replace(problem="fits none of the choices")
    return list(kept.values())


def _line(fault: Fault, document: Document) -> str:
    place = _place(_blamed(fault, document.lines), document.lines, document.path)
    path = f"{dotted(fault.path)}:" if fault.path else ""
    right = f"(allowed: {fault.allowed})" if fault.allowed else ""
    text = " ".join(part for part in (f"{place}:", path, fault.value, fault.problem, right) if part)
    return f"{text}.{fault.hint}" if fault.hint else text


def _blamed(fault: Fault, lines: Lines) -> Path:
    """The path at fault; where keys below it do not go together, the first of them that was written over the file, if any was."""
    named = [(*fault.path, word) for word in re.findall(r"\w+", fault.problem)] if fault.together else []
    return next((path for path in named if path in lines and not lines[path][0].endswith(SUFFIXES)), fault.path)


def _place(path: Path, lines: Lines, default: str) -> str:
    """The source and line of the nearest written path at or above `path`."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            source, line = lines[path[:length]]
            return f"{source}:{line}" if line else source
    return f"{default}:1"
