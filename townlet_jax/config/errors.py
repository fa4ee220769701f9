"""How a configuration fails: one exception that carries every message, and the words they share."""

import difflib
from collections.abc import Iterable, Sequence

Path = tuple[str | int, ...]

_SHOWN_CHARS = 60
_SHOWN_NAMES = 12


class ConfigError(ValueError):
    """A configuration that cannot be used.

    Attributes:
        messages: One line for each fault, in the order found.
    """

    def __init__(self, messages: str | Sequence[str]):
        self.messages = [messages] if isinstance(messages, str) else list(messages)
        super().__init__("\n".join(self.messages))

    def __reduce__(self):
        return type(self), (self.messages,)


def dotted(path: Path) -> str:
    """Writes a path as the user types it, `("train", "layers", 0)` as `train.layers.0`."""
    return ".".join(map(str, path))


def shown(value: object) -> str:
    """Returns `repr(value)`, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def listed(names: Iterable[str]) -> str:
    """Joins at most 12 names and counts the rest."""
    names = list(names)
    rest = len(names) - _SHOWN_NAMES
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: str, options: Iterable[str]) -> str | None:
    """Returns the option most like `name`, by spelling or by initials (`lr` for `learning_rate`), or None."""
    options = list(options)
    close = [option for option in options if option.lower() == name.lower()]
    close += difflib.get_close_matches(name.lower(), options, n=1)
    initials = ["".join(word[:1] for word in option.split("_")) for option in options]
    by_initials = [option for option, letters in zip(options, initials) if letters == name.lower() and len(letters) > 1]
    return next(iter(by_initials + close), None)


def suggestion(name: str, options: Iterable[str], prefix: str = "") -> str:
    """Returns ` Did you mean '...'?` with a leading space, or an empty string where nothing is near."""
    match = nearest(name, options)
    return f" Did you mean {prefix + match!r}?" if match else ""
