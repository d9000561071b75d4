"""Long polling: updates come in here, and are durable before Telegram may forget them.

Source: https://core.telegram.org/bots/api#getupdates: asking with a higher offset confirms everything below it. So
the next poll is made only when the batch of the last one is in the inbox. The first poll names no offset: what was
handed out but never confirmed comes again, and the inbox knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog
import trio

from triolet.core.ports import Inbox, RawUpdate
from triolet.core.updates import ALLOWED_UPDATES, BotIdentity
from triolet.errors import (
    Conflict,
    TelegramError,
    TelegramOutcomeUnknown,
    TelegramUnreachable,
    TooManyRequests,
    Unauthorized,
)
from triolet.telegram.client import BotApi

log = structlog.get_logger()

POLL_SECONDS = 50
"""How long the server may hold a poll; 50 is the most it does."""


async def fetch_identity(api: BotApi) -> BotIdentity:
    """Who the token makes us; raises as `BotApi.call` does."""
    me = await api.call("getMe", {})
    return BotIdentity(int(me["id"]), str(me.get("username", "")))


async def poll_updates(api: BotApi, inbox: Inbox, dispatch: Callable[[RawUpdate], Iterable[int]]) -> None:
    """Poll until cancelled; each new update is stored, then given to ``dispatch``.

    ``dispatch`` returns the ids of updates that need no more work.

    Raises:
        Unauthorized: the token was revoked.
        Conflict: somebody else polls with this token, or a webhook is set.
    """
    offset: dict[str, int] = {}
    failures = 0
    while True:
        try:
            batch = await _poll(api, offset)
        except (TelegramUnreachable, TelegramOutcomeUnknown, TelegramError) as error:
            failures += 1
            await _back_off(error, failures)
            continue
        failures = 0
        await _take(batch, inbox, dispatch)
        if batch:
            offset = {"offset": int(batch[-1]["update_id"]) + 1}


async def _poll(api: BotApi, offset: dict[str, int]) -> list[RawUpdate]:
    params: dict[str, Any] = offset | {"timeout": POLL_SECONDS, "allowed_updates": list(ALLOWED_UPDATES)}
    answer = await api.call("getUpdates", params, timeout=POLL_SECONDS + 15.0)
    return [update for update in answer if isinstance(update, dict) and isinstance(update.get("update_id"), int)]


async def _take(batch: list[RawUpdate], inbox: Inbox, dispatch: Callable[[RawUpdate], Iterable[int]]) -> None:
    if not batch:
        return
    done: list[int] = []
    for update in await inbox.receive(batch):
        done += dispatch(update)
    if done:
        await inbox.finish(done)


async def _back_off(error: Exception, failures: int) -> None:
    if isinstance(error, Unauthorized | Conflict):
        raise error
    seconds = min(2.0 ** (failures - 1), 30.0)
    if isinstance(error, TooManyRequests):
        seconds = max(seconds, error.retry_after)
    log.warning("poller.failed", problem=str(error), again_in=seconds)
    await trio.sleep(seconds)
