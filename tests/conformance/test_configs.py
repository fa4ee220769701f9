"""Worlds written wrongly, each refused at once and in words; worlds with other numbers, each of which runs; all shipped ones.

Texts that are no YAML, or not ours, are in `tests/config/test_load.py`; here are wrong values and names in the whole town.
"""

import itertools
import json
import time
import tracemalloc

import jax
import numpy as np
import pytest

from townlet_jax import ConfigError, load
from townlet_jax.config import allowed
from townlet_jax.config.load import dump, shipped, validate
from townlet_jax.config.schema import world_model
from townlet_jax.systems import ORDER
from townlet_jax.testing import draws
from townlet_jax.worlds import compile_document, read

MODEL = world_model(ORDER)
OWN = {f"systems.{system.name}.{field}" for system in ORDER for field in system.Config.model_fields}
RNG = np.random.default_rng(15)


def written(folder, path, text):
    """A file whose third line sets one key of the whole town."""
    first, *keys = path.split(".")
    for key in reversed(keys):
        text = f"{{{key}: {text}}}"
    file = folder / "wrong.yaml"
    file.write_text(f"extends: m5\nname: wrong\n{first}: {text}\n")
    return file


def places():
    """Every single number of the whole town that a file can set by name: (path, number, what is allowed)."""
    found = draws.numbers(validate(MODEL, read("m5")), allowed.Slot(MODEL))
    named = (place for place in found if not any(part.isdigit() for part in place[0].split(".")))
    return [place for place in named if draws.is_number(place[1])]


def beyond(path, number, slot):
    """Numbers outside the bounds of a place: path, text, and what the message must say."""
    for bound, step in zip(draws.bounds(slot), (-1, 1)):
        if bound is not None:
            text = json.dumps(type(number)(bound + step))
            yield path, text, [f"wrong.yaml:3: {path}: {text} is ", "(allowed: ", f" {path.rsplit('.', 1)[-1]}"]


def loose(path, number, slot):
    """What is no number."""
    noun = "is not an integer" if isinstance(number, int) else "is not a number"
    yield path, "much", [f"wrong.yaml:3: {path}: 'much' {noun} (allowed: "]
    yield path, "true", [f"wrong.yaml:3: {path}: True {noun} (allowed: "]
    yield path, "[1, 2]", [f"wrong.yaml:3: {path}: [1, 2] {noun} (allowed: "]
    yield path, ".nan", [f"wrong.yaml:3: {path}: .nan ", "finite"]


def misspelt(path, number, slot):
    """A key with a letter too many."""
    if path in OWN:
        yield f"{path}s", "1", [f"wrong.yaml:3: {path}s: unknown key (allowed: ", f"Did you mean '{path}'?"]


def some(make, number):
    """So many faults of a kind, from all over the configuration."""
    every = [fault for place in places() for fault in make(*place)]
    return [every[i] for i in RNG.choice(len(every), number, replace=False)]


FAULTS = some(beyond, 90) + some(loose, 80) + some(misspelt, 30)


def test_there_are_two_hundred_faults():
    assert len({fault[:2] for fault in FAULTS}) == 200 and len({tuple(path.split(".")[:2]) for path, *_ in FAULTS}) > 15


@pytest.mark.parametrize(("path", "text", "words"), FAULTS, ids=[f"{path}={text}" for path, text, _ in FAULTS])
def test_a_fault_is_refused_at_once_and_in_words(tmp_path, path, text, words):
    """File, line, path, value, what is allowed and the nearest key; in less than 100 ms of a core, at best of three."""
    file, spent = written(tmp_path, path, text), []
    for _ in range(3):
        began = time.thread_time()
        with pytest.raises(ConfigError) as caught:
            compile_document(read(file))
        spent.append(time.thread_time() - began)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert min(spent) < 0.1


BOMBS = {
    "an alias bomb": "a: &a [1, 1]\n"
    + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise("abcdefghij")),
    "a megabyte": "name: " + "x" * (1 << 20),
    "depth": "a: " + "[" * 5000 + "]" * 5000,
    "many nodes": "a: [" + "1," * 31_000 + "1]",
    "a long number": "num_agents: " + "9" * 60_000,
    "an endless chain": "extends: wrong.yaml\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_take_long_is_refused_in_little_memory(tmp_path, bomb):
    (tmp_path / "wrong.yaml").write_text(BOMBS[bomb])
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="wrong.yaml"):
            compile_document(read(tmp_path / "wrong.yaml"))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("preset", "number"),
    [("town", 15), ("m5", 15), *(pytest.param(p, 200, marks=pytest.mark.slow) for p in ("town", "m5"))],
)
def test_other_numbers_within_the_schema_make_worlds(preset, number):
    """Each can be written down and read back."""
    for settings, world in itertools.islice(draws.random_worlds(preset, seed=number), number):
        again = load(preset, **json.loads(json.dumps(settings)))
        assert settings and again.static == world.static
    assert world.static.config_id != load(preset).static.config_id


def test_what_is_drawn_is_allowed_and_differs():
    """Bounds are met: of 2,000 draws of a probability some are 0, some are 1, none is outside."""
    slot, rng = allowed.fields(allowed.fields(MODEL)["systems"].model)["chat"], np.random.default_rng(0)
    base = allowed.fields(allowed.choices(slot)[0].model)["base"]
    found = [draws.drawn(rng, 0.5, base) for _ in range(2000)]
    assert min(found) == 0 and max(found) == 1 and 500 < len(set(found))


SHIPPED = [*shipped("worlds"), *shipped("scenarios")]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_world_reads_back(name, tmp_path):
    """And loads from what it says; `test_worlds` plays each."""
    document = read(name)
    file = tmp_path / "again.yaml"
    file.write_text(dump(document.tree), encoding="utf-8")
    again, world = load(file), compile_document(document)
    assert again.static == world.static
    same = jax.tree.map(lambda a, b: np.array_equal(a, b) and a.dtype == b.dtype, again, world)
    assert all(jax.tree.leaves(same))
