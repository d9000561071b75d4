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

from triolet.app.agent import Agent
from triolet.app.approvals import Approvals
from triolet.app.model import Emit, Price
from triolet.app.turn import Turn, run_turn
from triolet.core.buttons import Button, Buttons
from triolet.core.calls import Keyboard, Place
from triolet.core.coalescer import Coalescer
from triolet.core.commands import PREFERENCES, Preference, parse_stream_mode
from triolet.core.conversation import ConversationKey, Ending, Message, ToolCallPart
from triolet.core.ports import Store
from triolet.core.text import FormattedText
from triolet.core.transcript import Transcript
from triolet.core.usage import Tally, render_footer
from triolet.errors import StartError
from triolet.observe.turns import Sill
from triolet.transports import Screen, Transport

log = structlog.get_logger()


@attrs.frozen
class Question:
    """What a user wants answered; one that no update asked has no ``update_id``."""

    update_id: int | None
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
    preference: Preference
    value: str


Task: TypeAlias = Question | Clear | Switch


@attrs.frozen
class Services:
    """What all conversations share."""

    agent: Agent
    store: Store
    screen: Screen
    turns: trio.CapacityLimiter
    queue_limit: int
    approval_seconds: float = 600.0
    hide_tags: tuple[str, ...] = ()
    footer: bool = False
    price: Price = lambda model, usage: None
    sill: Sill = attrs.Factory(lambda: Sill({}))
    owner: int | None = None
    buttons: Buttons = attrs.Factory(lambda: Buttons(partial(secrets.token_urlsafe, 12)))


class Conversation:
    """``post`` takes a question that a button asks, at any time, even if this conversation is over by then."""

    def __init__(self, key: ConversationKey, services: Services, post: Callable[[Task], object]) -> None:
        self._key = key
        self._pressed_in = key
        """Where its buttons are pressed: the chat may become another one."""
        self._services = services
        self._post = post
        self._waiting: deque[Task] = deque()
        self._turn: Turn | None = None
        self._at_work = False
        self._is_full = False
        self._preferences: dict[Preference, str] = {}
        self._shown_at: Place | None = None
        self._approvals = Approvals(services.buttons, services.approval_seconds)

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

    def move(self, chat_id: int) -> None:
        """The chat is that one now."""
        self._pressed_in = ConversationKey(chat_id, self._key.thread_id)

    def is_shown_in(self, key: ConversationKey) -> bool:
        """Whether its answer goes there now: where a topic is gone, that is the chat itself."""
        return self._shown_at is not None and self._shown_at.key == key

    def press_stop(self, draft_id: int) -> None:
        """Stop the answer that the draft belongs to; what waits is answered. Any other draft's button does nothing."""
        if self._turn is not None and self._turn.transport.shows_draft(draft_id):
            self._stop_turn(Ending.STOPPED, "")

    def decide(self, user_id: int, *, allowed: bool) -> bool:
        """Answer what that person is asked; False if nothing is."""
        return self._approvals.decide(user_id, allowed=allowed)

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
        self._preferences = {preference: await self._load(preference) for preference in PREFERENCES}
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
        self._services.buttons.forget(self._pressed_in)  # what could be continued is not the last answer any more
        button = self._issue_stop_button(question)
        mode = parse_stream_mode(self._preferences["stream"]) or "auto"
        transport = self._services.screen.open_transport(question.place, mode=mode, button=button)
        tags = self._services.hide_tags
        self._turn = Turn(
            transport,
            Coalescer(tags, reasoning=self._preferences["reasoning"] == "on"),
            Transcript(tags),
            offer=partial(self._offer, question, transport),
            footer=self._footer,
            watch=self._services.sill.watch(self._key),
        )
        asked = Message.of("user", question.text)

        async def ask(emit: Emit) -> None:
            async def approve(call: ToolCallPart) -> bool:
                key, shown_by = self._pressed_in, transport.shows_message
                return await self._approvals.ask(call, emit, key=key, user_id=question.user_id, shown_by=shown_by)

            async with self._services.turns:
                said = await self._services.store.load(self._key)
                await self._services.agent.answer([*said, asked], emit, approve)

        async def record(turn: Turn) -> None:
            await self._record(turn, asked, question)

        try:
            await run_turn(self._turn, ask, record)
        finally:
            self._turn = self._shown_at = None
            self._services.buttons.revoke(button)

    def _issue_stop_button(self, question: Question) -> str:
        users = {question.user_id} | ({self._services.owner} if self._services.owner else set())
        press = partial(self._stop_turn, Ending.STOPPED, "")
        return self._services.buttons.issue(Button(press, self._pressed_in, users, self._shows_message))

    def _shows_message(self, message_id: int) -> bool:
        return self._turn is not None and self._turn.transport.shows_message(message_id)

    def _offer(self, question: Question, transport: Transport, ending: Ending) -> Keyboard:
        """An answer that broke off, or reached its longest, can be continued by who asked."""
        if ending not in {Ending.FAILED, Ending.LENGTH}:
            return ()

        def press() -> None:
            transport.drop_keyboard()
            self._post(Question(None, question.place, question.user_id, CONTINUE))

        button = Button(press, self._pressed_in, {question.user_id}, transport.shows_message)
        return (("▶ Continue", self._services.buttons.issue_lasting(button)),)

    def _footer(self, tally: Tally) -> str:
        return render_footer(tally.spent(self._services.price)) if self._services.footer else ""

    async def _record(self, turn: Turn, asked: Message, question: Question) -> None:
        said = turn.transcript.finish(turn.ending or Ending.SHUTDOWN)
        await self._services.store.record(
            self._key,
            [asked, *said],
            finished=finished_by(question),
            spent=turn.tally.spent(self._services.price),
            user_id=question.user_id,
        )

    async def _clear(self, task: Clear) -> None:
        try:
            await self._services.store.clear(self._key, finished=[task.update_id])
        except StartError as error:
            log.error("conversation.not_cleared", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            notice = "⚠ Nothing is forgotten: the bot's database cannot be used now."
        else:
            self._services.buttons.forget(self._pressed_in)
            notice = "A new conversation. What was said is forgotten."
        self._services.screen.notify(task.place, FormattedText(notice))

    async def _load(self, preference: Preference) -> str:
        try:
            return await self._services.store.get(_chat_of(self._key), preference) or ""
        except StartError as error:
            log.error("conversation.no_preferences", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            return ""

    async def _switch(self, task: Switch) -> None:
        chat = _chat_of(self._key)
        try:
            await self._services.store.put(chat, task.preference, task.value, finished=[task.update_id])
        except StartError as error:
            log.error("conversation.not_switched", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            notice = "⚠ Nothing is changed: the bot's database cannot be used now."
        else:
            self._preferences[task.preference] = task.value
            notice = PREFERENCES[task.preference][task.value]
        self._services.screen.notify(task.place, FormattedText(notice))


CONTINUE = "Continue your answer exactly where it broke off, without repeating anything."
"""What the button of a broken answer asks."""


def finished_by(task: Task) -> list[int]:
    """The updates that need no more work when the task is done."""
    return [] if task.update_id is None else [task.update_id]


def _chat_of(key: ConversationKey) -> ConversationKey:
    return ConversationKey(key.chat_id)


def dropped_line(count: int) -> str:
    """What was dropped, for people; empty for nothing."""
    if not count:
        return ""
    return f"{count} waiting message{'s' if count > 1 else ''} dropped"
