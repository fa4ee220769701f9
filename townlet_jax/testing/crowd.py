"""A crowd that behaves as badly as it can: towns take turns in ways of acting, and somebody outside meddles."""

import jax
import jax.numpy as jnp

from .. import engine
from ..core import fixed
from ..policies import random, scripted
from ..systems import edits
from ..systems.edits import Edit
from ..types import Array, Key, State, World
from .play import anything

CROWD = ("allowed", "anything", "one option", "one offer", "absurd", "primitives", "citizen", "fickle citizen")
CALM = 16  # ticks between two edits of a town, on average


def behave(world: World, state: State, town: Array, key: Key) -> Array:
    """The actions i32[A] of one town, whose number u32[] says in which way of `CROWD` it acts."""
    layout, A = world.static.actions, world.static.num_agents
    bits = jax.random.bits(engine.stream(key, "fuzz"), (A,), jnp.uint32)
    whim = anything(world, jax.random.bits(engine.stream(key, "anything"), (A,), jnp.uint32))
    citizen = scripted(world, state, key)
    fad = (state.tick // 97 + town.astype(jnp.int32)) % layout.num_options
    offer = (town // len(CROWD)).astype(jnp.int32) % len(world.static.names.offers)
    ways = (
        random(world, state, engine.stream(key, "allowed")),
        whim,
        jnp.broadcast_to(layout.options + fad, (A,)),
        jnp.broadcast_to(layout.options + offer, (A,)),
        bits.astype(jnp.int32),
        (bits % jnp.uint32(layout.options)).astype(jnp.int32),
        citizen,
        jnp.where(bits & 7 == 0, whim, citizen),
    )
    return jnp.stack(ways)[town % len(CROWD)]


def meddle(world: World, key: Key) -> Edit:
    """A random edit, most often none; some of them impossible. Events last up to 50 ticks."""
    static, verbs = world.static, list(edits.VERBS)
    bits = jax.random.bits(engine.stream(key, "edits"), (8,), jnp.uint32) >> 1
    draw = lambda place, size: (bits[place] % jnp.asarray(size, jnp.uint32)).astype(jnp.int32)
    verb = jnp.where(draw(0, CALM) == 0, 1 + draw(1, len(verbs)), 0)
    events = len(world.params["perturbations"].names) if static.has("perturbations") else 0
    sizes = {"teleport": world.map.ground.shape[0], "command": len(static.actions.names) + 1}
    sizes |= {"event": events + 1, "cancel": events + 1}
    which = draw(3, jnp.array([sizes.get(word, len(static.names.needs) + 1) for word in (*verbs, "")])[verb])
    amount = jnp.where(verb == verbs.index("event"), draw(4, 50), draw(4, 2 * fixed.NEED) - fixed.NEED // 2)
    anybody = lambda place: draw(place, static.num_agents + 2) - 1
    part = lambda place: draw(place, 4 * fixed.TIE) - 2 * fixed.TIE
    return Edit(verb, anybody(2), anybody(5), which, amount, part(6), part(7))
