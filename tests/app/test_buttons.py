"""The ⏹ under an answer that is edited as it grows: whose it is, where it works, and that it works once."""

from __future__ import annotations

import pytest
import trio
from scenes import ADA, BOB, GROUP, STRANGER, Scene, open_scene, rest, said, scene_settings, tokens

from triolet.config import StreamingSettings
from triolet.emulator import ScreenMessage
from triolet.providers.scripted import Hang
from triolet.telegram.presses import MAX_PRESSES

EDIT = StreamingSettings(transport="edit")


def growing(scene: Scene, chat_id: int = ADA) -> ScreenMessage:
    [message] = [message for message in scene.server.screen(chat_id).messages if message.buttons]
    return message


def press(scene: Scene, message: ScreenMessage, *, chat_id: int = ADA, user_id: int | None = None) -> str:
    [[button]] = message.buttons
    assert button.text == "⏹"
    assert button.data is not None
    return scene.server.press_button(chat_id, message.id, button.data, user_id)


def toasts(scene: Scene, chat_id: int = ADA) -> list[str]:
    return [change.text for change in scene.server.transcript(chat_id) if change.kind == "toast"]


@pytest.mark.parametrize("notify", ["final", "first"])
async def test_button_stops_the_answer_and_goes(autojump_clock: object, notify: str) -> None:
    streaming = StreamingSettings(transport="edit", notify=notify)  # type: ignore[arg-type]  # its own values
    async with open_scene(*tokens(50), Hang(), settings=scene_settings(streaming=streaming)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        press(scene, growing(scene))
        await trio.sleep(0.03)
        assert scene.provider.open_streams == 0
        await rest(10)
        [answer] = [message for message in scene.server.screen(ADA).messages if message.from_bot]
        assert answer.text.endswith("\n\n⏹ stopped")
        assert answer.buttons == ()
        assert [call.status for call in scene.telegram.calls("answerCallbackQuery")] == [200]
        assert toasts(scene) == []


async def test_button_is_for_who_asked_and_for_the_owner(autojump_clock: object) -> None:
    """The first of those who are allowed owns the bot; another's press is told so and stops nothing."""
    settings = scene_settings(streaming=EDIT, allow=(ADA, BOB))
    async with open_scene(*tokens(200), Hang(), settings=settings) as scene:
        scene.server.say(GROUP, "@triolet_bot hello", user_id=ADA)
        await trio.sleep(3.0)
        for user in (BOB, STRANGER):
            press(scene, growing(scene, GROUP), chat_id=GROUP, user_id=user)
        await trio.sleep(1.0)
        assert scene.provider.open_streams == 1
        assert toasts(scene, GROUP) == ["That is for who asked."] * 2
        press(scene, growing(scene, GROUP), chat_id=GROUP, user_id=ADA)
        await trio.sleep(1.0)
        assert scene.provider.open_streams == 0
        scene.server.say(GROUP, "@triolet_bot hello", user_id=BOB)
        await trio.sleep(3.0)
        press(scene, growing(scene, GROUP), chat_id=GROUP, user_id=ADA)
        await trio.sleep(1.0)
        assert scene.provider.open_streams == 0


async def test_second_press_finds_nothing(autojump_clock: object) -> None:
    async with open_scene(*tokens(50), Hang(), settings=scene_settings(streaming=EDIT)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        message = growing(scene)
        press(scene, message)
        press(scene, message)
        await trio.sleep(1.0)
        assert toasts(scene) == ["This button has had its day."]
        assert len(scene.calls("sendMessage")) == 2


async def test_button_of_an_earlier_answer_stops_no_later_one(autojump_clock: object) -> None:
    async with open_scene(*tokens(50), Hang(), settings=scene_settings(streaming=EDIT)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        [[old]] = growing(scene).buttons
        scene.server.say(ADA, "/stop")
        scene.server.say(ADA, "Again")
        await trio.sleep(3.0)
        now = growing(scene)
        [[new]] = now.buttons
        assert old.data != new.data
        raw = {"id": "9", "from": {"id": ADA}, "chat_instance": "1", "data": old.data}
        shown = {"message_id": now.id, "chat": {"id": ADA, "type": "private"}}
        scene.server.act(scene.telegram.push_update, "callback_query", raw | {"message": shown})
        await trio.sleep(1.0)
        assert scene.provider.open_streams == 1


async def test_button_moves_with_the_answer(autojump_clock: object) -> None:
    """A message that is whole has none; the one that grows has it."""
    async with open_scene(*tokens(1500, every=0.02), Hang(), settings=scene_settings(streaming=EDIT)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(40.0)
        messages = [message for message in scene.server.screen(ADA).messages if message.from_bot]
        assert len(messages) > 2
        assert [bool(message.buttons) for message in messages] == [False] * (len(messages) - 1) + [True]
        press(scene, messages[-1])
        await trio.sleep(1.0)
        assert scene.provider.open_streams == 0


async def test_nothing_is_left_of_a_turn_that_has_ended(autojump_clock: object) -> None:
    async with open_scene(*tokens(20), settings=scene_settings(streaming=EDIT)) as scene:
        await scene.ask()
        raw = {"id": "9", "from": {"id": ADA}, "chat_instance": "1", "data": "rubbish"}
        for message in ({"message_id": 1, "chat": {"id": ADA, "type": "private"}}, None):
            update = raw | ({"message": message} if message else {})
            scene.server.act(scene.telegram.push_update, "callback_query", update)
        assert await scene.ask("still there?") == said(20)


async def test_flood_of_presses_is_not_answered_one_by_one(autojump_clock: object) -> None:
    """The calls that answers need are not given away to rubbish."""
    async with open_scene(*tokens(20)) as scene:
        shown = {"message_id": 1, "chat": {"id": STRANGER, "type": "private"}}
        for number in range(50):
            press_of = {
                "id": str(number),
                "from": {"id": STRANGER},
                "chat_instance": "1",
                "data": "x",
                "message": shown,
            }
            scene.server.act(scene.telegram.push_update, "callback_query", press_of)
        await trio.sleep(1.0)
        assert len(scene.telegram.calls("answerCallbackQuery")) == MAX_PRESSES
        assert await scene.ask() == said(20)
