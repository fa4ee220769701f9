"""Writes the pages that follow from the code: what agents see and do, and every key and flag there is.

python docs/generate.py           writes observations.md and configuration.md, and the tables of worlds.md and of the README
python docs/generate.py --check   writes nothing; exits 1 if a page differs from what the code says
"""

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from townlet_jax import World, load, schema
from townlet_jax.config import schema as world_schema
from townlet_jax.config.allowed import Slot, allowed, choices, fields
from townlet_jax.config.load import shipped
from townlet_jax.config.validate import validate
from townlet_jax.observe import layer_names
from townlet_jax.systems import ORDER
from townlet_jax.worlds import read
from train.config import TrainConfig
from train.curricula.stages import Curriculum
from train.population import PopulationConfig
from train.promotion.thresholds import Gate
from train.sweeps.members import SweepConfig

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py. Change the code, then run `python docs/generate.py`. -->\n"
VARIANTS = ("compact", "hybrid", "full")
KINDS = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "mapping, see below"}

LAYER_MEANING = {
    "blocked": "nobody can stand there: a blocking ground, a facility, or beyond the edge of the map",
    "door": "a door",
    "facility": "a facility",
    "post": "a post, where somebody works",
    "agent": "another living agent",
    "busy_agent": "another living agent for whom an offer runs",
    "reserved": "a facility that somebody holds",
    "usable": "a facility that the agent itself could use now",
}

MASKS = {
    "wait": "always",
    "all others": "only while the agent is free: alive, nothing runs for it, and it is not committed to an option. An "
    "option commits for `commit_ticks`. The commitment lapses when something ends, or while a need is below "
    "`override_need`",
    "move_<direction>": "the cell there can be entered at all; somebody who stands there does not count",
    "use_<offer>": "`go_<offer>` is allowed, and the facility is at most `reach` steps away",
    "go_<offer>": "the offer is made at this hour, the facility that the agent would use has the stock, and the agent "
    "has the money and the items",
    "go_work": "from `notice` ticks before the own shift until its end; in the shift only for who is expected there",
    "go_home": "the agent does not stand on the middle cell of its home",
}

OBSERVATIONS = """\
# Observations and actions of the town

{note}
This page describes the shipped world `town`. Another world has other offers, items, jobs and needs, and so other
indices: `townlet_jax.schema` lists them, and `townlet_jax.explain` reads one observation out in words.

```python
import jax
from townlet_jax import explain, make

env = make("town", **{{"observation.variant": "compact"}})
words = explain(env.world, env.observe(env.reset(jax.random.key(0))), agent=0)
assert 0.5 <= words["need_hunger"] <= 0.9 and "wait" in words["allowed"]
```

## Parts

The world's key `observation.variant` chooses the variant. `compact` has no
map, `hybrid` a thin map and directions, `full` a map of every kind of facility and the same directions.

{parts}
## Features

All variants have these. A slot without a living person has zeros.

{features}
`hybrid` and `full` have these besides:

{directions}
With the key `observation.ways` all variants have this behind all else, for policies that walk on their own feet (primitive
actions); the indices are those of `compact`:

{ways}
## Map layers

`hybrid` and `full` have them: a window of {side} x {side} cells (key `observation.window`), 0 or 1, the agent in the middle,
north up.

{layers}
## Actions

Primitives come first, then options. An option is a small scripted controller that goes on for `commit_ticks` ticks.

{actions}
## Mask rules

An action is allowed when the agent could begin it now. The predicates are those of the systems themselves.

{masks}
An action that is not allowed does no harm. It counts as `wait`, or it is tried and fails. An index that does not exist
counts as `wait`. A slot without a living person may only wait.
"""

CONFIGURATION = """\
# Configuration

{note}
All YAML is read strictly: an unknown key, a duplicate key, a loose type, an anchor, a tag or a number that is not
finite is an error with file and line. `extends: other.yaml` at the top level takes another file as the base; lists are
replaced, mappings are merged. Checks that concern several keys at once are described in [worlds.md](worlds.md).

## The world

Such as `configs/worlds/town.yaml`. A system that `systems` does not name is off. In the headings `[]` stands for an
index and `*` for a word.

{world}
## The learner

Such as `configs/train/ppo_town.yaml`.

{learner}
## Sweeps

Such as `configs/sweeps/seeds_and_rates.yaml`; see [sweeps.md](sweeps.md).

{sweep}
## Populations

Such as `configs/sweeps/pbt_town.yaml`; see [sweeps.md](sweeps.md).

{population}
## The curriculum

Such as `configs/curricula/curriculum.yaml`; see [curriculum.md](curriculum.md).

{curriculum}
## The gate of promotions

Such as `configs/promotion/gate.yaml`; see [promotion.md](promotion.md).

{gate}
## Commands

{commands}"""


def row(*cells: object) -> str:
    """One row of a Markdown table; a word in angle brackets outside code style would be read as HTML."""
    texts = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells]
    return "| " + " | ".join(text if "`" in text else re.sub(r"<(?=[a-z])", "&lt;", text) for text in texts) + " |"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = tuple(head)
    return "\n".join([row(*head), "|" + "---|" * len(head), *(row(*cells) for cells in rows)]) + "\n"


def code(words: Iterable[str]) -> str:
    """Words in code style, with commas between them."""
    return ", ".join(f"`{word}`" for word in words)


def span(start: int, stop: int) -> str:
    """A range of indices, both ends included."""
    return str(start) if stop - start == 1 else f"{start}-{stop - 1}"


def meaning(world: World, action: str) -> str:
    """What an action does, in words."""
    verb, _, what = action.partition("_")
    if what in ("work", "home"):
        return f"walks to one's own {'post' if what == 'work' else 'home'} and stays"
    names = world.static.names
    kind = dict(zip(names.offers, names.offer_kinds)).get(what, "").replace("_", " ")
    return {
        "wait": "carries on with the option in progress while it binds; otherwise does nothing",
        "move": f"one step {what}",
        "use": f"stands in the queue of the {kind} for this tick; begins `{what}` if first and in the user's place",
        "go": f"walks to the {kind}, queues, and begins `{what}`",
    }[verb]


def features_table(world: World, known: Iterable[str] = ()) -> str:
    """The feature vector, without the fields that are known."""
    lines = [
        (span(e.start, e.stop), f"`{e.name}`", code(e.entries) or "-", e.unit, f"{e.low:g} to {e.high:g}")
        for e in schema(world)
        if e.name not in known
    ]
    return table(("index", "name", "entries", "unit", "range"), lines)


def observations() -> str:
    """The page docs/observations.md."""
    worlds = [load("town", **{"observation.variant": variant}) for variant in VARIANTS]
    compact, hybrid, full = worlds
    walks = load("town", **{"observation.variant": "compact", "observation.ways": True})
    if schema(hybrid) != schema(full):
        raise SystemExit("docs/generate.py: the variants with a map differ in their features; write two tables")
    A, actions = hybrid.static.num_agents, hybrid.static.actions.names
    width = lambda world: f"[{A}, {schema(world)[-1].stop}]"
    shape = lambda world: f"[{A}, {len(layer_names(world))}, {world.static.window}, {world.static.window}]"
    parts = [
        ("`features`", "f32", *map(width, worlds)),
        ("`layers`", "u8", *map(shape, worlds)),
        ("`action_mask`", "bool", *[f"[{A}, {len(actions)}]"] * len(worlds)),
    ]
    thin, number = layer_names(hybrid), {name: i for i, name in enumerate(layer_names(full))}
    kind = lambda name: LAYER_MEANING.get(name) or f"a {name.removeprefix('kind_').replace('_', ' ')}"
    layers = [(thin.index(name) if name in thin else "-", i, f"`{name}`", kind(name)) for name, i in number.items()]
    acts = [(i, f"`{name}`", meaning(hybrid, name)) for i, name in enumerate(actions)]
    return OBSERVATIONS.format(
        note=NOTE,
        parts=table(("part", "type", *VARIANTS), parts),
        features=features_table(compact),
        directions=features_table(hybrid, [entry.name for entry in schema(compact)]),
        ways=features_table(walks, [entry.name for entry in schema(compact)]),
        side=hybrid.static.window,
        layers=table(("hybrid", "full", "name", "1 means"), layers),
        actions=table(("index", "name", "what it does"), acts),
        masks=table(
            ("action", "allowed"),
            ((f"`{name}`" if "_" in name or name == "wait" else name, rule) for name, rule in MASKS.items()),
        ),
    )


def typed(kind: Any, nested: bool = True) -> str:
    """A type in the words of YAML; the choices of a key itself stand in its range."""
    origin, inside = get_origin(kind), get_args(kind)
    if kind in KINDS:
        return KINDS[kind]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"`{kind.__name__}`"
    if origin is dict:
        return f"mapping: {typed(inside[0])} to {typed(inside[1])}"
    if origin is tuple:
        return f"list of {typed(inside[0])}" if inside[-1] is Ellipsis else f"list of {len(inside)}: {typed(inside[0])}"
    if NoneType in inside:
        return " or ".join(typed(part) for part in inside if part is not NoneType) + ", or null"
    if origin is Annotated:
        bounds = {type(bound).__name__.lower(): bound for bound in getattr(inside[1], "metadata", ())}
        least = [f"above {bounds['gt'].gt}"] if "gt" in bounds else [f"{bounds['ge'].ge}"] if "ge" in bounds else []
        most = [f"{bounds['le'].le}"] if "le" in bounds else []
        return typed(inside[0]) + (f" from {' to '.join(least + most)}" if least and most else "")
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in inside) if nested else "choice"
    return str(kind)


def written(value: Any) -> str:
    """A value as YAML writes it in a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(written(part) for part in value) + "]"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def default(field: Any) -> str:
    """The value that a key has when it is not written."""
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{written(field.default)}`"


def bounds(slot: Slot, name: str) -> str:
    """The range of a key, without the name of its type."""
    words = allowed(slot, name) if not any(choice.model for choice in choices(slot)) else ""
    for noun in ("an integer", "a number", "a string", "true or false", "a mapping", "a list", "null"):
        words = words.replace(f" or {noun}", "").removeprefix(noun).removeprefix(", ")
    words = "" if words.startswith(" of ") else words  # the length of a list is in its type
    return re.sub(r"matching (.*)", r"matching `\1`", words) or "-"


def keys(model: type[BaseModel]) -> str:
    """The table of a model's keys."""
    slots = fields(model)
    lines = [
        (
            f"`{name}`",
            typed(slots[name].kind, nested=False),
            default(field),
            bounds(slots[name], name),
            field.description or "-",
        )
        for name, field in model.model_fields.items()
    ]
    return table(("key", "type", "default", "range", "description"), lines)


def inner(kind: Any) -> Iterator[type[BaseModel]]:
    """The models inside a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from inner(part)


def section(path: str, model: type[BaseModel], note: str = "") -> Iterator[str]:
    """The keys of a model, then those of the models inside it; `note` is a sentence for the first."""
    first = (model.__doc__ or "").strip().split("\n")[0]
    yield f"### `{path}`\n" if path else "### The top level\n"
    yield f"{first} {note}".strip() + "\n"
    yield keys(model)
    for name, slot in fields(model).items():
        for part in inner(slot.kind):
            several = {dict: ".*", tuple: "[]"}.get(get_origin(slot.kind), "")
            yield from section(f"{path}.{name}".strip(".") + several, part)


def flags(parser: argparse.ArgumentParser) -> str:
    """The table of a command's flags."""
    lines = []
    for action in parser._actions:
        word = action.metavar or (f"{{{','.join(action.choices)}}}" if action.choices else action.dest.upper())
        value = "" if action.nargs == 0 else f" [{word}]" if action.nargs == "?" else f" {word}"
        unset = action.default in (None, False, [], argparse.SUPPRESS)
        given = "required" if action.required else "-" if unset else action.default
        again = " (may be repeated)" if isinstance(action.default, list) else ""
        lines.append((f"`{', '.join(action.option_strings)}{value}`", given, f"{action.help}{again}"))
    return table(("flag", "default", "meaning"), lines)


def command_parsers() -> dict[str, Callable[[], argparse.ArgumentParser]]:
    """The commands of `train`, by the module's name: every file there that has a `parser`."""
    names = [path.stem for path in sorted((DOCS.parent / "train").glob("*.py")) if "\ndef parser(" in path.read_text()]
    return {f"train.{name}": importlib.import_module(f"train.{name}").parser for name in names}


def configuration() -> str:
    """The page docs/configuration.md."""
    world = list(section("", world_schema.WorldConfig))
    for system in ORDER:
        needs = f"Needs the systems {code(system.requires)}." if system.requires else ""
        world += section(f"systems.{system.name}", system.Config, needs)
    parsers = [parser() for parser in command_parsers().values()]
    commands = [f"### `{parser.prog}`\n\n{parser.description}\n\n{flags(parser)}" for parser in parsers]
    return CONFIGURATION.format(
        note=NOTE,
        world="\n".join(world),
        learner=keys(TrainConfig),
        sweep="\n".join(section("", SweepConfig)),
        population="\n".join(section("", PopulationConfig)),
        curriculum="\n".join(section("", Curriculum)),
        gate="\n".join(section("", Gate)),
        commands="\n".join(commands),
    )


def clock(tick: int) -> str:
    """A tick of a day of 1,440 ticks as the time of day."""
    return f"{tick // 60:02d}:{tick % 60:02d}"


def signed(changes: dict[str, float], sign: int = 1) -> str:
    """What changes by how much, such as `hygiene +0.45`."""
    return ", ".join(f"{word} {sign * change:+g}" for word, change in changes.items())


def town_offers(town: Any) -> str:
    """The offers of a world with its prices."""
    prices = town.systems.economy.prices
    lines = [
        (
            f"`{o.name}`",
            f"`{o.at}`",
            o.ticks,
            signed(o.effects) or "-",
            ", ".join(part for part in (signed(o.takes, -1), signed(o.gives)) if part) or "-",
            o.stock or "-",
            f"{prices[o.name]:g}" if o.name in prices else "-",
            f"{clock(o.hours[0])}-{clock(o.hours[1])}" if o.hours else "always",
        )
        for o in town.systems.affordances.offers
    ]
    return table(("offer", "at", "ticks", "effects", "items", "stock", "coins", "hours"), lines)


def town_jobs(town: Any) -> str:
    """The jobs of a world, with their posts and slots."""
    posts = "".join(town.map.rows)
    marks = {mark.post: sign for sign, mark in town.map.legend.items() if mark.post}
    world = load("town")
    of = [world.static.names.jobs[int(world.map.post_job[int(post)])] for post in world.map.agent_post]
    lines = [
        (
            f"`{job.name}`",
            f"{clock(job.start)}-{clock(job.end)}",
            job.end - job.start,
            f"{job.wage:g}",
            f"{(job.end - job.start) * job.wage:.2f}",
            f"{job.late_fine:g}",
            posts.count(marks[job.name]),
            ", ".join(str(slot) for slot, name in enumerate(of) if name == job.name),
        )
        for job in town.systems.employment.jobs
    ]
    return table(("job", "shift", "ticks", "wage a tick", "wage a day", "late fine", "posts", "slots"), lines)


def town_map(town: Any) -> str:
    """The drawing."""
    return f"```text\n{town.map.rows.rstrip()}\n```\n"


def town_legend(town: Any) -> str:
    """What each character of the drawing means."""
    lines = []
    for sign, mark in town.map.legend.items():
        things = (
            mark.facility,
            mark.post and f"post of a {mark.post}",
            mark.place and f"name of the place: {mark.place}",
        )
        words = [word for word in (*things, "middle of a home" * mark.home, "entry" * mark.entry) if word]
        lines.append((f"`{sign}`", mark.ground, ", ".join(words) or "-"))
    return table(("mark", "ground", "on it"), lines)


def about(path: Path) -> str:
    """What a world says of itself: the first sentence of the comment that its file begins with."""
    lines = path.read_text(encoding="utf-8").split("\n")
    comment = " ".join(line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    return re.split(r"(?<=\.)\s", comment, maxsplit=1)[0].rstrip(".") or "-"


def systems_of(config: Any) -> list[str]:
    """The systems that a world runs, in their order."""
    return [system.name for system in ORDER if getattr(config.systems, system.name) is not None]


def shipped_worlds(town: Any) -> str:
    """The worlds that come with the library."""
    lines = []
    for name, path in sorted(shipped("worlds").items()):
        config = validate(world_schema.world_model(ORDER), read(name))
        more = code(name for name in systems_of(config) if name not in systems_of(town))
        drawn = "drawn" if config.map.generate is None else f"from seed {config.map.generate.seed}"
        lines.append((f"`{name}`", config.num_agents, drawn, more or "-", about(path)))
    return table(("world", "agents", "map", "systems besides the town's", "what it is"), lines)


TABLES = {"map": town_map, "legend": town_legend, "offers": town_offers, "jobs": town_jobs, "shipped": shipped_worlds}


def marked(path: Path) -> str:
    """A page with the tables between its markers written anew."""
    town = validate(world_schema.world_model(ORDER), read("town"))
    text = path.read_text(encoding="utf-8")
    for name, write in TABLES.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            text = before + begin + write(town) + end + rest.partition(end)[2]
    return text


def worlds() -> str:
    """The page docs/worlds.md."""
    return marked(DOCS / "worlds.md")


def readme() -> str:
    """The README."""
    return marked(DOCS.parent / "README.md")


PAGES = {
    "observations.md": observations,
    "configuration.md": configuration,
    "worlds.md": worlds,
    "../README.md": readme,
}


def named(name: str) -> str:
    """A page as it is called in the repository."""
    return (DOCS / name).resolve().relative_to(DOCS.resolve().parent).as_posix()


def stale() -> list[str]:
    """A message for each page that is not what the code says."""
    messages = []
    for name, write in PAGES.items():
        path, wanted = DOCS / name, write()
        found = path.read_text(encoding="utf-8") if path.is_file() else ""
        if found != wanted:
            changes = difflib.unified_diff(
                found.splitlines(), wanted.splitlines(), "on disk", "from the code", lineterm="", n=0
            )
            shown = "\n".join(f"    {line}" for line in list(changes)[:12])
            messages.append(f"{named(name)} is out of date: run `python docs/generate.py`\n{shown}")
    return messages


def main() -> None:
    """Write the pages, or check them."""
    options = argparse.ArgumentParser(description="Write the pages that follow from the code.")
    options.add_argument("--check", action="store_true", help="write nothing, exit 1 if a page is out of date")
    if options.parse_args().check:
        messages = stale()
        print("\n".join(messages) or f"{len(PAGES)} pages are up to date", file=sys.stderr if messages else sys.stdout)
        sys.exit(1 if messages else 0)
    for name, write in PAGES.items():
        (DOCS / name).write_text(write(), encoding="utf-8")
        print(f"wrote {named(name)}")


if __name__ == "__main__":
    main()
