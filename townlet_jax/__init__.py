"""townlet_jax: small towns as pure functions, for reinforcement learning by the batch."""

from .config.errors import ConfigError
from .engine import reset, step, tick_key, unroll
from .env import bind, load, make, register, timestep
from .observe import explain, observe, schema
from .types import NOBODY, NOTHING, Env, Observation, State, System, TimeStep, World

__version__ = "0.1.0"
__all__ = [
    "NOBODY",
    "NOTHING",
    "ConfigError",
    "Env",
    "Observation",
    "State",
    "System",
    "TimeStep",
    "World",
    "bind",
    "explain",
    "load",
    "make",
    "observe",
    "register",
    "reset",
    "schema",
    "step",
    "tick_key",
    "timestep",
    "unroll",
]
