"""The planted mistakes fit the source as it is, so that `tests/mutants/planted.py` can try them out."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
SOURCES: Final = HERE.parent / "src" / "triolet"
MUTANTS: Final[dict[str, dict[str, Any]]] = tomllib.loads((HERE / "mutants" / "planted.toml").read_text("utf-8"))
"""TOML has no name twice."""
NEEDED: Final = {"file", "breaks", "before", "after"}


def test_there_are_enough_and_no_two_alike() -> None:
    changes = {(row["file"], row["before"], row["after"]) for row in MUTANTS.values()}
    assert len(changes) == len(MUTANTS) >= 16


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_has_its_place_and_can_be_tried_out(name: str) -> None:
    row = MUTANTS[name]
    assert NEEDED <= set(row) <= {*NEEDED, "sweep", "tests"}
    assert row["breaks"].strip()
    source = (SOURCES / row["file"]).read_text("utf-8")
    assert source.count(row["before"]) == 1, "its place is gone, or not the only one: look what has become of it"
    planted = ast.parse(source.replace(row["before"], row["after"]))
    assert ast.dump(planted) != ast.dump(ast.parse(source)), "it changes nothing"
    assert [test for test in row.get("tests", []) if not (HERE.parent / test.partition("::")[0]).exists()] == []
