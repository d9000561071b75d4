"""Moments in which two troubles meet: each was seen to lose, to double or to overwrite something."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio
from scenes import (
    ADA,
    STRANGER,
    calls,
    open_scene,
    open_telegram,
    rest,
    rounds,
    said,
    scene_settings,
    slow_tool,
    tokens,
)

from triolet.app.help import HELP
from triolet.config import StoreSettings, StreamingSettings
from triolet.core.delivery import SENT_AGAIN
from triolet.core.lane import Lane
from triolet.core.ports import ModelRequest
from triolet.emulator import Fault, Limits, Refuse, Reset
from triolet.providers.scripted import Hang, Pause, Say, Step

EDIT = StreamingSettings(transport="edit")
FIRST = StreamingSettings(transport="edit", notify="first")
UNEDITABLE = Refuse(400, "Bad Request: message can't be edited")


def echo(request: ModelRequest) -> Sequence[Step]:
    return tokens(60, word=request.messages[-1].text)


@pytest.mark.case("F4")
@pytest.mark.parametrize("carried_out", [True, False])
async def test_search_for_a_lost_frame_takes_no_notice_for_it(autojump_clock: object, carried_out: bool) -> None:
    async with open_scene(*tokens(60), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", action=Reset(carried_out=carried_out)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(0.7)
        scene.server.say(ADA, "/help")
        await rest(60)
        assert sorted(scene.bot_messages()) == sorted(
            [HELP, said(60) if carried_out else f"{said(60)}\n\n{SENT_AGAIN}"]
        )


@pytest.mark.case("F4", "P8")
async def test_search_of_one_topic_takes_no_message_of_another(autojump_clock: object) -> None:
    telegram = open_telegram(Limits())
    for topic in (7, 8):
        telegram.add_topic(ADA, topic, str(topic))
    async with open_scene(script=echo, settings=scene_settings(streaming=FIRST), telegram=telegram) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", times=2, action=Reset(carried_out=True)))
        scene.server.say(ADA, "aaa", thread_id=7)
        scene.server.say(ADA, "bbb", thread_id=8)
        await rest(120)
        for topic, word in ((7, "aaa"), (8, "bbb")):
            shown = [message.text for message in scene.server.screen(ADA, topic).messages if message.from_bot]
            assert shown == [said(60, word)]


@pytest.mark.case("F4", "X2")
async def test_search_takes_no_message_of_an_earlier_run(autojump_clock: object, tmp_path: Path) -> None:
    settings = scene_settings(uncertain="resend", resume="off", grace=0.0)
    settings = attrs.evolve(settings, store=StoreSettings(path=tmp_path / "triolet.db"))
    telegram = open_telegram(Limits())
    async with open_scene(script=echo, settings=settings, telegram=telegram) as scene:
        scene.server.say(ADA, "one")
        scene.server.say(ADA, "two")
        await trio.sleep(2.0)
    [interrupted] = [message.text for message in telegram.screen(ADA, 10.0).messages if message.from_bot]
    telegram.add_fault(Fault(method="sendMessage", action=Reset(carried_out=False)))
    async with open_scene(script=echo, settings=settings, telegram=telegram) as scene:
        await rest(60)
        assert scene.bot_messages() == [interrupted, f"{said(60, 'two')}\n\n{SENT_AGAIN}"]


@pytest.mark.parametrize("streaming", [EDIT, FIRST], ids=["anew", "edited"])
async def test_server_that_lets_nothing_be_edited_gets_one_preview(
    autojump_clock: object, streaming: StreamingSettings
) -> None:
    async with open_scene(*tokens(300), settings=scene_settings(streaming=streaming)) as scene:
        scene.telegram.add_fault(Fault(method="editMessageText", times=None, action=UNEDITABLE))
        scene.server.say(ADA, "Hello")
        await rest(120)
        assert scene.bot_messages() == [said(300)]
        assert len(scene.calls("sendMessage")) == 2


@pytest.mark.case("F4")
async def test_copy_that_cannot_be_edited_in_is_sent_once(autojump_clock: object) -> None:
    async with open_scene(*tokens(30)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", action=Reset(carried_out=False)))
        scene.telegram.add_fault(Fault(method="editMessageText", times=None, action=UNEDITABLE))
        scene.server.say(ADA, "Hello")
        await rest(300)
        assert scene.bot_messages() == [f"{said(30)}\n\n{SENT_AGAIN}"]


@pytest.mark.parametrize("how", ["/stop", "button"])
async def test_answer_of_a_topic_that_is_gone_can_be_stopped_in_the_chat(autojump_clock: object, how: str) -> None:
    telegram = open_telegram(Limits())
    telegram.add_topic(ADA, 7, "soon gone")
    async with open_scene(*tokens(30), Hang(), telegram=telegram) as scene:
        scene.server.say(ADA, "Hello", thread_id=7)
        await trio.sleep(1.0)
        scene.server.act(scene.telegram.delete_topic, ADA, 7)
        await trio.sleep(2.0)
        if how == "/stop":
            scene.server.say(ADA, "/stop")
        else:
            scene.server.press_stop(ADA)
        await rest(10)
        assert scene.provider.open_streams == 0
        assert scene.bot_messages()[-1].endswith("⏹ stopped")


async def test_new_is_heard_however_much_waits(autojump_clock: object) -> None:
    async with open_scene(*tokens(10)) as scene:
        scene.server.say(ADA, "first")
        await rest(10)
        scene.server.say(ADA, "second")
        await trio.sleep(0.1)
        for _ in range(8):
            scene.server.say(ADA, "and more")
        scene.server.say(ADA, "/new")
        await rest(60)
        assert scene.bot_messages()[-1] == "A new conversation. What was said is forgotten."
        await scene.ask("third")
        assert [message.text for message in scene.provider.requests[-1].messages] == ["third"]


@pytest.mark.case("F6", "C1")
async def test_tool_line_whose_sending_was_uncertain_goes_too(autojump_clock: object) -> None:
    script = rounds(Say.text("That is all"), Pause(2.0), calls("save"))
    settings = scene_settings(streaming=FIRST)
    async with open_scene(script=script, tools=[slow_tool("save", 0.2)], settings=settings) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", skip=1, action=Reset(carried_out=True)))
        scene.server.say(ADA, "Hello")
        await rest(60)
        assert scene.bot_messages() == ["That is all"]


async def test_nothing_is_kept_for_strangers(autojump_clock: object) -> None:
    """Anybody may write to a bot; what is remembered of a chat is for those whom it serves."""
    async with open_scene(*tokens(3)) as scene:
        before = lane_count()
        for _ in range(3):
            scene.server.say(STRANGER, "Hello")
        await rest(5)
        assert lane_count() == before
        await scene.ask()
        assert lane_count() == before + 1


def lane_count() -> int:
    """How many chats the outbox has a lane for."""
    gc.collect()
    return sum(isinstance(each, Lane) for each in gc.get_objects())
