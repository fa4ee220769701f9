"""Plays shipped worlds in a process of its own: `python machine.py {here,sharded} WORLD...` prints their golden digests."""

import importlib.util
import json
import sys
from pathlib import Path

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

GOLDEN = Path(__file__).parents[1] / "golden"


def module(path):
    """A Python file that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def main(how, *names):
    """Print one line of JSON: the digests by world, and on how many devices the towns lay."""
    regenerate = module(GOLDEN / "regenerate.py")
    keys = regenerate.town_keys()
    if how == "sharded":
        mesh = jax.make_mesh((len(jax.devices()),), ("towns",), axis_types=(AxisType.Auto,))
        keys = jax.device_put(keys, NamedSharding(mesh, PartitionSpec("towns")))
    told = {"devices": len(keys.sharding.device_set), "x64": jax.config.jax_enable_x64}
    print(json.dumps({**told, "digests": {name: regenerate.digests(name, keys) for name in names}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
