"""One conversation: its waiting questions, and the turn that answers the first of them.

Posting is synchronous, so a stop is carried out at once whatever the turn is doing. A conversation runs while it has
something to do and is then forgotten: what it must remember is in the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import attrs
import structlog
import trio

from triolet.app.model import Model
from triolet.app.turn import Turn, run_turn
from triolet.core.coalescer import Coalescer
from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.delivery import Place
from triolet.core.events import Batch
from triolet.core.hidden import Hidden
from triolet.core.ports import History
from triolet.core.text import FormattedText, is_blank
from triolet.errors import StartError
from triolet.transports import Screen

log = structlog.get_logger()


@attrs.frozen
class Question:
    """What a user wants answered."""

    update_id: int
    place: Place
    text: str


@attrs.frozen
class Clear:
    """What a user wants forgotten: everything so far."""

    update_id: int
    place: Place


Task: TypeAlias = Question | Clear


@attrs.frozen
class Services:
    """What all conversations share."""

    model: Model
    history: History
    screen: Screen
    turns: trio.CapacityLimiter
    queue_limit: int
    hide_tags: tuple[str, ...]


class Conversation:
    def __init__(self, key: ConversationKey, services: Services) -> None:
        self._key = key
        self._services = services
        self._waiting: deque[Task] = deque()
        self._turn: Turn | None = None
        self._at_work = False
        self._is_full = False

    def post(self, task: Task) -> bool:
        """Take the task, in order; False if too many wait already, and the user has been told, once."""
        begun = 1 if self._at_work else 0  # what is posted first does not wait, even if its turn is yet to begin
        if len(self._waiting) + begun > self._services.queue_limit:
            self._refuse(task.place)
            return False
        self._waiting.append(task)
        return True

    def _refuse(self, place: Place) -> None:
        if not self._is_full:
            count = self._services.queue_limit
            notice = f"⏳ {count} messages are waiting already, and I take no more meanwhile. /stop drops them."
            self._services.screen.notify(place, FormattedText(notice))
        self._is_full = True

    def stop(self) -> tuple[bool, list[Question]]:
        """Stop the answer and drop the questions that wait; returns whether one was stopped, and what was dropped."""
        dropped = [task for task in self._waiting if isinstance(task, Question)]
        self._waiting = deque(task for task in self._waiting if not isinstance(task, Question))
        stopped = self._stop_turn(Ending.STOPPED, dropped_line(len(dropped)))
        return stopped, dropped

    def press_stop(self, draft_id: int) -> None:
        """Stop the answer that the draft belongs to; what waits is answered. Any other draft's button does nothing."""
        if self._turn is not None and self._turn.transport.shows_draft(draft_id):
            self._stop_turn(Ending.STOPPED, "")

    def shut_down(self) -> None:
        """Stop the answer and begin no other; what waits stays in the inbox."""
        self._waiting.clear()
        self._stop_turn(Ending.SHUTDOWN, "")

    def _stop_turn(self, ending: Ending, detail: str) -> bool:
        if self._turn is None or self._turn.ending is not None:
            return False
        self._turn.stop(ending, detail)
        return True

    async def run(self) -> None:
        """Work until nothing waits."""
        while self._waiting:
            self._at_work, self._is_full = True, False
            task = self._waiting.popleft()
            if isinstance(task, Question):
                await self._answer(task)
            else:
                await self._clear(task)

    async def _answer(self, question: Question) -> None:
        coalescer = Coalescer(Hidden(self._services.hide_tags))
        self._turn = Turn(self._services.screen.open_transport(question.place), coalescer)
        asked = Message.of("user", question.text)

        async def ask(emit: Callable[[Batch], None]) -> None:
            async with self._services.turns:
                said = await self._services.history.load(self._key)
                await self._services.model.ask([*said, asked], emit)

        async def record(turn: Turn) -> None:
            await self._record(turn, asked, question.update_id)

        try:
            await run_turn(self._turn, ask, record)
        finally:
            self._turn = None

    async def _record(self, turn: Turn, asked: Message, update_id: int) -> None:
        answer = turn.coalescer.text
        ending = turn.ending or Ending.SHUTDOWN
        messages = [asked, Message.of("assistant", answer, ending)] if not is_blank(answer) else [asked]
        await self._services.history.record(self._key, messages, finished=[update_id])

    async def _clear(self, task: Clear) -> None:
        try:
            await self._services.history.clear(self._key, finished=[task.update_id])
        except StartError as error:
            log.error("conversation.not_cleared", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            notice = "⚠ Nothing is forgotten: the bot's database cannot be used now."
        else:
            notice = "A new conversation. What was said is forgotten."
        self._services.screen.notify(task.place, FormattedText(notice))


def dropped_line(count: int) -> str:
    """What was dropped, for people; empty for nothing."""
    if not count:
        return ""
    return f"{count} waiting message{'s' if count > 1 else ''} dropped"
