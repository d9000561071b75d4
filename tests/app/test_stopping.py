"""Stop, from anywhere: the model's stream closes, the partial text stays with its mark, nothing follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs
import pytest
import trio
from scenes import ADA, BOB, CURSOR, GROUP, STRANGER, Scene, open_scene, rest, said, scene_settings, tokens

from triolet.config import LimitSettings, StreamingSettings
from triolet.core.conversation import Ending, Message
from triolet.emulator import Delay, Fault, Flood
from triolet.providers.scripted import Hang, Say
from triolet.store import run_inline

T = TypeVar("T")

EDIT = StreamingSettings(transport="edit")
STOPPED = "\n\n⏹ stopped"


async def nothing_follows(scene: Scene, chat_id: int = ADA) -> None:
    """Minutes later the last visible call is still the commit."""
    count = len(scene.calls(chat_id=chat_id))
    await rest(300)
    assert len(scene.calls(chat_id=chat_id)) == count
    assert scene.calls("sendMessage", "deleteMessage", chat_id=chat_id)[-1] is scene.calls(chat_id=chat_id)[-1]
    assert scene.provider.open_streams == 0


@pytest.mark.case("T8", "I1", "I3")
@pytest.mark.parametrize("string_ids", [True, False])
async def test_stop_button_keeps_the_partial_text(autojump_clock: object, string_ids: bool) -> None:
    """Telegram sends the draft's id as a string where it documents a number: both are taken."""
    async with open_scene(*tokens(100), Hang(), string_draft_ids=string_ids) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        pressed = trio.current_time()
        scene.server.press_stop(ADA)
        [answer] = await scene.wait_answers()
        assert answer.endswith(STOPPED)
        assert said(100).startswith(answer.removesuffix(STOPPED))
        assert len(answer) > 100
        commit = scene.calls()[-1]
        assert commit.method == "sendMessage"
        # The update's way here, the draft that may be in flight, the commit's way there.
        assert commit.received - pressed <= 0.025 + 0.05 + 0.025 + 1e-9
        await nothing_follows(scene)
        [entity] = scene.server.screen(ADA).messages[-1].entities
        assert (entity["type"], entity["length"]) == ("italic", len("⏹ stopped"))


@pytest.mark.case("I1")
async def test_stop_closes_the_stream_in_the_instant_it_arrives(autojump_clock: object) -> None:
    async with open_scene(*tokens(100), Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        scene.server.press_stop(ADA)
        await trio.sleep(0.0251)
        assert scene.provider.open_streams == 0
        assert len(scene.provider.requests) == 1


@pytest.mark.case("I1", "I8")
async def test_stop_button_waits_for_no_disk(autojump_clock: object) -> None:
    """It is obeyed as it comes; that it came is kept in the disk's own time."""

    async def slow_disk(job: Callable[[], T], /) -> T:
        await trio.sleep(1.0)
        return await run_inline(job)

    async with open_scene(*tokens(100), Hang(), executor=slow_disk) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(12.0)
        scene.server.press_stop(ADA)
        await trio.sleep(0.0251)
        assert scene.provider.open_streams == 0
        [answer] = await scene.wait_answers()
        assert answer.endswith(STOPPED)


@pytest.mark.case("I3", "I8")
@pytest.mark.parametrize(("chat_id", "prefix"), [(ADA, ""), (GROUP, "@triolet_bot ")])
@pytest.mark.parametrize("streaming", [StreamingSettings(), EDIT], ids=["auto", "edit"])
@pytest.mark.parametrize("steps", [[*tokens(30), Hang()], [*tokens(3), Hang()]], ids=["long", "short"])
async def test_stop_command_keeps_the_partial_text(
    autojump_clock: object, chat_id: int, prefix: str, streaming: StreamingSettings, steps: list[object]
) -> None:
    async with open_scene(*steps, settings=scene_settings(streaming=streaming)) as scene:  # type: ignore[arg-type]  # steps
        scene.server.say(chat_id, prefix + "Hello", user_id=ADA)
        await trio.sleep(30.0)
        scene.server.say(chat_id, "/stop", user_id=ADA)
        await trio.sleep(1.0)
        words = 30 if len(steps) > 10 else 3
        assert scene.bot_messages(chat_id) == [said(words) + STOPPED]
        await nothing_follows(scene, chat_id)


@pytest.mark.case("I3")
async def test_stop_before_the_first_word_says_so_alone(autojump_clock: object) -> None:
    async with open_scene(Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        scene.server.press_stop(ADA)
        assert await scene.wait_answers() == ["⏹ stopped"]
        await nothing_follows(scene)
        assert scene.server.visible(ADA) == ["Hello", "⏹ stopped"]


async def test_answer_without_a_word_is_not_remembered(autojump_clock: object) -> None:
    """An empty message of the model's would be refused by the next request."""
    async with open_scene(Say.text(" \n"), Hang()) as scene:
        scene.server.say(ADA, "first")
        await trio.sleep(3.0)
        scene.server.press_stop(ADA)
        await scene.wait_answers()
        scene.server.say(ADA, "second")
        await trio.sleep(1.0)
        assert [message.text for message in scene.provider.requests[-1].messages] == ["first", "second"]


@pytest.mark.case("T8")
async def test_stop_of_an_older_draft_or_another_chat_does_nothing(autojump_clock: object) -> None:
    async with open_scene(*tokens(60)) as scene:
        await scene.ask("first")
        old = scene.calls("sendMessageDraft")[-1].params["draft_id"]
        scene.server.say(ADA, "second")
        await trio.sleep(3.0)
        live = scene.calls("sendMessageDraft")[-1].params["draft_id"]
        chats = {ADA: {"id": ADA, "type": "private"}, BOB: {"id": BOB, "type": "private"}}
        for chat, draft_id in ((ADA, old), (BOB, live), (ADA, 0), (ADA, -live)):
            press = {"chat": chats[chat], "draft_id": str(draft_id)}
            scene.server.act(scene.telegram.push_update, "stopped_message_generation", press)
        assert (await scene.wait_answers(2))[1] == said(60)


async def test_button_stops_the_answer_and_not_what_waits(autojump_clock: object) -> None:
    async with open_scene(*tokens(60)) as scene:
        scene.server.say(ADA, "first")
        await trio.sleep(2.0)
        scene.server.say(ADA, "second")
        await trio.sleep(1.0)
        scene.server.press_stop(ADA)
        first, second = await scene.wait_answers(2)
        assert first.endswith(STOPPED)
        assert second == said(60)


async def test_stop_command_drops_what_waits_and_says_how_many(autojump_clock: object) -> None:
    async with open_scene(*tokens(60)) as scene:
        for text in ("first", "second", "third"):
            scene.server.say(ADA, text)
        await trio.sleep(2.0)
        scene.server.say(ADA, "/stop")
        [answer] = await scene.wait_answers()
        assert answer.endswith("\n\n⏹ stopped · 2 waiting messages dropped")
        await nothing_follows(scene)
        assert len(scene.provider.requests) == 1


@pytest.mark.parametrize(
    ("texts", "notices"),
    [
        (["first", "/stop"], ["⏹ 1 waiting message dropped"]),
        (["first", "second", "/stop"], ["⏹ 2 waiting messages dropped"]),
        (["/new", "/stop"], ["There is nothing to stop.", "A new conversation. What was said is forgotten."]),
        (["first", "/new"], ["⏹ 1 waiting message dropped", "A new conversation. What was said is forgotten."]),
        (
            ["/new", "first", "/stop"],
            ["⏹ 1 waiting message dropped", "A new conversation. What was said is forgotten."],
        ),
    ],
    ids=str,
)
async def test_commands_of_one_poll_all_say_what_they_did(
    autojump_clock: object, texts: list[str], notices: list[str]
) -> None:
    """Nothing vanishes without a word, and what was to be forgotten is, whatever comes in the same batch."""
    async with open_scene(*tokens(3)) as scene:
        await scene.ask("my secret")
        for text in texts:
            scene.server.say(ADA, text)
        await rest(20)
        assert scene.bot_messages()[1:] == notices
        await scene.ask("again")
        remembered = [message.text.strip() for message in scene.provider.requests[-1].messages]
        assert remembered == (["again"] if "/new" in texts else ["my secret", said(3), "again"])


async def test_stop_without_an_answer_says_that_there_is_nothing(autojump_clock: object) -> None:
    async with open_scene(*tokens(3)) as scene:
        assert await scene.ask("/stop") == "There is nothing to stop."


@pytest.mark.case("I8")
async def test_message_right_after_a_stop_gets_a_whole_answer(autojump_clock: object) -> None:
    async with open_scene(*tokens(40)) as scene:
        scene.server.say(ADA, "first")
        await trio.sleep(2.0)
        scene.server.say(ADA, "/stop")
        scene.server.say(ADA, "second")
        first, second = await scene.wait_answers(2)
        assert first.endswith(STOPPED)
        assert second == said(40)


@pytest.mark.case("I8")
async def test_stop_in_a_flood_ends_the_stream_and_commits_after_it(autojump_clock: object) -> None:
    async with open_scene(*tokens(400)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=5, times=1, action=Flood(60)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(10.0)
        scene.server.say(ADA, "/stop")
        await trio.sleep(0.03)
        assert scene.provider.open_streams == 0
        [answer] = await scene.wait_answers()
        assert answer.endswith(STOPPED)
        flooded = next(call for call in scene.calls() if call.status == 429)
        assert scene.calls()[-1].received - flooded.received >= 60.0
        assert scene.calls()[-2] == flooded, "no call is made inside the penalty"


@pytest.mark.case("I8")
async def test_stop_while_a_call_hangs_ends_the_stream_at_once(autojump_clock: object) -> None:
    async with open_scene(*tokens(400)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=5, times=1, action=Delay(before=9.0)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(5.0)
        scene.server.say(ADA, "/stop")
        await trio.sleep(0.03)
        assert scene.provider.open_streams == 0
        [answer] = await scene.wait_answers()
        assert answer.endswith(STOPPED)


@pytest.mark.case("I3")
async def test_new_stops_then_forgets(autojump_clock: object) -> None:
    async with open_scene(*tokens(40)) as scene:
        await scene.ask("first")
        scene.server.say(ADA, "second")
        await trio.sleep(2.0)
        scene.server.say(ADA, "/new")
        _, stopped, notice = await scene.wait_answers(3)
        assert stopped.endswith(STOPPED)
        assert notice == "A new conversation. What was said is forgotten."
        await scene.ask("third")
        assert [message.text for message in scene.provider.requests[-1].messages] == ["third"]


async def test_stopped_text_is_remembered_without_its_mark(autojump_clock: object) -> None:
    async with open_scene(*tokens(60)) as scene:
        scene.server.say(ADA, "first")
        await trio.sleep(3.0)
        scene.server.press_stop(ADA)
        [answer] = await scene.wait_answers()
        await scene.ask("second")
        first, partial, second = scene.provider.requests[-1].messages
        assert (first, second) == (Message.of("user", "first"), Message.of("user", "second"))
        assert partial.text.strip() == answer.removesuffix(STOPPED)
        assert partial.ending is Ending.STOPPED


async def test_stranger_cannot_stop_anothers_answer(autojump_clock: object) -> None:
    async with open_scene(*tokens(60)) as scene:
        scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.say(GROUP, "/stop", user_id=STRANGER)
        assert await scene.wait_answers(chat_id=GROUP) == [said(60)]


async def test_stop_while_waiting_for_a_place_among_the_running_turns(autojump_clock: object) -> None:
    """A turn that may not begin yet is stopped like any other."""
    settings = attrs.evolve(scene_settings(), limits=LimitSettings(max_turns=1))
    async with open_scene(Say.text("Hm"), Hang(), settings=settings) as scene:
        scene.server.say(ADA, "first")
        await trio.sleep(1.0)
        scene.server.say(BOB, "second")
        await trio.sleep(1.0)
        assert len(scene.provider.requests) == 1
        scene.server.say(BOB, "/stop")
        assert await scene.wait_answers(chat_id=BOB) == ["⏹ stopped"]
        scene.server.say(ADA, "/stop")
        assert await scene.wait_answers() == ["Hm" + STOPPED]
        assert not any(CURSOR in text for text in scene.bot_messages())
