"""The page of coverage names every section of the specification, and only tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "spec_coverage.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGES = sorted(page for page in ROOT.glob("docs/**/*.md") if NAMED.search(page.read_text(encoding="utf-8")))


@cache
def names_in(file: str) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def missing(text: str) -> list[str]:
    """The tests that a text names and that do not exist."""
    named = NAMED.findall(text)
    return [f"{file}::{test}" for file, test in named if not (ROOT / file).is_file() or test not in names_in(file)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_tests_exist(page):
    assert missing(page.read_text(encoding="utf-8")) == []


def test_a_test_that_does_not_exist_is_found():
    text = (
        "`tests/docs/test_spec_coverage.py::test_nothing_of_it` `tests/docs/no.py::test_it` `tests/core/test_ties.py::"
    )
    assert missing(text + "test_the_forgiving_bear_no_grudge`") == [
        "tests/docs/test_spec_coverage.py::test_nothing_of_it",
        "tests/docs/no.py::test_it",
    ]


def test_every_test_is_named_in_full():
    """A name that is written in another way would not be checked."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("::") == len(NAMED.findall(text))


def test_every_section_has_a_row():
    rows = re.findall(r"^\| §(\d+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert list(dict.fromkeys(map(int, rows))) == list(range(1, 32))


def test_every_row_has_a_test_or_a_reason():
    sections, cases = PAGE.read_text(encoding="utf-8").split("## Acceptance cases")
    for line in re.findall(r"^\| §.*$", sections, re.MULTILINE):
        assert NAMED.search(line) or re.search(r"not yet|above", line), f"neither built nor said to be missing: {line}"
    for line in cases.split("|---|---|---|\n")[1].splitlines():
        said = re.search(r"later issue|not yet|configs/scenarios/\w+\.yaml", line)
        assert NAMED.search(line) or said, f"neither a test nor a reason: {line}"
