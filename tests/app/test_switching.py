"""How a chat wants its answers: switched at once, whatever is being written, and kept over a restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio
from scenes import ADA, BOB, GROUP, Scene, open_scene, open_telegram, said, scene_settings, tokens

from triolet.config import Settings, StoreSettings, StreamingSettings
from triolet.core.commands import PREFERENCES, BusyMode
from triolet.core.ports import ModelRequest
from triolet.emulator import Limits
from triolet.providers.scripted import Step

SHOWN = {
    "auto": {"sendMessageDraft", "sendMessage"},
    "draft": {"sendMessageDraft", "sendMessage"},
    "edit": {"sendChatAction", "sendMessage", "editMessageText", "deleteMessage"},
    "off": {"sendChatAction", "sendMessage"},
}


async def methods_of_an_answer(scene: Scene, chat_id: int = ADA, text: str = "Hello") -> set[str]:
    before = len(scene.calls(chat_id=chat_id))
    assert await scene.ask(text, chat_id, user_id=ADA if chat_id == GROUP else None) == said(30)
    await trio.sleep(5.0)
    return {call.method for call in scene.calls(chat_id=chat_id)[before:]}


@pytest.mark.parametrize("mode", SHOWN)
@pytest.mark.parametrize("configured", ["auto", "edit"])
async def test_chat_switches_its_own_answers(autojump_clock: object, mode: str, configured: str) -> None:
    streaming = StreamingSettings(transport=configured)  # type: ignore[arg-type]  # its own values
    async with open_scene(*tokens(30), settings=scene_settings(streaming=streaming)) as scene:
        assert "Answers" in await scene.ask(f"/stream {mode}")
        assert await methods_of_an_answer(scene) == SHOWN[configured if mode == "auto" else mode]
        assert await methods_of_an_answer(scene, BOB) == SHOWN[configured]


async def test_what_is_configured_off_stays_off(autojump_clock: object) -> None:
    streaming = StreamingSettings(enabled=False)
    async with open_scene(*tokens(30), settings=scene_settings(streaming=streaming)) as scene:
        await scene.ask("/stream draft")
        assert await methods_of_an_answer(scene) == SHOWN["off"]


async def test_group_that_wants_drafts_gets_edits(autojump_clock: object) -> None:
    async with open_scene(*tokens(30)) as scene:
        await scene.ask("/stream draft", GROUP, user_id=ADA)
        assert await methods_of_an_answer(scene, GROUP, "@triolet_bot hello") == SHOWN["edit"]


@pytest.mark.parametrize("command", ["/stream", "/stream  ", "/stream fast", "/stream draft edit"])
async def test_mistyped_switch_tells_what_there_is(autojump_clock: object, command: str) -> None:
    async with open_scene(*tokens(30)) as scene:
        assert await scene.ask(command) == "Write /stream and one of: auto, draft, edit, off."
        assert await methods_of_an_answer(scene) == SHOWN["auto"]


async def test_switch_is_answered_at_once_and_counts_from_the_next_answer_on(autojump_clock: object) -> None:
    async with open_scene(*tokens(30)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        scene.server.say(ADA, "/stream off")
        await trio.sleep(0.2)
        assert scene.bot_messages() == ["Answers come whole, when they are complete."]
        before = len(scene.calls())
        scene.server.say(ADA, "And now?")
        assert (await scene.wait_answers(3))[1:] == [said(30), said(30)]
        later = [call.method for call in scene.calls()[before:]]
        assert "sendMessageDraft" in later, "the answer under way goes on as it began"
        assert later[-2:] == ["sendChatAction", "sendMessage"]


async def test_switches_of_one_poll_are_carried_out_in_their_order(autojump_clock: object) -> None:
    """Whichever of their tasks is run first."""
    values = ["off", "edit", "draft", "edit", "off", "auto", "edit"]
    async with open_scene(*tokens(30)) as scene:
        for value in values:
            scene.server.say(ADA, f"/stream {value}")
        assert await scene.wait_answers(len(values)) == [PREFERENCES["stream"][value] for value in values]
        assert await methods_of_an_answer(scene) == SHOWN["edit"]


async def test_switch_counts_for_what_is_asked_in_the_same_poll(autojump_clock: object) -> None:
    """The question's conversation is loading what it knew before."""
    async with open_scene(*tokens(30)) as scene:
        await scene.ask("/stream edit")
        scene.server.say(ADA, "Hello")
        scene.server.say(ADA, "/stream off")
        await scene.wait_answers(3)
        assert {call.method for call in scene.calls()} == SHOWN["off"]


async def test_switch_holds_for_every_topic_and_over_a_restart(autojump_clock: object, tmp_path: Path) -> None:
    settings: Settings = attrs.evolve(scene_settings(), store=StoreSettings(path=tmp_path / "triolet.db"))
    telegram = open_telegram(Limits())
    telegram.add_topic(ADA, 7, "topic")
    async with open_scene(*tokens(30), settings=settings, telegram=telegram) as scene:
        await scene.ask("/stream edit")
    async with open_scene(*tokens(30), settings=settings, telegram=telegram) as scene:
        assert await methods_of_an_answer(scene) == SHOWN["edit"]
        scene.server.say(ADA, "Hello", thread_id=7)
        await trio.sleep(10.0)
        assert not scene.calls("sendMessageDraft")


async def test_switch_in_one_topic_reaches_an_answer_that_waits_in_another(autojump_clock: object) -> None:
    telegram = open_telegram(Limits())
    telegram.add_topic(ADA, 7, "topic")
    async with open_scene(*tokens(30), telegram=telegram) as scene:
        for text in ("one", "two"):
            scene.server.say(ADA, text, thread_id=7)
        await trio.sleep(1.0)
        scene.server.say(ADA, "/stream off")
        await trio.sleep(4.0)
        before = len(scene.calls("sendMessageDraft"))
        await trio.sleep(10.0)
        assert len(scene.provider.requests) == 2
        assert len(scene.calls("sendMessageDraft")) == before


def echo(request: ModelRequest) -> Sequence[Step]:
    return tokens(30, word=request.messages[-1].text)


@pytest.mark.parametrize("busy", ["queue", "interrupt"])
async def test_message_of_the_same_poll_follows_the_switch(autojump_clock: object, busy: BusyMode) -> None:
    before: BusyMode = "queue" if busy == "interrupt" else "interrupt"
    async with open_scene(script=echo, settings=scene_settings(streaming=StreamingSettings(busy=before))) as scene:
        scene.server.say(ADA, "one")
        await trio.sleep(2.0)
        scene.server.say(ADA, f"/busy {busy}")
        scene.server.say(ADA, "two")
        await trio.sleep(20.0)
        answers = [text for text in scene.bot_messages() if text != PREFERENCES["busy"][busy]]
        assert answers[-1] == said(30, "two")
        assert answers[0].endswith("interrupted") == (busy == "interrupt")
