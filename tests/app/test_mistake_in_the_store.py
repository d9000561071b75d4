"""A value that no column takes is one answer's trouble: the bot lives, the text is delivered, and others are served."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from scenes import ADA, BOB, open_scene, said, tokens

from triolet.store import history


@pytest.mark.parametrize("error", [OverflowError("too large"), ValueError("no text")])
async def test_record_that_no_column_takes(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    note, is_broken = history.note, True

    def fail_once(*args: Any) -> None:
        nonlocal is_broken
        if is_broken:
            is_broken = False
            raise error
        note(*args)

    monkeypatch.setattr(history, "note", fail_once)
    async with open_scene(*tokens(5)) as scene:
        scene.server.say(ADA, "Hello")
        await trio.sleep(0.7)
        assert await scene.ask(chat_id=BOB) == said(5)
        await trio.sleep(5.0)
        assert scene.bot_messages() == [said(5)]
        assert await scene.ask("again") == said(5)
