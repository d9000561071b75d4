"""A model's server that is asked for nothing but the list of its models."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
from trio.testing import memory_stream_pair

from triolet.emulator.http import Exchange, Request, Response, serve_connection


@attrs.define(eq=False)
class ListServer:
    """Made by `open_list_server`. ``status`` is its answer, after ``pause`` seconds; ``asked`` is what it was."""

    nursery: trio.Nursery
    status: int = 200
    pause: float = 0.0
    reachable: bool = True
    asked: list[Request] = attrs.Factory(list)

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """In memory, in the place of `connect_tcp`."""
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise ConnectionRefusedError("nobody listens")
        client, server = memory_stream_pair()
        self.nursery.start_soon(serve_connection, server, self._answer)
        return client

    async def _answer(self, exchange: Exchange) -> None:
        self.asked.append(exchange.request)
        if self.pause == math.inf:
            await trio.sleep_forever()
        await trio.sleep(self.pause)
        headers = "".join(f"{name}: {value}\n" for name, value in exchange.request.headers)
        await exchange.respond(Response(self.status, headers.encode()))  # what it was told, key and all


@asynccontextmanager
async def open_list_server(status: int = 200) -> AsyncIterator[ListServer]:
    async with trio.open_nursery() as nursery:
        yield ListServer(nursery, status)
        nursery.cancel_scope.cancel()
