"""An MCP server over HTTP, in memory: one tool that takes its time, in the protocol of 2025-06-18.

Source: https://modelcontextprotocol.io/specification/2025-06-18/basic/transports#streamable-http. Each request is a
POST that is answered with JSON; a stream of the server's own (GET) is refused, as the specification allows.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import trio
from trio.testing import memory_stream_pair

from triolet.emulator.http import Exchange, Response, serve_connection

PROTOCOL = "2025-06-18"
TOOL = {"name": "search", "description": "Search.", "inputSchema": {"type": "object", "properties": {}}}


@attrs.define(eq=False)
class McpWire:
    """``calls`` are those that run now, by their request's id; ``cancelled`` counts those that were called off."""

    nursery: trio.Nursery
    seconds: float = 0.5
    cancelled: int = 0
    calls: dict[Any, trio.CancelScope] = attrs.Factory(dict)
    ended_at: list[float] = attrs.Factory(list)

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        await trio.sleep(0.01)
        stream, wire = memory_stream_pair()
        self.nursery.start_soon(serve_connection, wire, self._answer)
        return stream

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.request.method != "POST":
            await exchange.respond(Response(405, b""))
            return
        message = json.loads(exchange.request.body)
        await trio.sleep(0.01)
        if "id" not in message:
            self._hear(message)
            await exchange.respond(Response(202, b""))
            return
        result = await self._result(message)
        error = {"code": -32601, "message": "Method not found"}
        told = {"error": error} if result is None else {"result": result}
        await exchange.respond(Response.json({"jsonrpc": "2.0", "id": message["id"], **told}))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["method"] == "notifications/cancelled":
            call = self.calls.get(message["params"]["requestId"])
            if call is not None:
                call.cancel()

    async def _result(self, message: dict[str, Any]) -> dict[str, Any] | None:
        if message["method"] == "initialize":
            info = {"name": "wire", "version": "1"}
            return {"protocolVersion": PROTOCOL, "capabilities": {"tools": {}}, "serverInfo": info}
        if message["method"] == "tools/list":
            return {"tools": [TOOL]}
        return await self._call(message["id"]) if message["method"] == "tools/call" else None

    async def _call(self, number: Any) -> dict[str, Any]:
        try:
            with trio.CancelScope() as self.calls[number]:
                await trio.sleep(self.seconds)
            self.cancelled += self.calls[number].cancelled_caught
        finally:
            del self.calls[number]
            self.ended_at.append(trio.current_time())
        return {"content": [{"type": "text", "text": "found"}]}
