"""The documentation of `triolet.testing` says what is true: its code runs, and does what stands beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import triolet.testing

README = Path(triolet.testing.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_every_block_runs_after_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "bank"}
    first, *rest = BLOCKS
    with pytest.raises(ExceptionGroup) as failed:
        exec(compile(first, "bank.py", "exec"), names)  # noqa: S102  # ours
    told = re.search(r"```text\n(.*?)```", TEXT, re.DOTALL)
    assert told is not None
    headline, *lines = [line.strip() for line in told[1].strip().splitlines()]
    assert headline == f"ExceptionGroup: {failed.value}"
    assert lines == [line for error in failed.value.exceptions for line in (type(error).__name__, *error.__notes__)]
    for block in rest:
        exec(compile(block, "bank.py", "exec"), names)  # noqa: S102  # ours
    for printed in capsys.readouterr().out.splitlines():
        assert f")  # {printed}\n" in TEXT
    for scenario in ("no_money_is_lost", "a_broken_wire_is_survived"):
        names["test_struck_anywhere"](names[scenario])


def test_every_public_name_is_told_of() -> None:
    untold = [name for name in triolet.testing.__all__ if name not in TEXT]
    assert untold == []
