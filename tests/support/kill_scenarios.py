"""What people say while the bot dies, what the model answers, and what the tools do: the plays of `tests/kill`.

Every word of every answer is on no screen but for one reason: ``tea0 tea1 tea2 ...`` are what is said about tea, in
this order, and the model says the same whenever it is asked. So whatever is lost, doubled or out of order can be named.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from scenes import ADA, BOB, GROUP, TOKEN

from triolet.config import (
    AccessSettings,
    ModelSettings,
    Secret,
    Settings,
    ShutdownSettings,
    StoreSettings,
    StreamingSettings,
    TelegramSettings,
)
from triolet.core.commands import PREFERENCES
from triolet.core.ports import ModelRequest, Tool
from triolet.emulator import Delay, Fault, Reset
from triolet.providers.scripted import End, Pause, Say, Step
from triolet.store.database import open_database
from triolet.store.schema import MIGRATIONS
from triolet.tools import tool

GRACE: Final = 1.0
TOOL_SECONDS: Final = 1.5
DATABASE: Final = "triolet.db"
RUNS: Final = "runs.log"
OUTPUT: Final = "output.log"

ABOUT: Final = re.compile(r"about (\w+)")


@attrs.frozen
class Ask:
    """Somebody writes ``text``, so many seconds ``after`` the bot's first poll, or before its first start.

    ``expected`` are the words that all of an answer has, in their order.
    """

    text: str
    expected: tuple[str, ...]
    chat: int = ADA
    after: float | None = 0.5


@attrs.frozen
class Told:
    """What the model says about something: so many words, a few at a time, with these calls between them."""

    words: int = 12
    at_once: int = 1
    pause: float = 0.25
    calls: Mapping[int, str] = attrs.Factory(dict)
    """After so many words, this tool."""

    def rounds(self) -> list[range]:
        """The numbers of the words of each round."""
        ends = [*sorted(self.calls), self.words]
        return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


@attrs.frozen(kw_only=True)
class Scenario:
    """``schema`` is what the database had been made with: 0 for none at all, None for the newest.

    ``faults`` are Telegram's own, from the beginning.
    """

    asks: tuple[Ask, ...]
    transport: str = "auto"
    schema: int | None = None
    faults: tuple[Fault, ...] = ()


LOST: Final = Fault(action=Reset(carried_out=True), method="sendMessage")
"""The first message comes, and nobody hears of it."""
SLOW: Final = Fault(action=Delay(before=1.0, after=0.5), method=("sendMessage", "editMessageText"), times=None)
"""A message comes when who sent it may be dead."""

TOLD: Final[dict[str, Told]] = {
    "tea": Told(),
    "ink": Told(6),
    "oak": Told(6),
    "floccinaucinihilipilification": Told(250, at_once=25),
    "ore": Told(9, calls={3: "look", 6: "act"}),
    "elm": Told(4, calls={0: "act"}),
}


def word(topic: str, number: int) -> str:
    return f"{topic}{number}"


def asked(topic: str, **how: Any) -> Ask:
    mention = "@triolet_bot " if how.get("chat") == GROUP else ""
    words = tuple(word(topic, number) for number in range(TOLD[topic].words))
    return Ask(f"{mention}Tell me about {topic}", words, **how)


HELP: Final = Ask("/help", ("Send me a message and I answer",))
NEW: Final = Ask("/new", ("A new conversation. What was said is forgotten.",))
SWITCH: Final = Ask("/busy steer", (PREFERENCES["busy"]["steer"],), after=1.5)

SCENARIOS: Final[dict[str, Scenario]] = {
    "draft": Scenario(asks=(asked("tea"),)),
    "edit": Scenario(asks=(asked("tea"),), transport="edit"),
    "group": Scenario(asks=(asked("tea", chat=GROUP),)),
    "long": Scenario(asks=(asked("floccinaucinihilipilification"),)),
    "long-edit": Scenario(asks=(asked("floccinaucinihilipilification"),), transport="edit"),
    "tools": Scenario(asks=(asked("ore"),)),
    "effects": Scenario(asks=(asked("elm"),), transport="edit"),
    "lost": Scenario(asks=(asked("ink"),), faults=(LOST,)),
    "slow": Scenario(asks=(asked("ink"),), faults=(SLOW,)),
    "slow-edit": Scenario(asks=(asked("tea"),), transport="edit", faults=(SLOW,)),
    "first": Scenario(asks=(asked("ink", after=None),), schema=0),
    "schema-1": Scenario(asks=(asked("ink", after=None),), schema=1),
    "schema-2": Scenario(asks=(asked("ink", after=None), asked("oak")), schema=2),
    "row": Scenario(asks=(asked("ink"), asked("oak", after=0.6))),
    "chats": Scenario(asks=(asked("ink"), asked("oak", chat=BOB))),
    "help": Scenario(asks=(HELP,)),
    "notices": Scenario(asks=(NEW, SWITCH)),
}


# What the bot gets


def settings_of(scenario: Scenario, folder: Path, api_base: str) -> Settings:
    streaming: Any = {"transport": scenario.transport}
    return Settings(
        telegram=TelegramSettings(token=Secret(TOKEN), api_base=api_base),
        access=AccessSettings(allow=(ADA, BOB)),
        model=ModelSettings(provider="scripted"),
        streaming=StreamingSettings(**streaming),
        shutdown=ShutdownSettings(grace=GRACE),
        store=StoreSettings(path=folder / DATABASE),
    )


def script(request: ModelRequest) -> Iterator[Step]:
    """Say what there is to say about what was asked for last, from where it was broken off."""
    topic, said, done = "", 0, 0
    for message in request.messages:
        found = ABOUT.search(message.text) if message.role == "user" else None
        if found is not None:
            topic, said, done = found[1], 0, 0
        if message.role == "assistant":
            said += len(message.text.split())
        done += message.role == "tool"
    told = TOLD[topic]
    numbers = told.rounds()[done]
    yield Pause(told.pause)
    for start in range(max(said, numbers.start), numbers.stop, told.at_once):
        yield Say.text("".join(f"{word(topic, n)} " for n in range(start, min(start + told.at_once, numbers.stop))))
        yield Pause(told.pause)
    if numbers.stop in told.calls:
        yield Say.tool_call(told.calls[numbers.stop], "{}", call_id=f"{topic}-{done}")
        yield End("tool_calls")


def open_tools(folder: Path) -> Sequence[Tool]:
    """Two tools whose runs are counted over every death, when they begin; they take their time."""

    async def run(name: str) -> str:
        file = os.open(folder / RUNS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, f"{name}\n".encode())
        os.close(file)
        await trio.sleep(TOOL_SECONDS)
        return "done"

    async def look() -> str:
        """Look something up."""
        return await run("look")

    async def act() -> str:
        """Change something."""
        return await run("act")

    return [tool(look), tool(act, has_effects=True)]


# What the bot finds


def lay_database(scenario: Scenario, folder: Path, waiting: Sequence[Mapping[str, Any]]) -> None:
    """The file that an earlier version left, with a message in it that waits; or the newest one, or none."""
    path = folder / DATABASE
    if scenario.schema is None:
        open_database(str(path)).close()
    elif scenario.schema:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for statements in MIGRATIONS[: scenario.schema]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {scenario.schema}")
            insert = "INSERT INTO inbox(update_id, received_at, body) VALUES (?, strftime('%s'), ?)"
            connection.executemany(insert, [(update["update_id"], json.dumps(update)) for update in waiting])
