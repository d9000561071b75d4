"""A message as the question that it is."""

from __future__ import annotations

from triolet.app.messages import place_of, question_of
from triolet.core.conversation import ConversationKey
from triolet.core.updates import Incoming

TOPIC = ConversationKey(-100, 7)


def test_message_is_a_question_to_be_answered_where_it_was_asked() -> None:
    message = Incoming(5, TOPIC, 1001, 9, private=False, addressed=True, text="Why?", forum=True, sent_at=3.0)
    question = question_of(message)
    assert (question.update_ids, question.user_id, question.text, question.message_id) == ((5,), 1001, "Why?", 9)
    place = question.place
    assert (place.key, place.private, place.asked, place.forum, place.asker) == (TOPIC, False, 9, True, 1001)
    assert place_of(message).reply_to == 9
