"""What a world's YAML may say: the frozen pydantic models at the edge of the program."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, create_model, field_validator, model_validator

from ..types import Section, System

WORD = r"^[a-z][a-z0-9_]{0,30}$"
TIMES = r"^[a-z][a-z0-9_]{0,40}( [1-9][0-9]{0,3})?$"  # an action, and how often in a row
Ground = Literal["wall", "floor", "door", "road", "grass", "park", "tree", "water", "shelf", "table"]


class Legend(Section):
    """What one character of the map means."""

    ground: Ground = Field("floor", description="what one stands on there")
    facility: str | None = Field(None, pattern=WORD, description="kind of the facility that stands there")
    post: str | None = Field(None, pattern=WORD, description="job whose post it is")
    place: str | None = Field(None, pattern=r"^[^\n]{1,20}$", description="name of the room or area around it")
    home: bool = Field(False, description="whether it is the middle of a home")
    entry: bool = Field(False, description="whether newcomers arrive there")


_GROUNDS = {"#": "wall", ".": "floor", "+": "door", "=": "road", '"': "grass", ",": "park", "T": "tree", "w": "water"}
_FACILITIES = {"B": "bed", "F": "fridge", "S": "stove", "W": "shower", "t": "till", "c": "counter", "s": "gym_shower"}
STANDARD: dict[str, Legend] = {
    **{mark: Legend(ground=ground) for mark, ground in _GROUNDS.items()},
    **{"k": Legend(ground="shelf"), "o": Legend(ground="table"), "m": Legend(ground="table")},
    **{"h": Legend(home=True), "@": Legend(ground="road", entry=True)},
    **{mark: Legend(facility=kind) for mark, kind in _FACILITIES.items()},
    "n": Legend(facility="bench", ground="park"),
    **{mark: Legend(post=job) for mark, job in {"g": "grocer", "v": "barista", "d": "clerk"}.items()},
    **{mark: Legend(place=name) for mark, name in {"G": "Grocer", "C": "Café", "O": "Office", "Y": "Gym"}.items()},
    "P": Legend(place="Park", ground="park"),
}  # the marks of the shipped town


class GenerateConfig(Section):
    """A town drawn from a seed; what is not given follows from the number of agents, see `config.lots.counts`."""

    seed: int = Field(0, ge=0, le=2**31 - 1, description="one seed, one map, on every machine")
    size: tuple[int, int] | None = Field(None, description="rows and columns of the map; the least that holds the town")
    residents: int = Field(1, ge=1, le=8, description="agents for whom one home is built")
    homes: int | None = Field(None, ge=1, le=64, description="homes")
    tills: int | None = Field(None, ge=1, le=64, description="tills of the grocers, each with a grocer's post")
    counters: int | None = Field(None, ge=1, le=64, description="counters of the cafés, each with a barista's post")
    desks: int | None = Field(None, ge=1, le=64, description="clerks' posts in the offices")
    gym_showers: int | None = Field(None, ge=1, le=64, description="showers of the gyms")
    benches: int | None = Field(None, ge=1, le=64, description="benches in the parks")


class MapConfig(Section):
    """The town: drawn in `rows`, or drawn from a seed by `generate`."""

    legend: dict[str, Legend] = Field({}, description="character -> what it means; if empty, what it means in the town")
    rows: str | None = Field(None, description="the map, one line a row")
    generate: GenerateConfig | None = Field(None, description="how to draw a map, instead of `rows`")
    detour: int = Field(
        0,
        ge=0,
        le=64,
        description="steps beyond the nearest of a kind that people go, each home to one of its own choice",
    )

    @property
    def marks(self) -> dict[str, Legend]:
        """What each character means."""
        return self.legend or STANDARD

    @model_validator(mode="after")
    def rectangular(self) -> "MapConfig":
        """One way to a map; every row as long as the first, every character in the legend."""
        if (self.rows is None) == (self.generate is None):
            both = "are both given" if self.rows is not None else "are both missing"
            raise ValueError(f"`rows` and `generate` {both}: allowed is one of them, and null for the other")
        if self.rows is None:
            return self
        rows = self.rows.rstrip("\n").split("\n")
        for mark in self.legend:
            if len(mark) != 1:
                raise ValueError(f"legend {mark!r}: a mark is one character")
        for number, row in enumerate(rows, 1):
            if len(row) != len(rows[0]):
                raise ValueError(f"row {number} has {len(row)} cells, the first has {len(rows[0])}")
            unknown = sorted(set(row) - set(self.marks))
            if unknown:
                raise ValueError(f"row {number} has {unknown[0]!r}, not in the legend: {''.join(sorted(self.marks))}")
        if not 3 <= len(rows) <= 256 or not 3 <= len(rows[0]) <= 256:
            raise ValueError(f"the map is {len(rows)} x {len(rows[0])} cells, allowed are 3 to 256 each way")
        return self


class ObservationConfig(Section):
    """What agents see."""

    variant: Literal["compact", "hybrid", "full"] = Field(
        "hybrid", description="compact has no map, hybrid a thin map and directions, full a map of every kind"
    )
    window: int = Field(11, ge=3, le=21, description="side of the map window in cells, odd")
    ways: bool = Field(False, description="also the first step of the way to each offer, to work and home")

    @field_validator("window")
    @classmethod
    def odd(cls, window: int) -> int:
        """The agent stands in the middle."""
        if window % 2 == 0:
            raise ValueError(f"{window} is even, a window has a middle: allowed are odd numbers from 3 to 21")
        return window


class Resident(Section):
    """The first person of a slot, where it differs from the others."""

    name: str = Field(pattern=WORD, description="what schedules and timelines call the slot")
    cell: tuple[int, int] | None = Field(None, description="row and column, counted from 0; at home if not given")
    needs: dict[str, float] = Field({}, description="need -> share, instead of a random one")
    wallet: float | None = Field(None, ge=0, le=1000, description="coins")
    items: dict[str, int] | None = Field(None, description="item -> how many")
    joins: int = Field(
        0, ge=0, le=100, description="the slot is empty at first; ticks until a newcomer comes, 0 if not"
    )


class ScheduleConfig(Section):
    """What the residents of a scenario do, for the policy `scheduled`."""

    ticks: int = Field(ge=1, le=1_000_000, description="how long the scenario runs")
    loop: dict[str, tuple[Annotated[str, Field(pattern=TIMES)], ...]] = Field(
        description="resident -> actions, one a tick, `wait 3` is three ticks of it, again and again; others wait"
    )


class StartConfig(Section):
    """How an episode begins."""

    tick: tuple[int, int] = Field((0, 0), description="least and most tick of the day at which it begins")
    needs: tuple[float, float] = Field((0.5, 0.9), description="least and most share of each need")
    wallet: float = Field(4.0, ge=0, le=1000, description="coins of each resident")
    items: dict[str, int] = Field({}, description="item -> how many each resident has")
    residents: tuple[Resident, ...] = Field((), max_length=64, description="the first slots, one by one")

    @model_validator(mode="after")
    def ordered(self) -> "StartConfig":
        """Least first, within what a need can be."""
        low, high = self.needs
        if not 0 < low <= high <= 1:
            raise ValueError(f"needs [{low}, {high}]: allowed are 0 < least <= most <= 1")
        if not 0 <= self.tick[0] <= self.tick[1]:
            raise ValueError(f"tick {list(self.tick)}: allowed are 0 <= least <= most")
        return self


class WorldConfig(Section):
    """A world. `systems` gets one field for each system that exists, see `world_model`."""

    name: str = Field(pattern=WORD, description="the world's name")
    version: int = Field(1, ge=1, description="moves when the behaviour of the world changes")
    num_agents: int = Field(ge=1, le=64, description="slots for agents")
    ticks_per_day: int = Field(1440, ge=10, le=30000, description="ticks from midnight to midnight")
    needs: tuple[str, ...] = Field(min_length=1, max_length=8, description="the needs, in index order")
    items: tuple[str, ...] = Field((), max_length=16, description="what can be carried, in index order")
    observation: ObservationConfig = ObservationConfig()
    start: StartConfig = StartConfig()
    schedule: ScheduleConfig | None = Field(None, description="what residents do in a scenario")
    map: MapConfig = Field(description="where everything stands")
    systems: Any


def world_model(order: Sequence[System]) -> type[WorldConfig]:
    """The model of a world whose systems are among `order`; a system that the YAML does not name is off."""
    fields: dict[str, Any] = {system.name: (system.Config | None, None) for system in order}
    systems = create_model("Systems", __base__=Section, **fields)
    return create_model("World", __base__=WorldConfig, systems=(systems, Field(description="the mechanics that run")))
