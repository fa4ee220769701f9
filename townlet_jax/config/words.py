"""Checks across sections: every word used somewhere must exist, every time must lie within the day."""

from collections.abc import Sequence
from typing import Any

from ..core import fixed
from ..types import System
from . import expressions, generate
from .compile import names_of
from .findings import Finding, outside, unknown
from .layout import Layout


def findings(config: Any, layout: Layout, order: Sequence[System]) -> list[Finding]:
    """All words and times that do not fit together; an empty list if there are none."""
    return [
        *_systems(config, order),
        *_needs(config),
        *_offers(config, layout),
        *_money(config, layout),
        *_jobs(config, layout),
        *_lives(config, order),
        *_map(config, layout),
        *_vanishing(config),
        *_own(config, order),
    ]


def _systems(config: Any, order: Sequence[System]) -> list[Finding]:
    on = [system for system in order if getattr(config.systems, system.name) is not None]
    names = {system.name for system in on}
    return [
        (f"systems.{system.name}", f"needs the system {other!r}, which this world does not run")
        for system in on
        for other in system.requires
        if other not in names
    ]


def _own(config: Any, order: Sequence[System]) -> list[Finding]:
    """What each system finds in the sections that it reads, and in the map, which may first have to be drawn."""
    config = config.model_copy(update={"map": generate.drawn(config.map, config.num_agents)})
    on = [system for system in order if getattr(config.systems, system.name) is not None]
    return [finding for system in on for finding in system.check(config)]


def _needs(config: Any) -> list[Finding]:
    wrong = [("needs", f"{need!r} stands there twice") for need in config.needs if config.needs.count(need) > 1][:1]
    section = config.systems.needs
    if section is None:
        return wrong
    for field, most in (("decay", 1.0), ("weight", 100.0)):
        path, table = f"systems.needs.{field}", getattr(section, field)
        wrong += unknown(path, table, config.needs, "need")
        wrong += [(path, f"{need!r} is missing") for need in config.needs if need not in table]
        wrong += outside(path, table, 0.0, most, "a tick" if field == "decay" else "")
    return wrong


def _offers(config: Any, layout: Layout) -> list[Finding]:
    section, wrong = config.systems.affordances, unknown("start.items", config.start.items, config.items, "item")
    wrong += outside("start.items", config.start.items, 0, 100, "of an item")
    offers = section.offers if section else ()
    for i, offer in enumerate(offers):
        path = f"systems.affordances.offers.{i}"
        wrong += unknown(f"{path}.at", [offer.at], layout.facility_kind, "kind of facility on the map")
        wrong += unknown(f"{path}.effects", offer.effects, config.needs, "need")
        wrong += outside(f"{path}.effects", offer.effects, -1.0, 1.0, "of a full need")
        for field in ("takes", "gives"):
            table = getattr(offer, field)
            wrong += unknown(f"{path}.{field}", table, config.items, "item")
            wrong += outside(f"{path}.{field}", table, 0, 100, "of an item")
        if offer.hours is not None and not 0 <= offer.hours[0] < offer.hours[1] <= config.ticks_per_day:
            wrong.append((f"{path}.hours", _day_span(offer.hours, config)))
        wrong += _requires(f"{path}.requires", offer.requires, config, layout)
        if offer.name in ("work", "home"):
            wrong.append((f"{path}.name", f"{offer.name!r} is taken: there is an option go_{offer.name} already"))
        if offer.name in [other.name for other in offers[:i]]:
            wrong.append((f"{path}.name", f"{offer.name!r} is the name of an offer above"))
    return wrong


def _requires(path: str, text: str, config: Any, layout: Layout) -> list[Finding]:
    """What is wrong with the expression of an offer."""
    if not text:
        return []
    try:
        expressions.parse(text, expressions.variables(config, names_of(config, layout)))
    except expressions.ExpressionError as error:
        return [(path, str(error))]
    return []


def _day_span(span: Sequence[int], config: Any) -> str:
    last = config.ticks_per_day
    return f"{list(span)} is not allowed (allowed: 0 <= first < last <= {last}, within the {last} ticks of a day)"


def _money(config: Any, layout: Layout) -> list[Finding]:
    section = config.systems.economy
    if section is None:
        return []
    offers = config.systems.affordances.offers if config.systems.affordances else ()
    wrong = unknown("systems.economy.prices", section.prices, [offer.name for offer in offers], "offer")
    wrong += outside("systems.economy.prices", section.prices, 0.0, 1000.0, "coins")
    wrong += unknown("systems.economy.stock", section.stock, layout.facility_kind, "kind of facility on the map")
    wrong += outside("systems.economy.stock", section.stock, 0, 10000, "units")
    for field in ("restock_at", "rent_at"):
        at = getattr(section, field)
        wrong += outside("systems.economy", {field: at}, 0, config.ticks_per_day - 1, ": the ticks of a day")
    return wrong


def _jobs(config: Any, layout: Layout) -> list[Finding]:
    section = config.systems.employment
    if section is None:
        return []
    jobs = [job.name for job in section.jobs]
    wrong = unknown("map.legend.post", dict.fromkeys(layout.post_job), jobs, "job")
    for i, job in enumerate(section.jobs):
        path = f"systems.employment.jobs.{i}"
        if job.name not in layout.post_job:
            wrong.append((path, f"the job {job.name!r} has no post on the map (legend entry with `post: {job.name}`)"))
        if not 0 <= job.start < job.end <= config.ticks_per_day:
            wrong.append((f"{path}.end", _day_span((job.start, job.end), config)))
        if job.name in jobs[:i]:
            wrong.append((f"{path}.name", f"{job.name!r} is the name of a job above"))
    return wrong


def _lives(config: Any, order: Sequence[System]) -> list[Finding]:
    section = config.systems.lifecycle
    wrong = []
    wrong += outside("start", {"tick": config.start.tick[1]}, 0, config.ticks_per_day - 1, ": the ticks of a day")
    if section is not None:
        wrong += unknown("systems.lifecycle.collapse", section.collapse, config.needs, "need")
        wrong += outside("systems.lifecycle.collapse", section.collapse, 0.0, 1.0, "of a full need")
        wrong += unknown("systems.lifecycle.kit_items", section.kit_items, config.items, "item")
        wrong += outside("systems.lifecycle.kit_items", section.kit_items, 0, 100, "of an item")
        least, most = section.arrive_after
        if not 1 <= least <= most <= 100:
            wrong.append(
                ("systems.lifecycle.arrive_after", f"[{least}, {most}]: allowed are 1 <= least <= most <= 100 ticks")
            )
    if config.systems.rewards is not None:
        terms = [term for system in order for term in system.terms]  # a term of a system that is off counts nothing
        wrong += unknown("systems.rewards.weights", config.systems.rewards.weights, terms, "reward term")
        wrong += outside("systems.rewards.weights", config.systems.rewards.weights, 0.0, 4.0, "")
        wrong += unknown(
            "systems.rewards.terminal", config.systems.rewards.terminal, config.systems.rewards.weights, "term"
        )
    return wrong


def _map(config: Any, layout: Layout) -> list[Finding]:
    wrong = []
    queues = config.systems.queues
    if queues is not None and queues.start_within <= queues.reach:
        text = f"{queues.start_within} is not above reach {queues.reach}: one could not walk up in time"
        wrong.append(("systems.queues.start_within", text))
    if not len(layout.home_cell):
        wrong.append(("map.rows", "no home on the map (a legend entry with `home: true`)"))
    if config.systems.lifecycle is not None and not len(layout.entry_cell):
        wrong.append(
            ("map.rows", "no entry on the map, so that nobody could move in (a legend entry with `entry: true`)")
        )
    if config.systems.affordances is not None and not len(layout.facility_cell):
        wrong.append(("map.rows", "no facility on the map (a legend entry with `facility: kind`)"))
    return wrong


def _vanishing(config: Any) -> list[Finding]:
    """Numbers that are not 0 and would become 0 in the town's integers."""
    systems = config.systems
    decay = systems.needs.decay if systems.needs else {}
    wrong = [
        (f"systems.needs.decay.{need}", f"{rate} a tick is less than the town can count (2**-21)")
        for need, rate in decay.items()
        if rate > 0 and fixed.to_need(rate) == 0
    ]
    money = (
        {f"systems.economy.prices.{name}": price for name, price in systems.economy.prices.items()}
        if systems.economy
        else {}
    )
    money |= {"systems.economy.rent": systems.economy.rent} if systems.economy else {}
    jobs = systems.employment.jobs if systems.employment else ()
    money |= {f"systems.employment.jobs.{i}.wage": job.wage for i, job in enumerate(jobs)}
    small = [path for path, coins in money.items() if coins > 0 and fixed.to_mills(coins) == 0]
    return wrong + [
        (path, f"{money[path]} coins is less than half a mill (0.001 coins), which would be 0") for path in small
    ]
