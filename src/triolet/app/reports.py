"""What a chat's answers took, and what is being done: told at once, whatever is being answered meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from triolet.app.conversation import Services
from triolet.app.preferences import load_switched
from triolet.core.calls import Place
from triolet.core.commands import Preference
from triolet.core.letters import Undelivered
from triolet.core.ports import Store
from triolet.core.status import Status, render_status
from triolet.core.text import FormattedText
from triolet.core.usage import render_usage
from triolet.errors import StoreError
from triolet.transports import Screen

log = structlog.get_logger()

_DAY = 86_400.0


async def tell_usage(store: Store, screen: Screen, place: Place, update_id: int) -> None:
    """Tell it in the chat that asked for it; today is that of UTC."""
    key, today = place.key, time.time() // _DAY * _DAY
    try:
        text = render_usage(
            last=await store.last_spending(key),
            today=await store.spending(key, since=today),
            ever=await store.spending(key, since=0.0),
        )
    except StoreError as error:
        log.error("report.impossible", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
        text = "⚠ Nobody knows: the bot's database cannot be used now."
    with store.unit():
        screen.notify(place, FormattedText(text))
        store.finish([update_id])


async def tell_status(
    services: Services, status: Status, newest: Mapping[Preference, str], place: Place, update_id: int
) -> None:
    """Tell it in the chat that asked for it, with what that chat has switched; ``newest`` may not be kept yet."""
    kept = await load_switched(services.store, place.key)
    switches = {name: newest.get(name) or kept.get(name) or wish for name, wish in services.preferences.items()}
    letters = await _undelivered(services.store, place.key.chat_id)
    text = render_status(
        status, model=services.model, switches=switches, letters=letters, trouble=bool(services.store.trouble)
    )
    with services.store.unit():
        services.screen.notify(place, FormattedText(text))
        services.store.finish([update_id])


async def _undelivered(store: Store, chat_id: int) -> list[Undelivered]:
    try:
        return await store.undelivered(chat_id)
    except StoreError:
        return []
