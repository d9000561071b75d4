"""Long polling: updates come in here, and are durable before Telegram may forget them.

Source: https://core.telegram.org/bots/api#getupdates: asking with a higher offset confirms everything below it. So
the next poll is made only when the batch of the last one is in the inbox. The first poll names no offset: what was
handed out but never confirmed comes again, and the inbox knows it. An update without a usable id can be neither kept
nor confirmed: it is left out, and confirmed with the next one that has an id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
import trio

from triolet.core.ports import Inbox, RawUpdate
from triolet.core.updates import ALLOWED_UPDATES, BotIdentity
from triolet.errors import (
    Conflict,
    StoreError,
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

LONGEST_BACK_OFF = 30.0

QUIET_SECONDS = 6 * 86_400.0
"""After a week without updates Telegram goes on with any id, also a lower one: no offset is named from a day before."""

_LARGEST_ID = 2**63 - 1
"""The most that the inbox can hold."""


async def fetch_identity(api: BotApi) -> BotIdentity:
    """Who the token makes us; raises as `BotApi.call` does."""
    me = await api.call("getMe", {})
    if not (isinstance(me, dict) and type(me.get("id")) is int):
        raise TelegramOutcomeUnknown("getMe: the result is no user")
    return BotIdentity(me["id"], str(me.get("username", "")))


async def poll_updates(
    api: BotApi,
    inbox: Inbox,
    dispatch: Callable[[RawUpdate], Iterable[int]],
    *,
    heed: Callable[[RawUpdate], object] = lambda update: None,
    wait_room: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint_if_cancelled,
) -> None:
    """Poll until cancelled; each new update is stored, then given to ``dispatch``.

    ``dispatch`` returns the ids of updates that need no more work. ``heed`` has every update as soon as it comes, even
    if it came before: what waits for no disk, and does no harm when it is done again. While ``wait_room`` waits,
    nothing is asked for. As long as the disk takes nothing, nothing is confirmed, and the same comes again.

    Raises:
        Unauthorized: the token was revoked.
        Conflict: somebody else polls with this token, or a webhook is set.
    """
    offset: dict[str, int] = {}
    failures = 0
    heard_at = trio.current_time()
    while True:
        await wait_room()
        try:
            batch = await _poll(api, offset)
        except (TelegramUnreachable, TelegramOutcomeUnknown, TelegramError) as error:
            failures += 1
            await _back_off(error, failures)
            continue
        for update in batch:
            heed(update)
        if batch:
            try:
                received = await inbox.receive(batch)
            except StoreError:  # of which the store tells; Telegram keeps what is not confirmed
                failures += 1
                await trio.sleep(_pause(failures))
                continue
            dispatch_all(received, inbox, dispatch)
            await trio.lowlevel.checkpoint()  # answers begin, and then the next updates are asked for
            offset = {"offset": batch[-1]["update_id"] + 1}
            heard_at = trio.current_time()
        elif trio.current_time() - heard_at > QUIET_SECONDS:
            offset = {}
        failures = 0


async def _poll(api: BotApi, offset: dict[str, int]) -> list[RawUpdate]:
    params: dict[str, Any] = offset | {"timeout": POLL_SECONDS, "allowed_updates": list(ALLOWED_UPDATES)}
    answer = await api.call("getUpdates", params, timeout=POLL_SECONDS + 15.0)
    if not isinstance(answer, list):
        raise TelegramOutcomeUnknown("getUpdates: the result is no list")
    batch = [update for update in answer if _has_id(update)]
    if answer and not batch:  # nothing to confirm, so the same would come again at once
        raise TelegramOutcomeUnknown("getUpdates: no update has an id")
    return batch


def _has_id(update: Any) -> bool:
    number = update.get("update_id") if isinstance(update, dict) else None
    return type(number) is int and 0 < number < _LARGEST_ID


def dispatch_all(updates: Iterable[RawUpdate], inbox: Inbox, dispatch: Callable[[RawUpdate], Iterable[int]]) -> None:
    """Give each update to ``dispatch``, and finish what needs no more work, in one transaction with what it wrote."""
    with inbox.unit():
        if done := [update_id for update in updates for update_id in dispatch(update)]:
            inbox.finish(done)  # where there is nothing to write, an answer would wait for it


async def _back_off(error: Exception, failures: int) -> None:
    if isinstance(error, Unauthorized | Conflict):
        raise error
    seconds = _pause(failures)
    if isinstance(error, TooManyRequests):
        seconds = max(seconds, error.retry_after)
    log.warning("poller.failed", problem=str(error), again_in=seconds)
    await trio.sleep(seconds)


def _pause(failures: int) -> float:
    return min(2.0 ** min(failures - 1, 10), LONGEST_BACK_OFF)
