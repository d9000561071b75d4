"""The emulator over real sockets, through a real client. Real time, localhost, port 0, a deadline on everything."""

from __future__ import annotations

import httpx
import pytest
import trio

from triolet.emulator import EmulatedTelegram, TelegramServer, open_telegram_server

TIMEOUT = 5.0


@pytest.fixture
def telegram() -> EmulatedTelegram:
    telegram = EmulatedTelegram()
    telegram.add_private_chat(7, "Ann")
    return telegram


async def open_base(server: TelegramServer, nursery: trio.Nursery) -> str:
    base: str = await nursery.start(server.serve_tcp)
    return f"{base}/bot{server.telegram.token}"


async def test_a_real_client_talks_and_a_waiting_poll_hears_at_once(telegram: EmulatedTelegram) -> None:
    with trio.fail_after(TIMEOUT):
        async with open_telegram_server(telegram) as server, trio.open_nursery() as nursery:
            base = await open_base(server, nursery)
            async with httpx.AsyncClient(timeout=TIMEOUT) as client:
                sent = await client.post(f"{base}/sendMessage", json={"chat_id": 7, "text": "hello"})
                assert sent.json()["result"]["text"] == "hello"
                form = await client.post(f"{base}/sendMessage", data={"chat_id": "7", "text": "as a form"})
                assert form.status_code == 200
                query = await client.get(f"{base}/getUpdates", params={"timeout": 0, "allowed_updates": "[]"})
                assert query.json() == {"ok": True, "result": []}
                polled: list[httpx.Response] = []

                async def poll() -> None:
                    polled.append(await client.post(f"{base}/getUpdates", json={"timeout": 50}))

                async with trio.open_nursery() as polling:
                    polling.start_soon(poll)
                    await server.wait_until(lambda: len(telegram.calls("getUpdates")) == 2)
                    server.say(7, "hi")
                assert polled[0].json()["result"][0]["message"]["text"] == "hi"
                assert server.visible(7) == ["hello", "as a form", "hi"]
            nursery.cancel_scope.cancel()
