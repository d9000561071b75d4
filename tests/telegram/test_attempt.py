"""What a call comes to, for each answer that there is, or none."""

from __future__ import annotations

import pytest
import trio

from triolet.config import Secret
from triolet.core.calls import NEVER_LEFT, Bubble, Delivered, Outcome, Place, Refused, Unknown, draft_call, message_call
from triolet.core.conversation import ConversationKey
from triolet.core.text import FormattedText
from triolet.emulator import Delay, EmulatedTelegram, Fault, Flood, Refuse, Reset, ServerError, open_telegram_server
from triolet.telegram.attempt import attempt
from triolet.telegram.client import CALL_TIMEOUT, DRAFT_TIMEOUT, open_bot_api

HELLO = FormattedText("Hello")


def bubble() -> Bubble:
    return Bubble(Place(ConversationKey(1), private=True), 5)


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (None, Delivered),
        (Flood(7), Refused(429, "Too Many Requests: retry after 7", 7.0)),
        (Refuse(403, "Forbidden: bot was blocked by the user"), Refused(403, "Forbidden: bot was blocked by the user")),
        (ServerError(), Unknown),
        (Reset(carried_out=True), Unknown),
        (Reset(carried_out=False), Unknown),
    ],
)
async def test_each_answer_is_an_outcome(autojump_clock: object, action: object, outcome: type | Outcome) -> None:
    telegram = EmulatedTelegram(token="42:emulator")
    telegram.add_private_chat(1)
    if action is not None:
        telegram.add_fault(Fault(method="sendMessage", action=action))  # type: ignore[arg-type]  # one of the table
    async with (
        open_telegram_server(telegram) as server,
        open_bot_api("http://telegram", Secret("42:emulator"), connect=server.connect) as api,
    ):
        found = await attempt(api, message_call(bubble(), HELLO))
    assert isinstance(found, outcome) if isinstance(outcome, type) else found == outcome


async def test_what_cannot_leave_is_refused_by_nobody() -> None:
    async def no_way(host: str, port: int) -> trio.abc.Stream:
        raise OSError("no route")

    async with open_bot_api("http://telegram", Secret("42:emulator"), connect=no_way) as api:
        found = await attempt(api, message_call(bubble(), HELLO))
    assert isinstance(found, Refused)
    assert found.code == NEVER_LEFT


async def test_draft_is_given_up_sooner_than_a_message(autojump_clock: object) -> None:
    telegram = EmulatedTelegram(token="42:emulator")
    telegram.add_private_chat(1)
    telegram.latency = Delay(before=1000.0, after=0.0)
    async with (
        open_telegram_server(telegram) as server,
        open_bot_api("http://telegram", Secret("42:emulator"), connect=server.connect) as api,
    ):
        for call, seconds in (
            (draft_call(bubble(), HELLO), DRAFT_TIMEOUT),
            (message_call(bubble(), HELLO), CALL_TIMEOUT),
        ):
            began = trio.current_time()
            assert isinstance(await attempt(api, call), Unknown)
            assert trio.current_time() - began == pytest.approx(seconds, abs=0.1)
