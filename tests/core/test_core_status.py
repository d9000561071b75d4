"""What /status tells, as a table."""

from __future__ import annotations

import pytest

from triolet.core.commands import UNSWITCHED
from triolet.core.status import Status, render_status


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
