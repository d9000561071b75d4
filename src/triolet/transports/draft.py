"""The draft window: the answer as a native draft that grows, until something better is known.

A private chat's draft is its own typing sign: it begins as "Thinking…" and warms the connection that the first text
takes. It leaves no trace: the final message clears it.
"""

from __future__ import annotations

import trio

from triolet.core.budget import Cost, Priority
from triolet.core.delivery import CAPABILITY_CODES, Bubble, Delivered, Outcome, Refused, draft_call
from triolet.core.pace import DraftPace, Wait, draft_text
from triolet.telegram.outbox import Outbox
from triolet.transports.latest import Latest

MAX_FAILURES = 3
"""Failures in a row after which drafts are given up for this answer. A 429 is a wait, not a failure."""


async def run_draft_window(
    outbox: Outbox, bubble: Bubble, latest: Latest, pace: DraftPace, *, window: trio.CancelScope
) -> None:
    """Show drafts until cancelled; cancels ``window`` itself, for the edit window to take over, if drafts fail."""
    failures = 0
    while True:
        frame = latest.take_frame()
        command = pace.poll(trio.current_time(), frame.text)
        if isinstance(command, Wait):
            await (latest.wait_newer(frame, command.until) if command.newer else trio.sleep_until(command.until))
            continue
        await outbox.wait_slot(bubble, Cost.DRAFT, Priority.URGENT if command.urgent else Priority.FRAME)
        frame = latest.take_frame()
        pace.begun(trio.current_time())
        outcome = await outbox.show(draft_call(bubble, draft_text(frame.text)))
        pace.ended(frame.text, shown=isinstance(outcome, Delivered))
        failures = _count(failures, outcome)
        if failures >= MAX_FAILURES:
            window.cancel(reason="fallback")
            await trio.lowlevel.checkpoint()


def _count(failures: int, outcome: Outcome) -> int:
    if isinstance(outcome, Delivered):
        return 0
    if isinstance(outcome, Refused) and outcome.retry_after is not None:
        return failures
    if isinstance(outcome, Refused) and outcome.code in CAPABILITY_CODES:
        return MAX_FAILURES
    return failures + 1
