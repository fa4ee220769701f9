"""What an evaluation sweep plays: policies x worlds x values of parameters, each pair a cell."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from townlet_jax import policies
from townlet_jax.config.errors import ConfigError, listed
from townlet_jax.observe import layer_names, schema
from townlet_jax.policies.scripted import REQUIRES, THRESHOLDS, act, habits
from townlet_jax.types import Key, State, World
from townlet_jax.worlds import compile_document, read

from .. import runs
from ..logging import RunError
from ..players import Choice, Memory, Player, memoryless
from ..program import learned

CITIZEN = "citizen."  # before the thresholds of the script in `--vary`
POLICIES = ("scripted", "random")
MOST_CELLS = 10_000
MOST_VALUES = 200  # of one parameter
Settings = dict[str, str]  # parameter -> value as written


class Axis(NamedTuple):
    """A parameter and the values that it takes in turn."""

    key: str  # dotted, of a world's YAML or `citizen.` and a threshold
    values: tuple[str, ...]  # as written


class Entrant(NamedTuple):
    """A policy in a sweep."""

    name: str
    step: int | None  # of the checkpoint, None for one that was not trained
    player: Player
    settings: Settings  # thresholds of the script
    home: World | None  # where it was trained, None for one that plays anywhere


class Place(NamedTuple):
    """A world in a sweep."""

    name: str
    settings: Settings
    world: World


class Cell(NamedTuple):
    """A policy in a world."""

    entrant: Entrant
    place: Place

    @property
    def settings(self) -> Settings:
        """Every parameter that was varied, those of the script last."""
        return {**self.place.settings, **self.entrant.settings}


def axis(text: str) -> Axis:
    """The meaning of `KEY=VALUE,VALUE,...`; commas in brackets do not part values.

    Raises:
        RunError: it says something else, or the same value twice.
    """
    key, equals, rest = text.partition("=")
    values = tuple(value.strip() for value in re.split(r",(?![^\[{]*[\]}])", rest))
    if not equals or not key.strip() or not all(values):
        raise RunError(f"--vary {text!r} is not allowed (KEY=VALUE,VALUE,... such as systems.economy.rent=0.5,1.0)")
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise RunError(f"--vary {key}: {twice[0]} is named twice")
    if len(values) > MOST_VALUES:
        raise RunError(f"--vary {key}: {len(values)} values are not allowed (1 to {MOST_VALUES})")
    return Axis(key.strip(), values)


def axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """All that is varied.

    Raises:
        RunError: as `axis`, or a parameter is varied twice.
    """
    found = tuple(axis(text) for text in texts)
    keys = [one.key for one in found]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise RunError(f"--vary {twice[0]} is given twice: name all its values in one")
    return found


def settings(varied: Sequence[Axis]) -> list[Settings]:
    """Every combination of values, the last axis fastest; one empty combination without axes."""
    keys = [one.key for one in varied]
    return [dict(zip(keys, values)) for values in itertools.product(*(one.values for one in varied))]


def by_habit(params: Any, world: World, state: State, memory: Memory, key: Key) -> tuple[Choice, Memory]:
    """How a scripted citizen decides whose habits are the weights of its player."""
    action = act(params, world, state, key)
    none = jnp.zeros(action.shape, jnp.float32)
    return Choice(action, none, none), memory


def no_memory(world: World, state: State) -> Memory:
    """The memory of a player without one."""
    return ()


def script(chosen: Settings) -> Entrant:
    """The scripted citizen with some thresholds; all scripts are played by the same functions.

    Raises:
        RunError: a threshold is unknown, not a number or out of bounds.
    """
    thresholds = {}
    for key, text in chosen.items():
        try:
            thresholds[key.removeprefix(CITIZEN)] = float(text)
        except ValueError:
            raise RunError(f"--vary {key}={text} is not allowed: the citizen's thresholds are numbers") from None
    for key, value in thresholds.items():
        try:
            habits(**{key: value})
        except ValueError as error:
            raise RunError(f"--vary {CITIZEN}{key}={chosen.get(CITIZEN + key)} is not allowed: {error}") from None
    return Entrant("scripted", None, Player(habits(**thresholds), 1, no_memory, by_habit), chosen, None)


def scripts(varied: Sequence[Axis]) -> list[Entrant]:
    """The scripted citizen with every combination of thresholds, and as shipped, which comes first.

    Raises:
        RunError: as `script`.
    """
    unknown = [one.key for one in varied if one.key.removeprefix(CITIZEN) not in THRESHOLDS]
    if unknown:
        allowed = ", ".join(CITIZEN + name for name in THRESHOLDS)
        raise RunError(f"--vary {unknown[0]}: there is no such threshold (allowed: {allowed})")
    return [script({}), *(script(chosen) for chosen in settings(varied) if chosen)]


def entrants(
    folders: Sequence[Path], names: Sequence[str], varied: Sequence[Axis], step: int | str | None, greedy: bool
) -> list[Entrant]:
    """The policies of a sweep: those of runs, then scripts with every combination of thresholds, then random play.

    Args:
        folders: of runs.
        names: of POLICIES.
        varied: axes of the script.
        step: the checkpoint of each run, `runs.BEST`, or None for the newest sound one.
        greedy: whether learned policies take the likeliest action.

    Raises:
        RunError: a run or a threshold cannot be used.
        CheckpointError: a run has no sound checkpoint.
    """
    found = []
    for folder in folders:
        run = runs.existing(folder)
        runner, manifest = runs.load_runner(run, step)
        name = folder.resolve().name if len({f.resolve().name for f in folders}) == len(folders) else str(folder)
        player = learned(run.world, run.config, runner.params, greedy)
        found.append(Entrant(name, manifest.step, player, {}, run.world))
    if "scripted" in names:
        found += scripts(varied)
    if "random" in names:
        found.append(Entrant("random", None, memoryless(policies.random), {}, None))
    return found


def places(name: str, source: str, overrides: Sequence[str], varied: Sequence[Axis]) -> list[Place]:
    """A world with every combination of values, each compiled, and so checked, by the loader.

    Args:
        name: what tables call it.
        source: a shipped world, or a path to its YAML.
        overrides: changes to all of them.
        varied: axes of the world.

    Raises:
        ConfigError: a value is refused; the message names it.
    """
    found = []
    for chosen in settings(varied):
        words = [f"{key}={value}" for key, value in chosen.items()]
        try:
            world = compile_document(read(source, [*overrides, *words], "--world-set and --vary"))
        except ConfigError as error:
            if not words:
                raise
            raise ConfigError([f"--vary {' '.join(words)}: {line}" for line in error.messages]) from None
        found.append(Place(name, chosen, world))
    return found


def needed(world: World) -> dict[str, list[str]]:
    """What a learned policy must find in a world as it was where it learned."""
    side = world.static.window
    return {
        "features": [f"{entry.name}:{entry.stop - entry.start}" for entry in schema(world)],
        "map layers": [f"{len(layer_names(world))}x{side}x{side}"],
        "actions": list(world.static.actions.names),
    }


def difference(home: World, world: World) -> str:
    """What a policy that learned in one world misses in another, in words; nothing if it can play there."""
    was, now = home.static.observation, world.static.observation
    if was != now:
        return f"observation.variant {now!r}, it learned from {was!r} (try --world-set observation.variant={was})"
    told = []
    for (what, wants), has in zip(needed(home).items(), needed(world).values()):
        if wants != has:
            lacks, strange = [x for x in wants if x not in has], [x for x in has if x not in wants]
            parts = [f"without {listed(lacks)}"] * bool(lacks) + [f"with {listed(strange)}"] * bool(strange)
            told.append(f"other {what}: {' and '.join(parts) or 'in another order'}")
    return "; ".join(told)


def home_names(found: Sequence[Entrant]) -> dict[str, str]:
    """What tables call the worlds in which policies learned: config_id -> name, with the id where two have one name."""
    homes = {entrant.home.static.config_id: entrant.home.static.name for entrant in found if entrant.home is not None}
    names = list(homes.values())
    return {key: name if names.count(name) == 1 else f"{name}-{key[:6]}" for key, name in homes.items()}


def misfit(entrant: Entrant, world: World) -> str:
    """Why a policy cannot play in a world, in words; nothing if it can."""
    if entrant.home is not None:
        return difference(entrant.home, world)
    missing = [name for name in REQUIRES if not world.static.has(name)]
    return f"no system {listed(missing)}" if missing and entrant.name == "scripted" else ""


def cells(found: Sequence[Entrant], grounds: Mapping[str, Sequence[Place]], homes: Mapping[str, str]) -> list[Cell]:
    """Who plays where.

    Args:
        found: the policies.
        grounds: name -> the worlds of that name.
        homes: config_id -> the one name where a policy plays that learned in that world; others play everywhere.

    Raises:
        RunError: a policy cannot play in a world, and why; or there are too many cells.
    """
    pairs = []
    for entrant, (name, group) in itertools.product(found, grounds.items()):
        if entrant.home is not None and name != homes.get(entrant.home.static.config_id, name):
            continue
        wrong = next(filter(None, (misfit(entrant, place.world) for place in group)), "")
        if wrong:
            raise RunError(f"{entrant.name} cannot play in {name}: that world has {wrong}")
        pairs += [Cell(entrant, place) for place in group]
    if not 1 <= len(pairs) <= MOST_CELLS:
        raise RunError(f"{len(pairs)} cells are not allowed (1 to {MOST_CELLS}): vary less at once")
    return pairs
