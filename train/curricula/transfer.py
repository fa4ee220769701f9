"""What was learned in one world, carried into another: weights and Adam's moments go by the names of what they stand for.

Two worlds differ in what is seen and in what can be done. Rows of a kernel that reads features are those of the features of the
same name (`need_hunger`, `can_wash`), columns of the policy are those of the action, networks of roles those of the job, and so
on; places that have no name are equal in both.

- What only the new world shows is read with weights of 0. So where it shows nothing new, the policy is what it was.
- What one can do only in the new world begins as in a fresh network, and so do the option's own habit and its other columns.
- A role that only the new world has begins as the network of those who had none.
- Adam's mean gradient of what is new is 0, its mean square that of the rest of the leaf, so that the first steps are no leaps.

Towns, memories and the scale of rewards begin anew: they belong to the world.
"""

from collections.abc import Hashable
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from townlet_jax.observe import layer_names, schema
from townlet_jax.types import World

from ..config import NETWORK_KEYS, TrainConfig
from ..curiosity import WIDTHS
from ..logging import RunError
from ..types import Curiosity, Runner

NOBODY = "nobody"  # the role of those who have none
SIDE = 3  # cells of a patch, see `networks.patches`

Name = Hashable


class Axis(NamedTuple):
    """The names along one axis of a leaf."""

    names: tuple[Name, ...]
    inputs: bool = False  # whether it is summed over: what is new is then read with weights of 0
    otherwise: Name = None  # whose place serves for a name that is not there


class Words(NamedTuple):
    """What the places in the networks of a learner stand for."""

    features: tuple[Name, ...]
    actions: tuple[Name, ...]
    layers: tuple[Name, ...]
    window: int  # cells, the side of the map window
    roles: tuple[Name, ...]  # with `NOBODY` last; () for a network without roles
    config: TrainConfig


def words_of(world: World, config: TrainConfig) -> Words:
    """The words of a learner in a world."""
    features = []
    for entry in schema(world):
        size = entry.stop - entry.start
        features += [("feature", entry.name, word) for word in entry.entries or range(size)]
    jobs = world.static.names.jobs if world.static.has("employment") else ()
    return Words(
        features=tuple(features),
        actions=world.static.actions.names,
        layers=tuple(layer_names(world)),
        window=world.static.window,
        roles=(*jobs, NOBODY) if config.roles == "jobs" else (),
        config=config,
    )


def read_by(words: Words, tower: str) -> tuple[Name, ...]:
    """What the first layer of a tower ("actor" or "critic") reads, in the order of `networks.Encoder`."""
    config, names = words.config, list(words.features)
    if tower == "critic" and config.critic == "central":
        names += [("town", i) for i in range(2 * config.hidden[0])]
    names += [("identity", i) for i in range(config.embedding)]
    return (*names, *(("view", i) for i in range(config.hidden[0] if words.layers else 0)))


def cells(words: Words) -> tuple[Name, ...]:
    """What the layer over the map reads: each patch, by its steps from the middle, and its channels."""
    reach = (words.window - SIDE) / 2
    steps = [-reach + i for i in range(words.window - SIDE + 1)]
    return tuple(product(steps, steps, range(words.config.conv)))


def axes(words: Words, path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """The names along the axes of a leaf of the parameters.

    Args:
        words: of the learner.
        path: such as ("actor", "hidden_0", "kernel"), without what is around the two towers.
        shape: of the leaf.
    """
    found: dict[int, Axis] = {0: Axis(words.roles, otherwise=NOBODY)} if words.roles else {}
    first = len(found)
    match path:
        case (tower, "hidden_0", "kernel"):
            found[first] = Axis(read_by(words, tower), inputs=True)
        case (_, "stem", "kernel"):
            found[first] = Axis(tuple(product(range(SIDE**2), words.layers)), inputs=True)
        case (_, "view", "kernel"):
            found[first] = Axis(cells(words), inputs=True)
        case ("town", "kernel"):
            found[first] = Axis(words.features, inputs=True)
        case ("habit", "kernel"):
            found |= {first: Axis(words.features, inputs=True), first + 1: Axis(words.actions)}
        case ("policy", _):
            found[len(shape) - 1] = Axis(words.actions)
    return tuple(found.get(i, Axis(tuple(range(size)))) for i, size in enumerate(shape))


def plain(path: Any) -> tuple[str, ...]:
    """The names along a path of a tree of parameters, without `params` and `body` around them."""
    names = tuple(str(entry.key) for entry in path)
    return tuple(name for i, name in enumerate(names) if not (i < 2 and name in ("params", "body")))


def common(here: Axis, there: Axis) -> tuple[list[int], list[int]]:
    """The places along the new axis that have one along the old axis, and which."""
    index = {name: i for i, name in enumerate(there.names)}
    of = lambda name: index.get(name, index.get(here.otherwise))
    pairs = [(i, of(name)) for i, name in enumerate(here.names)]
    found = [(i, j) for i, j in pairs if j is not None]
    return [i for i, _ in found], [j for _, j in found]


def moved(
    fresh: np.ndarray, old: np.ndarray, here: tuple[Axis, ...], there: tuple[Axis, ...], blank: bool
) -> np.ndarray:
    """A leaf of the new learner: what has a name in the old one is taken from there.

    Args:
        fresh: the leaf of a fresh learner.
        old: the leaf of the old one.
        here: the new axes.
        there: the old axes.
        blank: whether what is new along an axis of inputs is 0, and not fresh.

    Raises:
        RunError: the names do not fit the leaf.
    """
    for leaf, along in ((fresh, here), (old, there)):
        if leaf.shape != tuple(len(axis.names) for axis in along):
            raise RunError(f"a leaf of shape {list(leaf.shape)} has {[len(axis.names) for axis in along]} names")
    pairs = [common(a, b) for a, b in zip(here, there, strict=True)]
    result = fresh.copy()
    if blank:
        reached = [range(len(axis.names)) if axis.inputs else new for axis, (new, _) in zip(here, pairs)]
        result[np.ix_(*reached)] = 0
    result[np.ix_(*(new for new, _ in pairs))] = old[np.ix_(*(taken for _, taken in pairs))]
    return result


def carried_tree(fresh: Any, old: Any, here: Words, there: Words, fill: str = "") -> Any:
    """Parameters, or one of Adam's moments of them, of the old learner in the shapes of the new one.

    Args:
        fresh: the tree of a fresh learner.
        old: the tree of the old one.
        here: the words of the new learner.
        there: those of the old one.
        fill: what is new: "" as in a fresh network, "zero", or "mean" of the old leaf, of all of them if there is none.
    """
    leaves = {plain(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(old)}
    whole = sum(float(leaf.sum()) for leaf in leaves.values()) / sum(leaf.size for leaf in leaves.values())

    def one(path: Any, leaf: Any) -> Any:
        leaf, name = np.asarray(leaf), plain(path)
        was = leaves.get(name)
        if fill:
            mean = whole if was is None else float(was.mean())
            leaf = np.full_like(leaf, mean if fill == "mean" else 0)
        if was is None:
            return jnp.asarray(leaf)
        along = axes(here, name, leaf.shape), axes(there, name, was.shape)
        return jnp.asarray(moved(leaf, was, *along, blank=not fill))

    return jax.tree_util.tree_map_with_path(one, fresh)


def carried_adam(fresh: Any, old: Any, here: Words, there: Words) -> Any:
    """The state of Adam of the old learner in the shapes of the new one."""
    mean = carried_tree(fresh.mu, old.mu, here, there, "zero")
    square = carried_tree(fresh.nu, old.nu, here, there, "mean")
    return fresh._replace(count=old.count, mu=mean, nu=square)


def carried_curiosity(fresh: Curiosity, old: Curiosity, here: Words, there: Words) -> Curiosity:
    """Curiosity that knows what it knew; features that only the new world shows are new to it, as they are to a fresh one."""

    def along(words: Words, leaf: np.ndarray) -> tuple[Axis, ...]:
        first = leaf.ndim == 2 and leaf.shape == (len(words.features), WIDTHS[0])
        inner = [Axis(tuple(range(size))) for size in leaf.shape]
        return (Axis(words.features), *inner[1:]) if first else tuple(inner)

    def take(new: Any, was: Any, fill: str = "") -> Any:
        def one(leaf: Any, before: Any) -> Any:
            leaf, before = np.asarray(leaf), np.asarray(before)
            leaf = np.full_like(leaf, before.mean() if fill == "mean" else 0) if fill else leaf
            return jnp.asarray(moved(leaf, before, along(here, leaf), along(there, before), blank=False))

        return jax.tree.map(one, new, was)

    adam = old.opt_state
    return Curiosity(
        target=take(fresh.target, old.target),
        predictor=take(fresh.predictor, old.predictor),
        opt_state=adam._replace(
            mu=take(fresh.opt_state.mu, adam.mu, "zero"), nu=take(fresh.opt_state.nu, adam.nu, "mean")
        ),
        moments=old.moments,
    )


def fits(here: TrainConfig, there: TrainConfig, told: str = "") -> None:
    """Refuse to carry what was learned between networks of two kinds.

    Args:
        here: the new learner.
        there: the old one.
        told: what the message begins with.

    Raises:
        RunError: names the key and both values.
    """
    for key in NETWORK_KEYS:
        was, now = getattr(there, key), getattr(here, key)
        if was != now:
            raise RunError(
                f"{told}{key} was {was!r} and is {now!r}: what was learned can be carried into equal networks only"
            )


def carried(fresh: Runner, old: Runner, here: Words, there: Words) -> Runner:
    """A runner at the start of the new world that acts as the old one did.

    Args:
        fresh: a fresh runner of the new world.
        old: the runner of the old world at its end.
        here: the words of the new learner, of `words_of`.
        there: those of the old one.

    Raises:
        RunError: the networks are not of one kind.
    """
    fits(here.config, there.config)
    runner = fresh.replace(
        params=carried_tree(fresh.params, old.params, here, there),
        opt_state=carried_adam(fresh.opt_state, old.opt_state, here, there),
    )
    if here.config.curiosity and there.config.curiosity:
        runner = runner.replace(curiosity=carried_curiosity(fresh.curiosity, old.curiosity, here, there))
    return runner
