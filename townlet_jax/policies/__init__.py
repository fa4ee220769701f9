"""Policies that need no learning: pure functions (world, state, key) -> actions i32[A]."""

from .random import random
from .scheduled import scheduled
from .scripted import citizen, scripted

__all__ = ["citizen", "random", "scheduled", "scripted"]
