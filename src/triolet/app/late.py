"""Messages that have waited so long that an answer might be a surprise: who wrote them is asked whether they want it.

A bot that was away for a night would otherwise wake people up with answers to what is no question any more.
"""

from __future__ import annotations

from typing import Final

from triolet.app.conversation import Services
from triolet.app.offers import Offers
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText
from triolet.core.updates import Incoming

ANSWER_BUTTON: Final = "▶ Answer now"


class Late:
    def __init__(self, services: Services, offers: Offers) -> None:
        self._services = services
        self._offers = offers
        self._asked: dict[tuple[ConversationKey, int], str] = {}

    def is_late(self, sent_at: float) -> bool:
        """Whether a message of that time, in seconds since 1970, is; 0 is for a time that nobody knows."""
        return bool(sent_at) and self._services.restart.is_late(sent_at)

    def offer(self, message: Incoming, place: Place) -> None:
        """Ask whether it is still to be answered, once for all that somebody wrote in a conversation."""
        person = (message.key, message.user_id)
        if not self._offers.extend(self._asked.get(person, ""), message.update_id):
            nonce = self._offers.issue("answer", place, user_ids=[message.user_id], update_ids=[message.update_id])
            self._asked[person] = nonce
            age = self._services.restart.wall_clock() - message.sent_at if message.sent_at else 0.0
            self._services.screen.notify(place, FormattedText(late_line(age)), ((ANSWER_BUTTON, nonce),))
        self._services.store.offer([message.update_id])

    def take_edit(self, message: Incoming) -> bool:
        """Whether it may be an edit of what somebody is asked about: then it goes with that."""
        if not self._offers.extend(self._asked.get((message.key, message.user_id), ""), message.update_id):
            return False
        self._services.store.offer([message.update_id])
        return True

    def forget(self, nonce: str) -> None:
        """The button was pressed: what comes from now on is asked about anew."""
        self._asked = {person: each for person, each in self._asked.items() if each != nonce}


def late_line(age: float) -> str:
    """What is asked about a message that is so many seconds old."""
    hours = int(age // 3600)
    ago = f"{hours} hours ago" if hours > 1 else "a while ago"
    return f"⏰ I was away when you wrote, {ago}. Shall I answer now?"
