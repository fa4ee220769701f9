"""Small files of arrays that cannot be changed unnoticed: npz with a JSON header, sealed by a sha256 of the whole file.

NumPy reads them as they are. No pickle is written or read.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from .exchange import exchanged

HEADER = "header"
MARK = b"\nsha256:"  # and 64 hexadecimal digits, the end of the file


def save_sealed(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a file; a crash leaves the old one or the new one.

    Args:
        path: of the file.
        header: plain JSON.
        arrays: by name, of NumPy's own types.

    Raises:
        OSError: it cannot be written.
        ValueError: the header is not plain JSON.
    """
    text = json.dumps(header, allow_nan=False)
    file = io.BytesIO()
    np.savez_compressed(file, **{HEADER: np.frombuffer(text.encode(), np.uint8)}, **arrays)
    data = file.getvalue()
    with exchanged(path) as out:
        out.write(data + MARK + hashlib.sha256(data).hexdigest().encode())


def load_sealed(path: Path, max_bytes: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file: its header and its arrays.

    Args:
        path: of the file.
        max_bytes: neither the file nor what is in it may be larger.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, not such a file, or a single byte of it was changed.
    """
    if path.stat().st_size > max_bytes:
        raise ValueError(f"it is larger than {max_bytes} bytes")
    data, mark, seal = path.read_bytes().rpartition(MARK)
    if not mark or hashlib.sha256(data).hexdigest().encode() != seal:
        raise ValueError("it is damaged, or was not written by this program: its sha256 does not fit")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            size = sum(entry.file_size for entry in file.zip.infolist())
            if size > max_bytes:
                raise ValueError(f"it unpacks to {size} bytes, the limit is {max_bytes}")
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
    except (OSError, ValueError):
        raise
    except Exception as error:  # a zip can be wrong in many ways
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    return header, arrays
