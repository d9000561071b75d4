"""Several deaths in a row, and disks that refuse a part of what is given to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio
from scenes import ADA, calls, crashed, open_scene, query, rest, rounds, said, slow_tool, stored, tokens

from triolet.app.book import CONTINUE
from triolet.config import RestartSettings, StreamingSettings
from triolet.core.delivery import NOT_CONFIRMED, SENT_AGAIN
from triolet.core.ports import ModelRequest
from triolet.emulator import Delay, Fault
from triolet.providers.scripted import End, Say, Step


@pytest.mark.parametrize("uncertain", ["ask", "resend"])
async def test_copy_is_marked_though_the_bot_died_over_its_line(
    autojump_clock: object, tmp_path: Path, uncertain: str
) -> None:
    settings = stored(tmp_path, uncertain=uncertain)
    async with open_scene(*tokens(3), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", action=Delay(before=30.0)))
        first.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    telegram.add_fault(Fault(method="sendMessage", action=Delay(after=30.0)))
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await second.server.wait_until(lambda: len(second.bot_messages()) == 1)
        telegram, settings = crashed(second, settings)
    telegram.clear_faults()
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as third:
        await rest(60)
        [text] = third.bot_messages()
        assert text == NOT_CONFIRMED.text or text.endswith(SENT_AGAIN)


async def test_nothing_is_called_forgotten_that_the_disk_has_yet_to_take(
    autojump_clock: object, tmp_path: Path
) -> None:
    """The answer before it could not be recorded, and will be: to forget ahead of that would be to remember."""
    settings = stored(tmp_path)
    script = [*tokens(20)]
    async with open_scene(*script, settings=settings) as scene:
        scene.server.say(ADA, "secret")
        await trio.sleep(1.0)
        query(settings, "ALTER TABLE usage RENAME TO away")
        query(settings, "ALTER TABLE turn RENAME TO away_turn")
        scene.server.say(ADA, "/new")
        await trio.sleep(0.7)
        query(settings, "ALTER TABLE away RENAME TO usage")
        query(settings, "ALTER TABLE away_turn RENAME TO turn")
        await rest(60)
        assert scene.bot_messages()[-1] == "⚠ Nothing is forgotten: the bot's database cannot be used now."
        await scene.ask("/new")
        await scene.ask("two")
        assert [m.text for m in scene.provider.requests[-1].messages] == ["two"]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_text_that_was_sealed_while_its_preview_was_on_its_way_stays(
    autojump_clock: object, tmp_path: Path, *, carried_out: bool
) -> None:
    settings = stored(tmp_path, streaming=StreamingSettings(transport="edit"))
    script = rounds(*tokens(4), calls("look"), Say.text("It is so."), End())

    def play(request: ModelRequest) -> Sequence[Step]:
        return tokens(4, word="more") if request.messages[-1].text == CONTINUE else list(script(request))

    look = slow_tool("look", 5.0)
    async with open_scene(script=play, settings=settings, tools=[look]) as first:
        slow = Delay(after=30.0) if carried_out else Delay(before=30.0)
        first.telegram.add_fault(Fault(method="sendMessage", action=slow))
        first.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    async with open_scene(script=play, settings=settings, tools=[look], telegram=telegram) as second:
        await rest(60)
        assert any(said(4) in text for text in second.bot_messages())


async def test_text_above_a_question_comes_once_where_nothing_grows(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path, streaming=StreamingSettings(enabled=False))
    script = rounds(Say.text("I act."), calls("act"), Say.text("It is done."), End())
    act = slow_tool("act", has_effects=True)
    async with open_scene(script=script, settings=settings, tools=[act]) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(4.0)
        telegram, settings = crashed(first, settings)
    settings = attrs.evolve(settings, restart=RestartSettings("off"))
    async with open_scene(script=script, settings=settings, tools=[act], telegram=telegram) as second:
        await rest(60)
        assert sum("I act." in text for text in second.bot_messages()) == 1


async def test_search_of_a_new_run_takes_no_message_that_this_run_has_sent(
    autojump_clock: object, tmp_path: Path
) -> None:
    """A notice was on its way; the final, whose number is lower, is sent first, and gets the id that is looked at."""
    settings = stored(tmp_path, streaming=StreamingSettings(transport="edit"))
    async with open_scene(*tokens(8), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", skip=1, action=Delay(before=30.0)))
        first.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        first.server.say(ADA, "/help")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    async with open_scene(*tokens(8), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert said(8) in second.bot_messages()


async def test_search_takes_no_message_that_the_run_before_has_sent(autojump_clock: object, tmp_path: Path) -> None:
    settings = stored(tmp_path, streaming=StreamingSettings(transport="edit"))
    async with open_scene(*tokens(8), settings=settings) as first:
        first.telegram.add_fault(Fault(method="sendMessage", skip=1, action=Delay(before=30.0)))
        first.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        first.server.say(ADA, "/help")
        await trio.sleep(3.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    async with open_scene(*tokens(8), settings=settings, telegram=telegram) as second:
        await second.server.wait_until(lambda: said(8) in second.bot_messages())
        await trio.sleep(0.5)
        telegram, settings = crashed(second, settings)
    async with open_scene(*tokens(8), settings=settings, telegram=telegram) as third:
        await rest(60)
        assert said(8) in third.bot_messages()
