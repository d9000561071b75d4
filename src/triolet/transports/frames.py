"""The frames of one answer in one window: each is bound to the newest text at the moment when it can go."""

from __future__ import annotations

import math

import trio

from triolet.core.budget import Cost, Priority
from triolet.core.calls import Bubble, Call, Delivered, Outcome
from triolet.core.coalescer import Frame
from triolet.core.content import blank, visible_length
from triolet.core.pace import Due, FramePace
from triolet.core.text import Content
from triolet.telegram.outbox import Outbox
from triolet.transports.answer import GrowingAnswer
from triolet.transports.latest import Latest


class Frames:
    """``least`` is how many visible characters open a message."""

    def __init__(
        self, outbox: Outbox, answer: GrowingAnswer, latest: Latest, pace: FramePace, cost: Cost, *, least: int = 0
    ) -> None:
        self._outbox = outbox
        self._answer = answer
        self._latest = latest
        self._pace = pace
        self._cost = cost
        self._least = least
        self._taken = latest.take_frame()
        self._losses = latest.losses
        self._shown: tuple[int, Content] | None = None  # with the draft id: a new bubble shows nothing yet

    async def wait_content(self, until: float = math.inf) -> Content | None:
        """What to show next, when its call may begin, or None at ``until``; `show` it before the next checkpoint."""
        while (due := await self._wait_due(until)) is not None:
            bubble = self._answer.bubble
            if not await self._wait_slot(bubble, due, until):
                continue  # what is whole needs no slot, and goes first
            self._taken = self._latest.take_frame()
            content = self._answer.take(self._taken)
            if self._answer.bubble is not bubble:
                continue  # what was whole has been committed, and goes first
            if due.repeat or self._is_news(content):
                return content
            self._pace.unchanged(self._taken.revision)
        return None

    async def _wait_due(self, until: float) -> Due | None:
        while trio.current_time() < until:
            self._notice_losses()
            frame = self._latest.take_frame()
            self._answer.finish_segments(frame)
            if self._least and frame.is_blank and not (frame.status or frame.note):
                self._pace.unchanged(frame.revision)
            command = self._pace.poll(trio.current_time(), frame.revision)
            self._latest.awaited_at = self._pace.next_at
            if isinstance(command, Due):
                return command
            await self._wait(frame, min(command.until, until), newer=command.newer)
        return None

    def _notice_losses(self) -> None:
        if self._losses != self._latest.losses:
            self._losses = self._latest.losses
            self._shown = None
            self._pace.lost()

    async def _wait(self, frame: Frame, until: float, *, newer: bool) -> None:
        if newer:
            await self._latest.wait_newer(frame, until)
        else:
            with self._latest.until_whole(until):
                await trio.sleep_forever()

    async def _wait_slot(self, bubble: Bubble, due: Due, until: float) -> bool:
        with self._latest.until_whole(until):
            await self._outbox.wait_slot(bubble, self._cost, Priority.URGENT if due.urgent else Priority.FRAME)
            return True
        return False

    def _is_news(self, content: Content) -> bool:
        least = self._least if self._answer.bubble.target is None else min(self._least, 1)
        if visible_length(content) < least:
            return False
        return (self._answer.bubble.draft_id, content) != self._shown

    async def show(self, call: Call, content: Content) -> Outcome:
        """Make the call that shows the content."""
        self._pace.begun(trio.current_time())
        self._latest.awaited_at = self._pace.next_at
        outcome = await self._outbox.show(call)
        delivered = isinstance(outcome, Delivered)
        if delivered:
            self._shown = (call.bubble.draft_id, content)
        slack = self._outbox.slack(call.bubble, self._cost, self._pace.cadence)
        stretch = self._latest.load.stretch
        self._pace.ended(self._taken.revision, shown=delivered, text=not blank(content), slack=slack, stretch=stretch)
        return outcome
