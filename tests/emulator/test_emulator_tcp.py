"""The emulator over real sockets, through a real client. Real time, localhost, port 0, a deadline on everything."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import httpx
import pytest
import trio
from emulator_scenes import ANN, scene

from triolet.emulator import Delay, EmulatedTelegram, Fault, Reset, TelegramServer, open_telegram_server, serve

TIMEOUT = 5.0


@attrs.frozen
class Wire:
    """A listening emulator and a client that knows its token."""

    server: TelegramServer
    client: httpx.AsyncClient
    address: tuple[str, int]


@asynccontextmanager
async def open_wire(telegram: EmulatedTelegram) -> AsyncIterator[Wire]:
    with trio.fail_after(TIMEOUT):
        async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
            base: str = await nursery.start(server.serve_tcp)
            url = httpx.URL(base)
            assert url.port is not None
            root = f"{base}/bot{telegram.token}/"
            async with httpx.AsyncClient(base_url=root, timeout=TIMEOUT) as client:
                yield Wire(server, client, (url.host, url.port))
            nursery.cancel_scope.cancel()


async def test_json_forms_and_queries_arrive() -> None:
    async with open_wire(scene()) as wire:
        sent = await wire.client.post("sendMessage", json={"chat_id": ANN, "text": "json 👋"})
        assert sent.json()["result"]["text"] == "json 👋"
        assert (await wire.client.post("sendMessage", data={"chat_id": "7", "text": "form"})).status_code == 200
        assert (await wire.client.get("sendMessage", params={"chat_id": 7, "text": "query"})).status_code == 200
        assert wire.server.visible(ANN) == ["json 👋", "form", "query"]
        assert (await wire.client.post("sendMessage", json={"chat_id": ANN, "text": ""})).status_code == 400


async def test_a_waiting_poll_hears_at_once() -> None:
    async with open_wire(scene()) as wire:
        polled: list[httpx.Response] = []

        async def poll() -> None:
            polled.append(await wire.client.post("getUpdates", json={"timeout": 50}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wire.server.wait_until(lambda: len(wire.server.telegram.calls("getUpdates")) == 1)
            wire.server.say(ANN, "hi")
        assert [update["message"]["text"] for update in polled[0].json()["result"]] == ["hi"]


async def test_a_reset_and_a_client_that_gives_up() -> None:
    telegram = scene()
    telegram.add_fault(Fault(action=Reset(carried_out=True)))
    telegram.add_fault(Fault(action=Delay(before=0.2), skip=1))
    async with open_wire(telegram) as wire:
        with pytest.raises(httpx.RemoteProtocolError):
            await wire.client.post("sendMessage", json={"chat_id": ANN, "text": "lost"})
        with pytest.raises(httpx.ReadTimeout):
            await wire.client.post("sendMessage", json={"chat_id": ANN, "text": "late"}, timeout=0.05)
        await wire.server.wait_changed(1)
        assert wire.server.visible(ANN) == ["lost", "late"]


async def test_what_other_clients_do_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with open_wire(scene()) as wire:
        half_open = await trio.open_tcp_stream(*wire.address)
        await half_open.send_all(b"POST /bot42:emulator/getMe HTTP/1.1\r\nHost: e\r\nContent-Length: 9\r\n\r\n")
        garbage = await trio.open_tcp_stream(*wire.address)
        await garbage.send_all(b"\x16\x03\x01\x00\r\n\r\n")
        answer = bytearray()
        while piece := await garbage.receive_some(4096):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 400 ")
        rude = await trio.open_tcp_stream(*wire.address)
        await rude.send_all(b"GET /bot42:emulator/getUpdates?timeout=50 HTTP/1.1\r\nHost: e\r\n\r\n")
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await rude.aclose()  # a reset, not a goodbye
        large = await wire.client.post("sendMessage", content=b"x" * (2 << 20))
        assert large.status_code == 413
        assert (await wire.client.post("getMe")).json()["ok"]
        await wire.server.wait_until(
            lambda: all(entry.outcome == "dropped" for entry in wire.server.telegram.calls("getUpdates"))
        )
        await half_open.aclose()
        await garbage.aclose()
    assert caplog.records == []


async def test_an_unreachable_server_closes_what_it_accepts() -> None:
    async with open_wire(scene()) as wire:
        wire.server.reachable = False
        with pytest.raises(httpx.TransportError):
            await wire.client.post("getMe")


async def test_a_process_of_its_own_is_driven_by_control() -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery, httpx.AsyncClient(timeout=TIMEOUT) as client:
            base: str = await nursery.start(serve, EmulatedTelegram())
            added = await client.post(f"{base}/control/chat", json={"user_id": ANN, "first_name": "Ann"})
            assert added.json() == {"ok": True, "result": None}
            assert (await client.post(f"{base}/control/message", json={"chat_id": ANN, "text": "hi"})).is_success
            updates = (await client.post(f"{base}/bot42:emulator/getUpdates")).json()["result"]
            assert updates[0]["message"]["text"] == "hi"
            screen = (await client.get(f"{base}/control/screen", params={"chat_id": ANN})).json()["result"]
            assert [message["text"] for message in screen["messages"]] == ["hi"]
            assert (await client.get(f"{base}/control/nonsense")).status_code == 404
            nursery.cancel_scope.cancel()
