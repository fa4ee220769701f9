"""Fuzzing: many towns, many ticks, every rule folded into the loop; what breaks one is written down and plays again.

The rules are those of `testing.invariants` and `testing.transitions`; with `views` also that observations, rewards and metrics are
finite and in range, and that no system writes what it does not declare.
"""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine
from ..systems import edits
from ..types import Array, Key, State, World
from . import watch
from .crowd import CROWD, behave, meddle
from .invariants import invariants
from .transitions import transitions

NEVER = np.iinfo(np.int32).max
FORMAT = 4  # of the replay files


class Violation(NamedTuple):
    """A rule that a town broke, and where."""

    config_id: str
    seed: int
    town: int
    tick: int  # counted from 0 after reset
    rule: str
    towns: int  # how many towns broke it
    replay: Path | None  # the file that plays it again

    def __str__(self) -> str:
        way = CROWD[self.town % len(CROWD)]
        where = f"config {self.config_id} seed {self.seed} town {self.town} ({way}) tick {self.tick}"
        again = f"; play it again: python -m townlet_jax.testing WORLD --replay {self.replay}" if self.replay else ""
        return f"{where}: {self.rule} (in {self.towns} towns{again})"


def town_key(seed: Array, town: Array) -> Key:
    """The own key of a town of a seed, as `town_keys` makes it."""
    return jax.random.fold_in(jax.random.key(seed), town)


class Ways(NamedTuple):
    """How a town is played and watched; static."""

    meddling: bool = True  # somebody outside edits it
    views: bool = False  # what is seen and reported is watched, too


def choose(world: World, state: State, town: Array, key: Key, ways: Ways) -> tuple[State, Array, edits.Edit]:
    """The state after an edit, if there is meddling, what the crowd does in it i32[A], and the edit."""
    now = engine.tick_key(key, state)
    edit = meddle(world, engine.stream(now, "meddle"))
    if ways.meddling:
        state, _ = edits.apply(world, state, edit)
    else:
        edit = jax.tree.map(jnp.zeros_like, edit)
    return state, behave(world, state, town, engine.stream(now, "policy")), edit


def advance(world: World, before: State, actions: Array, key: Key, views: bool) -> tuple[State, dict[str, Array]]:
    """One tick, and which rules held in it: {rule: bool[]}."""
    if not views:
        after = engine.step(world, before, actions, key)
        return after, {**invariants(world, after), **transitions(world, before, after)}
    after, flags = watch.step(world, before, actions, key)
    flags = {**flags, **watch.observations(world, after), **watch.reports(world, after)}
    seen = {f"{rule}: {path}": ~broken.any() for (rule, path), broken in flags.items()}
    return after, {**invariants(world, after), **transitions(world, before, after), **seen}


def tick(world: World, state: State, town: Array, key: Key, ways: Ways) -> tuple[State, dict[str, Array]]:
    """One tick of the crowd, and which rules held in it."""
    before, actions, _ = choose(world, state, town, key, ways)
    return advance(world, before, actions, engine.tick_key(key, state), ways.views)


def play(world: World, seed: Array, num_towns: int, num_ticks: Array, ways: Ways) -> tuple[State, dict[str, Array]]:
    """The last states, and the first tick at which each town broke each rule: {rule: i32[B]}, NEVER if it did not."""

    def one(town):
        key = town_key(seed, town)

        def body(number, carry):
            state, first = carry
            state, holds = tick(world, state, town, key, ways)
            return state, {
                rule: jnp.where(holds[rule], first[rule], jnp.minimum(first[rule], number)) for rule in holds
            }

        state = engine.reset(world, key)
        rules = jax.eval_shape(lambda state: tick(world, state, town, key, ways)[1], state)
        never = {rule: jnp.int32(NEVER) for rule in rules}
        return jax.lax.fori_loop(jnp.int32(0), num_ticks, body, (state, never))

    return jax.vmap(one)(jnp.arange(num_towns, dtype=jnp.uint32))


_play = jax.jit(play, static_argnames=("num_towns", "ways"))


def fuzz(
    world: World,
    *,
    seed: int = 0,
    num_towns: int = 256,
    num_ticks: int = 2000,
    meddling: bool = True,
    views: bool = False,
    folder: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[State, list[Violation]]:
    """Let a crowd loose in many towns and watch every rule at every tick.

    Args:
        world: as `load` returns it; it must run `affordances` and what that needs.
        seed: of the towns.
        num_towns: how many; they take turns in the ways of `testing.crowd.CROWD`.
        num_ticks: for how long.
        meddling: whether somebody outside edits the towns meanwhile, see `systems.edits`.
        views: whether observations, rewards, metrics and who writes what are watched, too.
        folder: where to write a replay file for each rule that is broken; none are written without it.
        settings: how the world differs from its YAML, by dotted path, for the replay files to tell.

    Returns:
        The last states as numpy arrays [num_towns, ...], and one `Violation` for each rule that any town broke.
    """
    ways, nameless = Ways(meddling, views), world.replace(static=world.static._replace(config_id=""))
    states, first = jax.device_get(  # a nameless world, so that worlds that differ in numbers alone share a program
        _play(nameless, jnp.uint32(seed), num_towns=num_towns, num_ticks=jnp.int32(num_ticks), ways=ways)
    )
    found = []
    for rule, ticks in first.items():
        if ticks.min() == NEVER:
            continue
        town, number, broken = int(ticks.argmin()), int(ticks.min()), int((ticks != NEVER).sum())
        file = _record(world, seed, town, number, rule, ways, Path(folder), settings) if folder else None
        found.append(Violation(world.static.config_id, seed, town, number, rule, broken, file))
    return states, found


def _record(
    world: World,
    seed: int,
    town: int,
    number: int,
    rule: str,
    ways: Ways,
    folder: Path,
    settings: Mapping[str, Any] | None,
) -> Path:
    """Play one town again and write what was done in it up to the broken rule, as npz."""
    index, key = jnp.uint32(town), town_key(jnp.uint32(seed), jnp.uint32(town))

    def body(state, _):
        before, actions, edit = choose(world, state, index, key, ways)
        return engine.step(world, before, actions, engine.tick_key(key, state)), (actions, edit)

    taken = jax.jit(lambda: jax.lax.scan(body, engine.reset(world, key), None, number + 1)[1])()
    actions, edit = jax.device_get(taken)
    header = {"format": FORMAT, "config_id": world.static.config_id, "seed": seed, "town": town}
    header |= {"tick": number, "rule": rule, "views": ways.views, "settings": dict(settings or {})}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'_'.join(re.findall('[A-Za-z0-9]+', rule))}_seed{seed}_town{town}.npz"
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez_compressed(file, header=text, actions=actions, **dict(zip(edit._fields, edit)))
    return file


def header_of(file: str | Path) -> dict[str, Any]:
    """What a replay file says of itself: format, config_id, seed, town, tick, rule, views and settings.

    Raises:
        ValueError: it cannot be read, is no replay file of `fuzz`, or has another format.
    """
    try:
        with np.load(file, allow_pickle=False) as data:
            header: dict[str, Any] = json.loads(bytes(data["header"]))
    except (KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile):
        raise ValueError(f"{file}: not a replay file of the fuzz") from None
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{file}: format {header.get('format')} (allowed: {FORMAT})")
    return header


def reproduce(world: World, file: str | Path) -> tuple[State, list[str]]:
    """Play a replay file of `fuzz`.

    Args:
        world: the world in which it was recorded.
        file: as `Violation.replay` names it.

    Returns:
        The state after the last recorded tick, and the rules that it breaks.

    Raises:
        ValueError: the file belongs to another world or has another format.
    """
    header = header_of(file)
    if header["config_id"] != world.static.config_id:
        raise ValueError(f"{file}: config_id {header['config_id']}; this world has {world.static.config_id}")
    with np.load(file, allow_pickle=False) as data:
        taken = data["actions"], edits.Edit(*(data[name] for name in edits.Edit._fields))
    key = town_key(jnp.uint32(header["seed"]), jnp.uint32(header["town"]))

    edited = lambda state, edit: edits.apply(world, state, edit)[0]

    def body(state, now):
        actions, edit = now
        return engine.step(world, edited(state, edit), actions, engine.tick_key(key, state)), None

    def run(taken):
        early, (actions, edit) = (jax.tree.map(lambda leaf, part=part: leaf[part], taken) for part in (slice(-1), -1))
        state, _ = jax.lax.scan(body, engine.reset(world, key), early)
        return advance(world, edited(state, edit), actions, engine.tick_key(key, state), header["views"])

    state, holds = jax.jit(run)(jax.tree.map(jnp.asarray, taken))
    return state, [rule for rule, held in holds.items() if not bool(held)]
