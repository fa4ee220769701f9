"""What every number of an observation means; the docs page, `explain` and the tests read this."""

from typing import NamedTuple

from ..types import Feature


class Entry(NamedTuple):
    """A field with its place in the vector."""

    name: str
    start: int
    stop: int
    unit: str
    low: float
    high: float
    entries: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each number of the field."""
        size = self.stop - self.start
        words = self.entries or (tuple(str(i) for i in range(size)) if size > 1 else ())
        return tuple(f"{self.name}_{word}" for word in words) if words else (self.name,) * size


def place(fields: list[Feature]) -> tuple[Entry, ...]:
    """Lay the fields one behind the other."""
    entries, start = [], 0
    for field in fields:
        entries.append(Entry(field.name, start, start + field.size, field.unit, field.low, field.high, field.entries))
        start += field.size
    return tuple(entries)
