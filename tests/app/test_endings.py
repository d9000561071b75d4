"""Every way a turn can end, on every kind of screen: the text stays, once, without the cursor, honestly marked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio
from scenes import ADA, BOB, CURSOR, GROUP, Scene, open_scene, rest, said, scene_settings, tokens

from triolet.config import StoreSettings, StreamingSettings
from triolet.core.ports import ModelRequest
from triolet.emulator import Fault, Flood, Refuse, Reset, ServerError
from triolet.errors import ProviderUnavailable
from triolet.providers.scripted import Cut, End, Fail, Hang, Pause, Say, Step

BROKEN = Fail(ProviderUnavailable("the provider fell silent"))


async def nothing(scene: Scene, chat_id: int) -> None:
    """The turn ends by itself."""


async def press_stop(scene: Scene, chat_id: int) -> None:
    scene.server.say(chat_id, "/stop", user_id=ADA)


async def begin_anew(scene: Scene, chat_id: int) -> None:
    scene.server.say(chat_id, "/new", user_id=ADA)


async def shut_down(scene: Scene, chat_id: int) -> None:
    scene.shutdown.set()


@attrs.frozen
class Way:
    """How a turn of 30 words ends: the model's last step, what happens outside, the mark it leaves."""

    last: Step
    act: Callable[[Scene, int], Awaitable[None]]
    mark: str


WAYS = {
    "done": Way(End(), nothing, ""),
    "length": Way(End("length"), nothing, "\n\n✂ cut off: the answer reached its longest"),
    "filtered": Way(End("content_filter"), nothing, "\n\n✂ cut off: the provider withholds the rest"),
    "failed": Way(BROKEN, nothing, "\n\n⚠ broken off · the provider fell silent"),
    "cut": Way(Cut(), nothing, "\n\n⚠ broken off · the connection was closed too early"),
    "stop": Way(Hang(), press_stop, "\n\n⏹ stopped"),
    "new": Way(Hang(), begin_anew, "\n\n⏹ stopped"),
    "shutdown": Way(Hang(), shut_down, "\n\n⏸ interrupted: the bot is restarting"),
}

SCREENS = {
    "draft": (ADA, "", StreamingSettings()),
    "edit": (ADA, "", StreamingSettings(transport="edit")),
    "off": (ADA, "", StreamingSettings(enabled=False)),
    "group": (GROUP, "@triolet_bot ", StreamingSettings()),
}

FAULTS: dict[str, list[Any]] = {
    "smooth": [],
    "flooded final": [Fault(method="sendMessage", action=Flood(33))],
    "flooded edits": [Fault(method="editMessageText", times=2, action=Flood(20))],
    "lost edit": [Fault(method="editMessageText", times=2, action=Reset(carried_out=False))],
    "broken gateway": [Fault(method="editMessageText", times=2, action=ServerError())],
    "no drafts": [Fault(method="sendMessageDraft", times=None, action=Refuse(400, "Bad Request: PEER_ID_INVALID"))],
}


@pytest.mark.case("C1", "F7", "X2")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("ending", WAYS)
async def test_ended_turn_leaves_its_text_once_and_no_cursor(
    autojump_clock: object, tmp_path: Path, ending: str, screen: str, fault: str
) -> None:
    way, (chat_id, prefix, streaming) = WAYS[ending], SCREENS[screen]
    settings = scene_settings(streaming=streaming, resume="off", grace=0.0)
    settings = attrs.evolve(settings, store=StoreSettings(path=tmp_path / "triolet.db"))
    async with open_scene(*tokens(30), way.last, settings=settings) as scene:
        for planned in FAULTS[fault]:
            scene.telegram.add_fault(planned)
        scene.server.say(chat_id, prefix + "Hello", user_id=ADA)
        await trio.sleep(8.0)
        await way.act(scene, chat_id)
        await rest(120.0)
        ended_at = trio.current_time()
    if ending == "shutdown":  # what outlasts the end of a run is delivered by the next one
        async with open_scene(Hang(), settings=settings, telegram=scene.telegram) as scene:
            await rest(120.0)
            assert scene.provider.requests == []
            ended_at = trio.current_time()
    screen_then = scene.telegram.screen(chat_id, ended_at)
    texts = [message.text for message in screen_then.messages if message.from_bot]
    assert texts[0] == said(30) + way.mark
    assert len(texts) == (2 if ending == "new" else 1)
    assert not any(CURSOR.strip() in text for text in texts)
    assert screen_then.draft is None


@pytest.mark.case("F8")
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("text", ["", "  \n ", "\u200b"])
async def test_answer_without_text_says_so_and_leaves_nothing_else(
    autojump_clock: object, screen: str, text: str
) -> None:
    chat_id, prefix, streaming = SCREENS[screen]
    steps: list[Step] = [Pause(2.0), *([Say.text(text)] if text else []), Pause(2.0)]
    async with open_scene(*steps, settings=scene_settings(streaming=streaming)) as scene:
        assert await scene.ask(prefix + "Hello", chat_id, user_id=ADA) == "The model gave no answer."
        await rest(60)
        assert len(scene.calls("sendMessage", chat_id=chat_id)) == 1


async def test_failure_before_any_text_is_one_clear_line(autojump_clock: object) -> None:
    async with open_scene(Pause(1.0), BROKEN) as scene:
        assert await scene.ask() == "⚠ broken off · the provider fell silent"


async def test_mistake_of_ours_ends_the_turn_visibly_and_no_other(
    autojump_clock: object, captured_log: list[structlog.typing.EventDict]
) -> None:
    bug: Any = object()  # no step of any script

    def script(request: ModelRequest) -> list[Step]:
        return [*tokens(30), *([bug] if len(request.messages) == 1 else [])]

    async with open_scene(script=script) as scene:
        scene.server.say(BOB, "Hello")
        await trio.sleep(1.0)
        assert await scene.ask() == said(30) + "\n\n⚠ broken off · an internal error"
        assert [event["log_level"] for event in captured_log if event["event"] == "turn.failed"] == ["error"] * 2
        assert await scene.ask("again") == said(30)


async def test_blocked_bot_ends_in_peace(autojump_clock: object) -> None:
    async with open_scene(*tokens(50)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.server.block(ADA)
        await rest(60)
        assert scene.provider.open_streams == 0
        assert scene.calls()[-1].status == 403
        scene.server.unblock(ADA)
        assert (await scene.ask("again")).endswith(said(50))
