"""The edit window: the answer as a message that is edited as it grows, for chats without drafts.

While nothing is on screen, and as long as the answer grows, the chat shows that the bot is typing. A text under way
ends with the cursor, and has a button that stops it; the commit takes both away.
"""

from __future__ import annotations

import math

import trio

from triolet.core.budget import Cost, Priority
from triolet.core.calls import CAPABILITY_CODES, Call, Refused, message_call, typing_call
from triolet.core.coalescer import Prompt
from triolet.core.content import followed
from triolet.core.pace import TypingPace
from triolet.core.text import Content
from triolet.telegram.outbox import Outbox
from triolet.transports.answer import GrowingAnswer
from triolet.transports.frames import Frames
from triolet.transports.latest import Latest

FIRST_CHARACTERS = 4
"""An edit-mode answer opens no message for less visible text than this: a message moves the chat, a frame does not."""

SHED_AFTER = 0.5
"""Seconds that a chat action waits for its slot; then it is left out."""


async def run_edit_window(
    outbox: Outbox, answer: GrowingAnswer, frames: Frames, typing: TypingPace, *, cursor: str, button: str
) -> None:
    """Show edits until nobody can see them."""
    while True:
        content = await frames.wait_content(until=typing.due)  # commits what is whole, though nothing be shown
        if content is None or _is_hidden(answer):
            await trio.sleep_until(typing.due)
            await _type(outbox, answer, typing)
            continue
        call = _call(answer, content, cursor, button)
        outcome = await frames.show(call, content)
        if call.sends:
            typing.taken_away()
        if isinstance(outcome, Refused) and outcome.unreachable:
            return
        if call.formatted and isinstance(outcome, Refused) and outcome.code in CAPABILITY_CODES:
            answer.grow_plainer(content)


def _is_hidden(answer: GrowingAnswer) -> bool:
    """Whether a message may be on screen whose id nobody knows: a second one would double it."""
    return answer.bubble.lost and answer.bubble.target is None


def _call(answer: GrowingAnswer, content: Content, cursor: str, button: str) -> Call:
    """The first frame of a message has no cursor: its answer may get lost, and what cannot be edited stays as it is."""
    opened = answer.bubble.shown_id is not None
    return message_call(answer.bubble, followed(content, cursor) if opened else content, keyboard=(("⏹", button),))


async def run_typing_window(outbox: Outbox, answer: GrowingAnswer, typing: TypingPace, latest: Latest) -> None:
    """Only the typing sign, until nobody can see it: the answer is shown when it is whole, or a person is asked."""
    latest.awaited_at = math.inf
    frame = latest.take_frame()
    while trio.current_time() < typing.due or await _type(outbox, answer, typing):
        await latest.wait_newer(frame, typing.due)
        frame = latest.take_frame()
        if any(isinstance(segment, Prompt) for segment in frame.before):
            answer.finish_segments(frame)


async def _type(outbox: Outbox, answer: GrowingAnswer, typing: TypingPace) -> bool:
    """Show the typing sign, if there is room for it soon; False if nobody could see it."""
    with trio.move_on_after(SHED_AFTER):
        await outbox.wait_slot(answer.bubble, Cost.DRAFT, Priority.COSMETIC)
        typing.typed(trio.current_time())
        outcome = await outbox.show(typing_call(answer.bubble))
        return not (isinstance(outcome, Refused) and outcome.unreachable)
    typing.typed(trio.current_time())
    return True
