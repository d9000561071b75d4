"""One model call as a message: what a model said in a round, put together from its events.

Rules: parts keep the order in which they began; hidden text is no part; a call counts only when its round has
finished, for the arguments of a cut one may be half of what was meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from triolet.core.conversation import Ending, Message, OpaquePart, Part, TextPart, ToolCallPart
from triolet.core.events import (
    Batch,
    BlockCompleted,
    Finished,
    TextCompleted,
    TextDelta,
    ToolCallCompleted,
    ToolCallDelta,
    TurnEvent,
)
from triolet.core.hidden import Hidden
from triolet.core.text import is_blank


class _Text:
    def __init__(self, hide_tags: Sequence[str], text: str = "") -> None:
        self.pieces = [text]
        self._hidden = Hidden(hide_tags)
        self._shown: list[str] = []
        self._read = 0

    @property
    def seen(self) -> str:
        """What can be seen of it, if it ends here; it is asked for again and again, and reads each piece once."""
        for piece in self.pieces[self._read :]:
            self._shown.append(self._hidden.feed(piece))
        self._read = len(self.pieces)
        return "".join(self._shown) + self._hidden.rest


@attrs.define(eq=False)
class _Call:
    call_id: str = ""
    name: str = ""
    pieces: list[str] = attrs.Factory(list)


class Round:
    """``hide_tags`` are those of `Hidden`."""

    def __init__(self, hide_tags: Sequence[str] = ()) -> None:
        self.hide_tags = hide_tags
        self._parts: list[_Text | _Call | OpaquePart] = []
        self._calls: dict[int, _Call] = {}
        self.finished: Finished | None = None

    @property
    def text(self) -> str:
        """All of its text as it came, whether it may be seen or not; of earlier attempts what can be seen."""
        return "".join(piece for part in self._parts if isinstance(part, _Text) for piece in part.pieces)

    @property
    def has_spoken(self) -> bool:
        """Whether a user may have seen any of it."""
        return not is_blank(Hidden(self.hide_tags).feed(self.text))

    def begin_again(self) -> None:
        """Another attempt begins: text that may have been seen stays, for it to go on; all else is forgotten."""
        seen = _Text(self.hide_tags, self.text).seen
        self._parts = [_Text(self.hide_tags, seen)] if self.has_spoken else []
        self._calls = {}
        self.finished = None

    def receive(self, batch: Batch) -> None:
        for event in batch:
            self.take(event)

    def take(self, event: TurnEvent) -> None:
        if isinstance(event, TextDelta):
            self._add_text(event.text)
        elif isinstance(event, TextCompleted):
            self._parts = [part for part in self._parts if not isinstance(part, _Text)]
            self._add_text(event.text)
        elif isinstance(event, ToolCallDelta | ToolCallCompleted):
            self._add_call(event)
        elif isinstance(event, BlockCompleted):
            self._parts.append(event.block)
        elif isinstance(event, Finished):
            self.finished = event

    def _add_text(self, text: str) -> None:
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _Text):
            last = _Text(self.hide_tags)
            self._parts.append(last)
        last.pieces.append(text)

    def _add_call(self, event: ToolCallDelta | ToolCallCompleted) -> None:
        call = self._calls.get(event.index)
        if call is None:
            call = self._calls[event.index] = _Call()
            self._parts.append(call)
        if isinstance(event, ToolCallCompleted):
            call.pieces = []
        call.call_id = event.call_id or call.call_id
        call.name = event.name or call.name
        call.pieces.append(event.arguments)

    @property
    def wants_tools(self) -> bool:
        """Whether it has ended, and asks for tools: servers differ in what they call the reason."""
        ended = self.finished is not None and self.finished.reason in {"tool_calls", "stop", "other"}
        return ended and any(call.name for call in self._calls.values())

    def message(self, ending: Ending = Ending.COMPLETE) -> Message:
        """What was said; with the calls, if it `wants_tools`."""
        return Message("assistant", tuple(part for each in self._parts for part in self._rendered(each)), ending)

    def _rendered(self, part: _Text | _Call | OpaquePart) -> list[Part]:
        if isinstance(part, _Text):
            text = part.seen
            return [] if is_blank(text) else [TextPart(text)]
        if isinstance(part, OpaquePart):
            return [part]
        if not (part.name and self.wants_tools):
            return []
        calls = list(self._calls.values())
        number = calls.index(part)
        known = {call.call_id for call in calls[:number]} | {""}
        call_id = _new_id(number, calls) if part.call_id in known else part.call_id
        return [ToolCallPart(call_id, part.name, "".join(part.pieces))]


def _new_id(number: int, calls: Sequence[_Call]) -> str:
    """An id for the call of that number, which none of the calls has."""
    call_id = f"call_{number}"
    while any(call.call_id == call_id for call in calls):
        call_id += "_"
    return call_id
