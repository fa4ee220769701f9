"""The boundary for the compiler changes no number, and costs an eager tick no compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from townlet_jax import engine, load, observe
from townlet_jax.core import blocks

TREE = {"few": jnp.arange(6, dtype=jnp.int8).reshape(2, 3), "one": jnp.float32(0.5), "mask": jnp.array([True, False])}


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap], ids=["eager", "jit", "vmap"])
def test_the_same_arrays_come_out(wrap):
    tree = {"few": TREE["few"], "mask": TREE["mask"]} if wrap is jax.vmap else TREE
    back = wrap(blocks.once)(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    assert jax.tree.map(lambda leaf: (leaf.dtype, leaf.shape), back) == jax.tree.map(
        lambda leaf: (leaf.dtype, leaf.shape), tree
    )


def test_it_is_a_boundary_on_a_cpu():
    """The program of the pair comparison holds a loop; without the boundary it holds none."""
    ranks = lambda keep: lambda x: (keep(x * 3 + 1)[:, None] < keep(x * 3 + 1)[None, :]).sum(-1)
    loops = lambda keep: jax.jit(ranks(keep)).lower(jnp.arange(8)).compile().as_text().count(" while(")
    if jax.default_backend() == "cpu":
        assert loops(blocks.once) > 0 and loops(lambda x: x) == 0


def test_a_second_eager_tick_compiles_nothing():
    compiled = []
    count = lambda event, seconds, **more: (
        compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    world, key = load("town", **{"observation.variant": "compact"}), jax.random.key(0)
    state = jax.jit(engine.reset)(world, key)
    tick = lambda state: engine.step(world, state, jnp.zeros(8, jnp.int32), engine.tick_key(key, state))
    state = tick(state)
    observe(world, state)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        observe(world, tick(state))
        assert compiled == []
        jax.jit(lambda x: x + len(compiled))(1)  # the counter counts
        assert len(compiled) == 1
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
