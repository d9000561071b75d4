"""What survives of a message that the bot has promised: a letter in its journal.

A letter is written down before a call about it leaves, and again when its outcome is known, so that a later run knows
of every message what became of it. Its states:

- *pending*: to be shown for good. What edits it may be repeated at any time; what sends it has not left.
- *sending*: the call that makes its message has left, and nobody knows its outcome. Whoever finds it so looks for the
  message, and never sends it blindly.
- *sent*: its message is on the screen.
- *uncertain*: nobody knows whether it is on the screen, and whoever waits for it has been told.
- *dead*: it cannot be delivered; ``reason`` says why.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from triolet.core.calls import Keyboard, Place
from triolet.core.text import Content

LetterState: TypeAlias = Literal["pending", "sending", "sent", "uncertain", "dead"]


@attrs.frozen
class Letter:
    """One message; ``number`` is its own, and those of a chat are delivered in the order of their numbers.

    It belongs to the answer ``turn``, or to none. ``growing`` says that it is a preview, which shows what there is so
    far: it has a ``content`` only if nobody knows whether it was sent, and it is to show that for good. ``message_id``
    is that of its message in the chat of ``place``, None while it has none; a message that has to be removed is a
    letter of its own, growing and pending. ``newest`` is the highest message id that was known in the chat before it
    was sent, 0 for none: if it was sent, it has one of the next ids. With ``anew`` what is on screen of it is replaced
    by a new message, which rings. ``silent`` and ``replies`` are `Bubble`'s.
    """

    number: int
    place: Place
    state: LetterState = "pending"
    turn: int | None = None
    growing: bool = False
    content: Content | None = None
    keyboard: Keyboard = ()
    anew: bool = False
    silent: bool = False
    replies: bool = True
    message_id: int | None = None
    newest: int = 0
    reason: str = ""

    @property
    def is_preview(self) -> bool:
        """Whether nothing is to stay of it yet."""
        return self.growing and self.content is None


@attrs.frozen
class Undelivered:
    """A letter that nobody has seen, or maybe not, for people to read; ``at`` is in seconds since 1970."""

    number: int
    chat_id: int
    state: LetterState
    reason: str
    at: float
    beginning: str
    """Of its text: a few words."""
