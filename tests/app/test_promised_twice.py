"""What is written down of a message, where two promises are about the same one, or one becomes two."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from scenes import (
    ADA,
    calls,
    crashed,
    open_scene,
    press,
    rest,
    rounds,
    said,
    slow_tool,
    stored,
    tokens,
)

from triolet.config import StreamingSettings
from triolet.emulator import Delay, Fault, Flood, Refuse
from triolet.providers.scripted import End, Say

EDIT = StreamingSettings(transport="edit")


async def test_answer_that_rings_at_its_end_stays_after_a_restart(autojump_clock: object, tmp_path: Path) -> None:
    """Its only text is whole before the tools, and still waits for a flood to end when the answer is over."""
    settings = stored(tmp_path)
    script = rounds(Say.text("Done."), calls("look"), End())
    async with open_scene(script=script, settings=settings, tools=[slow_tool("look", 0.1)]) as first:
        first.telegram.add_fault(Fault(method="sendMessage", action=Flood(5)))
        first.server.say(ADA, "Hello")
        await rest(30)
        assert first.bot_messages() == ["Done."]
        telegram, settings = crashed(first, settings)
    async with open_scene(script=script, settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == ["Done."]


async def test_question_that_was_decided_before_it_was_shown_stays(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    script = rounds(Say.text("I act."), calls("act"), Say.text("It is done."), End())
    async with open_scene(script=script, settings=settings, tools=[slow_tool("act", has_effects=True)]) as first:
        first.telegram.add_fault(Fault(method="sendMessage", skip=1, action=Flood(5)))
        first.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        first.server.say(ADA, "/allow")
        await rest(30)
        shown = first.bot_messages()
        assert len(shown) == 3
        telegram, settings = crashed(first, settings)
    async with open_scene(script=script, settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == shown


@pytest.mark.parametrize("screen", ["draft", "edit"])
async def test_answer_whose_button_is_pressed_before_telegram_confirms_it_stays(
    autojump_clock: object, tmp_path: Path, screen: str
) -> None:
    settings = stored(tmp_path, streaming=EDIT if screen == "edit" else StreamingSettings())
    async with open_scene(*tokens(3), End("length"), settings=settings) as first:
        slow = Delay(after=3.0)
        first.telegram.add_fault(Fault(method=("sendMessage", "editMessageText"), times=None, action=slow))
        first.server.say(ADA, "Hello")
        await first.server.wait_until(
            lambda: any(b.text == "▶ Continue" for m in first.server.screen(ADA).messages for r in m.buttons for b in r)
        )
        first.telegram.clear_faults()
        press(first, "▶ Continue")
        await rest(30)
        shown = first.bot_messages()
        assert len(shown) == 2
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(30)
        assert second.bot_messages() == shown


TOO_LONG = Refuse(400, "Bad Request: MESSAGE_TOO_LONG")


async def test_pieces_of_a_refused_message_keep_their_order_over_a_crash(
    autojump_clock: object, tmp_path: Path
) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(8), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", times=3, action=TOO_LONG))
        first.telegram.add_fault(Fault(method="sendMessage", action=Flood(10)))
        first.server.say(ADA, "Hello")
        await trio.sleep(6.0)
        assert first.bot_messages() == []
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    async with open_scene(*tokens(8), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert "".join(second.bot_messages()).replace(" ", "") == said(8).replace(" ", "")


async def test_refused_edit_that_became_two_messages_is_made_once_over_a_crash(
    autojump_clock: object, tmp_path: Path
) -> None:
    """The first piece waits when the bot dies: on disk are the whole, and the second piece beside it."""
    settings = stored(tmp_path, streaming=StreamingSettings(transport="edit", notify="first"))
    async with open_scene(*tokens(8), settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(1.2)
        first.telegram.add_fault(Fault(method="editMessageText", action=TOO_LONG))
        first.telegram.add_fault(Fault(method="editMessageText", action=Flood(10)))
        await trio.sleep(5.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    telegram.add_fault(Fault(method="editMessageText", action=TOO_LONG))
    async with open_scene(*tokens(8), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert " ".join(second.bot_messages()) == said(8)
