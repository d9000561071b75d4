"""A context that holds little: what is asked goes whole, and nothing that was too long stays in the way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from scenes import ADA, Scene, open_scene, rest, scene_settings, slow_tool, tokens

from triolet.config import Settings, StreamingSettings
from triolet.core.commands import BusyMode
from triolet.core.ports import ModelRequest
from triolet.errors import ContextTooLong
from triolet.providers.scripted import End, Fail, Say, Step


def tight(mode: BusyMode) -> Settings:
    return scene_settings(streaming=StreamingSettings(busy=mode), context_tokens=1000)


def heard(scene: Scene) -> list[str]:
    """What the model was asked last: the texts of the people, and what tools gave."""
    return [each.text[:4] or each.role for each in scene.provider.requests[-1].messages if each.role != "assistant"]


def look_first(request: ModelRequest) -> Sequence[Step]:
    if any(message.role == "tool" for message in request.messages) or request.messages[-1].text == "small":
        return tokens(3)
    return [Say.tool_call("look", "{}"), End("tool_calls")]


async def test_what_goes_into_an_answer_drives_nothing_of_it_out(autojump_clock: object) -> None:
    look = slow_tool("look", 3.0, "r" * 5000)
    async with open_scene(script=look_first, tools=[look], settings=tight("steer")) as scene:
        scene.server.say(ADA, "what is in the file?")
        await trio.sleep(1.0)
        scene.server.say(ADA, "be short")
        await rest(30)
        assert heard(scene) == ["what", "tool", "be s"]


async def test_parts_of_one_question_go_together(autojump_clock: object) -> None:
    async with open_scene(*tokens(3), settings=tight("interrupt")) as scene:
        for text in ("my code", "rest of it", "help?"):
            scene.server.say(ADA, text + " " * 1500 + ".")
        await rest(30)
        assert heard(scene) == ["my c", "rest", "help"]


async def test_messages_that_interrupt_an_answer_before_its_first_word_go_on_with_the_question(
    autojump_clock: object,
) -> None:
    async with open_scene(*tokens(3), settings=tight("interrupt")) as scene:
        for text in ("my code", "rest of it", "help?"):
            scene.server.say(ADA, text + " " * 1500 + ".")
            await trio.sleep(0.3)
        await rest(30)
        assert heard(scene) == ["my c", "rest", "help"]


@pytest.mark.parametrize("long", ["question", "result"])
async def test_what_was_too_long_is_in_nobody_s_way(autojump_clock: object, long: str) -> None:
    """Who then sends less, as the bot asks for, is answered."""

    def small(request: ModelRequest) -> Sequence[Step]:
        if sum(len(part) for message in request.messages for part in map(str, message.parts)) > 4000:
            return [Fail(ContextTooLong("too long", status=400))]
        return look_first(request)

    look = slow_tool("look", 3.0, "r" * (5000 if long == "result" else 10))
    async with open_scene(script=small, tools=[look], settings=tight("queue")) as scene:
        scene.server.say(ADA, "much" + " " * (3990 if long == "question" else 0) + ".")
        await rest(60)
        assert "too long" in scene.bot_messages()[-1]
        assert await scene.ask("small") == "word0 word1 word2"
