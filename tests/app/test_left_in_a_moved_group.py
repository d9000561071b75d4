"""A group that becomes a supergroup while something is under way."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from scenes import ADA, crashed, open_scene, open_telegram, rest, said, scene_settings, tokens

from triolet.config import Settings, StoreSettings
from triolet.emulator import EmulatedTelegram, Fault, Flood, Limits
from triolet.providers.scripted import End, Hang

SMALL, MOVED, FORUM = -55, -10055, -77


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return attrs.evolve(scene_settings(), store=StoreSettings(path=tmp_path / "triolet.db"))


def open_small() -> EmulatedTelegram:
    telegram = open_telegram(Limits())
    telegram.add_group(SMALL, "Small", [ADA])
    return telegram


async def test_answer_under_way_is_remembered_where_the_group_is_now(
    autojump_clock: object, settings: Settings
) -> None:
    async with open_scene(*tokens(20), settings=settings, telegram=open_small()) as scene:
        scene.server.say(SMALL, "@triolet_bot one", user_id=ADA)
        await trio.sleep(1.5)
        scene.server.act(scene.telegram.group_migrates, SMALL, MOVED)
        await rest(30)
        await scene.ask("@triolet_bot two", MOVED, user_id=ADA)
        asked = [m.text.strip() for m in scene.provider.requests[-1].messages]
        assert asked == ["one", said(20), "two"]


async def test_what_waits_while_the_group_moves_is_asked_with_what_was_said(
    autojump_clock: object, settings: Settings
) -> None:
    async with open_scene(*tokens(20), settings=settings, telegram=open_small()) as scene:
        await scene.ask("@triolet_bot one", SMALL, user_id=ADA)
        scene.server.say(SMALL, "@triolet_bot two", user_id=ADA)
        await trio.sleep(1.0)
        scene.server.act(scene.telegram.group_migrates, SMALL, MOVED)
        scene.server.say(MOVED, "@triolet_bot three", user_id=ADA)
        await rest(30)
        asked = [m.text.strip() for m in scene.provider.requests[-1].messages]
        assert asked == ["one", said(20), "two", said(20), "three"]


async def test_answer_that_a_crash_interrupts_goes_on_where_the_group_is_now(
    autojump_clock: object, settings: Settings
) -> None:
    async with open_scene(*tokens(20), Hang(), settings=settings, telegram=open_small()) as first:
        first.server.say(SMALL, "@triolet_bot one", user_id=ADA)
        await trio.sleep(5.0)
        first.server.act(first.telegram.group_migrates, SMALL, MOVED)
        await trio.sleep(5.0)
        telegram, settings = crashed(first, settings)
    async with open_scene(*tokens(4), settings=settings, telegram=telegram) as second:
        await rest(30)
        assert [m.text.strip() for m in second.provider.requests[0].messages][:2] == ["one", said(20)]


async def test_answer_of_a_topic_that_is_closed_goes_on_with_what_was_said_there(
    autojump_clock: object, settings: Settings
) -> None:
    telegram = open_telegram(Limits())
    telegram.add_group(FORUM, "Forum", [ADA], supergroup=True, topics={5: "Five"})
    async with open_scene(*tokens(8), End("length"), settings=settings, telegram=telegram) as scene:
        scene.server.say(FORUM, "@triolet_bot one", user_id=ADA, thread_id=5)
        await trio.sleep(0.7)
        scene.server.act(scene.telegram.close_topic, FORUM, 5)
        await rest(30)
        shown = scene.server.screen(FORUM).messages
        [(number, data)] = [(m.id, b.data) for m in shown for row in m.buttons for b in row]
        assert data is not None
        scene.server.press_button(FORUM, number, data, ADA)
        await rest(30)
        assert [m.text.strip() for m in scene.provider.requests[-1].messages][:2] == ["one", said(8)]


async def test_final_that_waited_is_delivered_where_the_group_is_now(
    autojump_clock: object, settings: Settings
) -> None:
    async with open_scene(*tokens(3), settings=settings, telegram=open_small()) as first:
        first.telegram.add_fault(Fault(method="sendMessage", times=None, action=Flood(5)))
        first.server.say(SMALL, "@triolet_bot one", user_id=ADA)
        await trio.sleep(4.0)
        telegram, settings = crashed(first, settings)
    telegram.clear_faults()
    telegram.group_migrates(SMALL, MOVED, trio.current_time())
    async with open_scene(*tokens(3), settings=settings, telegram=telegram) as second:
        await rest(60)
        assert second.bot_messages(MOVED) == [said(3)]
        await second.ask("@triolet_bot two", MOVED, user_id=ADA)
        assert [m.text.strip() for m in second.provider.requests[-1].messages] == ["one", said(3), "two"]
