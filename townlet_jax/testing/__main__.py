"""`python -m townlet_jax.testing m5 --towns 1024 --ticks 10000`: fuzz worlds; each broken rule is told and can be played again."""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..config.errors import ConfigError
from ..env import load
from ..types import World
from . import draws
from .fuzz import fuzz, header_of, reproduce

COMPACT = {"observation.variant": "compact"}  # what is seen changes nothing that happens


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not allowed (allowed: 1 and more)")
    return number


def seed_number(text: str) -> int:
    """A whole number of 32 bits."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{number} is not allowed (allowed: 0 to {2**32 - 1})")
    return number


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    words = argparse.ArgumentParser(prog="python -m townlet_jax.testing", description=(__doc__ or "").split(": ", 1)[1])
    words.add_argument("worlds", nargs="+", help="shipped worlds or YAML files")
    words.add_argument("--towns", type=positive, default=1024, help="towns of a seed")
    words.add_argument("--ticks", type=positive, default=10_000, help="ticks of each town")
    words.add_argument("--seeds", type=positive, default=1, help="how many seeds, from --seed on")
    words.add_argument("--seed", type=seed_number, default=0, help="the first seed")
    words.add_argument(
        "--random", type=int, default=0, help="random configurations of each world besides, for 1,000 ticks"
    )
    words.add_argument(
        "--views", action="store_true", help="watch observations, reports and who writes what, too (slower)"
    )
    words.add_argument("--quiet-outside", action="store_true", help="no edits from outside")
    words.add_argument("--folder", type=Path, default=Path("runs/fuzz"), help="where replay files of broken rules go")
    words.add_argument(
        "--replay", type=Path, help="play such a file again, in the one world that is named, and nothing else"
    )
    return words


def again(options: argparse.Namespace) -> int:
    """Play a replay file; the exit code is 1 if a rule is broken, as it was when the file was written."""
    world = load(options.worlds[0], **header_of(options.replay)["settings"])
    state, rules = reproduce(world, options.replay)
    print(f"{options.worlds[0]}, tick {int(state.tick)}: {', '.join(rules) or 'no rule'} broken")
    return int(bool(rules))


def plays(options: argparse.Namespace) -> Iterator[tuple[str, World, dict[str, Any], int, int]]:
    """What is to be played: a title, a world, how it differs from its YAML, a seed, and for how many ticks."""
    overrides = {} if options.views else COMPACT
    for name in options.worlds:
        world = load(name, **overrides)
        for seed in range(options.seed, options.seed + options.seeds):
            yield name, world, overrides, seed, options.ticks
        kept = (x for x in draws.random_worlds(name, options.seed, fixed=overrides) if draws.same_program(world, x[1]))
        for settings, drawn in itertools.islice(kept, options.random):
            yield f"{name} with {settings}", drawn, overrides | settings, options.seed, min(options.ticks, 1000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play everything and tell; the exit code is 1 if a rule was broken."""
    words = parser()
    options = words.parse_args(arguments)
    try:
        if options.replay and len(options.worlds) > 1:
            raise ValueError("--replay plays one world: name the one that wrote the file")
        return again(options) if options.replay else play(options)
    except (ConfigError, OSError, ValueError) as error:
        words.error(str(error))


def play(options: argparse.Namespace) -> int:
    """Play everything and tell."""
    broken = 0
    for title, world, settings, seed, ticks in plays(options):
        print(f"{title}, seed {seed}: ", end="", flush=True)
        began = time.monotonic()
        how = {"meddling": not options.quiet_outside, "views": options.views, "folder": options.folder}
        _, found = fuzz(world, seed=seed, num_towns=options.towns, num_ticks=ticks, settings=settings, **how)
        broken += len(found)
        spent = time.monotonic() - began
        rate = f"{options.towns} towns x {ticks} ticks in {spent:.0f} s, {options.towns * ticks / spent:,.0f} a second"
        print(f"{len(found)} rules broken; {rate}", flush=True)
        for violation in found:
            print(f"  {violation}", flush=True)
    print(f"{broken} rules broken in all")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
