"""A request, cancelled at every point: no connection is left open, none is kept half read, and the next succeeds."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType

import httpx
import httpx2
import pytest
import trio
import trio.testing
from odd_servers import HOST, Certificates, make_certificates, open_odd_server

from triolet.config import Secret
from triolet.emulator import App, Exchange, Response
from triolet.net.http1 import Connections
from triolet.net.transport import open_transport
from triolet.telegram.client import BotApi
from triolet.testing import Trial, sweep

SEEDS = range(int(os.environ.get("SWEEP_SEEDS", "1")))

LIBRARIES = [pytest.param(httpx, id="httpx"), pytest.param(httpx2, id="httpx2")]


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return make_certificates()


def slow_server(*headers: tuple[str, str]) -> App:
    async def answer(exchange: Exchange) -> None:
        await trio.sleep(0.1)
        await exchange.start(200, headers)
        for _ in range(3):
            await trio.sleep(0.1)
            await exchange.send_chunk(b"more")
        await exchange.finish()

    return answer


@pytest.mark.case("I2", "RR18")
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("client", LIBRARIES)
def test_ours_is_whole_after_any_cancel(certificates: Certificates, client: ModuleType, tls: bool, warm: bool) -> None:
    url = f"{'https' if tls else 'http'}://{HOST}/"

    async def scenario(trial: Trial) -> None:
        async with open_odd_server(slow_server(), tls=certificates.server if tls else None) as server:
            transport = open_transport(client, server.connect, tls=certificates.client, keep_seconds=5.0)
            async with client.AsyncClient(transport=transport, timeout=None) as http:
                if warm:
                    await http.get(url)
                with trial.cancels():
                    await http.get(url)
                await check_whole(transport.connections, lambda: server.open)
                assert (await http.get(url)).text == "moremoremore"
            await trio.testing.wait_all_tasks_blocked()
            assert server.open == 0

    report = sweep(scenario, seeds=SEEDS)
    assert report.missed < report.runs / 4


@pytest.mark.case("I2", "RR18")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_call_is_cancelled_and_the_end_of_all_with_it(certificates: Certificates, tls: bool) -> None:
    """Of the Bot API, whose connections are closed within the cancel, too: with others that are idle."""

    async def scenario(trial: Trial) -> None:
        async def answer(exchange: Exchange) -> None:
            await trio.sleep(0.1)
            await exchange.respond(Response.json({"ok": True, "result": 5}))

        async with open_odd_server(answer, tls=certificates.server if tls else None) as server:
            connections = Connections(server.connect, tls=certificates.client)
            api = BotApi(f"{'https' if tls else 'http'}://{HOST}", Secret("42:token"), connections)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(api.call, "getMe", {})
            with trial.cancels():
                try:
                    async with trio.open_nursery() as nursery:
                        for _ in range(4):
                            nursery.start_soon(api.call, "getMe", {})
                    await check_whole(connections, lambda: server.open)
                finally:
                    await connections.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert (connections.idle, server.open) == ([], 0)

    report = sweep(scenario, seeds=SEEDS)
    assert report.missed < report.runs / 4


async def check_whole(connections: Connections, count_open: Callable[[], int]) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert all(connection.is_reusable for connection in connections.idle), "none is in the middle of an answer"
    assert count_open() == len(connections.idle), "nobody holds a connection that is forgotten"
