"""MCP servers as tools: who owns their sessions, and which of their tools there are now.

Each server has an owner, a task of its own that lives as long as the bot: it connects in the background, lists the
tools, lists them anew when the server says so, and connects again, after a growing pause, when the server is lost.
Turns only call; whatever a server does, it does not happen to them. Rules:

1. A tool is called as it was last listed, or not at all: one that is gone, disabled or changed meanwhile refuses.
2. What a tool is was decided at its first listing (`mcp_catalog`); another description waits for a person.
3. The SDK is imported when the first server is connected, in a thread: it takes a second.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import structlog
import trio

from triolet.core.ports import Tool, ToolSpec
from triolet.errors import ExitCode, RemoteProtocolError, StartError, ToolError
from triolet.net.network import Connect, connect_tcp
from triolet.tools.mcp_catalog import MOST_PINS, Listed, Review, ServerSettings, overshadowed, review, what_changed

if TYPE_CHECKING:
    from triolet.tools.mcp_session import Session

log = structlog.get_logger()

PATIENCE = 30.0
"""Seconds for a server to connect, and to list its tools; one that is fetched before it starts may need them."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a lost server is connected again; the pause doubles until a connection has lasted the longest one."""

LISTING_PAUSE = 1.0
"""Seconds between two listings of a server that changes its tools all the time."""


class Pins(Protocol):
    """What the tools were when they were approved."""

    async def pinned(self, server: str) -> Mapping[str, str]:
        """The pins of the server's tools, by the names that it gives them."""
        ...

    async def pin(self, server: str, tool: str, pin: str, /) -> None:
        """The tool is this from now on."""
        ...


@attrs.frozen
class McpTool:
    """A tool of a server; a `core.ports.Tool`."""

    spec: ToolSpec
    has_effects: bool
    listed: Listed
    _owner: _Owner

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """As `core.ports.Tool.call`."""
        return await self._owner.call(self, arguments)


@attrs.define(eq=False)
class _News:
    """Wakes all that wait for the next change of the tools."""

    event: trio.Event = attrs.Factory(trio.Event)

    def announce(self) -> None:
        self.event.set()
        self.event = trio.Event()


@attrs.define(eq=False)
class _Signs:
    """What a session tells its owner, who looks in his own time."""

    over: bool = False
    _event: trio.Event = attrs.Factory(trio.Event)

    def change(self) -> None:
        self._event.set()

    def end(self) -> None:
        self.over = True
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()


@attrs.define(eq=False)
class _Owner:
    """Keeps one server connected; ``tools`` are those that it has now."""

    settings: ServerSettings
    pins: Pins
    connect: Connect
    patience: float
    news: _News
    tools: tuple[McpTool, ...] = ()
    _session: Session | None = None
    _told: set[tuple[str, str]] = attrs.Factory(set)
    _problem: str = ""

    async def run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            began = trio.current_time()
            try:
                await self._stay_connected()
            except* (RemoteProtocolError, OSError, StartError, trio.TooSlowError) as group:
                self._tell_problem(_words(group))
            if trio.current_time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _stay_connected(self) -> None:
        """Returns when the session turns out to be over; raises what has ended it otherwise."""
        signs = _Signs()
        try:
            async with _open_session(self.settings, self.connect, self.patience, signs) as session:
                while not signs.over:
                    await self._list(session)
                    await signs.wait()
                    if not signs.over:
                        await trio.sleep(LISTING_PAUSE)
        finally:
            self._session = None
            self._publish(())
        self._tell_problem("its session is over")

    async def _list(self, session: Session) -> None:
        name = self.settings.name
        with trio.fail_after(self.patience):
            listed = await session.list_tools()
        found = review(name, listed, allow=self.settings.allow, pinned=await self.pins.pinned(name))
        for tool in found.fresh:
            await self.pins.pin(name, tool.name, tool.pin)
        for tool_name, problem in found.refused.items():
            self._tell_refusal(tool_name, problem)
        for tool_name in found.missing:
            self._tell_refusal(tool_name, "the server has no tool of that name")
        self._session, self._problem = session, ""
        if self._publish(tuple(map(self._tool, found.offered))):
            log.info("mcp.ready", server=name, tools=len(self.tools), protocol=session.protocol)

    def _tool(self, listed: Listed) -> McpTool:
        trusted = {listed.name, "*"} & {*self.settings.trusted}
        return McpTool(listed.spec(self.settings.name), not trusted, listed, self)

    def _publish(self, tools: tuple[McpTool, ...]) -> bool:
        """Whether they are others than before."""
        if tools == self.tools:
            return False
        self.tools = tools
        self.news.announce()
        return True

    def _tell_refusal(self, tool: str, problem: str) -> None:
        """Once for each problem of each tool, as long as they are of a number that somebody might read."""
        if (tool, problem) not in self._told and len(self._told) < MOST_PINS:
            self._told.add((tool, problem))
            log.warning("mcp.tool_disabled", server=self.settings.name, tool=tool, problem=problem)

    def _tell_problem(self, problem: str) -> None:
        """Once until the server is well again, or has another problem."""
        tell = log.debug if problem == self._problem else log.warning
        tell("mcp.lost", server=self.settings.name, problem=problem)
        self._problem = problem

    async def call(self, tool: McpTool, arguments: Mapping[str, Any]) -> str:
        if self._session is None:
            raise ToolError(f"the server {self.settings.name} is not there now")
        if tool not in self.tools:
            raise ToolError(f"the server {self.settings.name} has no such tool any more, or it waits for approval")
        return await self._session.call(tool.listed.name, arguments)


class McpToolbox:
    """The tools of all servers that are there now; made by `open_mcp_servers`."""

    def __init__(self, owners: Sequence[_Owner], news: _News) -> None:
        self._owners = owners
        self._news = news

    def tools(self) -> Sequence[Tool]:
        """As `core.ports.Toolbox.tools`; in the order of the settings."""
        return tuple(tool for owner in self._owners for tool in owner.tools)

    async def wait_change(self) -> None:
        """Returns when there are other tools than there were."""
        await self._news.event.wait()


@asynccontextmanager
async def open_mcp_servers(
    settings: Sequence[ServerSettings], pins: Pins, *, connect: Connect = connect_tcp, patience: float = PATIENCE
) -> AsyncIterator[McpToolbox]:
    """Connect to the servers, without waiting for any. Leaving it ends them, within seconds."""
    shadows = overshadowed(server.name for server in settings)
    for name, rival in shadows.items():
        log.error("mcp.server_refused", server=name, problem=f"its tools could be taken for {rival}'s; rename one")
    news = _News()
    owners = [_Owner(server, pins, connect, patience, news) for server in settings if server.name not in shadows]
    async with trio.open_nursery() as nursery:
        for owner in owners:
            nursery.start_soon(owner.run)
        yield McpToolbox(owners, news)
        nursery.cancel_scope.cancel(reason="the bot ends")


@attrs.frozen
class Approval:
    """A tool that is pinned as it is now, and the pin that it had before, if it had one."""

    listed: Listed
    before: str | None

    @property
    def change(self) -> str:
        """What was other before; empty if nothing was, or nobody knew the tool."""
        return "" if self.before is None else what_changed(self.before, self.listed.digest)


async def approve_server(
    server: ServerSettings, pins: Pins, *, connect: Connect = connect_tcp, patience: float = PATIENCE
) -> Sequence[Approval]:
    """List a server's tools anew, and pin all that may be called as they are now.

    Raises:
        StartError: the server cannot be reached.
    """
    found = await look_at_server(server, {}, connect=connect, patience=patience)
    pinned = await pins.pinned(server.name)
    for tool in found.fresh:
        await pins.pin(server.name, tool.name, tool.pin)
    return [Approval(tool, pinned.get(tool.name)) for tool in found.fresh]


async def look_at_server(
    server: ServerSettings,
    pinned: Mapping[str, str],
    *,
    connect: Connect = connect_tcp,
    patience: float = PATIENCE,
) -> Review:
    """What a bot with these pins would make of the server's tools as they are now; nothing is pinned.

    Raises:
        StartError: the server cannot be reached.
    """
    listed: list[Listed] = []
    problem = ""
    try:
        async with _open_session(server, connect, patience, _Signs()) as session:
            with trio.fail_after(patience):
                listed = await session.list_tools()
    except* (RemoteProtocolError, OSError, trio.TooSlowError) as group:
        problem = _words(group)
    if problem:
        raise StartError(f"the MCP server {server.name}: {problem}", exit_code=ExitCode.SYSTEM)
    return review(server.name, listed, allow=server.allow, pinned=pinned)


@asynccontextmanager
async def _open_session(
    server: ServerSettings, connect: Connect, patience: float, signs: _Signs
) -> AsyncIterator[Session]:
    open_session = await _load_sdk()
    with trio.CancelScope(deadline=trio.current_time() + patience) as connecting:
        async with (
            trio.open_nursery() as nursery,
            open_session(nursery, server, connect=connect, changed=signs.change, ended=signs.end) as session,
        ):
            connecting.deadline = math.inf
            yield session
    if connecting.cancelled_caught:
        raise RemoteProtocolError(f"no answer within {patience:g} s")


async def _load_sdk() -> Callable[..., Any]:
    if "triolet.tools.mcp_session" not in sys.modules:
        await trio.to_thread.run_sync(partial(importlib.import_module, "triolet.tools.mcp_session"))
    from triolet.tools.mcp_session import open_session  # noqa: PLC0415  # rule 3

    return open_session


def _words(group: BaseExceptionGroup[BaseException]) -> str:
    """What the first of them says, in one line; what nurseries wrap around it is nobody's business."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, trio.TooSlowError):
        return "it does not list its tools"
    return " ".join(str(error).split()) or type(error).__name__
