"""What a training YAML may say."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from townlet_jax.config.load import Document, find, resolve, validate
from townlet_jax.types import Section


class Cloned(Section):
    """Behaviour cloning, `python -m train.bc`."""

    epochs: int = Field(12, ge=1, le=1000, description="passes over the dataset")
    num_towns: int = Field(16, ge=1, le=65536, description="towns in a batch")
    num_steps: int = Field(48, ge=1, le=65536, description="decisions between two gradient steps, and of their memory")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="of AdamW, falling to a tenth in the course of the epochs"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="of AdamW")
    value: Literal["returns", "teacher"] = Field("returns", description="from which values are learned")
    value_coef: float = Field(0.5, ge=0, le=100, description="weight of the value loss")
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the towns that nothing is learned from")
    gate: float = Field(0.9, ge=0, le=1, description="accuracy on the held-out towns that is asked for")


RUN_NAME = r"^[A-Za-z0-9_.-]{0,59}[A-Za-z0-9_-]$"  # of a folder; no name is dots alone
NETWORK_KEYS = ("hidden", "conv", "memory", "memory_size", "critic", "roles")  # equal for networks of one kind


class Annealed(Section):
    """From the teacher's decisions to one's own, `python -m train.anneal`; it begins at `mix` and `bc_coef`."""

    until: float = Field(0.5, gt=0, lt=1, description="share of the run at which nothing is the teacher's any more")
    window: int = Field(5, ge=1, le=1000, description="updates over which the indicators are averaged")
    freeze_drop: float = Field(0.3, gt=0, lt=1, description="fall below the teacher at which the mix stands still")
    keep: float = Field(0.95, ge=0, le=10, description="share of the citizen's indicators that is asked for in the end")


class TrainConfig(Section):
    """One PPO run. Names are those of CleanRL; a step is one decision of one agent, which lasts `ticks_per_decision` ticks."""

    name: str = Field("ppo", pattern=RUN_NAME, description="the run folder is runs/<name>")
    world: str = Field("town", description="a shipped world, or a path to its YAML")
    world_set: tuple[str, ...] = Field((), description="changes to the world, such as observation.variant=compact")
    seed: int = Field(0, ge=0, lt=2**32, description="of everything random in the run")
    total_timesteps: int = Field(10_000_000, ge=1, description="agent decisions in the whole run")
    num_envs: int = Field(256, ge=1, le=1_000_000, description="towns in parallel")
    num_steps: int = Field(32, ge=1, le=4096, description="decisions in a rollout")
    ticks_per_decision: int = Field(15, ge=1, le=240, description="ticks between two decisions")
    actions: Literal["options", "primitives", "all"] = Field("options", description="which actions the policy may take")
    num_minibatches: int = Field(8, ge=1, description="parts of a rollout, split by town")
    update_epochs: int = Field(4, ge=1, le=100, description="passes over a rollout")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="of Adam")
    anneal_lr: bool = Field(True, description="whether the learning rate falls to 0 over the run")
    gamma: float = Field(0.9995, gt=0, lt=1, description="discount per tick")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="of generalised advantage estimation, per decision")
    clip_eps: float = Field(0.2, gt=0, le=1, description="of the policy ratio and of the value")
    ent_coef: float = Field(0.01, ge=0, le=1, description="weight of the entropy")
    vf_coef: float = Field(0.5, ge=0, le=10, description="weight of the value loss")
    max_grad_norm: float = Field(0.5, gt=0, le=1000, description="global norm to which gradients are clipped")
    reward_scale: float = Field(0.1, gt=0, le=1000, description="factor of the rewards that the learner sees")
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (64, 64), min_length=1, max_length=8, description="widths of the hidden layers"
    )
    conv: int = Field(16, ge=1, le=256, description="channels of the stem over the map layers, if the world has them")
    memory: Literal["none", "gru", "lstm"] = Field("none", description="recurrent cell of policy and critic")
    memory_size: int = Field(64, ge=1, le=4096, description="width of the recurrent cell")
    embedding: int = Field(0, ge=0, le=256, description="width of the learned vector of each identity; 0 for none")
    critic: Literal["own", "central"] = Field(
        "own", description="what the critic sees: its agent's view, or the town's"
    )
    roles: Literal["shared", "jobs"] = Field("shared", description="one network for all, or one for each job")
    compute_dtype: Literal["float32", "bfloat16"] = Field("float32", description="of the products in the networks")
    normalise_rewards: bool = Field(False, description="divide rewards by the running deviation of their returns")
    curiosity: float = Field(
        0.0, ge=0, le=10, description="weight of novelty (random network distillation) at the start"
    )
    curiosity_share: float = Field(
        0.5, gt=0, le=1000, description="share of the run after which curiosity weighs nothing; above 1 it lasts longer"
    )
    teacher: str = Field(
        "none", min_length=1, description="whom the policy imitates while it learns: none, scripted, or a run's folder"
    )
    mix: float = Field(0.0, ge=0, le=1, description="chance that a decision is the teacher's")
    bc_coef: float = Field(0.0, ge=0, le=100, description="weight of the cross entropy of what the teacher would do")
    shards: int = Field(1, ge=1, le=65536, description="blocks in which towns are shuffled: a multiple of the devices")
    bc: Cloned = Field(Cloned(), description="behaviour cloning")
    anneal: Annealed = Field(Annealed(), description="from the teacher to the policy, `python -m train.anneal`")
    persistence: float = Field(3.0, ge=0, le=10, description="initial logit of the option in progress")
    reset_pool: int = Field(256, ge=1, le=65536, description="fresh towns from which finished ones are replaced")
    checkpoint_every: int = Field(50, ge=1, description="updates between two checkpoints")
    keep_checkpoints: int = Field(3, ge=2, le=1000, description="newest checkpoints that are kept")
    keep_best: int = Field(1, ge=0, le=100, description="best checkpoints that are kept besides")
    watchdog: float = Field(
        20.0,
        ge=0,
        le=1e6,
        description="times its median, and at least 60 s, after which an update counts as hung; 0: never",
    )
    best_by: str = Field("return_per_day", description="the logged number that says which is best; -NAME: the lowest")

    @model_validator(mode="after")
    def divides(self) -> "TrainConfig":
        """Minibatches are whole towns, as many of each shard."""
        if self.num_envs % self.num_minibatches:
            raise ValueError(f"num_minibatches {self.num_minibatches} must divide num_envs {self.num_envs}")
        if self.num_envs % (self.num_minibatches * self.shards):
            raise ValueError(
                f"num_envs {self.num_envs} must be a multiple of num_minibatches * shards, {self.num_minibatches * self.shards}"
            )
        return self


def load_config(name: str | Path, overrides: tuple[str, ...] = ()) -> tuple[TrainConfig, Document]:
    """A training configuration, checked, and the document that it came from.

    Args:
        name: a shipped configuration such as "ppo_town", or a path to a YAML file.
        overrides: assignments such as "learning_rate=1e-3".

    Raises:
        ConfigError: with a line for each fault.
    """
    document = resolve(find(str(name), "train"), overrides)
    return validate(TrainConfig, document), document
