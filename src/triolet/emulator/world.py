"""The state of the emulated Telegram, and the few ways in which it changes.

Rule 1: whatever a person could notice goes through a method here that adds to ``revision`` and to the transcript.
Rule 2: private chats and basic groups number their messages together, each supergroup numbers its own.
Rule 3: nothing here decides whether something is allowed; `sending` (the bot) and `people` (a person) do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import attrs

from triolet.emulator.chats import BotUser, Chat, Message, User, message_json
from triolet.emulator.drafts import Draft, DraftBoard, Place
from triolet.emulator.rich import Content
from triolet.emulator.screen import Change, ChangeKind, Screen, show_draft, show_message
from triolet.emulator.updates import UpdateQueue


class World:
    """Chats, users, messages, drafts and updates; with ``rich`` off, of a time before rich messages."""

    def __init__(self, bot: BotUser, drafts: DraftBoard, updates: UpdateQueue, epoch: float, *, rich: bool) -> None:
        self.bot = bot
        self.rich = rich
        self.drafts = drafts
        self.updates = updates
        self.revision = 0
        self.commands: list[dict[str, Any]] = []
        self.callbacks: dict[str, tuple[float, int]] = {}  # {callback query id: (dies, chat id)}
        self.chats: dict[int, Chat] = {}
        self.users: dict[int, User] = {}
        self._messages: dict[int, dict[int, Message]] = defaultdict(dict)
        self._changes: dict[int, list[Change]] = defaultdict(list)
        self._rings: dict[int, list[tuple[float, int | None]]] = defaultdict(list)  # {chat id: [(at, thread id)]}
        self._message_ids = Counter[int | None]()
        self._epoch = epoch

    def date(self, now: float) -> int:
        """The Unix time that Telegram writes into messages."""
        return int(self._epoch + now)

    def message(self, chat_id: int, message_id: int | None) -> Message | None:
        return self._messages[chat_id].get(message_id) if message_id is not None else None

    def message_json(self, message: Message) -> dict[str, Any]:
        chat = self.chats[message.chat_id]
        return message_json(message, chat, self.message(chat.id, message.reply_to))

    def new_message(
        self, chat: Chat, sender: User, content: Content, now: float, reply: Message | None = None
    ) -> Message:
        """A message with the chat's next id, not posted yet."""
        numbering = chat.id if chat.type == "supergroup" else None
        self._message_ids[numbering] += 1
        message = Message(self._message_ids[numbering], chat.id, sender, self.date(now), content)
        return attrs.evolve(message, reply_to=reply.id, root=reply.root or reply.id) if reply else message

    def post(self, message: Message, now: float) -> None:
        """Put a message into its chat; one of the bot's takes the live draft away, and may ring."""
        if message.sender.is_bot:
            live = self.drafts.clear((message.chat_id, message.thread_id))
            if live is not None:
                self._changed_draft("draft_cleared", (message.chat_id, message.thread_id), live.draft, now)
            if message.rang:
                self._rings[message.chat_id].append((now, message.thread_id))
        self._messages[message.chat_id][message.id] = message
        self._changed_message("message", message, now)

    def edit(self, message: Message, now: float) -> None:
        """Replace the message that has this one's id."""
        self._messages[message.chat_id][message.id] = message
        self._changed_message("edit", message, now)

    def delete(self, message: Message, now: float) -> None:
        del self._messages[message.chat_id][message.id]
        self._changed_message("delete", message, now)

    def show_draft(self, place: Place, draft: Draft, now: float) -> None:
        if self.drafts.show(place, draft, now):
            self._changed_draft("draft", place, draft, now)

    def stop_draft(self, place: Place, now: float) -> Draft:
        draft = self.drafts.stop(place).draft
        self._changed_draft("draft_stopped", place, draft, now)
        return draft

    def type(self, place: Place, now: float) -> None:
        if self.drafts.type(place, now):
            self.changed(Change(now, "typing", *place))

    def expire(self, now: float) -> None:
        """Take away the drafts that died until now; each row has the time of its death."""
        for place, live in self.drafts.expire(now):
            self._changed_draft("draft_expired", place, live.draft, live.dies)

    def delete_topic(self, chat: Chat, thread_id: int, now: float) -> None:
        """The topic goes, with everything in it."""
        del chat.topics[thread_id]
        chat.closed.discard(thread_id)
        for message in self.messages(chat.id, thread_id):
            self.delete(message, now)
        live = self.drafts.clear((chat.id, thread_id))
        if live is not None:
            self._changed_draft("draft_cleared", (chat.id, thread_id), live.draft, now)

    def messages(self, chat_id: int, thread_id: int | None) -> list[Message]:
        """The messages of one topic, or those outside of topics, oldest first."""
        return [each for each in self._messages[chat_id].values() if each.thread_id == thread_id]

    def screen(self, place: Place, now: float) -> Screen:
        live = self.drafts.at(place)
        return Screen(
            *place,
            messages=tuple(map(show_message, self.messages(*place))),
            draft=show_draft(live) if live else None,
            typing=self.drafts.typing(place, now),
            rings=tuple(at for at, thread_id in self._rings[place[0]] if thread_id == place[1]),
        )

    def rings(self, chat_id: int) -> list[float]:
        return [at for at, _ in self._rings[chat_id]]

    def transcript(self, chat_id: int) -> list[Change]:
        return sorted(self._changes[chat_id], key=lambda change: change.at)

    def changed(self, change: Change) -> None:
        self.revision += 1
        self._changes[change.chat_id].append(change)

    def _changed_message(self, kind: ChangeKind, message: Message, now: float) -> None:
        bot = message.sender.is_bot
        place = (message.chat_id, message.thread_id)
        self.changed(Change(now, kind, *place, message.content.text, message_id=message.id, from_bot=bot))

    def _changed_draft(self, kind: ChangeKind, place: Place, draft: Draft, now: float) -> None:
        self.changed(Change(now, kind, *place, draft.content.text, draft_id=draft.id))
