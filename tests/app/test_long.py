"""Answers longer than a message: sealed parts, a live tail, fences that go on, and every word once."""

from __future__ import annotations

import re

import pytest
import trio
from scenes import ADA, CURSOR, GROUP, Scene, open_scene, rest, said, scene_settings, tokens

from triolet.config import StreamingSettings
from triolet.emulator import Change, Fault, Flood, Refuse, ServerError
from triolet.providers.scripted import Pause, Say, Step

SCREENS = {
    "draft": (ADA, StreamingSettings()),
    "edit": (ADA, StreamingSettings(transport="edit")),
    "first": (ADA, StreamingSettings(transport="edit", notify="first")),
    "off": (ADA, StreamingSettings(enabled=False)),
    "group": (GROUP, StreamingSettings()),
}
PROSE = " ".join(f"Sentence number {number} has a few words of its own." for number in range(420))
LINES = [f"line_{number} = {number}  # a line of code" for number in range(400)]
CODE = "\n".join(["Look:", "", "```python", *LINES, "```", "Done."])


def spoken(text: str, seconds: float = 60.0) -> list[Step]:
    pieces = re.findall(r"\s*\S+\s*", text)
    return [step for piece in pieces for step in (Say.text(piece), Pause(seconds / len(pieces)))]


async def ask(scene: Scene, chat_id: int) -> list[str]:
    scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
    await scene.server.wait_until(lambda: bool(scene.provider.requests) and scene.provider.open_streams == 0)
    await rest(300)
    return scene.bot_messages(chat_id)


def by_message(scene: Scene, chat_id: int) -> dict[int, list[Change]]:
    found: dict[int, list[Change]] = {}
    for change in scene.server.transcript(chat_id):
        if change.from_bot and change.message_id is not None:
            found.setdefault(change.message_id, []).append(change)
    return found


@pytest.mark.case("O1")
@pytest.mark.parametrize("screen", SCREENS)
async def test_twenty_thousand_characters_stream_as_well_as_two_hundred(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    assert len(PROSE) > 20_000
    async with open_scene(*spoken(PROSE), settings=scene_settings(streaming=streaming)) as scene:
        parts = await ask(scene, chat_id)
        assert " ".join(parts).split() == PROSE.split()
        assert 5 <= len(parts) <= 6 + 1
        assert all(len(part) <= 4096 for part in parts)
        assert {call.status for call in scene.calls(chat_id=chat_id)} == {200}


@pytest.mark.case("O1")
async def test_live_tail_goes_on_through_every_part(autojump_clock: object) -> None:
    async with open_scene(*spoken(PROSE)) as scene:
        scene.server.say(ADA, "Hello")
        longest = 0.0
        shown, since = "", trio.current_time() + 1.0
        while trio.current_time() < 60.0:
            await trio.sleep(0.1)
            now = " ".join(scene.server.visible(ADA)[1:])
            if now != shown:
                shown, since = now, trio.current_time()
            longest = max(longest, trio.current_time() - since)
        assert longest <= 1.2
        assert len(shown) > 19_000


@pytest.mark.case("O1", "O4")
@pytest.mark.parametrize("screen", ["edit", "first", "group"])
async def test_sealed_part_never_changes_again(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(*spoken(PROSE), settings=scene_settings(streaming=streaming)) as scene:
        parts = await ask(scene, chat_id)
        messages = by_message(scene, chat_id)
        whole = [changes for changes in messages.values() if changes[-1].kind != "delete"]
        assert [changes[-1].text for changes in whole] == parts
        for earlier, later in zip(list(messages.values()), list(messages.values())[1:], strict=False):
            last_change = [change for change in earlier if change.kind != "delete"][-1]
            assert last_change.at <= later[0].at, "the next message begins when this one is whole"


@pytest.mark.case("O5")
@pytest.mark.parametrize("screen", ["draft", "edit", "off"])
async def test_code_that_is_cut_is_code_in_both_parts(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(*spoken(CODE), settings=scene_settings(streaming=streaming)) as scene:
        parts = await ask(scene, chat_id)
        assert len(parts) >= 3
        lines = [line for part in parts for line in part.split("\n") if line.startswith("line_")]
        assert lines == LINES
        for message in [m for m in scene.server.screen(chat_id).messages if m.from_bot]:
            [pre] = [entity for entity in message.entities if entity["type"] == "pre"]
            assert pre["language"] == "python"


@pytest.mark.case("O3")
@pytest.mark.parametrize("screen", ["off", "draft"])
@pytest.mark.parametrize("action", [Flood(20), Refuse(400, "Bad Request: something odd"), ServerError()], ids=repr)
async def test_delivery_goes_on_at_the_part_that_was_refused(
    autojump_clock: object, screen: str, action: Flood | Refuse | ServerError
) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(*tokens(2000, every=0.001), settings=scene_settings(streaming=streaming)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", skip=1, times=1, action=action))
        parts = await ask(scene, chat_id)
        words = [word for word in " ".join(parts).split() if word.startswith("word")]
        assert words == said(2000).split()
        assert len(scene.calls("sendMessage")) == len(parts) + 1


@pytest.mark.case("O6")
async def test_parts_of_two_answers_do_not_mix(autojump_clock: object) -> None:
    async with open_scene(*tokens(2000, every=0.001), settings=scene_settings(streaming=SCREENS["off"][1])) as scene:
        scene.server.say(ADA, "one")
        scene.server.say(ADA, "two")
        await rest(120)
        parts = scene.bot_messages()
        assert " ".join(parts).split() == said(2000).split() * 2


@pytest.mark.case("O6")
async def test_parts_of_two_members_answers_do_not_mix(autojump_clock: object) -> None:
    async with open_scene(*tokens(2000, every=0.01)) as scene:
        scene.server.say(GROUP, "@triolet_bot one", user_id=ADA)
        scene.server.say(GROUP, "@triolet_bot two", user_id=ADA)
        await rest(600)
        assert " ".join(scene.bot_messages(GROUP)).split() == said(2000).split() * 2


@pytest.mark.case("O2")
@pytest.mark.parametrize("screen", ["draft", "edit", "off"])
async def test_emoji_without_a_space_are_cut_between_them(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    text = "👩‍👩‍👧" * 1500
    steps = [step for _ in range(1500) for step in (Say.text("👩‍👩‍👧"), Pause(0.01))]
    async with open_scene(*steps, settings=scene_settings(streaming=streaming)) as scene:
        parts = await ask(scene, chat_id)
        assert "".join(parts) == text
        assert all(part.startswith("👩") and len(part) <= 4096 for part in parts)
        assert not any(CURSOR in part for part in parts)
