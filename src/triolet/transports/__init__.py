"""THE WINDOWS: how an answer is shown.

A `Screen` is where a chat happens: Telegram, or a terminal. For each answer it opens a `Transport`, which one task
runs for as long as the answer grows. The answer's end, a stop, a fallback are cancelled scopes; a transport ends by
itself only when nobody can see anything any more. What is to stay is committed, synchronously, when its task is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from triolet.core.calls import Keyboard, Place
from triolet.core.coalescer import Frame
from triolet.core.commands import StreamMode
from triolet.core.markup.layout import Unsealed
from triolet.core.text import FormattedText
from triolet.transports.latest import Latest


class Transport(Protocol):
    """One answer's way to the eye."""

    async def run(self, latest: Latest) -> None:
        """Show the newest text again and again, until cancelled, or until nobody can see it."""
        ...

    def snapshot(self, frame: Frame) -> Unsealed | None:
        """What of the answer is in no message that was committed; None for nothing. Whole segments are, on the way."""
        ...

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None:
        """What stays on the screen: the answer, and a mark of how it ended. Called once, when `run` has ended.

        Where both are empty, nothing stays. The ``keyboard`` stands under the last message. A ``quiet`` end is shown
        in as few calls as possible, though nobody hears of it.
        """
        ...

    def drop_keyboard(self) -> None:
        """The buttons that were committed mean nothing any more."""
        ...

    def shows_draft(self, draft_id: int) -> bool:
        """Whether this answer is what a native Stop button with that id belongs to."""
        ...

    def shows_message(self, message_id: int) -> bool:
        """Whether that message is the one in which this answer grows."""
        ...


class Screen(Protocol):
    """Where a conversation is shown."""

    def open_transport(
        self,
        place: Place,
        *,
        mode: StreamMode,
        button: str,
        turn: int | None = None,
        sealed: Callable[[], object] = lambda: None,
    ) -> Transport:
        """For an answer as the chat wants it; ``button`` is the callback data of what stops it.

        ``turn`` is the answer's number in the store. ``sealed`` is called when a part of it has been committed while
        it goes on, in the same instant.
        """
        ...

    def notify(self, place: Place, message: FormattedText, keyboard: Keyboard = ()) -> None:
        """Show a message of the bot's own, once and for good."""
        ...

    def resend(self, letter: int) -> None:
        """Show a message again that nobody knows to be there; its number is the journal's."""
        ...

    def note_message(self, place: Place) -> None:
        """Somebody has just written the message that the place is an answer's to."""
        ...

    def answer_press(self, query_id: str, text: str) -> None:
        """Tell who pressed a button that it was heard; an empty text says only that."""
        ...
