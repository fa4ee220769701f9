"""How people live in the presets: attendance, exits, company, quarrels and needs over days of many towns.

    python benchmarks/kpis.py [--worlds town m0 m1 m2 m2_5 town+company m3 m4 m5] [--policy scripted] [--towns 64] [--days 5]
                              [--variant compact] [--json FILE]

`town+company` is the default town with relationships, chats and fair queues. Exits are per agent and day, chats and conflicts per
town and day. What the columns are computed from is in `townlet_jax.telemetry.days`. The numbers are the same on every machine. The
last line is JSON.
"""

import argparse
import time
from pathlib import Path

from report import tell

from townlet_jax import load, policies
from townlet_jax.systems.exits import REASONS
from townlet_jax.telemetry import days

COMPANY = {
    "systems.queues.fairness": {"impatient_after": 3},
    "systems.chat": {},
    "systems.relationships": {"meals": ["eat_meal", "eat_out"]},
}
WORLDS = {
    name: (name.removesuffix("+company"), COMPANY if name.endswith("+company") else {})
    for name in ("town", "m0", "m1", "m2", "m2_5", "town+company", "m3", "m4", "m5")
}
COLUMNS = (
    *("attendance", "collapses", "other exits", "strong tie by day 1 .. last", "conflicts (least; days with any)"),
    *("chats (least; days with any)", "well", "at the clip", "needs", "reward"),
)


def measure(label: str, policy: str, num_towns: int, num_days: int, variant: str) -> dict[str, float]:
    """The figures of one world."""
    name, overrides = WORLDS.get(label, (label, {}))
    world, begun = load(name, **{"observation.variant": variant, **overrides}), time.perf_counter()
    sums = days.live(world, getattr(policies, policy), num_towns=num_towns, num_days=num_days)
    found = days.figures(sums, world.static.num_agents, world.static.names.needs)
    found["seconds"] = time.perf_counter() - begun
    return {"world": label, "agents": world.static.num_agents} | {k: round(v, 5) for k, v in found.items()}


def row(found: dict) -> list[str]:
    """The cells of a line of the table."""
    number = lambda name: f"{found[name]:.1f} ({found[name + '/least']:.0f}; {found[name + '/days']:.1%})"
    tied = [f"{value:.0%}" for name, value in found.items() if name.startswith("tied/")]
    others = [f"{reason} {found['exits/' + reason]:.4f}" for reason in REASONS[2:] if found["exits/" + reason]]
    return [
        f"{found['attendance']:.3f}" if found["shift"] else "-",
        f"{found['exits/collapse']:.4f}",
        ", ".join(others) or "0",
        " ".join(tied) if found[f"tied/{len(tied)}"] else "-",
        number("conflicts") if found["conflicts"] else "-",
        number("chats") if found["chats"] else "-",
        f"{found['well']:.2%}",
        f"{found['clipped']:.2%}",
        ", ".join(f"{name[5:]} {value:.2f}" for name, value in found.items() if name.startswith("need/")),
        f"{found['reward']:.2f}",
    ]


def main() -> None:
    options = argparse.ArgumentParser(description="How people live in the presets.")
    options.add_argument("--worlds", nargs="+", default=list(WORLDS))
    options.add_argument("--policy", default="scripted", choices=["scripted", "random"])
    options.add_argument("--towns", type=int, default=64)
    options.add_argument("--days", type=int, default=5)
    options.add_argument("--variant", default="compact", choices=["compact", "hybrid", "full"])
    options.add_argument("--json", type=Path, help="also write the result here")
    chosen = options.parse_args()
    print(f"{chosen.policy}, {chosen.towns} towns, {chosen.days} days, {chosen.variant} observations")
    print("| world |", " | ".join(COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    rows = []
    for label in chosen.worlds:
        rows.append(measure(label, chosen.policy, chosen.towns, chosen.days, chosen.variant))
        print(f"| {label} |", " | ".join(row(rows[-1])), "|", flush=True)
    result = {
        "policy": chosen.policy,
        "towns": chosen.towns,
        "days": chosen.days,
        "variant": chosen.variant,
        "rows": rows,
    }
    tell(result, chosen.json)


if __name__ == "__main__":
    main()
