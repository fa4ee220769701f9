"""Kinds of people: the four shipped profiles, and what a world's YAML may say about who lives there. No state."""

from typing import Any, Literal

from pydantic import Field

from ..types import Section

TRAITS = ("extroversion", "forgiveness", "ambition", "patience")  # the last only in worlds that want it
GROUPS = {
    "survival": ("survival",),
    "employment": ("wage", "punctuality"),
    "social": ("social_bonus", "social_penalty", "social_avoidance"),
}  # of reward terms
HABITS = ("chat_preference", "work_affinity", "conflict_tolerance")
LEAST, MOST = 0.1, 5.0  # of factors
MOST_WEIGHT = 1e6
MAX_BUFFER = 240  # ticks by which one wants to be early at most
MAX_AGENTS = 64
Group = Literal["survival", "employment", "social"]
Habit = Literal["chat_preference", "work_affinity", "conflict_tolerance"]


class Profile(Section):
    """A kind of person."""

    extroversion: float = Field(0.0, ge=-1, le=1, description="from withdrawn to outgoing")
    forgiveness: float = Field(0.0, ge=-1, le=1, description="from vengeful to forgiving")
    ambition: float = Field(0.0, ge=-1, le=1, description="from easy-going to driven")
    patience: float = Field(0.0, ge=-1, le=1, description="from hasty to patient; counts with `patience: true` only")
    need: dict[str, float] = Field({}, description="need -> factor of its decay, 0.1 to 5")
    reward: dict[Group, float] = Field({}, description="group of reward terms -> factor, 0.25 to 4")
    behaviour: dict[Habit, float] = Field({}, description="habit -> factor, 0.1 to 5")


SHIPPED = {
    "balanced": Profile(),
    "industrious": Profile(
        extroversion=-0.2,
        forgiveness=-0.1,
        ambition=0.5,
        need={"energy": 0.9},
        reward={"employment": 1.25},
        behaviour={"work_affinity": 1.4},
    ),
    "socialite": Profile(
        extroversion=0.6,
        forgiveness=0.1,
        ambition=-0.1,
        need={"hygiene": 1.1},
        reward={"social": 1.2},
        behaviour={"chat_preference": 1.3},
    ),
    "stoic": Profile(
        extroversion=-0.3,
        forgiveness=0.5,
        ambition=-0.2,
        need={"hunger": 0.95},
        reward={"survival": 1.1},
        behaviour={"conflict_tolerance": 0.6},
    ),
}  # specification §10


class Config(Section):
    """Who lives in the town."""

    mode: Literal["profiles", "sampled"] = Field("profiles", description="draw profiles, or traits evenly")
    profiles: dict[str, Profile] = Field({}, description="own profiles by name, besides or instead of the shipped ones")
    distribution: dict[str, float] = Field({"balanced": 1.0}, description="profile -> weight, in mode `profiles`")
    spread: float = Field(1.0, ge=0, le=1, description="the most that a sampled trait is away from 0")
    overrides: dict[int, str] = Field({}, description='slot, quoted ("2") -> profile of whoever lives in it')
    patience: bool = Field(False, description="whether people differ in patience: who arrives together queues by it")
    multipliers: bool = Field(False, description="whether needs fall, and are felt, by the profile's `need`")
    rewards: bool = Field(False, description="whether rewards are liked by the profile's `reward`")
    biases: bool = Field(False, description="whether habits differ by the profile's `behaviour`")
    modifiers: bool = Field(False, description="whether traits change what events mean to relationships")
    observed: bool = Field(True, description="whether people see their own traits")


def profiles(config: Config) -> dict[str, Profile]:
    """The shipped profiles and the own ones, in order of their names."""
    return dict(sorted({**SHIPPED, **config.profiles}.items()))


def check(config: Any) -> list[tuple[str, str]]:
    """Profiles, needs and slots that do not exist, factors out of range, weights that add up to nothing."""
    section, at = config.systems.personality, "systems.personality"
    kinds = profiles(section)
    allowed = f"there is no such profile (allowed: {', '.join(kinds)})"
    wrong = [(f"{at}.distribution.{name}", allowed) for name in section.distribution if name not in kinds]
    wrong += [
        (f"{at}.overrides.{slot}", f"{name!r}: {allowed}")
        for slot, name in section.overrides.items()
        if name not in kinds
    ]
    last = config.num_agents - 1
    wrong += [
        (f"{at}.overrides.{slot}", f"there is no such slot (allowed: 0 to {last})")
        for slot in section.overrides
        if not 0 <= slot <= last
    ]
    weights = section.distribution.values()
    if min(weights, default=0.0) < 0 or not 0 < sum(weights) <= MOST_WEIGHT:
        wrong.append(
            (
                f"{at}.distribution",
                f"{dict(section.distribution)}: allowed are weights >= 0 of {MOST_WEIGHT:g} at most in all, one above 0",
            )
        )
    for name, kind in section.profiles.items():
        needs = ", ".join(config.needs)
        wrong += [
            (f"{at}.profiles.{name}.need.{need}", f"there is no such need (allowed: {needs})")
            for need in kind.need
            if need not in config.needs
        ]
        wrong += [
            (f"{at}.profiles.{name}.{part}.{word}", f"{factor} is not allowed (allowed: {least} to {most})")
            for part, least, most in (("need", LEAST, MOST), ("behaviour", LEAST, MOST), ("reward", 0.25, 4.0))
            for word, factor in getattr(kind, part).items()
            if not least <= factor <= most
        ]
    return wrong
