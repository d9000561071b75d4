"""One answer's bubbles and frames, with an outbox of their own: what is committed, and what is worth a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from triolet.config import Secret, StreamingSettings
from triolet.core.budget import Cost
from triolet.core.calls import Delivered, Place, draft_call
from triolet.core.coalescer import Coalescer, Frame
from triolet.core.conversation import ConversationKey
from triolet.core.events import TextDelta
from triolet.core.pace import FramePace, draft_spacing
from triolet.core.text import FormattedText, RichText
from triolet.emulator import Delay, EmulatedTelegram, TelegramServer, open_telegram_server
from triolet.telegram.client import open_bot_api
from triolet.telegram.outbox import Outbox, open_outbox
from triolet.transports.answer import GrowingAnswer
from triolet.transports.frames import Frames
from triolet.transports.latest import Latest

ADA = 1
LONG = " ".join(f"word{number}" for number in range(1000))


@attrs.frozen
class Stage:
    outbox: Outbox
    server: TelegramServer

    def answer(self, **settings: object) -> GrowingAnswer:
        place = Place(ConversationKey(ADA), private=True)
        return GrowingAnswer(self.outbox, place, StreamingSettings(**settings))  # type: ignore[arg-type]  # their own

    def messages(self) -> list[str]:
        return [message.text for message in self.server.screen(ADA).messages]


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    telegram = EmulatedTelegram(token="42:emulator", latency=Delay(before=0.05, after=0.05))
    telegram.add_private_chat(ADA)
    with trio.fail_after(1000):
        async with (
            open_telegram_server(telegram) as server,
            open_bot_api("http://telegram", Secret("42:emulator"), connect=server.connect) as api,
            open_outbox(api, first_draft_id=1) as outbox,
        ):
            yield Stage(outbox, server)


def text_of(content: FormattedText | RichText) -> str:
    assert isinstance(content, FormattedText)
    return content.text


async def test_what_is_whole_is_committed_and_the_rest_goes_on_in_another_bubble(autojump_clock: object) -> None:
    async with open_stage() as stage:
        answer = stage.answer()
        first = answer.bubble
        rest = text_of(answer.take(Frame(LONG, 1)))
        assert answer.bubble is not first
        await stage.outbox.wait_idle()
        [sealed] = stage.messages()
        assert f"{sealed} {rest}" == LONG
        assert answer.has_draft(first.draft_id)
        assert answer.has_draft(answer.bubble.draft_id)
        assert not answer.has_draft(99)


async def test_tool_line_has_a_draft_of_its_own(autojump_clock: object) -> None:
    async with open_stage() as stage:
        answer = stage.answer()
        assert text_of(answer.take(Frame("", 1, ("First.",), "⏳ search"))) == "⏳ search"
        line = answer.bubble.draft_id
        assert text_of(answer.take(Frame("Second", 2, ("First.",), "✓ search"))) == "Second"
        assert answer.bubble.draft_id != line
        answer.commit(Frame("Second.", 3, ("First.",)), "")
        await stage.outbox.wait_idle()
        assert stage.messages() == ["First.", "Second."]


async def test_refused_formats_get_plainer_one_after_the_other(autojump_clock: object) -> None:
    async with open_stage() as stage:
        answer = stage.answer(format="rich")
        rich = answer.take(Frame("**bold**", 1))
        assert isinstance(rich, RichText)
        assert answer.grow_plainer(rich)
        formatted = answer.take(Frame("**bold**", 1))
        assert isinstance(formatted, FormattedText)
        assert formatted.entities
        assert answer.grow_plainer(formatted)
        assert answer.take(Frame("**bold**", 1)) == FormattedText("bold")
        assert not answer.grow_plainer(formatted)


async def test_frame_that_would_look_the_same_is_no_call(autojump_clock: object) -> None:
    """White space, half a marker: the text is newer, and nothing of it can be seen."""
    async with open_stage() as stage:
        answer = stage.answer()
        coalescer = Coalescer()
        latest = Latest(coalescer)
        frames = Frames(stage.outbox, answer, latest, FramePace(draft_spacing(0.2)), Cost.DRAFT)
        coalescer.receive((TextDelta("Hello"),))
        content = await frames.wait_content()
        assert content == FormattedText("Hello")
        assert await frames.show(draft_call(answer.bubble, content), content) == Delivered(result=True)
        coalescer.receive((TextDelta(" \n"),))
        assert await frames.wait_content(until=trio.current_time() + 5.0) is None
        coalescer.receive((TextDelta("you"),))
        assert await frames.wait_content() == FormattedText("Hello\nyou")
        assert len(stage.server.telegram.calls("sendMessageDraft")) == 1


async def test_message_is_not_opened_for_less_than_it_takes(autojump_clock: object) -> None:
    async with open_stage() as stage:
        coalescer = Coalescer()
        pace = FramePace(draft_spacing(0.2))
        frames = Frames(stage.outbox, stage.answer(), Latest(coalescer), pace, Cost.MESSAGE, least=4)
        coalescer.receive((TextDelta("Yes"),))
        assert await frames.wait_content(until=5.0) is None
        coalescer.receive((TextDelta("!"),))
        assert await frames.wait_content(until=10.0) == FormattedText("Yes!")
