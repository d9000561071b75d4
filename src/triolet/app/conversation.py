"""One conversation: its mailbox, and the turn that answers what came first.

Posting is synchronous, so a stop is carried out at once whatever the turn is doing. A conversation runs while it has
something to do and is then forgotten: what it must remember is in the store.

What a person says while they are being answered waits, or, as the chat has it, interrupts that answer, or steers it.
What others say always waits.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial

import attrs
import structlog
import trio

from triolet.app.agent import Agent
from triolet.app.approvals import Approvals
from triolet.app.book import Book, Checkpoints, RestartRules, messages_of
from triolet.app.messages import dropped_line
from triolet.app.model import Emit, Price
from triolet.app.offers import Offers
from triolet.app.turn import Turn, run_turn
from triolet.core.buttons import Button, Buttons
from triolet.core.calls import Keyboard, Place
from triolet.core.coalescer import Coalescer
from triolet.core.commands import PREFERENCES, UNSWITCHED, Preference, parse_stream_mode
from triolet.core.conversation import ConversationKey, Ending, Message, ToolCallPart
from triolet.core.ending import EDITED, GOES_ON
from triolet.core.load import Load
from triolet.core.mailbox import Clear, Mailbox, Question, Task
from triolet.core.ports import Store
from triolet.core.status import Status
from triolet.core.text import FormattedText
from triolet.core.transcript import Transcript
from triolet.core.usage import Tally, render_footer
from triolet.errors import ProviderError, StoreError
from triolet.observe.turns import Sill
from triolet.transports import Screen, Transport

log = structlog.get_logger()


@attrs.frozen
class Services:
    """What all conversations share."""

    agent: Agent
    store: Store
    screen: Screen
    turns: trio.CapacityLimiter
    queue_limit: int
    model: str = ""
    """What the model is called, for people."""
    preferences: Mapping[Preference, str] = attrs.Factory(lambda: UNSWITCHED)
    """What counts where a chat has switched nothing."""
    approval_seconds: float = 600.0
    hide_tags: tuple[str, ...] = ()
    footer: bool = False
    price: Price = lambda model, usage: None
    restart: RestartRules = attrs.Factory(lambda: RestartRules(time.time))
    sill: Sill = attrs.Factory(lambda: Sill({}))
    load: Load = attrs.Factory(Load)
    owner: int | None = None
    buttons: Buttons = attrs.Factory(lambda: Buttons(partial(secrets.token_urlsafe, 12)))
    checkpoints: Checkpoints = attrs.field()

    @checkpoints.default
    def _of_the_store(self) -> Checkpoints:
        return Checkpoints(self.store, self.load)


class Conversation:
    """``offers`` are the buttons that outlive it; ``relieved`` is called when something is done.

    ``switched`` tells what a chat has switched just now, which counts before it is kept.
    """

    def __init__(
        self,
        key: ConversationKey,
        services: Services,
        offers: Offers,
        switched: Callable[[ConversationKey], Mapping[Preference, str]],
        relieved: Callable[[], object],
    ) -> None:
        self._key = key
        self._pressed_in = key
        """Where its buttons are pressed: the chat may become another one."""
        self._services = services
        self._offers = offers
        self._switched = switched
        self._relieved = relieved
        self._mailbox = Mailbox(services.queue_limit)
        self._turn: Turn | None = None
        self._book: Book | None = None
        """That of the turn."""
        self._began: float | None = None
        """When it was its turn."""
        self._preferences: dict[Preference, str] = {}
        self._said: list[Message] | None = None
        """What was said before, if that has been read just now."""
        self._shown_at: Place | None = None
        self._approvals = Approvals(services.buttons, services.approval_seconds)

    def post(self, task: Task, *, limited: bool = True) -> bool:
        """Take the task, in order; False for a question if too many wait already, and the user has been told, once."""
        if not self._mailbox.post(task, limited=limited):
            if self._mailbox.refused == 1:
                self._tell_full(task.place)
            return False
        if isinstance(task, Question) and self._wanted("busy") == "interrupt" and self._answers(task.user_id):
            self._stop_turn(Ending.INTERRUPTED, "")
        return True

    def _answers(self, user_id: int) -> bool:
        """Whether that person is being answered; what other people want is no reason to trouble them."""
        return self._book is not None and any(each.user_id == user_id for each in self._book.asked)

    def _tell_full(self, place: Place) -> None:
        count = self._services.queue_limit
        notice = f"⏳ {count} messages are waiting already, and I take no more meanwhile. /stop drops them."
        self._services.screen.notify(place, FormattedText(notice))

    def edit(self, edited: Question) -> bool:
        """Take a message's new text; False if it changes nothing.

        A question that waits is changed where it waits. One that is being answered is asked again instead, with all
        that was asked together with it, or said on the way.
        """
        if self._mailbox.edit(edited):
            return True
        book = self._book
        if book is None or not any(each.is_edited_by(edited) and each.text != edited.text for each in book.asked):
            return False
        if not self._stop_turn(Ending.INTERRUPTED, EDITED):
            return False
        asked = [each.edited(edited) if each.is_edited_by(edited) else each for each in book.asked]
        self._mailbox.post_first(*asked, *book.steered)
        book.is_asked_again = True
        return True

    def stop(self, ending: Ending = Ending.STOPPED) -> tuple[bool, list[Question]]:
        """Stop the answer and drop the questions that wait; returns whether one was stopped, and what was dropped."""
        dropped = self._mailbox.drop()
        stopped = self._stop_turn(ending, dropped_line(len(dropped)) if ending is Ending.STOPPED else "")
        return stopped, dropped

    def prefer(self, preference: Preference, value: str) -> None:
        """The chat has switched: it counts from the next answer on, or for ``busy`` from the next message on."""
        self._preferences[preference] = value

    def _wanted(self, preference: Preference) -> str:
        switched = self._switched(self._pressed_in).get(preference)
        return switched or self._preferences.get(preference) or self._services.preferences[preference]

    @property
    def status(self) -> Status:
        """What it is at."""
        waiting = len(self._mailbox.questions)
        if self._turn is None or self._turn.ending is not None:
            return Status(waiting=waiting)
        if self._began is None:
            return Status(awaits="other answers to end", waiting=waiting)
        return Status(trio.current_time() - self._began, self._turn.coalescer.awaits, waiting)

    def move(self, chat_id: int) -> None:
        """The chat is that one now."""
        self._key = self._pressed_in = ConversationKey(chat_id, self._key.thread_id)
        if self._book is not None:
            self._book.key = self._key

    @property
    def chat_id(self) -> int:
        """The chat, as it is now."""
        return self._pressed_in.chat_id

    def is_at(self, key: ConversationKey) -> bool:
        """Whether it is that one's, or its answer goes there now: where a topic is gone, that is the chat itself."""
        return self._pressed_in == key or (self._shown_at is not None and self._shown_at.key == key)

    def press_stop(self, draft_id: int) -> None:
        """Stop the answer that the draft belongs to; what waits is answered. Any other draft's button does nothing."""
        if self._turn is not None and self._turn.transport.shows_draft(draft_id):
            self._stop_turn(Ending.STOPPED, "")

    def decide(self, user_id: int, *, allowed: bool) -> bool:
        """Answer what that person is asked; False if nothing is."""
        return self._approvals.decide(user_id, allowed=allowed)

    @property
    def load(self) -> int:
        """How many questions are being answered, or wait; an answer that has ended, written down or not, is neither."""
        return len(self._mailbox.questions) + (self._turn is not None and self._turn.ending is None)

    def close(self) -> None:
        """Begin no other answer; what waits stays in the inbox. One that waits for a person cannot be decided now."""
        self._mailbox.close()
        if self._began is None or self._approvals.is_asking:
            self.shut_down()

    def shut_down(self) -> None:
        """Stop the answer and begin no other."""
        self._mailbox.close()
        self._stop_turn(Ending.SHUTDOWN, "")

    def _stop_turn(self, ending: Ending, detail: str) -> bool:
        if self._turn is None or self._turn.ending is not None:
            return False
        self._turn.stop(ending, detail)
        if self._book is not None and ending in {Ending.STOPPED, Ending.UNSEEN}:
            self._book.note_stop(ending)
        return True

    async def run(self) -> None:
        """Work until nothing waits."""
        await self._recall()
        while self._mailbox:
            task = self._mailbox.take(together=self._wanted("busy") == "interrupt")
            if isinstance(task, Clear):
                await self._clear(task)
            else:
                await self._answer(task)
            self._said = None  # whoever has not read it, because it was stopped before, has added to it
            self._relieved()

    async def _recall(self) -> None:
        try:
            recalled = await self._services.store.recall(self._key)
        except StoreError as error:
            log.error("conversation.not_recalled", problem=str(error))  # noqa: TRY400  # a full disk needs no traceback
            return
        self._said = recalled.messages
        kept: dict[Preference, str] = {name: recalled.switched.get(name, "") for name in PREFERENCES}
        self._preferences = kept | self._preferences  # what was switched meanwhile is newer

    async def _answer(self, questions: tuple[Question, ...]) -> None:
        """Answer them as one: each was said, and the answer is a reply to the last."""
        question = questions[-1]
        self._began, self._shown_at = None, question.place
        store, number = self._services.store, self._services.store.draw_number()
        button = self._issue_stop_button(question)
        mode = parse_stream_mode(self._wanted("stream")) or "auto"
        transport = self._services.screen.open_transport(
            question.place, mode=mode, button=button, turn=number, sealed=self._note_sealed
        )
        tags = self._services.hide_tags
        turn = self._turn = Turn(
            transport,
            Coalescer(tags, reasoning=self._wanted("reasoning") == "on"),
            Transcript(tags),
            offer=partial(self._offer, question, transport),
            remark=self._remark,
            footer=self._footer,
            watch=self._services.sill.watch(self._key),
            load=self._services.load,
        )
        book = self._book = Book(number, self._key, questions, turn, store, self._services.restart)

        async def ask(emit: Emit) -> None:
            async def approve(call: ToolCallPart) -> bool:
                key, shown_by = self._pressed_in, transport.shows_message
                return await self._approvals.ask(call, emit, key=key, user_id=question.user_id, shown_by=shown_by)

            async with self._services.turns:
                self._began = trio.current_time()
                said = [*await self._load(), *messages_of(questions)]
                with store.unit():  # behind the reading, which would have to wait for it; the model need not
                    self._offers.forget(self._pressed_in, "continue")  # that is not the last answer any more
                    book.open()
                await self._services.agent.answer(said, emit, approve, self._steer, book, turn.latest.rest)

        try:
            with self._services.checkpoints.keeping(book):
                await run_turn(turn, ask, lambda turn: book.close(self._services.price), store.unit)
        finally:
            self._turn = self._book = self._shown_at = None
            self._services.buttons.revoke(button)

    def _note_sealed(self) -> None:
        if self._book is not None:
            self._book.note_sealed()

    async def _load(self) -> list[Message]:
        said, self._said = self._said, None
        if said is not None:
            return said
        try:
            return await self._services.store.load(self._key)
        except StoreError as error:
            raise ProviderError("the bot's database cannot be read now; ask again later") from error

    def _steer(self) -> list[Message]:
        """Take in what who is being answered has said meanwhile; an answer that is being stopped takes nothing in."""
        if self._wanted("busy") != "steer" or self._book is None or self._book.turn.ending is not None:
            return []
        taken = self._mailbox.take_from(self._book.asked[-1].user_id)
        self._book.steered += taken
        return messages_of(taken)

    def _issue_stop_button(self, question: Question) -> str:
        users = {question.user_id} | ({self._services.owner} if self._services.owner else set())

        def press(update_id: int) -> list[int]:
            self._stop_turn(Ending.STOPPED, "")
            return [update_id]

        return self._services.buttons.issue(Button(press, self._pressed_in, users, self._shows_message))

    def _shows_message(self, message_id: int) -> bool:
        return self._turn is not None and self._turn.transport.shows_message(message_id)

    def _offer(self, question: Question, transport: Transport, ending: Ending) -> Keyboard:
        """An answer that broke off, or reached its longest, can be continued by who asked."""
        is_broken = ending in {Ending.FAILED, Ending.LENGTH}
        if not is_broken and not (self._book is not None and self._book.next_step(ending) == "offer"):
            return ()
        place = attrs.evolve(question.place, key=self._pressed_in)  # wherever the answer has landed: a topic may close
        nonce = self._offers.issue("continue", place, user_ids=[question.user_id], also=transport.drop_keyboard)
        return ((CONTINUE_BUTTON, nonce),)

    def _remark(self, ending: Ending) -> str:
        step = self._book and self._book.next_step(ending)
        return GOES_ON if step in {"afresh", "continue"} else ""

    def _footer(self, tally: Tally) -> str:
        return render_footer(tally.spent(self._services.price)) if self._services.footer else ""

    async def _clear(self, task: Clear) -> None:
        store = self._services.store
        try:
            await store.clear(self._key)
        except StoreError:
            notice = "⚠ Nothing is forgotten: the bot's database cannot be used now."
        else:
            notice = "A new conversation. What was said is forgotten."
        with store.unit():
            self._offers.forget(self._pressed_in, "continue")
            self._services.screen.notify(task.place, FormattedText(notice))
            store.finish(task.update_ids)


CONTINUE_BUTTON = "▶ Continue"
