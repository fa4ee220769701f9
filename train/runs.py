"""The folder of a run as the learner sees it: configuration, world, checkpoints."""

import fcntl
import json
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from townlet_jax import policies
from townlet_jax.config.load import Document, dump, read_yaml, validate
from townlet_jax.core import fixed
from townlet_jax.observe import schema
from townlet_jax.policies.scripted import REQUIRES
from townlet_jax.types import World
from townlet_jax.worlds import compile_document, read

from .checkpoint import Report, Store, best, finished, open_store, restore, rewind, save, to_stderr
from .config import NETWORK_KEYS, TrainConfig
from .learner import make_train
from .logging import CONFIG, Run, RunError, open_run, vacant, write_whole
from .players import Player, memoryless
from .primitives import on_foot
from .program import learned
from .sharding import mesh_of
from .storage.agreement import agree
from .storage.errors import CheckpointError
from .storage.leaves import policy_hash
from .storage.manifest import Manifest
from .types import Runner, Train

WORLD, SOURCE = "world.yaml", "source.json"
CHECKPOINTS = "checkpoints"
NOBODY, SCRIPTED = "none", "scripted"  # teachers that are no run
SIZES = (*NETWORK_KEYS, "embedding", "actions")  # keys that size the networks of a world
BEST = "best"  # the step of the highest score
HOUSEKEEPING = (
    "name",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_best",
    "best_by",
    "watchdog",
)  # may change between resumes


class Setup(NamedTuple):
    """A run that can be begun or continued."""

    folder: Path
    config: TrainConfig
    document: Document  # that `config` came from
    world_document: Document
    world: World
    train: Train
    mesh: Mesh | None  # devices over which the towns are spread; None for one
    teacher: str = ""  # the hash of the weights of who teaches; empty if nobody with weights does


def setup(
    folder: Path, config: TrainConfig, document: Document, world_document: Document, learns: bool = True
) -> Setup:
    """Compile the world and check that it fits the learner; who only plays (`learns` is False) needs no teacher.

    Raises:
        ConfigError: the world cannot be compiled.
        RunError: nothing can be learned in it, its episodes are not whole numbers of decisions, or it shapes by another discount.
    """
    world = compile_document(world_document)
    missing = [name for name in ("intents", "rewards") if not world.static.has(name)]
    if missing:
        raise RunError(f"nothing can be learned in a world without the system {missing[0]!r}")
    binds = int(world.params["intents"].commit_ticks)
    if config.actions == "options" and binds < config.ticks_per_decision:
        raise RunError(
            f"ticks_per_decision {config.ticks_per_decision} is more than the world's commit_ticks {binds}: agents would stand idle"
        )
    shaped = world.params["rewards"].gamma
    if shaped is not None and int(shaped) != round(config.gamma * fixed.WEIGHT):
        raise RunError(
            f"gamma {config.gamma} is not that of systems.rewards.shaping, {int(shaped) / fixed.WEIGHT:.4g}: shaping by another"
            " discount than the learner's changes what is best"
        )
    if world.static.has("lifecycle"):
        episode = int(world.params["lifecycle"].episode_ticks)
        if episode % config.ticks_per_decision:
            raise RunError(
                f"ticks_per_decision {config.ticks_per_decision} does not divide the world's episode_ticks {episode}"
            )
    fits(world, config)
    mesh = mesh_of(config.shards)
    teacher = teacher_of(world, config) if learns else None
    train = make_train(world, config, teacher, mesh)
    return Setup(folder, config, document, world_document, world, train, mesh, teacher_hash(teacher))


def fits(world: World, config: TrainConfig) -> None:
    """Refuse networks and teachers that need a system which the world does not run.

    Raises:
        RunError: names the key and the system.
    """
    needs = []
    if config.embedding:
        needs.append((f"embedding {config.embedding}", "identities"))
    if config.roles == "jobs":
        needs.append(("roles 'jobs'", "employment"))
    if config.teacher == SCRIPTED:
        needs += [("teacher 'scripted'", name) for name in REQUIRES]
    for what, system in needs:
        if not world.static.has(system):
            raise RunError(f"{what} needs the system {system!r}, which the world {world.static.name!r} does not run")
    if (config.mix or config.bc_coef) and config.teacher == NOBODY:
        raise RunError("mix and bc_coef need a teacher: --set teacher=scripted")


def teacher_of(world: World, config: TrainConfig) -> Player | None:
    """Whom the policy of a configuration imitates; on foot, if the policy takes primitive actions.

    Raises:
        RunError: the teacher's run cannot be loaded, sees another world, or cannot be asked about single decisions.
    """
    if config.teacher == NOBODY:
        return None
    player, ways = memoryless(policies.scripted, config.ticks_per_decision), True
    if config.teacher != SCRIPTED:
        its = existing(Path(config.teacher))
        ways = its.world.static.ways
        fits_teacher(world, config, its)
        player = learned(its.world, its.config, load_runner(its)[0].params, greedy=True)
    return on_foot(player, ways) if config.actions == "primitives" else player


def teacher_hash(teacher: Player | None) -> str:
    """The hash of a teacher's weights; empty for nobody, and for a teacher without any."""
    return policy_hash(teacher.params) if teacher is not None and jax.tree.leaves(teacher.params) else ""


def fits_teacher(world: World, config: TrainConfig, its: Setup) -> None:
    """Refuse a run as a teacher that would not understand what there is to see or to do.

    Raises:
        RunError: says why.
    """
    names = lambda world: [*schema(world), *world.static.actions.names]
    known = world.replace(static=world.static._replace(ways=world.static.ways and its.world.static.ways))
    wrong = None
    if its.config.memory != "none":
        wrong = f"has a memory ({its.config.memory!r}), so it cannot be asked about single decisions"
    elif its.config.actions != "options" and its.config.actions != config.actions:
        wrong = f"takes {its.config.actions!r} where the policy takes {config.actions!r}"
    elif names(its.world) != names(known):
        wrong = f"sees or does other things than there are in {world.static.name!r}"
    if wrong:
        raise RunError(f"teacher {config.teacher!r} {wrong}")


def new(folder: Path, config: TrainConfig, document: Document, world_set: tuple[str, ...] = ()) -> Setup:
    """The setup of a run that has not begun; nothing is written yet."""
    return setup(folder, config, document, read(config.world, (*config.world_set, *world_set), "--world-set"))


def keep_world(words: list[str], whose: str) -> None:
    """Refuse assignments of `--set` to the world of a run that has another one's.

    Raises:
        RunError: names the first of them.
    """
    for word in words:
        key = word.partition("=")[0].strip()
        if key.partition(".")[0] in ("world", "world_set"):
            raise RunError(f"--set {key} is not allowed: the run is in {whose} world")


def occupied(folder: Path) -> None:
    """Refuse a folder that holds no run.

    Args:
        folder: `runs/<name>`.

    Raises:
        RunError: it holds none.
    """
    if not (folder / CONFIG).is_file() or not (folder / WORLD).is_file():
        raise RunError(f"{folder} holds no run ({CONFIG} and {WORLD} are missing there)")


def existing(folder: Path, learns: bool = False) -> Setup:
    """The setup of a run that was begun, from its own folder; to go on with it (`learns`) its teacher must be there, too.

    Raises:
        RunError: there is no such run.
        ConfigError: its files cannot be read.
    """
    occupied(folder)
    document = read_yaml(folder / CONFIG)
    return setup(folder, validate(TrainConfig, document), document, read_yaml(folder / WORLD), learns)


def identity(run: Setup) -> dict[str, Any]:
    """What a checkpoint must agree with, written into its manifest."""
    static = run.world.static
    return {
        **({"teacher": run.teacher} if run.teacher else {}),
        "config": {key: value for key, value in run.document.tree.items() if key not in HOUSEKEEPING},
        "world": static.name,
        "world_version": static.version,
        "config_id": static.config_id,
        "features": [f"{entry.name}:{entry.stop - entry.start}" for entry in schema(run.world)],
        "actions": list(static.actions.names),
    }


def fresh(run: Setup) -> Runner:
    """A run's runner at its start."""
    return jax.jit(run.train.init)(jax.random.key(run.config.seed))


def begun_with(
    run: Setup, source: Setup, step: int | str | None = None, report: Report = to_stderr
) -> tuple[Runner, dict[str, str]]:
    """Where a run begins that takes the networks of another one; all else is as in a fresh run.

    Args:
        run: that begins.
        source: whose networks it takes.
        step: the checkpoint of the source, as in `load_runner`.
        report: as in `load_runner`.

    Returns:
        The runner, and what belongs into the folder of the run: the file that says where its networks come from.

    Raises:
        RunError: the networks have other sizes.
        CheckpointError: they cannot be loaded.
    """
    its, manifest = load_runner(source, step, report)
    runner = fresh(run)
    if jax.tree.map(jnp.shape, runner.params) != jax.tree.map(jnp.shape, its.params):
        both = ((key, getattr(source.config, key), getattr(run.config, key)) for key in SIZES)
        named = "; ".join(f"{key} was {was!r}, is {now!r}" for key, was, now in both if was != now)
        raise RunError(f"the networks of {source.folder} have other sizes than the configuration says ({named})")
    told = {"run": source.config.name, "step": manifest.step, "policy": policy_hash(its.params)}
    return runner.replace(params=its.params), {SOURCE: json.dumps(told, indent=1) + "\n"}


def begin(
    run: Setup, runner: Runner | None = None, files: Mapping[str, str] | None = None, resume: bool = False
) -> Run:
    """Make the folder of a run. config.yaml comes last, since without it there is no run: it is there whole, or not at all.

    Args:
        run: that begins.
        runner: saved as step 0; None where `fresh` gives the same one again.
        files: what else belongs into the folder, name -> text.
        resume: the folder may hold a run of which nothing was saved.

    Raises:
        RunError: the folder holds a run, or cannot be written.
        CheckpointError: the runner cannot be saved.
    """
    if not resume:
        vacant(run.folder)
    config_text, world_text = texts(run)
    for name, text in {WORLD: world_text, **(files or {})}.items():
        write_whole(run.folder / name, text)
    store = checkpoints(run)
    rewind(store, -1)
    if runner is not None:
        save(store, 0, runner, identity(run))
    return open_run(run.folder, config_text, resume)


def checkpoints(run: Setup) -> Store:
    """The store of a run's checkpoints, to save there."""
    return open_store(run.folder / CHECKPOINTS, run.config.keep_checkpoints, keep_best=run.config.keep_best)


def finished_saves(run: Setup) -> list[Path]:
    """The checkpoints whose manifest was written, sound or not."""
    return finished(run.folder / CHECKPOINTS)


@contextmanager
def alone(folder: Path, doing: str = "training in") -> Iterator[None]:
    """Keep other processes from working in the same folder.

    Raises:
        RunError: another one does, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(f"cannot write into {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"another process is {doing} {folder}") from None
        yield


def step_of(word: str) -> int | str:
    """What `--step` says: the number of an update, or `best`.

    Raises:
        ArgumentTypeError: it says something else.
    """
    if word != BEST and not (word.isascii() and word.isdecimal()):
        raise ArgumentTypeError(f"{word!r} is not allowed (the number of a checkpoint, or {BEST})")
    return word if word == BEST else int(word)


def load_runner(run: Setup, step: int | str | None = None, report: Report = to_stderr) -> tuple[Runner, Manifest]:
    """The runner of the newest sound checkpoint, of the best one, or of a certain one.

    Args:
        run: whose.
        step: a number, `BEST`, or None for the newest.
        report: is told of skipped steps, and of a machine on which training may not resume bit for bit.

    Raises:
        CheckpointError: there is none, it is damaged, or it was made with another configuration (the keys are named).
    """
    store = Store((run.folder / CHECKPOINTS).absolute())  # reading leaves no trace in it
    if step == BEST:
        step = best(store, report)
        if step is None:
            raise CheckpointError(f"no step in {store.folder} has a score and verifies: ask for a step by its number")
    target = jax.eval_shape(run.train.init, jax.random.key(run.config.seed))
    fits = lambda manifest: agree(identity(run), manifest.meta, f"step {manifest.step} in {store.folder}")
    return restore(store, target, step, report, agree=fits)


def texts(run: Setup) -> tuple[str, str]:
    """The YAML of the configuration and of the world, resolved."""
    return dump(run.document.tree), dump(run.world_document.tree)
