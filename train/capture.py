"""Record how thousands of towns are played, as a dataset that learners read.

    python -m train.capture --run runs/NAME --num-envs 1024 --days 5 --out data/learned
    python -m train.capture --policy scripted --world town --every 15 --num-envs 1024 --out data/scripted
    python -m train.capture --out data/scripted --append --policy scripted --every 15 --num-envs 1024
    python -m train.capture --run runs/NAME --greedy --primitives --num-envs 64 --out data/on_foot
    python -m train.capture --out data/scripted --export parquet

Towns are played a shard at a time, in one program; no more than a shard is in memory.
`train.datasets.dataset` reads what was written.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax import policies
from townlet_jax.config.load import dump
from townlet_jax.types import World
from townlet_jax.worlds import compile_document, read

from . import runs
from .cli import command
from .datasets import folders
from .datasets.dataset import open_dataset
from .datasets.exports import EXPORTS, export
from .datasets.npz import Arrays, DatasetError
from .datasets.record import capture_keys, episode_decisions, keep_towns, metrics, record
from .datasets.shards import MAX_SHARD, PREFIX, Schema, schema_of, shard_bytes
from .logging import RunError
from .normalise import deviation
from .players import Player, memoryless
from .primitives import on_foot
from .program import learned, may_take
from .storage.leaves import policy_hash

SHARD = 256 << 20  # bytes of a shard in memory, if --towns-per-shard does not say otherwise
POLICIES = {"scripted": policies.scripted, "random": policies.random}


class Plan(NamedTuple):
    """What is to be captured."""

    world: World
    world_text: str  # its YAML, resolved
    player: Player
    allowed: jax.Array  # bool[num_actions] what the player may take at all
    origin: folders.Origin
    schema: Schema


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.capture`."""
    title = "Record how a policy plays many towns, as a dataset."
    options = argparse.ArgumentParser("python -m train.capture", description=title, allow_abbrev=False)
    who = options.add_mutually_exclusive_group()
    who.add_argument("--run", type=Path, help="play with the policy of this run folder, in its world")
    who.add_argument("--policy", choices=sorted(POLICIES), help="play with a policy that is not learned")
    options.add_argument(
        "--step", type=runs.step_of, help="checkpoint of the run, or best; the default is the newest sound one"
    )
    options.add_argument("--greedy", action="store_true", help="of a run: take the likeliest action, do not draw one")
    options.add_argument("--world", help="of a policy: a shipped world, or a path to its YAML; the default is town")
    options.add_argument("--world-set", action="append", default=[], metavar="KEY=VALUE", help="change the world")
    options.add_argument("--every", type=int, help="of a policy: ticks between two decisions; the default is 1")
    options.add_argument(
        "--primitives",
        action="store_true",
        help="in every tick, take the primitive action with which its option begins; agents see the ways (observation.ways)",
    )
    options.add_argument("--num-envs", type=int, default=256, help="towns to play")
    options.add_argument("--days", type=float, default=1.0, help="days a town; episodes follow each other")
    options.add_argument("--seed", type=int, default=0, help="of the towns, in a stream that nothing else draws from")
    options.add_argument("--gamma", type=float, help="discount per tick within a decision; default: the run's, else 1")
    options.add_argument("--out", type=Path, required=True, help="the folder of the dataset")
    options.add_argument("--prefix", default="rollout_sample", help="begins the names of the files")
    options.add_argument("--towns-per-shard", type=int, help=f"the default fills {SHARD >> 20} MiB of memory")
    options.add_argument(
        "--compress", action=argparse.BooleanOptionalAction, default=True, help="compress the shards, or do not"
    )
    options.add_argument("--append", action="store_true", help="add towns to the dataset that is there")
    options.add_argument("--agents", help="keep only these slots, such as 0,3")
    options.add_argument(
        "--min-reward", type=float, help="keep only towns whose rewards add up to this, slots that are kept"
    )
    options.add_argument("--export", choices=sorted(EXPORTS), help="then write the whole dataset in another form, too")
    return options


def checked(options: argparse.Namespace) -> None:
    """Refuse options that are out of range or do not go together.

    Raises:
        RunError: naming the option, its value and what is allowed.
    """
    most = {"num-envs": 10**7, "towns-per-shard": 10**6, "every": 10_000}
    for name, top in most.items():
        value = getattr(options, name.replace("-", "_"))
        if value is not None and not 1 <= value <= top:
            raise RunError(f"--{name} {value} is not allowed (1 to {top})")
    if not 0 < options.days <= 1000:
        raise RunError(f"--days {options.days} is not allowed (above 0, at most 1000)")
    if not 0 <= options.seed < 2**32:
        raise RunError(f"--seed {options.seed} is not allowed (0 to 2**32 - 1)")
    if options.gamma is not None and not 0 < options.gamma <= 1:
        raise RunError(f"--gamma {options.gamma} is not allowed (above 0, at most 1)")
    if not PREFIX.fullmatch(options.prefix):
        raise RunError(f"--prefix {options.prefix!r} is not allowed (letters, digits, and _ . -, at most 60)")
    if options.run is None and (options.step is not None or options.greedy):
        raise RunError("--step and --greedy are about checkpoints: they need --run")
    if options.run is not None and (options.world or options.world_set or options.every):
        raise RunError("--world, --world-set and --every are those of the run: they need --policy")
    if options.run is None and options.policy is None and (options.export is None or options.append):
        raise RunError("who plays? give --run or --policy (only --export of a dataset that is there needs neither)")


def plan(options: argparse.Namespace) -> Plan:
    """Who plays where, and what is kept of it.

    Raises:
        RunError, ConfigError, CheckpointError: the options name no run, world, checkpoint or slots, or do not fit the world.
    """
    ways = ("observation.ways=true",) if options.primitives else ()
    if options.run is not None:
        run = runs.existing(options.run)
        runner, manifest = runs.load_runner(run, options.step)
        document, world, config = run.world_document, run.world, run.config
        if options.primitives:
            if config.actions != "options" or config.memory != "none":
                its = f"the policy of {options.run} has actions {config.actions!r} and memory {config.memory!r}"
                raise RunError(f"--primitives is for policies over options without a memory: {its}")
            document = read(options.run / runs.WORLD, ways, "--primitives")
            world = compile_document(document)
        player, gamma = learned(run.world, config, runner.params, options.greedy), config.gamma
        actions, knows_ways = config.actions, run.world.static.ways
        unit = float(deviation(runner.scaling.moments)) if config.normalise_rewards else 1.0
        scale = config.reward_scale / unit
        name = f"{config.name}/{manifest.step}{' greedy' if options.greedy else ''}"
        hashed = policy_hash(runner.params)
    else:
        document = read(options.world or "town", (*options.world_set, *ways), "--world-set")
        world = compile_document(document)
        player, gamma = memoryless(POLICIES[options.policy], options.every or 1), 1.0
        actions, scale, knows_ways = "all", 1.0, True
        name, hashed = options.policy, folders.hash_of_policy(POLICIES[options.policy])
    if options.primitives:
        player, actions, name = on_foot(player, knows_ways), "primitives", f"{name} on foot"
    missing = [system for system in ("intents", "rewards") if not world.static.has(system)]
    if missing:
        raise RunError(f"nothing can be learned from a world without the system {missing[0]!r}")
    every, day = player.every, world.static.ticks_per_day
    if world.static.has("lifecycle") and episode_decisions(world, every) is None:
        ticks = int(world.params["lifecycle"].episode_ticks)
        raise RunError(f"--every {every} does not divide the world's episode_ticks {ticks}")
    its = schema_of(
        world,
        every,
        options.gamma or gamma,
        max(int(options.days * day) // every, 1),
        slots(options.agents, world.static.num_agents),
    )
    origin = folders.Origin(options.seed, name, hashed, actions, scale)
    return Plan(world, dump(document.tree), player, may_take(world, actions), origin, its)


def slots(text: str | None, num_agents: int) -> tuple[int, ...]:
    """The slots that `--agents` names, all if it is not given.

    Raises:
        RunError: a word of it is no slot.
    """
    if text is None:
        return tuple(range(num_agents))
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if not (word.isascii() and word.isdecimal() and int(word) < num_agents)]
    if wrong:
        raise RunError(f"--agents {text}: {wrong[0]!r} is no slot (allowed: 0 to {num_agents - 1}, commas between)")
    return tuple(sorted({int(word) for word in words}))


def towns_a_shard(asked: int | None, num_envs: int, its: Schema) -> int:
    """Towns of a shard: as asked, or as many as `SHARD` bytes hold, in shards of equal size.

    Raises:
        RunError: such a shard is over the limit.
    """
    one = shard_bytes(its, 1)
    most = min(num_envs, asked or max(SHARD // one, 1))
    size = asked or -(-num_envs // -(-num_envs // most))
    if shard_bytes(its, min(size, num_envs)) > MAX_SHARD:
        raise RunError(
            f"a shard of {size} towns takes {shard_bytes(its, size)} bytes ({one} a town), the limit is {MAX_SHARD}:"
            " --towns-per-shard, --days or --agents can be less, --every more"
        )
    return min(size, num_envs)


def play(its: Plan, first: int, num_towns: int, per_shard: int) -> Arrays:
    """Play the towns of one shard: their arrays on the host.

    As many as `per_shard` are played, so that one program does for all shards; what the last one has too many is dropped.
    """
    every, timesteps = its.player.every, its.schema.timesteps
    towns = np.arange(first, first + per_shard, dtype=np.int32)
    arrays = record(
        its.world,
        its.player,
        its.allowed,
        capture_keys(its.origin.seed, towns),
        jnp.float32(its.schema.gamma),
        num_decisions=timesteps,
        episode=episode_decisions(its.world, every) or timesteps + 1,
        agents=its.schema.agents,
    )
    found = {**jax.device_get(arrays), "towns": towns}
    return found if num_towns == per_shard else keep_towns(found, np.arange(num_towns))


def capture(its: Plan, options: argparse.Namespace) -> None:
    """Play, filter and write, until all towns are played.

    Raises:
        DatasetError: the folder holds another dataset, or cannot be written.
    """
    per_shard = towns_a_shard(options.towns_per_shard, options.num_envs, its.schema)
    book = folders.start(options.out, options.prefix, its.schema, its.world_text, its.origin, options.append)
    first = book.manifest.next_town.get(str(options.seed), 0)
    if first + options.num_envs + per_shard >= 2**31:
        raise DatasetError(f"seed {options.seed} has no {options.num_envs} towns left: take another --seed")
    shards, begun = -(-options.num_envs // per_shard), time.perf_counter()
    size = shard_bytes(its.schema, per_shard) / (1 << 20)
    told = f"{options.num_envs} towns from number {first}, {its.schema.timesteps} decisions each"
    print(
        f"{its.origin.policy}: {told}; {shards} shards of {per_shard} towns, {size:.0f} MiB in memory", file=sys.stderr
    )
    for number, begins in enumerate(range(first, first + options.num_envs, per_shard), 1):
        played = min(per_shard, first + options.num_envs - begins)
        arrays = play(its, begins, played, per_shard)
        if options.min_reward is not None:
            arrays = keep_towns(arrays, arrays["rewards"].sum((0, 2), dtype=np.float64) >= options.min_reward)
        kept = len(arrays["towns"])
        found = metrics(its.schema, arrays) if kept else {}
        book = folders.add(book, its.origin, arrays, found, begins + played, options.compress)
        del arrays  # before the next shard is played
        written = f"{book.manifest.samples[-1].bytes / 1e6:.1f} MB" if kept else "nothing written"
        mean = f", mean reward {found['reward_mean']:.4f}" if kept else ""
        seconds = time.perf_counter() - begun
        print(
            f"shard {number} of {shards}: {kept} of {played} towns, {written}{mean}, {seconds:.0f} s", file=sys.stderr
        )
    print(
        f"{options.out}: {sum(sample.towns for sample in book.manifest.samples)} towns in {len(book.manifest.samples)} shards"
    )


def main() -> None:
    """Run `python -m train.capture`."""
    options = parser().parse_args()
    checked(options)
    captures = options.run is not None or options.policy is not None
    if not captures and not options.out.is_dir():
        raise DatasetError(f"{options.out} holds no dataset")
    its = plan(options) if captures else None
    with runs.alone(options.out, "capturing into"):
        if its is not None:
            capture(its, options)
        if options.export is not None:
            print(f"{options.export}: {export(open_dataset(options.out), options.export)}")


if __name__ == "__main__":
    command(main)
