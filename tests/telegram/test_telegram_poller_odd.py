"""Odd answers neither stop the poller nor make it run in circles."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing
from odd_servers import open_odd_server
from poller_scenes import Clock, open_emulated, open_post

from triolet.core.updates import BotIdentity
from triolet.emulator import (
    Exchange,
    Request,
    Response,
)
from triolet.errors import TelegramOutcomeUnknown
from triolet.telegram.poller import fetch_identity

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
    """The last one of a batch is the newest, even if ids begin anew; what it leaves unconfirmed comes once more."""
    script = Script([[{"update_id": 7}, {"update_id": 7}, {"update_id": 3}], [{"update_id": 7}]])
    async with open_odd_server(script) as server, open_post(server.connect) as post:
        await post.poll(20)
        assert post.ids == [7, 3]
        assert b'"offset":4' in script.bodies[1]
        assert b'"offset":8' in script.bodies[2]


async def test_an_update_may_hold_anything(autojump_clock: Clock) -> None:
    update = GOOD | {"message": {"text": "half a \ud83d pair\0", "deep": [[[{}]]], "n": 1e300}, "new_kind": None}
    async with open_odd_server(Script([[update]])) as server, open_post(server.connect) as post:
        post.finished = lambda _: []
        await post.poll(20)
        assert [each.update for each in await post.store.unfinished()] == [update]


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
