"""Files that are exchanged whole: a crash or an error leaves the old one or the new one, and what is there is on the disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PART = ".part"  # at the end of the name of what is being written


@contextmanager
def exchanged(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` in the end; after an error nothing of it is left.

    Args:
        path: of the file, there already or not; its folder is there.

    Yields:
        The file, open for bytes.

    Raises:
        OSError: the disk refuses.
    """
    part = path.with_name(path.name + PART)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Force one file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Force a directory, all below it and its name to the disk."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        sync(path)
