"""Learning in a run's folder: update, log, save, until the run is complete or somebody asks to stop."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from townlet_jax.config.errors import suggestion
from townlet_jax.telemetry import kpis

from . import runs
from .cli import Stop
from .guard import complaint, guarded
from .logging import Row, Run, RunError, read_rows
from .progress import Progress
from .saving import Saver
from .sharding import put
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


def learn(
    run: runs.Setup, log: Run, runner: Runner, watch: Watch | None = None, steer: Steer | None = None
) -> tuple[Runner, str]:
    """Update until the run is complete, `watch` answers a row with something true, or somebody asks to stop.

    Args:
        run: which.
        log: its open folder.
        runner: where it stands.
        watch: is given every row that is logged.
        steer: is given the runner and the row after every update, and gives back the runner, with other hyper-parameters.

    Returns:
        The runner, and the name of the signal if any.

    Raises:
        RunError: an update was refused; the one before it is saved.
        CheckpointError: something could not be saved.
    """
    total, identity = run.train.num_updates, runs.identity(run)
    runner = put(run.mesh, runner)
    done = int(runner.update)
    if done >= total:
        return runner, ""
    with Stop() as stop, Progress() as progress, Saver(runs.checkpoints(run), done) as saver:
        progress.phase(f"compiling on {jax.devices()[0].platform}")
        lowered = jax.jit(guarded(run.train.update), donate_argnums=0).lower(runner)
        score, update, wrong = scored(run, lowered.out_info[1]), lowered.compile(), ""
        enough = False
        while done < total and not enough and not stop.asked:
            begun = time.perf_counter()
            runner, metrics, sound = update(runner)
            metrics, sound = jax.device_get((metrics, sound))
            if wrong := complaint(done + 1, metrics, sound):
                break
            done += 1
            row = row_of(run, done, metrics, time.perf_counter() - begun)
            log.log(row)
            score.recent.append(row[score.key])
            enough = bool(watch and watch(row))
            runner = steer(runner, row) if steer else runner
            progress.update(done, total, row)
            if done % run.config.checkpoint_every == 0 and done < total:
                saver.save(done, runner, identity, score.value())
        saver.wait()
        if done > saver.saved:
            saver.save_now(done, runner, identity, score.value())
    if wrong:
        raise RunError(wrong)
    return runner, stop.asked
