"""A message as what it asks for: where its answer goes, and the question that it is; and a line about dropped ones."""

from __future__ import annotations

from triolet.core.calls import Place
from triolet.core.mailbox import Question
from triolet.core.updates import Incoming


def place_of(message: Incoming) -> Place:
    return Place(message.key, message.private, message.message_id, forum=message.forum, asker=message.user_id)


def question_of(message: Incoming) -> Question:
    return Question((message.update_id,), place_of(message), message.user_id, message.text, message.message_id)


def dropped_line(count: int) -> str:
    """What was dropped, for people; empty for nothing."""
    if not count:
        return ""
    return f"{count} waiting message{'s' if count > 1 else ''} dropped"
