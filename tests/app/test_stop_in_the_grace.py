"""An answer that is given its grace at a shutdown can still be stopped, and nothing else is begun or lost meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from scenes import (
    ADA,
    Scene,
    calls,
    open_scene,
    press,
    rest,
    rounds,
    said,
    scene_settings,
    slow_tool,
    stored,
    tokens,
)

from triolet.config import StreamingSettings
from triolet.providers.scripted import Hang, Pause, Say

STOPPED = "\n\n⏹ stopped"
SHOWN = {"draft": StreamingSettings(), "edit": StreamingSettings(transport="edit")}


def stop(scene: Scene, how: str) -> None:
    if how == "command":
        scene.server.say(ADA, "/stop")
    elif how == "draft":
        scene.server.press_stop(ADA)
    else:
        press(scene, "⏹")


@pytest.mark.parametrize(("shown", "how"), [("draft", "command"), ("draft", "draft"), ("edit", "edit")])
async def test_stop_is_heard_in_the_grace(autojump_clock: Any, shown: str, how: str) -> None:
    async with open_scene(*tokens(100), Hang(), settings=scene_settings(streaming=SHOWN[shown])) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(3.0)
        scene.shutdown.set()
        await trio.sleep(1.0)
        stop(scene, how)
        stopped_at = trio.current_time()
    assert trio.current_time() - stopped_at < 3.0  # not the rest of the grace
    [answer] = scene.bot_messages()
    assert answer.endswith(STOPPED)


async def test_what_is_said_in_the_grace_is_answered_by_the_next_run(autojump_clock: Any, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(30), settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        first.shutdown.set()
        await trio.sleep(0.5)
        first.server.say(ADA, "/help")
        first.server.say(ADA, "And now?")
    assert first.bot_messages() == [said(30)]
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        await rest(60)
        assert [text[:5] for text in second.bot_messages()] == [said(30)[:5], "Send ", said(3)[:5]]
        assert len(second.provider.requests) == 1


async def test_stop_in_the_grace_drops_what_waits_and_is_no_news_for_the_next_run(
    autojump_clock: Any, tmp_path: Path
) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(100), Hang(), settings=settings) as first:
        first.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        first.server.say(ADA, "And now?")
        await trio.sleep(1.0)
        first.shutdown.set()
        await trio.sleep(1.0)
        first.server.say(ADA, "/stop")
    [answer] = first.bot_messages()
    assert answer.endswith("⏹ stopped · 1 waiting message dropped")
    async with open_scene(*tokens(3), settings=settings, telegram=first.telegram) as second:
        await rest(60)
        assert (second.bot_messages(), second.provider.requests) == ([answer], [])


async def test_question_of_the_grace_can_be_answered(autojump_clock: Any) -> None:
    """It has buttons: who presses one of them is heard, or it should not be asked."""
    ran: list[float] = []
    tools = [slow_tool("delete", has_effects=True, ran=ran)]
    script = rounds(Say.text("I will."), Pause(3.0), calls("delete"), Pause(1.0), Say.text("Done."))
    async with open_scene(script=script, tools=tools) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(2.0)
        scene.shutdown.set()
        await trio.sleep(3.0)
        press(scene, "✅ Allow")
    assert len(ran) == 1
    assert scene.bot_messages()[-1] == "Done."
