"""A request, cancelled at every point: the connection pool is whole afterwards, and the server is left alone.

The same sweep over the libraries' own backends finds the slot that they lose, so that it is known to look well enough.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from types import ModuleType
from typing import Any

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import trio
import trio.testing
from httpcore._backends.trio import TrioStream
from httpcore2._backends.trio import TrioStream as TrioStream2
from odd_servers import HOST, Certificates, OddServer, make_certificates, open_odd_server

from triolet.emulator import App, Exchange
from triolet.net.network import open_transport
from triolet.testing import Trial, sweep

SEEDS = range(int(os.environ.get("SWEEP_SEEDS", "1")))

LIBRARIES = [
    pytest.param(httpx, httpcore, TrioStream, id="httpx"),
    pytest.param(httpx2, httpcore2, TrioStream2, id="httpx2"),
]


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates()


class Stock:
    """The libraries' backend for Trio, over streams in memory."""

    def __init__(self, server: OddServer, stream: type[Any]) -> None:
        self.server = server
        self.stream = stream

    async def connect_tcp(self, host: str, port: int, **_: Any) -> Any:
        return self.stream(await self.server.connect(host, port))

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


def slow_server(*headers: tuple[str, str]) -> App:
    async def answer(exchange: Exchange) -> None:
        await trio.sleep(0.1)
        await exchange.start(200, headers)
        for _ in range(3):
            await trio.sleep(0.1)
            await exchange.send_chunk(b"more")
        await exchange.finish()

    return answer


async def ask_twice(trial: Trial, open_pool: Callable[[OddServer], Any], app: App, tls: ssl.SSLContext | None) -> None:
    """A request that is struck, and another that must not suffer."""
    url = f"{'http' if tls is None else 'https'}://{HOST}/"
    async with open_odd_server(app, tls=tls) as server:
        pool = open_pool(server)
        try:
            with trial.cancels():
                await pool.request("GET", url)
            await trio.testing.wait_all_tasks_blocked()
            assert all(connection.is_idle() for connection in pool.connections)
            assert server.open <= len(pool.connections), "nobody holds a connection that the pool has forgotten"
            response = await pool.request("GET", url, extensions={"timeout": {"pool": 5.0}})
            assert (response.status, response.content) == (200, b"moremoremore")
        finally:
            for connection in pool.connections:  # the stock pool gives nobody else the chance
                await connection.aclose()
            await pool.aclose()


@pytest.mark.case("I2", "RR18")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("client", "pool", "stream"), LIBRARIES)
def test_ours_is_whole_after_any_cancel(
    certificates: Certificates, client: ModuleType, pool: ModuleType, stream: Any, tls: bool
) -> None:
    def open_pool(server: OddServer) -> Any:
        options: dict[str, Any] = {"tls": certificates.client if tls else False, "max_connections": 1}
        return open_transport(client, pool, server.connect, **options).connections

    async def scenario(trial: Trial) -> None:
        await ask_twice(trial, open_pool, slow_server(), certificates.server if tls else None)

    report = sweep(scenario, seeds=SEEDS)
    assert report.missed < report.runs / 4


@pytest.mark.parametrize(("client", "pool", "stream"), LIBRARIES)
def test_the_stock_backend_is_caught_with_tls(
    certificates: Certificates, client: ModuleType, pool: ModuleType, stream: Any
) -> None:
    def open_pool(server: OddServer) -> Any:
        backend = Stock(server, stream)
        return pool.AsyncConnectionPool(ssl_context=certificates.client, max_connections=1, network_backend=backend)

    async def scenario(trial: Trial) -> None:
        # That backend cannot tell whether an idle stream in memory is still whole, so none is kept.
        app = slow_server(("Connection", "close"))
        await ask_twice(trial, open_pool, app, certificates.server)

    with pytest.raises(ExceptionGroup, match="runs failed"):
        sweep(scenario, seeds=SEEDS)
