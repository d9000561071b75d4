"""What a model thinks: never on the screen, unless the chat wants it; then in a quotation above the answer."""

from __future__ import annotations

import pytest
import trio
from scenes import ADA, GROUP, Calls, Scene, calls, open_scene, rest, rounds, scene_settings, slow_tool

from triolet.config import StreamingSettings
from triolet.errors import ProviderUnavailable
from triolet.providers.scripted import End, Fail, Hang, Pause, Say, Step

SCREENS = {
    "draft": (ADA, StreamingSettings()),
    "rich": (ADA, StreamingSettings(format="rich")),
    "edit": (ADA, StreamingSettings(transport="edit")),
    "off": (ADA, StreamingSettings(enabled=False)),
    "group": (GROUP, StreamingSettings()),
}
THOUGHT = "Let me see what they want"
STORY: list[Step] = [
    *(
        step
        for word in ["Let", "me", "see", "what", "they", "want"]
        for step in (Say.reasoning(word + " "), Pause(0.5))
    ),
    Say.text("Yes, "),
    Pause(1.0),
    Say.text("of course."),
    End(),
]


async def ask(scene: Scene, chat_id: int, text: str = "@triolet_bot Hello") -> None:
    scene.server.say(chat_id, text, user_id=ADA)
    await rest(30)


def shown(scene: Scene, chat_id: int) -> list[tuple[str, list[str]]]:
    messages = [message for message in scene.server.screen(chat_id).messages if message.from_bot]
    return [(message.text, [entity["type"] for entity in message.entities]) for message in messages]


@pytest.mark.parametrize("screen", SCREENS)
async def test_reasoning_is_in_no_call_of_a_chat_that_did_not_ask_for_it(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(*STORY, settings=scene_settings(streaming=streaming)) as scene:
        await ask(scene, chat_id)
        assert not any("Let" in str(call.params) for call in scene.telegram.journal)


@pytest.mark.parametrize("screen", SCREENS)
async def test_chat_that_asked_for_it_sees_it_grow_and_stay(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(*STORY, settings=scene_settings(streaming=streaming)) as scene:
        await ask(scene, chat_id, "/reasoning on")
        assert shown(scene, chat_id) == [("What the model thinks is shown, in a quotation that you can open.", [])]
        await ask(scene, chat_id)
        thought, answer = shown(scene, chat_id)[1:]
        assert thought == (THOUGHT, ["expandable_blockquote"])
        assert answer[0] == "Yes, of course."
        frames = [call.params["text"] for call in scene.calls(chat_id=chat_id) if "Let" in str(call.params.get("text"))]
        assert len(frames) > 1 or screen == "off"
        history = scene.provider.requests[0].messages
        assert [message.text for message in history] == ["Hello"]
        await ask(scene, chat_id)
        assert scene.provider.requests[1].messages[1].text == "Yes, of course.", "a thought is not part of the history"
        await ask(scene, chat_id, "/reasoning off")
        await ask(scene, chat_id)
        assert shown(scene, chat_id)[-2][0] == "What the model thinks is not shown."


async def test_stop_keeps_the_reasoning_so_far(autojump_clock: object) -> None:
    async with open_scene(*STORY[:6], Hang()) as scene:
        await ask(scene, ADA, "/reasoning on")
        scene.server.say(ADA, "Hello")
        await trio.sleep(5.0)
        scene.server.say(ADA, "/stop")
        await rest(5)
        assert shown(scene, ADA)[1:] == [("Let me see", ["expandable_blockquote"]), ("⏹ stopped", ["italic"])]


async def test_reasoning_between_tools(autojump_clock: object) -> None:
    story: list[Step | Calls] = [
        Say.reasoning("First I look."),
        Pause(1.0),
        calls("search"),
        Say.reasoning("Now I know."),
        Say.text("Yes."),
    ]
    async with open_scene(script=rounds(*story), tools=[slow_tool("search")]) as scene:
        await ask(scene, ADA, "/reasoning on")
        await ask(scene, ADA)
        assert [text for text, _ in shown(scene, ADA)[1:]] == ["First I look.", "Now I know.", "Yes."]


async def test_long_reasoning_takes_several_messages(autojump_clock: object) -> None:
    words = " ".join(f"word{number}" for number in range(1000))
    async with open_scene(Say.reasoning(words), Pause(5.0), Say.text("Yes."), End()) as scene:
        await ask(scene, ADA, "/reasoning on")
        await ask(scene, ADA)
        *thoughts, answer = shown(scene, ADA)[1:]
        assert answer[0] == "Yes."
        assert " ".join(text for text, _ in thoughts) == words
        assert all(types == ["expandable_blockquote"] for _, types in thoughts)


async def test_abandoned_attempt_leaves_what_was_seen_of_it(autojump_clock: object) -> None:
    down = Fail(ProviderUnavailable("the provider fell silent"))
    answers: list[list[Step]] = [
        [Say.reasoning("Hm."), Pause(2.0), down],
        [Say.reasoning("Well."), Say.text("Yes."), End()],
    ]
    async with open_scene(script=lambda request: answers.pop(0)) as scene:
        await ask(scene, ADA, "/reasoning on")
        await ask(scene, ADA)
        assert [text for text, _ in shown(scene, ADA)[1:]] == ["Hm.", "Well.", "Yes."]
