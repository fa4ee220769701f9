"""The folder of a sweep or a population: begun, trained block by block, resumed, and its members taken out as ordinary runs.

    runs/<name>/{sweep.yaml, base.yaml, members.csv, metrics.jsonl, checkpoints/block_000/<update>/, best/, members/003/}

A block is as many members as one program trains. Blocks are trained one after the other by the same compiled program.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from townlet_jax.config.load import Document, config_id, dump, validate
from townlet_jax.telemetry import kpis

from .. import runs
from ..checkpoint import Store, finished, open_store, restore, rewind, save
from ..cli import Stop
from ..config import TrainConfig
from ..hardware.watchdog import Watchdog
from ..logging import JSONL, RunError, disk, open_run, vacant, write_whole
from ..progress import Progress
from ..session import scored
from ..storage.agreement import agree
from ..storage.exchange import PART
from ..storage.saving import Saver
from ..types import Runner
from . import rows, stack
from .members import BASE, SWEEP, Member, Shared
from .stack import Stack

SCORE = "return_per_day"  # by which members are compared
LAST_SHARE = 0.1  # of the updates over which it is averaged

State = Any  # a stacked runner, or a struct with one in `runner`


class Crowd(NamedTuple):
    """Members that are trained together."""

    folder: Path
    shared: Shared
    document: Document  # that `shared` came from
    base: Document  # the training configuration that all share
    members: list[Member]
    stack: Stack  # of all members
    block: int  # members that one program trains

    @property
    def total(self) -> int:
        """Updates of a member."""
        return self.stack.program.num_updates


class Course(NamedTuple):
    """How a block is trained."""

    init: Callable[[Stack], State]
    update: Callable[[Stack], Any]  # the function (values, state) -> (state, metrics {name: f32[M]}) of a block
    after: Callable[[Crowd, int, State], State]  # (crowd, updates done, state): what happens between updates


def crowd_of(
    folder: Path, shared: Shared, document: Document, base: Document, members: list[Member], most: int
) -> Crowd:
    """A sweep or population that can be begun or continued; nothing is written yet.

    Raises:
        ConfigError, RunError: it is refused; the value is named.
    """
    whole = stack.stack_of(members)
    return Crowd(folder, shared, document, base, members, whole, stack.block_of(whole, most, shared.memory_gib))


def identity(crowd: Crowd) -> dict[str, Any]:
    """What its checkpoints must agree with."""
    teacher = runs.teacher_hash(crowd.stack.program.teacher)
    return {
        **({"teacher": teacher} if teacher else {}),
        "sweep": {key: value for key, value in crowd.document.tree.items() if key not in ("name", "memory_gib")},
        "base": {key: value for key, value in crowd.base.tree.items() if key not in runs.HOUSEKEEPING},
        "worlds": sorted({config_id(member.world_document.tree) for member in crowd.members}),
        "block": crowd.block,
    }


def begin(crowd: Crowd) -> None:
    """Make the folder of something new.

    Raises:
        RunError: it holds something, or cannot be written, or the best of its checkpoints could not be told.
    """
    vacant(crowd.folder, SWEEP)
    first = crowd.members[0]
    if first.config.best_by != TrainConfig().best_by:
        score_of(runs.setup(crowd.folder, first.config, first.document, first.world_document))
    table = [
        {"member": k, "block": k // crowd.block, "seed": member.seed, **dict(member.values)}
        for k, member in enumerate(crowd.members)
    ]
    write_whole(crowd.folder / rows.MEMBERS, rows.table_text(table))
    write_whole(crowd.folder / BASE, dump(crowd.base.tree))
    write_whole(crowd.folder / SWEEP, dump(crowd.document.tree))


def store(crowd: Crowd, block: int) -> Store:
    """The checkpoints of a block."""
    folder = crowd.folder / "checkpoints" / f"block_{block:03d}"
    return open_store(folder, crowd.members[0].config.keep_checkpoints, max_bytes=64 << 30)


def part(crowd: Crowd, block: int) -> Stack:
    """The members of a block."""
    return crowd.stack.part(block * crowd.block, (block + 1) * crowd.block)


def restored(crowd: Crowd, course: Course, block: int) -> tuple[State, int] | None:
    """The newest sound state of a block and its update, or None if none was saved.

    Raises:
        CheckpointError: there are saves and none is sound, or they are of something else.
    """
    place = store(crowd, block)
    if not finished(place.folder):
        return None
    fits = lambda manifest: agree(identity(crowd), manifest.meta, f"step {manifest.step} in {place.folder}")
    state, manifest = restore(place, jax.eval_shape(lambda: course.init(part(crowd, block))), agree=fits)
    return jax.block_until_ready(state), manifest.step


def row_of(crowd: Crowd, block: int, update: int, metrics: dict[str, np.ndarray], seconds: float) -> rows.Row:
    """The row of an update, nothing of a member that has diverged; the rate comes last: it alone differs between equal runs."""
    world, config = crowd.stack.program.world, crowd.members[0].config
    decisions = config.num_steps * config.num_envs * world.static.num_agents
    each = [kpis(world, {name: float(values[k]) for name, values in metrics.items()}) for k in range(crowd.block)]
    sound = np.isfinite(np.stack(list(metrics.values()))).all(0)  # bool[M]
    return {
        "block": block,
        "update": update,
        "agent_decisions": update * decisions,
        "agent_steps": update * decisions * config.ticks_per_decision,
        **{name: [rows.plain(one[name]) if fine else None for one, fine in zip(each, sound)] for name in each[0]},
        "steps_per_second": decisions * config.ticks_per_decision * crowd.block / seconds,
    }


def shown(row: rows.Row) -> dict[str, float]:
    """A row as the progress shows it: means over the members that have not diverged."""
    means = {key: [x for x in value if x is not None] for key, value in row.items() if isinstance(value, list)}
    return {"steps_per_second": row["steps_per_second"], **{k: sum(v) / len(v) for k, v in means.items() if v}}


def standing(crowd: Crowd, course: Course, block: int, fresh: Callable[[], State]) -> tuple[State, int]:
    """Where a block stands, its state and its updates; what was logged or saved after it is dropped. `fresh` begins it.

    Raises:
        CheckpointError: it cannot be read.
    """
    found = restored(crowd, course, block)
    if found is None:
        rewind(store(crowd, block), -1)
        found = jax.block_until_ready(fresh()), 0
    if found[1] < crowd.total:
        rewind(store(crowd, block), found[1] or -1)
        for name in (JSONL, rows.LINEAGE):
            rows.keep(crowd.folder / name, block, found[1])
    return found


def learn(crowd: Crowd, course: Course) -> str:
    """Train every block to its end, from where it stands, or until somebody asks to stop: the name of the signal, if any.

    Raises:
        CheckpointError: a block cannot be read or saved.
    """
    parted = lambda values, keys, hyper: crowd.stack._replace(values=values, keys=keys, hyper=hyper)
    init = jax.jit(lambda *parts: course.init(parted(*parts)))  # compiled once for all blocks
    blocks = crowd.stack.count // crowd.block
    program = None  # compiled for the first block that is not complete, and used for all others
    with Stop() as stop, Progress() as progress:
        progress.phase(f"preparing {crowd.block} members on {jax.devices()[0].platform}")
        for block in range(blocks):
            mine = part(crowd, block)
            state, done = standing(crowd, course, block, partial(init, mine.values, mine.keys, mine.hyper))
            if done < crowd.total and program is None:
                progress.phase(f"compiling {crowd.block} members on {jax.devices()[0].platform}")
                program = jax.jit(course.update(mine), donate_argnums=1).lower(mine.values, state).compile()
            if program is not None and done < crowd.total:
                update = partial(program, mine.values)
                for row in updates(crowd, course, block, update, state, done, stop):
                    progress.update(block * crowd.total + row["update"], blocks * crowd.total, shown(row))
            if stop.asked:
                break
        return stop.asked


def updates(
    crowd: Crowd, course: Course, block: int, update: Callable[[State], Any], state: State, done: int, stop: Stop
) -> Iterator[rows.Row]:
    """Train a block to its end, or until somebody asks to stop, row by row as they are logged; in the end all of it is saved.

    Args:
        crowd: whose block it is.
        course: how it is trained.
        block: which.
        update: the compiled function state -> (state, metrics {name: f32[M]}).
        state: where the block stands; it is donated.
        done: the updates until there.
        stop: says that somebody asks to stop.
    """
    config = crowd.members[0].config
    with Saver(store(crowd, block), done) as saver, Watchdog(config.watchdog) as watchdog:
        while done < crowd.total and not stop.asked:
            begun = time.perf_counter()
            with watchdog.update(done + 1):
                state, metrics = update(state)
                metrics = jax.device_get(metrics)
            done += 1
            row = row_of(crowd, block, done, metrics, time.perf_counter() - begun)
            rows.append(crowd.folder / JSONL, [row])
            state = course.after(crowd, done, state)
            yield row
            if done % config.checkpoint_every == 0:
                saver.save(done, state, identity(crowd))
        saver.wait()
        if done > saver.saved:
            saver.save_now(done, state, identity(crowd))


def scores(crowd: Crowd) -> np.ndarray:
    """The score of each member, f64[M]: its mean over the last tenth of the updates; NaN if it diverged."""
    return rows.finals(crowd.folder, len(crowd.members), SCORE, int(crowd.total * (1 - LAST_SHARE)))


def best_of(crowd: Crowd) -> int:
    """The member with the highest score.

    Raises:
        RunError: all have diverged, or nothing is logged.
    """
    found = scores(crowd)
    if np.isnan(found).all():
        raise RunError(f"no member of {crowd.folder} has a finite {SCORE} in its last updates")
    return int(np.nanargmax(found))


def export(crowd: Crowd, course: Course, index: int, folder: Path) -> Path:
    """Write a member as an ordinary run: configuration, world, rows and its newest checkpoint, with its score.

    It is built beside its folder and renamed at the end: what a kill leaves is never taken for a run.

    Args:
        crowd: whose.
        course: how it was trained.
        index: of the member.
        folder: of the run; holds nothing yet.

    Raises:
        RunError: there is no such member, it was not saved yet, or the folder holds a run.
    """
    if not 0 <= index < len(crowd.members):
        raise RunError(f"--export-member {index} is not allowed (0 to {len(crowd.members) - 1}, or best)")
    if folder.exists():
        raise RunError(f"{folder} exists already: move it away to export the member again")
    block, place = divmod(index, crowd.block)
    found = restored(crowd, course, block)
    if found is None:
        raise RunError(f"member {index} of {crowd.folder} was not saved yet")
    state, step = found
    runner: Runner = stack.member(getattr(state, "runner", state), place)
    now = {name: float(getattr(runner.hyper, name)) for name in crowd.members[index].hyper}
    tree = {**crowd.members[index].document.tree, **now, "name": f"{crowd.shared.name[:50]}-{index}"}
    document = Document(str(folder), tree, {})
    part = folder.with_name(folder.name + PART)
    run = runs.setup(part, validate(TrainConfig, document), document, crowd.members[index].world_document)
    sound = write_run(crowd, run, block, place, step)
    save(runs.checkpoints(run), step, runner, runs.identity(run), score_of(run) if sound else None)
    with disk(folder):
        part.rename(folder)
    return folder


def score_of(run: runs.Setup) -> float | None:
    """The score of a run by its own `best_by`, from what is logged; None if nothing is.

    Raises:
        RunError: `best_by` is not what a run logs.
    """
    shapes = jax.eval_shape(run.train.init, jax.random.key(0))
    return scored(run, jax.eval_shape(run.train.update, shapes)[1]).value()


def write_run(crowd: Crowd, run: runs.Setup, block: int, place: int, step: int) -> bool:
    """Write configuration, world and rows of a member up to a step, or until it diverged. Returns whether it did not.

    Args:
        crowd: whose.
        run: the member in a folder of its own; what an export that was killed left there goes.
        block: of the member.
        place: in its block.
        step: last update.
    """
    with disk(run.folder):
        if run.folder.exists():
            shutil.rmtree(run.folder)
    log = open_run(run.folder, runs.texts(run)[0])
    write_whole(run.folder / runs.WORLD, runs.texts(run)[1])
    for row in rows.read(crowd.folder / JSONL):
        if row["block"] == block and row["update"] <= step:
            numbers = {name: value[place] if isinstance(value, list) else value for name, value in row.items()}
            if None in numbers.values():
                return False
            log.log({name: value for name, value in numbers.items() if name not in ("block", "steps_per_second")})
    return True
