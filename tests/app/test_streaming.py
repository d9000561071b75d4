"""How an answer grows on the screen: drafts, edits, the fallback between them, and their exact times."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from scenes import ADA, CURSOR, GROUP, ROUND_TRIP, open_scene, rest, said, scene_settings, tokens

from triolet.config import StreamingSettings
from triolet.core.delivery import SENT_AGAIN
from triolet.emulator import Delay, Fault, Flood, Refuse, Reset, ServerError
from triolet.providers.scripted import Hang, Pause, Say, Step

EDIT = StreamingSettings(transport="edit", notify="first")


@pytest.mark.case("T1")
async def test_draft_answer_grows_and_ends_in_one_message(autojump_clock: object) -> None:
    async with open_scene(*tokens(40)) as scene:
        assert await scene.ask() == said(40)
        drafts = scene.calls("sendMessageDraft")
        frames = [call.params["text"] for call in drafts]
        assert len(frames) > 8
        assert len({call.params["draft_id"] for call in drafts}) == 1
        assert drafts[0].params["draft_id"] > 0
        assert all(later.startswith(earlier) for earlier, later in pairwise(frames))
        assert not any(CURSOR.strip() in frame for frame in frames)
        assert [call.params["text"] for call in scene.calls("sendMessage")] == [said(40)]
        assert all(call.params["can_stop"] and call.params["keep_on_stop"] for call in drafts)
        assert scene.calls("editMessageText", "sendChatAction") == []


@pytest.mark.case("T2")
@pytest.mark.parametrize("transport", ["auto", "draft", "edit"])
async def test_group_answer_uses_no_drafts(autojump_clock: object, transport: str) -> None:
    streaming = StreamingSettings(transport=transport)  # type: ignore[arg-type]  # the parameter's own values
    async with open_scene(*tokens(200), settings=scene_settings(streaming=streaming)) as scene:
        assert await scene.ask("@triolet_bot hello", GROUP, user_id=ADA) == said(200)
        assert scene.calls("sendMessageDraft", chat_id=GROUP) == []
        assert len(scene.calls("editMessageText", chat_id=GROUP)) > 3


@pytest.mark.case("T5", "Y2")
async def test_thinking_shows_at_once_and_the_first_word_as_soon_as_it_comes(autojump_clock: object) -> None:
    async with open_scene(Pause(3.0), Say.text("Yes"), Pause(5.0)) as scene:
        asked = trio.current_time()
        scene.server.say(ADA, "Well?")
        await scene.wait_answers()
        thinking, first, *_ = scene.calls("sendMessageDraft")
        # The update needs 0.025 s to come; a call, as long to arrive. Nothing of ours takes any time.
        assert thinking.params["text"] == ""
        assert thinking.received - asked == pytest.approx(0.05)
        assert first.params["text"] == "Yes"
        assert first.received - asked == pytest.approx(0.025 + 3.0 + 0.025)
        assert scene.server.visible(ADA)[1:] == ["Yes"]


@pytest.mark.case("T4", "P9")
async def test_silent_draft_is_kept_alive_and_nothing_else_is_sent(autojump_clock: object) -> None:
    async with open_scene(Say.text("Let me think"), Pause(60.0), Say.text("."), Pause(1.0)) as scene:
        scene.telegram.latency = Delay()
        asked = trio.current_time()
        scene.server.say(ADA, "Well?")
        for second in range(1, 60):
            await trio.sleep_until(asked + second + 0.5)
            draft = scene.server.screen(ADA).draft
            assert draft is not None
            assert draft.text == "Let me think"
        kept = [call.received - asked for call in scene.calls("sendMessageDraft") if call.params["text"]]
        assert [later - earlier for earlier, later in pairwise(kept)] == [8.0] * 7


@pytest.mark.case("T9")
async def test_draft_ids_differ_across_restarts_and_answers(autojump_clock: object) -> None:
    ids = set()
    for _ in range(2):
        async with open_scene(*tokens(5)) as scene:
            for question in ("one", "two"):
                await scene.ask(question)
            ids |= {call.params["draft_id"] for call in scene.calls("sendMessageDraft")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    "refusal",
    [Refuse(400, "Bad Request: TEXTDRAFT_PEER_INVALID"), Refuse(404, "Not Found: method not found")],
    ids=["peer", "old server"],
)
async def test_refused_drafts_fall_back_to_edits_for_this_answer(autojump_clock: object, refusal: Refuse) -> None:
    """One capability error is enough; the next answer tries drafts again."""
    settings = scene_settings(streaming=StreamingSettings(notify="first"))
    async with open_scene(*tokens(40), settings=settings) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=3, times=1, action=refusal))
        assert await scene.ask() == said(40)
        assert len(scene.calls("sendMessageDraft")) == 4
        assert len(scene.calls("sendMessage")) == 1
        edits = scene.texts("editMessageText")
        assert len(edits) > 1
        assert all(edit.endswith(CURSOR) for edit in edits[:-1])
        assert edits[-1] == said(40)
        shown = scene.calls("sendMessageDraft")[2].params["text"]
        assert scene.texts("sendMessage")[0].startswith(shown), "the text on screen is carried over"
        assert len(scene.bot_messages()) == 1
        await scene.ask("again")
        assert len(scene.calls("sendMessageDraft")) > 8


@pytest.mark.case("T3")
@pytest.mark.parametrize(
    "fault", [ServerError(), Reset(carried_out=True), Reset(carried_out=False), Flood(2), Delay(before=12.0)], ids=repr
)
async def test_failed_draft_frame_is_skipped_and_drafts_go_on(autojump_clock: object, fault: object) -> None:
    async with open_scene(*tokens(300)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=5, times=1, action=fault))  # type: ignore[arg-type]  # one of its actions
        assert await scene.ask() == said(300)
        assert len(scene.calls("sendMessageDraft")) > 15
        assert scene.calls("editMessageText") == []


@pytest.mark.case("T3")
async def test_three_failed_frames_in_a_row_fall_back(autojump_clock: object) -> None:
    async with open_scene(*tokens(100)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=5, times=2, action=ServerError()))
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=6, times=3, action=ServerError()))
        assert await scene.ask() == said(100)
        drafts = scene.calls("sendMessageDraft")
        outcomes = [call.status for call in drafts]
        assert outcomes == [200] * 5 + [502] * 2 + [200] * 1 + [502] * 3, outcomes
        assert len(scene.calls("editMessageText")) > 2


@pytest.mark.case("T3")
async def test_flooded_drafts_wait_and_never_fall_back(autojump_clock: object) -> None:
    """Waiting is not failing, however often."""
    async with open_scene(*tokens(400, every=0.15)) as scene:
        for skip in range(2, 12, 2):
            scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=skip, times=1, action=Flood(4)))
        assert await scene.ask() == said(400)
        assert scene.calls("editMessageText") == []
        drafts = scene.calls("sendMessageDraft")
        waits = [later.received - earlier.received for earlier, later in pairwise(drafts) if earlier.status == 429]
        assert len(waits) == 5
        assert all(wait >= 4.0 for wait in waits)


@pytest.mark.case("T7")
async def test_late_draft_is_awaited_before_the_final(autojump_clock: object) -> None:
    """One call of a chat is in flight at a time, so that no draft can show over the final as a ghost."""
    async with open_scene(*tokens(10, every=0.05)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=2, times=1, action=Delay(before=3.0)))
        assert await scene.ask() == said(10)
        calls = scene.calls()
        assert calls[-1].method == "sendMessage"
        assert all(later.received >= (earlier.answered or 0) for earlier, later in pairwise(calls))
        assert said(10) not in scene.texts("sendMessageDraft")
        await rest(60)
        assert scene.server.visible(ADA)[1:] == [said(10)]


@pytest.mark.case("C4")
async def test_edit_answer_opens_no_message_for_less_than_four_characters(autojump_clock: object) -> None:
    steps: list[Step] = [Say.text(" \n"), Pause(2.0), Say.text("Y"), Pause(2.0), Say.text("es"), Pause(2.0)]
    async with open_scene(*steps, settings=scene_settings(streaming=EDIT)) as scene:
        assert await scene.ask() == "Yes"
        assert scene.texts("sendMessage", "editMessageText") == ["Yes"]


@pytest.mark.case("C4")
async def test_edit_answer_opens_with_the_fourth_character(autojump_clock: object) -> None:
    async with open_scene(
        Say.text("Yes"), Pause(2.0), Say.text("!"), Pause(2.0), settings=scene_settings(streaming=EDIT)
    ) as scene:
        assert await scene.ask() == "Yes!"
        assert scene.texts("sendMessage", "editMessageText") == ["Yes!", "Yes!"]


@pytest.mark.case("P9")
async def test_unchanged_edit_is_not_repeated(autojump_clock: object) -> None:
    steps: list[Step] = [
        Say.text("Let me think"),
        Pause(30.0),
        Say.text("  \n"),
        Pause(30.0),
        Say.text("done"),
        Pause(5),
    ]
    async with open_scene(*steps, settings=scene_settings(streaming=EDIT)) as scene:
        assert await scene.ask() == "Let me think\ndone"
        shown = scene.texts("sendMessage", "editMessageText")
        assert shown == ["Let me think", "Let me think\ndone" + CURSOR, "Let me think\ndone"]


@pytest.mark.case("P9")
async def test_not_modified_counts_as_success(autojump_clock: object) -> None:
    """The first call of the final was carried out and its answer lost: the repetition finds nothing to do."""
    async with open_scene(*tokens(3), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="editMessageText", times=1, action=Reset(carried_out=True)))
        assert await scene.ask() == said(3)
        await rest(60)
        refused = scene.calls("editMessageText")[-1]
        assert "message is not modified" in refused.description
        assert len(scene.calls("editMessageText")) == 2


@pytest.mark.case("Y1")
@pytest.mark.parametrize(("chat_id", "text"), [(ADA, "hello"), (GROUP, "@triolet_bot hello")])
async def test_edit_answer_shows_typing_until_the_final(autojump_clock: object, chat_id: int, text: str) -> None:
    """At once, again when a new message took it away, and never after the final."""
    steps: list[Step] = [Pause(12.0), *tokens(100), Pause(12.0)]
    async with open_scene(*steps, settings=scene_settings(streaming=EDIT)) as scene:
        asked = trio.current_time()
        scene.server.say(chat_id, text, user_id=ADA)
        await trio.sleep(1.0)
        while not scene.bot_messages(chat_id) or scene.bot_messages(chat_id)[-1].endswith(CURSOR):
            if scene.bot_messages(chat_id) != [said(100)]:
                typing = scene.calls("sendChatAction", chat_id=chat_id)
                assert scene.server.screen(chat_id).typing or trio.current_time() - typing[-1].received < 5.2
            await trio.sleep(0.25)
        await rest(30)
        calls = scene.calls(chat_id=chat_id)
        assert calls[0].method == "sendChatAction"
        assert calls[0].received - asked < 0.1
        assert calls[-1].method == "editMessageText"
        opened = next(n for n, call in enumerate(calls) if call.method == "sendMessage")
        assert calls[opened + 1].method == "sendChatAction"


async def test_edits_keep_their_interval(autojump_clock: object) -> None:
    async with open_scene(*tokens(300, every=0.05), settings=scene_settings(streaming=EDIT)) as scene:
        await scene.ask()
        shown = scene.calls("sendMessage", "editMessageText")
        gaps = [later.received - earlier.received for earlier, later in pairwise(shown[:-1])]
        assert min(gaps) >= 1.0 - 1e-9
        assert max(gaps) <= 1.0 + 2 * ROUND_TRIP
        assert not [call for call in scene.telegram.journal if call.status == 429]


@pytest.mark.case("G1")
@pytest.mark.parametrize(("chat_id", "text"), [(ADA, "hello"), (GROUP, "@triolet_bot hello")])
@pytest.mark.parametrize("transport", ["auto", "draft", "edit"])
async def test_streaming_off_shows_one_whole_answer(
    autojump_clock: object, chat_id: int, text: str, transport: str
) -> None:
    streaming = StreamingSettings(enabled=False, transport=transport)  # type: ignore[arg-type]  # the parameter's own values
    async with open_scene(*tokens(100), settings=scene_settings(streaming=streaming)) as scene:
        assert await scene.ask(text, chat_id, user_id=ADA) == said(100)
        assert {call.method for call in scene.calls(chat_id=chat_id)} == {"sendChatAction", "sendMessage"}
        assert len(scene.calls("sendMessage", chat_id=chat_id)) == 1


async def test_long_answer_is_whole_and_in_order(autojump_clock: object) -> None:
    words = 2000
    async with open_scene(*tokens(words, every=0.001)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(60)
        assert " ".join(scene.bot_messages()).split() == said(words).split()
        assert all(len(text) <= 4096 for text in scene.bot_messages())


async def test_two_chats_stream_side_by_side(autojump_clock: object) -> None:
    async with open_scene(*tokens(50)) as scene:
        scene.server.say(ADA, "Hello")
        scene.server.say(1002, "Hello")
        assert await scene.wait_answers(chat_id=ADA) == [said(50)]
        assert await scene.wait_answers(chat_id=1002) == [said(50)]
        times = [[call.received for call in scene.calls(chat_id=chat)] for chat in (ADA, 1002)]
        assert times[0] == times[1]


@pytest.mark.case("T3")
@pytest.mark.parametrize(
    ("streaming", "method"), [(StreamingSettings(), "sendMessageDraft"), (EDIT, "editMessageText")]
)
async def test_frame_that_waited_is_as_fresh_as_any(
    autojump_clock: object, streaming: StreamingSettings, method: str
) -> None:
    """The text is bound when the call begins, not when its turn came: a wait makes no frame old."""
    async with open_scene(*tokens(300), settings=scene_settings(streaming=streaming)) as scene:
        scene.telegram.add_fault(Fault(method=method, skip=3, times=1, action=Flood(10)))
        asked = trio.current_time() + 0.025
        await scene.ask()
        calls = scene.calls(method)
        flooded = next(number for number, call in enumerate(calls) if call.status == 429)
        after = calls[flooded + 1]
        words = len(after.params["text"].removesuffix(CURSOR).split())
        assert words == pytest.approx((after.received - 0.025 - asked - 0.5) / 0.1 + 1, abs=1.0)


@pytest.mark.case("T3")
async def test_floods_in_a_row_are_no_failures_in_a_row(autojump_clock: object) -> None:
    async with open_scene(*tokens(300)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessageDraft", skip=3, times=4, action=Flood(3)))
        assert await scene.ask() == said(300)
        assert [call.status for call in scene.calls("sendMessageDraft")].count(429) == 4
        assert scene.calls("editMessageText") == []


async def test_group_edits_leave_room_for_lasting_messages(autojump_clock: object) -> None:
    async with open_scene(*tokens(500, every=0.1)) as scene:
        scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await scene.wait_answers(chat_id=GROUP)
        shown = scene.calls("sendMessage", "editMessageText", chat_id=GROUP)
        gaps = [later.received - earlier.received for earlier, later in pairwise(shown[:-2])]
        assert min(gaps[:5]) >= 1.0 - 1e-9
        assert max(gaps[:5]) <= 2.5
        assert max(gaps) <= 8.0
        assert gaps[-1] >= 3.8 - 1e-9
        assert not [call for call in scene.telegram.journal if call.status == 429]


@pytest.mark.case("F4", "C1")
async def test_preview_whose_answer_got_lost_is_found_by_an_edit(autojump_clock: object) -> None:
    """The next id of the chat is its, or nobody's: an edit finds out and harms nothing."""
    async with open_scene(*tokens(100), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", times=1, action=Reset(carried_out=True)))
        assert await scene.ask() == said(100)
        await rest(60)
        assert len(scene.calls("sendMessage")) == 1
        assert len(scene.calls("editMessageText")) > 5
        assert scene.bot_messages() == [said(100)]


@pytest.mark.case("F4", "C1")
async def test_preview_that_is_nowhere_is_not_sent_again(autojump_clock: object) -> None:
    """It might be on screen all the same: the whole answer says so, and no preview ever begins with a cursor."""
    async with open_scene(*tokens(100), settings=scene_settings(streaming=EDIT)) as scene:
        scene.telegram.add_fault(Fault(method="sendMessage", times=1, action=Reset(carried_out=False)))
        await scene.ask()
        await rest(60)
        assert scene.bot_messages() == [f"{said(100)}\n\n{SENT_AGAIN}"]
        assert len(scene.calls("sendMessage")) == 2
        assert not scene.calls("sendMessage")[0].params["text"].endswith(CURSOR)


@pytest.mark.case("T4")
async def test_draft_comes_back_after_a_notice_has_taken_it_away(autojump_clock: object) -> None:
    """Any message of the bot's ends a draft: the text is shown again at once, although nothing is new."""
    async with open_scene(Pause(0.5), Say.text("Let me think"), Hang()) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        asked = trio.current_time()
        scene.server.say(ADA, "/help")
        await trio.sleep(1.0)
        notice, again = scene.calls()[-2:]
        assert (notice.method, again.method) == ("sendMessage", "sendMessageDraft")
        assert again.received - asked <= 0.025 + 3 * ROUND_TRIP
        assert scene.server.visible(ADA)[-1] == "Let me think"
        await trio.sleep(7.0)
        assert len(scene.calls("sendMessageDraft")) == 3
