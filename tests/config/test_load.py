"""Loading configurations: what is refused and how it is said, merging, overrides, round trips."""

import hashlib
import time
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, model_validator

from townlet_jax.config import load
from townlet_jax.config.load import ConfigError, config_id, dump, find, read_yaml, resolve, validate
from townlet_jax.types import Section


class Train(Section):
    learning_rate: float = Field(3e-4, gt=0, le=1)
    num_envs: int = Field(8, ge=1, le=1 << 16)
    num_minibatches: int = Field(4, ge=1)
    anneal_lr: bool = True
    optimizer: Literal["adam", "lion"] = "adam"
    hidden: tuple[int, ...] = (64, 64)
    size: tuple[int, int] = (8, 8)
    limit: int | None = Field(None, ge=0)
    every: int | Literal["never"] = 1

    @model_validator(mode="after")
    def _divides(self):
        if self.num_envs % self.num_minibatches:
            raise ValueError(f"num_minibatches {self.num_minibatches} does not divide num_envs {self.num_envs}")
        return self


class Food(Section):
    kind: Literal["food"]
    food: int = Field(1, ge=0)


class Bed(Section):
    kind: Literal["bed"]
    rest: float = 0.5


class Config(Section):
    seed: int = Field(ge=0, lt=2**32, description="seed of the run")
    name: str = Field("town", pattern="^[a-z]+$")
    train: Train = Train()
    places: tuple[Annotated[Food | Bed, Field(discriminator="kind")], ...] = ()
    wages: dict[str, int] = {}


GOOD = """\
# a valid configuration
seed: 7
name: village
train:
  learning_rate: 3e-4
  num_envs: 16
  anneal_lr: false
  hidden: [32, 32]
places:
  - {kind: food, food: 2}
  - kind: bed
    rest: .25
wages: {"baker": 12, 'smith': +15}
"""


@pytest.fixture
def write(tmp_path):
    def save(text, name="x.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return save


def fault_of(call, *arguments):
    """The message of the ConfigError that the call must raise in under 100 ms (best of three on a shared machine)."""
    spent = []
    for _ in range(3):
        start = time.thread_time()
        with pytest.raises(ConfigError) as caught:
            call(*arguments)
        spent.append(time.thread_time() - start)
    assert min(spent) < 0.1
    return str(caught.value)


UNREADABLE = {
    "empty": ("", ["x.yaml:1:", "empty", "mapping"]),
    "only a comment": ("# nothing\n", ["empty"]),
    "list root": ("- 1\n- 2\n", ["x.yaml:1:", "[1, 2]", "mapping"]),
    "scalar root": ("\n\nhello\n", ["x.yaml:3:", "hello", "mapping"]),
    "byte order mark": (b"\xef\xbb\xbfseed: 1\n", ["byte order mark", "UTF-8"]),
    "UTF-16": ("seed: 1\n".encode("utf-16"), ["UTF-16", "UTF-8"]),
    "UTF-16 without mark": ("seed: 1\n".encode("utf-16-le"), ["NUL", "UTF-8"]),
    "NUL": (b"seed: 1\nname: a\0b\n", ["x.yaml:2:", "NUL"]),
    "not UTF-8": (b"seed: 1\nname: \xff\n", ["x.yaml:2:", "0xff", "UTF-8"]),
    "tab": ("train:\n\tnum_envs: 1\n", ["x.yaml:2:", "tab", "spaces"]),
    "1 MiB": ("a: " + "x" * (1 << 20), ["64 KiB"]),
    "anchor": ("seed: &s 1\n", ["x.yaml:1:", "seed", "&s", "anchor"]),
    "alias": ("a: 1\nb: *a\n", ["x.yaml:2:", "b", "*a", "alias"]),
    "alias bomb": ("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n", ["x.yaml:1:", "&a"]),
    "merge key": ("a: {b: 1}\nc:\n  <<: *a\n", ["x.yaml:3:", "*a"]),
    "tag": ("seed: !!int 1\n", ["x.yaml:1:", "seed", "tag"]),
    "python tag": ("seed: !!python/object/apply:os.system [ls]\n", ["python", "tag"]),
    "directive": ("%YAML 1.2\n---\nseed: 1\n", ["directive"]),
    "two documents": ("seed: 1\n---\nseed: 2\n", ["x.yaml:2:", "second document"]),
    "depth 50": ("a: " + "[" * 50 + "]" * 50, ["x.yaml:1:", "deep", "12"]),
    "depth 5000": ("[" * 5000, ["deep", "12"]),
    "many nodes": ("a: [" + "1," * 21000 + "1]", ["x.yaml:1: too many", "20000"]),
    "one node more": ("a: [" + "1, " * 19997 + "1]", ["too many", "20000"]),
    "many pairs": ("a: [" + "b: 1," * 9000 + "b: 1]", ["too many", "20000"]),
    "duplicate": ("train:\n  num_envs: 1\n\n  num_envs: 2\n", ["x.yaml:4:", "train.num_envs", "duplicate", "line 2"]),
    "duplicate, quoted": ('a: 1\n"a": 2\n', ["x.yaml:2:", "a", "line 1"]),
    "number key": ("wages:\n  1: 2\n", ["x.yaml:2:", "wages", "key 1", "string"]),
    "null key": ("wages: {~: 2}\n", ["None", "string"]),
    "list key": ("? [a, b]\n: 1\n", ["key", "strings"]),
    "octal": ("train:\n  num_envs: 010\n", ["x.yaml:2:", "train.num_envs", "010", "leading zero", "decimal"]),
    "hexadecimal": ("seed: 0x1F\n", ["seed", "0x1F", "decimal"]),
    "underscore": ("seed: 1_000\n", ["seed", "1_000", "without underscores"]),
    "infinity": ("seed: .inf\n", ["seed", ".inf", "finite"]),
    "minus infinity": ("seed: -.INF\n", ["seed", "-.INF", "finite"]),
    "not a number": ("places: [.nan]\n", ["places.0", ".nan", "finite"]),
    "float overflow": ("seed: 1e999\n", ["seed", "1e999", "finite"]),
    "huge integer": ("seed: " + "9" * 5000 + "\n", ["seed", "999...", "18 digits"]),
    "capital": ("train: {anneal_lr: True}\n", ["train.anneal_lr", "True", "true, false"]),
    "unclosed": ("seed: [1, 2\n", ["x.yaml:1:", "not valid YAML"]),
    "unclosed quote": ('seed: "a\n', ["not valid YAML"]),
    "bad indentation": ("a:\n    b: 1\n  c: 2\n", ["x.yaml:3:", "not valid YAML"]),
    "control character": (b"a: \x07\n", ["not valid YAML"]),
    "surrogate": ('a: "\\ud800"\n', ["x.yaml:1:"]),
    "outside Unicode": ('a: "\\U00110000"\n', ["x.yaml:1:"]),
}


@pytest.mark.parametrize("text, words", UNREADABLE.values(), ids=UNREADABLE)
def test_texts_outside_the_rules_are_refused(write, text, words):
    message = fault_of(read_yaml, write(text))
    assert "x.yaml" in message
    assert [word for word in words if word not in message] == []


INVALID = {
    "unknown": ("train: {}\ntrian: {}", ["x.yaml:2: trian: unknown key", "seed, name, train", "mean 'train'?"]),
    "nested": ("train:\n  num_env: 3", ["x.yaml:2: train.num_env: unknown key", "mean 'train.num_envs'?"]),
    "initials": ("train: {lr: 3}", ["train.lr: unknown key", "mean 'train.learning_rate'?"]),
    "above": ("train:\n  learning_rate: 3", ["x.yaml:2: train.learning_rate: 3 is above 1", "0 < learning_rate <= 1"]),
    "not above": ("train: {learning_rate: 0}", ["0 is not above 0 (allowed: 0 < learning_rate <= 1)"]),
    "below": ("train: {num_envs: 0}", ["train.num_envs: 0 is below 1", "an integer, 1 <= num_envs <= 65536"]),
    "not below": ("seed: 4294967296", ["seed: 4294967296 is not below 4294967296", "0 <= seed < 4294967296"]),
    "text for integer": ("seed: '4'", ["x.yaml:1: seed: '4' is not an integer"]),
    "float for integer": ("seed: 4.0", ["seed: 4.0 is not an integer"]),
    "bool for integer": ("seed: true", ["seed: True is not an integer"]),
    "null for integer": ("seed:", ["seed: None is not an integer"]),
    "bool for float": ("train: {learning_rate: true}", ["train.learning_rate: True is not a number"]),
    "integer for bool": ("train: {anneal_lr: 1}", ["train.anneal_lr: 1 is not true or false"]),
    "on for bool": ("train: {anneal_lr: on}", ["train.anneal_lr: 'on' is not true or false"]),
    "literal": ("train: {optimizer: adm}", ["'adm'", "(allowed: 'adam', 'lion')", "mean 'adam'?"]),
    "list for mapping": ("train: [1]", ["train: [1] is not a mapping", "learning_rate, num_envs"]),
    "scalar for list": ("train: {hidden: 3}", ["train.hidden: 3 is not a list (allowed: a list)"]),
    "in a list": ("train:\n  hidden:\n  - 1\n  - x", ["x.yaml:4: train.hidden.1: 'x' is not an integer"]),
    "tuple too long": ("train: {size: [1, 2, 3]}", ["train.size: [1, 2, 3]", "(allowed: a list of 2)"]),
    "optional": ("train: {limit: -1}", ["train.limit: -1 is below 0", "limit >= 0 or null"]),
    "union": ("train: {every: soon}", ["train.every: 'soon' fits none", "an integer or 'never'"]),
    "pattern": ("name: A1", ["name: 'A1' does not match", "^[a-z]+$"]),
    "wrong kind": ("places: [{kind: bad}]", ["places.0.kind: 'bad'", "'food' or 'bed'", "mean 'bed'?"]),
    "no kind": ("places: [{food: 1}]", ["places.0.kind: required key is missing", "'food' or 'bed'"]),
    "kind named as key": ("places:\n- kind: food\n  food: -1", ["x.yaml:3: places.0.food: -1 is below 0"]),
    "mapping value": ("wages:\n  baker: much", ["x.yaml:2: wages.baker: 'much' is not an integer"]),
    "missing": ("name: a", ["x.yaml:1: seed: required key is missing", "an integer, 0 <= seed", "seed of the run"]),
    "cross-field": ("seed: 1\ntrain: {num_envs: 6}", ["x.yaml:2: train: num_minibatches 4 does not divide num_envs 6"]),
    "long value": (f"name: {'A' * 500}", ["name: 'AAAA", "... does not match"]),
}


@pytest.mark.parametrize("text, words", INVALID.values(), ids=INVALID)
def test_values_outside_the_model_are_refused(write, text, words):
    document = read_yaml(write(text))
    message = fault_of(validate, Config, document)
    assert [word for word in words if word not in message] == []
    assert all(str(document.path) in line and len(line) < 400 for line in message.splitlines())


def test_all_faults_of_a_file_come_at_once(write):
    with pytest.raises(ConfigError) as caught:
        validate(Config, read_yaml(write("name: 1\ntrain:\n  num_envs: 0\n  lr: 1\n")))
    assert [line.split(": ")[1] for line in caught.value.messages] == ["seed", "name", "train.num_envs", "train.lr"]


def test_a_good_file_loads_with_lines(write):
    path = write(GOOD)
    document = read_yaml(path)
    config = validate(Config, document)
    assert config.train.learning_rate == 3e-4 and config.train.hidden == (32, 32)
    assert config.places == (Food(kind="food", food=2), Bed(kind="bed", rest=0.25))
    assert config.wages == {"baker": 12, "smith": 15}
    assert document.lines[("train", "num_envs")] == (str(path), 6)
    assert document.lines[("places", 1, "rest")] == (str(path), 12)


def test_plain_scalars_follow_yaml_1_2(write):
    text = "[on, yes, no, off, 12:30, 2024-01-01, 1e7, 3e-4, -0, .5, ~, null, true, '010', 1.2.3, 0b]"
    tree = read_yaml(write(f"a: {text}")).tree
    strings = ["on", "yes", "no", "off", "12:30", "2024-01-01"]
    expected = [*strings, 1e7, 3e-4, 0, 0.5, None, None, True, "010", "1.2.3", "0b"]
    assert tree["a"] == expected
    assert list(map(type, tree["a"])) == list(map(type, expected))


def test_windows_line_ends_are_read(write):
    assert read_yaml(write(GOOD.replace("\n", "\r\n"))).tree == read_yaml(write(GOOD, "y.yaml")).tree


@pytest.mark.parametrize("name", ["missing.yaml", "", "nul\0.yaml"])
def test_files_that_are_not_there_are_named(tmp_path, name):
    assert str(tmp_path) in fault_of(read_yaml, tmp_path / name)


def test_a_file_without_permission_is_named(write, monkeypatch):
    def closed(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("townlet_jax.config.strict_yaml._head", closed)
    message = fault_of(read_yaml, write(GOOD))
    assert "x.yaml" in message and "Permission denied" in message


def test_extends_merges_mappings_and_replaces_the_rest(write):
    write("seed: 1\ntrain: {num_envs: 4, hidden: [1, 2, 3]}\nwages: {baker: 1}\n", "base.yaml")
    write("extends: base.yaml\ntrain: {hidden: [9]}\nplaces: []\n", "middle.yaml")
    document = resolve(write("extends: middle.yaml\ntrain:\n  num_minibatches: 2\nwages: {smith: 2}\n"))
    assert document.tree == {
        "seed": 1,
        "train": {"num_envs": 4, "hidden": [9], "num_minibatches": 2},
        "wages": {"baker": 1, "smith": 2},
        "places": [],
    }
    places = {path: (source.rsplit("/")[-1], line) for path, (source, line) in document.lines.items()}
    assert places[("seed",)] == ("base.yaml", 1)
    assert places[("train", "hidden", 0)] == ("middle.yaml", 2)
    assert places[("train", "num_minibatches")] == ("x.yaml", 3)
    assert ("train", "hidden", 1) not in places and ("extends",) not in places


def test_a_mapping_and_a_scalar_replace_each_other(write):
    write("a: {b: 1}\nc: 2\n", "base.yaml")
    assert resolve(write("extends: base.yaml\na: 3\nc: {d: 4}\n")).tree == {"a": 3, "c": {"d": 4}}


def test_a_fault_in_the_base_names_the_base(write):
    write("seed: -1\n", "base.yaml")
    message = fault_of(validate, Config, resolve(write("extends: base.yaml\nname: a\n")))
    assert "base.yaml:1: seed: -1 is below 0" in message


def test_extends_refuses_cycles_long_chains_and_missing_files(write):
    write("extends: b.yaml\n", "a.yaml")
    cycle = fault_of(resolve, write("extends: a.yaml\n", "b.yaml"))
    assert "b.yaml -> a.yaml -> b.yaml" in cycle and "cycle" in cycle
    for number in range(10):
        write(f"extends: n{number + 1}.yaml\n", f"n{number}.yaml")
    write("seed: 1\n", "n10.yaml")
    assert "8 links" in fault_of(resolve, write("extends: n0.yaml\n"))
    assert resolve(write("extends: n3.yaml\n")).tree == {"seed": 1}  # n3 to n10 are eight links
    assert "mean 'n10.yaml'?" in fault_of(resolve, write("extends: n100.yaml\n"))
    assert "x.yaml:1: extends: 3 is not a name" in fault_of(resolve, write("extends: 3\n"))


def test_overrides_set_values_and_name_their_source(write):
    overrides = ["train.num_envs=32", "places.1.rest=1e-2", "wages={cook: 3}", "train.hidden=[1, 2]", "name='on'"]
    document = resolve(write(GOOD), overrides)
    config = validate(Config, document)
    assert (config.train.num_envs, config.places[1].rest, config.name) == (32, 0.01, "on")
    assert config.wages == {"cook": 3} and config.train.hidden == (1, 2)
    assert document.lines[("train", "num_envs")] == ("--set", 1)
    assert document.lines[("train", "hidden", 1)] == ("--set", 4)
    assert ("wages", "baker") not in document.lines


def test_keys_that_do_not_go_together_blame_the_override(write):
    """The file alone was sound: what was written over it is at fault, where the file says both keys or one of them."""
    for text in ("seed: 1\ntrain: {num_envs: 8, num_minibatches: 4}\n", "seed: 1\ntrain: {num_envs: 8}\n"):
        message = fault_of(validate, Config, resolve(write(text), ["name=a", "train.num_minibatches=3"]))
        assert message == "--set:2: train: num_minibatches 3 does not divide num_envs 8"


def test_overrides_create_missing_sections(write):
    document = resolve(write("seed: 1\n"), ["train.num_envs=0"])
    assert "--set:1: train.num_envs: 0 is below 1" in fault_of(validate, Config, document)


def test_overrides_bear_the_name_of_where_they_come_from(write):
    message = lambda override: fault_of(resolve, write(GOOD), ["seed=1", override], "overrides")
    assert message("seed=010").startswith("overrides:2: seed: 010")
    assert message("a..b=1").startswith("overrides:2: 'a..b=1' is not an override")
    assert message("places.9.rest=1").startswith("overrides:2: places.9")
    late = resolve(write(GOOD), ["seed=1", "train.num_envs=0"], "overrides")
    assert fault_of(validate, Config, late).startswith("overrides:2: train.num_envs: 0 is below 1")


class Menu(Section):
    dishes: tuple[Bed, ...] = Field(min_length=2)
    wine: dict[str, int] = Field({"red": 1}, min_length=1)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("dishes: [{kind: bed, rest: 1}, {kind: bed, rest: soft}]", ["dishes.1.rest"]),
        ("dishes: [{kind: bad}, {kind: bed, rst: 1}]", ["dishes.0.kind", "dishes.1.rst"]),
        ("dishes: [{kind: bed}, {kind: bed}]\nwine: {white: much}", ["wine.white"]),
        ("dishes: [{kind: bed}]", ["dishes"]),  # too short indeed
        ("dishes: [{kind: bad}]", ["dishes.0.kind", "dishes"]),  # both are true
        ("dishes: [{kind: bed}, {kind: bed}]\nwine: {}", ["wine"]),
    ],
)
def test_a_bad_item_does_not_make_a_list_too_short(write, text, paths):
    with pytest.raises(ConfigError) as caught:
        validate(Menu, resolve(write(text + "\n")))
    assert [line.split(": ")[1] for line in caught.value.messages] == paths


BAD_OVERRIDES = {
    "abc": ["'abc'", "path.to.key=value"],
    "=1": ["path.to.key=value"],
    "a..b=1": ["path.to.key=value"],
    "seed=": ["path.to.key=value"],
    "seed.deep=1": ["seed.deep", "seed is 7", "mapping"],
    "places.2.rest=1": ["places.2", "0 to 1"],
    "places.-1.rest=1": ["places.-1", "0 to 1"],
    "places.bed=1": ["places.bed", "0 to 1"],
    "seed=010": ["--set:1: seed: 010", "leading zero"],
    "seed=&a 1": ["seed", "anchor"],
    "train=num_envs: 1": ["train", "block YAML"],
    "extends=y.yaml": ["extends"],
    "a.b.c.d.e.f.g.h.i.j.k.l.m=1": ["12 levels"],
    "seed=[": ["--set:1", "not valid YAML"],
    "name=\udcff": ["--set:1"],
}


@pytest.mark.parametrize("override, words", BAD_OVERRIDES.items(), ids=map(ascii, BAD_OVERRIDES))
def test_bad_overrides_are_refused(write, override, words):
    message = fault_of(resolve, write(GOOD), [override])
    assert [word for word in ["--set", *words] if word not in message] == []


TREES = [
    {"a": ["on", "yes", "true", "null", "~", "3e-4", "010", "0x1f", "1_000", ".inf", "1", ""]},
    {"punctuation": [" ", "- a", "a: b", "#c", "a #b", "? a", "'", '"', "&a", "*a", "!a", "@a", "%a", "|", ">"]},
    {"map": "#####\n#..h#\n#####\n", "no end": "a\nb", "blank": "\n\na\n\n\n", "breaks": "\n\n"},
    {"indented": "  a\n b\n", "trailing": "a \nb\n", "in a list": ["a\nb", "c"]},
    {"tab": "\tx\n\ty\n", "return": "a\r\nb", "nel": "a\x85b\nc", "nul": "\0", "bom": "\ufeff\u2028\n"},
    {"wide": "zebra \U0001f993 ä", "wide lines": "ä\n\U0001f993\n"},
    {"floats": [1e-07, 1e16, 1.0, -0.5, 5e-324, 1.7976931348623157e308], "ints": [0, -1, 10**18 - 1], "none": None},
    {"empty": {}, "none": [], "nested": [[], [1, [2]], {"a": [{}]}], "flags": [True, False]},
    {"on": 1, "1": 2, "": 3, "null": 4, "a b": 5, "a: b": 6, "x\ny": 7, "k" * 200: 8},
    {"long": ["word and more " * 30] * 3, "folded": ["word and more words " * 30 + "end"], "numbers": [1234.5] * 99},
]


@pytest.mark.parametrize("tree", TREES)
def test_dump_reads_back(write, tree):
    text = dump(tree)
    again = read_yaml(write(text)).tree
    assert repr(again) == repr(tree)
    assert dump(again) == text


def test_random_strings_read_back(write):
    rng = np.random.default_rng(0)
    letters = list("ab01 \n\t:#-'\"\\{}[]|>&*!%@,?~.e_") + ["\x85", "ä", "\u2028", "\r"]
    strings = ["".join(rng.choice(letters, size=rng.integers(0, 12))) for _ in range(1000)]
    assert read_yaml(write(dump({"values": strings}))).tree == {"values": strings}
    for start in range(0, 1000, 100):
        part = {text: {"x": text} for text in strings[start : start + 100]}
        assert read_yaml(write(dump(part))).tree == part


def test_maps_stay_readable():
    assert dump({"map": "###\n#.#\n", "size": (3, 2)}) == "map: |\n  ###\n  #.#\nsize: [3, 2]\n"


def test_dump_refuses_what_it_cannot_write():
    assert "finite" in fault_of(dump, {"a": float("nan")})
    assert "written" in fault_of(dump, {"a": object()})


def test_config_id_depends_on_content_only():
    first, second = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert config_id(first) == config_id(second) == hashlib.sha256(b'{"a":1,"b":{"c":2,"d":3}}').hexdigest()[:16]
    assert config_id({"a": 1.0}) != config_id({"a": 1})
    assert "named" in fault_of(config_id, {"a": float("inf")})


def test_find_knows_shipped_names_and_paths(write, tmp_path, monkeypatch):
    (tmp_path / "worlds").mkdir()
    town = write(GOOD, "worlds/town.yaml")
    monkeypatch.setattr(load, "_CONFIG_FOLDERS", (tmp_path / "absent", tmp_path))
    assert find("town", "worlds") == town
    assert find(str(town), "worlds") == town
    assert "mean 'town'?" in fault_of(find, "twon", "worlds")
    assert "(allowed: the worlds town; or a file" in fault_of(find, "../worlds/town", "worlds")
    assert "no such file" in fault_of(find, "elsewhere.yaml", "worlds")


def test_mutated_files_load_or_raise_config_error(write):
    rng = np.random.default_rng(1)
    outcomes = {"loaded": 0, "refused": 0}
    for number in range(300):
        data = bytearray(GOOD.encode())
        bytes_drawn = (0, 256) if number % 2 else (32, 127)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(data)))
            change = rng.integers(3)
            data[at : at + int(change != 1)] = b"" if change == 2 else bytes([rng.integers(*bytes_drawn)])
        try:
            validate(Config, resolve(write(bytes(data))))
            outcomes["loaded"] += 1
        except ConfigError as error:
            assert "x.yaml" in str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 5, outcomes
