"""The manifest of a checkpoint: what a step must hold, leaf by leaf and file by file, down to the last bit.

Orbax restores flipped bits without a word (230 of 240 tried), so every step carries a `MANIFEST.json`, written last:
who wrote it, which leaves the state has, and the size and sha256 of each file. It is stored in one canonical form
with its own sha256 inside, so a flipped bit in the manifest shows as well.
"""

import hashlib
import json
import os
import platform
import stat
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import jax

from .errors import CheckpointError
from .exchange import exchanged
from .leaves import Leaf
from .migrations import migrate_fields

NAME = "MANIFEST.json"
CPUINFO = Path("/proc/cpuinfo")
SCHEMA = 2  # raised whenever an older reader would misread the file
MAX_MANIFEST_BYTES = 64 << 20
LIBRARIES = ("jax", "jaxlib", "orbax-checkpoint", "flax", "optax", "numpy", "townlet-jax")


@dataclass(frozen=True)
class Manifest:
    """What was saved, by whom, and how every file of it hashes."""

    step: int
    meta: dict[str, Any]  # the caller's own notes, plain JSON
    versions: dict[str, str]  # distribution -> version, "unknown" when not installed
    machine: dict[str, Any]  # what bitwise resuming depends on
    leaves: tuple[Leaf, ...]  # of the state, in its own order
    files: dict[str, tuple[int, str]]  # path below the step directory -> bytes, sha256
    digest: str  # sha256 over all leaves, see `train.storage.leaves.digest_of`
    policy: str  # sha256 over the parameters, empty where the state has none
    score: float | None  # by which the best step is chosen
    schema: int = SCHEMA  # in which it was written


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def versions() -> dict[str, str]:
    """The installed version of each library that shapes a checkpoint."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def processor() -> str:
    """The model of the processor and a hash of its flags, for which XLA compiles; what Python knows where Linux does not tell."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}".strip()
    told = dict(line.split(":", 1) for line in lines if ":" in line)  # of the last core
    known = {key.strip(): value.strip() for key, value in told.items()}
    flags = " ".join(sorted(known.get("flags", known.get("Features", "")).split()))
    return f"{known.get('model name', platform.machine())} {hashlib.sha256(flags.encode()).hexdigest()[:8]}"


def machine() -> dict[str, Any]:
    """The settings that must agree for training to resume bit for bit."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS
    return {
        "device_kind": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
        "cpu_cores": len(affinity(0)) if affinity else os.cpu_count(),
        "cpu": processor(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "prng_impl": jax.config.jax_default_prng_impl,
        "prng_partitionable": jax.config.jax_threefry_partitionable,
        "x64": jax.config.jax_enable_x64,
    }


def differences(manifest: Manifest) -> list[str]:
    """What differs here from the process that saved, one text each; empty on the same machine class."""
    before = {"process_count": 1, "cpu": processor()}  # where an older manifest does not say it
    then, now = {**before, **manifest.versions, **manifest.machine}, {**versions(), **machine()}
    return [f"{name} was {then.get(name)!r}, is {now[name]!r}" for name in now if then.get(name) != now[name]]


def compare_leaves(manifest: Manifest, wanted: Sequence[Leaf]) -> None:
    """Refuse a target that is not what was saved; Orbax itself would cast another dtype silently.

    Raises:
        CheckpointError: names the first five leaves that differ.
    """
    there = {name: f"{dtype}{list(shape)}" for name, dtype, shape in manifest.leaves}
    here = {name: f"{dtype}{list(shape)}" for name, dtype, shape in wanted}
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    if names:
        told = [f"{name} is {there.get(name, 'absent')} there, {here.get(name, 'absent')} here" for name in names[:5]]
        rest = f"; and {len(names) - 5} more" if len(names) > 5 else ""
        raise CheckpointError(f"step {manifest.step} does not fit the target: {'; '.join(told)}{rest}")


def hash_files(folder: Path, max_bytes: int) -> dict[str, tuple[int, str]]:
    """Size and sha256 of each file below a step directory, the manifest itself excepted.

    Raises:
        CheckpointError: it holds anything but plain files and directories, or more than `max_bytes`.
    """
    sizes = {}
    for root, folders, files in os.walk(folder):
        for path in (Path(root) / name for name in (*folders, *files)):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                sizes[path] = status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                raise CheckpointError(f"{path} is a symlink or a special file")
    sizes.pop(folder / NAME, None)
    if sum(sizes.values()) > max_bytes:
        raise CheckpointError(f"{folder} holds {sum(sizes.values())} bytes, the limit is {max_bytes}")
    return {path.relative_to(folder).as_posix(): (size, sha256(path)) for path, size in sizes.items()}


def compare_files(folder: Path, manifest: Manifest, max_bytes: int) -> None:
    """Check each file of a step directory against its manifest.

    Raises:
        CheckpointError: names the first file that is missing, unlisted or different, or a path that leads outside.
    """
    for name in manifest.files:
        if "\\" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CheckpointError(f"{folder / NAME} lists {name!r}, which leads out of the step directory")
    found = hash_files(folder, max_bytes)
    for name in sorted({**found, **manifest.files}):
        if name not in found:
            raise CheckpointError(f"{folder / name} is missing")
        if name not in manifest.files:
            raise CheckpointError(f"{folder / name} is not in the manifest")
        if found[name] != manifest.files[name]:
            (size, sha), (listed_size, listed_sha) = found[name], manifest.files[name]
            differs = f"{size} bytes, sha256 {sha[:12]}; the manifest says {listed_size} bytes, {listed_sha[:12]}"
            raise CheckpointError(f"{folder / name} is damaged: {differs}")


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a step whose files are on the disk; a crash leaves either all of it or none."""
    with exchanged(folder / NAME) as file:
        file.write(encode(asdict(manifest)))


def read(folder: Path) -> Manifest:
    """Read the manifest of a step; its files are not looked at.

    Raises:
        CheckpointError: it is damaged or of a newer schema.
        OSError: it cannot be read.
    """
    path = folder / NAME
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_MANIFEST_BYTES:
        raise CheckpointError(f"{path} is a symlink, a special file or over {MAX_MANIFEST_BYTES} bytes")
    raw = path.read_bytes()
    try:
        fields = json.loads(raw)
        if fields["schema"] > SCHEMA:
            needed = f"townlet-jax {fields['versions']['townlet-jax']} or newer is needed"
            raise CheckpointError(f"{path} has schema {fields['schema']}, this version reads {SCHEMA}: {needed}")
        fields.pop("sha256")
        if encode(fields) != raw:
            raise CheckpointError(f"{path} is damaged: its own sha256 differs")
        fields = migrate_fields(fields, SCHEMA)
        fields["leaves"] = tuple((name, dtype, tuple(shape)) for name, dtype, shape in fields["leaves"])
        fields["files"] = {name: (size, sha) for name, (size, sha) in fields["files"].items()}
        return Manifest(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def encode(fields: dict[str, Any]) -> bytes:
    """The one canonical text of some fields, plain JSON, with the sha256 of the rest inside."""

    def text(value: dict[str, Any]) -> bytes:
        return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()

    return text({**fields, "sha256": hashlib.sha256(text(fields)).hexdigest()})


def sha256(path: Path) -> str:
    """The sha256 of a file, which is not held in memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
