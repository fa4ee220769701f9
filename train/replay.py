"""Watch what was learned, and prove that it replays.

    python -m train.replay --run runs/NAME [--seed 1] [--days 2] [--step 100] [--out town.mp4] [--ansi]

Without --seed, --days or --step the recorded episode of the run is run again from its key and its actions, and the digest of every
day is compared. With any of them a new episode is played by the checkpoint's policy, recorded, and then run again in the same way.
"""

import argparse
import sys
import time
from pathlib import Path

from . import episode as episodes
from . import runs
from .cli import command
from .logging import RunError

FRAMES_PER_SECOND = 12
HOME = "\x1b[2J\x1b[H"  # clears a terminal


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.replay`."""
    title = "Replay and watch an episode of a run."
    options = argparse.ArgumentParser("python -m train.replay", description=title, allow_abbrev=False)
    options.add_argument("--run", type=Path, required=True, help="the run folder")
    options.add_argument("--step", type=int, help="play with the policy of this checkpoint; the default is the newest")
    options.add_argument("--seed", type=int, help="play a new episode in the town of this seed")
    options.add_argument("--days", type=float, help="length of a new episode; the default is 1")
    options.add_argument("--stride", type=int, default=episodes.STRIDE, help="ticks between two frames")
    options.add_argument("--out", type=Path, help="a .gif or .mp4; the default is replay.gif in the run folder")
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
    if not 1 <= options.stride <= 1440:
        raise RunError(f"--stride {options.stride} is not allowed (1 to 1440 ticks)")
    if options.out is not None and options.out.suffix not in (".gif", ".mp4"):
        raise RunError(f"--out {options.out} is not allowed (a name that ends in .gif or .mp4)")


def text(run: runs.Setup, states, stride: int, path: Path) -> None:
    """Write the frames in colour, one screen each, play them on a terminal; where there is none, print the last one.

    Raises:
        RunError: the file cannot be written.
    """
    from townlet_jax.render import ansi

    last = states.tick.shape[0] - 1
    ticks = [*range(0, last, stride), last]
    frames = [HOME + ansi(run.world, episodes.frame(states, tick)) + "\n" for tick in ticks]
    try:
        path.write_text("".join(frames), encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
    for frame in frames if sys.stdout.isatty() else ():
        print(frame, end="", flush=True)
        time.sleep(1.0 / FRAMES_PER_SECOND)
    if not sys.stdout.isatty():
        print(ansi(run.world, episodes.frame(states, last), color=False))
    print(f"text    {path}")


def main() -> None:
    """Run `python -m train.replay`."""
    options = parser().parse_args()
    checked(options)
    run = runs.existing(options.run)
    out = options.out or run.folder / "replay.gif"
    if not out.parent.is_dir():
        raise RunError(f"cannot write {out}: there is no folder {out.parent}")
    runner, manifest = runs.load_runner(run, options.step)
    recorded = run.folder / episodes.REPLAY
    if options.seed is None and options.days is None and options.step is None and recorded.is_file():
        episode = episodes.load_episode(recorded)
    else:
        days = 1.0 if options.days is None else options.days
        episode, _ = episodes.record(run, runner.params, manifest.step, options.seed or 0, days)
    states = episodes.rerun(run.world, episode)
    wrong = episodes.verify(run, episode, states)
    if wrong:
        raise RunError("the episode does not replay: " + "; ".join(wrong))
    print(f"{len(episode.digests)} digests match, {len(episode.actions)} ticks of seed {episode.seed}")
    print(f"last digest {episode.digests[-1]}")
    if options.ansi:
        text(run, states, options.stride, out.with_suffix(".ansi"))
    print(f"picture {episodes.draw(run, states, out, options.stride)}")


if __name__ == "__main__":
    command(main)
