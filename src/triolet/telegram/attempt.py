"""One call, and what came of it: exceptions of the client as outcomes."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from triolet.core.budget import Cost
from triolet.core.calls import NEVER_LEFT, Call, Delivered, Outcome, Refused, Unknown
from triolet.errors import TelegramError, TelegramOutcomeUnknown, TelegramUnreachable, TooManyRequests
from triolet.telegram.client import CALL_TIMEOUT, DRAFT_TIMEOUT, BotApi

log = structlog.get_logger()


async def attempt(api: BotApi, call: Call, *, leaving: Callable[[], object] = lambda: None) -> Outcome:
    """Make the call, once; a draft that is late is not worth waiting for. ``leaving`` is `BotApi.call`'s."""
    seconds = DRAFT_TIMEOUT if call.cost is Cost.DRAFT else CALL_TIMEOUT
    try:
        return Delivered(await api.call(call.method, call.params, timeout=seconds, leaving=leaving))
    except TooManyRequests as error:
        log.warning("outbox.flood", method=call.method, retry_after=error.retry_after)
        return Refused(error.code, error.description, error.retry_after)
    except TelegramError as error:
        return Refused(error.code, error.description, migrate_to=error.migrate_to)
    except TelegramUnreachable as error:
        return Refused(NEVER_LEFT, str(error))
    except TelegramOutcomeUnknown as error:
        return Unknown(str(error))
