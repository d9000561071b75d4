"""Runs of the bot, as far as their outbox knows: one Telegram, one journal, one outbox after the other."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio

from triolet.config import Secret
from triolet.core.calls import Place
from triolet.core.conversation import ConversationKey
from triolet.core.delivery import Uncertain
from triolet.core.letters import Letter, Undelivered
from triolet.core.ports import Posted
from triolet.emulator import Delay, EmulatedTelegram, TelegramServer, open_telegram_server
from triolet.telegram.client import BotApi, open_bot_api
from triolet.telegram.outbox import Outbox, open_outbox

ADA = 1
LATENCY = 0.05
DISK = 0.01
"""Seconds."""

ASKED = 2
"""The id of the newest message when a scene begins: both that there are, are somebody's."""

Entry: TypeAlias = tuple[float, int, Letter | None]
"""When it is on the disk, of which letter, and what it is: None for nothing any more."""


@attrs.frozen
class Due:
    """Something that is on the disk at that time."""

    at: float

    def __await__(self) -> Generator[Any, None, None]:
        return trio.sleep_until(self.at).__await__()


@attrs.define(eq=False)
class Shelf:
    """A journal in memory: what it is given is on the disk a moment later; ``killed_at`` is when the power goes."""

    entries: list[Entry] = attrs.Factory(list)
    killed_at: float = float("inf")
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def draw_number(self) -> int:
        return next(self._numbers)

    def keep(self, letter: Letter) -> Posted:
        return self._write(letter.number, letter)

    def forget(self, number: int) -> Posted:
        return self._write(number, None)

    def _write(self, number: int, letter: Letter | None) -> Posted:
        self.entries.append((trio.current_time() + DISK, number, letter))
        return Due(self.entries[-1][0])

    @property
    def kept(self) -> dict[int, Letter]:
        """What is on the disk."""
        found: dict[int, Letter] = {}
        for at, number, letter in self.entries:
            if at <= self.killed_at:
                found.pop(number, None)
                found |= {} if letter is None else {number: letter}
        return found

    async def letters(self) -> list[Letter]:
        kept = sorted(self.kept.items())
        return [letter for _, letter in kept if letter.state != "sent" or letter.growing]

    async def message_ids(self) -> dict[int, list[int]]:
        return {ADA: sorted(each.message_id for each in self.kept.values() if each.message_id is not None)}

    async def undelivered(self, chat_id: int | None = None) -> list[Undelivered]:
        raise AssertionError("nobody is told")


@attrs.frozen
class Post:
    """A chat in which somebody has written."""

    server: TelegramServer
    api: BotApi
    shelf: Shelf

    def place(self, asked: int | None = ASKED) -> Place:
        return Place(ConversationKey(ADA), private=True, asked=asked)

    def texts(self) -> list[str]:
        """The bot's messages."""
        return [message.text for message in self.server.screen(ADA).messages if message.from_bot]

    def buttons(self) -> list[str]:
        return [button.text for each in self.server.screen(ADA).messages for row in each.buttons for button in row]

    @property
    def states(self) -> dict[int, str]:
        return {number: letter.state for number, letter in self.shelf.kept.items()}

    async def recover(self, outbox: Outbox) -> None:
        outbox.recover(await self.shelf.letters(), await self.shelf.message_ids())

    @asynccontextmanager
    async def open_outbox(self, uncertain: Uncertain = "ask") -> AsyncIterator[Outbox]:
        async with open_outbox(self.api, journal=self.shelf, uncertain=uncertain) as outbox:
            outbox.offer_resend = lambda place, number: (("Send again", str(number)),)
            yield outbox


@asynccontextmanager
async def open_post() -> AsyncIterator[Post]:
    telegram = EmulatedTelegram(token="42:emulator", latency=Delay(before=LATENCY, after=LATENCY))
    telegram.add_private_chat(ADA)
    with trio.fail_after(10_000):
        async with (
            open_telegram_server(telegram) as server,
            open_bot_api("http://telegram", Secret("42:emulator"), connect=server.connect) as api,
        ):
            for text in ("Well?", "Well!"):
                server.say(ADA, text)
            yield Post(server, api, Shelf())
