"""`Latest`: the one slot between coalescer and transport, and its wake-up.

A memory channel is first in, first out: it cannot swap a waiting frame for a newer one. Here nothing waits: a
transport takes the newest frame at the moment it can show one, and sleeps for as long as there is nothing to show.
"""

from __future__ import annotations

import math

import trio

from triolet.core.coalescer import Coalescer, Frame
from triolet.core.load import Load

LONGEST_REST = 0.05
"""Seconds that a model's socket is left alone at most, in calm: the end of an answer is as late to be heard."""


class Latest:
    def __init__(self, coalescer: Coalescer, load: Load | None = None) -> None:
        self.load = load or Load()
        self._coalescer = coalescer
        self._newer = trio.Event()
        self._before = coalescer.before
        self._begun = trio.Event()
        self._waiting = trio.CancelScope()
        """That of `until_whole`."""
        self.losses = 0
        """How often the screen has lost what it showed."""
        self.awaited_at = -math.inf
        """When more can be shown, at the earliest."""

    def rest(self) -> float:
        """For how many seconds from now there is no use in more text."""
        return min(self.awaited_at - trio.current_time(), LONGEST_REST * self.load.rest)

    def take_frame(self) -> Frame:
        return self._coalescer.take_frame()

    def announce(self) -> None:
        """There may be newer text: wakes whoever waits for it."""
        self._begun.set()
        if self._newer.statistics().tasks_waiting:
            self._newer.set()
            self._newer = trio.Event()
        if self._before is not self._coalescer.before:
            self._before = self._coalescer.before
            self._waiting.cancel(reason="something is whole")

    def lose(self) -> None:
        """The screen shows nothing of the answer any more: it is to be shown again, newer or not."""
        self.losses += 1
        self.announce()

    async def wait_begun(self) -> None:
        """Returns when anything was announced: the model has been asked, at least."""
        await self._begun.wait()

    async def wait_newer(self, than: Frame, until: float) -> None:
        """Returns at ``until``, when there is newer text than that frame's, or when the screen has lost it."""
        losses = self.losses
        with trio.move_on_at(until):
            while self._coalescer.revision == than.revision and self.losses == losses:
                await self._newer.wait()

    def until_whole(self, until: float) -> trio.CancelScope:
        """A scope, to be entered at once: ends at ``until``, or when something else stands before the live text."""
        self._waiting = trio.CancelScope(deadline=until)
        return self._waiting
