"""A town for `soak`: people with habits, a model with moods, and a Telegram that fails and forgets, in virtual time.

Everybody draws from one chance, so that a seed gives the same days. The clock's zero is a midnight.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs
import trio
from trio.testing import memory_stream_pair

from triolet.emulator import (
    Delay,
    EmulatedTelegram,
    Exchange,
    Fault,
    Flood,
    ImpossibleAct,
    JournalEntry,
    Refuse,
    Request,
    Reset,
    Response,
    ServerError,
    TelegramServer,
    serve_connection,
)

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
WAKING: Final = 7 * HOUR
BEDTIME: Final = 23 * HOUR
ASLEEP: Final = 2 * HOUR
"""Hours of a day: who is awake after bedtime writes seldom, and until two o'clock at the latest."""

GROUP: Final = -100
STRANGERS: Final = range(9001, 9051)

EVENT_STREAM: Final = (("Content-Type", "text/event-stream"),)
REFUSALS: Final = (400, 429, 500, 503)
WORDS: Final = ("three ", "notes ", "in ", "the ", "time ", "of ", "two, ", "**again** ", "and `again`. ", "\n\n")


# The model


class MoodyModel:
    """Chat Completions over memory streams. It answers each question since its last answer, by number.

    A question has a word such as ``q17``, and its answer ``a17``. Made by `open_moody_model`.
    """

    def __init__(self, nursery: trio.Nursery, chance: random.Random) -> None:
        self.connections = 0
        self.moods: Counter[str] = Counter()
        self.only = ""
        """The mood it is in; empty for any."""
        self._nursery = nursery
        self._chance = chance

    async def connect(self, host: str = "", port: int = 0) -> trio.abc.Stream:
        """A connection in memory, in the place of `trio.open_tcp_stream`."""
        await trio.lowlevel.checkpoint()
        client, server = memory_stream_pair()
        self._nursery.start_soon(self._serve, server)
        return client

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        try:
            await serve_connection(stream, self._answer)
        finally:
            self.connections -= 1

    async def _answer(self, exchange: Exchange) -> None:
        moods = {"whole": 92, "refuses": 3, "says nothing": 1, "breaks off": 2, "falls silent": 1, "too long": 1}
        [mood] = self._chance.choices([*moods], [*moods.values()])
        mood = self.only or mood
        self.moods[mood] += 1
        await trio.sleep(self._chance.uniform(0.3, 2.0))
        if mood == "refuses":
            status = self._chance.choice(REFUSALS)
            await exchange.respond(Response.json({"error": {"message": "not in the mood"}}, status))
        elif mood == "says nothing":
            await trio.sleep_forever()
        else:
            await self._speak(exchange, mood)

    async def _speak(self, exchange: Exchange, mood: str) -> None:
        await exchange.start(200, EVENT_STREAM)
        said = [f"a{number} " for number in questions_of(exchange.request)]
        said += self._chance.choices(WORDS, k=self._chance.randint(3, 40))
        for number, word in enumerate(said):
            if mood in {"breaks off", "falls silent"} and number > len(said) / 2:
                break
            await exchange.send_chunk(chunk({"content": word}))
            await trio.sleep(self._chance.uniform(0.05, 0.4))
        if mood == "breaks off":
            await exchange.drop()
            return
        if mood == "falls silent":
            await trio.sleep_forever()
        reason = "length" if mood == "too long" else "stop"
        await exchange.send_chunk(chunk({}, reason) + b"data: [DONE]\n\n")
        await exchange.finish()


def questions_of(request: Request) -> list[str]:
    """The numbers of the questions behind the last answer."""
    unanswered: list[str] = []
    for message in json.loads(request.body)["messages"]:
        numbers = re.findall(r"\bq(\d+)\b", str(message.get("content")))
        unanswered = [*unanswered, *numbers] if message["role"] == "user" else []
    return list(dict.fromkeys(unanswered))


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    usage = {"usage": {"prompt_tokens": 100, "completion_tokens": 50}} if finish_reason else {}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice], **usage})}\n\n".encode()


@asynccontextmanager
async def open_moody_model(chance: random.Random) -> AsyncIterator[MoodyModel]:
    """Leaving it closes every connection."""
    async with trio.open_nursery() as nursery:
        yield MoodyModel(nursery, chance)
        nursery.cancel_scope.cancel(reason="the model closes")


# Telegram


class Faults:
    """A part of all calls fails, each in one of the emulator's ways; every call takes a while.

    Given to an emulator as its latency, which it asks for with each call: the next one has the fault.
    """

    def __init__(self, chance: random.Random, part: float) -> None:
        self.calls = 0
        self.dealt: Counter[str] = Counter()
        self.telegram: EmulatedTelegram | None = None
        self._chance = chance
        self._part = part

    def __call__(self, method: str) -> Delay:
        self.calls += 1
        if self.telegram is not None and self._chance.random() < self._part:
            action = self._draw()
            self.dealt[action.name] += 1
            self.telegram.add_fault(Fault(action=action))
        return Delay(self._chance.uniform(0.02, 0.05), self._chance.uniform(0.02, 0.05))

    def _draw(self) -> Refuse | Flood | ServerError | Delay | Reset:
        draw = self._chance.uniform
        actions = (
            Refuse(400, "Bad Request: a mood of the server"),
            Refuse(500, "Internal Server Error"),
            Flood(round(draw(1, 15))),
            ServerError(502),
            Delay(before=draw(1.0, 40.0)),
            Delay(after=draw(1.0, 40.0)),
            Reset(carried_out=True),
            Reset(carried_out=False),
        )
        return self._chance.choice(actions)


def forget(telegram: EmulatedTelegram) -> None:
    """Let the emulator forget what it remembers for tests alone, and all messages: what grows is then the bot's.

    Its places stay, and so do its numbers: message ids go on.
    """
    world, journal = telegram.world, telegram.journal
    journal[:] = [_FORGOTTEN] * len(journal)  # calls are known by their place
    for remembered in (world._changes, world._rings, world._messages, world.callbacks):  # noqa: SLF001
        remembered.clear()
    world.drafts._stopped.clear()  # noqa: SLF001  # no public act forgets


_FORGOTTEN: Final = JournalEntry(0, "", {}, None, 0.0)


# People


@attrs.frozen
class Asked:
    """A question, by its chat, its message and its number."""

    chat: int
    message_id: int
    number: int


@attrs.define(eq=False)
class Town:
    """``people`` are who is served; each has a private chat, and all of them share a group."""

    server: TelegramServer
    chance: random.Random
    people: Sequence[int]
    pause: float
    """Seconds between two acts of a person who is awake, on average."""
    asked: list[Asked] = attrs.Factory(list)
    unreachable: set[int] = attrs.Factory(set)
    """Chats that were blocked since `forget_day`: there is nobody to tell anything."""
    questions: int = 0
    acts: Counter[str] = attrs.Factory(Counter)

    async def run(self) -> None:
        """All live until cancelled."""
        async with trio.open_nursery() as nursery:
            for person in self.people:
                nursery.start_soon(self._live, person)
            nursery.start_soon(self._visit)

    def ask_first(self) -> None:
        """One question, ahead of all."""
        self._question(self.people[0])

    def forget_day(self) -> None:
        self.asked.clear()
        self.unreachable.clear()

    async def _live(self, person: int) -> None:
        habits: dict[Callable[[int], Any], float] = {
            self._ask: 60,
            self._ask_twice: 8,
            self._ask_and_stop: 8,
            self._ask_and_edit: 6,
            self._press: 6,
            self._command: 5,
            self._begin_anew: 6,
            self._block: 1,
        }
        while True:
            await self._wait()
            [act] = self.chance.choices([*habits], [*habits.values()])
            self.acts[act.__name__.strip("_")] += 1
            with suppress(ImpossibleAct):  # the button has gone, the chat is blocked: they leave it
                await act(GROUP if self.chance.random() < 0.1 else person)

    async def _wait(self) -> None:
        while True:
            await trio.sleep(self.chance.expovariate(1 / self.pause))
            hour = trio.current_time() % DAY
            if WAKING < hour < BEDTIME or ((hour < ASLEEP or hour > BEDTIME) and self.chance.random() < 0.1):
                return

    async def _visit(self) -> None:
        """Strangers write, and nobody answers."""
        while True:
            await trio.sleep(self.chance.expovariate(1 / (2 * HOUR)))
            self.server.say(self.chance.choice(STRANGERS), "Who are you?")

    def _say(self, chat: int, text: str) -> int:
        user = self.chance.choice(self.people) if chat == GROUP else chat
        return self.server.say(chat, text, user_id=user)

    def _question(self, chat: int) -> Asked:
        self.questions += 1
        text = f"q{self.questions} " + "please " * self.chance.randint(0, 20)
        self.asked.append(Asked(chat, self._say(chat, text), self.questions))
        return self.asked[-1]

    async def _ask(self, chat: int) -> None:
        self._question(chat)
        await trio.lowlevel.checkpoint()

    async def _ask_twice(self, chat: int) -> None:
        self._question(chat)
        await trio.sleep(self.chance.uniform(0.0, 6.0))
        self._question(chat)

    async def _ask_and_stop(self, chat: int) -> None:
        self._question(chat)
        await trio.sleep(self.chance.uniform(0.2, 10.0))
        draft = self.server.screen(chat).draft
        if draft is not None and draft.stop_button:
            self.server.press_stop(chat)
        elif stops := [each for each in self._buttons(chat) if each[2] == "⏹"]:
            self.server.press_button(chat, *stops[-1][:2])
        else:
            self._say(chat, "/stop")

    async def _ask_and_edit(self, chat: int) -> None:
        asked = self._question(chat)
        await trio.sleep(self.chance.uniform(0.2, 10.0))
        self.server.edit(chat, asked.message_id, f"q{asked.number}, I mean")

    async def _press(self, chat: int) -> None:
        if buttons := self._buttons(chat):
            self.server.press_button(chat, *self.chance.choice(buttons)[:2])
        await trio.lowlevel.checkpoint()

    def _buttons(self, chat: int) -> list[tuple[int, str, str]]:
        """Messages' ids, and the data and texts of their buttons."""
        shown = self.server.screen(chat).messages
        return [(m.id, b.data, b.text) for m in shown for row in m.buttons for b in row if b.data is not None]

    async def _command(self, chat: int) -> None:
        commands = ("/usage", "/status", "/help", "/stream edit", "/stream auto", "/busy interrupt", "/busy queue")
        self._say(chat, self.chance.choice(commands))
        await trio.lowlevel.checkpoint()

    async def _begin_anew(self, chat: int) -> None:
        self._say(chat, "/new")
        await trio.lowlevel.checkpoint()

    async def _block(self, chat: int) -> None:
        if chat == GROUP:
            return
        self.server.block(chat)
        self.unreachable.add(chat)
        await trio.sleep(self.chance.uniform(0.1, 1.0) * HOUR)
        self.server.unblock(chat)
