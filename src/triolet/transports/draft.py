"""The draft window: the answer as a native draft that grows, until something better is known.

A private chat's draft is its own typing sign: it begins as "Thinking…" and warms the connection that the first text
takes. It leaves no trace: the final message clears it.
"""

from __future__ import annotations

import trio

from triolet.core.calls import CAPABILITY_CODES, Delivered, Outcome, Refused, draft_call
from triolet.transports.answer import GrowingAnswer
from triolet.transports.frames import Frames

MAX_FAILURES = 3
"""Failures in a row after which drafts are given up for this answer. A 429 is a wait, not a failure."""


async def run_draft_window(answer: GrowingAnswer, frames: Frames, *, window: trio.CancelScope) -> None:
    """Show drafts until nobody can see them; cancels ``window`` for the edit window to take over, if drafts fail."""
    failures = 0
    while True:
        content = await frames.wait_content()
        assert content is not None  # noqa: S101  # it was asked without a limit of time
        call = draft_call(answer.bubble, content)
        outcome = await frames.show(call, content)
        if isinstance(outcome, Refused) and outcome.unreachable:
            return
        if not (call.formatted and _is_refused(outcome) and answer.grow_plainer(content)):
            failures = _count(failures, outcome)
        if failures >= MAX_FAILURES:
            window.cancel(reason="fallback")
            await trio.lowlevel.checkpoint()


def _is_refused(outcome: Outcome) -> bool:
    """Whether the next draft would meet the same."""
    return isinstance(outcome, Refused) and outcome.code in CAPABILITY_CODES and not outcome.mended


def _count(failures: int, outcome: Outcome) -> int:
    if isinstance(outcome, Delivered):
        return 0
    if isinstance(outcome, Refused) and outcome.retry_after is not None:
        return failures
    return MAX_FAILURES if _is_refused(outcome) else failures + 1
