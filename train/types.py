"""The nouns of learning. Axes: T decisions of a rollout, B towns, A agents."""

from typing import Any, NamedTuple

import jax
from flax import struct

from townlet_jax.types import Observation, State

Array = jax.Array


class Transition(struct.PyTreeNode):
    """One stored decision, [T, B, A, ...]."""

    observation: Observation
    starts: Array  # bool somebody new begins with this decision: nothing from before is remembered
    action: Array  # i32
    log_prob: Array  # f32
    value: Array  # f32 of the state in which it was taken
    reward: Array  # f32 discounted sum over the ticks of the decision
    terminated: Array  # bool the person's life in the town ended during the decision
    truncated: Array  # bool the episode was cut short after the decision
    final_value: Array  # f32 value of the last state where truncated, else 0
    alive: Array  # bool there was somebody to decide
    acts: Array  # bool and more than one action to choose from, and it was the policy that chose
    lesson: Array | tuple[()]  # i32 what the teacher would have done; () without one


class Hyper(struct.PyTreeNode):
    """The float hyper-parameters; leaves, so that a sweep can batch them."""

    learning_rate: Array
    gamma: Array  # per tick
    gae_lambda: Array
    clip_eps: Array
    ent_coef: Array
    vf_coef: Array
    max_grad_norm: Array
    curiosity: Array  # weight of the novelty of what is seen, at the start
    mix: Array  # chance that a decision is the teacher's
    bc_coef: Array  # weight of the cross entropy of what the teacher would do


class Moments(struct.PyTreeNode):
    """Running mean and square of a stream of numbers that slowly forgets; all 0 at the start."""

    mean: Array  # f32[] weighted sum of the means seen
    square: Array  # f32[] of the mean squares
    weight: Array  # f32[] what the weights add up to, towards 1


class Scaling(struct.PyTreeNode):
    """What rewards are divided by: the deviation of discounted returns."""

    returns: Array  # f32[B, A] of everybody's rewards so far
    moments: Moments


class Curiosity(struct.PyTreeNode):
    """Random network distillation, see `train/curiosity.py`."""

    target: Any  # parameters that never change
    predictor: Any
    opt_state: Any
    moments: Moments  # of the novelty


class Runner(struct.PyTreeNode):
    """All that a run needs to go on."""

    params: Any
    opt_state: Any
    hyper: Hyper
    states: State  # [B, ...]
    pool: State  # [P, ...] fresh towns
    memory: Any  # f32[B, A, ...] what everybody remembers; () without memory
    starts: Array  # bool[B, A] somebody new begins with the next decision
    scaling: Scaling | tuple[()]  # () without it
    curiosity: Curiosity | tuple[()]
    episode: Array  # i32[B] episodes that each town has begun
    key: Array  # key of the run
    update: Array  # i32[] updates done


class Train(NamedTuple):
    """A training program: pure functions of the runner."""

    init: Any  # (key) -> Runner
    update: Any  # (runner) -> (Runner, metrics {name: f32[]})
    num_updates: int
    steps_per_update: int  # agent decisions
