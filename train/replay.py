"""Watch what was learned, or a scenario, and prove that it replays.

    python -m train.replay --run runs/NAME [--seed 1] [--days 2] [--step 100|best] [--follow 3] [--out town.html] [--ansi]
    python -m train.replay --params policy.npz [--seed 1] [--days 2] [--out policy.gif]
    python -m train.replay --scenario NAME [--seed 1] [--stride 1] [--follow anna] [--out NAME.gif] [--ansi]
    python -m train.replay --world NAME [--seed 1] [--days 2] [--out NAME.mp4]

Without --seed, --days or --step the recorded episode of the run is run again from its key and its actions, and the digest of every
day is compared. With any of them a new episode is played by the checkpoint's policy, recorded, and then run again in the same way.
A scenario needs no run: its residents follow their schedule, and that is run again, too. In a world without a schedule everybody
is the scripted citizen. With --follow the pictures keep to one person and say why they do what they do.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from townlet_jax import load
from townlet_jax.config.errors import listed
from townlet_jax.config.load import find
from townlet_jax.types import State, World

from . import episode as episodes
from . import runs, thoughts
from .cli import command
from .export import opened
from .logging import RunError
from .players import Player
from .program import learned
from .storage.leaves import policy_hash

FRAMES_PER_SECOND = 12
HOME = "\x1b[2J\x1b[H"  # clears a terminal


class Shown(NamedTuple):
    """What is replayed."""

    world: World
    episode: episodes.Episode
    out: Path  # of the picture
    player: Player | None  # the learned player that can be asked why, None if there is none


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.replay`."""
    title = "Replay and watch an episode of a run, or a scenario."
    options = argparse.ArgumentParser("python -m train.replay", description=title, allow_abbrev=False)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path, help="the run folder")
    what.add_argument("--scenario", help="a shipped scenario, such as queue_conflict, or a YAML file with a schedule")
    what.add_argument("--world", help="a shipped world, such as m5, or a YAML file: everybody is the scripted citizen")
    what.add_argument("--params", type=Path, help="a policy that train.export wrote")
    options.add_argument(
        "--step", type=runs.step_of, help="play with the policy of this checkpoint, or best; the default is the newest"
    )
    options.add_argument("--seed", type=int, help="play a new episode in the town of this seed")
    options.add_argument("--days", type=float, help="length of a new episode; the default is 1")
    options.add_argument(
        "--stride", type=int, help=f"ticks between two frames; the default is {episodes.STRIDE}, of a schedule 1"
    )
    options.add_argument(
        "--out",
        type=Path,
        help="a .gif, .mp4 or .html; the default is replay.gif in the run folder, or the name of scenario, world or policy here",
    )
    options.add_argument("--follow", metavar="AGENT", help="keep to one person: a number as in pictures, or a name")
    options.add_argument("--no-ties", action="store_true", help="draw no lines between friends and between rivals")
    options.add_argument(
        "--ansi",
        action="store_true",
        help="also write the frames as text (.ansi) beside the picture, and play them on a terminal",
    )
    return options


def checked(options: argparse.Namespace) -> None:
    """Refuse numbers out of range.

    Raises:
        RunError: naming the option, its value and what is allowed.
    """
    if options.days is not None and not 0 < options.days <= 100:
        raise RunError(f"--days {options.days} is not allowed (above 0, at most 100)")
    if options.seed is not None and not 0 <= options.seed < 2**32:
        raise RunError(f"--seed {options.seed} is not allowed (0 to 2**32 - 1)")
    if options.stride is not None and not 1 <= options.stride <= 1440:
        raise RunError(f"--stride {options.stride} is not allowed (1 to 1440 ticks)")
    if not options.run and options.step is not None:
        raise RunError(f"--step {options.step} is about runs: a scenario, a world and a policy have no checkpoints")
    if options.out is not None and options.out.suffix not in (".gif", ".html", ".mp4"):
        raise RunError(f"--out {options.out} is not allowed (a name that ends in .gif, .html or .mp4)")


def text(world: World, states: State, stride: int, path: Path) -> None:
    """Write the frames in colour, one screen each, play them on a terminal; where there is none, print the last one.

    Raises:
        RunError: the file cannot be written.
    """
    from townlet_jax.render import ansi

    last = states.tick.shape[0] - 1
    ticks = [*range(0, last, stride), last]
    frames = [HOME + ansi(world, episodes.frame(states, tick)) + "\n" for tick in ticks]
    try:
        path.write_text("".join(frames), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
    for frame in frames if sys.stdout.isatty() else ():
        print(frame, end="", flush=True)
        time.sleep(1.0 / FRAMES_PER_SECOND)
    if not sys.stdout.isatty():
        print(ansi(world, episodes.frame(states, last), color=False))
    print(f"text    {path}")


def named(world: World, text: str) -> int:
    """The agent that `--follow` means: a number as pictures show it, from 1, or a resident's name.

    Raises:
        RunError: there is nobody of that number or name.
    """
    names, most = world.static.names.residents, world.static.num_agents
    plain = [name.replace("_", " ").lower() for name in names]
    if text.replace("_", " ").lower() in plain:
        return plain.index(text.replace("_", " ").lower())
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text) - 1
    known = f", or a name: {listed(names)}" if names else ""
    raise RunError(f"--follow {text} is not allowed (1 to {most}, as in pictures{known})")


def foci(shown: Shown, states: State, follow: str) -> list[Any]:
    """Whom the pictures follow, one a tick, with what is known of why they do what they do."""
    from townlet_jax.render import Focus

    world, episode = shown.world, shown.episode
    agent, title, why = named(world, follow), "", [()] * states.tick.shape[0]
    if shown.player is not None:
        title, why = thoughts.CHANCES, thoughts.chances(world, shown.player, episode.seed, states, agent)
    elif episode.player == "scripted":
        title, why = thoughts.REASON, thoughts.motives(world, episode.seed, states, agent)
    return [Focus(agent, title, known) for known in why]


def of_run(options: argparse.Namespace) -> Shown:
    """The recorded episode of a run or a new one."""
    run = runs.existing(options.run)
    out = target(options.out or run.folder / "replay.gif")
    runner, manifest = runs.load_runner(run, options.step)
    recorded, player = run.folder / episodes.REPLAY, learned(run.world, run.config, runner.params)
    if options.seed is None and options.days is None and options.step is None and recorded.is_file():
        episode = episodes.load_episode(recorded)
        same = episode.policy == policy_hash(runner.params)  # else another checkpoint played, that cannot be asked
        return Shown(run.world, episode, out, player if same else None)
    days = 1.0 if options.days is None else options.days
    episode, _ = episodes.record(run, runner.params, manifest.step, options.seed or 0, days)
    return Shown(run.world, episode, out, player)


def of_policy(options: argparse.Namespace) -> Shown:
    """The same of an exported policy: always a new episode."""
    run, params, step = opened(options.params)
    out = target(options.out or Path(f"{options.params.stem}.gif"))
    days = 1.0 if options.days is None else options.days
    episode, _ = episodes.record(run, params, step, options.seed or 0, days)
    return Shown(run.world, episode, out, learned(run.world, run.config, params))


def of_scenario(options: argparse.Namespace) -> Shown:
    """The episode of a scenario, or of the scripted citizen in a world without a schedule."""
    named = options.scenario or options.world
    world = load(find(named, *(("scenarios", "worlds") if options.scenario else ("worlds", "scenarios"))))
    out = target(options.out or Path(f"{world.static.name}.gif"))
    return Shown(world, episodes.act(world, options.seed or 0, options.days)[0], out, None)


def target(out: Path) -> Path:
    """The path of the picture, whose folder exists.

    Raises:
        RunError: it does not.
    """
    if not out.parent.is_dir():
        raise RunError(f"cannot write {out}: there is no folder {out.parent}")
    return out


def main() -> None:
    """Run `python -m train.replay`."""
    options = parser().parse_args()
    checked(options)
    source = of_run if options.run else of_policy if options.params else of_scenario
    shown = source(options)
    world, episode = shown.world, shown.episode
    stride = options.stride or (1 if "schedule" in world.params else episodes.STRIDE)
    if options.follow is not None:
        named(world, options.follow)
    states = episodes.rerun(world, episode)
    wrong = episodes.verify(world, episode, states)
    if wrong:
        raise RunError("the episode does not replay: " + "; ".join(wrong))
    print(f"{len(episode.digests)} digests match, {len(episode.actions)} ticks of seed {episode.seed}")
    print(f"last digest {episode.digests[-1]}")
    if episode.player:
        weights = f", step {episode.step}, policy {episode.policy[:12]}" if episode.policy else ""
        print(f"played by {episode.player}{weights}")
    if options.ansi:
        text(world, states, stride, shown.out.with_suffix(".ansi"))
    focus = None if options.follow is None else foci(shown, states, options.follow)
    print(f"picture {episodes.draw(world, states, shown.out, stride, not options.no_ties, focus)}")


if __name__ == "__main__":
    command(main)
