"""On foot: options that are carried out by primitive actions do to the town what the options do."""

import jax
import jax.numpy as jnp
import numpy as np
from tiny_runs import run_command

from townlet_jax import policies
from townlet_jax.core import fixed
from train import capture
from train.datasets.dataset import load_sample, open_dataset
from train.players import memoryless, unroll
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
    "systems.intents.commit_ticks": 1,  # options are chosen anew in each tick, too
}


def played(world, player, state, num_ticks):
    """What a player did in each tick, and what became of the residents: leaves [num_ticks, A]."""
    kept = lambda total, state: (total, (state.actions, state.agents))
    play = jax.jit(lambda state: unroll(world, player, state, jax.random.key(1), num_ticks // player.every, kept)[2])
    return play(state)


def path(agents):
    """The cells where a lone agent was, one after the other."""
    cells = np.asarray(agents.cell)[:, 0]
    return cells[np.flatnonzero(np.diff(cells, prepend=-1))].tolist()


def books(agents):
    """What a lone agent had in its purse and carried, one after the other."""
    rows = np.concatenate([np.asarray(agents.wallet), np.asarray(agents.items)[:, 0]], axis=1).tolist()
    return [row for row, before in zip(rows, [None, *rows]) if row != before]


def test_who_is_alone_goes_the_same_ways_on_foot(board):
    """The citizen for a day: cell by cell it walks the same, and buys and makes the same."""
    street = board(STREET, **HUNGRY)
    citizen, state = memoryless(policies.scripted), street.state(tick=1)
    _, options = played(street.world, citizen, state, 150)
    actions, on_feet = played(street.world, on_foot(citizen), state, 150)
    assert path(options) == path(on_feet) and len(path(options)) > 6
    assert books(options) == books(on_feet) and len(books(options)) > 2
    used = {street.world.static.actions.names[action] for action in np.unique(actions)}
    assert {"use_sleep", "use_cook"} <= used and not any(name.startswith("go_") for name in used)


def test_on_foot_one_waits_for_ones_turn(board):
    """Two who want the one shower: both have washed in the end, one after the other, 30 ticks each."""
    bath = board(BATH)
    layout, hygiene = bath.world.static.actions, bath.world.static.names.needs.index("hygiene")
    wash, home = layout.names.index("go_wash"), layout.names.index("go_home")

    def until_clean(world, state, key):
        return jnp.where(state.agents.needs[:, hygiene] > fixed.to_need(0.9), home, wash).astype(jnp.int32)

    actions, agents = played(bath.world, on_foot(memoryless(until_clean)), bath.state(tick=1), 90)
    clean = np.asarray(agents.needs)[:, :, hygiene] > fixed.to_need(0.9)
    assert clean[-1].all() and not clean[0].any()
    first, second = sorted(clean.argmax(0).tolist())
    assert second - first >= 30 and (np.asarray(actions) < layout.options).all()


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
