"""The store of releases: which policy is out, all that is needed to play it, and what was decided when.

    promotions/release.json      which release is out
    promotions/shadow.json       the candidate and the windows that it has won in a row
    promotions/history.jsonl     one line a decision
    promotions/releases/0001-3f2a.../{config.yaml, world.yaml, golden.npz, params/<step>/, release.json}

Each release stands on its own: the run that it came from may be deleted. Every file is checked against a sha256 before it is used.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax

from townlet_jax.types import World

from .. import runs
from ..checkpoint import Store, open_store, restore, save, silent
from ..logging import CONFIG, RunError
from ..players import Player
from ..program import learned
from ..storage.errors import CheckpointError, told_as
from ..storage.exchange import exchanged, sync
from ..storage.leaves import policy_hash
from ..storage.manifest import encode, now, sha256
from . import golden as goldens
from .golden import Golden

RELEASE, SHADOW, HISTORY, OLDER = "release.json", "shadow.json", "history.jsonl", "history.1.jsonl"
RELEASES, PARAMS, GOLDEN = "releases", "params", "golden.npz"
MOST_HISTORY = 1 << 20  # bytes; then the file becomes the older one, and a new one is begun
MOST_BYTES = 8 << 30  # of the parameters of a release


class Release(NamedTuple):
    """A policy that is or was out."""

    name: str  # of its folder below releases/
    run: str  # the name of the run that it came from
    step: int  # updates that the run had done
    policy: str  # sha256 of the parameters
    world: str  # config_id
    when: str  # UTC
    previous: str | None  # the name of the release before it
    files: dict[str, str]  # name -> sha256


class Loaded(NamedTuple):
    """A release whose files were checked."""

    release: Release
    run: runs.Setup
    params: Any
    golden: Golden


def seal(path: Path, fields: dict[str, Any]) -> None:
    """Write JSON with its own sha256 inside; a crash leaves the old file or the new one."""
    with told_as(f"cannot write {path}"), exchanged(path) as file:
        file.write(encode(fields))


def unseal(path: Path) -> dict[str, Any]:
    """Read what `seal` wrote.

    Raises:
        CheckpointError: it is damaged.
    """
    with told_as(f"cannot read {path}"):
        raw = path.read_bytes()
        try:
            fields = json.loads(raw)
            fields.pop("sha256")
        except (ValueError, KeyError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from None
        if encode(fields) != raw:
            raise CheckpointError(f"{path} is damaged: its own sha256 differs")
    return fields


def current(store: Path) -> Release | None:
    """The release that is out, None before the first."""
    return read_release(store / RELEASE) if (store / RELEASE).exists() else None


def read_release(path: Path) -> Release:
    """A record of a release.

    Raises:
        CheckpointError: it is damaged.
    """
    fields = unseal(path)
    if set(fields) != set(Release._fields) or "/" in fields["name"] or not fields["name"][:4].isdecimal():
        raise CheckpointError(f"{path} is damaged: it is no record of a release")
    return Release(**fields)


def export(store: Path, run: runs.Setup, params: Any, step: int, golden: Golden, previous: str | None) -> Release:
    """Copy a policy into the store; it is out only after `put_out`.

    Args:
        store: the folder.
        run: that it came from.
        params: of the policy.
        step: updates that the run had done.
        golden: rollouts of the policy.
        previous: the name of the release before it.
    """
    policy, config, world = policy_hash(params), *runs.texts(run)
    number = 1 + max((int(folder.name[:4]) for folder in folders(store)), default=0)
    folder = store / RELEASES / f"{number:04d}-{policy[:12]}"
    with told_as(f"cannot write {folder}"):
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text(config)
        (folder / runs.WORLD).write_text(world)
        goldens.write(folder / GOLDEN, golden)
        save(open_store(folder / PARAMS), step, params, {"policy": policy})
        for name in (CONFIG, runs.WORLD, GOLDEN):
            sync(folder / name)
        files = {name: sha256(folder / name) for name in (CONFIG, runs.WORLD, GOLDEN)}
    static = run.world.static
    made = Release(folder.name, run.config.name, step, policy, static.config_id, now(), previous, files)
    seal(folder / RELEASE, made._asdict())
    return made


def put_out(store: Path, release: Release) -> None:
    """Make a release of the store the one that is out."""
    seal(store / RELEASE, release._asdict())


def load(store: Path, name: str) -> Loaded:
    """A release of the store, every file of it checked.

    Raises:
        CheckpointError: a file is missing or damaged; it is named.
    """
    folder = store / RELEASES / name
    release = read_release(folder / RELEASE)
    for file, sha in release.files.items():
        with told_as(f"cannot read {folder / file}"):
            if sha256(folder / file) != sha:
                raise CheckpointError(f"{folder / file} is damaged: its sha256 is not that of {folder / RELEASE}")
    run = runs.existing(folder)
    target = jax.eval_shape(run.train.init, jax.random.key(run.config.seed)).params
    kept = Store((folder / PARAMS).absolute(), 2, MOST_BYTES)
    params, manifest = restore(kept, target, release.step, report=silent)  # it will not go on training
    if manifest.digest != release.policy:
        raise CheckpointError(f"{folder / PARAMS} holds another policy than {folder / RELEASE} says")
    return Loaded(release, run, params, goldens.read(folder / GOLDEN))


def fits(loaded: Loaded, world: World) -> bool:
    """Whether a release can play a world: what it sees and may do has the same names and sizes there."""
    there = runs.identity(loaded.run._replace(world=world))
    return all(there[name] == runs.identity(loaded.run)[name] for name in ("features", "actions"))


def player_of(loaded: Loaded, world: World) -> Player:
    """The player of a release.

    Raises:
        RunError: the world shows or allows other things than the one that the release was made for.
    """
    if not fits(loaded, world):
        told = f"{loaded.release.name} of run {loaded.release.run!r}"
        raise RunError(f"the release {told} cannot play {world.static.name!r}: its features or actions are others")
    return learned(world, loaded.run.config, loaded.params)


def folders(store: Path) -> list[Path]:
    """The folders of all releases that are kept, oldest first."""
    return sorted(path for path in (store / RELEASES).glob("[0-9][0-9][0-9][0-9]-*") if path.is_dir())


def prune(store: Path, keep: int) -> None:
    """Delete the oldest releases beyond `keep`, but never the one that is out or the one before it."""
    out = current(store)
    proven = {out.name, out.previous} if out else set()
    for folder in folders(store)[:-keep]:
        if folder.name not in proven:
            with told_as(f"cannot delete {folder}"):
                shutil.rmtree(folder)


def note(store: Path, line: dict[str, Any]) -> None:
    """Append a line to the history; a long file becomes the older one first, and half a line that a crash left goes."""
    path = store / HISTORY
    with told_as(f"cannot write {path}"):
        if path.exists():
            raw = path.read_bytes()
            if not raw.endswith(b"\n"):
                os.truncate(path, raw.rfind(b"\n") + 1)
            if len(raw) > MOST_HISTORY:
                os.replace(path, store / OLDER)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"when": now(), **line}, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def settle(store: Path) -> None:
    """Note what a process did that was killed before it noted so, and delete the releases that were never finished."""
    known, out = history(store), current(store)
    noted = [line["release"] for line in known if "release" in line]
    forgotten = not noted and (store / OLDER).exists()  # so long ago that its line is gone
    if out and noted[-1:] != [out.name] and not forgotten:
        state = "rolled_back" if out.name in noted else "promoted"
        who = {"run": out.run, "step": out.step, "policy": out.policy, "release": out.name}
        note(store, {"state": state, **who, "reasons": ["noted later: whoever put it out was killed at once"]})
    for folder in folders(store):
        if not (folder / RELEASE).exists():
            with told_as(f"cannot delete {folder}"):
                shutil.rmtree(folder)


def history(store: Path) -> list[dict[str, Any]]:
    """All decisions that are still known, oldest first.

    Raises:
        CheckpointError: a line is damaged; half a last line is not, a crash may leave it.
    """
    found = []
    for path in (store / OLDER, store / HISTORY):
        with told_as(f"cannot read {path}"):
            text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for number, line in enumerate(text.split("\n")[:-1], start=1):
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError):
                raise CheckpointError(f"{path} line {number} is damaged: remove it") from None
    return found
