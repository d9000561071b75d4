"""The lanes: one for each chat, which nobody needs for ever."""

from __future__ import annotations

import pytest
import trio

from triolet.core.budget import ChatBudget, Cost, Priority, open_overall
from triolet.core.calls import Bubble, Place, Refused, typing_call
from triolet.core.conversation import ConversationKey
from triolet.core.lane import Lane
from triolet.telegram.lanes import FORGET_AFTER, Lanes


def place(chat_id: int) -> Place:
    return Place(ConversationKey(chat_id), private=True)


def open_lanes() -> Lanes:
    overall = open_overall()
    return Lanes(lambda place: Lane(ChatBudget.open(private=place.private, overall=overall)))


async def test_a_chat_has_one_lane(autojump_clock: object) -> None:
    lanes = open_lanes()
    assert lanes.at(place(1)) is lanes.at(place(1))
    assert lanes.at(place(1)) is not lanes.at(place(2))


async def test_chats_that_nobody_writes_in_are_forgotten(autojump_clock: object) -> None:
    lanes = open_lanes()
    for number in range(1, 101):
        lanes.at(place(number))
    await trio.sleep(FORGET_AFTER)
    assert len(list(lanes)) == 100
    kept = lanes.at(place(7))
    await trio.sleep(1.0)
    for number in range(101, 161):
        lanes.at(place(number))
    assert len(list(lanes)) == 61
    assert lanes.at(place(7)) is kept


@pytest.mark.parametrize("priority", [Priority.FRAME, Priority.COSMETIC])
async def test_a_lane_in_which_somebody_waits_is_not(autojump_clock: object, priority: Priority) -> None:
    lanes = open_lanes()
    waited = lanes.at(place(1))
    ticket = waited.lane.queue(Cost.DRAFT, priority)
    await trio.sleep(2 * FORGET_AFTER)
    lanes.at(place(2))
    assert lanes.at(place(1)) is waited
    waited.lane.leave(ticket)
    await trio.sleep(2 * FORGET_AFTER)
    lanes.at(place(3))
    assert lanes.at(place(1)) is not waited


def refuse(lane: Lane, retry_after: float) -> None:
    """A 429 for so many seconds."""
    call = typing_call(Bubble(place(1), draft_id=1))
    lane.begin(call)
    lane.end(call, Refused(429, "Too Many Requests", retry_after), trio.current_time())


@pytest.mark.parametrize(("retry_after", "hours"), [(9.0, 2), (4 * 3600.0, 4)])
async def test_nor_is_one_that_a_flood_has_slowed_down(autojump_clock: object, retry_after: float, hours: int) -> None:
    """A new one would call as often as if there had been no 429."""
    lanes = open_lanes()
    slowed, other = lanes.at(place(1)), lanes.at(place(2))
    refuse(slowed.lane, retry_after)
    for hour in range(hours + 2):
        await trio.sleep(FORGET_AFTER + 1.0)
        lanes.at(place(1000 + hour))
        assert any(each is slowed for each in lanes) is (hour < hours - 1)
        assert not any(each is other for each in lanes), "which is not held up by it"
