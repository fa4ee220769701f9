"""From a name or a YAML file to a compiled `World`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import generate, layout, liveable, schedule, start, words
from ..config.compile import actions_of, compile_world, names_of
from ..config.errors import ConfigError
from ..config.load import FROM_PYTHON, Document, config_id, find, resolve, validate
from ..config.schema import world_model
from ..systems import ORDER, timeline
from ..types import System, World

DEFAULT_PLACES = 3  # queue cells a facility in a world without queues


def read(name: str | Path, overrides: Sequence[str] = (), source: str = FROM_PYTHON) -> Document:
    """The resolved configuration of a world, not yet checked.

    Args:
        name: a shipped world such as "town", a shipped scenario, or a path to a YAML file.
        overrides: assignments such as "systems.needs.decay.hunger=0.001".
        source: what messages call the overrides.

    Raises:
        ConfigError: there is no such world, or its YAML cannot be read.
    """
    return resolve(find(str(name), "worlds", "scenarios"), overrides, source)


def _staged(config: Any) -> Any:
    """The configuration without `chat` before stage B of `relationships`, and without any of the three if that is OFF."""
    ties = getattr(config.systems, "relationships", None)
    if ties is None or ties.stage not in ("OFF", "A"):
        return config
    gone = ("relationships", "chat", "arguments") if ties.stage == "OFF" else ("chat",)
    return config.model_copy(update={"systems": config.systems.model_copy(update=dict.fromkeys(gone))})


def compile_document(document: Document, order: Sequence[System] = ORDER) -> World:
    """Check a resolved configuration and compile it.

    Args:
        document: as `read` returns it.
        order: every system that exists, in data-flow order.

    Returns:
        The world.

    Raises:
        ConfigError: with a line for each fault: key, value, what is allowed; or why nobody could live there.
    """
    config: Any = _staged(validate(world_model(order), document))
    queues = getattr(config.systems, "queues", None)
    try:
        drawn = layout.read(generate.drawn(config.map, config.num_agents), queues.places if queues else DEFAULT_PLACES)
        drawn = layout.in_order(drawn) if config.map.generate else drawn
    except ValueError as error:
        where = "map.generate" if config.map.generate else "map.rows"
        raise ConfigError(_lines(document, [(where, str(error))])) from None
    found = words.findings(config, drawn, order)
    actions = actions_of(names_of(config, drawn), getattr(config.systems, "chat", None) is not None)
    found += start.findings(config, drawn) + schedule.findings(config, actions.names)
    if getattr(config.systems, "timeline", None) is not None:
        found += timeline.findings(config, actions.names, *drawn.ground.shape)
    found = found or start.crowded(config, drawn) or liveable.findings(config, drawn)
    if found:
        raise ConfigError(_lines(document, found))
    return compile_world(config, drawn, order, config_id(document.tree))


def _lines(document: Document, findings: Sequence[words.Finding]) -> list[str]:
    """Findings as lines with the source and line of the key, or of the nearest one above it."""
    lines = []
    for path, text in findings:
        parts = tuple(int(part) if part.isdigit() else part for part in path.split("."))
        known = next((parts[:n] for n in range(len(parts), 0, -1) if parts[:n] in document.lines), None)
        source, line = document.lines[known] if known else (document.path, 1)
        lines.append(f"{source}:{line}: {path}: {text}")
    return lines
