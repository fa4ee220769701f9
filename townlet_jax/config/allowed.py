"""What a pydantic model allows at a path, in words for error messages."""

import enum
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from townlet_jax.config.errors import listed

_NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "a string", type(None): "null"}
_LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long"}
_BOUNDS = {"gt": ("<", ">"), "ge": ("<=", ">="), "lt": ("<", "<"), "le": ("<=", "<=")}  # in an interval, alone


class Slot(NamedTuple):
    """A place in a model: its type, stripped of Annotated, and the constraints on it."""

    kind: Any
    constraints: tuple[Any, ...] = ()
    description: str = ""

    @property
    def model(self) -> type[BaseModel] | None:
        """The model that stands here, if one does."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, BaseModel) else None


UNKNOWN = Slot(Any)


def fields(model: type[BaseModel]) -> dict[str, Slot]:
    """Returns the slot of every key of a model, by the name used in the file."""
    return {field.alias or name: _of_field(field) for name, field in model.model_fields.items()}


def choices(slot: Slot) -> list[Slot]:
    """Returns the members of a union without null, or the slot itself; several mean a tag in error locations."""
    if get_origin(slot.kind) not in (Union, types.UnionType):
        return [slot]
    members = [kind for kind in get_args(slot.kind) if kind is not type(None)]
    return [found for kind in members for found in choices(_opened(kind, slot.constraints, slot.description))]


def tagged(slot: Slot, tag: str) -> Slot:
    """Returns the union member that pydantic calls `tag`: a discriminator's value or the name of a type."""
    members = choices(slot)
    by_value = [member for member in members if member.model and tag in _literals(member.model)]
    by_name = [member for member in members if tag in (getattr(member.kind, "__name__", ""), str(member.kind))]
    return next(iter(by_value + by_name), UNKNOWN)


def below(slot: Slot, part: str | int) -> Slot | None:
    """Returns the slot of a key or index inside `slot`, or None where the model has none."""
    if slot.model:
        return fields(slot.model).get(str(part))
    arguments = get_args(slot.kind)
    if not arguments:
        return UNKNOWN if slot.kind is Any else None
    if isinstance(part, str):
        return _opened(arguments[-1]) if len(arguments) == 2 else None
    if get_origin(slot.kind) is tuple and arguments[-1] is not Ellipsis:
        return _opened(arguments[part]) if part < len(arguments) else None
    return _opened(arguments[0])


def keys(slot: Slot) -> Slot:
    """Returns the slot of the keys of a mapping."""
    return _opened(get_args(slot.kind)[0]) if len(get_args(slot.kind)) == 2 else UNKNOWN


def allowed(slot: Slot, name: str) -> str:
    """Says what a slot takes, its bounds around `name` where it has any.

    Args:
        slot: The place in the model.
        name: The last part of the dotted path, for intervals such as `0 < lr <= 1`.

    Returns:
        Such as `0 < lr <= 1`, `'a', 'b'`, `a list of 2`, `an integer`; empty where nothing is known.
    """
    texts = [_allowed_one(choice, name) for choice in choices(slot)]
    if type(None) in get_args(slot.kind):
        texts.append("null")
    return " or ".join(dict.fromkeys(text for text in texts if text))


def noun(slot: Slot) -> str:
    """Names the type of a slot, such as `an integer` or `a mapping with the keys a, b`."""
    if slot.model:
        return f"a mapping with the keys {listed(fields(slot.model))}"
    origin = get_origin(slot.kind)
    if origin is Literal:
        return listed(map(repr, get_args(slot.kind)))
    if isinstance(slot.kind, type) and issubclass(slot.kind, enum.Enum):
        return listed(repr(member.value) for member in slot.kind)
    if origin is tuple and get_args(slot.kind)[-1] is not Ellipsis:
        return f"a list of {len(get_args(slot.kind))}"
    if origin is not None or slot.kind in (list, tuple, dict, set, frozenset):
        container = origin or slot.kind
        return "a mapping" if isinstance(container, type) and issubclass(container, Mapping) else "a list"
    return _NOUNS.get(slot.kind, "")


def _allowed_one(slot: Slot, name: str) -> str:
    bounds = {key: bound for key, bound in _constraints(slot) if bound is not None}
    parts = [] if slot.kind is float and _interval(bounds, name) else [noun(slot)]
    parts.append(_interval(bounds, name))
    parts += [text.format(bounds[key]) for key, text in _LENGTHS.items() if key in bounds]
    if "multiple_of" in bounds:
        parts.append(f"a multiple of {bounds['multiple_of']}")
    if "pattern" in bounds:
        parts.append(f"matching {bounds['pattern']}")
    return ", ".join(part for part in parts if part)


def _interval(bounds: Mapping[str, Any], name: str) -> str:
    low = next((key for key in ("gt", "ge") if key in bounds), None)
    high = next((key for key in ("lt", "le") if key in bounds), None)
    if low and high:
        return f"{bounds[low]} {_BOUNDS[low][0]} {name} {_BOUNDS[high][0]} {bounds[high]}"
    one = low or high
    return f"{name} {_BOUNDS[one][1]} {bounds[one]}" if one else ""


def _constraints(slot: Slot) -> Iterator[tuple[str, Any]]:
    for constraint in slot.constraints:
        for key in (*_BOUNDS, *_LENGTHS, "multiple_of", "pattern"):
            yield key, getattr(constraint, key, None)


def _of_field(field: FieldInfo) -> Slot:
    return _opened(field.annotation, tuple(field.metadata), field.description or "")


def _opened(kind: Any, constraints: tuple[Any, ...] = (), description: str = "") -> Slot:
    while get_origin(kind) is Annotated:
        kind, *extra = get_args(kind)
        inner = [item.metadata if isinstance(item, FieldInfo) else (item,) for item in extra]
        constraints += tuple(constraint for items in inner for constraint in items)
    return Slot(kind, constraints, description)


def _literals(model: type[BaseModel]) -> set[Any]:
    kinds = [slot.kind for slot in fields(model).values()]
    return {value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)}
