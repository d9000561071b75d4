"""An outage at a shutdown: what waited for a connection has never left, and the next run sends it as if new."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from odd_servers import never
from outbox_scenes import Post, open_post

from triolet.config import Secret
from triolet.core.delivery import Uncertain
from triolet.core.text import FormattedText
from triolet.telegram.client import open_bot_api
from triolet.telegram.outbox import open_outbox


async def end_in_an_outage(post: Post, seconds: float) -> None:
    """A run that commits an answer while nothing can be reached, and ends."""
    async with (
        open_bot_api("http://telegram", Secret("42:emulator"), connect=never) as api,
        open_outbox(api, journal=post.shelf, uncertain="ask") as outbox,
    ):
        outbox.note_message(post.place())
        outbox.commit(outbox.open_bubble(post.place()), FormattedText("The answer."))
        with trio.move_on_after(seconds):
            await outbox.wait_idle()


@pytest.mark.parametrize("uncertain", ["ask", "skip", "resend"])
@pytest.mark.parametrize("seconds", [5.0, 10.5], ids=["while it connects", "between two attempts"])
async def test_what_never_left_is_sent_without_a_doubt(
    autojump_clock: Any, uncertain: Uncertain, seconds: float
) -> None:
    async with open_post() as post:
        await end_in_an_outage(post, seconds)
        async with post.open_outbox(uncertain) as outbox:
            await post.recover(outbox)
            await outbox.wait_idle()
        assert post.texts() == ["The answer."]
