"""The outbox on the emulator: order, slots, outcomes that outlive their callers, and waits that stay in their chat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import attrs
import pytest
import structlog
import trio

from triolet.config import Secret
from triolet.core.budget import Cost, Priority
from triolet.core.calls import Bubble, Delivered, Place, Refused, draft_call, message_call
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import SENT_AGAIN
from triolet.core.text import FormattedText, italic, join
from triolet.emulator import (
    Delay,
    EmulatedTelegram,
    Fault,
    Flood,
    Limits,
    Refuse,
    Reset,
    ServerError,
    TelegramServer,
    open_telegram_server,
)
from triolet.telegram.client import open_bot_api
from triolet.telegram.lanes import FORGET_AFTER
from triolet.telegram.outbox import Outbox, open_outbox

CHATS = range(1, 41)


@attrs.frozen
class Office:
    outbox: Outbox
    server: TelegramServer

    def bubble(self, chat_id: int = 1) -> Bubble:
        return self.outbox.open_bubble(Place(ConversationKey(chat_id), private=True))

    def asked(self, chat_id: int = 1) -> Bubble:
        """The bubble of an answer to a message that has just come."""
        place = Place(ConversationKey(chat_id), private=True, asked=self.server.say(chat_id, "Well?"))
        self.outbox.note_message(place)
        return self.outbox.open_bubble(place)

    async def draft(self, bubble: Bubble, text: str) -> object:
        await self.outbox.wait_slot(bubble, Cost.DRAFT, Priority.FRAME)
        return await self.outbox.show(draft_call(bubble, FormattedText(text)))

    def messages(self, chat_id: int = 1) -> list[str]:
        return [message.text for message in self.server.screen(chat_id).messages if message.from_bot]

    def methods(self, chat_id: int = 1) -> list[str]:
        return [call.method for call in self.server.telegram.calls(chat_id=chat_id)]

    def times(self, chat_id: int = 1, method: str | None = None) -> list[float]:
        return [call.received for call in self.server.telegram.calls(method=method, chat_id=chat_id)]


@asynccontextmanager
async def open_office(*faults: Fault, limits: Limits | None = None) -> AsyncIterator[Office]:
    telegram = EmulatedTelegram(token="42:emulator", limits=limits or Limits())
    telegram.latency = Delay(before=0.05, after=0.05)
    for user in CHATS:
        telegram.add_private_chat(user)
    for fault in faults:
        telegram.add_fault(fault)
    with trio.fail_after(10_000):
        async with (
            open_telegram_server(telegram) as server,
            open_bot_api("http://telegram", Secret("42:emulator"), connect=server.connect) as api,
            open_outbox(api, first_draft_id=1) as outbox,
        ):
            yield Office(outbox, server)


async def test_committed_messages_go_in_order(autojump_clock: object) -> None:
    async with open_office() as office:
        texts = [f"message {number}" for number in range(12)]
        for text in texts:
            office.outbox.commit(office.bubble(), FormattedText(text))
        await office.outbox.wait_idle()
        assert office.messages() == texts


async def test_commit_is_synchronous_and_settles_when_delivered(autojump_clock: object) -> None:
    async with open_office() as office:
        bubble = office.bubble()
        office.outbox.commit(bubble, FormattedText("done"))
        assert office.messages() == []
        await office.outbox.wait_settled(bubble)
        assert office.messages() == ["done"]
        assert trio.current_time() == pytest.approx(0.1)


async def test_settled_bubble_is_settled_at_once(autojump_clock: object) -> None:
    async with open_office() as office:
        await office.outbox.wait_settled(office.bubble())
        await office.outbox.wait_idle()
        assert trio.current_time() == 0.0


async def test_what_is_not_on_screen_is_taken_off_it_at_once(autojump_clock: object) -> None:
    """Who waits until nothing is to be done, waits for nothing."""
    async with open_office() as office:
        office.outbox.remove(office.bubble())
        await office.outbox.wait_idle()
        assert (trio.current_time(), office.methods()) == (0.0, [])


async def test_cancelled_caller_leaves_its_call_to_land(autojump_clock: object) -> None:
    """The draft appears all the same: to forget the call would make its outcome unknown, and its place free."""
    async with open_office() as office:
        bubble = office.bubble()
        with trio.move_on_after(0.02) as caller:
            await office.draft(bubble, "Hello")
        assert caller.cancelled_caught
        office.outbox.commit(bubble, FormattedText("Hello, world"))
        await office.outbox.wait_settled(bubble)
        draft, final = office.server.telegram.calls(chat_id=1)
        assert (draft.status, final.status) == (200, 200)
        assert final.received >= (draft.answered or 0)


async def test_slot_is_not_given_while_a_message_waits(autojump_clock: object) -> None:
    async with open_office(Fault(method="sendMessage", action=Delay(before=5.0))) as office:
        office.outbox.commit(office.bubble(), FormattedText("lasting"))
        assert await office.draft(office.bubble(), "frame") == Delivered()
        [draft_at] = office.times(method="sendMessageDraft")
        assert draft_at > 5.0


async def test_two_bubbles_of_a_chat_never_share_a_slot(autojump_clock: object) -> None:
    async with open_office() as office, trio.open_nursery() as nursery:
        for text in ("one", "two", "three"):
            nursery.start_soon(office.draft, office.bubble(), text)
        await trio.sleep(5)
        times = office.times(method="sendMessageDraft")
        assert len(times) == 3
        assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))


async def test_flood_parks_its_chat_for_every_call_and_no_other(autojump_clock: object) -> None:
    async with open_office(Fault(chat_id=1, action=Flood(33))) as office:
        assert isinstance(await office.draft(office.bubble(), "Hello"), Refused)
        office.outbox.commit(office.bubble(), FormattedText("final"))
        office.outbox.commit(office.bubble(2), FormattedText("elsewhere"))
        await office.outbox.wait_idle()
        first, second = office.times()
        assert second - first >= 33.0
        assert second - first <= 34.0
        assert office.times(2)[0] < 1.0
        assert office.messages() == ["final"]


async def test_message_beyond_the_limit_is_sent_in_parts(autojump_clock: object) -> None:
    text = " ".join(f"word{number}" for number in range(2000))
    async with open_office() as office:
        bubble = office.bubble()
        office.outbox.commit(bubble, join([FormattedText(text), italic("⏹ stopped")]))
        office.outbox.commit(office.bubble(), FormattedText("after"))
        await office.outbox.wait_settled(bubble)
        await office.outbox.wait_idle()
        *parts, after = office.messages()
        assert after == "after"
        assert " ".join(parts).split() == [*text.split(), "⏹", "stopped"]
        assert len(parts) == 5


async def test_blank_part_of_a_message_is_left_out(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    async with open_office() as office:
        office.outbox.commit(office.bubble(), FormattedText("before" + "\n" * 10_000 + "after"))
        await office.outbox.wait_idle()
        assert office.messages() == ["before", "after"]
        assert captured_log == []


@pytest.mark.case("F4")
async def test_unknown_send_is_found_where_it_is(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    async with open_office(Fault(method="sendMessage", action=Reset(carried_out=True))) as office:
        office.outbox.commit(office.asked(), FormattedText("once"))
        await office.outbox.wait_idle()
        await trio.sleep(600)
        assert office.messages() == ["once"]
        assert office.methods() == ["sendMessage", "editMessageText", "editMessageText"]
        assert captured_log == []


@pytest.mark.case("F4")
@pytest.mark.parametrize("fault", [Reset(carried_out=False), ServerError()], ids=repr)
async def test_unknown_send_that_is_nowhere_is_sent_again_and_says_so(
    autojump_clock: object, fault: Reset | ServerError
) -> None:
    async with open_office(Fault(method="sendMessage", action=fault)) as office:
        office.outbox.commit(office.asked(), FormattedText("once"))
        await office.outbox.wait_idle()
        assert office.messages() == [f"once\n\n{SENT_AGAIN}"]
        assert office.methods() == ["sendMessage", *["editMessageText"] * 3, "sendMessage", "editMessageText"]


@pytest.mark.case("F4")
@pytest.mark.parametrize("carried_out", [True, False])
async def test_line_before_the_copy_is_repeated_until_it_is_confirmed(
    autojump_clock: object, carried_out: bool
) -> None:
    """The copy itself is an edit: there are never two of it."""
    async with open_office(Fault(method="sendMessage", times=1, action=Reset(carried_out=False))) as office:
        office.server.telegram.add_fault(Fault(method="sendMessage", times=3, action=Reset(carried_out=carried_out)))
        office.outbox.commit(office.asked(), FormattedText("once"))
        office.outbox.commit(office.bubble(), FormattedText("behind it"))
        await office.outbox.wait_idle()
        assert office.messages() == [f"once\n\n{SENT_AGAIN}", "behind it"]


@pytest.mark.case("F4")
async def test_message_that_nothing_confirms_is_given_up(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    async with open_office(Fault(method="sendMessage", times=8, action=Reset(carried_out=False))) as office:
        office.outbox.commit(office.asked(), FormattedText("once"))
        await office.outbox.wait_idle()
        assert [(e["event"], e["state"]) for e in captured_log] in ([], [("outbox.undelivered", "uncertain")])
        assert trio.current_time() < 1000.0


@pytest.mark.case("F4")
async def test_message_that_is_late_is_looked_for_late(autojump_clock: object) -> None:
    """The send hangs until the client gives up, and is carried out meanwhile."""
    async with open_office(Fault(method="sendMessage", action=Delay(after=100.0))) as office:
        office.outbox.commit(office.asked(), FormattedText("once"))
        await office.outbox.wait_idle()
        assert office.messages() == ["once"]


@pytest.mark.case("F4")
async def test_search_for_a_message_outlasts_an_outage(autojump_clock: object) -> None:
    """What the edits say counts, and nothing else does: while none is answered, nothing is sent."""
    async with open_office(Fault(method="sendMessage", action=Reset(carried_out=True))) as office:
        office.server.telegram.add_fault(Fault(method="editMessageText", times=6, action=ServerError()))
        office.outbox.commit(office.asked(), FormattedText("once"))
        await office.outbox.wait_idle()
        assert office.messages() == ["once"]
        assert office.methods().count("sendMessage") == 1


@pytest.mark.case("F4")
async def test_message_is_not_looked_for_where_no_id_is_known(autojump_clock: object) -> None:
    """After a start the next ids may be those of an earlier run's messages."""
    async with open_office() as office:
        office.outbox.commit(office.bubble(), FormattedText("of the run before"))
        await office.outbox.wait_idle()
        office.server.telegram.add_fault(Fault(method="sendMessage", action=Reset(carried_out=False)))
        async with (
            open_bot_api("http://telegram", Secret("42:emulator"), connect=office.server.connect) as api,
            open_outbox(api, first_draft_id=1) as restarted,
        ):
            restarted.commit(
                restarted.open_bubble(Place(ConversationKey(1), private=True, asked=1)), FormattedText("once")
            )
            await restarted.wait_idle()
        assert office.messages() == ["of the run before", f"once\n\n{SENT_AGAIN}"]
        assert office.methods() == ["sendMessage", "sendMessage", "sendMessage", "editMessageText"]


@pytest.mark.case("F4")
async def test_search_takes_no_message_of_somebody_elses(autojump_clock: object) -> None:
    """What is committed meanwhile waits: the next ids are the lost message's as long as nobody else gets them."""
    async with open_office(Fault(method="sendMessage", action=Reset(carried_out=False))) as office:
        office.outbox.commit(office.asked(), FormattedText("once"))
        office.outbox.commit(office.bubble(), FormattedText("notice"))
        await office.outbox.wait_idle()
        assert office.messages() == [f"once\n\n{SENT_AGAIN}", "notice"]


@pytest.mark.case("F4")
async def test_search_goes_beyond_what_people_wrote_meanwhile(autojump_clock: object) -> None:
    async with open_office(Fault(method="sendMessage", action=Reset(carried_out=True))) as office:
        bubble = office.asked()
        office.server.telegram.latency = Delay(before=1.0, after=1.0)
        office.outbox.commit(bubble, FormattedText("once"))
        await trio.sleep(0.5)
        for _ in range(5):
            office.asked()
        await office.outbox.wait_idle()
        assert office.messages() == ["once"]
        assert office.methods() == ["sendMessage", "editMessageText", "editMessageText"]


@pytest.mark.case("F4")
async def test_search_takes_no_message_of_ours_that_nobody_has_thought_of_for_hours(autojump_clock: object) -> None:
    """The answer to an old question, of which a button is pressed, in a chat whose lane was forgotten meanwhile."""
    async with open_office() as office:
        office.outbox.recover([], {1: [1]})
        asked = Place(ConversationKey(1), private=True, asked=office.server.say(1, "Well?"))
        for text in ("one", "two"):
            office.outbox.commit(office.outbox.open_bubble(asked), FormattedText(text))
        await office.outbox.wait_idle()
        await trio.sleep(2 * FORGET_AFTER)
        office.asked(2)
        office.server.telegram.add_fault(Fault(method="sendMessage", times=1, action=Reset(carried_out=False)))
        office.outbox.note_message(asked)
        office.outbox.commit(office.outbox.open_bubble(asked), FormattedText("three"))
        await office.outbox.wait_idle()
        assert office.messages() == ["one", "two", f"three\n\n{SENT_AGAIN}"]


async def test_send_that_never_left_is_repeated_until_it_does(autojump_clock: object) -> None:
    async with open_office() as office:
        office.server.reachable = False
        office.outbox.commit(office.bubble(), FormattedText("patience"))
        await trio.sleep(100)
        assert office.messages() == []
        office.server.reachable = True
        await office.outbox.wait_idle()
        assert office.messages() == ["patience"]


@pytest.mark.parametrize("fault", [Reset(carried_out=True), Reset(carried_out=False), ServerError()], ids=repr)
async def test_unknown_edit_is_repeated(autojump_clock: object, fault: Reset | ServerError) -> None:
    async with open_office(Fault(method="editMessageText", times=3, action=fault)) as office:
        bubble = office.bubble()
        await office.outbox.wait_slot(bubble, Cost.MESSAGE, Priority.FRAME)
        await office.outbox.show(message_call(bubble, FormattedText("first")))
        office.outbox.commit(bubble, FormattedText("final"))
        await office.outbox.wait_settled(bubble)
        assert office.messages() == ["final"]


async def test_deleted_message_is_sent_anew(autojump_clock: object) -> None:
    async with open_office() as office:
        bubble = office.bubble()
        await office.outbox.wait_slot(bubble, Cost.MESSAGE, Priority.FRAME)
        await office.outbox.show(message_call(bubble, FormattedText("preview")))
        office.server.delete(1, office.server.screen(1).messages[0].id)
        office.outbox.commit(bubble, FormattedText("the whole answer"))
        await office.outbox.wait_settled(bubble)
        assert office.messages() == ["the whole answer"]


async def test_refused_formatting_is_taken_off_once(autojump_clock: object) -> None:
    refusal = Refuse(400, "Bad Request: can't parse entities: whatever")
    async with open_office(Fault(method="sendMessage", action=refusal)) as office:
        office.outbox.commit(office.bubble(), italic("stopped"))
        await office.outbox.wait_idle()
        [message] = office.server.screen(1).messages
        assert (message.text, message.entities) == ("stopped", ())


async def test_dead_message_holds_up_nothing(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    async with open_office() as office:
        office.server.block(1)
        bubble = office.bubble()
        office.outbox.commit(bubble, FormattedText("to nobody"))
        await office.outbox.wait_settled(bubble)
        office.server.unblock(1)
        office.outbox.commit(office.bubble(), FormattedText("next"))
        await office.outbox.wait_idle()
        assert office.messages() == ["next"]
        assert [(e["event"], e["state"]) for e in captured_log] == [("outbox.undelivered", "dead")]


async def test_burst_to_many_chats_keeps_the_bots_own_limit(autojump_clock: object) -> None:
    """Thirty a second over all: what the fastest cannot take waits, and no call is refused."""
    async with open_office() as office:
        for chat_id in CHATS:
            for number in range(3):
                office.outbox.commit(office.bubble(chat_id), FormattedText(f"message {number}"))
        await office.outbox.wait_idle()
        assert {call.status for call in office.server.telegram.journal} == {200}
        assert all(office.messages(chat_id) == ["message 0", "message 1", "message 2"] for chat_id in CHATS)


async def test_frames_that_wait_for_another_chats_reply_are_woken_by_it(autojump_clock: object) -> None:
    """When calls in flight fill all but the reserve, the end of any of them is what a frame waits for."""
    slow = Fault(method="editMessageText", times=25, action=Delay(before=3.0))
    async with open_office() as office, trio.open_nursery() as nursery:
        bubbles = [office.bubble(chat_id) for chat_id in CHATS]
        for bubble in bubbles:
            office.outbox.commit(bubble, FormattedText("first"))
        await office.outbox.wait_idle()
        await trio.sleep(5)
        office.server.telegram.add_fault(slow)

        async def edit(bubble: Bubble) -> None:
            await office.outbox.wait_slot(bubble, Cost.MESSAGE, Priority.FRAME)
            await office.outbox.show(message_call(bubble, FormattedText("second")))

        began = trio.current_time()
        for bubble in bubbles:
            nursery.start_soon(edit, bubble)
        with trio.fail_after(60):
            await office.server.wait_until(lambda: all(office.messages(chat_id) == ["second"] for chat_id in CHATS))
        assert trio.current_time() - began < 6.0


async def test_edit_that_never_becomes_known_is_given_up(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    """Minutes later the chat goes on, with whatever waits behind it."""
    async with open_office() as office:
        bubble = office.bubble()
        office.outbox.commit(bubble, FormattedText("first"))
        await office.outbox.wait_settled(bubble)
        office.server.telegram.add_fault(Fault(method="editMessageText", times=None, action=ServerError()))
        office.outbox.commit(bubble, FormattedText("second"))
        office.outbox.commit(office.bubble(), FormattedText("behind it"))
        await office.outbox.wait_idle()
        assert 400 < trio.current_time() < 800
        assert office.messages() == ["first", "behind it"]
        assert [event["state"] for event in captured_log if event["event"] == "outbox.undelivered"] == ["uncertain"]


async def test_drafts_at_full_speed_are_never_refused(autojump_clock: object) -> None:
    async with open_office() as office:
        bubble = office.bubble()
        with trio.move_on_after(120):
            for number in range(10_000):
                assert await office.draft(bubble, f"frame {number}") == Delivered()
        assert len(office.times(method="sendMessageDraft")) >= 36 * 4


async def test_closing_cancels_what_is_in_flight(autojump_clock: object) -> None:
    async with open_office(Fault(method="sendMessage", action=Delay(before=1000.0))) as office:
        office.outbox.commit(office.bubble(), FormattedText("late"))
        await trio.sleep(1.0)
    assert trio.current_time() < 2.0
