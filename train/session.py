"""Learning in a run's folder: update, log, save, until the run is complete or somebody asks to stop."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from townlet_jax.config.errors import suggestion
from townlet_jax.telemetry import kpis

from . import runs
from .cli import Stop
from .guard import complaint, guarded
from .hardware.machines import first, most
from .hardware.watchdog import Watchdog
from .logging import Row, Run, RunError, read_rows
from .progress import Progress
from .sharding import put, whole
from .storage.saving import Saver
from .types import Array, Runner

Watch = Callable[[Row], object]
Steer = Callable[[Runner, Row], Runner]


def row_of(run: runs.Setup, update: int, metrics: dict[str, Array], seconds: float) -> dict[str, float]:
    """The numbers of one update, by name; the rates come last, since they are the only ones that differ between equal runs."""
    means = {name: float(value) for name, value in metrics.items()}
    decisions = update * run.train.steps_per_update
    return {
        "update": update,
        "agent_decisions": decisions,
        "agent_steps": decisions * run.config.ticks_per_decision,
        **kpis(run.world, means),
        "decisions_per_second": run.train.steps_per_update / seconds,
        "steps_per_second": run.train.steps_per_update * run.config.ticks_per_decision / seconds,
    }


class Score(NamedTuple):
    """By what the best checkpoint is chosen: the mean of a logged number over the last `checkpoint_every` updates."""

    key: str
    sign: int  # -1 where the lowest is best
    recent: deque[float]  # of the last updates, the rows of an earlier process included

    def value(self) -> float | None:
        """The score now; the more the better."""
        return self.sign * sum(self.recent) / len(self.recent) if self.recent else None


def scored(run: runs.Setup, metrics: Iterable[str]) -> Score:
    """The score of a run as far as it is logged.

    Args:
        run: which.
        metrics: the names of what an update measures.

    Raises:
        RunError: `best_by` is not among them.
    """
    sign, key = (-1, run.config.best_by[1:]) if run.config.best_by.startswith("-") else (1, run.config.best_by)
    names = sorted(row_of(run, 0, dict.fromkeys(metrics, jnp.float32(0)), 1.0))
    if key not in names:
        raise RunError(
            f"best_by {run.config.best_by!r} is not logged (allowed: {', '.join(names)}).{suggestion(key, names)}"
        )
    rows = read_rows(run.folder)
    return Score(key, sign, deque((row[key] for row in rows if key in row), maxlen=run.config.checkpoint_every))


@contextmanager
def shown() -> Iterator[Progress]:
    """How far a run is, on stderr; of many processes only the first one shows it."""
    with open(os.devnull, "w") as nowhere, Progress(None if first() else nowhere) as progress:
        yield progress


def compiled(run: runs.Setup, runner: Runner) -> tuple[Callable[[Runner], Any], Score]:
    """The update of a run, guarded and compiled: runner -> (runner, metrics, sound); and the score of the run so far."""
    lowered = jax.jit(guarded(run.train.update), donate_argnums=0).lower(runner)
    score = scored(run, lowered.out_info[1])
    return lowered.compile(), score


def keep(run: runs.Setup, save: Callable[..., None], done: int, runner: Runner, score: Score) -> None:
    """Save a runner, of many processes in the first one; all of them must call this."""
    state = whole(run.mesh, runner)
    if first():
        save(done, state, runs.identity(run), score.value())


def number_of(stop: Stop) -> int:
    """The signal that asked to stop, 0 if none did."""
    return signal.Signals[stop.asked].value if stop.asked else 0


def learn(
    run: runs.Setup, log: Run, runner: Runner, watch: Watch | None = None, steer: Steer | None = None
) -> tuple[Runner, str]:
    """Update until the run is complete, `watch` answers a row with something true, or somebody asks to stop.

    Args:
        run: which.
        log: its open folder.
        runner: where it stands.
        watch: is given every row that is logged; of many processes, in the first one.
        steer: is given the runner and the row after every update, and gives back the runner, with other hyper-parameters.

    Returns:
        The runner, and the name of the signal if any.

    Raises:
        RunError: an update was refused; the one before it is saved.
        CheckpointError: something could not be saved.
    """
    total = run.train.num_updates
    runner = put(run.mesh, runner)
    done, enough, wrong = int(runner.update), False, ""
    if done >= total:
        return runner, ""
    saving, watchdog = Saver(runs.checkpoints(run), done), Watchdog(run.config.watchdog)
    with Stop() as stop, shown() as progress, saving as saver, watchdog:
        progress.phase(f"compiling on {jax.devices()[0].platform}")
        update, score = compiled(run, runner)
        while done < total:
            with watchdog.update(done + 1):
                if any(most(number_of(stop), enough)):  # in here, since it waits for the other processes
                    break
                begun = time.perf_counter()
                runner, metrics, sound = update(runner)
                metrics, sound = jax.device_get((metrics, sound))
            if wrong := complaint(done + 1, metrics, sound):
                break
            done += 1
            row = row_of(run, done, metrics, time.perf_counter() - begun)
            score.recent.append(row[score.key])
            if first():
                log.log(row)
                enough = bool(watch and watch(row))
            runner = put(run.mesh, steer(runner, row)) if steer else runner
            progress.update(done, total, row)
            if done % run.config.checkpoint_every == 0 and done < total:
                keep(run, saver.save, done, runner, score)
        saver.wait()
        asked, unsaved = most(number_of(stop), first() and done > saver.saved)
        if unsaved:
            keep(run, saver.save_now, done, runner, score)
    if wrong:
        raise RunError(wrong)
    return runner, signal.Signals(asked).name if asked else ""
