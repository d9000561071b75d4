"""Where an answer goes: topics, General, groups that move; and what happens when the place is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from scenes import ADA, TOKEN, Scene, calls, open_scene, rest, rounds, said, scene_settings, slow_tool, tokens

from triolet.config import StreamingSettings
from triolet.core.ports import ModelRequest, Tool
from triolet.emulator import Delay, EmulatedTelegram, Fault, Flood, Limits
from triolet.providers.scripted import End, Hang, Pause, Say, Script, Step

SCREENS = {
    "grows": StreamingSettings(),
    "first": StreamingSettings(notify="first"),
    "off": StreamingSettings(enabled=False),
}
SMALL, MOVED, FORUM = -7, -1007, -200


def open_telegram() -> EmulatedTelegram:
    telegram = EmulatedTelegram(token=TOKEN, limits=Limits())
    telegram.add_private_chat(ADA, "Ada")
    telegram.add_group(SMALL, "Small", [ADA])
    telegram.add_group(FORUM, "Forum", [ADA], supergroup=True, topics={5: "Five", 6: "Six"})
    return telegram


@pytest.mark.case("R1")
@pytest.mark.parametrize("screen", SCREENS)
async def test_general_is_left_out_of_sends_and_kept_for_typing(autojump_clock: object, screen: str) -> None:
    settings = scene_settings(streaming=SCREENS[screen])
    async with open_scene(*tokens(60), settings=settings, telegram=open_telegram()) as scene:
        assert await scene.ask("@triolet_bot hello", FORUM, user_id=ADA) == said(60)
        await rest(5)
        calls = scene.calls(chat_id=FORUM)
        assert {call.status for call in calls} == {200}
        assert {call.params.get("message_thread_id") for call in calls if call.method == "sendChatAction"} == {1}
        assert {call.params.get("message_thread_id") for call in calls if call.method != "sendChatAction"} == {None}


@pytest.mark.case("R1", "T2")
@pytest.mark.parametrize("screen", SCREENS)
async def test_forum_topics_are_conversations_of_their_own(autojump_clock: object, screen: str) -> None:
    settings = scene_settings(streaming=SCREENS[screen])
    async with open_scene(*tokens(60), settings=settings, telegram=open_telegram()) as scene:
        for topic in (5, 6):
            scene.server.say(FORUM, "@triolet_bot hello", user_id=ADA, thread_id=topic)
        await rest(30)
        for topic in (5, 6):
            texts = [message.text for message in scene.server.screen(FORUM, topic).messages if message.from_bot]
            assert texts == [said(60)]
        assert scene.bot_messages(FORUM) == []
        assert [len(request.messages) for request in scene.provider.requests] == [1, 1]
        assert scene.calls("sendMessageDraft", chat_id=FORUM) == []


@pytest.mark.parametrize("screen", SCREENS)
async def test_answer_follows_a_group_that_moves(autojump_clock: object, screen: str) -> None:
    settings = scene_settings(streaming=SCREENS[screen])
    async with open_scene(*tokens(60), settings=settings, telegram=open_telegram()) as scene:
        scene.server.say(SMALL, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.act(scene.telegram.group_migrates, SMALL, MOVED)
        await rest(60)
        answers = [text for text in scene.bot_messages(MOVED) if "word" in text]
        assert answers[-1] == said(60)
        assert len(answers) == 1 + sum(text != said(60) for text in answers)
        assert await scene.ask("@triolet_bot again", MOVED, user_id=ADA) == said(60)


@pytest.mark.case("R2")
@pytest.mark.parametrize("screen", SCREENS)
async def test_answer_to_a_closed_topic_lands_in_the_chat(autojump_clock: object, screen: str) -> None:
    settings = scene_settings(streaming=SCREENS[screen])
    async with open_scene(*tokens(60), settings=settings, telegram=open_telegram()) as scene:
        scene.server.say(FORUM, "@triolet_bot hello", user_id=ADA, thread_id=5)
        await trio.sleep(0.3)
        scene.server.act(scene.telegram.close_topic, FORUM, 5)
        await rest(60)
        assert [text for text in scene.bot_messages(FORUM) if "word" in text] == [said(60)]


async def test_notes_of_telegrams_own_are_answered_by_nobody(autojump_clock: object) -> None:
    """Not even where everything that is said is answered."""
    async with open_scene(*tokens(5), settings=scene_settings(respond="all"), telegram=open_telegram()) as scene:
        scene.server.act(scene.telegram.close_topic, FORUM, 5)
        scene.server.act(scene.telegram.group_migrates, SMALL, MOVED)
        await rest(30)
        assert scene.calls(chat_id=FORUM) == scene.calls(chat_id=SMALL) == scene.calls(chat_id=MOVED) == []


@pytest.mark.parametrize("how", ["command", "button"])
async def test_answer_that_moved_can_be_stopped_where_it_is_now(autojump_clock: object, how: str) -> None:
    async with open_scene(*tokens(300), Hang(), telegram=open_telegram()) as scene:
        scene.server.say(SMALL, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(5.0)
        scene.server.act(scene.telegram.group_migrates, SMALL, MOVED)
        await trio.sleep(15.0)
        [growing] = [message for message in scene.server.screen(MOVED).messages if message.buttons]
        if how == "command":
            scene.server.say(MOVED, "/stop", user_id=ADA)
        else:
            [[button]] = growing.buttons
            assert button.data is not None
            scene.server.press_button(MOVED, growing.id, button.data, ADA)
        await rest(10)
        assert scene.provider.open_streams == 0
        assert scene.bot_messages(MOVED)[-1].endswith("⏹ stopped")
        assert await scene.ask("/stop", MOVED, user_id=ADA) == "There is nothing to stop."


@pytest.mark.parametrize("moment", [5.0, 5.3, 5.6, 5.9])
async def test_parts_keep_their_order_while_their_group_moves(autojump_clock: object, moment: float) -> None:
    """One lane for the answer, whatever its chat is called: in order, and nothing within a penalty."""
    streaming = StreamingSettings(notify="first")
    steps = tokens(2500, every=0.01)
    async with open_scene(*steps, settings=scene_settings(streaming=streaming), telegram=open_telegram()) as scene:
        scene.server.say(SMALL, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(moment)
        scene.server.act(scene.telegram.group_migrates, SMALL, MOVED)
        scene.telegram.add_fault(Fault(method=("sendMessage", "editMessageText"), chat_id=MOVED, action=Flood(30)))
        await rest(200)
        words = [word for text in scene.bot_messages(MOVED) for word in text.split()]
        assert words == said(2500).split()
        calls = scene.calls("sendMessage", "editMessageText", chat_id=MOVED)
        flooded = next(call.received for call in calls if call.status == 429)
        assert not [call for call in calls if flooded < call.received < flooded + 30.0]


@pytest.mark.parametrize("how", ["/stop", "/new", "shutdown", "removed"])
async def test_answer_that_moves_to_where_another_is_written_can_still_be_stopped(
    autojump_clock: object, how: str
) -> None:
    """The note of the move is late: somebody was faster in the new chat."""
    telegram = open_telegram()
    telegram.add_group(MOVED, "Small", [ADA], supergroup=True)
    async with open_scene(*tokens(300), telegram=telegram, settings=scene_settings(grace=0.0)) as scene:
        for chat_id in (SMALL, MOVED):
            scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        person, chat = {"id": ADA, "is_bot": False}, {"id": SMALL, "type": "group"}
        note = {"message_id": 50, "chat": chat, "from": person, "migrate_to_chat_id": MOVED}
        scene.server.act(telegram.push_update, "message", note)
        await trio.sleep(0.5)
        assert scene.provider.open_streams == 2
        if how == "shutdown":
            scene.shutdown.set()
        elif how == "removed":
            scene.server.remove_bot(MOVED)
        else:
            scene.server.say(MOVED, how, user_id=ADA)
        await trio.sleep(0.5)
        assert scene.provider.open_streams == 0


# A topic that is deleted

TOPICS = {"forum": (FORUM, StreamingSettings()), "private": (ADA, StreamingSettings())} | {
    f"private, {name}": (ADA, streaming) for name, streaming in SCREENS.items() if name != "grows"
}


def lasting(scene: Scene, chat_id: int) -> list[str]:
    """What the bot has in the chat itself, where no topic is."""
    return [text for text in scene.bot_messages(chat_id) if "▉" not in text]


@pytest.mark.case("R2")
@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("moment", [0.2, 1.0, 3.0])
async def test_answer_whose_topic_is_deleted_lands_once_in_the_chat(
    autojump_clock: object, topic: str, moment: float
) -> None:
    """Before the first word, and in mid-answer; what a topic held of it went with the topic."""
    chat_id, streaming = TOPICS[topic]
    telegram = open_telegram()
    if chat_id == ADA:
        telegram.add_topic(ADA, 5, "Five")
    async with open_scene(*tokens(60), settings=scene_settings(streaming=streaming), telegram=telegram) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA, thread_id=5)
        await trio.sleep(moment)
        scene.server.delete_topic(chat_id, 5)
        await rest(60)
        assert lasting(scene, chat_id) == [said(60)]
        assert scene.provider.open_streams == 0
        assert await scene.ask("@triolet_bot again", chat_id, user_id=ADA) == said(60)


@pytest.mark.case("R2")
@pytest.mark.parametrize("chat_id", [FORUM, ADA])
@pytest.mark.parametrize("decision", ["/allow", "/deny", "/stop"])
async def test_person_who_is_asked_in_a_deleted_topic_can_answer_in_the_chat(
    autojump_clock: object, chat_id: int, decision: str
) -> None:
    telegram = open_telegram()
    if chat_id == ADA:
        telegram.add_topic(ADA, 5, "Five")
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    script = rounds(Say.text("I look."), Pause(1.0), calls("delete"), *tokens(60))
    async with open_scene(script=script, tools=tools, telegram=telegram) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA, thread_id=5)
        await trio.sleep(5.0)
        scene.server.delete_topic(chat_id, 5)
        await trio.sleep(5.0)
        scene.server.say(chat_id, decision, user_id=ADA)
        await rest(60)
        assert scene.provider.open_streams == 0
        if decision == "/stop":
            assert scene.provider.requests[1:] == []
        assert len(ran) == (decision == "/allow")
        shown = lasting(scene, chat_id)
        assert shown[-1] == ("⏹ stopped" if decision == "/stop" else said(60)), shown
        assert len([text for text in shown if "word" in text]) == (decision != "/stop")
        assert scene.server.screen(chat_id).draft is None


@pytest.mark.case("R2")
@pytest.mark.parametrize("topic", TOPICS)
async def test_topic_is_deleted_while_a_tool_runs_and_a_call_hangs(autojump_clock: object, topic: str) -> None:
    chat_id, streaming = TOPICS[topic]
    telegram = open_telegram()
    if chat_id == ADA:
        telegram.add_topic(ADA, 5, "Five")
    script = rounds(calls("search"), *tokens(60))
    settings = scene_settings(streaming=streaming)
    async with open_scene(
        script=script, tools=[slow_tool("search", 8.0)], settings=settings, telegram=telegram
    ) as scene:
        showing = ("sendMessage", "editMessageText", "sendMessageDraft", "sendChatAction")
        scene.telegram.add_fault(Fault(method=showing, skip=1, action=Delay(before=6.0)))
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA, thread_id=5)
        await trio.sleep(4.0)
        scene.server.delete_topic(chat_id, 5)
        await rest(100)
        assert lasting(scene, chat_id) == [said(60)]
        assert scene.server.screen(chat_id).draft is None


@pytest.mark.case("R2")
@pytest.mark.parametrize("topic", TOPICS)
async def test_answer_that_waits_behind_a_flood_while_its_topic_is_deleted(autojump_clock: object, topic: str) -> None:
    chat_id, streaming = TOPICS[topic]
    telegram = open_telegram()
    if chat_id == ADA:
        telegram.add_topic(ADA, 5, "Five")
    async with open_scene(*tokens(60), settings=scene_settings(streaming=streaming), telegram=telegram) as scene:
        showing = ("sendMessage", "editMessageText", "sendMessageDraft", "sendChatAction")
        scene.telegram.add_fault(Fault(method=showing, skip=2, action=Flood(40)))
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA, thread_id=5)
        await trio.sleep(20.0)
        scene.server.delete_topic(chat_id, 5)
        await rest(100)
        assert lasting(scene, chat_id) == [said(60)]
        assert scene.server.screen(chat_id).draft is None


@asynccontextmanager
async def open_strays(script: Script, tools: Sequence[Tool] = ()) -> AsyncIterator[Scene]:
    telegram = open_telegram()
    telegram.add_topic(ADA, 5, "Five")
    async with open_scene(script=script, tools=tools, telegram=telegram) as scene:
        scene.server.say(ADA, "stray", thread_id=5)
        await trio.sleep(2.0)
        scene.server.delete_topic(ADA, 5)
        await trio.sleep(2.0)
        scene.server.say(ADA, "chat")
        await trio.sleep(3.0)
        yield scene


def echo(request: ModelRequest) -> Sequence[Step]:
    return tokens(100, word=request.messages[-1].text)


@pytest.mark.case("R2")
@pytest.mark.parametrize(("stopped", "goes_on"), [("stray", "chat"), ("chat", "stray")])
async def test_button_of_a_draft_stops_its_answer_and_not_the_other_one_there(
    autojump_clock: object, stopped: str, goes_on: str
) -> None:
    async with open_strays(echo) as scene:
        while (draft := scene.server.screen(ADA).draft) is None or not draft.text.startswith(stopped):
            await trio.sleep(0.01)
        scene.server.press_stop(ADA)
        await trio.sleep(0.2)
        assert scene.provider.open_streams == 1
        await rest(60)
        partial, whole = scene.bot_messages()
        assert whole == said(100, goes_on)
        assert partial.startswith(stopped)
        assert partial.endswith("⏹ stopped")


@pytest.mark.case("R2")
async def test_stop_stops_every_answer_that_is_shown_there(autojump_clock: object) -> None:
    async with open_strays(echo) as scene:
        scene.server.say(ADA, "and then?")
        scene.server.say(ADA, "/stop")
        await trio.sleep(0.2)
        assert scene.provider.open_streams == 0
        await rest(60)
        endings = sorted(text.split("\n\n")[-1] for text in scene.bot_messages())
        assert endings == ["⏹ stopped", "⏹ stopped · 1 waiting message dropped"]
        assert scene.telegram.updates.pending == []


async def test_status_tells_of_the_chat_s_own_answer_first(autojump_clock: object) -> None:
    async with open_strays(echo) as scene:
        scene.server.say(ADA, "/status")
        await trio.sleep(0.2)
        [told] = scene.bot_messages()
        assert "for 3 s." in told


async def test_stray_s_tool_is_allowed_where_another_answer_is_written(autojump_clock: object) -> None:
    ran: list[float] = []

    def script(request: ModelRequest) -> Sequence[Step]:
        wants = request.messages[-1].text == "stray"
        return [*tokens(25), Say.tool_call("delete", "{}"), End("tool_calls")] if wants else echo(request)

    async with open_strays(script, [slow_tool("delete", has_effects=True, ran=ran)]) as scene:
        scene.server.say(ADA, "/allow")
        await rest(1)
        assert len(ran) == 1


# A chat that is gone


@pytest.mark.parametrize("moment", [0.3, 2.0])
async def test_answer_that_nobody_can_see_ends_before_it_is_refused(autojump_clock: object, moment: float) -> None:
    settings = scene_settings(streaming=StreamingSettings(enabled=False))
    async with open_scene(*tokens(10), Hang(), settings=settings) as scene:
        scene.server.say(ADA, "one")
        scene.server.say(ADA, "two")
        await trio.sleep(moment)
        scene.server.block(ADA)
        await trio.sleep(0.03)
        assert scene.provider.open_streams == 0
        assert scene.telegram.updates.pending != []
        await rest(60)
        assert len(scene.provider.requests) == 1, "what waited is dropped"
        assert scene.telegram.updates.pending == []
        scene.server.unblock(ADA)
        scene.server.say(ADA, "three")
        await trio.sleep(1.0)
        words = [message.text.strip() for message in scene.provider.requests[-1].messages]
        assert (words[0], words[-1]) == ("one", "three")


async def test_every_topic_of_a_group_that_removed_the_bot_is_quiet(autojump_clock: object) -> None:
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    script = rounds(Say.text("I look."), Pause(1.0), calls("delete"), *tokens(60))
    async with open_scene(script=script, tools=tools, telegram=open_telegram()) as scene:
        for topic in (5, 6):
            scene.server.say(FORUM, "@triolet_bot hello", user_id=ADA, thread_id=topic)
        scene.server.say(ADA, "hello")
        await trio.sleep(5.0)
        scene.server.remove_bot(FORUM)
        await trio.sleep(0.1)
        scene.server.add_bot(FORUM)
        await trio.sleep(1.0)
        scene.server.say(FORUM, "/allow", user_id=ADA, thread_id=5)
        await rest(5)
        assert ran == [], "nobody is asked there any more"
        scene.server.say(ADA, "/allow")
        await rest(30)
        assert len(ran) == 1, "another chat's answer goes on"
        assert scene.bot_messages()[-1] == said(60)
        scene.server.say(FORUM, "@triolet_bot again", user_id=ADA, thread_id=5)
        await trio.sleep(5.0)
        scene.server.say(FORUM, "/deny", user_id=ADA, thread_id=5)
        await rest(30)
        assert scene.server.screen(FORUM, 5).messages[-1].text == said(60)


async def test_conversation_that_was_to_be_forgotten_is_though_its_chat_is_gone(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        await scene.ask("my secret")
        scene.server.say(ADA, "/new")
        scene.server.block(ADA)
        await rest(30)
        scene.server.unblock(ADA)
        await scene.ask("hello")
        assert [message.text for message in scene.provider.requests[-1].messages] == ["hello"]
