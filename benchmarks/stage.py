"""The bot on stage: asked on an emulated Telegram, in virtual time, and watched until its answer stands.

Every call takes 60 ms: 30 until it is carried out, 30 until its reply is there. A reader sees what it did 30 ms after
it was carried out: from Telegram the way is as long to a reader as to the bot.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import trio
from even_model import EvenModel, Speech, Spoken, open_even_model

from triolet.app.bot import serve_bot
from triolet.config import (
    AccessSettings,
    GroupSettings,
    ModelSettings,
    Secret,
    Settings,
    StoreSettings,
    StreamingSettings,
    TelegramSettings,
)
from triolet.emulator import Change, Delay, EmulatedTelegram, Limits, TelegramServer, open_telegram_server
from triolet.emulator.telegram import EPOCH
from triolet.providers import open_provider
from triolet.store import run_inline

Kind: TypeAlias = Literal["drafts", "edits", "groups"]

TOKEN = "42:bench"
PERSON = 1001
GROUP = -1001
MODEL = ModelSettings(provider="openai-chat", name="even", base_url="http://model.bench/v1")
LIMITS = Limits()
"""The documented ones."""

HALF = 0.03
"""Seconds from the bot to Telegram, and from there to the bot or to a reader."""

CALL = 2 * HALF

STEP = 0.01
"""Seconds between two looks at a screen, where its lag is sampled."""


@attrs.frozen
class Answer:
    """What became of one question: ``seen`` are the times when more was seen, and how many characters it was then."""

    asked: float
    speech: Speech
    written: Sequence[float]
    noticed: float
    """When "Thinking..." or "typing..." was seen, or the answer itself."""
    seen: Sequence[tuple[float, int]]
    refused: int
    """How many calls were answered with 429."""

    @property
    def wait(self) -> float:
        """The mean over all characters of the seconds from written to seen."""
        sizes = [characters for _, characters in self.seen]
        ends = range(self.speech.characters, len(self.written) * self.speech.characters + 1, self.speech.characters)
        seen = (self.seen[bisect_right(sizes, end - 1)][0] for end in ends)
        return statistics.fmean(time - written for time, written in zip(seen, self.written, strict=True))

    @property
    def first(self) -> float:
        """Seconds from the first token to the first text seen."""
        return self.seen[0][0] - self.written[0]

    @property
    def end(self) -> float:
        """Seconds from the last token, which ends the stream, to the whole text seen."""
        return self.seen[-1][0] - self.written[-1]

    @property
    def gap(self) -> float:
        """The longest time for which the text seen did not grow."""
        return max((after - before for (before, _), (after, _) in pairwise(self.seen)), default=0.0)

    def lags(self) -> list[float]:
        """How many seconds of speech are not seen yet, from the first token to the last, a sample each `STEP`."""
        samples = range(math.floor((self.written[-1] - self.written[0]) / STEP) + 1)
        return [self._lag(self.written[0] + number * STEP) for number in samples]

    def _lag(self, now: float) -> float:
        spoken = bisect_right(self.written, now + 1e-9)
        shown = bisect_right([time for time, _ in self.seen], now + 1e-9)
        characters = self.seen[shown - 1][1] if shown else 0
        return (spoken - characters / self.speech.characters) * self.speech.every


def growth(changes: Iterable[Change], cursor: str) -> list[tuple[float, int]]:
    """When a reader saw more of the bot's text than ever before, and how many characters that was.

    What is sent anew, in the place of a message that was edited, is the same text: until the old one is deleted, it is
    there twice, and counts once.
    """
    texts: dict[tuple[int | None, int | None], str] = {}
    seen: list[tuple[float, int]] = []
    for change in changes:
        gone = change.kind in {"draft_cleared", "draft_expired", "delete"}
        text = "" if gone else change.text.removesuffix(cursor)
        if change.kind == "message":
            texts = {key: old for key, old in texts.items() if not text.startswith(old)}
        texts[change.message_id, change.draft_id] = text
        size = sum(map(len, texts.values()))
        if size > (seen[-1][1] if seen else 0):
            seen.append((change.at + HALF, size))
    return seen


@attrs.define(eq=False)
class Stage:
    """The bot, on an emulated Telegram, with a model that speaks evenly."""

    server: TelegramServer
    model: EvenModel
    settings: Settings

    async def ask(self, chat_id: int, speech: Speech) -> Answer:
        """Ask in that chat, and return when the whole answer is there for good."""
        asked = trio.current_time()
        calls = len(self.server.telegram.journal)
        answers = len(self.model.spoken)
        self.model.speech = speech
        self.server.say(chat_id, "Go on", user_id=PERSON if chat_id < 0 else None)
        await self.server.wait_until(lambda: self._is_answered(chat_id, answers, asked))
        await trio.sleep(HALF)
        changes = self._changes(chat_id, asked)
        return Answer(
            asked=asked,
            speech=speech,
            written=tuple(self.model.spoken[-1].written),
            noticed=changes[0].at + HALF,
            seen=growth(changes, self.settings.streaming.cursor),
            refused=sum(call.status == 429 for call in self.server.telegram.journal[calls:]),
        )

    def _is_answered(self, chat_id: int, answers: int, asked: float) -> bool:
        spoken = self.model.spoken[answers:]
        return bool(spoken) and spoken[0].ended is not None and self._stands(chat_id, asked, spoken[0])

    def _stands(self, chat_id: int, asked: float, spoken: Spoken) -> bool:
        sent = {change.message_id for change in self._changes(chat_id, asked) if change.message_id is not None}
        cursor = self.settings.streaming.cursor
        shown = [message for message in self.server.screen(chat_id).messages if message.id in sent]
        messages = [message.text.removesuffix(cursor) for message in shown]
        return sum(map(len, messages)) == len(spoken.written) * self.model.speech.characters

    def _changes(self, chat_id: int, asked: float) -> list[Change]:
        return [change for change in self.server.transcript(chat_id) if change.from_bot and change.at >= asked]


@asynccontextmanager
async def open_stage(kind: Kind, chats: Sequence[int]) -> AsyncIterator[Stage]:
    telegram = EmulatedTelegram(token=TOKEN, limits=LIMITS, latency=Delay(HALF, HALF))
    for person in {PERSON, *(chat for chat in chats if chat > 0)}:
        telegram.add_private_chat(person)
    for group in (chat for chat in chats if chat < 0):
        telegram.add_group(group, "Friends", [PERSON])
    shutdown = trio.Event()
    async with (
        open_telegram_server(telegram) as server,
        open_even_model() as model,
        open_provider(MODEL, connect=model.connect) as provider,
        trio.open_nursery() as nursery,
    ):
        settings = bot_settings(kind, chats)
        serve = partial(
            serve_bot,
            executor=run_inline,
            connect=server.connect,
            wall_clock=lambda: EPOCH + trio.current_time(),
            shutdown=shutdown,
        )
        await nursery.start(serve, settings, [provider])
        yield Stage(server, model, settings)
        shutdown.set()


def bot_settings(kind: Kind, chats: Iterable[int]) -> Settings:
    return Settings(
        telegram=TelegramSettings(token=Secret(TOKEN), api_base="http://telegram.bench"),
        access=AccessSettings(allow=(PERSON, *(chat for chat in chats if chat > PERSON))),
        groups=GroupSettings(respond="all"),
        model=MODEL,
        streaming=StreamingSettings(transport="edit" if kind == "edits" else "auto"),
        store=StoreSettings(path=Path(":memory:")),
    )
