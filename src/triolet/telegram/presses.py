"""Answers to pressed buttons: a client shows that it waits until it has one."""

from __future__ import annotations

import structlog
import trio

from triolet.errors import TelegramError, TelegramOutcomeUnknown, TelegramUnreachable
from triolet.telegram.client import BotApi

log = structlog.get_logger()

MAX_PRESSES = 8
"""How many are on their way at once."""


class Presses:
    """Each answer is a task in the nursery."""

    def __init__(self, api: BotApi, nursery: trio.Nursery) -> None:
        self._api = api
        self._start_soon = nursery.start_soon
        self._under_way = 0

    def answer(self, query_id: str, text: str = "") -> None:
        """Tell who pressed that it was heard, with a line of text or without."""
        params = {"callback_query_id": query_id} | ({"text": text} if text else {})
        if self._under_way < MAX_PRESSES:  # who presses faster than that needs no answer to each
            self._under_way += 1
            self._start_soon(self._answer, params)

    async def _answer(self, params: dict[str, str]) -> None:
        try:
            await self._api.call("answerCallbackQuery", params)
        except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
            log.debug("outbox.press_unanswered", problem=str(error))
        finally:
            self._under_way -= 1
