"""Who looks on at the turns of a bot: hears all that can be seen, when it can be seen, and troubles nobody."""

from __future__ import annotations

import structlog
import trio
from scenes import ADA, Scene, calls, open_scene, rest, rounds, slow_tool

from triolet.core.conversation import ConversationKey, Ending
from triolet.core.sights import Sight, TurnBegan, TurnEnded
from triolet.observe.turns import View, log_latency
from triolet.providers.scripted import End, Hang, Pause, Say

STORY = rounds(
    Pause(1.0),
    Say.text("<think>SECRET</think>I look."),
    Pause(1.0),
    Say.text(" Wait"),
    calls("search"),
    Pause(1.0),
    Say.text("Found it."),
    End(),
)


async def ask(scene: Scene) -> None:
    scene.server.say(ADA, "Hello")
    await rest(10)


class Memory:
    def __init__(self) -> None:
        self.sights: list[Sight] = []

    async def look(self, view: View) -> None:
        async for sight in view:
            self.sights.append(sight)


async def test_onlooker_sees_a_turn_with_its_times(autojump_clock: object) -> None:
    memory, another = Memory(), Memory()
    observers = {"memory": memory.look, "another": another.look}
    async with open_scene(script=STORY, tools=[slow_tool("search")], observers=observers) as scene:
        await ask(scene)
        began = memory.sights[0].at
        seen = [(type(sight).__name__, round(sight.at - began, 6)) for sight in memory.sights]
        assert seen == [
            ("TurnBegan", 0.0),
            ("FirstDelta", 1.0),
            ("Delta", 1.0),
            ("Delta", 2.0),
            ("Sentence", 2.0),
            ("Sentence", 2.0),
            ("SegmentEnded", 2.0),
            ("Delta", 6.0),
            ("Sentence", 6.0),
            ("SegmentEnded", 6.0),
            ("TurnEnded", 6.0),
        ]
        assert memory.sights[0] == TurnBegan(1, ConversationKey(ADA), began)
        end = memory.sights[-1]
        assert isinstance(end, TurnEnded)
        assert (end.ending, end.text) == (Ending.COMPLETE, "I look. Wait\n\nFound it.")
        assert another.sights == memory.sights
        assert "SECRET" not in str(memory.sights)


async def test_turn_that_is_stopped_is_told_of(autojump_clock: object) -> None:
    memory = Memory()
    async with open_scene(Say.text("I am"), Hang(), observers={"memory": memory.look}) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.say(ADA, "/stop")
        await rest(5)
        end = memory.sights[-1]
        assert isinstance(end, TurnEnded)
        assert (end.ending, end.text) == (Ending.STOPPED, "I am")


async def test_bad_onlookers_change_nothing(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    async def fail(view: View) -> None:
        async for _ in view:
            raise RuntimeError("SECRET")

    async def hang(view: View) -> None:
        await trio.sleep_forever()

    async def leave(view: View) -> None:
        return

    async def journal(observed: bool) -> list[tuple[str, float]]:
        observers = {"fail": fail, "hang": hang, "leave": leave} if observed else {}
        async with open_scene(script=STORY, tools=[slow_tool("search")], observers=observers) as scene:
            began = trio.current_time()
            await ask(scene)
            await ask(scene)
            return [(call.method, round(call.received - began, 6)) for call in scene.calls()]

    assert await journal(True) == await journal(False)
    dropped = [event["name"] for event in captured_log if event["event"] == "observer.dropped"]
    assert sorted(dropped) == ["fail", "leave"]


async def test_latency_is_logged(autojump_clock: object, captured_log: list[structlog.typing.EventDict]) -> None:
    async with open_scene(script=STORY, tools=[slow_tool("search")], observers={"latency": log_latency}) as scene:
        await ask(scene)
        [event] = [event for event in captured_log if event["event"] == "turn.measured"]
        assert (event["first_delta"], event["total"], event["characters"]) == (1.0, 6.0, 23)
