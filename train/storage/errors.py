"""The error of checkpoints, and how whatever fails becomes one."""

import contextlib
from collections.abc import Iterator


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, trusted or used; the text is one readable line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split())[:1000])


@contextlib.contextmanager
def told_as(what: str) -> Iterator[None]:
    """Turn whatever fails inside into a CheckpointError that says what was being done."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{what}: {type(error).__name__}: {error}") from error
