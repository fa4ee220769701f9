"""Episodes on record: what everybody did, and the digests that prove it."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import engine
from townlet_jax.io.digest import digest
from townlet_jax.policies import scheduled
from townlet_jax.types import Key, State, World

from . import runs
from .logging import RunError
from .players import Player, memoryless, unroll
from .program import learned
from .sealed import load_sealed, save_sealed

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


def record(run: runs.Setup, params: Any, step: int, seed: int, days: float) -> tuple[Episode, State]:
    """Play one town with a learned policy. Returns the episode and its states on the host, [T, ...]."""
    static, every = run.world.static, run.config.ticks_per_decision
    num_ticks = max(every, int(days * static.ticks_per_day) // every * every)
    player = learned(run.world, run.config, params)
    states = jax.device_get(jax.jit(play, static_argnums=3)(run.world, player, jax.random.key(seed), num_ticks))
    actions = np.asarray(states.actions, np.int16)
    return Episode(seed, step, static.config_id, actions, day_digests(states, static.ticks_per_day)), states


def act(world: World, seed: int) -> tuple[Episode, State]:
    """Play a scenario, everybody by the schedule. Returns the episode and its states on the host, [T, ...].

    Raises:
        RunError: the world has no schedule.
    """
    if "schedule" not in world.params:
        raise RunError(f"{world.static.name!r} is no scenario: its YAML has no `schedule`")
    num_ticks, key = int(world.params["schedule"].ticks), jax.random.key(seed)
    states = jax.device_get(jax.jit(play, static_argnums=3)(world, memoryless(scheduled), key, num_ticks))
    actions = np.asarray(states.actions, np.int16)
    return Episode(seed, 0, world.static.config_id, actions, day_digests(states, world.static.ticks_per_day)), states


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
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is no recorded episode: {error}") from None
    actions = arrays.get("actions", np.zeros(0))
    fits = set(header) == set(Episode._fields) and actions.ndim == 2 and actions.dtype == np.int16
    if not fits:
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


def draw(world: World, states: State, path: Path, stride: int = STRIDE, ties: bool = True) -> Path:
    """A moving picture of an episode, GIF or MP4 by the path's ending, with strong ties as lines between people or without."""
    from townlet_jax.render import animate

    num_ticks = states.tick.shape[0]
    scale = min(max(ROWS // world.static.height, CELLS[0]), CELLS[1])
    try:
        animate(world, (frame(states, tick) for tick in range(0, num_ticks, stride)), path, scale=scale, ties=ties)
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
