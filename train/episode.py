"""Episodes on record: what everybody did, and the digests that prove it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.io.digest import digest
from townlet_jax.policies import scheduled, scripted
from townlet_jax.policies.scripted import REQUIRES
from townlet_jax.types import Key, State, World

from . import runs
from .logging import RunError
from .players import Player, memoryless, unroll
from .program import learned
from .storage.leaves import policy_hash
from .storage.sealed import load_sealed, save_sealed

REPLAY = "replay.npz"
PICTURE = "episode.gif"
STRIDE = 5  # ticks between two frames
ROWS = 288  # pixels that a picture of a small map is high, as far as the cells are not too large then
CELLS = 12, 28  # pixels of a cell, least and most
MAX_BYTES = 64 << 20


class Episode(NamedTuple):
    """One town from its reset on."""

    seed: int  # of the town's key
    step: int  # updates of the checkpoint whose policy played
    config_id: str  # of the world
    actions: np.ndarray  # i16[T, A]
    digests: tuple[str, ...]  # of the state after each day, and at the end
    player: str  # who played: the name of a run, `scripted` or `schedule`
    policy: str  # sha256 of the weights that played, "" without any


def play(world: World, player: Player, key: Key, num_ticks: int) -> State:
    """Let a player play one town from its reset on. Returns the states after each tick, [num_ticks, ...], of whole decisions."""
    start = engine.reset(world, key)
    return unroll(world, player, start, key, num_ticks // player.every, lambda total, state: (total, state))[2]


def frame(states: State, tick: int) -> State:
    """One of the states of an episode on the host."""
    return jax.tree.map(lambda leaf: leaf[tick], states)


def day_digests(states: State, ticks_per_day: int) -> tuple[str, ...]:
    """The digests of the states after each full day, and of the last one."""
    num_ticks = states.tick.shape[0]
    ends = [*range(ticks_per_day - 1, num_ticks, ticks_per_day)]
    ends = ends if ends and ends[-1] == num_ticks - 1 else [*ends, num_ticks - 1]
    return tuple(digest(frame(states, tick)) for tick in ends)


def recorded(world: World, player: Player, seed: int, num_ticks: int, who: str, step: int = 0) -> tuple[Episode, State]:
    """Play one town. Returns the episode and its states on the host, [T, ...]."""
    states = jax.device_get(jax.jit(play, static_argnums=3)(world, player, jax.random.key(seed), num_ticks))
    digests = day_digests(states, world.static.ticks_per_day)
    weights = policy_hash(player.params) if jax.tree.leaves(player.params) else ""
    actions = np.asarray(states.actions, np.int16)
    return Episode(seed, step, world.static.config_id, actions, digests, who, weights), states


def record(run: runs.Setup, params: Any, step: int, seed: int, days: float) -> tuple[Episode, State]:
    """Play one town with a learned policy. Returns the episode and its states on the host, [T, ...]."""
    static, every = run.world.static, run.config.ticks_per_decision
    num_ticks = max(every, int(days * static.ticks_per_day) // every * every)
    player = learned(run.world, run.config, params)
    return recorded(run.world, player, seed, num_ticks, run.config.name, step)


def act(world: World, seed: int, days: float | None = None) -> tuple[Episode, State]:
    """Play a scenario, everybody by the schedule; without one, everybody is the scripted citizen, for some days or one.

    Returns:
        The episode and its states on the host, [T, ...].

    Raises:
        RunError: days are named and there is a schedule, or the world is none for a citizen.
    """
    if "schedule" in world.params:
        if days is not None:
            raise RunError(
                f"--days {days}: a scenario has its own length, the {world.params['schedule'].ticks} ticks of its schedule"
            )
        return recorded(world, memoryless(scheduled), seed, int(world.params["schedule"].ticks), "schedule")
    missing = [name for name in REQUIRES if not world.static.has(name)]
    if missing:
        raise RunError(
            f"{world.static.name!r} has no `schedule`, and no system {missing[0]!r} for a citizen to live by"
        )
    num_ticks = max(int((1.0 if days is None else days) * world.static.ticks_per_day), 1)
    return recorded(world, memoryless(scripted), seed, num_ticks, "scripted")


def rerun(world: World, episode: Episode) -> State:
    """The states of an episode from its key and its actions alone, [T, ...] on the host; no policy is asked."""

    def tick(state, actions):
        state = engine.step(world, state, actions, engine.tick_key(key, state))
        return state, state

    key = jax.random.key(episode.seed)
    unroll = jax.jit(lambda actions: jax.lax.scan(tick, engine.reset(world, key), actions)[1])
    return jax.device_get(unroll(jnp.asarray(episode.actions, jnp.int32)))


def save_episode(path: Path, episode: Episode) -> None:
    """Write an episode as a sealed npz: a JSON header and the actions; no pickle.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        save_sealed(path, {**episode._asdict(), "actions": None}, {"actions": episode.actions})
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None


def load_episode(path: Path) -> Episode:
    """Read an episode.

    Raises:
        RunError: the file is missing, too large, changed in any byte, or not an episode.
    """
    try:
        header, arrays = load_sealed(path, MAX_BYTES)
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except IsADirectoryError:
        raise RunError(f"{path} is a folder, not a recorded episode") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is no recorded episode: {error}") from None
    actions = arrays.get("actions", np.zeros(0))
    fits = actions.ndim == 2 and actions.dtype == np.int16
    if not fits or set(header) != set(Episode._fields):
        raise RunError(f"{path} is no recorded episode")
    return Episode(**{**header, "actions": actions, "digests": tuple(header["digests"])})


def verify(world: World, episode: Episode, states: State) -> list[str]:
    """Compare the digests of a rerun with the recorded ones. Returns a line for each that differs."""
    if episode.config_id != world.static.config_id:
        return [f"the episode is of the world {episode.config_id}, this one is {world.static.config_id}"]
    found = day_digests(states, world.static.ticks_per_day)
    pairs = zip(episode.digests, found, strict=True) if len(found) == len(episode.digests) else [("", "")]
    return [
        f"day {i}: {kept[:12]} was recorded, {now[:12]} came" for i, (kept, now) in enumerate(pairs, 1) if kept != now
    ]


def draw(
    world: World, states: State, path: Path, stride: int = STRIDE, ties: bool = True, focus: Sequence[Any] | None = None
) -> Path:
    """A moving picture of an episode: GIF, MP4 or HTML by the path's ending.

    Args:
        world: the world.
        states: of the episode, [T, ...] on the host.
        path: where to write.
        stride: ticks between two frames.
        ties: whether strong ties are drawn as lines between people.
        focus: whom it follows, one `townlet_jax.render.Focus` a tick.

    Raises:
        RunError: it cannot be written, or a package of the extra `viz` is missing.
    """
    from townlet_jax.render import animate

    ticks = range(0, states.tick.shape[0], stride)
    scale = min(max(ROWS // world.static.height, CELLS[0]), CELLS[1])
    foci = None if focus is None else [focus[tick] for tick in ticks]
    try:
        animate(world, (frame(states, tick) for tick in ticks), path, scale=scale, ties=ties, focus=foci)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None
    except RuntimeError as error:  # a package of the extra `viz` is missing
        raise RunError(str(error)) from None
    return path


def show(run: runs.Setup, params: Any, folder: Path) -> Path:
    """Record one day with a learned policy into a run folder, as replay.npz and episode.gif. Returns the picture's path."""
    episode, states = record(run, params, run.train.num_updates, seed=0, days=1.0)
    save_episode(folder / REPLAY, episode)
    return draw(run.world, states, folder / PICTURE)
