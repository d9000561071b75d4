"""The poller: nothing is confirmed before it is kept, and no failure stops it but two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from poller_scenes import ADA, FIRST, Clock, SlowInbox, open_emulated, polls

from triolet.core.updates import ALLOWED_UPDATES
from triolet.emulator import (
    Delay,
    Fault,
    Refuse,
    Reset,
    ServerError,
)
from triolet.errors import Conflict, Unauthorized
from triolet.telegram.poller import poll_updates

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
