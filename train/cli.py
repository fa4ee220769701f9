"""What the commands share: errors in one line, the compile cache, a polite way to stop."""

import gc
import os
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import jax

from townlet_jax.config.errors import ConfigError
from townlet_jax.io.cache import use_compile_cache

from .hardware.machines import exhausted
from .logging import RunError
from .storage.errors import CheckpointError

# Tracing makes millions of objects that live on; to look through them as often as Python does by itself takes a tenth of a start.
SELDOM = (200_000, 20, 50)  # for gc.set_threshold


def command(main: Callable[[], None]) -> None:
    """Run a command. What users can get wrong ends with one line each on stderr and exit code 2, without a traceback."""
    gc.set_threshold(*SELDOM)
    use_compile_cache()
    try:
        main()
    except (ConfigError, CheckpointError, RunError) as error:
        sys.exit(_told(str(error)))
    except jax.errors.JaxRuntimeError as error:
        if not (said := exhausted(error)):
            raise
        sys.exit(_told(said))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _told(message: str) -> int:
    for line in message.split("\n"):
        print(f"error: {line}", file=sys.stderr)
    return 2


class Stop:
    """A context in which Ctrl-C, SIGTERM and SIGHUP ask instead of killing; a second one kills at once.

    `asked` is the name of the signal, or empty. A signal that was ignored before, as `nohup` does with SIGHUP, still is.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.asked = ""

    def __enter__(self) -> "Stop":
        heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._ask) for number in heard}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = signal.Signals(number).name
        if number == signal.SIGHUP:
            _leave_terminal()
        with suppress(OSError):
            os.write(2, b"\nstopping after this update; once more to stop at once\n")


def _leave_terminal() -> None:
    """Send to nowhere what would be written to a terminal that is gone, so that a run can still save and end in peace."""
    for number in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
