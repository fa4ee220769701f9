"""What the commands share: errors in one line, the compile cache, a polite way to stop."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from townlet_jax.config.errors import ConfigError
from townlet_jax.io.cache import use_compile_cache

from .checkpoint import CheckpointError
from .logging import RunError


def command(main: Callable[[], None]) -> None:
    """Run a command. What users can get wrong ends with one line each on stderr and exit code 2, without a traceback."""
    use_compile_cache()
    try:
        main()
    except (ConfigError, CheckpointError, RunError) as error:
        sys.exit(_told(str(error)))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _told(message: str) -> int:
    for line in message.split("\n"):
        print(f"error: {line}", file=sys.stderr)
    return 2


class Stop:
    """A context in which Ctrl-C and SIGTERM ask instead of killing; a second one kills at once.

    `asked` is the name of the signal, or empty.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = ""

    def __enter__(self) -> "Stop":
        self._before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        os.write(2, b"\nstopping after this update; once more to stop at once\n")
        self.asked = signal.Signals(number).name
