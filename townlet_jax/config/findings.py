"""How a fault across sections is said: the dotted path of the key, and what is wrong there."""

import difflib
from collections.abc import Iterable, Mapping

Finding = tuple[str, str]  # dotted path, what is wrong there


def unknown(path: str, used: Iterable[str], known: Iterable[str], what: str) -> list[Finding]:
    """A line for each used word that is not known, with the nearest one."""
    allowed = list(dict.fromkeys(known))
    wrong = []
    for word in used:
        if word not in allowed:
            near = difflib.get_close_matches(word, allowed, 1)
            hint = f". Did you mean {near[0]!r}?" if near else ""
            wrong.append((f"{path}.{word}", f"there is no such {what} (allowed: {', '.join(allowed) or 'none'}){hint}"))
    return wrong


def outside(path: str, table: Mapping[str, float], least: float, most: float, unit: str) -> list[Finding]:
    """A line for each number out of its range."""
    return [
        (f"{path}.{word}", f"{value} is not allowed (allowed: {least} to {most} {unit})")
        for word, value in table.items()
        if not least <= value <= most
    ]
