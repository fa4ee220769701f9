"""Arguments: a quarrel in a queue between two who cannot stand each other is heard by whoever is near.

Two argue in public if they quarrel while each has a rivalry of `rivalry` or more towards the other. A witness is whoever stands
within `hearing` cells of one who argues and does not argue itself; what it thinks of that one changes by `trust` and
`familiarity`: less trust in who makes a scene, and a face to remember. What the two think of each other is the quarrel's own
business. The specification (§29) names the public argument and has no number for it; all numbers are ours.

reads  agents, slots.queues, slots.relationships
writes slots.arguments
"""

import jax.numpy as jnp
from flax import struct
from pydantic import Field

from ..core import fixed, masks, ties
from ..types import NOBODY, Array, Feature, Key, Section, State, System, World
from .occasions import pairs


class Config(Section):
    """Who argues, who hears it, and what they make of it."""

    rivalry: float = Field(0.4, gt=0, le=1, description="rivalry of both from which a quarrel is a public argument")
    hearing: int = Field(4, ge=1, le=20, description="cells, also diagonally, within which others hear it")
    trust: float = Field(-0.02, ge=-0.2, le=0.2, description="change of a witness's trust in each who argues")
    familiarity: float = Field(0.01, ge=-0.2, le=0.2, description="change of a witness's familiarity with them")


class Params(struct.PyTreeNode):
    """The same as arrays."""

    rivalry: Array  # i16[] parts of fixed.TIE
    hearing: Array  # i16[] cells
    change: Array  # i32[3] of trust, familiarity and rivalry, parts of fixed.TIE


class Slot(struct.PyTreeNode):
    """What is heard in this tick."""

    witness: Array  # bool[A, A] row: who hears it, column: who argues


def build(config, names) -> Params:
    """YAML to arrays."""
    return Params(
        rivalry=jnp.int16(fixed.to_tie(config.rivalry)),
        hearing=jnp.int16(config.hearing),
        change=jnp.array([fixed.to_tie(config.trust), fixed.to_tie(config.familiarity), 0], jnp.int32),
    )


def init(world: World, key: Key) -> Slot:
    """All is quiet."""
    number = world.static.num_agents
    return Slot(jnp.zeros((number, number), bool))


def argues(world: World, state: State) -> Array:
    """Who quarrels with somebody in this tick, and neither can stand the other: bool[A]."""
    conflict, rivalry = state.slots["queues"].conflict, state.slots["relationships"].rivalry
    hot = rivalry >= world.params["arguments"].rivalry
    between = pairs(conflict, conflict != NOBODY)
    return ((between | between.T) & hot & hot.T).any(-1)


def step(world: World, state: State, bits: Array) -> State:
    """Who is near listens; ties are still what they were before the quarrel."""
    loud, alive = argues(world, state) & state.agents.alive, state.agents.alive
    rows, cols = ties.apart(state.agents.cell, world.static.width)
    near = jnp.maximum(rows, cols) <= world.params["arguments"].hearing
    return state.put(arguments=Slot(near & (alive & ~loud)[:, None] & loud[None, :]))


def metrics(world: World, state: State):
    """People who argue before others in this tick, and people who hear one."""
    witness = state.slots["arguments"].witness
    return {
        "arguments/public": masks.total(witness.any(0)).astype(jnp.float32),
        "arguments/witnesses": masks.total(witness.any(-1)).astype(jnp.float32),
    }


def fields(world: World) -> list[Feature]:
    """What one has just been part of."""
    return [Feature("argument", 2, "0 or 1, in the last tick", 0, 1, ("own", "heard"))]


def features(world: World, state: State) -> list[Array]:
    """What one has just been part of, for the living."""
    witness = state.slots["arguments"].witness
    seen = jnp.stack([witness.any(0), witness.any(-1)], axis=-1) & state.agents.alive[:, None]
    return [seen.astype(jnp.float32)]


def rules(world: World, state: State):
    """Who argues hears nobody, and of the dead nothing is heard."""
    witness, gone = state.slots["arguments"].witness, ~state.agents.alive & ~state.terminated
    return {
        "who argues hears no argument": ~(witness.any(0) & witness.any(-1)).any(),
        "the dead neither argue nor hear": ~(witness & (gone[:, None] | gone[None, :])).any(),
    }


def check(config) -> list[tuple[str, str]]:
    """There are quarrels, an argument means something, and no number vanishes."""
    section, path = config.systems.arguments, "systems.arguments"
    queues, changes = config.systems.queues, {"trust": section.trust, "familiarity": section.familiarity}
    wrong = [
        (f"{path}.{name}", f"{share} is less than the town can count (2**-15)")
        for name, share in {**changes, "rivalry": section.rivalry}.items()
        if share != 0 and fixed.to_tie(share) == 0
    ]
    if queues is not None and queues.fairness is None:
        wrong.append((path, "nobody quarrels in this world: add `systems.queues.fairness`"))
    if not any(changes.values()):
        wrong.append((path, "it changes nothing: trust or familiarity must not be 0"))
    return wrong


SYSTEM = System(
    "arguments",
    step,
    Config,
    build,
    init,
    metrics=metrics,
    writes=("slots.arguments",),
    requires=("queues", "relationships"),
    fields=fields,
    features=features,
    rules=rules,
    check=check,
)
