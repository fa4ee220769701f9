"""The random words that the engine hands to a system."""

from townlet_jax import engine


def words(world, system, key):
    """u32[draws]: what `system` gets in the tick of that key."""
    return engine.random_words(key, {system.name: system.draws(world)})[system.name]
