"""One bot's Telegram, whole: calls come in from the bot, acts from people, and anybody may look at a screen.

No clock, no I/O: ``now`` comes in, and what should happen goes out.
"""

from __future__ import annotations

from typing import Any

from triolet.emulator.answers import Again, Reply
from triolet.emulator.chats import BotUser
from triolet.emulator.dispatch import Dispatcher, Latency, Step
from triolet.emulator.drafts import DraftBoard
from triolet.emulator.faults import Delay, Fault
from triolet.emulator.journal import JournalEntry
from triolet.emulator.limits import Limits
from triolet.emulator.people import People
from triolet.emulator.screen import Change, Screen
from triolet.emulator.updates import UpdateQueue
from triolet.emulator.world import World

EPOCH = 1_767_225_600
"""2026-01-01T00:00:00Z: the Unix time at the clock's zero, unless told otherwise."""

DEFAULT_TOKEN = "42:emulator"


class EmulatedTelegram(People):
    """A Bot API for one bot, with the people who talk to it.

    ``draft_life`` is in seconds; ``string_draft_ids`` off makes Stop updates carry integers, as documented;
    ``latency`` is what every call takes before and after it is carried out; with ``rich`` off the server is older
    than rich messages: it does not know their methods, and overlooks the parameter of editMessageText.
    """

    def __init__(
        self,
        token: str = DEFAULT_TOKEN,
        bot: BotUser | None = None,
        limits: Limits | None = None,
        *,
        draft_life: float = 30.0,
        refresh_identical: bool = True,
        string_draft_ids: bool = True,
        rich: bool = True,
        latency: Latency | None = None,
        first_update_id: int = 1000,
        epoch: float = EPOCH,
    ) -> None:
        board = DraftBoard(draft_life, refresh_identical=refresh_identical)
        world = World(bot or BotUser(), board, UpdateQueue(first_update_id), epoch, rich=rich)
        super().__init__(world, string_draft_ids=string_draft_ids)
        self._calls = Dispatcher(token, world, limits or Limits(), latency or Delay())

    def __repr__(self) -> str:
        return f"<EmulatedTelegram: {len(self.world.chats)} chats, {len(self.journal)} calls, {self.updates!r}>"

    def call(self, method: str, params: dict[str, Any], now: float, token: str | None = None) -> Step:
        """Receive a call; without a ``token`` it comes from the bot itself."""
        self.settle(now)
        return self._calls.receive(method, params, self.token if token is None else token, now)

    def resume(self, again: Again, now: float) -> Step:
        """Take up a call where it waits; when it is too early the same wait comes back."""
        self.settle(now)
        if now < again.at and not again.on_update:
            return again
        return self._calls.proceed(again.call, now)

    def abandon(self, again: Again, now: float) -> None:
        """The client left: its poll ends, but any other call happens at its time all the same."""
        self._calls.abandon(again)
        self.settle(now)

    def answered(self, reply: Reply, now: float) -> None:
        """The answer has been written."""
        self._calls.journal.note(reply.serial, answered=now)

    def settle(self, now: float) -> None:
        """Let everything happen that is due until now, each thing at its own time."""
        self._calls.settle(now)

    @property
    def due(self) -> float:
        """When a call whose client left will be carried out next; infinity if there is none."""
        return self._calls.due

    @property
    def token(self) -> str:
        return self._calls.token

    @property
    def latency(self) -> Latency:
        return self._calls.latency

    @latency.setter
    def latency(self, latency: Latency) -> None:
        self._calls.latency = latency

    @property
    def updates(self) -> UpdateQueue:
        """What waits for the bot."""
        return self.world.updates

    @property
    def revision(self) -> int:
        """Goes up with each change that a person can see."""
        return self.world.revision

    @property
    def commands(self) -> list[dict[str, Any]]:
        """What setMyCommands stored."""
        return self.world.commands

    @property
    def journal(self) -> list[JournalEntry]:
        """Every call so far, as it stands now."""
        return self._calls.journal.entries

    def calls(self, method: str | None = None, chat_id: int | None = None) -> list[JournalEntry]:
        """The journal's entries of one method, of one peer, or of both."""
        return self._calls.journal.select(method, chat_id)

    def add_fault(self, fault: Fault) -> None:
        """Let something go wrong with calls received from now on."""
        self._calls.plan.add(fault)

    def clear_faults(self) -> None:
        self._calls.plan.clear()

    def screen(self, chat_id: int, now: float, thread_id: int | None = None) -> Screen:
        """What a person sees at this time in a topic, or outside of topics."""
        self.settle(now)
        return self.world.screen((self._any_chat(chat_id).id, thread_id), now)

    def visible(self, chat_id: int, now: float, thread_id: int | None = None) -> list[str]:
        """The texts of that screen, oldest first; a live draft comes last."""
        return self.screen(chat_id, now, thread_id).texts

    def rings(self, chat_id: int, now: float | None = None) -> list[float]:
        """When the person's phone rang for this chat: at each message of the bot that was not sent silently."""
        if now is not None:
            self.settle(now)
        return self.world.rings(self._any_chat(chat_id).id)

    def transcript(self, chat_id: int, now: float | None = None) -> list[Change]:
        """Every change a person saw, in order of time; with ``now``, also what is due until then."""
        if now is not None:
            self.settle(now)
        return self.world.transcript(self._any_chat(chat_id).id)
