"""One call, and what came of it: every way in which the client fails is an outcome."""

from __future__ import annotations

from typing import Any

import pytest
from outbox_scenes import open_post

from triolet.core.calls import NEVER_LEFT, Bubble, Delivered, Outcome, Refused, Unknown, draft_call, message_call
from triolet.core.text import FormattedText
from triolet.emulator import Delay, Fault, Flood, Refuse, Reset, ServerError
from triolet.telegram.attempt import attempt
from triolet.telegram.client import CALL_TIMEOUT, DRAFT_TIMEOUT

MIGRATED = Refuse(400, "Bad Request: upgraded", {"migrate_to_chat_id": -7})

OUTCOMES: list[tuple[str, Any, Outcome]] = [
    ("a flood", Flood(9), Refused(429, "Too Many Requests: retry after 9", 9.0)),
    ("a refusal", Refuse(403, "Forbidden: blocked"), Refused(403, "Forbidden: blocked")),
    ("a group that has become another", MIGRATED, Refused(400, "Bad Request: upgraded", migrate_to=-7)),
]


@pytest.mark.parametrize(("action", "expected"), [pytest.param(*row[1:], id=row[0]) for row in OUTCOMES])
async def test_what_the_server_says_is_a_refusal(autojump_clock: object, action: Any, expected: Outcome) -> None:
    async with open_post() as post:
        post.server.telegram.add_fault(Fault(method="sendMessage", action=action))
        assert await attempt(post.api, message_call(Bubble(post.place(), 1), FormattedText("hello"))) == expected


@pytest.mark.parametrize("action", [Reset(carried_out=True), Reset(carried_out=False), ServerError(), Delay(after=1e4)])
async def test_what_nobody_says_is_unknown(autojump_clock: object, action: Any) -> None:
    async with open_post() as post:
        post.server.telegram.add_fault(Fault(method="sendMessage", action=action))
        outcome = await attempt(post.api, message_call(Bubble(post.place(), 1), FormattedText("hello")))
        assert isinstance(outcome, Unknown)


async def test_what_never_left_and_what_is_there(autojump_clock: object) -> None:
    async with open_post() as post:
        call = message_call(Bubble(post.place(), 1), FormattedText("hello"))
        post.server.reachable = False
        outcome = await attempt(post.api, call)
        assert isinstance(outcome, Refused)
        assert outcome.code == NEVER_LEFT
        post.server.reachable = True
        outcome = await attempt(post.api, call)
        assert isinstance(outcome, Delivered)
        assert outcome.result["text"] == "hello"


async def test_late_draft_is_not_worth_waiting_for(autojump_clock: object) -> None:
    assert DRAFT_TIMEOUT < CALL_TIMEOUT
    async with open_post() as post:
        post.server.telegram.add_fault(Fault(method="sendMessageDraft", action=Delay(after=DRAFT_TIMEOUT + 1)))
        post.server.telegram.add_fault(Fault(method="sendMessage", action=Delay(after=DRAFT_TIMEOUT + 1)))
        bubble, text = Bubble(post.place(), 1), FormattedText("hello")
        assert isinstance(await attempt(post.api, draft_call(bubble, text)), Unknown)
        assert isinstance(await attempt(post.api, message_call(bubble, text)), Delivered)
