"""What a restart finds of answers that were being written."""

from __future__ import annotations

import attrs

from triolet.core.conversation import ConversationKey, Message
from triolet.core.mailbox import Question
from triolet.core.text import Content


@attrs.frozen
class OpenTurn:
    """An answer that is being written, as far as a later run needs it.

    ``asked`` are the questions; ``update_ids`` those of all that it answers, what was said on its way included.
    ``began_at`` is in seconds since 1970, of the first ``attempt``. ``said`` is what the turn adds to the history so
    far; ``live`` what the message that grows shows of it, without a cursor, None for nothing. ``has_effects`` says that
    a tool that changes something has begun to run.
    """

    number: int
    key: ConversationKey
    asked: tuple[Question, ...]
    update_ids: tuple[int, ...]
    began_at: float
    attempt: int = 1
    said: tuple[Message, ...] = ()
    live: Content | None = None
    has_effects: bool = False
