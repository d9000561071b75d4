"""Sessions over HTTP: with the SDK's own server in a process, and with a hand-written one that breaks the rules."""

from __future__ import annotations

import gzip
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import mcp_types
import pytest
import trio
from mcp_servers import PATIENCE, MemoryPins, Server, open_watch, start_http, wait_tools
from odd_servers import open_odd_server

from triolet.config.secret import Secret
from triolet.core.ports import Tool
from triolet.emulator.http import Exchange, Response
from triolet.errors import ToolError
from triolet.tools.mcp import McpToolbox, open_mcp_servers
from triolet.tools.mcp_process import LONGEST_MESSAGE
from triolet.tools.mcp_session import render_result

TOKEN = "canary-0123456789"
URL = "http://mcp.test/mcp"


def problems(log: list[Any], server: str) -> list[str]:
    return [entry["problem"] for entry in log if entry["event"] == "mcp.lost" and entry["server"] == server]


async def refusal(tool: Tool) -> str:
    with pytest.raises(ToolError) as problem, trio.fail_after(PATIENCE):
        await tool.call({})
    return str(problem.value)


# The SDK's server


async def test_a_server_over_http_gets_its_token_and_is_called(captured_log: list[Any]) -> None:
    async with open_watch() as watch, start_http(watch, "0", TOKEN) as url:
        servers = [Server("s", url=url, token=Secret(TOKEN)), Server("stranger", url=url, token=Secret("wrong"))]
        async with open_mcp_servers(servers, MemoryPins()) as toolbox:
            tools = await wait_tools(toolbox, "s__add")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tools["s__hang"].call, {})
                await watch.wait_line("hangs")
                began = trio.current_time()
                nursery.cancel_scope.cancel()
            assert trio.current_time() - began < 0.5
            await watch.wait_line("cancelled")
            assert await tools["s__add"].call({"a": 1, "b": 1}) == "2"
            await watch.wait_line("refused")
            began = trio.current_time()
        assert trio.current_time() - began < 2
    assert problems(captured_log, "stranger")[0] == "it refuses us (401); check its token"
    assert TOKEN not in repr(captured_log)


async def test_a_server_that_is_restarted_is_connected_again() -> None:
    async with open_watch() as watch, trio.open_nursery() as nursery:
        async with start_http(watch) as url:
            toolboxes = open_mcp_servers([Server("s", url=url)], MemoryPins())
            toolbox = await nursery.start(hold, toolboxes)
            tools = await wait_tools(toolbox, "s__add")
        assert "not there" in await refusal(tools["s__add"])
        await wait_tools(toolbox, gone="s__add")
        async with start_http(watch, watch.value("port")):
            tools = await wait_tools(toolbox, "s__add")
            assert await tools["s__add"].call({"a": 1, "b": 1}) == "2"
        nursery.cancel_scope.cancel()


async def hold(toolboxes: AbstractAsyncContextManager[McpToolbox], *, task_status: trio.TaskStatus[McpToolbox]) -> None:
    async with toolboxes as toolbox:
        task_status.started(toolbox)
        await trio.sleep_forever()


# A server of the protocol before


@attrs.define(eq=False)
class OldServer:
    """Protocol 2025-06-18, with sessions; a call is answered by ``answer``, or with this text."""

    answer: Response | str = "fine"
    sessions: list[str] = attrs.Factory(list)
    called: int = 0

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.request.method != "POST":
            await exchange.respond(Response(405))
            return
        message = json.loads(exchange.request.body)
        method = message.get("method")
        if method == "initialize":
            self.sessions.append(f"session-{len(self.sessions)}")
            info = {"name": "old", "version": "1"}
            result: Any = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
            await self.result(exchange, result, (("Mcp-Session-Id", self.sessions[-1]),))
        elif exchange.request.header("mcp-session-id") not in self.sessions[-1:]:
            await exchange.respond(Response(404))
        elif method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("look", "see")]
            # A page each, for ever.
            await self.result(exchange, {"tools": tools, "nextCursor": "more"})
        elif method == "tools/call":
            self.called += 1
            if isinstance(self.answer, str):
                await self.result(exchange, {"content": [{"type": "text", "text": self.answer}]})
            else:
                body = self.answer.body.replace(b'"ID"', str(message["id"]).encode())
                await exchange.respond(attrs.evolve(self.answer, body=body))
        else:
            await exchange.respond(Response(202))

    async def result(self, exchange: Exchange, result: Any, headers: tuple[tuple[str, str], ...] = ()) -> None:
        reply = {"jsonrpc": "2.0", "id": json.loads(exchange.request.body)["id"], "result": result}
        await exchange.respond(Response.json(reply, headers=headers))


async def test_a_session_that_the_server_forgets_is_opened_again() -> None:
    old = OldServer()
    async with (
        open_odd_server(old) as server,
        open_mcp_servers([Server("s", url=URL)], MemoryPins(), connect=server.connect) as toolbox,
    ):
        tools = await wait_tools(toolbox, "s__look")
        assert len(tools) == 2, "a listing ends, and has each tool once"
        assert await tools["s__look"].call({}) == "fine"
        old.sessions.append("another")
        assert "is not there any more" in await refusal(tools["s__look"])
        await wait_tools(toolbox, gone="s__look")
        tools = await wait_tools(toolbox, "s__look")
        assert await tools["s__look"].call({}) == "fine"
        assert old.called == 2


def message(size: int) -> bytes:
    result = {"content": [{"type": "text", "text": "x" * size}]}
    return json.dumps({"jsonrpc": "2.0", "id": "ID", "result": result}).encode()


JSON = ("Content-Type", "application/json")
STREAM = ("Content-Type", "text/event-stream")


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, message(LONGEST_MESSAGE), (JSON,)),
        Response(200, b"data: " + message(LONGEST_MESSAGE) + b"\n\n", (STREAM,)),
        Response(200, b"data: " + message(10) + b"\n", (STREAM,)),
        Response(500, b"x" * 2 * LONGEST_MESSAGE, (JSON,)),
        Response(200, b"<html>", (("Content-Type", "text/html"),)),
        Response(200, b"{}", (JSON,)),
        Response(202),
        Response(200, json.dumps({"jsonrpc": "2.0", "id": "ID", "result": {"content": 1}}).encode(), (JSON,)),
    ],
)
async def test_an_answer_that_breaks_the_rules_fails_the_call_and_not_the_session(answer: Response) -> None:
    old = OldServer()
    async with (
        open_odd_server(old) as server,
        open_mcp_servers([Server("s", url=URL)], MemoryPins(), connect=server.connect) as toolbox,
    ):
        tools = await wait_tools(toolbox, "s__look")
        old.answer = answer
        assert len(await refusal(tools["s__look"])) < 500
        old.answer = "fine"
        assert await (await wait_tools(toolbox, "s__look"))["s__look"].call({}) == "fine"


async def test_a_server_that_repeats_the_token_does_not_spread_it() -> None:
    failed = {"content": [{"type": "text", "text": f"You sent {TOKEN}."}], "isError": True}
    refused = {"code": -32000, "message": f"You\x1b\nare {TOKEN}."}
    old = OldServer()
    async with (
        open_odd_server(old) as server,
        open_mcp_servers([Server("s", url=URL, token=Secret(TOKEN))], MemoryPins(), connect=server.connect) as toolbox,
    ):
        tools = await wait_tools(toolbox, "s__look")
        for reply, text in (({"result": failed}, "You sent •••."), ({"error": refused}, "the server s: You are •••.")):
            body = json.dumps({"jsonrpc": "2.0", "id": "ID", **reply}).encode()
            old.answer = Response(200, body, (JSON,))
            assert await refusal(tools["s__look"]) == text


async def test_a_server_that_asks_and_does_not_wait_for_answers_is_lost(captured_log: list[Any]) -> None:
    pings = [json.dumps({"jsonrpc": "2.0", "id": f"ping-{number}", "method": "ping"}) for number in range(10_000)]
    old = OldServer(Response(200, "".join(f"data: {ping}\n\n" for ping in pings).encode(), (STREAM,)))
    async with (
        open_odd_server(old) as server,
        open_mcp_servers([Server("s", url=URL)], MemoryPins(), connect=server.connect) as toolbox,
    ):
        tools = await wait_tools(toolbox, "s__look")
        assert "is not there any more" in await refusal(tools["s__look"])
        await wait_tools(toolbox, gone="s__look")
    assert problems(captured_log, "s") == ["it asks more than it reads of the answers"]


async def test_a_compressed_answer_is_not_unpacked(captured_log: list[Any]) -> None:
    """A thousandth of the memory that it would take."""
    bomb = gzip.compress(b" " * 10 * LONGEST_MESSAGE)
    old = OldServer(Response(200, bomb, (JSON, ("Content-Encoding", "gzip"))))
    async with (
        open_odd_server(old) as server,
        open_mcp_servers([Server("s", url=URL)], MemoryPins(), connect=server.connect) as toolbox,
    ):
        tools = await wait_tools(toolbox, "s__look")
        assert "is not there any more" in await refusal(tools["s__look"])
        await wait_tools(toolbox, gone="s__look")
    assert problems(captured_log, "s") == ["it compresses its answers though it was asked not to"]


# Results


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": []}, ""),
        ({"content": [], "structuredContent": {"ä": [1]}}, '{"ä": [1]}'),
        ({"content": [{"type": "text", "text": "a"}], "structuredContent": {"b": 1}}, "a"),
        ({"content": [{"type": "text", "text": "a\n"}, {"type": "text", "text": "b"}]}, "a\n\nb"),
        ({"content": [{"type": "image", "mimeType": "x" * 999, "data": ""}]}, f"[{'x' * 100}, 0 bytes left out]"),
    ],
)
def test_a_result_becomes_text(result: dict[str, Any], text: str) -> None:
    assert render_result(mcp_types.CallToolResult.model_validate(result)) == text
