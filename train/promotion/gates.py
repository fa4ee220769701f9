"""The gates between a candidate and the release: windows won in a row, the trend, the memory of golden rollouts, the variants."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from townlet_jax import policies
from townlet_jax.types import World

from .. import runs
from ..logging import RunError, read_rows
from ..players import Player, memoryless
from ..program import learned
from . import golden, releases
from .releases import Loaded
from .shadow import Verdict, compare, play, streak_of, town_keys
from .stability import Row, absent, fallen
from .thresholds import Gate

PROMOTE, HOLD, FAIL = "PROMOTE", "HOLD", "FAIL"
SCRIPTED = "scripted"  # the citizen that is to be beaten where there is no release


class Candidate(NamedTuple):
    """A policy that asks to become the release."""

    run: runs.Setup
    params: Any
    step: int
    policy: str  # sha256

    @property
    def player(self) -> Player:
        """Who plays it."""
        return learned(self.run.world, self.run.config, self.params)


class Terms(NamedTuple):
    """On what terms windows are won; those won on others do not count."""

    against: str  # the name of the release, or SCRIPTED
    gate: str  # sha256 of what it asks


class Judgement(NamedTuple):
    """What was found out about a candidate."""

    verdicts: list[Verdict]
    streak: int  # windows won in a row, those of earlier judgements included
    batch: int  # of towns in which it played
    terms: Terms  # on which they were won
    held: list[str]  # why it is held although it has won
    notes: list[str]  # what passed, and what was not asked, and why


def candidate_of(folder: Path, step: int | str | None) -> Candidate:
    """The policy of a run's checkpoint."""
    run = runs.existing(folder)
    runner, manifest = runs.load_runner(run, step)
    return Candidate(run, runner.params, manifest.step, releases.policy_hash(runner.params))


def terms_of(against: str, gate: Gate) -> Terms:
    """The terms of a judgement."""
    return Terms(against, hashlib.sha256(gate.model_dump_json().encode()).hexdigest())


def shadow_of(store: Path, policy: str, terms: Terms) -> tuple[int, int]:
    """The streak of a candidate so far, and the next batch of towns for it: both 0 for a new one.

    The streak begins anew on other terms, but never in towns that the candidate has played already.
    """
    path = store / releases.SHADOW
    known = releases.unseal(path) if path.exists() else {}
    if known.get("policy") != policy:
        return 0, 0
    same = all(known.get(name) == value for name, value in terms._asdict().items())
    return known["streak"] if same else 0, known["batch"] + 1


def checked_window(world: World, gate: Gate, players: list[Player]) -> None:
    """Refuse windows that are no whole decisions.

    Raises:
        RunError: naming the window and the decision.
    """
    ticks = round(gate.window_days * world.static.ticks_per_day)
    for player in players:
        if ticks < 1 or ticks % player.every:
            raise RunError(
                f"window_days {gate.window_days:g} is {ticks} ticks, no multiple of {player.every} a decision"
            )


def memory_gate(candidate: Candidate, out: Loaded | None, gate: Gate) -> tuple[list[str], list[str]]:
    """What the candidate has forgotten: why it is held, and what else is to say."""
    if out is None:
        return [], ["forgetting: not asked, there is no release yet"]
    if out.release.world != candidate.run.world.static.config_id:
        return [], [f"forgetting: not asked, the release was recorded in another world ({out.release.world})"]
    kl, most = golden.forgotten(candidate.run.world, candidate.player, out.golden), gate.memory.most_kl
    told = f"KL {kl:.3f} nats on the release's golden rollouts, at most {most:g}"
    return ([f"forgetting: {told}"], []) if kl > most else ([], [f"forgetting: {told}"])


def second_of(candidate: Candidate, folder: Path | None) -> Candidate | None:
    """The newest policy of the run that a candidate is compared with, None if no run is named.

    Raises:
        RunError: the worlds differ in more than the variant, or not in it.
    """
    if folder is None:
        return None
    second = candidate_of(folder, None)
    strip = lambda run: {key: part for key, part in run.world_document.tree.items() if key != "observation"}
    mine, other = candidate.run, second.run
    variant = mine.world.static.observation
    if strip(mine) != strip(other) or variant == other.world.static.observation:
        raise RunError(
            f"--variant-run {folder}: allowed is a run in the same world, but not with its variant {variant!r}"
        )
    return second


def variant_gate(
    candidate: Candidate, mine: Row, second: Candidate | None, gate: Gate, batch: int
) -> tuple[list[str], list[str]]:
    """Whether a run on another observation variant does as well in the same towns as the candidate in its first window, `mine`."""
    if second is None:
        return [], ["variants: not asked, a policy reads one variant only; name a second run with --variant-run"]
    both, limit, keys = (candidate, second), gate.variants, town_keys(gate.seed, batch, gate.num_envs)
    ticks = round(gate.window_days * candidate.run.world.static.ticks_per_day)
    a, b = mine, play(second.run.world, second.player, keys, ticks, 1).means[0]
    names = [one.run.world.static.observation for one in both]
    most = limit.return_share * max(abs(a["return_per_day"]), abs(b["return_per_day"]))
    limits = {"return_per_day": most, "attendance": limit.attendance}
    asked = [key for key in limits if key in a]
    gaps = [f"{key} {a[key]:.3f} and {b[key]:.3f}, at most {limits[key]:.3f} apart" for key in asked]
    told = f"variants {' and '.join(names)}: {'; '.join(gaps)}"
    apart = any(abs(a[key] - b[key]) > limits[key] for key in asked)
    return ([told], []) if apart else ([], [told])


def trend_gate(candidate: Candidate, gate: Gate) -> tuple[list[str], list[str]]:
    """Whether the run was on its way down when the candidate was taken from it."""
    rows = [row for row in read_rows(candidate.run.folder) if row["update"] <= candidate.step]
    alert = fallen(rows, gate.stability.rows, gate.fall)
    if alert is None:
        return [], []
    return [f"trend: return_per_day fell to {alert.value:.2f}, at least {alert.limit:.2f} was due"], []


def judge(
    store: Path, candidate: Candidate, out: Loaded | None, gate: Gate, scripted: bool, second: Path | None, windows: int
) -> Judgement:
    """Let the candidate play against the release, then ask the other gates.

    Args:
        store: the folder of releases.
        candidate: who is judged.
        out: the release, if there is one.
        gate: what is asked.
        scripted: whether the scripted citizen is to be beaten even if there is a release.
        second: the run on another observation variant, if one is to be compared.
        windows: to play.
    """
    world, notes = candidate.run.world, []
    against, name = memoryless(policies.scripted), SCRIPTED
    if scripted or out is None:
        notes.append("against the scripted citizen" + ("" if out else ", there is no release yet"))
    else:
        against, name = releases.player_of(out, world), out.release.name
        notes.append(f"against the release {out.release.name} of run {out.release.run!r}")
    other = second_of(candidate, second)
    checked_window(world, gate, [candidate.player, against, *([other.player] if other else [])])
    terms = terms_of(name, gate)
    streak, batch = shadow_of(store, candidate.policy, terms)
    keys = town_keys(gate.seed, batch, gate.num_envs)
    verdicts = compare(world, candidate.player, against, keys, gate, windows)
    gates = [
        trend_gate(candidate, gate),
        memory_gate(candidate, out, gate),
        variant_gate(candidate, verdicts[0].mine, other, gate, batch),
    ]
    missing = absent([[verdict.mine] * gate.num_envs for verdict in verdicts], gate.stability)
    notes += [f"no canary {name}: {reason}" for name, reason in missing.items()]
    notes += [note for _, passed in gates for note in passed]
    held = [why for found, _ in gates for why in found]
    return Judgement(verdicts, streak_of(verdicts, streak), batch, terms, held, notes)


def decided(judgement: Judgement, required: int) -> tuple[str, str, list[str]]:
    """The decision, the state of the candidate after it, and the reasons."""
    lost = [f"window {n}: {why}" for n, v in enumerate(judgement.verdicts, start=1) for why in v.short]
    if judgement.streak >= required and not judgement.held:
        return PROMOTE, "promoted", [f"windows won in a row: {judgement.streak}, asked: {required}"]
    if not any(verdict.won for verdict in judgement.verdicts):
        return FAIL, "monitoring", lost + judgement.held
    if judgement.streak < required:
        few = f"windows won in a row: {judgement.streak}, asked: {required}"
        return HOLD, "monitoring", [few, *lost, *judgement.held]
    return HOLD, "ready", judgement.held
