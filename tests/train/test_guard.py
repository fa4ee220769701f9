"""What breaks a learner is seen in the update in which it happens, and everything that a runner holds matters.

One compiled update is fed with poison: what is added to a reward, an observation or a gradient, and who may do nothing.
"""

import math
import shutil
import sys

import jax
import jax.numpy as jnp
import pytest
from tiny_runs import same_leaves

from townlet_jax import load
from train import guard, improve, learner, ppo, rollout, runs
from train.checkpoint import rewind
from train.config import TrainConfig
from train.logging import RunError, open_run, read_rows

WORLD = load("town", **{"observation.variant": "compact", "systems.lifecycle.episode_ticks": 120})
TINY = TrainConfig(
    num_envs=4,
    num_steps=3,
    num_minibatches=2,
    update_epochs=1,
    hidden=(8,),
    memory="gru",
    memory_size=4,
    normalise_rewards=True,
    curiosity=0.1,
    reset_pool=3,
    total_timesteps=3840,
)
PLACES = ("reward", "observation", "gradient")
NONE = {**{place: 0.0 for place in PLACES}, "scale": 1.0, "masked": False}
BAD = (math.nan, math.inf, -math.inf)
EXTREME = (1e-30, -1e-30, 1e-12, 1e-3, 1e3, 1e9, 1e18, -1e18, 1e25, 1e30, -1e30)


def put_everywhere(patch, original, replacement) -> None:
    """Replace a function in every module of the learner that imported it by name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("train."):
            for key, value in list(vars(module).items()):
                if value is original:
                    patch.setattr(module, key, replacement)


@pytest.fixture(scope="module")
def poisoned():
    """(runner, poison) -> guarded update, compiled once, and a runner after eight updates, with towns that were reset."""
    poison = {}
    advance, observe, clipped = rollout.advance, rollout.observe, improve.clipped

    def bad_advance(*args):
        states, (reward, *rest) = advance(*args)
        return states, ((reward * poison["scale"]).at[0, 0].add(poison["reward"]), *rest)

    def bad_observe(*args):
        timestep = observe(*args)
        seen = timestep.observation
        mask = seen.action_mask & ~jnp.reshape(poison["masked"], (1, 1, 1))
        features = seen.features.at[0, 0, 0].add(poison["observation"])
        return timestep.replace(observation=seen.replace(features=features, action_mask=mask))

    def bad_clipped(gradient, most):
        leaves, structure = jax.tree.flatten(gradient)
        leaves[0] = leaves[0].reshape(-1).at[0].add(poison["gradient"]).reshape(leaves[0].shape)
        return clipped(structure.unflatten(leaves), most)

    with pytest.MonkeyPatch.context() as patch:
        put_everywhere(patch, advance, bad_advance)
        put_everywhere(patch, observe, bad_observe)
        put_everywhere(patch, clipped, bad_clipped)
        train = learner.make_train(WORLD, TINY)

        @jax.jit
        def update(runner, given):
            poison.update(given)
            return guard.guarded(train.update)(runner)

        none = jax.tree.map(jnp.asarray, NONE)
        poison.update(none)
        runner = jax.jit(train.init)(jax.random.key(0))
        for _ in range(8):
            runner, _, _ = update(runner, none)
    assert bool((runner.episode > 1).all()), "no town was reset"
    return lambda runner, **given: update(runner, {**none, **{key: jnp.asarray(x) for key, x in given.items()}}), runner


def told(metrics, sound) -> str:
    return guard.complaint(9, *jax.device_get((metrics, sound)))


def test_a_sound_update_is_kept(poisoned):
    update, runner = poisoned
    after, metrics, sound = update(runner)
    assert int(after.update) == 9 and told(metrics, sound) == "" and not same_leaves(after.params, runner.params)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", BAD)
def test_nan_and_infinity_are_refused_at_once(poisoned, place, value):
    """The update did not happen: the whole runner is as it was, and the message names the update and what broke."""
    update, runner = poisoned
    after, metrics, sound = update(runner, **{place: value})
    message = told(metrics, sound)
    assert same_leaves(after, runner)
    assert message.startswith("update 9 is refused (") and "as it was after update 8" in message and "\n" not in message
    assert {"gradient": "grad_norm", "reward": "value_error", "observation": "policy_loss"}[place] in message
    assert "nan" in message and "params" in message


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", EXTREME)
def test_extreme_numbers_never_reach_the_parameters(poisoned, place, value):
    """Either the update is refused, whole, or what it leaves is finite; the tiny ones are harmless, the largest are not."""
    update, runner = poisoned
    after, metrics, sound = update(runner, **{place: value})
    message = told(metrics, sound)
    assert guard.finite(after) and (same_leaves(after, runner) if message else int(after.update) == 9)
    if abs(value) <= 1e3:
        assert message == ""
    if abs(value) >= 1e30 and place != "observation":  # squared it is no float any more
        assert "inf" in message or "nan" in message


def test_rows_that_forbid_everything_and_returns_without_variance_are_harmless(poisoned):
    update, runner = poisoned
    for given in ({"masked": True}, {"scale": 0.0}, {"masked": True, "scale": 0.0}):
        after, metrics, sound = update(runner, **given)
        assert told(metrics, sound) == "" and int(after.update) == 9


DERIVED: dict[str, str] = {}  # fields of the runner that are computed anew from others -> from which


def fields_with_leaves(runner) -> list[str]:
    return [name for name in runner.__dataclass_fields__ if jax.tree.leaves(getattr(runner, name))]


def blanked(leaf):
    """A leaf as if it had not been saved: zeros, or another key."""
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(99), leaf.shape)
    return jnp.zeros_like(leaf)


def test_no_field_of_a_runner_can_be_left_out(poisoned):
    """Without any one of them the run goes on otherwise: the parameters or the towns after three updates are others."""
    update, runner = poisoned

    def end(start):
        for _ in range(3):
            start, metrics, sound = update(start)
        return start, metrics

    whole, fields = end(runner), fields_with_leaves(runner)
    assert {"params", "opt_state", "hyper", "states", "pool", "episode", "key", "update"} <= set(fields)
    for field in fields:
        lost, _ = end(runner.replace(**{field: jax.tree.map(blanked, getattr(runner, field))}))
        others = [name for name in fields if name != field]
        matters = not all(same_leaves(getattr(lost, name), getattr(whole[0], name)) for name in others)
        assert matters or field in DERIVED, f"{field} changes nothing: leave it out, or declare it derived"


def test_a_broken_update_ends_the_run_with_one_line(tiny_run, tmp_path):
    """In the command: rows stop before it, the update before it is saved, and the error says what happened."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    run = runs.existing(folder)
    runner, _ = runs.load_runner(run, 2)

    metrics = {"reward/total": jnp.float32(1.0), "reward/clipped": jnp.float32(0.0)}

    def update(runner):
        """Not PPO, but it counts, and its fourth update breaks the parameters."""
        broken = jnp.where(runner.update == 3, jnp.nan, 1.0)
        params = jax.tree.map(lambda leaf: leaf * broken, runner.params)
        return runner.replace(params=params, update=runner.update + 1), metrics

    run = run._replace(train=run.train._replace(update=update))
    rewind(runs.checkpoints(run), 2)
    log = open_run(folder, runs.texts(run)[0], resume=True)
    log.truncate_after(0)
    with pytest.raises(
        RunError, match=r"update 4 is refused \(params: not finite\); the learner is as it was after update 3"
    ):
        ppo.learn(run, log, runner)
    assert [row["update"] for row in read_rows(folder)] == [3]
    kept, manifest = runs.load_runner(run)
    assert manifest.step == 3 == int(kept.update) and guard.finite(kept.params)
