"""Random choices for maps from integers alone, so that one seed draws one map on every machine and Python."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
_MASK = 2**64 - 1


class Draws:
    """SplitMix64 (Steele, Lea and Flood, 2014): a counter that is mixed into 64 bits a draw."""

    def __init__(self, seed: int):
        self._counter = seed & _MASK

    def bits(self) -> int:
        """The next 64 bits."""
        self._counter = (self._counter + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((self._counter ^ (self._counter >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, end: int) -> int:
        """One of 0 to end - 1."""
        return (self.bits() * end) >> 64

    def between(self, least: int, most: int) -> int:
        """One of least to most, both included."""
        return least + self.below(most - least + 1)

    def chance(self, percent: int) -> bool:
        """True that often."""
        return self.below(100) < percent

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """The items in a random order (Fisher and Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def split(self, total: int, parts: int) -> list[int]:
        """A number in so many parts, each unit dealt to one of them by chance."""
        sizes = [0] * parts
        for _ in range(total):
            sizes[self.below(parts)] += 1
        return sizes
