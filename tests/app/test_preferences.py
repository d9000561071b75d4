"""What chats switch when the disk fails: nothing is claimed that is not kept."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from scenes import ADA

from triolet.app.preferences import Switch, Switches, load_preference
from triolet.core.calls import Place
from triolet.core.commands import StreamMode
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText
from triolet.store import open_store, run_inline
from triolet.store.sqlite import SqliteStore
from triolet.transports import Transport

KEY = ConversationKey(ADA, 7)


class Screen:
    """It keeps what it is told."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def notify(self, place: Place, message: FormattedText) -> None:
        self.shown.append(message.text)

    def open_transport(self, place: Place, *, mode: StreamMode, button: str) -> Transport:
        raise NotImplementedError

    def note_message(self, place: Place) -> None: ...

    def answer_press(self, query_id: str, text: str) -> None: ...


def switch(value: str) -> Switch:
    return Switch(1, Place(KEY, private=True), "busy", value)


async def carry_out(store: SqliteStore, *values: str) -> tuple[list[str], list[str]]:
    """What was told to whoever answers there, and what to the chat."""
    told: list[str] = []
    screen = Screen()
    switches = Switches(store, screen, lambda switch: told.append(switch.value))
    async with trio.open_nursery() as nursery:
        for value in values:
            switches.post(switch(value))
            nursery.start_soon(switches.carry_out_next)
    return told, screen.shown


async def test_switch_is_that_of_the_whole_chat() -> None:
    async with open_store(":memory:", executor=run_inline) as store:
        assert await load_preference(store, KEY, "busy") == ""
        told, shown = await carry_out(store, "steer", "interrupt")
        assert told == ["steer", "interrupt"]
        assert ["goes into that answer" in shown[0], "ends that answer" in shown[1]] == [True, True]
        assert await load_preference(store, ConversationKey(ADA), "busy") == "interrupt"
        assert await load_preference(store, KEY, "busy") == "interrupt"
        assert await load_preference(store, KEY, "stream") == ""


@pytest.mark.parametrize("values", [["steer"], ["steer", "queue"]])
async def test_what_cannot_be_kept_is_not_switched(tmp_path: Path, values: list[str]) -> None:
    async with open_store(tmp_path / "triolet.db", executor=run_inline) as store:
        with closing(sqlite3.connect(tmp_path / "triolet.db")) as other:
            other.execute("DROP TABLE preference")
        told, shown = await carry_out(store, *values)
        assert told == []
        assert shown == ["⚠ Nothing is changed: the bot's database cannot be used now."] * len(values)
        assert await load_preference(store, KEY, "busy") == ""
