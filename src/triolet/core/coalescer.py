"""The coalescer's machine: it alone holds the answer's text, and says what of it a screen may show.

Rules:

1. Batches are taken in order; nothing of the answer is ever dropped once taken, and nothing is changed but by the
   provider's own completed text.
2. Taking a frame empties nothing: any number of frames may be skipped, and the newest is always whole.
3. Reasoning and tool calls are not text. A terminal event without a failure makes the answer complete;
   a stream that ends without one was cut off.
4. A tool that starts ends a segment: what was said before it is a text of its own, above what comes after.
5. A segment that only repeats the one before it is said once.
"""

from __future__ import annotations

import attrs

from triolet.core.conversation import Ending
from triolet.core.events import (
    Batch,
    Finished,
    FinishReason,
    StreamEvent,
    TextCompleted,
    TextDelta,
    ToolEnded,
    ToolStarted,
    UsageReported,
)
from triolet.core.text import is_blank

_ENDINGS: dict[FinishReason, Ending] = {"length": Ending.LENGTH, "content_filter": Ending.FILTERED}


@attrs.frozen
class Frame:
    """The answer as it stands: whole segments ``before``, and the live one's ``text``.

    ``status`` is the line that tells which tools run; ``revision`` grows with every change.
    """

    text: str
    revision: int
    before: tuple[str, ...] = ()
    status: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether the live segment has nothing to show yet."""
        return is_blank(self.text)


class Coalescer:
    def __init__(self) -> None:
        self._before: tuple[str, ...] = ()
        self._pieces: list[str] = []
        self._tools: dict[str, str] = {}
        self._revision = 0
        self.finished: Finished | None = None
        self.usage: UsageReported | None = None

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def text(self) -> str:
        """The whole answer, segment after segment."""
        frame = self.finish()
        return "\n\n".join(segment for segment in (*frame.before, frame.text) if not is_blank(segment))

    @property
    def answered(self) -> bool:
        """Whether anything was said that can be seen."""
        return bool(self.text)

    @property
    def _live(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def receive(self, batch: Batch) -> None:
        for event in batch:
            self._take(event)

    def _take(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
            self._revision += 1
        elif isinstance(event, TextCompleted):
            self._pieces = [event.text]
            self._revision += 1
        elif isinstance(event, ToolStarted):
            self._end_segment()
            self._tools[event.call_id] = f"⏳ {event.name}"
            self._revision += 1
        elif isinstance(event, ToolEnded):
            self._end_tool(event.call_id)
        elif isinstance(event, UsageReported):
            self.usage = event
        elif isinstance(event, Finished):
            self.finished = event

    def _end_segment(self) -> None:
        if not is_blank(self._live):
            self._tools = {}
            if not self._repeats(self._live):
                self._before = (*self._before, self._live)
        self._pieces = []

    def _end_tool(self, call_id: str) -> None:
        shown = self._tools.get(call_id)
        if shown is not None:
            self._tools[call_id] = shown.replace("⏳", "✓", 1)
            self._revision += 1

    def _repeats(self, text: str) -> bool:
        return bool(self._before) and text.strip() == self._before[-1].strip()

    def take_frame(self) -> Frame:
        live = self._live
        if self._before and self._before[-1].strip().startswith(live.strip()):
            live = ""  # so far it only repeats what is said already
        return Frame(live, self._revision, self._before, " · ".join(self._tools.values()))

    def finish(self) -> Frame:
        """The answer as it ends."""
        text = "" if is_blank(self._live) or self._repeats(self._live) else self._live
        return Frame(text, self._revision, self._before)

    @property
    def ending(self) -> Ending:
        """How the stream ended, if it has ended by itself."""
        if self.finished is None:
            return Ending.FAILED
        return _ENDINGS.get(self.finished.reason, Ending.COMPLETE)
