"""The edit window: the answer as a message that is edited as it grows, for chats without drafts.

While nothing is on screen, and as long as the answer grows, the chat shows that the bot is typing. A text under way
ends with the cursor; the commit takes it away.
"""

from __future__ import annotations

import trio

from triolet.core.budget import Cost, Priority
from triolet.core.delivery import Bubble, Delivered, message_call, typing_call
from triolet.core.pace import Due, EditPace, TypingDue, Wait, edit_text
from triolet.core.text import FormattedText
from triolet.telegram.outbox import Outbox
from triolet.transports.latest import Latest


async def run_edit_window(outbox: Outbox, bubble: Bubble, latest: Latest, pace: EditPace, *, cursor: str) -> None:
    """Show edits until cancelled."""
    while not bubble.lost:
        frame = latest.take_frame()
        command = pace.poll(trio.current_time(), frame.text)
        if isinstance(command, Wait):
            await (latest.wait_newer(frame, command.until) if command.newer else trio.sleep_until(command.until))
        elif isinstance(command, TypingDue):
            await _type(outbox, bubble, pace)
        else:
            await _edit(outbox, bubble, latest, pace, command, cursor)
    # A message may be on screen whose id nobody knows: a second one would double it.
    await trio.sleep_forever()


async def run_typing_window(outbox: Outbox, bubble: Bubble, pace: EditPace) -> None:
    """Only the typing sign, until cancelled: the answer is shown when it is whole."""
    while True:
        await _type(outbox, bubble, pace)
        wait = pace.poll(trio.current_time(), "")
        if isinstance(wait, Wait):
            await trio.sleep_until(wait.until)


async def _type(outbox: Outbox, bubble: Bubble, pace: EditPace) -> None:
    await outbox.wait_slot(bubble, Cost.DRAFT, Priority.FRAME)
    pace.typed(trio.current_time())
    await outbox.show(typing_call(bubble))


async def _edit(outbox: Outbox, bubble: Bubble, latest: Latest, pace: EditPace, due: Due, cursor: str) -> None:
    await outbox.wait_slot(bubble, Cost.MESSAGE, Priority.URGENT if due.urgent else Priority.FRAME)
    frame = latest.take_frame()
    pace.begun(trio.current_time())
    outcome = await outbox.show(message_call(bubble, FormattedText(edit_text(frame.text, cursor))))
    pace.ended(frame.text, shown=isinstance(outcome, Delivered))
