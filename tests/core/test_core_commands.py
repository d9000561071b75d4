"""Commands and access, as tables."""

from __future__ import annotations

from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triolet.core.commands import (
    PREFERENCES,
    UNSWITCHED,
    Access,
    Command,
    StreamMode,
    parse_command,
    parse_stream_mode,
    parse_switch,
)
from triolet.core.conversation import ConversationKey
from triolet.core.updates import BotIdentity, Incoming

BOT = BotIdentity(7, "TrioletBot")
LONGEST = "a" * 32

COMMANDS: list[tuple[str, Command | Literal["foreign"] | None]] = [
    ("/stop", Command("stop", "")),
    ("/STOP", Command("stop", "")),
    ("/stop ", Command("stop", "")),
    ("/model gpt", Command("model", "gpt")),
    ("/model   two  words ", Command("model", "two  words")),
    ("/model\ngpt", Command("model", "gpt")),
    ("/ask first\nsecond\n\nthird", Command("ask", "first\nsecond\n\nthird")),
    ("/ask Grüße 😀", Command("ask", "Grüße 😀")),
    ("/ask\u00a0x", Command("ask", "x")),
    ("/a_1", Command("a_1", "")),
    (f"/{LONGEST}", Command(LONGEST, "")),
    (f"/{LONGEST}a", None),
    ("/stop@TrioletBot", Command("stop", "")),
    ("/stop@trioletBOT now", Command("stop", "now")),
    ("/stop@otherbot", "foreign"),
    ("/stop@otherbot now\nand then", "foreign"),
    ("/stop@TrioletBot2", "foreign"),
    ("/stop@Triolet", "foreign"),
    ("/stop@бот", "foreign"),
    ("/stop@", None),
    ("/stop@other-bot", None),
    ("/stop @otherbot", Command("stop", "@otherbot")),
    ("/", None),
    ("/ stop", None),
    ("//stop", None),
    ("/usr/bin", None),
    ("/stop.", None),
    (" /stop", None),
    ("stop", None),
    ("please /stop", None),
    ("x\n/stop", None),
    ("", None),
    ("/größe", None),
    ("/ſtop", None),
    ("/\u212aelvin", None),
    ("/стоп", None),
    ("／stop", None),
]


@pytest.mark.parametrize(("text", "expected"), COMMANDS)
def test_what_is_a_command(text: str, expected: Command | Literal["foreign"] | None) -> None:
    assert parse_command(text, BOT) == expected


@given(st.text() | st.text().map("/{}".format) | st.from_regex(r"/[a-zA-Z0-9_]+(@\w+)?\s.*"))
def test_any_text_is_a_command_or_none(text: str) -> None:
    command = parse_command(text, BOT)
    if isinstance(command, Command):
        assert text.lower().startswith(f"/{command.name}")
        assert command.name.isascii()
        assert command.argument in text
        assert command.argument == command.argument.strip()
    else:
        assert command in ("foreign", None)


@given(st.from_regex(r"[A-Za-z0-9_]{1,32}", fullmatch=True), st.text())
def test_what_is_written_as_a_command_is_one(name: str, argument: str) -> None:
    assert parse_command(f"/{name} {argument}", BOT) == Command(name.lower(), argument.strip())


MODES: list[tuple[str, StreamMode | None]] = [
    ("auto", "auto"),
    ("draft", "draft"),
    ("edit", "edit"),
    ("off", "off"),
    (" Edit\n", "edit"),
    ("", None),
    ("on", None),
    ("drafts", None),
    ("edit off", None),
]


@pytest.mark.parametrize(("text", "mode"), MODES)
def test_what_is_a_stream_mode(text: str, mode: StreamMode | None) -> None:
    assert parse_stream_mode(text) == mode


@pytest.mark.parametrize(
    ("name", "argument", "switch"),
    [
        ("stream", " Edit\n", ("stream", "edit")),
        ("reasoning", "on", ("reasoning", "on")),
        ("reasoning", "OFF", ("reasoning", "off")),
        ("reasoning", "edit", None),
        ("reasoning", "", None),
        ("stream", "on", None),
        ("busy", "on", None),
        ("busy", "Steer", ("busy", "steer")),
        ("model", "gpt", None),
    ],
)
def test_what_is_a_switch(name: str, argument: str, switch: object) -> None:
    assert parse_switch(name, argument) == switch


def test_what_nobody_switched_is_one_of_the_values() -> None:
    assert UNSWITCHED.keys() == PREFERENCES.keys()
    assert all(value in PREFERENCES[name] for name, value in UNSWITCHED.items())


MESSAGE = Incoming(1, ConversationKey(-5), user_id=3, message_id=9, private=False, addressed=False, text="hello")


@pytest.mark.parametrize(("user_id", "admitted"), [(1, True), (2, True), (3, False), (0, False), (-1, False)])
def test_only_listed_users_are_admitted(user_id: int, admitted: bool) -> None:
    assert Access(allow=(1, 2), respond="all").admits(user_id) is admitted


def test_nobody_is_admitted_by_an_empty_list() -> None:
    assert not Access(allow=(), respond="all").admits(3)


@pytest.mark.parametrize(
    ("private", "addressed", "is_command", "respond", "heard"),
    [
        (False, False, False, "mention", False),
        (False, False, False, "all", True),
        (False, False, True, "mention", True),
        (False, True, False, "mention", True),
        (True, False, False, "mention", True),
    ],
)
def test_what_is_meant_for_the_bot(
    private: bool, addressed: bool, is_command: bool, respond: Literal["mention", "all"], heard: bool
) -> None:
    message = attrs.evolve(MESSAGE, private=private, addressed=addressed)
    assert Access(allow=(), respond=respond).hears(message, is_command=is_command) is heard
