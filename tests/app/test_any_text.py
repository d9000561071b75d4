"""Any text, in any pieces, under any faults that end: all of it on screen, in order, once, and no trace of how."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from documents import Document, documents, unseen, words
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import ADA, CURSOR, EXAMPLES, GROUP, Scene, open_scene, rest, scene_settings

from triolet.config import StreamingSettings
from triolet.core.delivery import SENT_AGAIN
from triolet.emulator import Delay, Fault, Flood, Refuse, Reset, ServerError
from triolet.providers.scripted import Pause, Say, Step

SENDS = ("sendMessage", "sendRichMessage")
SHOWS = (*SENDS, "sendMessageDraft", "sendRichMessageDraft", "editMessageText")
METHODS = st.sampled_from([SENDS, SHOWS, ("editMessageText",), ("deleteMessage",), ("sendMessageDraft",)])
ACTIONS = st.sampled_from([
    Flood(2),
    Flood(40),
    ServerError(),
    Reset(carried_out=False),
    Reset(carried_out=True),
    Delay(before=3.0),
    Delay(after=45.0),
    Refuse(400, "Bad Request: can't parse entities: whatever"),
    Refuse(400, "Bad Request: something that nobody has heard of"),
    Refuse(400, "Bad Request: message is too long"),
    Refuse(404, "Not Found: method not found"),
])  # fmt: skip


@attrs.frozen
class Look:
    """How and where an answer is shown."""

    chat_id: int
    streaming: StreamingSettings


@st.composite
def looks(draw: st.DrawFn) -> Look:
    streaming: dict[str, Any] = {
        "enabled": draw(st.sampled_from([True, True, True, False])),
        "transport": draw(st.sampled_from(["auto", "edit"])),
        "format": draw(st.sampled_from(["entities", "entities", "rich", "plain"])),
        "notify": draw(st.sampled_from(["final", "first"])),
    }
    return Look(draw(st.sampled_from([ADA, ADA, GROUP])), StreamingSettings(**streaming))


def faults() -> st.SearchStrategy[list[Fault]]:
    """No more refusals than half a minute of patience bears."""
    fault = st.builds(Fault, method=METHODS, skip=st.integers(0, 6), times=st.integers(1, 2), action=ACTIONS)
    return st.lists(fault, max_size=2)


def spoken(text: str, seed: int) -> Iterator[Step]:
    luck = random.Random(seed)
    at = 0
    while at < len(text):
        size = luck.choice((1, 2, 3, 5, 8, 40, 300))
        yield Say.text(text[at : at + size])
        yield Pause(luck.choice((0.0, 0.02, 0.05, 0.3, 1.5)))
        at += size


async def shown_answer(scene: Scene, look: Look) -> list[str]:
    scene.server.say(look.chat_id, "@triolet_bot hello", user_id=ADA)
    await scene.server.wait_until(lambda: bool(scene.provider.requests) and scene.provider.open_streams == 0)
    await rest(2000)
    screen = scene.server.screen(look.chat_id)
    assert screen.draft is None
    assert not any(message.buttons for message in screen.messages if message.from_bot)
    texts = scene.bot_messages(look.chat_id)
    assert not any(CURSOR.strip() in text for text in texts)
    return texts


@pytest.mark.case("F1", "M1", "O1", "C1")
@settings(max_examples=EXAMPLES)
@given(document=documents(), look=looks(), troubles=faults(), seed=st.integers(0, 2**32))
async def test_all_of_it_is_on_screen_once(
    autojump_clock: object, document: Document, look: Look, troubles: list[Fault], seed: int
) -> None:
    async with open_scene(*spoken(document.source, seed), settings=scene_settings(streaming=look.streaming)) as scene:
        for fault in troubles:
            scene.telegram.add_fault(fault)
        texts = await shown_answer(scene, look)
        whole = "\n".join(text for text in texts if text != SENT_AGAIN).replace(SENT_AGAIN, "")
        assert unseen(whole, document.words) is None
        if SENT_AGAIN not in "\n".join(texts):
            assert words(whole) == words(document.source)


@pytest.mark.case("T1", "M1")
@settings(max_examples=EXAMPLES)
@given(document=documents(), look=looks(), seed=st.integers(0, 2**32))
async def test_what_is_shown_never_goes_back(autojump_clock: object, document: Document, look: Look, seed: int) -> None:
    async with open_scene(*spoken(document.source, seed), settings=scene_settings(streaming=look.streaming)) as scene:
        await shown_answer(scene, look)
        assert {call.status for call in scene.calls(chat_id=look.chat_id)} == {200}
        furthest: dict[tuple[int | None, int | None], int] = {}
        for change in scene.server.transcript(look.chat_id):
            if change.from_bot and change.kind in {"draft", "message", "edit"}:
                bubble = (change.draft_id, change.message_id)
                shown = max((int(word[1:]) for word in words(change.text)), default=0)
                assert shown >= furthest.get(bubble, 0), change
                furthest[bubble] = shown
