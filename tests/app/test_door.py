"""The door: strangers are told of once each, and not without end."""

from __future__ import annotations

import structlog

from triolet.app.door import REMEMBERED, Door
from triolet.core.commands import Access
from triolet.core.conversation import ConversationKey
from triolet.core.updates import Incoming

Log = list[structlog.typing.EventDict]


def message(user_id: int) -> Incoming:
    return Incoming(1, ConversationKey(user_id), user_id, 1, private=True, addressed=True, text="Hello")


def test_strangers_are_told_of_once_each(captured_log: Log) -> None:
    door = Door(Access({1}, "mention"))
    assert [user for user in (1, 2, 3, 2, 1) if door.serves(message(user), is_command=False)] == [1, 1]
    assert [event["user_id"] for event in captured_log] == [2, 3]


def test_there_is_an_end_to_it(captured_log: Log) -> None:
    door = Door(Access(set(), "mention"))
    for user in range(1, 2 * REMEMBERED):
        assert not door.serves(message(user), is_command=False)
    assert len(captured_log) == REMEMBERED
