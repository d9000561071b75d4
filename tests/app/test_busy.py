"""What is said while an answer is being written ends that answer, where the chat has it so, or waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from scenes import ADA, BOB, GROUP, Scene, open_scene, rest, said, scene_settings, slow_tool, tokens

from triolet.config import LimitSettings, Settings, StoreSettings, StreamingSettings
from triolet.core.commands import BusyMode
from triolet.core.conversation import Ending
from triolet.core.ports import ModelRequest
from triolet.providers.scripted import End, Hang, Say, Step

INTERRUPTED = "\n\n⏹ interrupted"
WORDS = 40


def busy(mode: BusyMode) -> Settings:
    return scene_settings(streaming=StreamingSettings(busy=mode))


def echo(request: ModelRequest) -> Sequence[Step]:
    """An answer in the words of the last message: 4.5 seconds."""
    return tokens(WORDS, word=request.messages[-1].text)


def asked(scene: Scene) -> list[list[str]]:
    """What the model was asked, request after request."""
    return [[message.text.strip() for message in request.messages] for request in scene.provider.requests]


def is_partial(text: str, word: str) -> bool:
    return text.endswith(INTERRUPTED) and said(WORDS, word).startswith(text.removesuffix(INTERRUPTED))


@pytest.mark.case("I4")
@pytest.mark.parametrize("screen", ["auto", "edit", "off"])
async def test_newer_message_ends_the_answer_and_gets_its_own(autojump_clock: object, screen: str) -> None:
    streaming = StreamingSettings(busy="interrupt", transport="edit" if screen == "edit" else "auto")
    settings = scene_settings(streaming=attrs.evolve(streaming, enabled=screen != "off"))
    async with open_scene(script=echo, settings=settings) as scene:
        scene.server.say(ADA, "one")
        await trio.sleep(3.0)
        scene.server.say(ADA, "two")
        await trio.sleep(0.1)
        assert scene.provider.open_streams == 1
        assert len(scene.provider.requests) == 2
        await rest(30)
        first, second = scene.bot_messages()
        assert is_partial(first, "one")
        assert second == said(WORDS, "two")
        scene.server.say(ADA, "three")
        await rest(30)
        one, partial, two, answer, three = scene.provider.requests[-1].messages
        assert [each.text.strip() for each in (one, two, answer, three)] == ["one", "two", second, "three"]
        assert partial.ending is Ending.INTERRUPTED
        assert first.removesuffix(INTERRUPTED) == partial.text.strip()


@pytest.mark.case("I4")
@pytest.mark.parametrize("pause", [0.0, 0.001, 0.025, 0.026, 0.05, 0.06, 0.075, 0.1, 0.2, 0.49])
async def test_message_before_the_first_word_is_answered_alone_and_nothing_is_said(
    autojump_clock: object, pause: float
) -> None:
    """Whatever the first turn was at: its messages are both said, and there is one answer."""
    async with open_scene(script=echo, settings=busy("interrupt")) as scene:
        scene.server.say(ADA, "one")
        await trio.sleep(pause)
        scene.server.say(ADA, "two")
        await rest(60)
        assert scene.bot_messages() == [said(WORDS, "two")]
        assert asked(scene)[-1] == ["one", "two"]
        assert scene.server.screen(ADA).draft is None
        assert await scene.ask("three") == said(WORDS, "three")
        assert asked(scene)[-1] == ["one", "two", said(WORDS, "two"), "three"]


@pytest.mark.case("I4")
@pytest.mark.parametrize("unseen", ["NO_REPLY", "NO_", "<think>hm"])
async def test_answer_of_which_nothing_is_to_be_seen_ends_without_a_word(autojump_clock: object, unseen: str) -> None:
    def script(request: ModelRequest) -> Sequence[Step]:
        return [Say.text(unseen), Hang()] if request.messages[-1].text == "one" else echo(request)

    async with open_scene(script=script, settings=busy("interrupt")) as scene:
        scene.server.say(ADA, "one")
        await trio.sleep(3.0)
        scene.server.say(ADA, "two")
        await rest(30)
        assert scene.bot_messages()[-1] == said(WORDS, "two")
        assert [text for text in scene.bot_messages() if INTERRUPTED.strip() == text] == []


@pytest.mark.case("I4")
@pytest.mark.parametrize("transport", ["draft", "edit"])
async def test_line_that_told_of_a_tool_goes_without_a_word(autojump_clock: object, transport: Any) -> None:
    def script(request: ModelRequest) -> Sequence[Step]:
        called: list[Step] = [Say.tool_call("search", "{}"), End("tool_calls")]
        return called if request.messages[-1].text == "one" else echo(request)

    settings = scene_settings(streaming=StreamingSettings(busy="interrupt", transport=transport))
    async with open_scene(script=script, tools=[slow_tool("search", 30.0)], settings=settings) as scene:
        scene.server.say(ADA, "one")
        await trio.sleep(3.0)
        assert scene.server.visible(ADA)[-1].startswith("⏳ search")
        scene.server.say(ADA, "two")
        await rest(30)
        assert scene.bot_messages() == [said(WORDS, "two")]


@pytest.mark.case("I4")
@pytest.mark.parametrize("pause", [4.3, 4.5, 4.525, 4.54, 4.55, 4.56, 4.575, 4.6, 4.7])
async def test_message_at_the_answer_s_end_finds_it_whole_or_ends_it(autojump_clock: object, pause: float) -> None:
    async with open_scene(script=echo, settings=busy("interrupt")) as scene:
        scene.server.say(ADA, "one")
        await trio.sleep(pause)
        scene.server.say(ADA, "two")
        await rest(60)
        first, second = scene.bot_messages()
        assert first == said(WORDS, "one") or is_partial(first, "one")
        assert second == said(WORDS, "two")
        assert len(scene.provider.requests) == 2


@pytest.mark.case("I4")
async def test_messages_of_one_poll_are_one_turn_that_replies_to_the_last(autojump_clock: object) -> None:
    settings = attrs.evolve(busy("interrupt"), groups=scene_settings(respond="all").groups)
    async with open_scene(script=echo, settings=settings) as scene:
        *_, last = [scene.server.say(GROUP, text, user_id=ADA) for text in ("one", "two", "three")]
        await rest(30)
        assert asked(scene) == [["one", "two", "three"]]
        [answer] = [message for message in scene.server.screen(GROUP).messages if message.from_bot]
        assert (answer.text, answer.reply_to) == (said(WORDS, "three"), last)


async def test_each_of_many_messages_ends_the_answer_before_it(autojump_clock: object) -> None:
    async with open_scene(script=echo, settings=busy("interrupt")) as scene:
        words = [f"word{number}x" for number in range(6)]
        for word in words:
            scene.server.say(ADA, word)
            await trio.sleep(2.0)
        await rest(30)
        *partials, answer = scene.bot_messages()
        assert [is_partial(text, word) for text, word in zip(partials, words, strict=False)] == [True] * 5
        assert answer == said(WORDS, words[-1])


@pytest.mark.parametrize("mode", ["queue", "interrupt", "steer"])
async def test_other_people_s_messages_wait(autojump_clock: object, mode: BusyMode) -> None:
    async with open_scene(script=echo, settings=busy(mode)) as scene:
        scene.server.say(GROUP, "@triolet_bot one", user_id=ADA)
        await trio.sleep(3.0)
        scene.server.say(GROUP, "@triolet_bot two", user_id=BOB)
        scene.server.say(GROUP, "@triolet_bot three", user_id=BOB)
        await rest(60)
        together = mode == "interrupt"
        answers = [said(WORDS, word) for word in (["one", "three"] if together else ["one", "two", "three"])]
        assert scene.bot_messages(GROUP) == answers


async def test_nothing_to_be_forgotten_is_jumped_over(autojump_clock: object) -> None:
    async with open_scene(script=echo, settings=busy("interrupt")) as scene:
        for text in ("one", "/new", "two", "three"):
            scene.server.say(ADA, text)
        await rest(30)
        assert asked(scene) == [["two", "three"]]


async def test_messages_taken_together_are_all_done_with(autojump_clock: object, tmp_path: Path) -> None:
    settings = attrs.evolve(busy("interrupt"), store=StoreSettings(path=tmp_path / "triolet.db"))
    async with open_scene(script=echo, settings=settings) as first:
        for text in ("one", "two", "three"):
            first.server.say(ADA, text)
        await rest(30)
        first.server.say(ADA, "four")
        await trio.sleep(3.0)
        first.server.say(ADA, "five")
        await rest(30)
    async with open_scene(script=echo, settings=settings, telegram=first.telegram) as second:
        await rest(30)
        assert second.provider.requests == []


async def test_message_that_finds_no_room_ends_nothing(autojump_clock: object) -> None:
    settings = attrs.evolve(busy("interrupt"), limits=LimitSettings(queue_per_chat=1))
    async with open_scene(script=echo, settings=settings) as scene:
        scene.server.say(GROUP, "@triolet_bot one", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.say(GROUP, "@triolet_bot two", user_id=BOB)
        scene.server.say(GROUP, "@triolet_bot three", user_id=ADA)
        await rest(60)
        assert sorted(scene.bot_messages(GROUP)) == sorted(
            [
                said(WORDS, "one"),
                said(WORDS, "two"),
                "⏳ 1 messages are waiting already, and I take no more meanwhile. /stop drops them.",
            ]
        )


@pytest.mark.case("I4")
async def test_what_was_interrupted_while_it_waited_for_others_is_said_all_the_same(autojump_clock: object) -> None:
    """Nobody may have read the history for it, but it is a part of it."""
    settings = attrs.evolve(busy("interrupt"), limits=LimitSettings(max_turns=1))
    async with open_scene(script=echo, settings=settings) as scene:
        scene.server.say(BOB, "bob")
        await trio.sleep(1.0)
        for text in ("one", "two"):
            scene.server.say(ADA, text)
            await trio.sleep(1.0)
        await rest(60)
        assert scene.bot_messages() == [said(WORDS, "two")]
        assert asked(scene)[-1] == ["one", "two"]
