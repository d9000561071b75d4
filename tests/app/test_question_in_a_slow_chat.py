"""A question to a person waits for no frame's slot: in a chat that is called less often after a 429, say."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from scenes import ADA, GROUP, ROUND_TRIP, Calls, calls, open_scene, rounds, scene_settings, slow_tool

from triolet.app.approvals import Approvals
from triolet.config import StreamingSettings
from triolet.core.calls import Bubble
from triolet.core.text import FormattedText
from triolet.emulator import Fault, Flood
from triolet.providers.scripted import Pause, Say, Step
from triolet.telegram.outbox import Outbox

ASK, COMMIT = Approvals.ask, Outbox.commit
WAYS = {
    "draft": (ADA, StreamingSettings(), "sendMessageDraft"),
    "edit": (ADA, StreamingSettings(transport="edit"), "editMessageText"),
    "group": (GROUP, StreamingSettings(), "editMessageText"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("more", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
async def test_question_does_not_wait_for_a_slot(
    autojump_clock: Any, way: str, more: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at: list[float] = []
    committed_at: list[float] = []

    async def ask(*args: Any, **options: Any) -> bool:
        asked_at.append(trio.current_time())
        return await ASK(*args, **options)

    def commit(outbox: Outbox, bubble: Bubble, content: FormattedText, **options: Any) -> None:
        if content.text.startswith("🔐"):
            committed_at.append(trio.current_time())
        COMMIT(outbox, bubble, content, **options)

    monkeypatch.setattr(Approvals, "ask", ask)
    monkeypatch.setattr(Outbox, "commit", commit)
    chat_id, streaming, method = WAYS[way]
    words: list[Step | Calls] = [Say.text("I look into this carefully. "), Pause(0.25)]
    script = rounds(*words * 80, Pause(0.01 + more), calls("delete"))
    tools = [slow_tool("delete", has_effects=True)]
    async with open_scene(script=script, tools=tools, settings=scene_settings(streaming=streaming)) as scene:
        for _ in range(3):
            scene.telegram.add_fault(Fault(method=method, action=Flood(2)))
        scene.server.say(chat_id, "@triolet_bot Hello")
        await scene.server.wait_until(lambda: bool(committed_at))
        assert committed_at[0] - asked_at[0] <= 2 * ROUND_TRIP + 1e-6  # of a call that is in the air, or a typing sign
