"""Plain scalars of YAML 1.2, read strictly: what could be read in two ways is refused, not guessed."""

import math
import re

Scalar = str | int | float | bool | None

MAX_INT_DIGITS = 18

INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}

_QUOTE = "or quotes around it for a string"
_REFUSED = (
    (re.compile(r"[-+]?0[0-9]+"), "has a leading zero", f"a decimal integer without one, {_QUOTE}"),
    (re.compile(r"[-+]?0[xXoObB][0-9a-fA-F]+"), "is not decimal", f"a decimal integer, {_QUOTE}"),
    (re.compile(r"[-+]?\.?[0-9][0-9_.]*_[0-9_.]*"), "has an underscore", f"a number without underscores, {_QUOTE}"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "is not finite", f"a finite number, {_QUOTE}"),
    (re.compile(r"True|TRUE|False|FALSE|Null|NULL"), "is not in lower case", f"true, false or null, {_QUOTE}"),
)


def resolve_scalar(text: str) -> Scalar:
    """Reads an unquoted scalar.

    Args:
        text: The scalar as written, without quotes.

    Returns:
        true/false as bool, null/~/nothing as None, decimal integers, finite floats (`3e-4` is one); the rest
        (`on`, `yes`, `12:30`, `2024-01-01`) stays a string.

    Raises:
        ValueError: For `010`, `0x1f`, `1_000`, `.inf`, `.nan`, `True` and numbers too large, naming what is allowed.
    """
    if text in WORDS:
        return WORDS[text]
    if INT.fullmatch(text):  # most of what there is, and none of what is refused
        return _integer(text)
    for pattern, fault, allowed in _REFUSED:
        if pattern.fullmatch(text):
            raise ValueError(f"{fault} (allowed: {allowed})")
    if FLOAT.fullmatch(text):
        return _number(text)
    return text


def _integer(text: str) -> int:
    if len(text.lstrip("+-")) > MAX_INT_DIGITS:
        raise ValueError(f"is too large (allowed: integers of at most {MAX_INT_DIGITS} digits)")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("is too large (allowed: finite 64-bit numbers)")
    return number
