"""The supervisor: every update goes to its conversation, and a conversation's trouble stays its own.

Dispatching is synchronous: no chat's slowness can hold up another's update, or its own /stop.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog
import trio

from triolet.app.book import CONTINUE
from triolet.app.conversation import Conversation, Services
from triolet.app.door import Door
from triolet.app.help import HELP, START
from triolet.app.late import Late
from triolet.app.messages import dropped_line, place_of, question_of
from triolet.app.offers import Offers
from triolet.app.preferences import Switch, Switches
from triolet.app.reports import tell_status, tell_usage
from triolet.core.buttons import Button, KeptButton
from triolet.core.calls import Place
from triolet.core.commands import PREFERENCES, Access, Command, parse_command, parse_switch
from triolet.core.conversation import ConversationKey, Ending
from triolet.core.mailbox import Clear, Question, Task
from triolet.core.ports import RawUpdate, Unfinished
from triolet.core.status import Status
from triolet.core.text import FormattedText
from triolet.core.updates import (
    BotIdentity,
    ButtonPressed,
    Edited,
    Ignored,
    Incoming,
    Moved,
    Removed,
    StopPressed,
    Update,
    parse_update,
)
from triolet.errors import StoreError

log = structlog.get_logger()

_PRESSES = {
    "unknown": "This button has had its day.",
    "foreign": "That is for who asked.",
}

_OF_ANSWERS = {"stop", "allow", "deny"}
"""Commands that are about an answer that is being written."""

MOST_WAITING = 1000
"""Questions that wait or are being answered; while there are more, none are asked for."""


class Supervisor:
    """Conversations run in the given nursery, each until it has nothing to do."""

    def __init__(self, nursery: trio.Nursery, services: Services, access: Access, bot: BotIdentity) -> None:
        self._nursery = nursery
        self._services = services
        self._access = access
        self._door = Door(access)
        self._bot = bot
        self._conversations: dict[ConversationKey, Conversation] = {}
        self._relief = trio.Event()
        self._began_at = services.restart.wall_clock()
        self.offers = Offers(
            services.buttons,
            services.store,
            {"continue": self._continue, "answer": self._answer_late, "resend": self._resend},
        )
        self._late = Late(services, self.offers)
        self._switches = Switches(services.store, services.screen, self._tell_switch)
        self._closing = False

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that /stop would stop."""
        return not any(each.load for each in self._conversations.values())

    def heed(self, raw: RawUpdate) -> None:
        """Obey a Stop button ahead of all else: it names its answer, and can stop no other, however often it comes."""
        update = parse_update(raw, self._bot)
        if isinstance(update, StopPressed):
            self._stop_pressed(update)

    async def wait_room(self) -> None:
        """Returns when more questions can be taken: what nobody has asked for yet, waits with Telegram."""
        while sum(each.load for each in self._conversations.values()) > MOST_WAITING:
            await self._relief.wait()

    async def wait_idle(self) -> None:
        """Returns when nothing is being answered, and nothing waits."""
        while self._conversations:
            await self._relief.wait()

    def _relieve(self) -> None:
        self._relief.set()
        self._relief = trio.Event()

    def dispatch(self, raw: RawUpdate) -> list[int]:
        """Take an update; returns the ids of updates that need no more work."""
        update = parse_update(raw, self._bot)
        if self._closing:
            return self._obey_at_the_end(update)
        if isinstance(update, Incoming):
            return self._message(update, late=self._late.is_late(update.sent_at))
        return self._obey(update)

    def recover(self, left: Unfinished) -> list[int]:
        """As `dispatch`, for an update that an earlier run has left."""
        if self._closing:
            return []
        update = parse_update(left.update, self._bot)
        if isinstance(update, Incoming):
            is_late = not left.is_wanted and self._late.is_late(update.sent_at or left.received_at)
            return self._message(update, late=is_late, limited=False)
        return self._obey(update)

    def ask(self, question: Question) -> list[int]:
        """Answer a question that an earlier run has taken already."""
        self._services.screen.note_message(question.place)
        return self._post(question, limited=False)

    def _obey_at_the_end(self, update: Update) -> list[int]:
        """What is about an answer that is still being written is obeyed; the rest waits in the inbox."""
        if isinstance(update, Incoming):
            command = parse_command(update.text, self._bot)
            is_heard = isinstance(command, Command) and command.name in _OF_ANSWERS and self._at(update.key)
            return self._message(update, late=False) if is_heard else []
        is_of_answers = not (isinstance(update, ButtonPressed) and self.offers.has(update.data))
        return self._obey(update) if isinstance(update, StopPressed | ButtonPressed) and is_of_answers else []

    def _obey(self, update: Update) -> list[int]:
        if isinstance(update, Edited):
            return self._edit(update.message)
        if isinstance(update, Removed):
            return [update.update_id, *self._leave(update.chat_id)]
        if isinstance(update, StopPressed):
            self._stop_pressed(update)
        if isinstance(update, ButtonPressed):
            return self._button_pressed(update)
        if isinstance(update, Moved):
            self._move(update)
        if isinstance(update, Ignored):
            tell = log.warning if update.is_malformed else log.debug
            tell("update.ignored", update_id=update.update_id, why=update.why)
        return [update.update_id]

    def _note(self, message: Incoming) -> None:
        """Let the screen know of a message's id; nothing is kept for strangers, of whom there are any number."""
        if not message.private or self._access.admits(message.user_id):
            self._services.screen.note_message(place_of(message))

    def close(self) -> None:
        """Begin no other answer; the nursery is empty as soon as those that are being written have ended."""
        self._closing = True
        for conversation in self._conversations.values():
            conversation.close()

    def shut_down(self) -> None:
        """Stop every answer; the nursery is empty as soon as they are committed."""
        self._closing = True
        for conversation in self._conversations.values():
            conversation.shut_down()

    def _message(self, message: Incoming, *, late: bool, limited: bool = True) -> list[int]:
        self._note(message)
        command = parse_command(message.text, self._bot)
        if not self._door.serves(message, is_command=command is not None) or command == "foreign":
            return [message.update_id]
        place = place_of(message)
        if command is not None:
            return self._command(command, message, place)
        if not message.text.strip():
            self._notify(place, "I can read text only, so far.")
            return [message.update_id]
        if late:
            self._late.offer(message, place)
            return []
        # Who wrote before there was a bot could not know how many messages wait.
        limited = limited and not 0 < message.sent_at < int(self._began_at)
        return self._post(question_of(message), limited=limited)

    def _answer_late(self, kept: KeptButton, update_id: int) -> list[int]:
        self._late.forget(kept.nonce)
        self._nursery.start_soon(self._answer_wanted, kept, update_id)
        return []

    async def _answer_wanted(self, kept: KeptButton, update_id: int) -> None:
        store = self._services.store
        try:
            wanted = await store.want(kept.update_ids)
        except StoreError:
            with store.unit():
                self.offers.restore([kept])
                self._notify(kept.place, "⚠ The bot's database cannot be used now: press again in a while.")
                store.finish([update_id])
            return
        with store.unit():
            self.offers.drop(kept.nonce)
            store.finish([update_id, *(done for each in wanted for done in self.recover(each))])

    def _continue(self, kept: KeptButton, update_id: int) -> list[int]:
        return self._post(Question((update_id,), kept.place, kept.user_ids[0], CONTINUE), limited=False)

    def _resend(self, kept: KeptButton, update_id: int) -> list[int]:
        if kept.letter is not None:
            self._services.screen.resend(kept.letter)
        self.offers.drop(kept.nonce)
        return [update_id]

    def _edit(self, message: Incoming) -> list[int]:
        """A message has changed; that of one which nobody waits for, now or since an earlier run, changes nothing."""
        is_read = bool(message.text.strip()) and parse_command(message.text, self._bot) is None
        if not (is_read and self._access.hears(message, is_command=False) and self._access.admits(message.user_id)):
            return [message.update_id]
        conversation = self._conversations.get(message.key)
        is_waited_for = conversation is not None and conversation.edit(question_of(message))
        return [] if is_waited_for or self._late.take_edit(message) else [message.update_id]

    def _stop_pressed(self, pressed: StopPressed) -> None:
        # A draft lives in a private chat, whose id is the user's: the only one who can press its button.
        if self._access.admits(pressed.key.chat_id):
            for conversation in self._at(pressed.key):
                conversation.press_stop(pressed.draft_id)

    def _at(self, key: ConversationKey) -> list[Conversation]:
        """The conversation of a chat or topic, before any other whose answer is shown there."""
        found = [each for each in self._conversations.values() if each.is_at(key)]
        return sorted(found, key=lambda each: each is not self._conversations.get(key))

    def _button_pressed(self, pressed: ButtonPressed) -> list[int]:
        found = self._services.buttons.redeem(
            pressed.data, chat_id=pressed.key.chat_id, message_id=pressed.message_id, user_id=pressed.user_id
        )
        self._services.screen.answer_press(pressed.query_id, "" if isinstance(found, Button) else _PRESSES[found])
        return list(found.press(pressed.update_id)) if isinstance(found, Button) else [pressed.update_id]

    def _move(self, moved: Moved) -> None:
        """What is being answered goes on, and hears what is said in the new chat, unless another answer does there."""
        for key in [key for key in self._conversations if key.chat_id == moved.chat_id]:
            conversation, new = self._conversations.pop(key), ConversationKey(moved.to, key.thread_id)
            self._conversations[key if new in self._conversations else new] = conversation
            conversation.move(moved.to)
        self._services.buttons.move(moved.chat_id, moved.to)
        self.offers.move(moved.chat_id, moved.to)
        self._services.store.move(moved.chat_id, moved.to)

    def _leave(self, chat_id: int) -> list[int]:
        """Nobody there can see anything any more; returns the update ids of what nobody waits for either."""
        gone = self._conversations_in(chat_id)
        dropped = [question for each in gone for question in each.stop(Ending.UNSEEN)[1]]
        return self._give_up(dropped)

    def _give_up(self, dropped: Iterable[Question]) -> list[int]:
        """Nobody answers these; returns the ids of updates that need no more work."""
        dropped = list(dropped)
        for question in dropped:
            if question.turn is not None:
                self._services.store.record(question.place.key, [], turn=question.turn)
        return [update_id for question in dropped for update_id in question.update_ids]

    def _conversations_in(self, chat_id: int) -> list[Conversation]:
        return [each for each in self._conversations.values() if each.chat_id == chat_id]

    def _command(self, command: Command, message: Incoming, place: Place) -> list[int]:
        if command.name == "stop":
            return [message.update_id, *self._stop(place)]
        if command.name == "new":
            return [*self._stop(place, quiet=True), *self._post(Clear((message.update_id,), place))]
        if command.name in PREFERENCES:
            return self._switch(command, message, place)
        if command.name == "status":
            status = next((each.status for each in self._at(place.key)), Status())
            newest = self._switches.newest(place.key)
            self._nursery.start_soon(tell_status, self._services, status, newest, place, message.update_id)
            return []
        if command.name == "usage":
            services = self._services
            self._nursery.start_soon(tell_usage, services.store, services.screen, place, message.update_id)
            return []
        if command.name in {"allow", "deny"}:
            return self._decide(command, message, place)
        texts = {"start": START, "help": HELP}
        unknown = f"I don't know /{command.name}. /help tells what I know."
        self._notify(place, texts.get(command.name, unknown))
        return [message.update_id]

    def _switch(self, command: Command, message: Incoming, place: Place) -> list[int]:
        switch = parse_switch(command.name, command.argument)
        if switch is not None:
            self._switches.post(Switch(message.update_id, place, *switch))
            self._nursery.start_soon(self._switches.carry_out_next)
            return []
        values = next(values for name, values in PREFERENCES.items() if name == command.name)
        self._notify(place, f"Write /{command.name} and one of: {', '.join(values)}.")
        return [message.update_id]

    def _tell_switch(self, switch: Switch) -> None:
        for conversation in self._conversations_in(switch.place.key.chat_id):
            conversation.prefer(switch.preference, switch.value)

    def _decide(self, command: Command, message: Incoming, place: Place) -> list[int]:
        allowed = command.name == "allow"
        if not any(each.decide(message.user_id, allowed=allowed) for each in self._at(place.key)):
            self._notify(place, "There is nothing that I want to be allowed.")
        return [message.update_id]

    def _stop(self, place: Place, *, quiet: bool = False) -> list[int]:
        """Stop every answer there, and drop what waits; returns the update ids of what was dropped."""
        stops = [conversation.stop() for conversation in self._at(place.key)]
        untold = sum(len(dropped) for stopped, dropped in stops if not stopped)  # an answer's end tells its own
        if untold:
            self._notify(place, f"⏹ {dropped_line(untold)}")
        elif not quiet and not any(stopped for stopped, _ in stops):
            self._notify(place, "There is nothing to stop.")
        return self._give_up(question for _, dropped in stops for question in dropped)

    def _post(self, task: Task, *, limited: bool = True) -> list[int]:
        key = task.place.key
        conversation = self._conversations.get(key)
        if conversation is None:
            conversation = self._conversations[key] = Conversation(
                key, self._services, self.offers, self._switches.newest, self._relieve
            )
            conversation.post(task, limited=limited)
            self._nursery.start_soon(self._run, conversation)
            return []
        return [] if conversation.post(task, limited=limited) else list(task.update_ids)

    async def _run(self, conversation: Conversation) -> None:
        try:
            await conversation.run()
        finally:
            for key in [key for key, each in self._conversations.items() if each is conversation]:
                del self._conversations[key]
            self._relieve()

    def _notify(self, place: Place, text: str) -> None:
        self._services.screen.notify(place, FormattedText(text))
