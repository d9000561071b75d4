"""The agent loop: what goes to the model in each round, and what of it is kept, however the turn ends."""

from __future__ import annotations

import pytest
import trio
from scenes import ADA, Scene, calls, open_scene, rest, rounds, scene_settings, slow_tool

from triolet.app.agent import Agent
from triolet.app.bench import Bench
from triolet.app.model import Model
from triolet.config import ModelSettings, ToolSettings
from triolet.core.conversation import Message, TextPart, ToolCallPart, ToolResultPart
from triolet.core.events import ToolEnded, TurnBatch, TurnEvent
from triolet.core.ports import ModelRequest, Tool
from triolet.core.transcript import NOT_KNOWN
from triolet.errors import ToolError
from triolet.providers.scripted import End, Hang, Pause, Say, ScriptedProvider, Step
from triolet.tools import ToolLimits, tool


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


@tool
async def fail(how: str) -> str:
    """Fail."""
    if how == "told":
        raise ToolError("the printer is on fire")
    raise RuntimeError("SECRET")


class Slate:
    """Where it is written down which tools run."""

    async def begin(self, call: ToolCallPart, *, has_effects: bool) -> bool:
        return True

    def end(self, call_id: str, *, failed: bool) -> None:
        """Nobody reads it."""


def results(request: ModelRequest) -> list[str]:
    return [part.content for part in request.messages[-1].parts if isinstance(part, ToolResultPart)]


async def test_what_happens_is_told_in_its_order() -> None:
    """Without a bot around it: this is what the coalescer, the transcript and the tally hear."""
    heard: list[TurnEvent] = []

    def hear(batch: TurnBatch) -> None:
        heard.extend(batch)

    async def refuse(call: ToolCallPart) -> bool:
        return False

    script = rounds(Say.text("Hm."), Say.tool_call("add", '{"a": 1, "b": 2}', call_id="x"), calls(), Say.text("3."))
    model = Model([(ScriptedProvider(script), ModelSettings(provider="scripted", name="m"))])
    agent = Agent(model, Bench([add]), ToolLimits(), max_rounds=3)
    await agent.answer([Message.of("user", "?")], hear, refuse, list, Slate())
    kinds = [type(event).__name__ for event in heard]
    first = ["RoundStarted", "TextDelta", "ToolCallDelta", "Finished", "RoundEnded", "ToolStarted", "ToolEnded"]
    assert kinds == [*first, "RoundStarted", "TextDelta", "Finished"]
    assert heard[6] == ToolEnded("x", ToolResultPart("x", "3"))


async def test_model_is_told_what_its_tools_gave(autojump_clock: object) -> None:
    script = rounds(
        Say.text("Let me see."),
        Say.tool_call("add", '{"a": 1, "b": 2}', index=0, call_id="x"),
        Say.tool_call("add", '{"a": 3, "b": 4}', index=1, call_id="y"),
        calls(),
        Say.text("3 and 7."),
    )
    async with open_scene(script=script, tools=[add]) as scene:
        scene.server.say(ADA, "Add.")
        await rest(10)
        first, second = scene.provider.requests
        assert [spec.name for spec in first.tools] == ["add", "current_time", "calculator"]
        assert (first.tools, first.may_call) == (second.tools, second.may_call)
        asked = (TextPart("Let me see."), ToolCallPart("x", "add", '{"a": 1, "b": 2}'))
        said = Message("assistant", (*asked, ToolCallPart("y", "add", '{"a": 3, "b": 4}')))
        told = Message("tool", (ToolResultPart("x", "3"), ToolResultPart("y", "7")))
        assert list(second.messages) == [Message.of("user", "Add."), said, told]
        assert scene.bot_messages() == ["Let me see.", "3 and 7."]
        scene.server.say(ADA, "Thanks.")
        await rest(10)
        kept = [Message.of("user", "Add."), said, told, Message.of("assistant", "3 and 7.")]
        assert list(scene.provider.requests[2].messages[:-1]) == kept


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("fail", '{"how": "told"}', "the printer is on fire"),
        ("fail", '{"how": "not"}', "RuntimeError"),
        ("fail", '{"how": ', "JSON"),
        ("fail", "[]", "JSON"),
        ("fail", "{}", "how"),
        ("nothing", "{}", "there is no tool"),
    ],
)
async def test_what_fails_the_model_is_told(autojump_clock: object, name: str, arguments: str, result: str) -> None:
    script = rounds(Say.tool_call(name, arguments), calls(), Say.text("I see."))
    async with open_scene(script=script, tools=[fail]) as scene:
        assert await scene.ask() == "I see."
        [told] = results(scene.provider.requests[1])
        assert result in told
        assert "SECRET" not in told


async def test_limits_are_those_of_the_settings(autojump_clock: object) -> None:
    @tool
    async def shout() -> str:
        """Shout."""
        return "A" * 5000

    names = ["shout", "slow", "shout"]
    said = [Say.tool_call(name, "{}", index=n, call_id=str(n)) for n, name in enumerate(names)]
    settings = scene_settings(tools=ToolSettings(timeout=7.0, max_output=100, max_calls=2))
    async with open_scene(
        script=rounds(*said, calls(), Say.text("I see.")), tools=[shout, slow_tool("slow", 100.0)], settings=settings
    ) as scene:
        began = trio.current_time()
        assert await scene.ask() == "I see."
        assert 7.0 <= trio.current_time() - began < 8.0
        loud, slow, late = results(scene.provider.requests[1])
        assert len(loud) < 250
        assert "7" in slow
        assert "2" in late


@pytest.mark.parametrize("max_rounds", [1, 2, 3])
async def test_last_round_has_nothing_to_call(autojump_clock: object, max_rounds: int) -> None:
    def greedy(request: ModelRequest) -> list[Step]:
        return [Say.tool_call("search", "{}"), End("tool_calls")] if request.may_call else [Say.text("Well."), End()]

    async with open_scene(
        script=greedy, tools=[slow_tool("search")], settings=scene_settings(max_rounds=max_rounds)
    ) as scene:
        assert await scene.ask() == "Well."
        assert [request.may_call for request in scene.provider.requests] == [True] * (max_rounds - 1) + [False]
        assert all(request.tools == scene.provider.requests[0].tools for request in scene.provider.requests)


async def test_model_that_calls_in_its_last_round_is_not_obeyed(autojump_clock: object) -> None:
    ran: list[float] = []
    script: list[Step] = [Say.text("Wait."), Say.tool_call("search", "{}"), End("tool_calls")]
    settings = scene_settings(max_rounds=2)
    async with open_scene(*script, tools=[slow_tool("search", ran=ran)], settings=settings) as scene:
        scene.server.say(ADA, "Hello")
        await rest(20)
        assert len(ran) == 1
        assert scene.bot_messages() == [
            "Wait.",
            "⚠ broken off · the model still wants tools in its last round (max_rounds = 2)",
        ]


async def stop(scene: Scene) -> None:
    scene.server.say(ADA, "/stop")


async def test_history_is_whole_when_a_tool_was_stopped(autojump_clock: object) -> None:
    script = rounds(Say.text("I look."), Pause(1.0), calls("search", "weather"), Say.text("Never."))
    tools = [slow_tool("search", 1.0), slow_tool("weather", 100.0)]
    async with open_scene(script=script, tools=tools) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.0)
        await stop(scene)
        await rest(5)
        assert scene.bot_messages() == ["I look.", "⏹ stopped"]
        scene.server.say(ADA, "And?")
        await rest(1)
        _, said, told, asked = scene.provider.requests[-1].messages
        assert [call.call_id for call in said.calls] == ["search", "weather"]
        assert told.parts == (ToolResultPart("search", "done"), ToolResultPart("weather", NOT_KNOWN, is_error=True))
        assert asked.text == "And?"


async def test_history_of_a_call_that_was_never_whole_has_none(autojump_clock: object) -> None:
    steps: list[Step] = [Say.text("I look."), Say.tool_call("search", '{"q'), Hang()]
    async with open_scene(*steps, tools=[slow_tool("search")]) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(5.0)
        await stop(scene)
        await rest(5)
        scene.server.say(ADA, "And?")
        await rest(1)
        assert [message.text for message in scene.provider.requests[-1].messages] == ["Hello", "I look.", "And?"]
        assert not any(message.calls for message in scene.provider.requests[-1].messages)


def test_of_two_tools_of_a_name_the_first_is_there() -> None:
    class Box:
        def __init__(self, *tools: Tool) -> None:
            self._tools = tools

        def tools(self) -> tuple[Tool, ...]:
            return self._tools

    mine, theirs, other = slow_tool("search"), slow_tool("search"), slow_tool("other")
    assert Bench([mine], [Box(theirs), Box(other, theirs)]).tools() == [mine, other]
    assert Bench().tools() == []
