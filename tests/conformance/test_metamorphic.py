"""What must not matter: how the slots are numbered, whether an edit that cannot be done was tried, and left or right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from words import words

from townlet_jax import engine, load
from townlet_jax.io.digest import digest
from townlet_jax.systems import edits
from townlet_jax.systems.edits import Edit
from townlet_jax.testing.play import tick, town_keys

ALL = ("movement", "queues", "affordances", "economy", "employment", "rewards")


@pytest.fixture(scope="module")
def world():
    return load("town", **{"observation.variant": "compact"})


@pytest.fixture(scope="module")
def crowd(world):
    """16 towns after 200 ticks of random play, and their intents of the tick after."""
    keys = town_keys(0, 16)
    play = lambda world, key: jax.lax.scan(
        lambda s, _: (tick(world, s, key), None), engine.reset(world, key), None, 200
    )
    return jax.jit(jax.vmap(lambda key: play(world, key)[0]))(keys), keys


def renumbered(tree, order, num_agents):
    """The same town with its slots in another order; the first axis of every leaf about agents is permuted."""
    size = lambda leaf: leaf.ndim > 0 and leaf.shape[0] == num_agents
    return jax.tree.map(lambda leaf: leaf[order] if size(leaf) else leaf, tree)


def test_the_numbers_of_the_slots_do_not_matter(world, crowd):
    """Conflicts are settled by a priority that is drawn, not by the number of the slot: after the intents of a tick, a town with
    its slots, homes and posts renumbered goes on as the same town does.
    """
    A, order = world.static.num_agents, jnp.asarray(np.random.default_rng(1).permutation(world.static.num_agents))
    names = [system.name for system in world.static.systems if system.name in ALL]
    systems = {system.name: system for system in world.static.systems}
    homes = world.map.replace(agent_home=world.map.agent_home[order], agent_post=world.map.agent_post[order])
    other = world.replace(map=homes)

    def rest(world, state, key):
        for name in names:
            state = systems[name].step(world, state, words(world, systems[name], key))
        return state

    def both(state, key):
        now = engine.tick_key(key, state)
        state = state.replace(tick=state.tick + 1)
        after = rest(world, state, now)
        mixed = state.replace(
            intent=renumbered(state.intent, order, A),
            agents=renumbered(state.agents, order, A),
            slots={name: renumbered(slot, order, A) for name, slot in state.slots.items()},
            terminated=state.terminated[order],
        )
        again = rest(other, mixed, now)
        return (
            renumbered(after.agents, order, A),
            again.agents,
            after.facilities,
            again.facilities,
            after.reward[order],
            again.reward,
        )

    states, keys = crowd
    mine, theirs, stock, their_stock, reward, their_reward = jax.jit(jax.vmap(both))(states, keys)
    jax.tree.map(np.testing.assert_array_equal, (mine, stock, reward), (theirs, their_stock, their_reward))
    assert (mine.cell != states.agents.cell[:, order]).any() and (mine.needs != states.agents.needs[:, order]).any()


IMPOSSIBLE = [Edit(*(jnp.int32(x) for x in (verb, -1, -1, -1, 0, 0, 0))) for verb in (*range(len(edits.VERBS)), 99, -1)]


def test_edits_that_cannot_be_done_change_nothing(world, crowd):
    state = jax.tree.map(lambda leaf: leaf[0], crowd[0])
    apply = jax.jit(edits.apply)
    assert {digest(apply(world, state, edit)[0]) for edit in IMPOSSIBLE} == {digest(state)}


ROOM = """
    ##########
    #h..#....#
    #.0.+..W.#
    #...#....#
    #@.......#
    ##########
"""
MIRROR = {"move_east": "move_west", "move_west": "move_east"}


def test_left_and_right_do_not_matter(board):
    """One alone in a room walks at random and washes where it may; in the mirror it does the same the other way round."""
    rows = [line.strip() for line in ROOM.strip().splitlines()]
    room, mirror = board("\n".join(rows)), board("\n".join(row[::-1] for row in rows))
    state, image = room.state(), mirror.state()
    names = [name for name in room.world.static.actions.names if name.startswith(("move", "use", "wait"))]
    width, rng = room.world.static.width, np.random.default_rng(0)
    for number in range(150):
        choice = names[rng.integers(len(names))]
        state, image = room.step(state, choice), mirror.step(image, MIRROR.get(choice, choice))
        row, column = divmod(int(state.agents.cell[0]), width)
        assert divmod(int(image.agents.cell[0]), width) == (row, width - 1 - column), number
        assert (state.agents.needs == image.agents.needs).all() and (state.agents.wallet == image.agents.wallet).all()
