"""On foot: options that are carried out by primitive actions do to the town what the options do."""

import jax
import jax.numpy as jnp
import numpy as np
from tiny_runs import run_command

from townlet_jax import policies
from townlet_jax.core import fixed
from townlet_jax.systems import intents
from train import capture
from train.datasets.dataset import load_sample, open_dataset
from train.players import Choice, Player, memoryless, unroll
from train.primitives import on_foot

STREET = """
    ###############
    #h.0.C..W...B.#
    #......S..K...#
    #@............#
    ###############
"""
BATH = """
    #########
    #h0...W.#
    #..1....#
    #@......#
    #########
"""
HUNGRY = {
    "start.needs": [0.3, 0.6],
    "systems.needs.decay": {"hunger": 0.002, "hygiene": 0.002, "energy": 0.002},
    "systems.employment.jobs.0.wage": 0.05,
}


def played(world, player, state, num_ticks):
    """What a player did in each tick, and what became of the residents: leaves [num_ticks, A]."""
    kept = lambda total, state: (total, (state.actions, state.agents))
    play = jax.jit(lambda state: unroll(world, player, state, jax.random.key(1), num_ticks // player.every, kept)[2])
    return play(state)


def always(board, *names, every=10):
    """A player that chooses the same options again and again."""
    actions = jnp.asarray(board.actions(*names))
    none = jnp.zeros(actions.shape, jnp.float32)
    return Player(
        (), every, lambda world, state: (), lambda params, world, state, memory, key: (Choice(actions, none, none), ())
    )


def test_who_is_alone_lives_the_same_life_on_foot(board):
    """The citizen, for a day: where it is in every tick, what it needs, has and carries."""
    street = board(STREET, **HUNGRY)
    citizen = memoryless(policies.scripted, 10)
    state = street.state(tick=1)
    _, options = played(street.world, citizen, state, 200)
    actions, on_feet = played(street.world, on_foot(citizen), state, 200)
    for name in ("cell", "needs", "wallet", "items"):
        assert np.array_equal(getattr(options, name), getattr(on_feet, name)), name
    used = {street.world.static.actions.names[action] for action in np.unique(actions)}
    assert {"use_wash", "use_sleep", "use_cook"} <= used and not any(name.startswith("go_") for name in used)
    assert len(np.unique(on_feet.cell)) > 6


def test_on_foot_one_waits_for_ones_turn(board):
    """Two who want the one shower: both have washed in the end, one after the other, 30 ticks each."""
    bath = board(BATH)
    layout, hygiene = bath.world.static.actions, bath.world.static.names.needs.index("hygiene")
    wash, home = layout.names.index("go_wash"), layout.names.index("go_home")

    def until_clean(world, state, key):
        return jnp.where(state.agents.needs[:, hygiene] > fixed.to_need(0.9), home, wash).astype(jnp.int32)

    actions, agents = played(bath.world, on_foot(memoryless(until_clean, 5)), bath.state(tick=1), 90)
    clean = np.asarray(agents.needs)[:, :, hygiene] > fixed.to_need(0.9)
    assert clean[-1].all() and not clean[0].any()
    first, second = sorted(clean.argmax(0).tolist())
    assert second - first >= 30 and (np.asarray(actions) < layout.options).all()


def test_who_is_new_pursues_nothing(board):
    bath = board(BATH)
    state, player = bath.state(tick=1), on_foot(always(bath, "go_wash", "go_home"))
    memory = player.begin(bath.world, state)
    choice, memory = player.decide((), bath.world, state, memory, jax.random.key(0))
    assert (choice.action != intents.WAIT_ACTION).all()
    fresh = state.put(intents=state.slots["intents"].replace(reset=jnp.array([True, False])))
    later = player.decide((), bath.world, fresh, memory, jax.random.key(0))[0].action
    assert later[0] == intents.WAIT_ACTION != later[1]


def test_between_its_decisions_a_player_is_not_asked(board):
    """The memory of the player inside changes once in `every` ticks."""
    bath = board(BATH)
    waits, none = jnp.zeros(2, jnp.int32), jnp.zeros(2, jnp.float32)
    counts = Player(
        (), 4, lambda world, state: jnp.int32(0), lambda p, w, s, count, k: (Choice(waits, none, none), count + 1)
    )
    player, state = on_foot(counts), bath.state(tick=1)
    memory, seen = player.begin(bath.world, state), []
    for _ in range(9):
        _, memory = player.decide((), bath.world, state, memory, jax.random.key(0))
        seen.append(int(memory[0]))
    assert seen == [1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_capture_on_foot_holds_primitives_and_the_ways(tmp_path, capsys):
    words = ["--policy", "scripted", "--every", 15, "--world-set", "observation.variant=compact", "--primitives"]
    folder = tmp_path / "feet"
    assert run_command(capture.main, *words, "--num-envs", 2, "--days", 0.05, "--out", folder) == 0
    dataset = open_dataset(folder)
    assert dataset.schema.ticks_per_decision == 1 and dataset.manifest.samples[0].actions == "primitives"
    assert "first_step_home_north" in dataset.schema.feature_names
    arrays = load_sample(dataset, 0)
    names = sorted(dataset.schema.action_lookup, key=dataset.schema.action_lookup.__getitem__)
    first = next(number for number, name in enumerate(names) if name.startswith("go_"))
    taken = np.take_along_axis(arrays["action_mask"], arrays["actions"][..., None], -1)
    assert taken.all() and (arrays["actions"] < first).all() and (arrays["actions"] > 0).any()
    assert not arrays["action_mask"][..., first:].any()
