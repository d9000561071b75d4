"""The poller, with the real store: nothing is confirmed before it is kept, and no answer stops it but two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import structlog
import trio
import trio.testing
from odd_servers import open_odd_server

from triolet.config import Secret
from triolet.core.ports import RawUpdate
from triolet.core.updates import ALLOWED_UPDATES, BotIdentity
from triolet.emulator import (
    Delay,
    EmulatedTelegram,
    Exchange,
    Fault,
    Refuse,
    Request,
    Reset,
    Response,
    ServerError,
    TelegramServer,
    open_telegram_server,
)
from triolet.errors import Conflict, TelegramOutcomeUnknown, Unauthorized
from triolet.store import SqliteStore, open_store, run_inline
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.poller import fetch_identity, poll_updates

Clock = trio.testing.MockClock
TOKEN = "42:emulator"
ADA = 1001
FIRST = 1000
"""The emulator's first update id."""


@attrs.define(eq=False)
class Post:
    """A store, a poller's client, and what was dispatched with its time."""

    api: BotApi
    store: SqliteStore
    seen: list[tuple[float, int]] = attrs.Factory(list)
    finished: Callable[[int], Iterable[int]] = lambda number: [number]

    def dispatch(self, update: RawUpdate) -> Iterable[int]:
        self.seen.append((trio.current_time(), update["update_id"]))
        return self.finished(update["update_id"])

    @property
    def ids(self) -> list[int]:
        return [number for _, number in self.seen]

    async def poll(self, seconds: float) -> None:
        """Poll for so long."""
        with trio.move_on_after(seconds):
            await poll_updates(self.api, self.store, self.dispatch)


@asynccontextmanager
async def open_post(connect: Any) -> AsyncIterator[Post]:
    async with (
        open_store(":memory:", executor=run_inline) as store,
        open_bot_api("http://telegram", Secret(TOKEN), connect=connect) as api,
    ):
        yield Post(api, store)


@asynccontextmanager
async def open_emulated() -> AsyncIterator[tuple[TelegramServer, Post]]:
    telegram = EmulatedTelegram(token=TOKEN)
    telegram.add_private_chat(ADA)
    async with open_telegram_server(telegram) as server, open_post(server.connect) as post:
        yield server, post


def polls(server: TelegramServer) -> list[tuple[float, int | None]]:
    """When, and with which offset."""
    return [(call.received, call.params.get("offset")) for call in server.telegram.calls("getUpdates")]


# What was sent is kept, then confirmed


async def test_updates_come_in_order_and_are_confirmed_by_the_next_poll(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post), trio.open_nursery() as nursery:
        for number in range(3):
            server.say(ADA, f"early {number}")
        nursery.start_soon(post.poll, 100)
        await trio.sleep(5)
        server.say(ADA, "late")
        await trio.sleep(1)
        assert post.seen == [(0.0, FIRST), (0.0, FIRST + 1), (0.0, FIRST + 2), (5.0, FIRST + 3)]
        assert polls(server) == [(0.0, None), (0.0, FIRST + 3), (5.0, FIRST + 4)]
        assert (server.telegram.updates.pending, await post.store.unfinished()) == ([], [])
        call = server.telegram.calls("getUpdates")[0]
        assert call.params == {"timeout": 50, "allowed_updates": list(ALLOWED_UPDATES)}


async def test_a_quiet_poll_ends_after_fifty_seconds(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post):
        await post.poll(120)
        assert polls(server) == [(0.0, None), (50.0, None), (100.0, None)]


@attrs.define(eq=False)
class SlowInbox:
    """The store, ten seconds late: what happens meanwhile is what it would be on a slow disk."""

    store: SqliteStore
    fails: bool = False

    async def receive(self, updates: Sequence[RawUpdate]) -> list[RawUpdate]:
        await trio.sleep(10)
        if self.fails:
            raise OSError("disk full")
        return await self.store.receive(updates)

    async def unfinished(self) -> list[RawUpdate]:
        return await self.store.unfinished()

    async def finish(self, update_ids: Sequence[int]) -> None:
        await self.store.finish(update_ids)


async def test_nothing_is_confirmed_or_dispatched_before_it_is_kept(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post), trio.open_nursery() as nursery:
        server.say(ADA, "Hello")
        nursery.start_soon(poll_updates, post.api, SlowInbox(post.store), post.dispatch)
        await trio.sleep(9.5)
        assert (polls(server), post.seen) == ([(0.0, None)], [])
        assert len(server.telegram.updates.pending) == 1
        await trio.sleep(1)
        assert (polls(server), post.seen) == ([(0.0, None), (10.0, FIRST + 1)], [(10.0, FIRST)])
        assert server.telegram.updates.pending == []
        nursery.cancel_scope.cancel()


async def test_what_could_not_be_kept_is_not_confirmed(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post):
        server.say(ADA, "Hello")
        with pytest.raises(OSError, match="disk full"):
            await poll_updates(post.api, SlowInbox(post.store, fails=True), post.dispatch)
        assert (len(server.telegram.updates.pending), post.seen) == (1, [])


async def test_what_is_not_finished_stays_in_the_inbox(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post):
        post.finished = lambda number: [number] if number % 2 else []
        for number in range(4):
            server.say(ADA, f"message {number}")
        await post.poll(1)
        assert post.ids == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
        assert [update["update_id"] for update in await post.store.unfinished()] == [FIRST, FIRST + 2]


async def test_what_was_confirmed_in_vain_is_not_dispatched_again(autojump_clock: Clock) -> None:
    """After a restart, and after an answer that was lost on its way: the inbox knows them."""
    async with open_emulated() as (server, post):
        server.say(ADA, "Hello")
        server.telegram.add_fault(Fault(method="getUpdates", skip=1, action=Reset(carried_out=False)))
        await post.poll(0.5)
        assert (post.ids, len(server.telegram.updates.pending)) == ([FIRST], 1)
        await post.poll(1)
        assert (post.ids, server.telegram.updates.pending) == ([FIRST], [])


# Trouble


BACK_OFF = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
TROUBLE: dict[str, Any] = {
    "a gateway": ServerError(),
    "a reset": Reset(carried_out=False),
    "a refusal": Refuse(400, "Bad Request: whatever"),
    "a flood that names no time": Refuse(429, "Too Many Requests"),
    "a short flood": Refuse(429, "Too Many Requests", {"retry_after": 1}),
}


def starts(pauses: Iterable[float]) -> list[float]:
    """When each attempt begins, if all of them fail at once."""
    times = [0.0]
    for seconds in pauses:
        times.append(times[-1] + seconds)
    return times


@pytest.mark.parametrize("case", TROUBLE)
async def test_it_tries_again_ever_more_patiently(
    autojump_clock: Clock, captured_log: list[structlog.typing.EventDict], case: str
) -> None:
    async with open_emulated() as (server, post):
        server.telegram.add_fault(Fault(method="getUpdates", times=None, action=TROUBLE[case]))
        await post.poll(sum(BACK_OFF) + 1)
        assert [at for at, _ in polls(server)] == starts(BACK_OFF)
    assert [event["again_in"] for event in captured_log if event["event"] == "poller.failed"] == [*BACK_OFF, 30.0]


async def test_patience_begins_anew_after_a_success(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post):
        server.telegram.add_fault(Fault(method="getUpdates", times=3, action=ServerError()))
        server.telegram.add_fault(Fault(method="getUpdates", skip=1, times=1, action=ServerError()))
        server.say(ADA, "Hello")
        await post.poll(9)
        assert [at for at, _ in polls(server)] == [0.0, 1.0, 3.0, 7.0, 7.0, 8.0]


async def test_a_flood_is_waited_out(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post):
        server.telegram.add_fault(
            Fault(method="getUpdates", action=Refuse(429, "Too Many Requests", {"retry_after": 77}))
        )
        await post.poll(80)
        assert [at for at, _ in polls(server)] == [0.0, 77.0]


async def test_a_night_without_network(autojump_clock: Clock) -> None:
    """Twelve hours of failures, then it goes on."""
    async with open_emulated() as (server, post), trio.open_nursery() as nursery:
        server.reachable = False
        nursery.start_soon(post.poll, 13 * 3600)
        await trio.sleep(12 * 3600)
        server.reachable = True
        server.say(ADA, "Good morning")
        await trio.sleep(30)
        assert post.ids == [FIRST]
        nursery.cancel_scope.cancel()


FATAL = {"revoked": (401, Unauthorized), "no token": (404, Unauthorized), "two bots": (409, Conflict)}


@pytest.mark.parametrize("case", FATAL)
@pytest.mark.parametrize("after", [0, 1])
async def test_two_answers_end_it(autojump_clock: Clock, case: str, after: int) -> None:
    code, kind = FATAL[case]
    async with open_emulated() as (server, post):
        server.telegram.add_fault(Fault(method="getUpdates", skip=after, action=Refuse(code, "No")))
        server.say(ADA, "Hello")
        with pytest.raises(kind):
            await poll_updates(post.api, post.store, post.dispatch)
        assert (post.ids, trio.current_time()) == ([FIRST][:after], 0.0)


# Odd answers


@attrs.define(eq=False)
class Script:
    """Answers each poll with the next result, then with silence."""

    results: list[Any]
    polls: list[tuple[float, Request]] = attrs.Factory(list)

    async def __call__(self, exchange: Exchange) -> None:
        self.polls.append((trio.current_time(), exchange.request))
        if not self.results:
            await trio.sleep_forever()
        await exchange.respond(Response.json({"ok": True, "result": self.results.pop(0)}))

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.polls]

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for _, request in self.polls]


GOOD = {"update_id": 5}
NO_IDS: list[Any] = [
    [{}],
    [{"message": {}}],
    [None, 1, "text", []],
    [{"update_id": "5"}],
    [{"update_id": True}],
    [{"update_id": 5.0}],
    [{"update_id": None}],
    [{"update_id": 0}],
    [{"update_id": -5}],
    [{"update_id": 2**63}],
    [{"update_id": 10**30}],
]
NO_LISTS: list[Any] = [None, {}, {"update_id": 5}, 5, "text", True]


@pytest.mark.parametrize("odd", [*NO_IDS, *NO_LISTS])
async def test_an_answer_without_any_update_is_asked_for_again_in_a_while(autojump_clock: Clock, odd: Any) -> None:
    """In a while: asked at once, the same would come at once, for ever."""
    script = Script([odd, odd, [GOOD]])
    async with open_odd_server(script) as server, open_post(server.connect) as post:
        await post.poll(20)
        assert (post.seen, script.times) == ([(3.0, 5)], [0.0, 1.0, 3.0, 3.0])


@pytest.mark.parametrize("odd", NO_IDS)
async def test_odd_updates_among_good_ones_are_left_out(autojump_clock: Clock, odd: Any) -> None:
    script = Script([[*odd, GOOD, *odd]])
    async with open_odd_server(script) as server, open_post(server.connect) as post:
        await post.poll(20)
        assert (post.seen, script.times) == ([(0.0, 5)], [0.0, 0.0])
        assert b'"offset":6' in script.bodies[1]


async def test_updates_out_of_order_are_all_confirmed(autojump_clock: Clock) -> None:
    script = Script([[{"update_id": 7}, {"update_id": 7}, {"update_id": 3}]])
    async with open_odd_server(script) as server, open_post(server.connect) as post:
        await post.poll(20)
        assert post.ids == [7, 3]
        assert b'"offset":8' in script.bodies[1]


async def test_an_update_may_hold_anything(autojump_clock: Clock) -> None:
    update = GOOD | {"message": {"text": "half a \ud83d pair\0", "deep": [[[{}]]], "n": 1e300}, "new_kind": None}
    async with open_odd_server(Script([[update]])) as server, open_post(server.connect) as post:
        post.finished = lambda _: []
        await post.poll(20)
        assert await post.store.unfinished() == [update]


# Cancelling


async def test_a_cancel_at_any_time_loses_and_repeats_nothing(autojump_clock: Clock) -> None:
    """Whenever the first poller is stopped, a second one with the same store leaves nothing to be done."""
    for seconds in range(40):
        async with open_emulated() as (server, post):
            slow = SlowInbox(post.store)
            server.telegram.latency = Delay(before=2, after=2)
            server.say(ADA, "one")
            server.say(ADA, "two")
            with trio.move_on_after(seconds):
                await poll_updates(post.api, slow, post.dispatch)
            waiting = [update["update_id"] for update in await post.store.unfinished()]
            assert sorted({*post.ids, *waiting}) in ([], [FIRST, FIRST + 1])
            for update in await post.store.unfinished():
                await post.store.finish([*post.dispatch(update)])
            await post.poll(60)
            assert post.ids == [FIRST, FIRST + 1]
            assert (server.telegram.updates.pending, await post.store.unfinished()) == ([], [])


# Who we are


async def test_the_identity(autojump_clock: Clock) -> None:
    async with open_emulated() as (_, post):
        assert await fetch_identity(post.api) == BotIdentity(42, "triolet_bot")


@pytest.mark.parametrize("odd", [None, {}, [], "text", 5, {"id": "42"}, {"id": None}, {"id": True}])
async def test_an_identity_that_is_none(autojump_clock: Clock, odd: Any) -> None:
    """As from an address where something else lives."""
    async with open_odd_server(Script([odd])) as server, open_post(server.connect) as post:
        with pytest.raises(TelegramOutcomeUnknown, match="getMe: the result is no user"):
            await fetch_identity(post.api)


async def test_a_bot_without_a_name(autojump_clock: Clock) -> None:
    async with open_odd_server(Script([{"id": 42}])) as server, open_post(server.connect) as post:
        assert await fetch_identity(post.api) == BotIdentity(42, "")
