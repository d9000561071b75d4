"""What must never be seen, on every kind of screen and at every end: no call and no memory holds any of it."""

from __future__ import annotations

import json

import attrs
import pytest
import trio
from scenes import ADA, GROUP, Scene, open_scene, rest, scene_settings

from triolet.config import StreamingSettings
from triolet.emulator import Fault, Refuse
from triolet.errors import ProviderUnavailable
from triolet.providers.scripted import Cut, End, Fail, Hang, Pause, Say, Step

SCREENS = {
    "draft": (ADA, "", StreamingSettings(format="plain")),
    "edit": (ADA, "", StreamingSettings(transport="edit", format="plain")),
    "off": (ADA, "", StreamingSettings(enabled=False, format="plain")),
    "group": (GROUP, "@triolet_bot ", StreamingSettings(format="plain")),
    "fallback": (ADA, "", StreamingSettings(format="plain")),
}

SHOWN_BY = {
    "draft": (True, False),
    "edit": (False, True),
    "off": (False, False),
    "group": (False, True),
    "fallback": (True, True),
}
"""Whether there are drafts, and whether there are edits."""

ENDS: dict[str, tuple[Step, str]] = {
    "done": (End(), ""),
    "length": (End("length"), "\n\n✂ cut off: the answer reached its longest"),
    "failed": (Fail(ProviderUnavailable("the provider fell silent")), "\n\n⚠ broken off · the provider fell silent"),
    "cut": (Cut(), "\n\n⚠ broken off · the connection was closed too early"),
    "stop": (Hang(), "\n\n⏹ stopped"),
}

PROSE = "The tag `<think>` opens, `</think>` closes, and <think> with </think> is a pair. "
BLOCK = "<Think>SECRET\n <think>SECRET</think>\nSECRET</think >\n"
TOOL = "[TOOL]SECRET[/TOOL]"


def spelt(text: str) -> list[Step]:
    """Steps of a model that says a character at a time, slowly enough for each to be a frame of its own."""
    return [step for character in text for step in (Say.text(character), Pause(0.3))]


def leaks(scene: Scene, chat_id: int) -> list[str]:
    """What of the hidden text any call holds: a part of SECRET, or of the marks around it."""
    shown = [json.dumps(call.params, ensure_ascii=False) for call in scene.calls(chat_id=chat_id)]
    return [text for text in shown if "SEC" in text or "Think" in text or "[T" in text or "[/T" in text]


@pytest.mark.case("C2", "C3")
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("end", ENDS)
async def test_hidden_text_is_in_no_call(autojump_clock: object, screen: str, end: str) -> None:
    (chat_id, prefix, streaming), (last, mark) = SCREENS[screen], ENDS[end]
    streaming = attrs.evolve(streaming, hide_tags=("think", "[TOOL]...[/TOOL]"))
    steps = [*spelt(BLOCK), *spelt(PROSE), *spelt("\n" + TOOL), *spelt("Bye.\n<Think>SECRET"), last]
    async with open_scene(*steps, settings=scene_settings(streaming=streaming)) as scene:
        if screen == "fallback":
            refusal = Refuse(400, "Bad Request: PEER_ID_INVALID")
            scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=8, times=None, action=refusal))
        scene.server.say(chat_id, prefix + "Hello", user_id=ADA)
        await rest(200)
        if end == "stop":
            scene.server.say(chat_id, "/stop", user_id=ADA)
            await rest(30)
        assert scene.bot_messages(chat_id) == [PROSE + "\nBye." + mark]
        drafts, edits = len(scene.calls("sendMessageDraft")), len(scene.calls("editMessageText", chat_id=chat_id))
        assert (drafts > 8, edits > 3) == SHOWN_BY[screen], "the scene shows what it is for"
        assert leaks(scene, chat_id) == []


@pytest.mark.case("C2")
@pytest.mark.parametrize("screen", SCREENS)
async def test_stop_while_the_model_thinks_shows_no_thought(autojump_clock: object, screen: str) -> None:
    chat_id, prefix, streaming = SCREENS[screen]
    async with open_scene(*spelt(BLOCK[:20]), Hang(), settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(chat_id, prefix + "Hello", user_id=ADA)
        await rest(30)
        scene.server.say(chat_id, "/stop", user_id=ADA)
        await rest(30)
        assert scene.bot_messages(chat_id) == ["⏹ stopped"]
        assert leaks(scene, chat_id) == []


@pytest.mark.case("C2", "C3")
async def test_hidden_text_is_not_remembered(autojump_clock: object) -> None:
    streaming = StreamingSettings(hide_tags=("think", "[TOOL]...[/TOOL]"))
    async with open_scene(*spelt(BLOCK + TOOL + "Bye."), settings=scene_settings(streaming=streaming)) as scene:
        await scene.ask("first")
        await scene.ask("second")
        assert [message.text for message in scene.provider.requests[-1].messages] == ["first", "\nBye.", "second"]


@pytest.mark.case("C3")
async def test_without_tags_all_text_is_shown(autojump_clock: object) -> None:
    streaming = StreamingSettings(hide_tags=(), format="plain")
    async with open_scene(Say.text(BLOCK + "Bye."), settings=scene_settings(streaming=streaming)) as scene:
        assert await scene.ask() == BLOCK + "Bye."


@pytest.mark.case("C5")
@pytest.mark.parametrize("screen", SCREENS)
async def test_silence_is_in_no_call(autojump_clock: object, screen: str) -> None:
    chat_id, prefix, streaming = SCREENS[screen]
    async with open_scene(*spelt(" NO_REPLY\n"), settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(chat_id, prefix + "Hello", user_id=ADA)
        await rest(30)
        assert not any("NO" in text for text in scene.texts(chat_id=chat_id))
        assert scene.provider.open_streams == 0


@pytest.mark.case("C5")
async def test_prose_that_begins_like_silence_is_shown_at_once(autojump_clock: object) -> None:
    async with open_scene(*spelt("NO_REPLY means"), Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(14 * 0.3 + 1.0)
        draft = scene.server.screen(ADA).draft
        assert draft is not None
        assert draft.text == "NO_REPLY means"


@pytest.mark.case("C5")
@pytest.mark.parametrize("screen", [name for name in SCREENS if name != "fallback"])
async def test_silent_answer_leaves_nothing(autojump_clock: object, screen: str) -> None:
    """Not even the words that say that there is no answer."""
    chat_id, address, streaming = SCREENS[screen]
    steps: list[Step] = [Say.text("NO_"), Pause(5.0), Say.text("REPLY"), Pause(1.0)]
    async with open_scene(*steps, settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(chat_id, address + "Hello", user_id=ADA)
        await rest(60)
        assert scene.provider.requests
        assert scene.provider.open_streams == 0
        assert scene.bot_messages(chat_id) == []
        assert scene.server.screen(chat_id).draft is None
        assert not any(scene.texts(chat_id=chat_id))
