"""THE WINDOWS: how an answer is shown.

A `Screen` is where a chat happens: Telegram, or a terminal. For each answer it opens a `Transport`, which one task
runs for as long as the answer grows. A transport never ends by itself: the answer's end, a stop, a fallback are
cancelled scopes. What is to stay is committed, synchronously, after the transport's task has ended.
"""

from __future__ import annotations

from typing import Protocol

from triolet.core.delivery import Place
from triolet.core.text import FormattedText
from triolet.transports.latest import Latest


class Transport(Protocol):
    """One answer's way to the eye."""

    async def run(self, latest: Latest) -> None:
        """Show the newest text again and again, until cancelled."""
        ...

    def commit(self, message: FormattedText) -> None:
        """What stays on the screen: called once, when `run` has ended."""
        ...

    def shows_draft(self, draft_id: int) -> bool:
        """Whether this answer is what a native Stop button with that id belongs to."""
        ...


class Screen(Protocol):
    """Where a conversation is shown."""

    def open_transport(self, place: Place) -> Transport: ...

    def notify(self, place: Place, message: FormattedText) -> None:
        """Show a message of the bot's own, once and for good."""
        ...
