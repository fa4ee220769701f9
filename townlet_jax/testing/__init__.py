"""A public checker: does a world, with mechanics of your own or without, keep what the rest of the library relies on?

`fuzz` lets a crowd loose that behaves as badly as it can, and writes down how it broke a rule.

Use the checker as `testing.check_world(load("town"))`; it raises a `WorldError` that names the rule and the leaf.
"""

from .check import check_world
from .findings import WorldError
from .fuzz import Violation, fuzz, reproduce
from .invariants import invariants
from .play import random_actions, random_play, town_keys
from .transitions import transitions

__all__ = [
    "Violation",
    "WorldError",
    "check_world",
    "fuzz",
    "invariants",
    "random_actions",
    "random_play",
    "reproduce",
    "town_keys",
    "transitions",
]
