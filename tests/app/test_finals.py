"""The end of an answer: on screen once, whole, where it belongs, and heard once; whatever went wrong on the way."""

from __future__ import annotations

import pytest
import trio
from scenes import ADA, CURSOR, GROUP, open_scene, rest, said, scene_settings, tokens

from triolet.config import StreamingSettings
from triolet.emulator import Delay, Fault, Refuse, Reset, ServerError
from triolet.providers.scripted import Hang, Pause, Say

EDIT = StreamingSettings(transport="edit")
FIRST = StreamingSettings(transport="edit", notify="first")
OFF = StreamingSettings(enabled=False)
DRAFT = StreamingSettings()


@pytest.mark.case("R4")
@pytest.mark.parametrize(
    ("streaming", "chat_id"), [(EDIT, ADA), (EDIT, GROUP), (DRAFT, ADA), (OFF, ADA), (DRAFT, GROUP)]
)
async def test_an_answer_rings_once_when_it_is_complete(
    autojump_clock: object, streaming: StreamingSettings, chat_id: int
) -> None:
    async with open_scene(*tokens(400), settings=scene_settings(streaming=streaming)) as scene:
        asked = trio.current_time()
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await scene.wait_answers(chat_id=chat_id)
        [rang] = [call for call in scene.calls("sendMessage", chat_id=chat_id) if _rings(call.params)]
        assert rang.received - asked == pytest.approx(0.025 + 0.5 + 40.0 + 0.05, abs=0.1)
        assert rang.params["text"] == said(400)
        assert scene.bot_messages(chat_id) == [said(400)]


def _rings(params: dict[str, object]) -> bool:
    return not params.get("disable_notification")


@pytest.mark.case("R4")
@pytest.mark.parametrize("chat_id", [ADA, GROUP])
async def test_an_answer_that_is_to_ring_first_rings_first(autojump_clock: object, chat_id: int) -> None:
    async with open_scene(*tokens(1000), settings=scene_settings(streaming=FIRST)) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        assert [_rings(call.params) for call in scene.calls("sendMessage", chat_id=chat_id)] == [True]
        await scene.wait_answers(2, chat_id)
        sends = scene.calls("sendMessage", chat_id=chat_id)
        assert [_rings(call.params) for call in sends] == [True] + [False] * (len(sends) - 1)
        assert len(sends) == 2, "nothing is sent twice"
        assert scene.calls("deleteMessage", chat_id=chat_id) == []


@pytest.mark.case("F6", "O4")
async def test_replaced_preview_goes_when_the_whole_answer_is_there(autojump_clock: object) -> None:
    async with open_scene(*tokens(40), settings=scene_settings(streaming=EDIT)) as scene:
        await scene.ask()
        await rest(1)
        *_, final, deletion = scene.calls("sendMessage", "editMessageText", "deleteMessage")
        assert (final.method, final.params["text"]) == ("sendMessage", said(40))
        assert deletion.method == "deleteMessage"
        assert deletion.received >= (final.answered or 0)


@pytest.mark.case("F6")
@pytest.mark.parametrize("fault", [ServerError(), Reset(carried_out=True), Reset(carried_out=False)], ids=repr)
async def test_failed_removal_is_repeated(autojump_clock: object, fault: ServerError | Reset) -> None:
    async with open_scene(*tokens(40), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="deleteMessage", times=3, action=fault))
        scene.server.say(ADA, "Hello")
        await trio.sleep(60.0)
        assert scene.bot_messages() == [said(40)]


@pytest.mark.case("F6")
@pytest.mark.parametrize("refusal", [Refuse(404, "Not Found: method not found"), Refuse(400, "Bad Request: whatever")])
async def test_removal_that_is_refused_for_odd_reasons_is_repeated(autojump_clock: object, refusal: Refuse) -> None:
    async with open_scene(*tokens(40), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="deleteMessage", times=2, action=refusal))
        scene.server.say(ADA, "Hello")
        await trio.sleep(60.0)
        assert scene.bot_messages() == [said(40)]


@pytest.mark.case("F6", "C1")
async def test_preview_that_cannot_be_deleted_says_where_the_answer_is(autojump_clock: object) -> None:
    refusal = Refuse(400, "Bad Request: message can't be deleted")
    async with open_scene(*tokens(40), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="deleteMessage", times=None, action=refusal))
        scene.server.say(ADA, "Hello")
        await trio.sleep(120.0)
        assert scene.bot_messages() == ["⤵ the answer is below", said(40)]
        assert not any(message.buttons for message in scene.server.screen(ADA).messages)


@pytest.mark.case("F5")
@pytest.mark.parametrize("streaming", [EDIT, FIRST], ids=["anew", "edited"])
async def test_deleted_preview_does_not_take_the_answer_with_it(
    autojump_clock: object, streaming: StreamingSettings
) -> None:
    async with open_scene(*tokens(100), settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(5.0)
        [preview] = [message for message in scene.server.screen(ADA).messages if message.from_bot]
        scene.server.delete(ADA, preview.id)
        await scene.wait_answers()
        await rest(30)
        assert scene.bot_messages() == [said(100)]


@pytest.mark.case("F5")
async def test_preview_deleted_at_the_last_moment(autojump_clock: object) -> None:
    async with open_scene(*tokens(20), settings=scene_settings(streaming=FIRST)) as scene:
        scene.server.say(ADA, "Hello")
        await scene.server.wait_until(lambda: scene.provider.open_streams == 0 and bool(scene.bot_messages()))
        [preview] = [message for message in scene.server.screen(ADA).messages if message.from_bot]
        scene.server.delete(ADA, preview.id)
        await trio.sleep(5.0)
        assert scene.bot_messages() == [said(20)]


@pytest.mark.case("F3")
async def test_final_that_takes_minutes_is_neither_cancelled_nor_repeated(autojump_clock: object) -> None:
    async with open_scene(*tokens(10)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", action=Delay(after=35.0)))
        scene.server.say(ADA, "Hello")
        await trio.sleep(5.0)
        scene.server.say(ADA, "And?")
        await trio.sleep(60.0)
        assert [call.method for call in scene.calls("sendMessage", "editMessageText")] == ["sendMessage"] * 2
        assert scene.bot_messages() == [said(10)] * 2


@pytest.mark.case("F4", "RR3")
@pytest.mark.parametrize("streaming", [DRAFT, EDIT, FIRST, OFF], ids=["draft", "anew", "edited", "off"])
@pytest.mark.parametrize("chat_id", [ADA, GROUP])
async def test_final_whose_answer_got_lost_is_on_screen_once(
    autojump_clock: object, streaming: StreamingSettings, chat_id: int
) -> None:
    async with open_scene(*tokens(10), settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
        await scene.server.wait_until(lambda: scene.provider.open_streams == 0 and bool(scene.calls(chat_id=chat_id)))
        final = ("sendMessage", "editMessageText")
        scene.telegram.add_fault(Fault(method=final, times=1, action=Reset(carried_out=True)))
        await trio.sleep(60.0)
        assert scene.bot_messages(chat_id) == [said(10)]


@pytest.mark.case("F7")
async def test_answer_waits_for_the_end_of_an_outage(autojump_clock: object) -> None:
    """Kept, delivered later, and the model is not asked again."""
    async with open_scene(*tokens(30)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.telegram.add_fault(Fault(chat_id=ADA, times=None, action=ServerError()))
        await trio.sleep(300.0)
        scene.telegram.clear_faults()
        await trio.sleep(120.0)
        [answer] = scene.bot_messages()
        assert answer.startswith(said(30))
        assert len(scene.provider.requests) == 1


@pytest.mark.case("F7")
async def test_blocked_bot_ends_the_turn_and_the_models_work(autojump_clock: object) -> None:
    async with open_scene(*tokens(30), Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.block(ADA)
        await trio.sleep(10.0)
        assert scene.provider.open_streams == 0
        calls = scene.calls()
        assert [call.status for call in calls if call.received > calls[-2].received] == [403]
        scene.server.unblock(ADA)
        scene.server.say(ADA, "/stop")
        assert (await scene.wait_answers())[-1] == "There is nothing to stop."


@pytest.mark.case("R2")
@pytest.mark.parametrize("streaming", [DRAFT, EDIT, FIRST, OFF], ids=["draft", "anew", "edited", "off"])
async def test_answer_to_a_topic_that_is_gone_lands_in_the_chat(
    autojump_clock: object, streaming: StreamingSettings
) -> None:
    async with open_scene(*tokens(30), settings=scene_settings(streaming=streaming)) as scene:
        scene.telegram.add_topic(ADA, 7, "soon gone")
        scene.server.say(ADA, "Hello", thread_id=7)
        await trio.sleep(1.5)
        scene.server.act(scene.telegram.delete_topic, ADA, 7)
        await scene.wait_answers()
        await rest(10)
        assert scene.bot_messages() == [said(30)]
        refused = [call for call in scene.calls() if call.status == 400]
        assert len(refused) <= 2, "the topic, and a message that was in it"
        assert await scene.ask("again") == said(30)
        assert not [call for call in scene.calls() if call.status == 400 and call not in refused]


@pytest.mark.case("R3")
@pytest.mark.parametrize("streaming", [EDIT, OFF], ids=["edit", "off"])
async def test_answer_to_a_deleted_message_is_sent_once(autojump_clock: object, streaming: StreamingSettings) -> None:
    async with open_scene(*tokens(30, first_after=5.0), settings=scene_settings(streaming=streaming)) as scene:
        question = scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(1.0)
        scene.server.delete(GROUP, question)
        assert await scene.wait_answers(chat_id=GROUP) == [said(30)]


@pytest.mark.case("R3")
async def test_server_that_insists_on_the_reply_gets_a_message_without(autojump_clock: object) -> None:
    refusal = Refuse(400, "Bad Request: message to be replied not found")
    async with open_scene(*tokens(30), settings=scene_settings(streaming=OFF)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", action=refusal))
        assert await scene.ask("@triolet_bot hello", GROUP, user_id=ADA) == said(30)
        assert ["reply_parameters" in call.params for call in scene.calls("sendMessage", chat_id=GROUP)] == [
            True,
            False,
        ]


@pytest.mark.case("R1")
@pytest.mark.parametrize("streaming", [DRAFT, EDIT], ids=["draft", "edit"])
async def test_every_call_of_a_turn_carries_its_topic(autojump_clock: object, streaming: StreamingSettings) -> None:
    async with open_scene(*tokens(1000), settings=scene_settings(streaming=streaming)) as scene:
        scene.telegram.add_topic(ADA, 7, "topic")
        scene.server.say(ADA, "Hello", thread_id=7)
        await trio.sleep(120.0)
        sent = [call for call in scene.calls() if call.method not in {"editMessageText", "deleteMessage"}]
        assert len(sent) > 5
        assert {call.params["message_thread_id"] for call in sent} == {7}
        texts = [message.text for message in scene.server.screen(ADA, 7).messages if message.from_bot]
        assert " ".join(texts).split() == said(1000).split()
        assert scene.bot_messages() == []


@pytest.mark.case("R1")
async def test_private_answers_do_not_quote_and_group_answers_do_once(autojump_clock: object) -> None:
    async with open_scene(*tokens(1000, every=0.01)) as scene:
        scene.server.say(ADA, "Hello", reply_to=scene.server.say(ADA, "/start"))
        await trio.sleep(60.0)
        assert all("reply_parameters" not in call.params for call in scene.calls("sendMessage"))
        question = scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(120.0)
        replies = [message.reply_to for message in scene.server.screen(GROUP).messages if message.from_bot]
        assert replies == [question] + [None] * (len(replies) - 1)
        assert len(replies) > 1


@pytest.mark.case("C1")
@pytest.mark.parametrize("notify", ["final", "first"])
async def test_final_equal_to_the_preview_loses_its_button(autojump_clock: object, notify: str) -> None:
    streaming = StreamingSettings(transport="edit", cursor="", notify=notify)  # type: ignore[arg-type]  # its own values
    async with open_scene(Say.text("Done."), Pause(10.0), settings=scene_settings(streaming=streaming)) as scene:
        assert await scene.ask() == "Done."
        await rest(10)
        [message] = [message for message in scene.server.screen(ADA).messages if message.from_bot]
        assert (message.text, message.buttons) == ("Done.", ())


async def test_unreachable_group_ends_the_turn(autojump_clock: object) -> None:
    async with open_scene(*tokens(30), Hang()) as scene:
        scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(2.0)
        scene.server.act(scene.telegram.group_removes_bot, GROUP)
        await trio.sleep(10.0)
        assert scene.provider.open_streams == 0
        assert not any(message.endswith(CURSOR) for message in scene.bot_messages(ADA))
