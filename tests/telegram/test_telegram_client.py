"""The Bot API's client: calls without an answer, what is sent, and which connection a call takes."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from client_troubles import BASE, CALL, CONNECTS, EXCHANGES, TOKEN, check, open_api
from odd_servers import (
    BrokenAfterSend,
    OddServer,
    Wrapped,
    make_certificates,
    open_odd_server,
    refuse,
    respond,
    say_nothing,
)

from triolet.config import Secret
from triolet.emulator import (
    BotUser,
    EmulatedTelegram,
    Exchange,
    Fault,
    Flood,
    Refuse,
    Request,
    Reset,
    Response,
    ServerError,
    open_telegram_server,
)
from triolet.errors import (
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    TooManyRequests,
    TrioletError,
    Unauthorized,
)
from triolet.telegram.client import MAX_CONNECTIONS, BotApi, open_bot_api


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
        with pytest.raises(TrioletError) as caught, trio.fail_after(1000):
            await api.call("sendMessage", CALL)
        check(caught.value, expected)
        assert trio.current_time() == seconds


@pytest.mark.parametrize("case", EXCHANGES)
async def test_the_call_after_one_without_answer(autojump_clock: trio.testing.MockClock, case: str) -> None:
    """Nothing of the first is left in the way."""
    app, wrap, _, _ = EXCHANGES[case]

    async def first_app_then_good(exchange: Exchange) -> None:
        await (app if len(server.requests) == 1 else respond(Response.json({"ok": True, "result": 5})))(exchange)

    async with (
        open_odd_server(first_app_then_good, wrap=wrap) as server,
        open_bot_api(BASE, Secret(TOKEN), connect=server.connect) as api,
    ):
        with pytest.raises(TelegramOutcomeUnknown):
            await api.call("sendMessage", CALL)
        server.wrap = Wrapped
        server.requests = server.requests or [Request("POST", "/")]  # one that the server never got to see
        assert await api.call("getMe", {}) == 5


async def test_a_refusal_that_did_not_wait_for_the_whole_request(autojump_clock: trio.testing.MockClock) -> None:
    """A front end that takes no more bytes has refused it, and has passed nothing on."""
    refusal = Response(413, b"Request Entity Too Large")
    async with open_api(respond(refusal), BrokenAfterSend) as api:
        for _ in range(2):
            with pytest.raises(TelegramError) as caught:
                await api.call("sendMessage", CALL)
            assert caught.value.code == 413


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
