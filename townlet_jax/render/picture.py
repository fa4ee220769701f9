"""The picture of one town at one tick."""

from typing import Any

import numpy as np

from ..types import State, World
from . import caption, card, clock, marks, overlay, palette, panel, sprites
from .backdrop import rooms, shade
from .card import Focus
from .pen import pillow
from .people import Person, people
from .plan import Plan, plan
from .scene import Scene, scene

BADGE = 1.0  # cells
ACROSS, DOWN = 32, 18  # cells of a map beside which the panel has units as large as its cells
LEAST = 12  # pixels of a unit of the panel of a small map
LAMPS = "power"  # the utility without which no lamp burns


def image(
    world: World, state: State, *, scale: int = 14, panel: bool = True, ties: bool = True, focus: Focus | None = None
) -> np.ndarray:
    """A picture of one town at one tick.

    Rooms in which somebody is awake have light at night. What never changes is drawn once a world and scale and kept. The sky,
    what is out of service, talks, quarrels and strong ties are drawn in worlds that have them.

    Args:
        world: the world.
        state: one town, on the host or the device.
        scale: pixels a cell, 4 to 64.
        panel: whether the table of people is drawn beside the map; without it there is a caption below the map.
        ties: whether strong ties are drawn as lines between people.
        focus: whom to follow: a ring on the map, and a card of them in place of the table.

    Returns:
        u8[rows, columns, 3] red, green, blue.

    Raises:
        RuntimeError: Pillow is not installed.
        ValueError: the state holds more than one town, or the scale is out of bounds.
    """
    return np.asarray(frame(world, state, scale, panel, ties, focus))


def frame(
    world: World, state: State, scale: int, with_panel: bool, ties: bool = True, focus: Focus | None = None
) -> Any:
    """The same as a Pillow image, for `animate`."""
    if not 4 <= scale <= 64:
        raise ValueError(f"scale is {scale}: allowed are 4 to 64 pixels a cell")
    if focus is not None and not 0 <= focus.agent < world.static.num_agents:
        raise ValueError(f"agent {focus.agent} is not in the town: allowed are 0 to {world.static.num_agents - 1}")
    pillow()
    town, folk, time, now = plan(world), people(world, state), clock.clock(world, state), scene(world, state, ties)
    ground = _map(town, folk, time, now, scale, focus)
    if not with_panel:
        return _stacked(ground, caption.strip(town, ground.width, scale, time, now))
    names = world.static.names
    unit = min(scale, max(min(ground.width // ACROSS, ground.height // DOWN), LEAST))
    signs = tuple(sign for sign in town.signs if ties or sign not in marks.BONDS)
    arranged = panel.layout(town, names.offers, names.needs, unit, ground.height, signs)
    if focus is None:
        beside = panel.panel(arranged, town, time, folk, now)
    else:
        beside = _card(world, state, town, folk, time, now, focus, arranged, scale)
    picture = pillow().Image.new("RGB", (ground.width + beside.width, beside.height), palette.PAPER)
    picture.paste(ground, (0, 0))
    picture.paste(beside, (ground.width, 0))
    return picture


def _map(town: Plan, folk: list[Person], time: clock.Clock, now: Scene, scale: int, focus: Focus | None) -> Any:
    """The map with all that is on it."""
    ground = _lit(town, folk, clock.level(time.hours), scale, now)
    overlay.out_of_service(ground, town, now.shut, scale)
    spots = overlay.spots(town, folk)
    overlay.bonds(ground, now.bonds, spots, scale)
    placed = overlay.placed(now.meetings, spots, scale, (ground.width / scale, ground.height / scale))
    overlay.links(ground, placed, spots, scale)
    _crowd(ground, folk, spots, now, scale)
    overlay.meetings(ground, placed, scale)
    if focus is not None and focus.agent in spots:
        card.ring(ground, *(part * scale for part in spots[focus.agent]), focus.agent, scale)
    return ground


def _card(
    world: World,
    state: State,
    town: Plan,
    folk: list[Person],
    time: clock.Clock,
    now: Scene,
    focus: Focus,
    arranged: panel.Layout,
    scale: int,
) -> Any:
    """The card of whom a picture follows, as wide as the table would be."""
    needs, unit, view = world.static.names.needs, arranged.unit, None
    size = arranged.width, max(arranged.height, card.height(unit, len(needs), scale, bool(focus.title)))
    someone = folk[focus.agent]
    if scale < card.LARGE:
        large = _map(town, folk, time, now, card.CLOSER * scale, focus)
        row, column = divmod(someone.cell, town.columns)
        spot = (column + 0.5, row + 0.5)
        view = card.closer(large, spot, card.CLOSER * scale, card.view_size(arranged.width, unit))
    title, has = town.name.replace("_", " ").capitalize(), card.carried(world, state, focus.agent)
    return card.card(size, unit, title, time, now, someone, needs, has, focus, view)


def _stacked(upper: Any, lower: Any) -> Any:
    """Two pictures of equal width, one below the other."""
    picture = pillow().Image.new("RGB", (upper.width, upper.height + lower.height))
    picture.paste(upper, (0, 0))
    picture.paste(lower, (0, upper.height))
    return picture


def _lit(town: Plan, folk: list[Person], step: int, unit: int, now: Scene) -> Any:
    """The map at a step of darkness, with light in the rooms where somebody is awake, unless the power is off."""
    picture = shade(town, unit, step, sky=now.sky).copy()
    awake = {town.place(someone.cell) for someone in folk if someone.alive and someone.activity != "sleep"} - {-1}
    if step and awake and LAMPS not in now.off:
        mask = np.isin(rooms(town), list(awake))
        lamps = pillow().Image.fromarray((mask * 255).astype(np.uint8)).resize(picture.size, 0)
        picture.paste(shade(town, unit, step, True, now.sky), (0, 0), lamps)
    return picture


def _crowd(picture: Any, folk: list[Person], spots: dict[int, overlay.Spot], now: Scene, unit: int) -> None:
    """Everybody on the map. Badges lie above all bodies; who talks or quarrels has a mark in place of one."""
    met, badges = marks.of_people(now.meetings), []
    for someone in folk:
        if someone.index not in spots:
            continue
        x, y = (part * unit for part in spots[someone.index])
        overlay.put(picture, sprites.body(someone.index, someone.facing, True, unit), x, y)
        if someone.activity not in sprites.QUIET and someone.index not in met:
            sign = sprites.badge(someone.activity, someone.letter, max(round(BADGE * unit), 4))
            badges.append((sign, x + 0.66 * unit, y - 0.66 * unit))
    for sign, x, y in badges:
        overlay.put(picture, sign, x, y)
