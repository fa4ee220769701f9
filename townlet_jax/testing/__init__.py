"""A public checker: does a world, with mechanics of your own or without, keep the promises that the rest of the library relies on?

from townlet_jax import load, testing
testing.check_world(load("town"))
"""

from .check import check_world
from .findings import WorldError
from .invariants import invariants
from .play import random_actions, random_play, town_keys

__all__ = ["WorldError", "check_world", "invariants", "random_actions", "random_play", "town_keys"]
