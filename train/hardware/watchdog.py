"""A run that hangs ends: where it stands is written down, and the exit code says so.

Collectives and device drivers can wait for ever, and a queue of jobs would wait with them.
"""

import faulthandler
import math
import os
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

EXIT = 124  # as timeout(1) ends
LEAST = 60.0  # seconds that an update may always take
SLICE = 0.5  # seconds between two looks
LOOKED_AT = 100  # updates whose median counts


class Watchdog:
    """A context in which updates are timed; one that takes `factor` times their median ends the process. A factor of 0 never does.

    The first update has no limit. Time in which the whole process was stopped, as by Ctrl-Z, does not count.
    """

    def __init__(self, factor: float, least: float | None = None):
        self.factor = factor
        self.least = LEAST if least is None else least
        self.seconds: deque[float] = deque(maxlen=LOOKED_AT)
        self._limit = math.inf  # seconds that the update that runs may take
        self._slices = 0  # that it has taken
        self._number = 0  # of it; 0 between updates
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self.factor:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        if self.factor:
            self._thread.join()

    def limit(self) -> float:
        """The seconds that the next update may take."""
        return max(self.least, self.factor * statistics.median(self.seconds)) if self.seconds else math.inf

    @contextmanager
    def update(self, number: int) -> Iterator[None]:
        """What is inside is the update of that number."""
        begun = time.monotonic()
        self._limit, self._slices, self._number = self.limit(), 0, number
        try:
            yield
        finally:
            self._number = 0
        self.seconds.append(time.monotonic() - begun)

    def _look(self) -> None:
        while not self._end.wait(SLICE):
            self._slices += 1
            if (number := self._number) and self._slices * SLICE > self._limit:
                _bite(number, self._slices * SLICE, self._limit)


def _bite(number: int, seconds: float, limit: float) -> None:
    """Say where every thread stands, and end."""
    told = (
        f"error: update {number} runs for {seconds:.0f} s, at most {limit:.0f} s were expected (`watchdog`): it hangs\n"
    )
    os.write(2, told.encode())
    faulthandler.dump_traceback(2, all_threads=True)
    os._exit(EXIT)
