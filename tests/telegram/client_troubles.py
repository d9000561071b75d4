"""What may come of a call, in tables: answers that refuse, and no answer at all; each with the error it is to be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
import trio.testing
from odd_servers import (
    BrokenAfterSend,
    Connect,
    Unreadable,
    Unwritable,
    Wrapped,
    hang_up,
    hang_up_halfway,
    never,
    open_odd_server,
    refuse,
    respond,
    say_half,
    say_nothing,
    write,
)

from triolet.config import Secret
from triolet.emulator import (
    App,
    Exchange,
    Response,
)
from triolet.errors import (
    Conflict,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    TooManyRequests,
    TrioletError,
    Unauthorized,
)
from triolet.telegram.client import BotApi, open_bot_api

TOKEN = "42:CANARY_of-the-bot"
BASE = "http://telegram"
CALL = {"chat_id": 7, "text": "Hello"}


@asynccontextmanager
async def open_api(app: App, wrap: Callable[[trio.abc.Stream], trio.abc.Stream] = Wrapped) -> AsyncIterator[BotApi]:
    async with (
        open_odd_server(app, wrap=wrap) as server,
        open_bot_api(BASE, Secret(TOKEN), connect=server.connect) as api,
    ):
        yield api


@attrs.frozen
class Expected:
    """The very class of an error, its text, and what its attributes say."""

    kind: type[TrioletError]
    text: str
    attributes: dict[str, Any] = attrs.Factory(dict)


def refused(kind: type[TelegramError], code: int, description: str, **attributes: Any) -> Expected:
    said = {"method": "sendMessage", "code": code, "description": description}
    return Expected(kind, f"sendMessage: {code} {description}", said | attributes)


def unknown(text: str) -> Expected:
    return Expected(TelegramOutcomeUnknown, f"sendMessage: {text}")


def check(error: TrioletError, expected: Expected) -> None:
    assert (type(error), str(error)) == (expected.kind, expected.text)
    assert {name: getattr(error, name) for name in expected.attributes} == expected.attributes


# What the server says


def no(code: int, description: str, status: int | None = None, **fields: Any) -> Response:
    return Response.json({"ok": False, "error_code": code, "description": description, **fields}, status or code)


def flood(parameters: Any) -> tuple[Response, Expected]:
    """A 429 that names no time, or none that can be: the refusal stands."""
    answer = no(429, "Too Many Requests", parameters=parameters)
    return answer, refused(TooManyRequests, 429, "Too Many Requests", retry_after=1.0)


GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>"

ANSWERS: dict[str, tuple[Response, Expected]] = {
    "400": (no(400, "Bad Request: chat not found"), refused(TelegramError, 400, "Bad Request: chat not found")),
    "401": (no(401, "Unauthorized"), refused(Unauthorized, 401, "Unauthorized")),
    "403": (no(403, "Forbidden: blocked"), refused(TelegramError, 403, "Forbidden: blocked")),
    "404, a token that is none": (no(404, "Not Found"), refused(Unauthorized, 404, "Not Found")),
    "404, an older server": (
        no(404, "Not Found: method not found"),
        refused(TelegramError, 404, "Not Found: method not found"),
    ),
    "409": (no(409, "Conflict: terminated"), refused(Conflict, 409, "Conflict: terminated")),
    "413": (no(413, "Request Entity Too Large"), refused(TelegramError, 413, "Request Entity Too Large")),
    "429": (
        no(429, "Too Many Requests", parameters={"retry_after": 17}),
        refused(TooManyRequests, 429, "Too Many Requests", retry_after=17.0),
    ),
    "429 at once": (
        no(429, "Too Many Requests", parameters={"retry_after": 0}),
        refused(TooManyRequests, 429, "Too Many Requests", retry_after=0.0),
    ),
    "429, a fraction": (
        no(429, "Too Many Requests", parameters={"retry_after": 0.5}),
        refused(TooManyRequests, 429, "Too Many Requests", retry_after=0.5),
    ),
    "429 without parameters": (
        no(429, "Too Many Requests"),
        refused(TooManyRequests, 429, "Too Many Requests", retry_after=1.0),
    ),
    "429, parameters: null": flood(None),
    "429, parameters: a list": flood([17]),
    "429, parameters: empty": flood({}),
    "429, a text": flood({"retry_after": "17"}),
    "429, null": flood({"retry_after": None}),
    "429, false": flood({"retry_after": False}),
    "429, below zero": flood({"retry_after": -1}),
    "429, without end": flood({"retry_after": float("inf")}),
    "429, no number": flood({"retry_after": float("nan")}),
    "429, a list": flood({"retry_after": [17]}),
    "the code is in the status alone": (
        Response.json({"ok": False, "description": "Forbidden"}, 403),
        refused(TelegramError, 403, "Forbidden"),
    ),
    "the code is no number": (no("403", "Forbidden", 403), refused(TelegramError, 403, "Forbidden")),  # type: ignore[arg-type]  # the point
    "no description": (Response.json({"ok": False}, 400), refused(TelegramError, 400, "")),
    "a description that is no text": (
        Response.json({"ok": False, "description": 5}, 400),
        refused(TelegramError, 400, "5"),
    ),
    "500": (no(500, "Internal Server Error: restart"), unknown("500 Internal Server Error: restart")),
    "502 in JSON": (no(502, "Bad Gateway"), unknown("502 Bad Gateway")),
    "502 in HTML": (Response(502, GATEWAY), unknown("HTTP 502, not a Bot API answer")),
    "403 in HTML": (Response(403, GATEWAY), refused(TelegramError, 403, "not a Bot API answer")),
    "404 in HTML": (Response(404, GATEWAY), refused(TelegramError, 404, "not a Bot API answer")),
    "429 in HTML": (
        Response(429, GATEWAY),
        refused(TooManyRequests, 429, "not a Bot API answer", retry_after=1.0),
    ),
    "nothing": (Response(200), unknown("HTTP 200, not a Bot API answer")),
    "half of it": (Response(200, b'{"ok":true,"result":{"mess'), unknown("HTTP 200, not a Bot API answer")),
    "no UTF-8": (Response(200, b'{"ok":true,"result":"\xff"}'), unknown("HTTP 200, not a Bot API answer")),
    "a list": (Response.json([True]), unknown("HTTP 200, not a Bot API answer")),
    "null": (Response.json(None), unknown("HTTP 200, not a Bot API answer")),
    "another program's": (Response.json({"status": "up"}), unknown("HTTP 200, not a Bot API answer")),
    "ok is no truth": (Response.json({"ok": 1, "result": 1}), unknown("HTTP 200, not a Bot API answer")),
    "ok without a result": (Response.json({"ok": True}), unknown("HTTP 200, not a Bot API answer")),
    "very deep": (Response(200, b'{"ok":true,"result":' + b"[" * 100_000), unknown("HTTP 200, not a Bot API answer")),
    "a redirect": (
        Response(302, b"", (("Location", "http://elsewhere/"),)),
        unknown("HTTP 302, not a Bot API answer"),
    ),
    "the URL, quoted": (
        no(400, f"Bad Request: /bot{TOKEN}/sendMessage?"),
        refused(TelegramError, 400, "Bad Request: /bot•••/sendMessage?"),
    ),
    "the URL, quoted and encoded": (
        no(500, f"/bot{TOKEN.replace(':', '%3a')}/ failed"),
        unknown("500 /bot•••/ failed"),
    ),
}  # fmt: skip


# What the network does


async def dribble(exchange: Exchange) -> None:
    await exchange.start(200)
    while True:
        await exchange.send_chunk(b" ")
        await trio.sleep(30)


def lost(text: str) -> Expected:
    return Expected(TelegramUnreachable, f"cannot connect to {BASE} ({text})")


CONNECTS: dict[str, tuple[Connect, Expected, float]] = {
    "refused": (refuse, lost("[Errno 111] Connection refused"), 0.0),
    "no answer": (never, lost("it takes too long"), 10.0),
}
EXCHANGES: dict[str, tuple[App, Callable[[trio.abc.Stream], trio.abc.Stream], Expected, float]] = {
    "closed before the answer": (
        hang_up,
        Wrapped,
        unknown("no answer (the server closed the connection without an answer)"),
        0.0,
    ),
    "closed within the answer": (
        hang_up_halfway,
        Wrapped,
        unknown("no answer (the connection was closed in the middle of a body in chunks)"),
        0.0,
    ),
    "reset": (respond(Response(200)), Unreadable, unknown("no answer (reset by peer)"), 0.0),
    "silence": (say_nothing, Wrapped, unknown("no answer (it takes too long)"), 40.0),
    "silence within the answer": (say_half, Wrapped, unknown("no answer (it takes too long)"), 40.0),
    "a request that nobody reads": (say_nothing, Unwritable, unknown("no answer (it takes too long)"), 40.0),
    "an answer without end": (dribble, Wrapped, unknown("no answer (it takes too long)"), 40.0),
    "no HTTP, but the URL": (
        write(f"bot{TOKEN}?\r\n\r\n".encode()),
        Wrapped,
        unknown("no answer (the server speaks no HTTP: illegal status line: bytearray(b'bot•••?'))"),
        0.0,
    ),
    "a length of thousands of digits": (
        write(b"HTTP/1.1 200 OK\r\nContent-Length: 9%s\r\n\r\n" % (b"9" * 5000)),
        Wrapped,
        unknown("no answer (the server speaks no HTTP: bad Content-Length)"),
        0.0,
    ),
    "a request that breaks off": (
        hang_up,
        BrokenAfterSend,
        unknown("no answer (the server closed the connection without an answer)"),
        0.0,
    ),
}
