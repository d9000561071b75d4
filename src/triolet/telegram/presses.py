"""Answers to pressed buttons: a client shows that it waits until it has one."""

from __future__ import annotations

import structlog

from triolet.errors import TelegramError, TelegramOutcomeUnknown, TelegramUnreachable
from triolet.telegram.client import BotApi

log = structlog.get_logger()

MAX_PRESSES = 8
"""How many are on their way at once."""


class Presses:
    def __init__(self, api: BotApi) -> None:
        self._api = api
        self._under_way = 0

    async def answer(self, query_id: str, text: str = "") -> None:
        """Tell who pressed that it was heard, with a line of text or without."""
        if self._under_way >= MAX_PRESSES:
            return  # who presses faster than that needs no answer to each
        self._under_way += 1
        params = {"callback_query_id": query_id} | ({"text": text} if text else {})
        try:
            await self._api.call("answerCallbackQuery", params)
        except (TelegramError, TelegramUnreachable, TelegramOutcomeUnknown) as error:
            log.debug("outbox.press_unanswered", problem=str(error))
        finally:
            self._under_way -= 1
