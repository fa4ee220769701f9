"""Golden digests: the same world, seed and ticks give the same bytes on every machine and in every release.

    python tests/golden/regenerate.py          writes tests/golden/town.json
    python tests/golden/regenerate.py --print  prints what it would write

Regenerate only after a change of behaviour that was meant; then raise `version` in the world's YAML and say so in
CHANGELOG.md.
"""

import argparse
import json
from pathlib import Path

import jax

from townlet_jax import engine, load
from townlet_jax.io.digest import digest
from townlet_jax.policies import random

FILE = Path(__file__).parent / "town.json"
PRESETS = {"compact": {"observation.variant": "compact"}}
SEEDS, TICKS = (0, 1), (100, 1000)


def play(world, seed, num_ticks):
    """Town 0 of a seed after some ticks of allowed actions at random."""
    key = jax.random.fold_in(jax.random.key(seed), 0)
    return engine.unroll(world, random, engine.reset(world, key), key, num_ticks)[0]


def golden():
    """The digests by preset, seed and tick, with the version of the world that they belong to."""
    run = jax.jit(play, static_argnums=2)
    table = {"world": "town", "version": load("town").static.version}
    for preset, overrides in PRESETS.items():
        world = load("town", **overrides)
        table[preset] = {str(s): {str(t): digest(run(world, s, t)) for t in TICKS} for s in SEEDS}
    return table


def main():
    """Write or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--print", action="store_true", help="print instead of writing")
    arguments = parser.parse_args()
    text = json.dumps(golden(), indent=2) + "\n"
    if arguments.print:
        print(text, end="")
    else:
        FILE.write_text(text)


if __name__ == "__main__":
    main()
