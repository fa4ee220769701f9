"""Can people live there at all? Arithmetic that a world must pass before it is compiled.

Each check returns lines with the sum in them; an empty list means that the world passes. The sums are per agent and day, with the
best offer for each need; a world that passes may still be hard.
"""

from typing import Any

import numpy as np

from ..core import fixed, grid
from ..types import NOTHING
from .findings import Finding
from .layout import Layout


def findings(config: Any, layout: Layout) -> list[Finding]:
    """What makes a world unliveable: no way, no time, no capacity or no money."""
    wrong = _ways(config, layout)
    if wrong or config.systems.needs is None or config.systems.affordances is None:
        return wrong
    return [*_time(config), *_capacity(config, layout), *_purse(config)]


def _ways(config: Any, layout: Layout) -> list[Finding]:
    """From every home and entry one can walk to every public facility and post, and home to one's own things."""
    wrong = []
    width = layout.ground.shape[1]
    where = lambda cell: f"row {cell // width + 1}, column {cell % width + 1}"
    starts = [(f"home {i + 1}", int(c), i) for i, c in enumerate(layout.home_cell)]
    starts += [(f"the entry at {where(c)}", int(c), NOTHING) for c in layout.entry_cell]
    goals = [
        (f"the {kind} at {where(cell)}", int(stand[0]), home)
        for kind, cell, stand, home in zip(
            layout.facility_kind, layout.facility_cell, layout.place_cell, layout.facility_home
        )
    ]
    goals += [
        (f"the {job}'s post at {where(cell)}", int(cell), NOTHING)
        for job, cell in zip(layout.post_job, layout.post_cell)
    ]
    goals += [(name, cell, NOTHING) for name, cell, _ in starts[: len(layout.home_cell)]]
    ways = grid.distances_to(layout.neighbour, np.array([cell for _, cell, _ in goals], np.int64)).T
    for (goal, _, owner), distance in zip(goals, ways):
        cut = [name for name, start, home in starts if owner in (NOTHING, home) and distance[start] == grid.UNREACHABLE]
        if cut:
            wrong.append(("map.rows", f"there is no way to {goal} from {cut[0]}"))
    return wrong


def _drains(config: Any) -> dict[str, float]:
    """What each need loses in a day, in full needs."""
    return {need: config.systems.needs.decay[need] * config.ticks_per_day for need in config.needs}


def _helpers(config: Any, need: str) -> list[Any]:
    """The offers that raise a need, most per tick first."""
    helps = [offer for offer in config.systems.affordances.offers if offer.effects.get(need, 0.0) > 0]
    return sorted(helps, key=lambda offer: -offer.effects[need] / offer.ticks)


def _time(config: Any) -> list[Finding]:
    """The day must be long enough for the uses that the needs ask for, and a shift."""
    parts, busy = [], 0.0
    for need, drain in _drains(config).items():
        best = _helpers(config, need)
        if not best and drain > 0:
            return [(f"systems.needs.decay.{need}", f"{need} falls by {drain:.2f} a day and no offer raises it")]
        if drain > 0:
            uses = drain / best[0].effects[need]
            busy += uses * best[0].ticks
            parts.append(f"{need} falls by {drain:.2f} a day = {uses:.1f} x {best[0].name} of {best[0].ticks} ticks")
    jobs = config.systems.employment.jobs if config.systems.employment else ()
    shift = max((job.end - job.start for job in jobs), default=0)
    if busy + shift <= config.ticks_per_day:
        return []
    total = f"{busy:.0f} busy ticks and a shift of {shift} do not fit into a day of {config.ticks_per_day}"
    return [("systems.needs.decay", f"{'; '.join(parts)}: {total}")]


def _uses(config: Any, layout: Layout, offer: Any, depth: int) -> float:
    """How often an offer can be taken in a day, in the whole town: its hours, its stock, and the items that it takes."""
    count = list(layout.facility_kind).count(offer.at)
    opens, closes = offer.hours or (0, config.ticks_per_day)
    uses = count * ((closes - opens) // offer.ticks)
    if offer.stock:
        stock = config.systems.economy.stock if config.systems.economy else {}
        uses = min(uses, count * (stock.get(offer.at, 0) // offer.stock))
    for item, number in offer.takes.items():
        if number:
            uses = min(uses, _made(config, layout, item, depth) / number)
    return uses


def _made(config: Any, layout: Layout, item: str, depth: int) -> float:
    """How many of an item the town can make or sell in a day; `depth` offers deep, so that circles end."""
    if depth == 0:
        return 0.0
    givers = [offer for offer in config.systems.affordances.offers if offer.gives.get(item, 0)]
    return sum(_uses(config, layout, offer, depth - 1) * offer.gives[item] for offer in givers)


def _capacity(config: Any, layout: Layout) -> list[Finding]:
    """Every home must have something for every need, and all of it together must be enough for everybody."""
    wrong = []
    kinds, owners = list(layout.facility_kind), layout.facility_home.tolist()
    for need, drain in _drains(config).items():
        helpers, path = _helpers(config, need), f"systems.needs.decay.{need}"
        if not helpers or drain <= 0:
            continue
        at = {offer.at for offer in helpers}
        for home in range(len(layout.home_cell)):
            if not any(kind in at and owner in (NOTHING, home) for kind, owner in zip(kinds, owners)):
                wrong.append(
                    (
                        path,
                        f"home {home + 1} can use nothing that raises {need}: {', '.join(sorted(at))} are others' own",
                    )
                )
        uses = [_uses(config, layout, offer, len(config.items)) for offer in helpers]
        supply = sum(n * offer.effects[need] for n, offer in zip(uses, helpers))
        demand = config.num_agents * drain
        if demand > supply:
            parts = " + ".join(f"{n:.0f} {offer.name} x {offer.effects[need]}" for n, offer in zip(uses, helpers))
            sums = f"{parts} = {supply:.1f} a day, {config.num_agents} agents lose {demand:.1f}"
            wrong.append((path, f"{need} falls faster than facilities can serve: {sums}"))
    return wrong


def _item_costs(config: Any) -> dict[str, float]:
    """The cheapest way to each item, in coins; infinite if there is none."""
    prices = config.systems.economy.prices if config.systems.economy else {}
    costs = dict.fromkeys(config.items, np.inf)
    for _ in config.items:
        for offer in config.systems.affordances.offers:
            spent = prices.get(offer.name, 0.0) + sum(costs[item] * n for item, n in offer.takes.items() if n)
            for item, number in offer.gives.items():
                if number:
                    costs[item] = min(costs[item], spent / number)
    return costs


def slack(config: Any) -> dict[str, float]:
    """By what share the daily wage of each job, with the stipend, exceeds the rent and the cheapest basket of its day.

    Args:
        config: a validated world with the systems `needs`, `affordances`, `economy` and `employment`.

    Returns:
        Job -> share: 0 where the wage just pays for the day, infinite where the day costs nothing.
    """
    basket, _ = _basket(config)
    costs = config.systems.economy.rent + basket
    income = lambda job: _wages(job) + config.systems.economy.stipend
    return {job.name: income(job) / costs - 1 if costs else np.inf for job in config.systems.employment.jobs}


def _wages(job: Any) -> float:
    """The coins of a whole shift, as the town will pay them."""
    return (job.end - job.start) * fixed.to_mills(job.wage) / fixed.COIN


def _basket(config: Any) -> tuple[float, str]:
    """The coins that the needs of a day cost at least, and the sum in words."""
    prices, costs = config.systems.economy.prices, _item_costs(config)
    cost = lambda offer: prices.get(offer.name, 0.0) + sum(costs[i] * n for i, n in offer.takes.items() if n)
    basket, parts = 0.0, []
    for need, drain in _drains(config).items():
        per_need = [(cost(offer) / offer.effects[need], offer.name) for offer in _helpers(config, need)]
        if drain > 0 and per_need:
            price, name = min(per_need)
            basket += price * drain
            parts.append(f"{need} {drain:.2f} by {name} {price * drain:.2f}")
    return basket, ", ".join(parts)


def _purse(config: Any) -> list[Finding]:
    """The wage of every job must pay the rent and the cheapest basket, and leave as much as `economy.slack` wants."""
    section = config.systems.economy
    if section is None:
        return []
    if config.systems.employment is None:
        rent, given = section.rent, section.stipend
        text = (
            f"rent is {rent:.2f} coins a day, but without the system 'employment' nobody earns more than the stipend of"
            f" {given:.2f}, and all are evicted"
        )
        return [("systems.economy.rent", text)] if rent > given and config.systems.lifecycle is not None else []
    least, most = section.slack or (0.0, np.inf)
    if not 0 <= least <= most:
        return [("systems.economy.slack", f"[{least}, {most}]: allowed are 0 <= least <= most")]
    basket, parts = _basket(config)
    costs_line = f"rent {section.rent:.2f} + basket {basket:.2f} ({parts}) = {section.rent + basket:.2f}"
    wrong = []
    for i, (job, left) in enumerate(zip(config.systems.employment.jobs, slack(config).values())):
        sums = f"{job.end - job.start} ticks x {job.wage} = {_wages(job):.2f} coins a day"
        sums += f" + stipend {section.stipend:.2f}" if section.stipend else ""
        if _wages(job) + section.stipend < section.rent + basket:
            text = f"the {job.name} cannot live on it: {sums}, but {costs_line}"
        elif not least <= left <= most:
            wanted = f"(allowed: {least} to {most}, systems.economy.slack)"
            text = f"the {job.name} has a slack of {left:.3f} {wanted}: {sums}, {costs_line}"
        else:
            continue
        wrong.append((f"systems.employment.jobs.{i}.wage", text))
    return wrong
