"""What each answer of the Bot API means."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from client_troubles import ANSWERS, CALL, check, open_api
from odd_servers import (
    respond,
)

from triolet.emulator import (
    Response,
)
from triolet.errors import (
    TrioletError,
    Unauthorized,
)
from triolet.telegram.client import parse_answer


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_that_refuses(autojump_clock: trio.testing.MockClock, case: str) -> None:
    answer, expected = ANSWERS[case]
    async with open_api(respond(answer)) as api:
        with pytest.raises(TrioletError) as caught:
            await api.call("sendMessage", CALL)
        check(caught.value, expected)


RESULTS: list[Any] = [True, None, 0, [], {}, {"message_id": 1, "text": "Привет 👋"}, "half a \ud83d pair", 10**25]


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_with_a_result(autojump_clock: trio.testing.MockClock, result: Any, status: int) -> None:
    """Whatever the status says, and whatever a user wrote."""
    async with open_api(respond(Response.json({"ok": True, "result": result}, status))) as api:
        assert await api.call("getUpdates", {}) == result


def test_an_answer_can_be_read_by_itself() -> None:
    assert parse_answer("getMe", 200, b'\xef\xbb\xbf{"ok":true,"result":5}') == 5
    with pytest.raises(Unauthorized, match="getMe: 401 Unauthorized"):
        parse_answer("getMe", 401, b'{"ok":false,"description":"Unauthorized"}')
