"""One value at a time: what a text from outside is taken for, and what ``${NAME}`` becomes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.config.checks import nearest
from triolet.config.values import UnsetVariable, expanded, typed

TYPED: list[tuple[object, Any, object]] = [
    ("5", str, "5"),
    ("5", int, 5),
    ("5", float, 5),
    ("5.5", int, 5.5),
    ("TRUE", bool, True),
    ("5", bool, 5),
    ("yes", bool, "yes"),
    ("1, 2,", tuple[int, ...], [1, 2]),
    ("a", tuple[int, ...], "a"),
    ("a, [b]...[/b],", tuple[str, ...], ["a", "[b]...[/b]"]),
    ('["a", "b"]', tuple[str, ...], ["a", "b"]),
    ("5", tuple[str, ...], ["5"]),
    ("", tuple[str, ...], []),
    (["a"], tuple[str, ...], ["a"]),
    ("scripted", Literal["scripted"], "scripted"),
    (Path("a/b"), Path, "a/b"),
    (5, str, 5),
    (None, int, None),
]


@pytest.mark.parametrize(("given", "kind", "value"), TYPED)
def test_a_text_is_read_by_its_keys_type_or_left_alone(given: object, kind: Any, value: object) -> None:
    """What is left alone, or is of a wrong type, is refused later, where every value is."""
    found = typed(given, kind)
    assert (found, type(found)) == (value, type(value))


@given(st.text())
def test_a_text_without_a_dollar_is_itself(text: str) -> None:
    assert expanded(text.replace("$", ""), {}) == text.replace("$", "")


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    """Only ``${`` means something: with another dollar ahead of it, it stands for itself."""
    if "$${" not in text:
        assert expanded(text.replace("${", "$${"), {}) == text


@given(st.text(), st.text())
def test_a_variables_own_text_is_not_looked_into(value: str, around: str) -> None:
    rest = around.replace("$", "")
    assert expanded(f"{rest}${{NAME}}{rest}", {"NAME": value}) == f"{rest}{value}{rest}"


@pytest.mark.parametrize("value", [5, None, True, ["${NAME}"], {"a": "${NAME}"}])
def test_other_values_have_no_variables(value: object) -> None:
    assert expanded(value, {}) is value


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UnsetVariable, match=re.escape("the environment variable NAME is not set")):
        expanded("${NAME}", {})


def test_what_was_meant() -> None:
    assert nearest("tokn", ["token", "api_base"], 0.6) == "; did you mean token?"
    assert nearest("tokn", ["api_base"], 0.6) == ""
