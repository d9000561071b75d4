"""A message that its author changes: what waits is asked as it is now, and what is being answered is asked again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from scenes import (
    ADA,
    BOB,
    GROUP,
    STRANGER,
    Scene,
    open_scene,
    open_telegram,
    rest,
    said,
    scene_settings,
    slow_tool,
    tokens,
)

from triolet.config import Settings, StoreSettings, StreamingSettings
from triolet.core.ports import ModelRequest
from triolet.emulator import Limits
from triolet.providers.scripted import End, Say, Step
from triolet.store import open_store, run_inline

EDITED = "\n\n⏹ interrupted · the question was edited"
WORDS = 40


def echo(request: ModelRequest) -> Sequence[Step]:
    """An answer in the words of the last message: 4.5 seconds."""
    return tokens(WORDS, word=request.messages[-1].text)


def answers(*words: str) -> list[str]:
    return [said(WORDS, word) for word in words]


def asked(scene: Scene) -> list[str]:
    """What each request asks."""
    return [request.messages[-1].text for request in scene.provider.requests]


@pytest.mark.parametrize("mode", ["queue", "interrupt", "steer"])
async def test_answer_to_the_old_text_ends_and_the_new_one_is_asked_next(autojump_clock: object, mode: Any) -> None:
    settings = scene_settings(streaming=StreamingSettings(busy=mode))
    async with open_scene(script=echo, settings=settings) as scene:
        first = scene.server.say(GROUP, "@triolet_bot one", user_id=ADA)
        await trio.sleep(1.0)
        scene.server.say(GROUP, "@triolet_bot two", user_id=BOB)
        await trio.sleep(2.0)
        scene.server.edit(GROUP, first, "@triolet_bot uno")
        await rest(30)
        partial, *whole = scene.bot_messages(GROUP)
        assert partial.endswith(EDITED)
        assert said(WORDS, "one").startswith(partial.removesuffix(EDITED))
        assert whole == answers("uno", "two")
        messages = [message.text.strip() for message in scene.provider.requests[-1].messages]
        assert messages == ["one", partial.removesuffix(EDITED), "uno", *answers("uno"), "two"]


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.025, 0.05, 0.1, 0.3, 0.49])
async def test_edit_before_the_first_word_leaves_one_answer_and_no_mark(autojump_clock: object, pause: float) -> None:
    async with open_scene(script=echo) as scene:
        first = scene.server.say(ADA, "one")
        await trio.sleep(pause)
        scene.server.edit(ADA, first, "uno")
        await rest(30)
        assert scene.bot_messages() == answers("uno")
        assert await scene.ask("two") == said(WORDS, "two")


async def test_question_that_waits_is_changed_in_its_place(autojump_clock: object) -> None:
    async with open_scene(script=echo) as scene:
        scene.server.say(ADA, "one")
        second = scene.server.say(ADA, "two")
        scene.server.say(ADA, "three")
        await trio.sleep(2.0)
        scene.server.edit(ADA, second, "zwei")
        await trio.sleep(0.5)
        scene.server.edit(ADA, second, "due")
        await rest(30)
        assert scene.bot_messages() == answers("one", "due", "three")


@pytest.mark.parametrize("texts", [("new", "two", "three"), ("one", "new", "three"), ("one", "two", "new")])
async def test_all_that_is_answered_together_is_asked_again(autojump_clock: object, texts: tuple[str, ...]) -> None:
    settings = scene_settings(streaming=StreamingSettings(busy="interrupt"))
    async with open_scene(script=echo, settings=settings) as scene:
        together = [scene.server.say(ADA, text) for text in ("one", "two", "three")]
        await trio.sleep(2.0)
        scene.server.edit(ADA, together[texts.index("new")], "new")
        await rest(30)
        partial, answer = scene.bot_messages()
        assert partial.endswith(EDITED)
        assert answer == said(WORDS, texts[-1])
        assert [message.text for message in scene.provider.requests[-1].messages[-3:]] == [*texts]
        assert len(scene.provider.requests) == 2


async def test_what_went_into_the_answer_is_asked_again(autojump_clock: object) -> None:
    def script(request: ModelRequest) -> Sequence[Step]:
        if not any(message.role == "tool" for message in request.messages):
            return [Say.tool_call("search", "{}"), End("tool_calls")]
        return echo(request)

    settings = scene_settings(streaming=StreamingSettings(busy="steer"))
    async with open_scene(script=script, tools=[slow_tool("search", 3.0)], settings=settings) as scene:
        first = scene.server.say(ADA, "one")
        for text in ("two", "three"):
            await trio.sleep(1.0)
            scene.server.say(ADA, text)
        await trio.sleep(3.0)
        scene.server.say(ADA, "four")
        scene.server.edit(ADA, first, "uno")
        await rest(60)
        partial, *whole = scene.bot_messages()
        assert partial.endswith(EDITED)
        assert whole == answers("uno", "two", "three", "four")


@pytest.mark.parametrize(
    ("pause", "text"),
    [
        pytest.param(2.0, "one", id="the text is the same"),
        pytest.param(2.0, "/stop", id="it is a command now"),
        pytest.param(2.0, "/new", id="or another one"),
        pytest.param(20.0, "uno", id="it is answered"),
    ],
)
async def test_edit_that_changes_nothing(autojump_clock: object, pause: float, text: str) -> None:
    async with open_scene(script=echo) as scene:
        first = scene.server.say(ADA, "one")
        await trio.sleep(pause)
        scene.server.edit(ADA, first, text)
        await rest(30)
        assert scene.bot_messages() == answers("one")
        assert asked(scene) == ["one"]
        assert scene.telegram.updates.pending == []


@pytest.mark.parametrize("pause", [4.5, 4.525, 4.54, 4.55, 4.56, 4.6])
async def test_edit_at_the_answer_s_end_finds_it_whole_or_asks_anew(autojump_clock: object, pause: float) -> None:
    async with open_scene(script=echo) as scene:
        first = scene.server.say(ADA, "one")
        await trio.sleep(pause)
        scene.server.edit(ADA, first, "uno")
        await rest(30)
        first_answer, *others = scene.bot_messages()
        if others:
            assert first_answer.endswith(EDITED)
            assert others == answers("uno")
        else:
            assert first_answer == said(WORDS, "one")


async def test_message_that_does_not_mean_the_bot_any_more_is_answered_as_it_was(autojump_clock: object) -> None:
    async with open_scene(script=echo) as scene:
        first = scene.server.say(GROUP, "@triolet_bot one", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.edit(GROUP, first, "never mind")
        unmeant = scene.server.say(GROUP, "hello", user_id=ADA)
        await trio.sleep(1.0)
        scene.server.edit(GROUP, unmeant, "@triolet_bot hello")
        await rest(30)
        assert scene.bot_messages(GROUP) == answers("one")


async def test_edit_of_a_stranger_is_nobody_s_business(autojump_clock: object, captured_log: list[Any]) -> None:
    async with open_scene(script=echo) as scene:
        first = scene.server.say(STRANGER, "one")
        await trio.sleep(1.0)
        captured_log.clear()
        scene.server.edit(STRANGER, first, "uno")
        await rest(30)
        assert scene.calls(chat_id=STRANGER) == []
        assert captured_log == []


async def test_stop_drops_a_question_that_was_to_be_asked_again(autojump_clock: object) -> None:
    async with open_scene(script=echo) as scene:
        first = scene.server.say(ADA, "one")
        await trio.sleep(2.0)
        scene.server.edit(ADA, first, "uno")
        scene.server.say(ADA, "/stop")
        await rest(30)
        notice, partial = scene.bot_messages()
        assert partial.endswith(EDITED)
        assert notice == "⏹ 1 waiting message dropped"
        assert asked(scene) == ["one"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return attrs.evolve(scene_settings(), store=StoreSettings(path=tmp_path / "triolet.db"))


async def test_edited_questions_are_done_with(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(script=echo, settings=settings) as first:
        one, two = (first.server.say(ADA, text) for text in ("one", "two"))
        await trio.sleep(2.0)
        first.server.edit(ADA, two, "due")
        first.server.edit(ADA, one, "uno")
        await rest(30)
        assert first.bot_messages()[1:] == answers("uno", "due")
    async with open_scene(script=echo, settings=settings, telegram=first.telegram) as second:
        await rest(30)
        assert second.provider.requests == []


async def test_what_was_edited_while_nobody_served_is_asked_once_as_it_is_now(
    autojump_clock: object, settings: Settings
) -> None:
    telegram = open_telegram(Limits())
    telegram.updates.allowed |= {"edited_message"}
    one = telegram.user_sends(ADA, "one", 0.0)
    telegram.user_edits(ADA, one, "uno", 0.0)
    telegram.user_edits(ADA, one, "uno", 0.0)
    async with open_scene(script=echo, settings=settings, telegram=telegram) as scene:
        await rest(30)
        assert scene.bot_messages() == answers("uno")


def left(user_id: int, *texts: str) -> list[dict[str, Any]]:
    """Updates of a message that has the first text, and of its edits."""
    person, chat = {"id": user_id, "is_bot": False}, {"id": user_id, "type": "private"}
    messages = [{"message_id": 5, "chat": chat, "from": person, "text": text} for text in texts]
    kinds = ["message", *["edited_message"] * (len(texts) - 1)]
    return [{"update_id": number, kind: each} for number, (kind, each) in enumerate(zip(kinds, messages, strict=True))]


async def unfinished(settings: Settings) -> list[int]:
    async with open_store(settings.store.path, executor=run_inline) as store:
        return [left.update["update_id"] for left in await store.unfinished()]


@pytest.mark.parametrize("user_id", [ADA, STRANGER])
@pytest.mark.parametrize("texts", [("one", "uno"), ("one", "uno", "due")])
async def test_question_that_a_crash_has_left_is_asked_as_it_was_edited(
    autojump_clock: object, settings: Settings, user_id: int, texts: tuple[str, ...]
) -> None:
    async with open_store(settings.store.path, executor=run_inline) as store:
        await store.receive(left(user_id, *texts))
    async with open_scene(script=echo, settings=settings) as scene:
        await rest(30)
        assert scene.bot_messages(user_id) == (answers(texts[-1]) if user_id == ADA else [])
    assert await unfinished(settings) == []


async def test_edit_that_a_crash_has_left_of_what_was_answered_is_done_with(
    autojump_clock: object, settings: Settings
) -> None:
    async with open_store(settings.store.path, executor=run_inline) as store:
        await store.receive(left(ADA, "one", "uno")[1:])
    async with open_scene(script=echo, settings=settings) as scene:
        await rest(30)
        assert scene.provider.requests == []
    assert await unfinished(settings) == []


async def test_what_is_asked_again_is_not_done_with_before_it_is_answered(
    autojump_clock: object, settings: Settings
) -> None:
    settings = attrs.evolve(settings, streaming=StreamingSettings(busy="interrupt"))
    async with open_scene(script=echo, settings=settings) as scene:
        one, _ = (scene.server.say(ADA, text) for text in ("one", "two"))
        await trio.sleep(2.0)
        scene.server.edit(ADA, one, "uno")
        await trio.sleep(2.0)
        assert len(scene.provider.requests) == 2
        with closing(sqlite3.connect(settings.store.path)) as other:
            waiting = other.execute("SELECT count(*) FROM inbox WHERE body IS NOT NULL").fetchone()
        assert waiting == (3,)
        await rest(30)
    assert await unfinished(settings) == []


async def test_edit_that_was_begun_is_done_with(autojump_clock: object, settings: Settings) -> None:
    async with open_scene(script=echo, settings=settings) as first:
        one = first.server.say(ADA, "one")
        await trio.sleep(2.0)
        first.server.edit(ADA, one, "uno")
        await trio.sleep(0.1)
        assert asked(first) == ["one", "uno"]
    async with open_scene(script=echo, settings=settings, telegram=first.telegram) as second:
        await rest(30)
        assert second.provider.requests == []
