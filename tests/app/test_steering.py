"""What is said while an answer's tools run goes into that answer, where the chat has it so, or is answered next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio
from scenes import ADA, BOB, GROUP, Scene, open_scene, rest, said, scene_settings, slow_tool, tokens

from triolet.config import StoreSettings, StreamingSettings
from triolet.core.coalescer import READ
from triolet.core.conversation import Ending, Message, TextPart, ToolCallPart, ToolResultPart
from triolet.core.ports import ModelRequest
from triolet.providers.scripted import End, Hang, Pause, Say, Step
from triolet.tools import tool

STEER = scene_settings(streaming=StreamingSettings(busy="steer"))
SEARCH = slow_tool("search", 3.0, "found")
WORDS = 20


def script(request: ModelRequest) -> Sequence[Step]:
    """Two searches, each called at once and running for 3 seconds; then what was said last, in its words."""
    searched = sum(message.role == "tool" for message in request.messages)
    if searched < 2:
        call = Say.tool_call("search", "{}", call_id=f"call{searched}")
        return [Say.text(f"Wait{searched}"), Pause(0.2), call, End("tool_calls")]
    *_, last = (message.text for message in request.messages if message.role == "user")
    return tokens(WORDS, word=last)


def searched(number: int) -> list[Message]:
    call = ToolCallPart(f"call{number}", "search", "{}")
    told = ToolResultPart(f"call{number}", "found")
    return [Message("assistant", (TextPart(f"Wait{number}"), call)), Message("tool", (told,))]


def user(text: str) -> Message:
    return Message.of("user", text)


def asked(scene: Scene, number: int) -> list[Message]:
    return list(scene.provider.requests[number].messages)


@pytest.mark.case("I6")
@pytest.mark.parametrize("screen", ["auto", "edit", "off"])
async def test_what_is_said_while_tools_run_goes_into_the_answer(autojump_clock: object, screen: str) -> None:
    streaming = StreamingSettings(busy="steer", transport="edit" if screen == "edit" else "auto")
    settings = scene_settings(streaming=attrs.evolve(streaming, enabled=screen != "off"))
    async with open_scene(script=script, tools=[SEARCH], settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.say(ADA, "more")
        scene.server.say(ADA, "French")
        await trio.sleep(2.0)
        scene.server.say(ADA, "now")
        await rest(30)
        history = [user("Hello"), *searched(0), user("more"), user("French"), *searched(1), user("now")]
        assert [asked(scene, number) for number in range(3)] == [history[:1], history[:5], history]
        assert scene.bot_messages() == ["Wait0", "Wait1", said(WORDS, "now")]
        scene.server.say(ADA, "again")
        await rest(30)
        [answer] = asked(scene, 3)[len(history) : -1]
        assert asked(scene, 3) == [*history, answer, user("again")]
        assert (answer.text.strip(), answer.ending) == (said(WORDS, "now"), Ending.COMPLETE)


async def test_screen_tells_that_it_was_read_until_there_is_more(autojump_clock: object) -> None:
    def slow(request: ModelRequest) -> Sequence[Step]:
        return [Pause(2.0), *script(request)] if len(request.messages) > 1 else script(request)

    async with open_scene(script=slow, tools=[SEARCH], settings=STEER) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.say(ADA, "more")
        await trio.sleep(0.5)
        assert scene.server.visible(ADA)[-1] == "⏳ search"
        await trio.sleep(2.0)
        assert scene.server.visible(ADA)[-1] == f"✓ search · {READ}"
        await rest(30)
        assert not any(READ in text for text in scene.bot_messages())


@pytest.mark.case("I6")
async def test_what_no_tool_lets_in_is_the_next_turn(autojump_clock: object) -> None:
    async with open_scene(script=script, tools=[SEARCH], settings=STEER) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(7.5)
        scene.server.say(ADA, "more")
        scene.server.say(ADA, "still more")
        await rest(60)
        answers = [said(WORDS, "Hello"), said(WORDS, "more"), said(WORDS, "still more")]
        assert scene.bot_messages() == ["Wait0", "Wait1", *answers]
        history = asked(scene, 4)
        assert [each.text for each in history if each.role == "user"] == ["Hello", "more", "still more"]


@pytest.mark.case("I6")
@pytest.mark.parametrize("how", ["/stop", "button", "/new"])
async def test_what_was_not_taken_in_is_dropped_and_what_was_is_kept(autojump_clock: object, how: str) -> None:
    async with open_scene(script=script, tools=[SEARCH], settings=STEER) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.say(ADA, "more")
        await trio.sleep(3.0)
        scene.server.say(ADA, "late")
        await trio.sleep(0.5)
        if how == "button":
            scene.server.press_stop(ADA)
        else:
            scene.server.say(ADA, how)
        await rest(30)
        shown = scene.bot_messages()[2:]
        if how == "/new":
            notice = "A new conversation. What was said is forgotten."
            assert shown == ["⏹ stopped · 1 waiting message dropped", notice]
        elif how == "/stop":
            assert shown == ["⏹ stopped · 1 waiting message dropped"]
        else:
            assert shown == ["⏹ stopped", said(WORDS, "late")], "the button ends this answer only"
        scene.server.say(ADA, "again")
        await rest(30)
        said_by_ada = [each.text for each in asked(scene, -1) if each.role == "user"]
        kept = {"/new": [], "/stop": ["Hello", "more"], "button": ["Hello", "more", "late"]}
        assert said_by_ada == [*kept[how], "again"]


@pytest.mark.case("I6")
async def test_only_who_asked_steers(autojump_clock: object) -> None:
    async with open_scene(script=script, tools=[SEARCH], settings=STEER) as scene:
        scene.server.say(GROUP, "@triolet_bot Hello", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.say(GROUP, "@triolet_bot mine", user_id=ADA)
        scene.server.say(GROUP, "@triolet_bot yours", user_id=BOB)
        scene.server.say(GROUP, "@triolet_bot behind", user_id=ADA)
        await rest(60)
        answers = [said(WORDS, word) for word in ("mine", "yours", "behind")]
        assert scene.bot_messages(GROUP) == ["Wait0", "Wait1", *answers]


async def test_what_was_taken_in_is_done_with(autojump_clock: object, tmp_path: Path) -> None:
    settings = attrs.evolve(STEER, store=StoreSettings(path=tmp_path / "triolet.db"))
    async with open_scene(script=script, tools=[SEARCH], settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        first.server.say(ADA, "more")
        await trio.sleep(2.0)
        first.shutdown.set()
    async with open_scene(script=script, tools=[SEARCH], settings=settings, telegram=first.telegram) as second:
        await rest(30)
        assert second.provider.requests == []
        await second.ask("again")
        assert [each.text for each in asked(second, -1) if each.role == "user"] == ["Hello", "more", "again"]


async def test_edit_of_what_was_taken_in_changes_nothing(autojump_clock: object) -> None:
    async with open_scene(script=script, tools=[SEARCH], settings=STEER) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        more = scene.server.say(ADA, "more")
        await trio.sleep(3.0)
        scene.server.edit(ADA, more, "less")
        await rest(30)
        assert scene.bot_messages() == ["Wait0", "Wait1", said(WORDS, "more")]


async def test_queue_that_was_read_has_room_again(autojump_clock: object) -> None:
    async with open_scene(script=script, tools=[SEARCH], settings=STEER) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        for number in range(7):
            scene.server.say(ADA, f"more{number}")
        await trio.sleep(3.0)
        for number in range(7):
            scene.server.say(ADA, f"late{number}")
        await rest(30)
        full = "⏳ 5 messages are waiting already, and I take no more meanwhile. /stop drops them."
        assert scene.bot_messages().count(full) == 2
        words = [each.text for each in asked(scene, 2) if each.role == "user"]
        assert words == ["Hello", *(f"{word}{number}" for word in ("more", "late") for number in range(5))]


@pytest.mark.case("I6")
async def test_chat_switches_to_steering_in_the_middle_of_an_answer(autojump_clock: object) -> None:
    async with open_scene(script=script, tools=[SEARCH], settings=scene_settings()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(1.0)
        scene.server.say(ADA, "/busy steer")
        scene.server.say(ADA, "more")
        await rest(30)
        assert asked(scene, 1) == [user("Hello"), *searched(0), user("more")]
        assert len(scene.provider.requests) == 3


async def test_answer_without_tools_takes_nothing_in(autojump_clock: object) -> None:
    async with open_scene(Say.text("Hm"), Hang(), settings=STEER) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.say(ADA, "more")
        await rest(60)
        assert len(scene.provider.requests) == 1


@pytest.mark.case("I6")
@pytest.mark.parametrize("steps", range(40))
async def test_answer_that_is_being_stopped_takes_nothing_in(autojump_clock: object, steps: int) -> None:
    """The question is edited in the instant in which its tool ends, a step sooner or later."""
    end = 3.025

    async def search() -> str:
        """Search until the edit comes."""
        await trio.sleep_until(end)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        return "found"

    async with open_scene(script=script, tools=[tool(search)], settings=STEER) as scene:
        first = scene.server.say(ADA, "Hello")
        await trio.sleep_until(3.0)
        scene.server.edit(ADA, first, "Ciao")
        await rest(30)
        assert scene.bot_messages()[-1] == said(WORDS, "Ciao")
