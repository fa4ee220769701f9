"""Disasters, in processes of their own: kill -9, damage, a full disk, folders that cannot be written."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from train.checkpoint import Store, latest, open_store, restore, save
from train.storage import manifest as manifests
from train.storage.errors import CheckpointError

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.int32(7)}


def silent(message: str) -> None:
    """A report that is not expected to matter."""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


# --- kill -9

# One zygote imports everything, starts no thread, and forks each victim: a start costs milliseconds.
# A victim first proves that the newest step is no older than the last one acknowledged, then saves until killed, every second one
# in the background.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from train.checkpoint import latest, open_store, restore, rewind, save
from train.storage.saving import Saver

def state(step):
    return {"step": np.full(1000, step), "noise": np.random.default_rng(step).random(3000)}

def victim(pipe, acknowledged, background):
    store = open_store(Path(sys.argv[1]), keep=2)
    newest = latest(store, lambda message: None)
    assert (newest or 0) >= acknowledged, (newest, acknowledged)
    if newest is not None:
        found, _ = restore(store, state(0), newest)
        assert all((found[name] == value).all() for name, value in state(newest).items())
    rewind(store, newest or 0)
    step, saver = newest or 0, Saver(store, newest or 0)
    while True:
        os.write(pipe, (saver.saved if background else step).to_bytes(4, "big"))
        step += 1
        if background:
            saver.save(step, state(step), {"step": step})
        else:
            save(store, step, state(step), {"step": step})

rng, acknowledged = random.Random(0), 0
for kill in range(int(sys.argv[2])):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            victim(write, acknowledged, background=kill % 2 == 1)
        finally:
            os._exit(1)
    os.close(write)
    os.read(read, 4)  # it has proved itself
    before = acknowledged
    while acknowledged == before:  # and saved one step, however slow the machine
        acknowledged = int.from_bytes(os.read(read, 4) or sys.exit(f"victim {kill} ended by itself"), "big")
    time.sleep(rng.uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(f"victim {kill} ended by itself")
    while chunk := os.read(read, 4):
        acknowledged = int.from_bytes(chunk, "big")
    os.close(read)
print(acknowledged)
"""


def killed(folder: Path, kills: int) -> tuple[int, int]:
    """Kill a process that saves so many times. Returns the last step that it said was saved, and the one that is restored."""
    done = run(KILLS, str(folder), str(kills))
    assert done.returncode == 0, done.stderr[-3000:]
    found, manifest = restore(open_store(folder), {"step": np.zeros(1000, int), "noise": np.zeros(3000)}, report=silent)
    assert (found["step"] == manifest.step).all()
    return int(done.stdout), manifest.step


def test_no_acknowledged_step_is_lost_to_sigkill(tmp_path):
    acknowledged, restored = killed(tmp_path, 12)
    assert restored >= acknowledged >= 12


@pytest.mark.slow
def test_no_acknowledged_step_is_lost_to_sixty_kills(tmp_path):
    acknowledged, restored = killed(tmp_path, 60)
    assert restored >= acknowledged >= 60


# --- damage: nothing damaged is ever restored, whatever the damage is

Damage = Callable[[Path, np.random.Generator], None]


def a_file(folder: Path, rng: np.random.Generator) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return files[rng.integers(len(files))]


def flip(folder: Path, rng: np.random.Generator) -> None:
    path = a_file(folder, rng)
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def truncate(folder: Path, rng: np.random.Generator) -> None:
    path = a_file(folder, rng)
    os.truncate(path, int(rng.integers(path.stat().st_size)))


def zero(folder: Path, rng: np.random.Generator) -> None:
    path = a_file(folder, rng)
    path.write_bytes(bytes(path.stat().st_size))


def zero_page(folder: Path, rng: np.random.Generator) -> None:
    """A page that never reached the disk; in a small file it is all of it."""
    path = a_file(folder, rng)
    data = bytearray(path.read_bytes())
    start = int(rng.integers(len(data))) // 4096 * 4096
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    path.write_bytes(data)


def delete(folder: Path, rng: np.random.Generator) -> None:
    a_file(folder, rng).unlink()


def plant(folder: Path, rng: np.random.Generator) -> None:
    (folder / f"planted{rng.integers(100)}").write_text("x")


def hollow(folder: Path, rng: np.random.Generator) -> None:
    """A directory with the name of a step and nothing inside."""
    shutil.rmtree(folder)
    folder.mkdir()


def link(folder: Path, rng: np.random.Generator) -> None:
    path = a_file(folder, rng)
    shutil.move(path, folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def signed(folder: Path, **fields: object) -> None:
    """Change a manifest as somebody who knows the format would."""
    stored = json.loads((folder / manifests.NAME).read_bytes())
    del stored["sha256"]
    (folder / manifests.NAME).write_bytes(manifests.encode({**stored, **fields}))


def newer(folder: Path, rng: np.random.Generator) -> None:
    signed(folder, schema=int(rng.integers(manifests.SCHEMA + 1, 1000)))


def reshaped(folder: Path, rng: np.random.Generator) -> None:
    signed(folder, leaves=[["['count']", "int32", []], ["['w']", "float32", [1 << int(rng.integers(4, 40))]]])


DAMAGES = (flip, flip, truncate, zero, zero_page, delete, plant, hollow, link, newer, reshaped)


def test_two_hundred_damages_are_all_seen(tmp_path):
    """The newest of two steps is damaged: the older one comes back, or an error; never the newest, never other numbers."""
    store = open_store(tmp_path / "sound")
    save(store, 1, {**SMALL, "count": np.int32(1)}, {})
    save(store, 2, SMALL, {})
    (store.folder / "3.orbax-checkpoint-tmp-1").mkdir()  # what a killed save leaves is no step
    rng, told, before = np.random.default_rng(0), 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in range(200):
        damage, copy = DAMAGES[case % len(DAMAGES)], tmp_path / str(case)
        shutil.copytree(store.folder, copy)
        damage(copy / "2", rng)
        reports: list[str] = []
        try:
            state, manifest = restore(Store(copy, 3, 1 << 30, 0), SMALL, report=reports.append)
        except CheckpointError as error:
            assert damage is reshaped and "does not fit the target" in str(error)
            told += 1
        else:
            assert manifest.step == 1 and state["count"] == 1 and np.array_equal(state["w"], SMALL["w"]), (
                damage.__name__
            )
            assert reports and "step 2 skipped" in reports[0], damage.__name__
            told += 1
        shutil.rmtree(copy)
    assert told == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "kilobytes"


# --- disks and folders that refuse

# argv: folder, fault, now | background. Root may write anywhere, so it becomes nobody first.
REFUSED = """
import os, resource, sys
from pathlib import Path
import jax
import numpy as np
from train.checkpoint import open_store
from train.storage.saving import Saver
folder, fault, way = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if os.geteuid() == 0:
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
store = open_store(folder / "checkpoints")
big = {"w": np.random.default_rng(0).random(1 << 17)}  # 1 MiB that no compression helps
with Saver(store) as saver:
    save = saver.save_now if way == "now" else saver.save
    save(1, {"w": np.zeros(6)}, {})
    saver.wait()
    print("saved", saver.saved, flush=True)
    if fault == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    elif fault == "read-only":
        os.chmod(store.folder, 0o555)
    else:
        os.chmod(store.folder / ".lock", 0)
    save(2, big, {})
    print("went on", flush=True)
    save(3, big, {})
    print("saved", saver.saved, flush=True)
"""


@pytest.fixture
def public_folder():
    """A folder that nobody may write in as well; those of pytest belong to one user alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    for path in (folder / "checkpoints", folder / "checkpoints" / ".lock"):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("way", ["now", "background"])
@pytest.mark.parametrize("fault", ["full", "read-only", "permission"])
def test_a_disk_that_refuses_ends_the_run_and_leaves_what_was_there(public_folder, fault, way):
    """At the latest the next save fails, in one line; the step before is sound, and nothing half-written stays."""
    done = run(REFUSED, str(public_folder), fault, way)
    wanted = ["saved 1"] if way == "now" else ["saved 1", "went on"]
    assert done.returncode != 0 and done.stdout.splitlines() == wanted, done.stderr[-2000:]
    assert "CheckpointError: cannot save step 2" in done.stderr
    (public_folder / "checkpoints").chmod(0o755)
    assert sorted(path.name for path in (public_folder / "checkpoints").iterdir()) == [".lock", "1"]
    store = Store(public_folder / "checkpoints", 3, 1 << 30, 0)
    assert latest(store, pytest.fail) == 1
    restore(store, {"w": np.zeros(6)}, report=silent)
