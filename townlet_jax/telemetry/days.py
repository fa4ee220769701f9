"""How people live, day by day: what happens in many towns over whole days, added up by town and day, and figures of it.

    world = load("m5")
    sums = live(world, policies.scripted, num_towns=16, num_days=5)
    figures(sums, 8, world.static.names.needs)["attendance"]

A day is a full turn of the clock, counted from the tick at which a town begins, so that all days are equally long.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import engine
from ..core import fixed
from ..systems import employment, relationships, rewards
from ..systems.exits import REASONS
from ..systems.occasions import FAILURE, SUCCESS, blocked, quarrels
from ..types import Array, Key, State, World
from .shapes import one_map

WELL = fixed.to_need(0.3)  # all needs above it: one is well (specification §16)
Policy = Callable[[World, State, Key], Array]
Holds = Callable[[World, State], Array]


class Day(NamedTuple):
    """Sums over a day of one town, the last two at its end; 0 for what the world does not run."""

    alive: Array  # i32[] agent-ticks
    well: Array  # i32[] agent-ticks with all needs above 0.3
    present: Array  # i32[] agent-ticks at the post in the own shift
    expected: Array  # i32[] agent-ticks of all shifts
    clipped: Array  # i32[] agent-ticks at the clip of the reward
    exits: Array  # i32[REASONS] by reason
    chats: Array  # i32[] talks that went well
    failures: Array  # i32[] talks that did not
    conflicts: Array  # i32[] quarrels, each counted once
    avoided: Array  # i32[] times that somebody kept away from somebody
    broken: Array  # i32[] ticks in which `holds` did not
    reward: Array  # f32[] of all
    needs: Array  # f32[N] shares of full needs, of all
    tied: Array  # i32[] agents with a tie above 0.3
    living: Array  # i32[] agents


def number(mask: Array) -> Array:
    """How many are True: i32[]."""
    return mask.sum(dtype=jnp.int32)


def well(state: State) -> Array:
    """Who lives with all needs above `WELL`: bool[A]."""
    return (state.agents.needs > WELL).all(-1) & state.agents.alive


def company(world: World, state: State) -> dict[str, Array]:
    """What happened between people in this tick."""
    slots, has, none = state.slots, world.static.has, jnp.int32(0)
    between, social = quarrels(state), slots["relationships"] if has("relationships") else None
    alone = number(blocked(world, social.behind)) if social else none  # who quarrels where nobody notes with whom
    talks = slots["chat"].outcome if has("chat") else jnp.zeros(1, jnp.int8)
    return {
        "chats": number(talks == SUCCESS),
        "failures": number(talks >= FAILURE),
        "conflicts": alone if between is None else number(between) // 2,
        "avoided": number(social.avoided) if social else none,
        "tied": number(relationships.strong(state) & state.agents.alive) if social else none,
        "living": number(state.agents.alive),
    }


def tick_sums(world: World, state: State) -> Day:
    """What counts of one tick."""
    agents, alive, has = state.agents, state.agents.alive, world.static.has
    shift = state.slots["employment"] if has("employment") else None
    reasons = jnp.arange(len(REASONS), dtype=jnp.int8)
    exits = (state.slots["lifecycle"].reason[:, None] == reasons) & state.terminated[:, None]
    clipped = jnp.abs(rewards.bill(world, state).inside) >= world.params["rewards"].clip
    needs = jnp.where(alive[:, None], fixed.to_float(agents.needs, fixed.NEED), 0.0)
    return Day(
        **company(world, state),
        alive=number(alive),
        well=number(well(state)),
        present=number(employment.is_present(shift)) if shift else jnp.int32(0),
        expected=number(employment.on_duty(shift.shift)) if shift else jnp.int32(0),
        clipped=number(clipped & alive),
        exits=exits.sum(0, dtype=jnp.int32),
        broken=jnp.int32(0),
        reward=fixed.to_float(state.reward, fixed.MILLION).sum(dtype=jnp.float32),
        needs=needs.sum(0, dtype=jnp.float32),
    )


def town_day(world: World, policy: Policy, holds: Holds | None, state: State, key: Key) -> tuple[State, Day]:
    """One day of a town whose own key is given: the state after it, and its sums."""

    def tick(carry, _):
        state, sums = carry
        now = engine.tick_key(key, state)
        state = engine.step(world, state, policy(world, state, engine.stream(now, "policy")), now)
        one = tick_sums(world, state)
        if holds is not None:
            one = one._replace(broken=number(~holds(world, state)))
        return (state, jax.tree.map(jnp.add, sums, one)._replace(tied=one.tied, living=one.living)), None

    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(partial(tick_sums, world), state))
    return jax.lax.scan(tick, (state, zeros), None, world.static.ticks_per_day)[0]


_reset = jax.jit(jax.vmap(engine.reset, (None, 0)))
_day = jax.jit(jax.vmap(town_day, (None, None, None, 0, 0)), static_argnums=(1, 2))


def live(
    world: World, policy: Policy, *, num_towns: int, num_days: int, seed: int = 0, holds: Holds | None = None
) -> Day:
    """Let towns live.

    Args:
        world: what is the same for all; it runs `lifecycle` and `rewards`.
        policy: (world, state, key) -> actions i32[A].
        num_towns: how many towns, each with a key of its own.
        num_days: for how long.
        seed: of the towns.
        holds: (world, state) -> bool[...], watched at every tick.

    Returns:
        Sums as numpy arrays, [num_days, num_towns, ...] each.

    Raises:
        ValueError: there is no town or day, or the world is a pool of maps.
    """
    if num_towns < 1 or num_days < 1:
        raise ValueError(f"{num_towns} towns and {num_days} days: at least one of each can live")
    one_map("live", world)
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(jnp.arange(num_towns, dtype=jnp.uint32))
    states, days = _reset(world, keys), []
    for _ in range(num_days):
        states, sums = _day(world, policy, holds, states, keys)
        days.append(jax.device_get(sums))
    return jax.tree.map(lambda *rows: np.stack(rows), *days)


def figures(days: Day, num_agents: int, needs: Sequence[str]) -> dict[str, float]:
    """What people ask of a town, from sums of many towns and days.

    Args:
        days: as `live` returns them.
        num_agents: of each town.
        needs: their names, in the order of the world.

    Returns:
        attendance (share of the ticks of all shifts spent at the post), shift (the ticks of shifts, an agent and day),
        exits/... (an agent and day), chats and conflicts (a town and day), .../least (of the town and day with fewest),
        .../days (share of the days of towns with any), tied/n (share of people with a tie above 0.3 after n days), well and
        clipped (shares of agent-ticks), need/... (mean share of a full need), and reward (an agent and day).

    Raises:
        ValueError: the sums have no axes of days and towns.
    """
    if np.ndim(days.alive) != 2:
        raise ValueError(f"figures takes sums of shape [num_days, num_towns, ...], not {list(np.shape(days.alive))}")
    total = jax.tree.map(lambda x: np.asarray(x, np.float64).sum((0, 1)), days)
    cases = days.alive.size  # days of towns
    lives, ticks = cases * num_agents, max(total.alive, 1)
    found = {
        "attendance": total.present / max(total.expected, 1),
        "shift": total.expected / lives,
        **{f"exits/{reason}": total.exits[i] / lives for i, reason in enumerate(REASONS) if i},
    }
    for name in ("chats", "conflicts"):
        sums = getattr(days, name)
        found |= {name: sums.mean(), f"{name}/least": sums.min(), f"{name}/days": (sums > 0).mean()}
    found |= {f"tied/{day + 1}": row.sum() / days.living[day].sum() for day, row in enumerate(days.tied)}
    found |= {"well": total.well / ticks, "clipped": total.clipped / ticks, "reward": total.reward / lives}
    found |= {f"need/{need}": level / ticks for need, level in zip(needs, total.needs, strict=True)}
    return {name: float(value) for name, value in found.items()}
