"""The tools that come with the house, by the names that the settings know them by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import trio

from triolet.core.ports import Tool
from triolet.errors import ConfigError, ToolError
from triolet.net.network import Connect, connect_tcp
from triolet.tools.calculator import evaluate
from triolet.tools.functions import FunctionTool, tool

if TYPE_CHECKING:
    from triolet.tools.fetch import Resolve


def wall_clock() -> datetime:
    return datetime.now(UTC)


def open_builtin(
    names: Sequence[str],
    *,
    clock: Callable[[], datetime] = wall_clock,
    connect: Connect = connect_tcp,
    resolve: Resolve = trio.socket.getaddrinfo,
) -> Sequence[Tool]:
    """The tools of these names: ``time``, ``calculator``, and ``fetch``, the one that reaches out.

    ``clock`` tells an aware time; ``connect`` and ``resolve`` are as in `fetch.fetch_page`.

    Raises:
        ConfigError: there is none of that name.
    """
    made: dict[str, Callable[[], FunctionTool]] = {
        "time": partial(_current_time, clock),
        "calculator": _calculator,
        "fetch": partial(_fetch_page, connect, resolve),
    }
    for name in names:
        if name not in made:
            raise ConfigError(f"there is no tool {name!r}; there are {', '.join(made)}")
    return [made[name]() for name in dict.fromkeys(names)]


def _current_time(clock: Callable[[], datetime]) -> FunctionTool:
    @tool
    def current_time(zone: str = "UTC") -> str:
        """The date and the time now.

        Args:
            zone: An IANA time zone, such as Europe/Berlin.
        """
        try:
            now = clock().astimezone(ZoneInfo(zone))
        except (LookupError, ValueError, OSError):  # unknown; no name at all; a folder, or too long for a file
            raise ToolError(f"there is no time zone {zone!r}; name one as IANA does, such as Europe/Berlin") from None
        return f"{now.isoformat(timespec='seconds')}, {now:%A}, {zone}"

    return current_time


def _calculator() -> FunctionTool:
    @tool
    def calculator(expression: str) -> str:
        """Compute an expression exactly: + - * / // % ** with parentheses, pi, e, and functions.

        The functions are abs, round, floor, ceil, min, max, sqrt, cbrt, exp, ln, log(x, base), log2, log10, factorial,
        degrees, radians, and sin, cos, tan, asin, acos, atan, atan2 in radians.

        Args:
            expression: Such as (1 + 2) * sqrt(16) / 3.
        """
        return evaluate(expression)

    return calculator


def _fetch_page(connect: Connect, resolve: Resolve) -> FunctionTool:
    from triolet.tools import fetch  # noqa: PLC0415  # httpx, which nobody else needs at the start

    @tool(has_effects=True)  # an address can carry out what the chat holds
    async def fetch_page(url: str) -> str:
        """Read a page of the public web: its title, its text, and where its links lead.

        Args:
            url: The address of the page, with https:// or http://.
        """
        return await fetch.fetch_page(url, connect=connect, resolve=resolve)

    return fetch_page
