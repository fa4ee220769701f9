"""What time a tick is, in words and in light."""

import math
from typing import NamedTuple

import numpy as np

from ..types import State, World

DAWN, DUSK = (5.0, 7.5), (18.5, 22.0)  # hours between which it gets light and dark
LEVELS = 20  # steps of darkness; few, so that frames share what they can
NIGHT = np.array([0.34, 0.38, 0.60])  # what is left of red, green and blue
TWILIGHT = np.array([1.0, 0.88, 0.80])  # the warm light halfway


class Clock(NamedTuple):
    """A time of day."""

    day: int  # from 1
    hour: int  # 0 to 23
    minute: int  # 0 to 59
    hours: float  # since midnight, 0 to 24

    @property
    def words(self) -> str:
        """As in `Day 2  08:15`."""
        return f"Day {self.day}  {self.hour:02d}:{self.minute:02d}"


def clock(world: World, state: State) -> Clock:
    """The time of one town, on a clock of 24 hours however many ticks a day has."""
    day, rest = divmod(int(state.tick), world.static.ticks_per_day)
    minutes = rest * 1440 // world.static.ticks_per_day
    return Clock(day + 1, minutes // 60, minutes % 60, rest * 24 / world.static.ticks_per_day)


def darkness(hours: float) -> float:
    """0 by day, 1 from 22:00 to 5:00, smooth between."""
    ramp = lambda span: min(max((hours - span[0]) / (span[1] - span[0]), 0.0), 1.0)
    share = 1.0 - ramp(DAWN) if hours < 12 else ramp(DUSK)
    return 0.5 - 0.5 * math.cos(math.pi * share)


def level(hours: float) -> int:
    """The darkness in whole steps, 0 to LEVELS."""
    return round(darkness(hours) * LEVELS)


def light(step: int) -> np.ndarray:
    """What is left of red, green and blue at a step of darkness: f64[3]."""
    share = step / LEVELS
    warm = 1.0 - abs(2.0 * share - 1.0)
    return (1.0 - share + share * NIGHT) * (1.0 - warm + warm * TWILIGHT)
