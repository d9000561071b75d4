"""A wait beyond all measure is a refusal like any other, and ends nothing but its call: not the bot."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from odd_servers import open_odd_server, respond
from outbox_scenes import Shelf

from triolet.config import Secret
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText
from triolet.emulator import Response
from triolet.errors import TooManyRequests
from triolet.telegram.client import RETRY_AFTER, open_bot_api
from triolet.telegram.outbox import open_outbox

FLOOD = b'{"ok":false,"error_code":429,"description":"Flood","parameters":{"retry_after":1' + b"0" * 400 + b"}}"


async def test_a_retry_after_beyond_measure(autojump_clock: Any) -> None:
    async with (
        open_odd_server(respond(Response(429, FLOOD))) as server,
        open_bot_api("http://telegram", Secret("42:token"), connect=server.connect) as api,
    ):
        with pytest.raises(TooManyRequests) as caught:
            await api.call("sendMessage", {"chat_id": 7, "text": "Hello"})
        assert caught.value.retry_after == RETRY_AFTER


async def test_it_does_not_end_the_outbox(autojump_clock: Any) -> None:
    async with (
        open_odd_server(respond(Response(429, FLOOD))) as server,
        open_bot_api("http://telegram", Secret("42:token"), connect=server.connect) as api,
        open_outbox(api, journal=Shelf()) as outbox,
    ):
        outbox.commit(outbox.open_bubble(Place(ConversationKey(1), private=True)), FormattedText("Hello"))
        await trio.sleep(5.0)
        assert len(server.requests) > 1
