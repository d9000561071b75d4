"""A session with an MCP server: the only module that speaks with the SDK, and so the one that is imported late.

Rules:

1. A session belongs to the task that opened it, and its tasks to the nursery that this task gives; turns only call it.
   A call that is cancelled ends at once: what is sent is queued and never waited for, so the SDK's shielded word to
   the server, that the call is cancelled, takes no time.
2. What goes wrong with a session is raised where it was opened, as `RemoteProtocolError` in one line; what goes wrong
   with a call is a `ToolError` for the model. That a session is over, a call may be the first to notice: it tells
   ``ended``. Neither holds the token, whatever the server says.
3. Results are not checked against a tool's output schema: the schema is the server's, and a pattern in it could keep
   the whole bot busy.
4. An HTTP response, like a message of a process, has at most `LONGEST_MESSAGE` bytes, and is never compressed.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp
import mcp_types
import structlog
import trio
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from triolet import __version__
from triolet.core.dialects.wire import sendable
from triolet.errors import RemoteProtocolError, ToolError
from triolet.net.network import Connect
from triolet.net.redact import Redactor
from triolet.net.transport import open_transport
from triolet.tools.mcp_catalog import Listed, ServerSettings
from triolet.tools.mcp_process import LONGEST_MESSAGE, LONGEST_QUEUE, open_process

log = structlog.get_logger()

MOST_PAGES = 50
"""Of a listing: some servers' pages never end."""

LISTEN_AGAIN_SECONDS = 30.0
HTTP_SECONDS = 30.0
"""To send something."""

LONGEST_PROBLEM = 300
LONGEST_ERROR = 32_768
"""Characters of what a tool says of its failure."""

# The SDK logs what it cannot read, and that is what tools say to users.
for _name in ("mcp", "client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Session:
    """Made by `open_session`."""

    def __init__(self, name: str, client: mcp.Client, redact: Redactor, ended: Callable[[], None]) -> None:
        self._name = name
        self._session = client.session
        self._redact = redact
        self._ended = ended
        self.protocol = client.protocol_version

    async def list_tools(self) -> list[Listed]:
        """All of the server's tools, in its order."""
        listed: list[Listed] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            listed += [Listed(tool.name, tool.description or "", tool.input_schema) for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        return listed

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """What the tool gives, as text; raises `ToolError`. Cancelling ends the call, here and in the server."""
        text = json.dumps(dict(arguments), ensure_ascii=False)
        # A model may write half of a surrogate pair, which no transport can send.
        parameters = mcp_types.CallToolRequestParams(name=tool, arguments=json.loads(sendable(text)))
        request = mcp_types.CallToolRequest(params=parameters)
        try:
            result = await self._session.send_request(request, mcp_types.CallToolResult)
        except mcp.MCPError as error:
            if _is_over(error):
                self._ended()
                raise ToolError(f"the server {self._name} is not there any more") from None
            raise ToolError(f"the server {self._name}: {_line(error, self._redact)}") from None
        except ValueError:  # pydantic's is one
            raise ToolError(f"the server {self._name} gave an answer that makes no sense") from None
        given = render_result(result)
        if result.is_error:
            raise ToolError(_shown(given, self._redact, LONGEST_ERROR) or "the tool failed, and gave no reason")
        return given


def _is_over(error: mcp.MCPError) -> bool:
    """Whether the session is: the SDK's words for a closed connection, and for a server that has forgotten it."""
    return error.message in {"Connection closed", "Session terminated"}


@asynccontextmanager
async def open_session(
    nursery: trio.Nursery,
    server: ServerSettings,
    *,
    connect: Connect,
    changed: Callable[[], None],
    ended: Callable[[], None],
) -> AsyncIterator[Session]:
    """Connect and shake hands; the nursery is this session's own, and is cancelled at its end.

    ``changed`` is called when the server says that it has other tools now, ``ended`` when it turns out to be gone.

    Raises:
        OSError: the server cannot be started.
        RemoteProtocolError: it cannot be spoken with, or not any more; maybe in groups.
    """

    async def hear(message: mcp_types.ServerNotification | Exception) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            changed()

    redact = Redactor([server.token.reveal()])
    us = mcp_types.Implementation(name="triolet", version=__version__)
    try:
        async with mcp.Client(
            _open_wire(nursery, server, connect), client_info=us, message_handler=hear, cache=None
        ) as client:
            tools = client.server_capabilities.tools
            if tools is not None and tools.list_changed and client.session.discover_result is not None:
                nursery.start_soon(_listen, client, changed)
            yield Session(server.name, client, redact, ended)
    except* Exception as group:  # noqa: BLE001  # the SDK's own mistakes included: a server must not end the bot by one
        raise RemoteProtocolError(_line(_first(group), redact)) from None


async def _listen(client: mcp.Client, changed: Callable[[], None]) -> None:
    """Since protocol 2026-07-28 a server tells of changes only to those who listen."""
    while True:
        try:
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    changed()
        except (mcp.MCPError, RuntimeError, ValueError) as problem:  # an SDK's SubscriptionLost is a RuntimeError
            log.debug("mcp.not_listening", problem=type(problem).__name__)
        await trio.sleep(LISTEN_AGAIN_SECONDS)
        changed()  # what was missed meanwhile


def _open_wire(
    nursery: trio.Nursery, server: ServerSettings, connect: Connect
) -> AbstractAsyncContextManager[tuple[Any, Any]]:
    if server.url:
        return _open_http(nursery, server, connect)
    return open_process(nursery, server.name, server.command, server.env)


# HTTP


@asynccontextmanager
async def _open_http(nursery: trio.Nursery, server: ServerSettings, connect: Connect) -> AsyncIterator[tuple[Any, Any]]:
    pool = open_transport(httpx2, connect)
    http = httpx2.AsyncClient(
        transport=_BoundedTransport(pool),
        headers={"Authorization": f"Bearer {server.token.reveal()}"} if server.token else {},
        timeout=httpx2.Timeout(
            HTTP_SECONDS, connect=10.0, read=300.0
        ),  # of silence; a call's own limit is its caller's
        trust_env=False,
    )
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](math.inf)
    async with (
        http,
        streamable_http_client(
            server.url,
            http_client=http,
            max_sse_event_size=LONGEST_MESSAGE,
            terminate_on_close=False,  # a goodbye that would wait for its answer
        ) as (read, write),
    ):
        nursery.start_soon(_forward, from_session, write)
        try:
            yield read, to_server
        finally:
            try:
                await pool.aclose()  # later its cancel would take the place of what has ended the session
            finally:
                nursery.cancel_scope.cancel(reason="the session ends")
                to_server.close()
                from_session.close()


async def _forward(from_session: MemoryObjectReceiveStream[SessionMessage], write: Any) -> None:
    """Between the SDK's session and its transport, which takes one message at a time, and no other meanwhile."""
    try:
        async for message in from_session:
            if from_session.statistics().current_buffer_used > LONGEST_QUEUE:
                raise RemoteProtocolError("it asks more than it reads of the answers")
            with trio.fail_after(HTTP_SECONDS):
                await write.send(message)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, trio.TooSlowError):
        raise RemoteProtocolError("it does not take what it is sent") from None


class _BoundedTransport(httpx2.AsyncBaseTransport):
    """Rule 4; and a token that is refused is told as such, where the SDK only says that there was an error."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        problem = ""
        if response.status_code in (401, 403):
            problem = f"it refuses us ({response.status_code}); check its token"
        elif "Content-Encoding" in response.headers:
            problem = "it compresses its answers though it was asked not to"
        if problem:
            await response.aclose()
            raise httpx2.RemoteProtocolError(problem, request=request)
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):  # bounded by event
            assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # of an async transport
            response.stream = _BoundedBody(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedBody(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LONGEST_MESSAGE
        async for data in self._inner:
            left -= len(data)
            if left < 0:
                # The SDK takes this class for a body that cannot be read: the call fails, and the session goes on.
                raise httpx2.StreamError(f"more than {LONGEST_MESSAGE:,} bytes")
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()


# Results


def render_result(result: mcp_types.CallToolResult) -> str:
    """The text of a result, with a line for each thing that is none."""
    if not result.content and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(map(_render_block, result.content))


def _render_block(block: mcp_types.ContentBlock) -> str:
    if isinstance(block, mcp_types.TextContent):
        return block.text
    if isinstance(block, mcp_types.ResourceLink):
        return f"[a link: {block.uri}]"
    if isinstance(block, mcp_types.EmbeddedResource):
        if isinstance(block.resource, mcp_types.TextResourceContents):
            return block.resource.text
        return _left_out(block.resource.mime_type or "data", block.resource.blob)
    return _left_out(block.mime_type, block.data)


def _left_out(kind: str, base64: str) -> str:
    size = len(base64) * 3 // 4 - base64[-2:].count("=")
    return f"[{kind[:100]}, {size:,} bytes left out]"


# Problems


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _line(error: BaseException, redact: Redactor) -> str:
    """What it says, in one line that a terminal can show."""
    text = _shown(str(error), redact, LONGEST_PROBLEM)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or type(error).__name__


def _shown(text: str, redact: Redactor, longest: int) -> str:
    """The beginning of it. Secrets go first, so that none is cut in two; of megabytes that would take too long."""
    return redact(text[: 2 * longest])[:longest]
