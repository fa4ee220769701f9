"""One stage of a curriculum as a run folder: begun with what was carried over, taken up again, and the switch made gentle."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from townlet_jax import engine
from townlet_jax.config.errors import suggestion
from townlet_jax.telemetry import kpis, measure
from townlet_jax.types import World

from .. import runs
from ..checkpoint import finished, rewind
from ..logging import CONFIG, Run, RunError, open_run
from ..types import Array, Runner
from .chronicle import Event
from .stages import Plan, learner_of, weight_left
from .transfer import carried, fits, words_of
from .windows import Limits


def logged(world: World) -> list[str]:
    """The names of the indicators that a run in a world logs."""
    look = lambda key: measure(world, engine.reset(world, key))
    names = jax.eval_shape(look, jax.random.key(0))
    return sorted(kpis(world, dict.fromkeys(names, 0.0)))


def check(plan: Plan, folder: Path) -> None:
    """Refuse, before anything is learned, a curriculum that would fail later.

    Args:
        plan: the curriculum.
        folder: where it would run; nothing is written.

    Raises:
        ConfigError: a world or a learner is not one.
        RunError: a gate asks for what its world does not log, a budget is too short, or learners do not fit each other.
    """
    first, size = learner_of(plan, plan.names[0])[0], plan.curriculum.window * plan.curriculum.required_windows
    for name in plan.names:
        config, document = learner_of(plan, name)
        run, gate = runs.new(folder / name, config, document), plan.gate(name)
        fits(config, first, f"stage {name}: ")
        names = logged(run.world) if gate else []
        for each in gate:
            if each.key not in names:
                raise RunError(
                    f"gates.{name}.{each.key}: the world {config.world} does not log that (allowed: {', '.join(names)})."
                    + suggestion(each.key, names)
                )
        if gate and run.train.num_updates < size:
            raise RunError(
                f"stage {name}: the budget {config.total_timesteps} is {run.train.num_updates} updates, fewer than"
                f" window * required_windows, {size}: its gate could never hold"
            )


def limits_of(plan: Plan, run: runs.Setup) -> Limits:
    """How long a stage may last, and what it takes to end it."""
    said = plan.curriculum
    return Limits(said.window, said.required_windows, run.train.num_updates, said.on_miss == "advance")


def eased(
    update: Callable[[Runner], tuple[Runner, dict[str, Array]]], vf_coef: float, factor: float, updates: int
) -> Callable[[Runner], tuple[Runner, dict[str, Array]]]:
    """An update that weighs the value loss less, or more, right after a switch.

    The reward of another stage has another scale, and a critic that is far off would fill the clipped gradient. So `vf_coef` is
    multiplied by

        factor + (1 - factor) * min(update / updates, 1)

    which follows from the runner's counter alone: a run that is taken up again goes on with the same weight.

    Args:
        update: of `learner.Train`.
        vf_coef: the weight in the long run.
        factor: of the first update.
        updates: after which it is 1.
    """

    def gentle(runner: Runner) -> tuple[Runner, dict[str, Array]]:
        done = jnp.minimum(runner.update.astype(jnp.float32) / max(updates, 1), 1.0)
        weight = jnp.float32(vf_coef) * (factor + (1.0 - factor) * done if updates else 1.0)
        after, metrics = update(runner.replace(hyper=runner.hyper.replace(vf_coef=weight)))
        return after, {**metrics, "vf_coef": weight}

    return gentle


def gentled(plan: Plan, run: runs.Setup, event: Event) -> runs.Setup:
    """The setup of a stage, its value loss eased in if something was carried into it."""
    said = plan.curriculum
    factor = said.vf_factor if event["after"] else 1.0
    update = eased(run.train.update, run.config.vf_coef, factor, said.vf_updates)
    return run._replace(train=run.train._replace(update=update))


def begin_event(plan: Plan, events: list[Event], folder: Path, name: str) -> Event:
    """How a stage begins, from the events before it."""
    begun, last = [event for event in events if event["event"] == "begin"], events[-1] if events else None
    visits = [event for event in begun if event["stage"] == name]
    event: Event = {
        "event": "begin",
        "stage": name,
        "folder": f"{name}.{len(visits) + 1}" if visits else name,
        "visit": len(begun),
        "after": "",
        "step": 0,
        "agent_decisions": 0,
        "curiosity": None,
    }
    if last is None:
        return event
    old = runs.existing(folder / begun[-1]["folder"])
    return event | {
        "after": begun[-1]["folder"],
        "step": last["update"],
        "agent_decisions": begun[-1]["agent_decisions"] + last["update"] * old.train.steps_per_update,
        "curiosity": weight_left(old.config, last["update"], old.train.num_updates),
    }


def first_runner(run: runs.Setup, folder: Path, event: Event) -> Runner:
    """The runner at the start of a stage: fresh, with what the stage before has learned if there was one."""
    fresh = runs.fresh(run)
    if not event["after"]:
        return fresh
    before = runs.existing(folder / event["after"])
    old, _ = runs.load_runner(before, event["step"])
    return carried(fresh, old, words_of(run.world, run.config), words_of(before.world, before.config))


def enter(plan: Plan, folder: Path, event: Event) -> tuple[runs.Setup, Run, Runner]:
    """A stage where it stands: at its newest sound checkpoint, or at its start, which is saved as step 0.

    Args:
        plan: the curriculum.
        folder: of the curriculum.
        event: how the stage began.

    Raises:
        CheckpointError: there are checkpoints and none is sound, or that of the stage before is damaged.
        RunError: the disk refuses.
    """
    place = folder / event["folder"]
    begun = (place / CONFIG).exists()
    if begun and finished(place / runs.CHECKPOINTS):
        run = runs.existing(place, learns=True)
        runner, manifest = runs.load_runner(run)
        step = manifest.step
        rewind(runs.checkpoints(run), step)
        log = open_run(place, runs.texts(run)[0], resume=True)
    else:
        run = runs.new(place, *learner_of(plan, event["stage"], event["visit"], event["curiosity"]))
        step, runner = 0, first_runner(run, folder, event)
        log = runs.begin(run, runner, resume=begun)
    log.truncate_after(step)
    return gentled(plan, run, event), log, runner
