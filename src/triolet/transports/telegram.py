"""Telegram as a screen: which windows an answer gets, and the fallback from one to the next.

Each window runs in a cancel scope of its own. When drafts turn out to be impossible, their window cancels that scope;
the frame wait, the keep-alive and the call's waiting end with it, and the edit window goes on in the same task, from
the same coalescer, in the same bubble. Only this answer changes: the next one tries drafts again.

Which message rings: an edit makes no sound, so an answer that is edited as it grows grows in silence, and its last
message is sent anew and takes the place of the one that was edited: the phone rings once, when there is something to
read. With ``notify = "first"`` the first message rings instead, and nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

import attrs
import structlog
import trio

from triolet.config import StreamingSettings
from triolet.core.budget import Cost
from triolet.core.calls import Keyboard, Place
from triolet.core.coalescer import Frame
from triolet.core.commands import StreamMode
from triolet.core.markup.layout import Unsealed
from triolet.core.pace import KEEP_ALIVE, FramePace, TypingPace, draft_spacing, edit_spacing
from triolet.core.text import FormattedText
from triolet.telegram.outbox import Outbox
from triolet.transports.answer import GrowingAnswer
from triolet.transports.draft import run_draft_window
from triolet.transports.edit import FIRST_CHARACTERS, run_edit_window, run_typing_window
from triolet.transports.frames import Frames
from triolet.transports.latest import Latest

log = structlog.get_logger()


class TelegramTransport:
    def __init__(
        self,
        outbox: Outbox,
        place: Place,
        settings: StreamingSettings,
        button: str,
        turn: int | None,
        sealed: Callable[[], object],
    ) -> None:
        self._outbox = outbox
        self._place = place
        self._settings = settings
        self._button = button
        self._answer = GrowingAnswer(outbox, place, settings, turn, sealed)
        self._drafts: Latest | None = None

    async def run(self, latest: Latest) -> None:
        if not self._settings.enabled:
            await run_typing_window(self._outbox, self._answer, TypingPace(), latest)
        elif not (self._place.private and self._settings.transport != "edit") or await self._run_drafts(latest):
            await self._run_edits(latest)

    async def _run_drafts(self, latest: Latest) -> bool:
        """Returns when drafts failed, or, with False, when nobody can see anything."""
        pace = FramePace(draft_spacing(self._settings.draft_interval), keep_alive=KEEP_ALIVE)
        frames = Frames(self._outbox, self._answer, latest, pace, Cost.DRAFT)
        self._drafts = latest
        try:
            with trio.CancelScope() as window:
                await run_draft_window(self._answer, frames, window=window)
        finally:
            self._drafts = None
        if window.cancelled_caught:
            log.warning("transport.fallback", chat_id=self._place.key.chat_id, to="edit")
        return window.cancelled_caught

    async def _run_edits(self, latest: Latest) -> None:
        pace = FramePace(edit_spacing(self._settings.edit_interval, private=self._place.private))
        frames = Frames(self._outbox, self._answer, latest, pace, Cost.MESSAGE, least=FIRST_CHARACTERS)
        cursor = self._settings.cursor
        await run_edit_window(self._outbox, self._answer, frames, TypingPace(), cursor=cursor, button=self._button)

    def snapshot(self, frame: Frame) -> Unsealed | None:
        if self._settings.enabled:
            return self._answer.snapshot(frame)
        text = self._answer.uncommitted(frame)
        return Unsealed(self._settings.format, text) if text else None

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None:
        self._answer.commit(frame, mark, keyboard, quiet=quiet)

    def drop_keyboard(self) -> None:
        self._answer.drop_keyboard()

    def take_draft_away(self, place: Place) -> None:
        """A message of the bot's, which goes there, ends the draft that this answer may have there."""
        if self._drafts is not None and self._place.key == place.key:
            self._drafts.lose()

    def shows_draft(self, draft_id: int) -> bool:
        return self._answer.has_draft(draft_id)

    def shows_message(self, message_id: int) -> bool:
        return self._answer.has_message(message_id)


def _as_wanted(settings: StreamingSettings, mode: StreamMode) -> StreamingSettings:
    """A chat chooses how its answers grow, and that they don't; what is configured not to grow stays so."""
    if mode == "auto":
        return settings
    if mode == "off":
        return attrs.evolve(settings, enabled=False)
    return attrs.evolve(settings, transport=mode)


class TelegramScreen:
    """All chats of one bot."""

    def __init__(self, outbox: Outbox, settings: StreamingSettings) -> None:
        self._outbox = outbox
        self._settings = settings
        self._transports: WeakSet[TelegramTransport] = WeakSet()

    def open_transport(
        self,
        place: Place,
        *,
        mode: StreamMode,
        button: str,
        turn: int | None = None,
        sealed: Callable[[], object] = lambda: None,
    ) -> TelegramTransport:
        transport = TelegramTransport(self._outbox, place, _as_wanted(self._settings, mode), button, turn, sealed)
        self._transports.add(transport)
        return transport

    def notify(self, place: Place, message: FormattedText, keyboard: Keyboard = ()) -> None:
        self._outbox.commit(self._outbox.open_bubble(place), message, keyboard=keyboard)
        for transport in list(self._transports):
            transport.take_draft_away(place)

    def resend(self, letter: int) -> None:
        self._outbox.resend(letter)

    def note_message(self, place: Place) -> None:
        self._outbox.note_message(place)

    def answer_press(self, query_id: str, text: str = "") -> None:
        self._outbox.answer_press(query_id, text)
