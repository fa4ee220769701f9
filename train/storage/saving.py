"""Checkpoints written in the background, while the next updates run."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ..checkpoint import PyTree, Store, commit, save, to_stderr
from .errors import CheckpointError, told_as
from .leaves import snapshot


class Saver:
    """A context in which checkpoints are saved by a thread of its own, at most one at a time.

    `saved` is the newest step whose manifest is on the disk, at first what the caller says: only such a step may be reported.
    What goes wrong is raised by the next `save` or `wait`, or on leaving the context.
    """

    def __init__(self, store: Store, saved: int = 0):
        self.store = store
        self.saved = saved
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._flying: Future[None] | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.wait()
        except CheckpointError as late:
            if kind is None:
                raise
            to_stderr(str(late))  # something else went wrong first, and is not to be hidden
        finally:
            self._thread.shutdown()

    def save(self, step: int, state: PyTree, meta: dict[str, Any], score: float | None = None) -> None:
        """Copy a state to the host, and begin to save it. The state may be donated as soon as this returns.

        Waits for the save before this one; arguments are those of `train.checkpoint.save`.

        Raises:
            CheckpointError: the save before this one failed, or the state cannot be saved.
        """
        self.wait()
        with told_as(f"cannot save step {step} in {self.store.folder}"):
            taken = snapshot(state)

        def write() -> None:
            commit(self.store, step, taken, meta, score)
            self.saved = step

        self._flying = self._thread.submit(write)

    def save_now(self, step: int, state: PyTree, meta: dict[str, Any], score: float | None = None) -> None:
        """Save a state here and now; on return it is on the disk.

        Raises:
            CheckpointError: this save or the one before it failed.
        """
        self.wait()
        save(self.store, step, state, meta, score)
        self.saved = step

    def wait(self) -> None:
        """Wait for the save in flight, if any.

        Raises:
            CheckpointError: it failed.
        """
        flying, self._flying = self._flying, None
        if flying is not None:
            flying.result()
