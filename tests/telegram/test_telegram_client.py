"""The Bot API's client: what each answer means, that the token shows nowhere, and which connection a call takes."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from odd_servers import (
    Connect,
    OddServer,
    Unreadable,
    Unwritable,
    Wrapped,
    hang_up,
    hang_up_halfway,
    make_certificates,
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
    BotUser,
    EmulatedTelegram,
    Exchange,
    Fault,
    Flood,
    Refuse,
    Reset,
    Response,
    ServerError,
    open_telegram_server,
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
from triolet.net.redact import Redactor
from triolet.telegram.client import MAX_CONNECTIONS, BotApi, open_bot_api, parse_answer

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
    "429, true": flood({"retry_after": True}),
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
    "403 in HTML": (Response(403, GATEWAY), unknown("HTTP 403, not a Bot API answer")),
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


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_that_refuses(autojump_clock: trio.testing.MockClock, case: str) -> None:
    answer, expected = ANSWERS[case]
    async with open_api(respond(answer)) as api:
        with pytest.raises(TrioletError) as caught:
            await api.call("sendMessage", CALL)
        check(caught.value, expected)


RESULTS: list[Any] = [True, None, 0, [], {}, {"message_id": 1, "text": "Привет 👋"}, "half a \ud83d pair", 10**25]


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_with_a_result(autojump_clock: trio.testing.MockClock, result: Any, status: int) -> None:
    """Whatever the status says, and whatever a user wrote."""
    async with open_api(respond(Response.json({"ok": True, "result": result}, status))) as api:
        assert await api.call("getUpdates", {}) == result


def test_an_answer_can_be_read_by_itself() -> None:
    assert parse_answer("getMe", 200, b'\xef\xbb\xbf{"ok":true,"result":5}') == 5
    with pytest.raises(Unauthorized, match="getMe: 401 Unauthorized"):
        parse_answer("getMe", 401, b'{"ok":false,"description":"Unauthorized"}')


# What the network does


async def dribble(exchange: Exchange) -> None:
    await exchange.start(200)
    while True:
        await exchange.send_chunk(b" ")
        await trio.sleep(30)


def lost(text: str) -> Expected:
    return Expected(TelegramUnreachable, f"cannot connect to {BASE} ({text})")


CONNECTS: dict[str, tuple[Connect, Expected, float]] = {
    "refused": (refuse, lost("ConnectError: [Errno 111] Connection refused"), 0.0),
    "no answer": (never, lost("ConnectTimeout: TooSlowError"), 10.0),
}
EXCHANGES: dict[str, tuple[App, Callable[[trio.abc.Stream], trio.abc.Stream], Expected, float]] = {
    "closed before the answer": (
        hang_up,
        Wrapped,
        unknown("no answer (RemoteProtocolError: Server disconnected without sending a response.)"),
        0.0,
    ),
    "closed within the answer": (
        hang_up_halfway,
        Wrapped,
        unknown(
            "no answer (RemoteProtocolError: "
            "peer closed connection without sending complete message body (incomplete chunked read))"
        ),
        0.0,
    ),
    "reset": (respond(Response(200)), Unreadable, unknown("no answer (ReadError: reset by peer)"), 0.0),
    "silence": (say_nothing, Wrapped, unknown("no answer (ReadTimeout: TooSlowError)"), 40.0),
    "silence within the answer": (say_half, Wrapped, unknown("no answer (ReadTimeout: TooSlowError)"), 40.0),
    "a request that nobody reads": (say_nothing, Unwritable, unknown("no answer (WriteTimeout: TooSlowError)"), 40.0),
    "an answer without end": (dribble, Wrapped, unknown("no answer (TooSlowError)"), 50.0),
    "no HTTP, but the URL": (
        write(f"bot{TOKEN}?\r\n\r\n".encode()),
        Wrapped,
        unknown("no answer (RemoteProtocolError: illegal status line: bytearray(b'bot•••?'))"),
        0.0,
    ),
    "no gzip": (
        respond(Response(200, b"{}", (("Content-Encoding", "gzip"),))),
        Wrapped,
        unknown("no answer (DecodingError: Error -3 while decompressing data: incorrect header check)"),
        0.0,
    ),
}


@pytest.mark.parametrize("case", CONNECTS)
async def test_no_connection(autojump_clock: trio.testing.MockClock, case: str) -> None:
    connect, expected, seconds = CONNECTS[case]
    async with open_bot_api(BASE, Secret(TOKEN), connect=connect) as api:
        with pytest.raises(TrioletError) as caught:
            await api.call("sendMessage", CALL)
        check(caught.value, expected)
        assert trio.current_time() == seconds


@pytest.mark.parametrize("case", EXCHANGES)
async def test_no_answer(autojump_clock: trio.testing.MockClock, case: str) -> None:
    app, wrap, expected, seconds = EXCHANGES[case]
    async with open_api(app, wrap) as api:
        with pytest.raises(TrioletError) as caught:
            await api.call("sendMessage", CALL)
        check(caught.value, expected)
        assert trio.current_time() == seconds


async def test_a_call_has_the_time_it_is_given(autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(say_nothing) as api:
        with pytest.raises(TelegramOutcomeUnknown):
            await api.call("sendMessageDraft", CALL, timeout=2.5)
        assert trio.current_time() == 2.5


@pytest.mark.parametrize("base", ["http://[", "ftp://telegram", "http://telegram:99999"])
async def test_an_address_that_is_none(base: str) -> None:
    async with open_bot_api(base, Secret(TOKEN), connect=refuse) as api:
        with pytest.raises(TelegramUnreachable, match="cannot connect"):
            await api.call("getMe", {})


async def test_a_certificate_that_nobody_vouches_for(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_odd_server(say_nothing, tls=make_certificates().server) as server,
        open_bot_api("https://server.test", Secret(TOKEN), connect=server.connect) as api,
    ):
        with pytest.raises(TelegramUnreachable, match="certificate verify failed"):
            await api.call("getMe", {})
        assert server.requests == []


# The emulator's second opinion


FAULTS: dict[str, tuple[Any, type[TrioletError], list[str]]] = {
    "refused": (Refuse(403, "Forbidden: bot was blocked by the user"), TelegramError, []),
    "a flood": (Flood(5), TooManyRequests, []),
    "a gateway": (ServerError(), TelegramOutcomeUnknown, []),
    "a reset before": (Reset(carried_out=False), TelegramOutcomeUnknown, []),
    "a reset after": (Reset(carried_out=True), TelegramOutcomeUnknown, ["Hello"]),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_the_emulators_faults(autojump_clock: trio.testing.MockClock, case: str) -> None:
    action, kind, shown = FAULTS[case]
    telegram = EmulatedTelegram(token=TOKEN)
    telegram.add_private_chat(7)
    telegram.add_fault(Fault(method="sendMessage", action=action))
    async with (
        open_telegram_server(telegram) as server,
        open_bot_api(BASE, Secret(TOKEN), connect=server.connect) as api,
    ):
        with pytest.raises(kind) as caught:
            await api.call("sendMessage", CALL)
        assert type(caught.value) is kind
        assert server.visible(7) == shown


@pytest.mark.parametrize("token", ["42:another", "nonsense/.."])
async def test_another_bots_token(autojump_clock: trio.testing.MockClock, token: str) -> None:
    async with (
        open_telegram_server(EmulatedTelegram(token=TOKEN)) as server,
        open_bot_api(BASE, Secret(token), connect=server.connect) as api,
    ):
        with pytest.raises(Unauthorized):
            await api.call("getMe", {})


async def test_a_base_may_end_with_a_slash_and_have_a_path(autojump_clock: trio.testing.MockClock) -> None:
    paths: list[str] = []

    async def app(exchange: Exchange) -> None:
        paths.append(exchange.request.path)
        await exchange.respond(Response.json({"ok": True, "result": True}))

    async with (
        open_odd_server(app) as server,
        open_bot_api(f"{BASE}/proxy/", Secret(TOKEN), connect=server.connect) as api,
    ):
        assert await api.call("getMe", {})
    assert paths == [f"/proxy/bot{TOKEN}/getMe"]


async def test_over_tcp() -> None:
    """All the way, once, on a real socket."""
    with trio.fail_after(10):
        async with open_telegram_server(EmulatedTelegram(token=TOKEN)) as server, trio.open_nursery() as nursery:
            base = await nursery.start(server.serve_tcp)
            async with open_bot_api(base, Secret(TOKEN)) as api:
                assert (await api.call("getMe", {}))["username"] == BotUser().username
            nursery.cancel_scope.cancel()


# What is sent


SENT = [
    ({"text": "Привет 👋", "n": 1.5}, {"text": "Привет 👋", "n": 1.5}),
    ({"text": "half \ud83d pair"}, {"text": "half ? pair"}),
    ({}, {}),
]


@pytest.mark.parametrize(("params", "sent"), SENT)
async def test_parameters_are_sent_as_json(
    autojump_clock: trio.testing.MockClock, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Half a pair keeps its length: entities that follow it stay where they were."""
    async with open_odd_server(respond(Response.json({"ok": True, "result": True}))) as server:
        async with open_bot_api(BASE, Secret(TOKEN), connect=server.connect) as api:
            await api.call("sendMessage", params)
        (request,) = server.requests
        assert json.loads(request.body) == sent
        assert (request.method, request.header("content-type")) == ("POST", "application/json")
        assert (request.header("host"), request.header("user-agent")) == ("telegram", "triolet")


async def test_what_is_no_json_is_our_mistake(autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(say_nothing) as api:
        with pytest.raises(ValueError, match="not JSON compliant"):
            await api.call("sendMessage", {"n": float("nan")})


# The token


class Recorder(logging.Handler):
    """Everything of every record: what any formatter could show."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += [record.getMessage(), repr(vars(record)), logging.Formatter().format(record)]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What every library logs, at its most talkative."""
    recorder = Recorder()
    logging.getLogger().addHandler(recorder)
    with caplog.at_level(logging.DEBUG):
        yield recorder.seen
    logging.getLogger().removeHandler(recorder)


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def everything_told(error: BaseException) -> str:
    """All that could be shown of an error and of those that led to it."""
    parts = [f"{part} {part!r} {part.args!r} {vars(part)!r}" for part in chain(error)]
    return "\n".join([*parts, *traceback.format_exception(error)])


TROUBLE: dict[str, Connect | App] = {
    **{name: connect for name, (connect, _, _) in CONNECTS.items()},
    **{name: app for name, (app, _, _, _) in EXCHANGES.items()},
    **{name: respond(answer) for name, (answer, _) in ANSWERS.items()},
}


ECHOED = {"no HTTP, but the URL"}
"""What httpcore repeats at DEBUG are a server's words, not ours; the log's mask is there for that."""


@pytest.mark.parametrize("case", TROUBLE)
async def test_no_trouble_tells_the_token(
    autojump_clock: trio.testing.MockClock, records: list[str], case: str
) -> None:
    trouble: Any = TROUBLE[case]
    async with open_odd_server(trouble, wrap=EXCHANGES[case][1] if case in EXCHANGES else Wrapped) as server:
        connect = trouble if case in CONNECTS else server.connect
        async with open_bot_api(BASE, Secret(TOKEN), connect=connect) as api:
            with pytest.raises(TrioletError) as caught:
                await api.call("sendMessage", CALL)
            assert "CANARY" not in everything_told(caught.value) + repr(api)
    assert any("connect_tcp.started" in record for record in records), "the libraries did talk"
    logged = "\n".join(records)
    assert "CANARY" not in (Redactor([TOKEN])(logged) if case in ECHOED else logged)


async def test_success_and_cancellation_tell_no_token(
    autojump_clock: trio.testing.MockClock, records: list[str]
) -> None:
    async with open_api(respond(Response.json({"ok": True, "result": True}))) as api:
        await api.call("getMe", {})
    async with open_api(say_half) as api:
        with trio.move_on_after(1):
            await api.call("getMe", {})
    assert "receive_response_body" in "\n".join(records)
    assert "CANARY" not in "\n".join(records)


# Connections


@attrs.define(eq=False)
class Lines:
    """Answers after as many seconds as a call says; knows which connection each came by."""

    numbers: dict[int, int] = attrs.Factory(dict)
    taken: list[int] = attrs.Factory(list)

    async def __call__(self, exchange: Exchange) -> None:
        self.taken.append(self.numbers.setdefault(id(exchange._connection), len(self.numbers)))
        await trio.sleep(json.loads(exchange.request.body)["seconds"])
        await exchange.respond(Response.json({"ok": True, "result": True}))


async def call_all(api: BotApi, *durations: float) -> None:
    """Begun one after the other, all at the same time."""
    async with trio.open_nursery() as nursery:
        for seconds in durations:
            nursery.start_soon(api.call, "sendMessage", {"seconds": seconds})
            await trio.testing.wait_all_tasks_blocked()


async def test_the_connection_used_last_is_used_first(autojump_clock: trio.testing.MockClock) -> None:
    lines = Lines()
    async with open_api(lines) as api:
        await call_all(api, 3, 1, 2)
        assert lines.taken == [0, 1, 2]
        await call_all(api, 1)
        await call_all(api, 1)
        assert lines.taken[3:] == [0, 0], "0 was the last to be free"
        await call_all(api, 1, 1, 1, 1)
        assert lines.taken[5:] == [0, 2, 1, 3]


async def test_there_is_an_end_to_connections(autojump_clock: trio.testing.MockClock) -> None:
    lines = Lines()
    async with open_api(lines) as api:
        await call_all(api, *[1.0] * (MAX_CONNECTIONS + 1))
        assert len(lines.numbers) == MAX_CONNECTIONS
        assert trio.current_time() == 2.0, "one had to wait for another's end"


async def test_a_cancelled_call_costs_its_connection_alone(autojump_clock: trio.testing.MockClock) -> None:
    server: OddServer
    lines = Lines()
    async with (
        open_odd_server(lines) as server,
        open_bot_api(BASE, Secret(TOKEN), connect=server.connect) as api,
    ):
        await call_all(api, 1, 1)
        with trio.move_on_after(1):
            await api.call("sendMessage", {"seconds": 5})
        await trio.testing.wait_all_tasks_blocked()
        assert (server.closed_at, server.open) == ([2.0], 1)
        await call_all(api, 1, 1)
        assert (server.opened, server.open) == (3, 2)


async def test_leaving_closes_all(autojump_clock: trio.testing.MockClock) -> None:
    async with open_odd_server(Lines()) as server:
        async with open_bot_api(BASE, Secret(TOKEN), connect=server.connect) as api:
            await call_all(api, 1, 1, 1)
            assert server.open == 3
        await trio.testing.wait_all_tasks_blocked()
        assert server.open == 0
