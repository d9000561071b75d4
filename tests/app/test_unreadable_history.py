"""A conversation whose history cannot be read is that conversation's trouble, and no other's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from scenes import ADA, BOB, open_scene, query, said, stored, tokens

ROWS = {"parts": "UPDATE history SET parts = '[{}]'", "ending": "UPDATE history SET ending = 'unheard-of'"}


@pytest.mark.parametrize("row", ROWS)
async def test_history_that_nobody_can_read(autojump_clock: Any, tmp_path: Path, row: str) -> None:
    settings = stored(tmp_path)
    async with open_scene(*tokens(5), settings=settings) as scene:
        await scene.ask()
        query(settings, ROWS[row])
        scene.server.say(ADA, "again")
        await trio.sleep(10.0)
        assert await scene.ask(chat_id=BOB) == said(5)
        assert "cannot be read" in scene.bot_messages()[-1]
