"""What becomes of an answer that was being written when the bot ended.

Rules:

1. What was said is kept, on the screen and in the history, marked with what happened to it.
2. What nobody has seen anything of is answered as if it had just been asked; of what was said a part, the rest is asked
   for. As configured, a person decides that (*ask*), or nobody does (*off*).
3. Where a tool with effects has begun, a person decides: whether it did anything, only they can find out.
4. A person decides as well when nobody knows whether they still care, and when the bot has ended over the same answer
   `ATTEMPTS` times: it may be the answer that ends it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.mailbox import Question
from triolet.core.markup.layout import Unsealed

Resume: TypeAlias = Literal["auto", "ask", "off"]

ATTEMPTS: Final = 3


@attrs.frozen
class OpenTurn:
    """An answer that is being written, as far as a later run needs it.

    ``asked`` are the questions; ``update_ids`` those of all that it answers, what was said on its way included.
    ``began_at``, in seconds since 1970, is when this ``attempt`` did. ``said`` is what the turn adds to the history so
    far; ``live`` what of it is in no message that was committed, None for nothing. ``has_effects`` says that a tool
    that changes something has begun to run; ``ending`` that a person has ended it.
    """

    number: int
    key: ConversationKey
    asked: tuple[Question, ...]
    update_ids: tuple[int, ...]
    began_at: float
    attempt: int = 1
    said: tuple[Message, ...] = ()
    live: Unsealed | None = None
    has_effects: bool = False
    ending: Ending | None = None

    @property
    def has_spoken(self) -> bool:
        return any(message.role == "assistant" and message.text.strip() for message in self.said)

    @property
    def is_begun(self) -> bool:
        """Whether to answer it from the beginning would be to say, or to do, something twice."""
        return self.has_spoken or self.has_effects


NextStep: TypeAlias = Literal["afresh", "continue", "offer", "close"]
"""Answer it from the beginning; ask for the rest; let a person decide; leave it at that."""


def next_step(turn: OpenTurn, *, resume: Resume, now: float, max_age: float) -> NextStep:
    """What becomes of the answer; ``now`` and ``max_age`` are in seconds, ``now`` since 1970."""
    if resume == "off" or turn.ending is not None:
        return "close"
    is_old = now - turn.began_at > max_age
    if resume == "ask" or turn.has_effects or turn.attempt >= ATTEMPTS or is_old:
        return "offer"
    return "continue" if turn.has_spoken else "afresh"
