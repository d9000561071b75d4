"""The queue of updates that wait for the bot, and the long polls that wait for updates.

Rule 1: an offset acknowledges every update below it; a negative one keeps the last so many and forgets the rest.
Rule 2: ``allowed_updates`` stays in force until it is given again, and concerns updates made after that.
Rule 3: the newest poll is the only one: it ends the one before it with a 409.
Rule 4: an update nobody fetched dies after 24 hours, a button press after 150 seconds.

Rules 1 and 2 are ``getUpdates`` in core.telegram.org/bots/api; 3 and 4 were read in tdlib/telegram-bot-api.
"""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import attrs

from triolet.emulator.answers import Refused

Update: TypeAlias = dict[str, Any]

KINDS = frozenset({
    "message", "edited_message", "channel_post", "edited_channel_post", "business_connection", "business_message",
    "edited_business_message", "deleted_business_messages", "guest_message", "message_reaction",
    "message_reaction_count", "inline_query", "chosen_inline_result", "callback_query", "shipping_query",
    "pre_checkout_query", "purchased_paid_media", "poll", "poll_answer", "my_chat_member", "chat_member",
    "chat_join_request", "chat_boost", "removed_chat_boost", "managed_bot", "subscription",
    "stopped_message_generation",
})  # fmt: skip
DEFAULT = KINDS - {"chat_member", "message_reaction", "message_reaction_count"}
LIFE = 24 * 3600.0
LIVES = {"callback_query": 150.0}

TERMINATED = Refused(
    409,
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
)


@attrs.frozen
class _Queued:
    update: Update
    dies: float


@attrs.define(eq=False)
class Poll:
    """One getUpdates call until it is answered, at the latest at ``deadline``."""

    limit: int
    deadline: float
    terminated: bool = False


class UpdateQueue:
    """Updates in the order they were made; ids are sequential from ``first_id``."""

    def __init__(self, first_id: int) -> None:
        self.allowed = DEFAULT
        self._next_id = first_id
        self._queue: deque[_Queued] = deque()
        self._poll: Poll | None = None

    def __repr__(self) -> str:
        return f"<UpdateQueue: {len(self._queue)} pending, next id {self._next_id}>"

    @property
    def pending(self) -> list[Update]:
        """Everything not acknowledged, oldest first."""
        return [queued.update for queued in self._queue]

    def push(self, kind: str, payload: dict[str, Any], now: float) -> int | None:
        """Queue an update and return its id, or make none if the bot did not ask for this kind."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of update")
        if kind not in self.allowed:
            return None
        update = {"update_id": self._next_id, kind: payload}
        self._queue.append(_Queued(update, now + LIVES.get(kind, LIFE)))
        self._next_id += 1
        return self._next_id - 1

    def drop_all(self) -> None:
        self._queue.clear()

    def begin(self, params: dict[str, Any], now: float) -> Poll:
        """Take a getUpdates call: acknowledge, remember what it allows, and end the poll before it."""
        self._allow(params.get("allowed_updates"))
        self._acknowledge(params.get("offset", 0))
        timeout = min(max(params.get("timeout", 0), 0), 50)
        if self._poll is not None:
            self._poll.terminated = True
        limit = params.get("limit", 100)
        # the server's rule: a limit outside 1 to 100 counts as 100
        self._poll = Poll(limit if 1 <= limit <= 100 else 100, now + timeout)
        return self._poll

    def fetch(self, poll: Poll, now: float) -> list[Update] | None:
        """What ``poll`` is answered with, or ``None`` while it has to wait."""
        if poll.terminated:
            raise TERMINATED
        self._bury(now)
        if not self._queue and now < poll.deadline:
            return None
        return self.pending[: poll.limit]

    def end(self, poll: Poll) -> None:
        """The poll's client left: there is nobody to end for the next one."""
        if self._poll is poll:
            self._poll = None

    def _allow(self, kinds: list[Any] | None) -> None:
        if kinds is not None:
            self.allowed = KINDS & {kind for kind in kinds if isinstance(kind, str)} or DEFAULT

    def _acknowledge(self, offset: int) -> None:
        while offset < 0 and len(self._queue) > -offset:
            self._queue.popleft()
        while self._queue and self._queue[0].update["update_id"] < offset:
            self._queue.popleft()

    def _bury(self, now: float) -> None:
        self._queue = deque(queued for queued in self._queue if queued.dies > now)
