"""An answer with tools in it: texts and tool lines in their order, each bubble once, and no tool line that stays."""

from __future__ import annotations

import pytest
import trio
from scenes import ADA, GROUP, Calls, Scene, calls, open_scene, rest, rounds, scene_settings, slow_tool

from triolet.config import StreamingSettings
from triolet.core.events import TextCompleted
from triolet.emulator import Fault, ServerError
from triolet.providers.scripted import Pause, Say, Step, events

SCREENS = {
    "draft": (ADA, StreamingSettings()),
    "edit": (ADA, StreamingSettings(transport="edit")),
    "first": (ADA, StreamingSettings(transport="edit", notify="first")),
    "off": (ADA, StreamingSettings(enabled=False)),
    "group": (GROUP, StreamingSettings()),
}


TOOLS = [slow_tool("search"), slow_tool("read_page"), slow_tool("save"), slow_tool("weather", 1000.0)]


def tool(name: str) -> list[Step | Calls]:
    return [calls(name), Pause(1.0)]


def text(words: str) -> list[Step]:
    return [step for word in words.split() for step in (Say.text(word + " "), Pause(0.2))]


ANSWER: list[Step | Calls] = [
    *text("I will look it up for you"),
    *tool("search"),
    *text("Found it and will read it now"),
    *tool("read_page"),
    *text("Here is the answer at last"),
]
SAID = ["I will look it up for you", "Found it and will read it now", "Here is the answer at last"]


async def ask(scene: Scene, chat_id: int) -> None:
    scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
    await scene.server.wait_until(lambda: bool(scene.provider.requests) and scene.provider.open_streams == 0)
    await rest(20)


@pytest.mark.case("S1", "T6")
@pytest.mark.parametrize("screen", SCREENS)
async def test_texts_read_in_their_order_and_no_tool_line_stays(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(script=rounds(*ANSWER), tools=TOOLS, settings=scene_settings(streaming=streaming)) as scene:
        await ask(scene, chat_id)
        assert scene.bot_messages(chat_id) == SAID
        assert scene.server.screen(chat_id).draft is None
        assert scene.telegram.rings(chat_id) == scene.telegram.rings(chat_id)[:1]
        changes = [change for change in scene.server.transcript(chat_id) if change.message_id and change.from_bot]
        edited = [change.message_id for change in changes if change.kind == "edit"]
        newest = 0
        for change in changes:
            newest = max(newest, change.message_id or 0)
            assert change.kind != "edit" or change.message_id == newest, "nothing above newer content changes"
        assert edited or screen in {"draft", "off"}


@pytest.mark.case("T6")
async def test_text_is_lasting_before_the_tool_line_and_the_next_has_another_draft(autojump_clock: object) -> None:
    async with open_scene(script=rounds(*ANSWER), tools=TOOLS) as scene:
        await ask(scene, ADA)
        calls = scene.calls("sendMessage", "sendMessageDraft")
        shown = [(call.method, call.params["text"]) for call in calls]
        lasting, line = shown.index(("sendMessage", SAID[0])), shown.index(("sendMessageDraft", "⏳ search"))
        assert lasting < line
        assert (calls[lasting].answered or 0) <= calls[line].received
        begun: dict[int, set[str]] = {}
        for call in calls:
            if call.method == "sendMessageDraft" and call.params["text"]:
                begun.setdefault(call.params["draft_id"], set()).add(call.params["text"].split()[0])
        assert list(begun.values()) == [{"I"}, {"⏳", "✓"}, {"Found"}, {"⏳", "✓"}, {"Here"}]


@pytest.mark.parametrize("screen", ["draft", "edit", "group"])
async def test_tool_line_tells_what_runs_in_one_bubble(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(
        script=rounds(calls("search", "weather")), tools=TOOLS, settings=scene_settings(streaming=streaming)
    ) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        shown = scene.server.visible(chat_id)
        assert shown[1:] == ["⏳ search · ⏳ weather"]
        await trio.sleep(6.0)
        assert [line.removesuffix(" ▉") for line in scene.server.visible(chat_id)[1:]] == ["✓ search · ⏳ weather"]
        scene.server.say(chat_id, "/stop", user_id=ADA)
        await rest(10)
        assert scene.bot_messages(chat_id) == ["⏹ stopped"]


@pytest.mark.case("F8")
@pytest.mark.parametrize("screen", SCREENS)
async def test_turn_of_tools_alone_says_that_there_is_no_answer(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(
        script=rounds(*tool("search")), tools=TOOLS, settings=scene_settings(streaming=streaming)
    ) as scene:
        await ask(scene, chat_id)
        assert scene.bot_messages(chat_id) == ["The model gave no answer."]


@pytest.mark.parametrize("screen", ["edit", "group", "first"])
async def test_tool_after_the_last_text_leaves_nothing(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    script = rounds(*text("That is all"), *tool("save"))
    async with open_scene(script=script, tools=TOOLS, settings=scene_settings(streaming=streaming)) as scene:
        await ask(scene, chat_id)
        assert scene.bot_messages(chat_id) == ["That is all"]


@pytest.mark.case("S2", "F2")
@pytest.mark.parametrize("screen", SCREENS)
async def test_completed_text_is_what_counts(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    steps: list[Step | Calls] = [Say.text("I look it u"), events(TextCompleted("I look it up.")), *tool("search")]
    steps += [Say.text("Done"), Pause(2.0), events(TextCompleted("Done.\n\n— by the model"))]
    async with open_scene(script=rounds(*steps), tools=TOOLS, settings=scene_settings(streaming=streaming)) as scene:
        await ask(scene, chat_id)
        assert scene.bot_messages(chat_id) == ["I look it up.", "Done.\n\n— by the model"]


@pytest.mark.case("S3")
@pytest.mark.parametrize("screen", ["edit", "first", "group"])
async def test_failed_edit_at_a_boundary_is_made_good_before_the_next_text(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    async with open_scene(script=rounds(*ANSWER), tools=TOOLS, settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(1.2)
        scene.telegram.add_fault(Fault(method="editMessageText", times=3, action=ServerError()))
        await rest(60)
        assert scene.bot_messages(chat_id) == SAID


@pytest.mark.case("S4")
@pytest.mark.parametrize("screen", SCREENS)
async def test_final_that_repeats_the_commentary_is_said_once(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = SCREENS[screen]
    steps = [*text("All is well"), *tool("search"), *text("All is well")]
    async with open_scene(script=rounds(*steps), tools=TOOLS, settings=scene_settings(streaming=streaming)) as scene:
        await ask(scene, chat_id)
        assert scene.bot_messages(chat_id) == ["All is well"]
