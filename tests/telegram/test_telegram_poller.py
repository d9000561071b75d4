"""The poller: nothing is confirmed before it is kept, and no failure stops it but two."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from poller_scenes import ADA, FIRST, Clock, SlowInbox, open_emulated, polls

from triolet.core.conversation import ConversationKey, Message
from triolet.core.ports import RawUpdate
from triolet.core.updates import ALLOWED_UPDATES
from triolet.emulator import (
    Delay,
    Fault,
    Refuse,
    Reset,
    ServerError,
)
from triolet.errors import Conflict, Unauthorized
from triolet.store import open_store, run_inline
from triolet.telegram.poller import QUIET_SECONDS, dispatch_all, poll_updates

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
        assert (server.telegram.updates.pending, await post.waiting()) == ([], [])
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


async def test_what_could_not_be_kept_is_neither_confirmed_nor_dispatched_and_comes_again(
    autojump_clock: Clock,
) -> None:
    """Ever more patiently; as soon as the disk takes it, all is as if nothing had been."""
    heeded: list[int] = []
    async with open_emulated() as (server, post), trio.open_nursery() as nursery:
        full = SlowInbox(post.store, fails=True)
        server.say(ADA, "Hello")
        heed = lambda update: heeded.append(update["update_id"])  # noqa: E731
        nursery.start_soon(partial(poll_updates, post.api, full, post.dispatch, heed=heed))
        await trio.sleep(60)
        assert polls(server) == [(0.0, None), (11.0, None), (23.0, None), (37.0, None), (55.0, None)]
        assert (len(server.telegram.updates.pending), post.seen) == (1, [])
        assert heeded == [FIRST] * 5, "what waits for no disk, and does no harm twice"
        full.fails = False
        await trio.sleep(10)
        assert (post.seen, polls(server)[-1]) == ([(65.0, FIRST)], (65.0, FIRST + 1))
        full.fails = True
        server.say(ADA, "And now?")
        await trio.sleep(12)
        assert [at for at, _ in polls(server)][-2:] == [65.0, 81.0], "patience begins anew"
        nursery.cancel_scope.cancel()


async def test_what_is_not_finished_stays_in_the_inbox(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post):
        post.finished = lambda number: [number] if number % 2 else []
        for number in range(4):
            server.say(ADA, f"message {number}")
        await post.poll(1)
        assert post.ids == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
        assert await post.waiting() == [FIRST, FIRST + 2]


async def test_a_batch_is_finished_with_all_that_was_written_because_of_it_or_not_at_all() -> None:
    async with open_store(":memory:", executor=run_inline) as store:
        updates = await store.receive([{"update_id": number} for number in (1, 2)])

        def dispatch(update: RawUpdate) -> list[int]:
            store.record(ConversationKey(ADA), [Message.of("user", "Hello")], finished=[update["update_id"]])
            if update["update_id"] in bad:
                raise RuntimeError("a mistake of ours")
            return []

        bad = {2}
        with pytest.raises(RuntimeError):
            dispatch_all(updates, store, dispatch)
        assert len(await store.unfinished()) == 2
        assert await store.load(ConversationKey(ADA)) == []
        bad = set()
        dispatch_all(updates, store, dispatch)
        assert await store.unfinished() == []
        assert len(await store.load(ConversationKey(ADA))) == 2


async def test_nothing_is_asked_for_while_there_is_no_room(autojump_clock: Clock) -> None:
    async with open_emulated() as (server, post), trio.open_nursery() as nursery:
        room = trio.Event()
        nursery.start_soon(partial(poll_updates, post.api, post.store, post.dispatch, wait_room=room.wait))
        server.say(ADA, "Hello")
        await trio.sleep(100)
        assert (polls(server), post.seen) == ([], [])
        room.set()
        await trio.sleep(1)
        assert (polls(server), post.ids) == ([(100.0, None), (100.0, FIRST + 1)], [FIRST])
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("quiet", "named"), [(QUIET_SECONDS - 200, FIRST + 1), (QUIET_SECONDS, None)])
async def test_no_offset_is_named_after_days_of_silence(autojump_clock: Clock, quiet: float, named: int | None) -> None:
    """After a week Telegram may go on with a lower id, which an offset from before would confirm unseen."""
    async with open_emulated() as (server, post), trio.open_nursery() as nursery:
        server.say(ADA, "Hello")
        nursery.start_soon(post.poll, 10 * 86_400)
        await trio.sleep(1)
        # A flood passes the days quicker than polls do.
        server.telegram.add_fault(Fault(method="getUpdates", action=Refuse(429, "Wait", {"retry_after": quiet})))
        await trio.sleep(quiet + 100)
        assert polls(server)[-2:] == [(quiet + 50, FIRST + 1), (quiet + 100, named)]
        server.telegram.updates._next_id = 5
        server.say(ADA, "Still there?")
        await trio.sleep(1)
        assert post.ids == [FIRST, 5]
        assert polls(server)[-1][1] == 6
        nursery.cancel_scope.cancel()


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
            assert sorted({*post.ids, *await post.waiting()}) in ([], [FIRST, FIRST + 1])
            dispatch_all([each.update for each in await post.store.unfinished()], post.store, post.dispatch)
            await post.poll(60)
            assert post.ids == [FIRST, FIRST + 1]
            assert (server.telegram.updates.pending, await post.waiting()) == ([], [])
