"""How an HTTP request is read as a call."""

from __future__ import annotations

import json

import pytest
import trio.testing
from emulator_scenes import Client, scene

from triolet.emulator import open_telegram_server

TOKEN = "42:emulator"


@pytest.mark.parametrize(
    ("method", "target", "body", "kind", "status", "description"),
    [
        ("GET", "/", b"", "", 404, "Not Found"),
        ("GET", "/bot42:emulator", b"", "", 404, "Not Found"),
        ("GET", "/botnonsense/getMe", b"", "", 404, "Not Found"),
        ("GET", f"/bot{TOKEN}/getYou", b"", "", 404, "Not Found: method not found"),
        ("PUT", f"/bot{TOKEN}/getMe", b"", "", 405, "Method Not Allowed"),
        ("GET", f"/bot{TOKEN}/getMe?x=1", b"", "", 400, "Bad Request: emulator: getMe has no parameter 'x'"),
        ("POST", f"/bot{TOKEN}/getMe", b"{", "application/json", 400, "Bad Request: emulator: the body is not JSON"),
        (
            "POST",
            f"/bot{TOKEN}/getMe",
            b"[" * 100_000,
            "application/json",
            400,
            "Bad Request: emulator: the body is not JSON",
        ),
        (
            "POST",
            f"/bot{TOKEN}/getMe",
            b'{"x": NaN}',
            "application/json; charset=utf-8",
            400,
            "Bad Request: emulator: the body is not JSON",
        ),
        (
            "POST",
            f"/bot{TOKEN}/getMe",
            b"[]",
            "application/json",
            400,
            "Bad Request: emulator: the body is not a JSON object",
        ),
        (
            "POST",
            f"/bot{TOKEN}/getMe",
            b"x",
            "multipart/form-data",
            400,
            "Bad Request: emulator: bodies of the type 'multipart/form-data' are not modelled",
        ),
        (
            "POST",
            f"/bot{TOKEN}/sendMessage",
            b"chat_id=seven&text=x",
            "application/x-www-form-urlencoded",
            400,
            'Bad Request: emulator: sendMessage: chat_id must be Integer or @name, not "seven"',
        ),
    ],
)
async def test_what_is_no_call_is_refused(
    *,
    method: str,
    target: str,
    body: bytes,
    kind: str,
    status: int,
    description: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_telegram_server(scene()) as server:
        client = Client(await server.connect())
        await client.send(method, target, body, kind)
        answer = await client.receive()
        assert (answer[0], json.loads(answer[1])["description"]) == (status, description)


async def test_forms_and_queries_are_read_by_the_types_of_their_parameters(
    autojump_clock: trio.testing.MockClock,
) -> None:
    form = (
        b"chat_id=7&text=5&disable_notification=true&protect_content=False"
        b"&entities=%5B%7B%22type%22%3A%22bold%22%2C%22offset%22%3A0%2C%22length%22%3A1%7D%5D"
    )
    async with open_telegram_server(scene()) as server:
        client = Client(await server.connect())
        await client.send("POST", f"/bot{TOKEN}/sendMessage", form, "application/x-www-form-urlencoded")
        assert (await client.receive())[0] == 200
        assert server.telegram.journal[0].params == {
            "chat_id": 7,
            "text": "5",
            "disable_notification": True,
            "protect_content": False,
            "entities": [{"type": "bold", "offset": 0, "length": 1}],
        }
        await client.send("GET", f"/bot{TOKEN}/sendMessage?chat_id=@nobody&text=x")
        assert b"chat not found" in (await client.receive())[1]
