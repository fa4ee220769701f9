"""A public checker: does a world, with mechanics of your own or without, keep what the rest of the library relies on?

Use it as `testing.check_world(load("town"))`; it raises a `WorldError` that names the rule and the leaf.
"""

from .check import check_world
from .findings import WorldError
from .invariants import invariants
from .play import random_actions, random_play, town_keys

__all__ = ["WorldError", "check_world", "invariants", "random_actions", "random_play", "town_keys"]
