"""What /status tells, as a table."""

from __future__ import annotations

import pytest

from triolet.core.commands import UNSWITCHED
from triolet.core.letters import Undelivered
from triolet.core.status import SHOWN, Status, render_status


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (Status(), ["I am writing no answer.", "Messages that wait: 0"]),
        (Status(waiting=2), ["I am writing no answer.", "Messages that wait: 2"]),
        (
            Status(awaits="other answers to end", waiting=1),
            ["I am writing no answer yet, and wait for other answers to end.", "Messages that wait: 1"],
        ),
        (Status(0.0), ["I have been writing an answer for 0 s.", "Messages that wait: 0"]),
        (
            Status(71.6, "search, weather", 1),
            ["I have been writing an answer for 72 s, and wait for search, weather.", "Messages that wait: 1"],
        ),
    ],
)
def test_what_is_told(status: Status, lines: list[str]) -> None:
    told = render_status(status, model="gpt-5", switches=UNSWITCHED | {"busy": "steer"})
    assert told.splitlines() == [*lines, "Model: gpt-5", "/stream auto · /reasoning off · /busy steer"]


def lost(number: int) -> Undelivered:
    return Undelivered(number, 3, "uncertain", f"why {number}", 0.0, f"text {number}")


@pytest.mark.parametrize(
    ("count", "more"), [(0, []), (1, []), (2, []), (3, []), (4, ["  … and 1 more"]), (12, ["  … and 9 more"])]
)
def test_what_did_not_get_here_is_told_with_its_beginning(count: int, more: list[str]) -> None:
    letters = [lost(number) for number in range(count)]
    told = render_status(Status(), model="m", switches={}, letters=letters).split("\n")
    head = [f"Messages that did not get here, for all I know: {count}"] * bool(count)
    shown = [f"  text {number} (why {number})" for number in range(min(count, SHOWN))]
    assert told[2:-2] == [*head, *shown, *more]


def test_trouble_with_the_disk_is_told_below_all_that_waits() -> None:
    told = render_status(Status(), model="m", switches={}, letters=[lost(1)], trouble=True).split("\n")
    assert told[4].startswith("⚠ My database cannot be used now")
    assert told[5:] == ["Model: m", ""]
