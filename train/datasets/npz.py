"""Files that are written whole or not at all, and arrays in NPZ that are read with suspicion.

A file is written beside its place, forced to the disk and then renamed. No pickle: what an archive must hold is known before it is
opened, and is compared with its headers before anything is allocated. That bounds what a small file can claim to unpack to, so the
ratio of its compression needs no limit: flags that are mostly off compress a thousandfold.
"""

import hashlib
import math
import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..logging import RunError
from ..storage.exchange import exchanged

MAX_TEXT = 64 << 20  # bytes of a JSON or YAML file

Arrays = dict[str, np.ndarray]


class DatasetError(RunError):
    """A dataset cannot be written, trusted or used; the text is one readable line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split())[:1000])


class Declared(NamedTuple):
    """What an array must be."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes, without bound."""
        return self.dtype.itemsize * math.prod(map(int, self.shape))


def write_file(path: Path, fill: Callable[[BinaryIO], Any]) -> tuple[int, str]:
    """Write a file so that a crash leaves the old one or the new one. Returns its bytes and its sha256.

    Raises:
        DatasetError: the disk refuses.
    """
    try:
        with exchanged(path) as file:
            fill(file)
        with path.open("rb") as file:
            told = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from None
    return told


def write_text(path: Path, text: str) -> tuple[int, str]:
    """The same of a text."""
    return write_file(path, lambda file: file.write(text.encode()))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compress: bool) -> tuple[int, str]:
    """The same of arrays, as NPZ; equal arrays make equal files."""
    return write_file(path, lambda file: (np.savez_compressed if compress else np.savez)(file, **arrays))


def plain_bytes(path: Path, max_bytes: int = MAX_TEXT) -> bytes:
    """The bytes of a plain file.

    Raises:
        DatasetError: it is missing, no plain file, or too large.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
            raise DatasetError(f"{path} is a symlink, a special file or over {max_bytes} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}") from None


def read_arrays(path: Path, wanted: Mapping[str, Declared]) -> Arrays:
    """Read an NPZ whose arrays are known; sizes are compared before anything is allocated.

    Args:
        path: the file.
        wanted: what it must hold, nothing more or less.

    Raises:
        DatasetError: names the file and what differs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(info.filename for info in archive.infolist())
            if members != sorted(f"{name}.npy" for name in wanted):
                raise DatasetError(f"{path} is damaged: it does not hold the arrays {', '.join(wanted)} and no others")
            arrays = {}
            for name, array in wanted.items():
                with archive.open(f"{name}.npy") as member:
                    arrays[name] = _read_array(path, name, array, member)
            return arrays
    except DatasetError:
        raise
    except Exception as error:  # whatever a damaged archive makes zipfile, zlib and numpy raise
        raise DatasetError(f"{path} is damaged: {type(error).__name__}: {error}") from None


def _read_array(path: Path, name: str, wanted: Declared, member: Any) -> np.ndarray:
    if np.lib.format.read_magic(member) != (1, 0):
        raise DatasetError(f"{path} is damaged: {name} is not of version 1.0")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(member)
    if (dtype, shape) != wanted or by_column:
        differs = f"{name} is {dtype}{list(shape)}, declared is {wanted.dtype}{list(wanted.shape)}"
        raise DatasetError(f"{path} is damaged: {differs}")
    array = np.empty(shape, dtype)
    rest = memoryview(array.reshape(-1).view(np.uint8))
    while rest.nbytes:
        chunk = member.read(min(rest.nbytes, 1 << 20))
        if not chunk:
            raise DatasetError(f"{path} is damaged: {name} is cut off")
        rest[: len(chunk)] = chunk
        rest = rest[len(chunk) :]
    if member.read(1):  # reads on to the end, where the sum of the member is compared
        raise DatasetError(f"{path} is damaged: {name} is too long")
    return array
