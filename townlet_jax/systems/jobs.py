"""Jobs: what a world says about its trades, and the same as arrays. The mechanic is `employment`."""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed
from ..types import Array, Section


class Job(Section):
    """One trade; the map says where its posts are."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="the word for it, as in the legend's `post:`")
    start: int = Field(ge=0, description="tick of the day")
    end: int = Field(ge=1, description="tick of the day after the last of the shift")
    wage: float = Field(ge=0, le=1, description="coins per tick at the post")
    late_fine: float = Field(0.0, ge=0, le=10, description="coins, once a shift")
    grace_ticks: int | None = Field(None, ge=0, le=120, description="instead of the town's")
    absence_slack: int | None = Field(None, ge=0, le=600, description="instead of the town's")
    absent_fine: float | None = Field(None, ge=0, le=5, description="coins, instead of the town's")
    late_tick_fine: float | None = Field(None, ge=0, le=1, description="coins, instead of the town's")


class Config(Section):
    """Jobs; their order is their index."""

    jobs: tuple[Job, ...] = Field(min_length=1, max_length=16, description="the trades of the town")
    grace_ticks: int = Field(5, ge=0, le=120, description="ticks after the start within which one is on time")
    absence_slack: int = Field(20, ge=0, le=600, description="ticks away after which one counts as absent")
    absent_fine: float = Field(0.2, ge=0, le=5, description="coins, each time one becomes absent")
    late_tick_fine: float = Field(0.0, ge=0, le=1, description="coins for each tick that one is late and not there")
    attendance_window: int = Field(3, ge=1, le=14, description="shifts over which attendance is averaged")
    notice: int = Field(90, ge=0, le=600, description="ticks before the start from which one may go to work")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    start: Array  # i16[J]
    end: Array  # i16[J]
    wage: Array  # i32[J] mills per tick
    late_fine: Array  # i32[J] mills
    grace: Array  # i16[J]
    slack: Array  # i16[J]
    absent_fine: Array  # i32[J] mills
    late_tick_fine: Array  # i32[J] mills
    notice: Array  # i16[]
    no_shifts: Array  # i16[window] zeros; its length is the attendance window


def build(config, names) -> Params:
    """YAML to arrays."""
    row = lambda field, dtype: jnp.array([field(job) for job in config.jobs], dtype)
    own = lambda job, name: getattr(config, name) if getattr(job, name) is None else getattr(job, name)
    return Params(
        start=row(lambda job: job.start, jnp.int16),
        end=row(lambda job: job.end, jnp.int16),
        wage=row(lambda job: fixed.to_mills(job.wage), jnp.int32),
        late_fine=row(lambda job: fixed.to_mills(job.late_fine), jnp.int32),
        grace=row(lambda job: own(job, "grace_ticks"), jnp.int16),
        slack=row(lambda job: own(job, "absence_slack"), jnp.int16),
        absent_fine=row(lambda job: fixed.to_mills(own(job, "absent_fine")), jnp.int32),
        late_tick_fine=row(lambda job: fixed.to_mills(own(job, "late_tick_fine")), jnp.int32),
        notice=jnp.int16(config.notice),
        no_shifts=jnp.zeros(config.attendance_window, jnp.int16),
    )
