"""Pictures of towns: numpy and Pillow, no display and no network. Needs the extra `viz`."""

from .movie import animate
from .picture import image
from .terminal import ansi

__all__ = ["animate", "ansi", "image"]
