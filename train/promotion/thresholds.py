"""What a gate YAML may say: the limits of the canaries, and what a candidate must do to become the release."""

from pathlib import Path

from pydantic import Field, model_validator

from townlet_jax.config.load import find, resolve, validate
from townlet_jax.types import Section


class Stability(Section):
    """Above which values a canary alerts. A spike is measured against a baseline: the first window of a run, or the release."""

    rows: int = Field(50, ge=2, le=10_000, description="updates in a window of a training run")
    starvation: float = Field(0.02, ge=0, le=100, description="collapses per agent-day")
    lateness_factor: float = Field(2.0, ge=1, le=100, description="times the baseline's late shifts per agent-day")
    lateness_least: float = Field(0.1, ge=0, le=100, description="late shifts per agent-day that are no spike")
    thrash_factor: float = Field(1.25, ge=1, le=100, description="times the baseline's changes of mind per agent-day")
    thrash_least: float = Field(10.0, ge=0, le=1440, description="changes of mind per agent-day that are no spike")
    thrash_windows: int = Field(2, ge=1, le=100, description="windows in a row for which a spike of them must last")
    return_variance: float = Field(0.25, gt=0, le=100, description="variance of return_per_day over its squared mean")
    return_least: float = Field(1.0, gt=0, le=10_000, description="reward per agent-day, the least mean to divide by")
    least_rows: int = Field(20, ge=2, le=10_000, description="rows below which no variance is taken")
    ghost_steps: float = Field(60.0, ge=0, le=1440, description="ticks on a shared cell per agent-day")
    rotations: float = Field(1.0, ge=0, le=1440, description="queue rotations per agent-day")
    rivalry_factor: float = Field(2.0, ge=1, le=100, description="times the baseline's quarrels per agent-day")
    rivalry_least: float = Field(1.0, ge=0, le=1440, description="quarrels per agent-day that are no spike")
    refunds: float = Field(1.0, ge=0, le=1440, description="affordances broken off and paid back per agent-day")
    identity_reuse: float = Field(0.05, ge=0, le=1, description="share of ticks with the warning of the identities")
    exit_backlog: float = Field(
        0.05, ge=0, le=1, description="share of ticks with more cases than the reviews may hold"
    )
    hiring_backlog: float = Field(1.0, ge=0, le=1000, description="posts that are vacant while people without one wait")


class Margins(Section):
    """By how much a window may fall short and still be won."""

    return_share: float = Field(0.05, ge=0, le=10, description="of the release's return_per_day")
    attendance: float = Field(0.05, ge=0, le=1, description="share of shifts")
    collapses: float = Field(0.01, ge=0, le=10, description="collapses per agent-day")


class Memory(Section):
    """The replay of golden rollouts, which shows what a candidate has forgotten."""

    towns: int = Field(8, ge=1, le=1000, description="towns recorded when a release is made")
    days: float = Field(1.0, gt=0, le=10, description="days of each")
    most_kl: float = Field(0.5, gt=0, le=100, description="nats, mean KL of the candidate's chances from the release's")


class Variants(Section):
    """How far the KPIs of two runs on different observation variants may lie apart."""

    return_share: float = Field(0.10, ge=0, le=1, description="of the greater return_per_day")
    attendance: float = Field(0.10, ge=0, le=1, description="share of shifts")


class Gate(Section):
    """What a candidate must do to become the release."""

    seed: int = Field(0, ge=0, lt=2**32, description="of the towns in which candidates and releases play")
    num_envs: int = Field(64, ge=1, le=100_000, description="towns")
    window_days: float = Field(1.0, gt=0, le=100, description="days of a window")
    required_passes: int = Field(2, ge=1, le=10, description="windows in a row that a candidate must win")
    allowed_alerts: tuple[str, ...] = Field((), description="canaries that lose no window")
    fall: float = Field(
        0.3, gt=0, le=1, description="share by which the run's last window of rows may lie below the one before"
    )
    keep_releases: int = Field(5, ge=2, le=1000, description="releases that are kept for a rollback")
    margins: Margins = Field(Margins(), description="by how much a window may fall short")
    memory: Memory = Field(Memory(), description="the replay against forgetting")
    variants: Variants = Field(Variants(), description="the comparison of observation variants")
    stability: Stability = Field(Stability(), description="the limits of the canaries")

    @model_validator(mode="after")
    def known(self) -> "Gate":
        """Alerts that are allowed exist."""
        from .stability import CANARIES  # which reads these limits

        names = [canary.name for canary in CANARIES]
        for name in self.allowed_alerts:
            if name not in names:
                raise ValueError(f"allowed_alerts: {name!r} is no canary (allowed: {', '.join(names)})")
        return self


def load_gate(name: str | Path, overrides: tuple[str, ...] = ()) -> Gate:
    """A gate, checked.

    Args:
        name: a shipped gate such as "gate", or a path to a YAML file.
        overrides: assignments such as "stability.starvation=0.05".

    Raises:
        ConfigError: with a line for each fault.
    """
    return validate(Gate, resolve(find(str(name), "promotion"), overrides))
