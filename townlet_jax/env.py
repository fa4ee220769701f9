"""A world with its functions bound to it, and the registry of worlds."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import engine
from .config.errors import ConfigError, shown
from .config.load import FROM_PYTHON, shipped
from .core import fixed
from .observe import observe
from .systems import ORDER
from .types import Env, State, System, TimeStep, World
from .worlds import compile_document, read

_REGISTRY: dict[str, Callable[..., World]] = {}


def timestep(world: World, state: State) -> TimeStep:
    """What a learner sees of a state: observation, reward f32[A], terminated and mask bool[A], truncated bool[]."""
    return TimeStep(
        observation=observe(world, state),
        reward=fixed.to_float(state.reward, fixed.MILLION),
        terminated=state.terminated,
        truncated=state.truncated,
        mask=state.agents.alive | state.terminated,
    )


def bind(world: World) -> Env:
    """The functions of a world, with the world bound to them.

    Args:
        world: as `load` returns it.

    Returns:
        `reset(key) -> State`, `step(state, actions i32[A], key) -> State`, `observe(state) -> Observation`,
        `timestep(state) -> TimeStep`, `render(state) -> u8[rows, columns, 3]`; the first four can be jitted and vmapped.
    """

    def render(state: State, **options: Any):
        from .render import image  # needs the extra `viz`

        return image(world, state, **options)

    return Env(
        world=world,
        reset=partial(engine.reset, world),
        step=partial(engine.step, world),
        observe=partial(observe, world),
        timestep=partial(timestep, world),
        render=render,
    )


def _written(path: str, value: Any) -> str:
    """The value of an override as YAML."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        plain = "numbers, words, true, false, null, lists and mappings"
        raise ConfigError(
            f"{FROM_PYTHON}: {path}: {shown(value)} is nothing that YAML knows (allowed: {plain})"
        ) from None


def load(name: str | Path, order: Sequence[System] = ORDER, **overrides: Any) -> World:
    """A compiled world.

    Args:
        name: a shipped or registered world such as "town", or a path to a YAML file.
        order: every system that may run; add your own with `systems.insert`.
        **overrides: values by dotted path, e.g. `num_agents=6` or `**{"systems.economy.rent": 1.0}`.

    Returns:
        The world.

    Raises:
        ConfigError: the configuration does not exist, cannot be read, or describes no town that one can live in.
    """
    if str(name) in _REGISTRY:
        if order is not ORDER:
            raise ConfigError(f"{name!r} is a registered world: its factory chooses the systems, `order` cannot")
        return _REGISTRY[str(name)](**overrides)
    settings = [f"{path}={_written(path, value)}" for path, value in overrides.items()]
    return compile_document(read(name, settings), order)


def make(name: str | Path = "town", order: Sequence[System] = ORDER, **overrides: Any) -> Env:
    """An environment by name or YAML file; see `load` for the arguments and errors, `bind` for what is returned."""
    return bind(load(name, order, **overrides))


def register(name: str, factory: Callable[..., World]) -> None:
    """Give a name to a world of your own.

    Args:
        name: what `make` will be called with.
        factory: (**overrides) -> World.

    Raises:
        ConfigError: the name is taken.
    """
    if name in _REGISTRY or name in shipped("worlds"):
        raise ConfigError(f"there is a world called {name!r} already")
    _REGISTRY[name] = factory
