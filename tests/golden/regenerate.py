"""Golden digests: the same world, seed and ticks give the same bytes on every machine and in every release.

    python tests/golden/regenerate.py          writes tests/golden/town.json, presets.json and scenarios.json
    python tests/golden/regenerate.py --print  prints what it would write

Regenerate only after a change of behaviour that was meant; then raise `version` in the world's YAML and say so in
CHANGELOG.md.
"""

import argparse
import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from townlet_jax import engine, load
from townlet_jax.config.load import shipped
from townlet_jax.io.digest import digest
from townlet_jax.policies import random

FILE, PRESETS_FILE, SCENARIOS = (
    Path(__file__).parent / name for name in ("town.json", "presets.json", "scenarios.json")
)
STAGE = Path(__file__).parents[1] / "scenarios"  # whose `stage` plays them
PRESETS = ("m3", "m5")
SEEDS, TICKS = (0, 1), (100, 1000)
COMPACT = {"observation.variant": "compact"}  # the state does not depend on what is seen of it


def town_keys():
    """The key of town 0 of eight seeds: key[8]."""
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), 0))(jnp.arange(8, dtype=jnp.uint32))


@functools.partial(jax.jit, static_argnames="num_ticks")
def play(world, states, keys, num_ticks):
    """Towns after some more ticks of allowed actions at random."""
    return jax.vmap(lambda state, key: engine.unroll(world, random, state, key, num_ticks)[0])(states, keys)


def digests(name, keys=None):
    """The digests of a world by seed and tick: town 0 of each seed.

    Args:
        name: of a shipped world.
        keys: as `town_keys`; they may lie on several devices.
    """
    world, keys = load(name, **COMPACT), town_keys() if keys is None else keys
    states, table = jax.jit(jax.vmap(engine.reset, (None, 0)))(world, keys), {str(seed): {} for seed in SEEDS}
    for tick in range(TICKS[0], TICKS[-1] + 1, TICKS[0]):
        states = play(world, states, keys, TICKS[0])
        if tick in TICKS:
            batch = jax.device_get(states)
            for seed in SEEDS:
                table[str(seed)][str(tick)] = digest(jax.tree.map(lambda leaf, seed=seed: leaf[seed], batch))
    return table


def golden():
    """What town.json holds, with the version of the world that the digests belong to."""
    return {"world": "town", "version": load("town").static.version, "compact": digests("town")}


def presets():
    """What presets.json holds."""
    return {name: {"version": load(name).static.version, **digests(name)} for name in PRESETS}


def scenario(name):
    """The digests of the last state of a scenario, and of all its states; everybody follows the schedule, seed 0."""
    if str(STAGE) not in sys.path:
        sys.path.insert(0, str(STAGE))
    from stage import play

    played = play(name)
    version, last = played.world.static.version, played.num_ticks
    return {"version": version, "ticks": last, "last": digest(played.after(last)), "all": digest(played.states)}


def scenarios():
    """The digests of all shipped scenarios by name."""
    return {name: scenario(name) for name in sorted(shipped("scenarios"))}


def main():
    """Write or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--print", action="store_true", help="print instead of writing")
    arguments = parser.parse_args()
    for file, table in ((FILE, golden()), (PRESETS_FILE, presets()), (SCENARIOS, scenarios())):
        text = json.dumps(table, indent=2) + "\n"
        if arguments.print:
            print(text, end="")
        else:
            file.write_text(text)


if __name__ == "__main__":
    main()
