"""The lanes of all chats, and who waits in them.

A chat that nobody writes in for long costs nothing: its lane is forgotten, and a new one is as good, for every window
has emptied meanwhile, and no penalty is left. Groups of strangers may add the bot as often as they like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import attrs
import trio

from triolet.core.calls import Place
from triolet.core.lane import Lane

FORGET_AFTER: Final = 3600.0
"""Seconds without a call or a wait."""


class _Change:
    """Wakes all that wait for the next change of a lane."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def announce(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        await self._event.wait()


@attrs.define(eq=False)
class ChatLane:
    """A lane, and who waits for it."""

    lane: Lane
    used_at: float = 0.0
    change: _Change = attrs.Factory(_Change)
    delivering: bool = False

    async def wait_for(self, free_at: Callable[[float], float]) -> None:
        """Returns when the time that ``free_at`` tells has come; it is asked again after every change of the lane."""
        while (when := free_at(now := trio.current_time())) > now:
            with trio.move_on_at(when):
                await self.change.wait()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns at the change after which the condition holds."""
        await self.wait_for(lambda now: now if condition() else math.inf)

    async def wait_idle(self) -> None:
        await self.wait_until(lambda: not self.lane.has_errands)


class Lanes:
    """One for each chat, made by ``open_lane`` when it is needed."""

    def __init__(self, open_lane: Callable[[Place], Lane]) -> None:
        self._open_lane = open_lane
        self._lanes: dict[int, ChatLane] = {}
        """The one that was needed last is the last."""

    def __iter__(self) -> Iterator[ChatLane]:
        return iter(list(self._lanes.values()))

    def at(self, place: Place) -> ChatLane:
        chat = self._lanes.pop(place.lane, None)
        if chat is None:
            self._forget_idle()
            chat = ChatLane(self._open_lane(place))
        chat.used_at = trio.current_time()
        self._lanes[place.lane] = chat
        return chat

    def _forget_idle(self) -> None:
        """Of the oldest, two for each that is new: so none stays, however many come at once.

        One that is still needed is looked at again when it would be old again, and stands in no other's way.
        """
        now = trio.current_time()
        for key in [*islice(self._lanes, 2)]:
            if self._lanes[key].used_at + FORGET_AFTER < now:
                chat = self._lanes.pop(key)
                if not chat.lane.is_idle(now):
                    chat.used_at, self._lanes[key] = now, chat
