"""Days at work, written out: employment and what follows from it, without the rest of the town.

Everybody is at its own post or at home, alive or not, as a table says; `play` returns what each tick leaves behind.
"""

import jax
import jax.numpy as jnp
import numpy as np
from words import words

from townlet_jax import engine
from townlet_jax.systems import employment
from townlet_jax.types import NOTHING

PLAYED = ("employment", "timesheets", "hiring", "reviews")


@jax.jit
def _play(world, state, present, alive, key):
    home = world.map.home_cell[0]

    def tick(state, now):
        here, lives = now
        post = employment.post_of(world, state)
        at = world.map.post_cell[jnp.where(post == NOTHING, jnp.int16(0), post)]
        agents = state.agents.replace(cell=jnp.where(here & (post != NOTHING), at, home), alive=lives)
        state = state.replace(tick=state.tick + 1, agents=agents)
        for system in world.static.systems:
            if system.name in PLAYED:
                state = system.step(world, state, words(world, system, engine.tick_key(key, state)))
        kept = {name: state.slots[name] for name in PLAYED if name in state.slots}
        return state, (kept, state.agents.wallet)

    return jax.lax.scan(tick, state, (present, alive))


def play(board, state, present, alive=None, priority=None, seed=0):
    """Play ticks state.tick + 1, ... of a drawn world.

    Args:
        board: the world.
        state: the town before.
        present: bool[T, A], or a function of the ticks i[T, 1] and agents i[1, A].
        alive: the same; everybody if left out.
        priority: i[A], the same in every tick; by index if left out.
        seed: of what is drawn.

    Returns:
        The last state; and {system: slot}, wallets, each stacked [T, ...], as numpy arrays.
    """
    A = board.world.static.num_agents
    order = np.arange(A) if priority is None else priority
    state = state.replace(intent=state.intent.replace(priority=jnp.array(order, jnp.int8)))
    alive = np.ones_like(present) if alive is None else alive
    last, (slots, wallet) = _play(board.world, state, jnp.array(present), jnp.array(alive), jax.random.key(seed))
    return last, jax.tree.map(np.asarray, slots), np.asarray(wallet)


def table(first, last, A, *spans):
    """Ticks first to last as rows, agents as columns: bool[T, A], True in the spans (agent, from, to), both ends included."""
    rows = np.zeros((last - first + 1, A), bool)
    for agent, begin, end in spans:
        rows[begin - first : end - first + 1, agent] = True
    return rows
