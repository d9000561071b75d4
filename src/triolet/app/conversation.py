"""One conversation: its waiting questions, and the turn that answers the first of them.

Posting is synchronous, so a stop is carried out at once whatever the turn is doing. A conversation runs while it has
something to do and is then forgotten: what it must remember is in the store.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import attrs
import structlog
import trio

from triolet.app.model import Model
from triolet.app.turn import Turn, run_turn
from triolet.core.buttons import Action, Button, Buttons
from triolet.core.calls import Place
from triolet.core.coalescer import Coalescer
from triolet.core.commands import StreamMode, parse_stream_mode
from triolet.core.conversation import ConversationKey, Ending, Message
from triolet.core.events import Batch
from triolet.core.ports import History, Preferences
from triolet.core.text import FormattedText, is_blank
from triolet.errors import StartError
from triolet.transports import Screen

log = structlog.get_logger()


@attrs.frozen
class Question:
    """What a user wants answered."""

    update_id: int
    place: Place
    user_id: int
    text: str


@attrs.frozen
class Clear:
    """What a user wants forgotten: everything so far."""

    update_id: int
    place: Place


@attrs.frozen
class Switch:
    """How a user wants the answers from now on."""

    update_id: int
    place: Place
    mode: StreamMode


Task: TypeAlias = Question | Clear | Switch


@attrs.frozen
class Services:
    """What all conversations share."""

    model: Model
    history: History
    preferences: Preferences
    screen: Screen
    turns: trio.CapacityLimiter
    queue_limit: int
    hide_tags: tuple[str, ...] = ()
    owner: int | None = None
    buttons: Buttons = attrs.Factory(lambda: Buttons(partial(secrets.token_urlsafe, 12)))


class Conversation:
    def __init__(self, key: ConversationKey, services: Services) -> None:
        self._key = key
        self._services = services
        self._waiting: deque[Task] = deque()
        self._turn: Turn | None = None
        self._at_work = False
        self._is_full = False
        self._mode: StreamMode = "auto"
        self._shown_at: Place | None = None

    def post(self, task: Task) -> bool:
        """Take the task, in order; False for a question if too many wait already, and the user has been told, once."""
        begun = 1 if self._at_work else 0  # what is posted first does not wait, even if its turn is yet to begin
        questions = sum(isinstance(each, Question) for each in self._waiting)
        if isinstance(task, Question) and questions + begun > self._services.queue_limit:
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

    def is_shown_in(self, key: ConversationKey) -> bool:
        """Whether its answer goes there now: where a topic is gone, that is the chat itself."""
        return self._shown_at is not None and self._shown_at.key == key

    def press_stop(self, draft_id: int) -> None:
        """Stop the answer that the draft belongs to; what waits is answered. Any other draft's button does nothing."""
        if self._turn is not None and self._turn.transport.shows_draft(draft_id):
            self._stop_turn(Ending.STOPPED, "")

    def press_button(self, action: Action) -> None:
        """Do what a button under the answer says; what waits is answered."""
        if action is Action.STOP:
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
        self._mode = await self._load_mode()
        while self._waiting:
            self._at_work, self._is_full = True, False
            task = self._waiting.popleft()
            if isinstance(task, Question):
                await self._answer(task)
            elif isinstance(task, Clear):
                await self._clear(task)
            else:
                await self._switch(task)

    async def _answer(self, question: Question) -> None:
        self._shown_at = question.place
        button = self._issue_stop_button(question)
        transport = self._services.screen.open_transport(question.place, mode=self._mode, button=button)
        self._turn = Turn(transport, Coalescer(self._services.hide_tags))
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
            self._turn = self._shown_at = None
            self._services.buttons.revoke(button)

    def _issue_stop_button(self, question: Question) -> str:
        users = {question.user_id} | ({self._services.owner} if self._services.owner else set())
        stop = Button(Action.STOP, self._key, users, self._shows_message)
        return self._services.buttons.issue(stop)

    def _shows_message(self, message_id: int) -> bool:
        return self._turn is not None and self._turn.transport.shows_message(message_id)

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

    async def _load_mode(self) -> StreamMode:
        try:
            kept = await self._services.preferences.get(_chat_of(self._key), STREAM)
        except StartError as error:
            log.error("conversation.no_preferences", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            kept = None
        return parse_stream_mode(kept or "") or "auto"

    async def _switch(self, task: Switch) -> None:
        try:
            await self._services.preferences.put(_chat_of(self._key), STREAM, task.mode, finished=[task.update_id])
        except StartError as error:
            log.error("conversation.not_switched", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            notice = "⚠ Nothing is changed: the bot's database cannot be used now."
        else:
            self._mode = task.mode
            notice = _SWITCHED[task.mode]
        self._services.screen.notify(task.place, FormattedText(notice))


STREAM = "stream"
"""The name of the preference that `Switch` keeps, for a chat with all its topics."""

_SWITCHED: dict[StreamMode, str] = {
    "auto": "Answers grow as you watch: as drafts where there are drafts, as an edited message elsewhere.",
    "draft": "Answers grow as drafts where there are drafts, as an edited message elsewhere.",
    "edit": "Answers grow in a message that is edited.",
    "off": "Answers come whole, when they are complete.",
}


def _chat_of(key: ConversationKey) -> ConversationKey:
    return ConversationKey(key.chat_id)


def dropped_line(count: int) -> str:
    """What was dropped, for people; empty for nothing."""
    if not count:
        return ""
    return f"{count} waiting message{'s' if count > 1 else ''} dropped"
