"""Pictures of towns: numpy and Pillow, no display and no network. Needs the extra `viz`."""

from .card import Focus
from .movie import animate
from .picture import image
from .terminal import ansi

__all__ = ["Focus", "animate", "ansi", "image"]
