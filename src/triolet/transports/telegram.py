"""Telegram as a screen: which windows an answer gets, and the fallback from one to the next.

Each window runs in a cancel scope of its own. When drafts turn out to be impossible, their window cancels that scope;
the frame wait, the keep-alive and the call's waiting end with it, and the edit window goes on in the same task, from
the same coalescer, in the same bubble. Only this answer changes: the next one tries drafts again.
"""

from __future__ import annotations

import structlog
import trio

from triolet.config import StreamingSettings
from triolet.core.delivery import Bubble, Place
from triolet.core.pace import DraftPace, EditPace
from triolet.core.text import FormattedText
from triolet.telegram.outbox import Outbox
from triolet.transports.draft import run_draft_window
from triolet.transports.edit import run_edit_window, run_typing_window
from triolet.transports.latest import Latest

log = structlog.get_logger()

GROUP_EDIT_INTERVAL = 4.0
"""Seconds between edits in a group at best: 15 of its 20 calls a minute, the rest is for lasting messages."""


class TelegramTransport:
    def __init__(self, outbox: Outbox, bubble: Bubble, settings: StreamingSettings) -> None:
        self._outbox = outbox
        self._bubble = bubble
        self._settings = settings

    async def run(self, latest: Latest) -> None:
        if not self._settings.enabled:
            await run_typing_window(self._outbox, self._bubble, self._edit_pace())
        if self._bubble.place.private and self._settings.transport != "edit":
            await self._run_drafts(latest)
        await run_edit_window(self._outbox, self._bubble, latest, self._edit_pace(), cursor=self._settings.cursor)

    async def _run_drafts(self, latest: Latest) -> None:
        """Returns only when drafts failed."""
        pace = DraftPace(self._settings.draft_interval)
        with trio.CancelScope() as window:
            await run_draft_window(self._outbox, self._bubble, latest, pace, window=window)
        log.warning("transport.fallback", chat_id=self._bubble.place.key.chat_id, to="edit")

    def _edit_pace(self) -> EditPace:
        interval = self._settings.edit_interval
        if not self._bubble.place.private:
            interval = max(interval, GROUP_EDIT_INTERVAL)
        return EditPace(interval, self._settings.cursor)

    def commit(self, message: FormattedText) -> None:
        self._outbox.commit(self._bubble, message)

    def shows_draft(self, draft_id: int) -> bool:
        return self._bubble.draft_id == draft_id


class TelegramScreen:
    """All chats of one bot."""

    def __init__(self, outbox: Outbox, settings: StreamingSettings) -> None:
        self._outbox = outbox
        self._settings = settings

    def open_transport(self, place: Place) -> TelegramTransport:
        return TelegramTransport(self._outbox, self._outbox.open_bubble(place), self._settings)

    def notify(self, place: Place, message: FormattedText) -> None:
        self._outbox.commit(self._outbox.open_bubble(place), message)
