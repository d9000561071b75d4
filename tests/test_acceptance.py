"""The table of acceptance cases and the tests' marks agree."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from marks import MARKED_CASES

HERE = Path(__file__).parent
STATES = {"covered", "partly", "open"}


@pytest.fixture
def table() -> dict[str, dict[str, str]]:
    return tomllib.loads((HERE / "acceptance.toml").read_text(encoding="utf-8"))


def marked(files: Iterable[Path] = tuple(HERE.rglob("test_*.py"))) -> set[str]:
    """The ids in the marks of the test files; of all of them, whichever this run collected, if not told otherwise."""
    pattern = re.compile(r"mark\.case\(([^)]*)\)")
    texts = [path.read_text(encoding="utf-8") for path in files if path != Path(__file__)]
    return {case for text in texts for marks in pattern.findall(text) for case in re.findall(r"\"(\w+)\"", marks)}


def test_every_row_is_well_formed(table: dict[str, dict[str, str]]) -> None:
    for case, row in table.items():
        assert row["state"] in STATES, case
        assert row["text"], case
        assert ("open" in row) == (row["state"] == "partly"), f"{case}: `open` says what a partly covered case lacks"


def test_every_mark_names_a_row(table: dict[str, dict[str, str]]) -> None:
    assert marked() <= set(table)


def test_covered_rows_are_the_marked_ones(table: dict[str, dict[str, str]]) -> None:
    assert {case for case, row in table.items() if row["state"] != "open"} == marked()


def test_collected_marks_are_those_in_the_files(request: pytest.FixtureRequest) -> None:
    """A mark in a file that is never collected would prove nothing."""
    chosen = {Path(str(item.path)) for item in request.session.items}
    assert request.config.stash[MARKED_CASES] == marked(chosen)
