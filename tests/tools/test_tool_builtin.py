"""The tools of the house: made by name, and what a model hears of each."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from triolet.errors import ConfigError, ToolError
from triolet.tools import open_builtin
from triolet.tools.builtin import wall_clock

NOON = datetime(2026, 7, 1, 12, 0, 0, 999_999, tzinfo=UTC)


def test_names_make_tools_in_their_order() -> None:
    tools = open_builtin(["calculator", "time", "fetch", "time"])
    assert [tool.spec.name for tool in tools] == ["calculator", "current_time", "fetch_page"]
    assert open_builtin([]) == []
    for tool in tools:
        assert tool.has_effects == (tool.spec.name == "fetch_page"), "what reaches out asks first"
        assert tool.spec.description
        assert all(each["description"] for each in tool.spec.parameters["properties"].values())


def test_an_unknown_name_is_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no tool 'shell'; there are time, calculator, fetch"):
        open_builtin(["time", "shell"])


ZONES = {
    "UTC": "2026-07-01T12:00:00+00:00, Wednesday, UTC",
    "Europe/Berlin": "2026-07-01T14:00:00+02:00, Wednesday, Europe/Berlin",
    "Pacific/Kiritimati": "2026-07-02T02:00:00+14:00, Thursday, Pacific/Kiritimati",
    "Asia/Kolkata": "2026-07-01T17:30:00+05:30, Wednesday, Asia/Kolkata",
}


@pytest.mark.parametrize("zone", ZONES)
async def test_the_time_in_a_zone(zone: str) -> None:
    (current_time,) = open_builtin(["time"], clock=lambda: NOON)
    assert await current_time.call({"zone": zone}) == ZONES[zone]
    assert await current_time.call({}) == ZONES["UTC"]


@pytest.mark.parametrize(
    "zone", ["", ".", "/", "Nowhere", "Europe", "../../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "x" * 999]
)
async def test_a_zone_that_is_none(zone: str) -> None:
    (current_time,) = open_builtin(["time"])
    with pytest.raises(ToolError, match=r"there is no time zone .*; name one as IANA does"):
        await current_time.call({"zone": zone})


def test_the_wall_clock_knows_its_zone() -> None:
    assert wall_clock().utcoffset() is not None


async def test_the_calculator_computes() -> None:
    (calculator,) = open_builtin(["calculator"])
    assert await calculator.call({"expression": "6*7"}) == "42"
    with pytest.raises(ToolError, match="a division by zero"):
        await calculator.call({"expression": "1/0"})
