"""The coalescer's machine: it alone holds the answer's text, and says what of it a screen may show.

Rules:

1. Batches are taken in order; nothing of the answer is ever dropped once taken, and nothing is changed but by the
   provider's own completed text.
2. Taking a frame empties nothing: any number of frames may be skipped, and the newest is always whole.
3. Reasoning and tool calls are not text, and what `Hidden` takes out of a text was never there. A frame lacks what
   may still turn out to be hidden; the finished one has it, so a frame is a beginning of it.
4. A terminal event without a failure makes the answer complete; a stream that ends without one was cut off.
5. A tool that starts ends a segment: what was said before it is a text of its own, above what comes after.
6. A segment that only repeats the one before it is said once.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from triolet.core.conversation import Ending
from triolet.core.events import (
    Finished,
    FinishReason,
    TextCompleted,
    TextDelta,
    ToolEnded,
    ToolStarted,
    TurnBatch,
    TurnEvent,
    UsageReported,
)
from triolet.core.hidden import Hidden
from triolet.core.text import is_blank

_ENDINGS: dict[FinishReason, Ending] = {"length": Ending.LENGTH, "content_filter": Ending.FILTERED}


@attrs.frozen
class Frame:
    """The answer as it stands: whole segments ``before``, and the live one's ``text``.

    ``status`` is the line that tells which tools run; ``revision`` grows with every change that can be seen.
    """

    text: str
    revision: int
    before: tuple[str, ...] = ()
    status: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether the live segment has nothing to show yet."""
        return is_blank(self.text)


class _Segment:
    """Text between two tools, as it streams in."""

    def __init__(self, hide_tags: Sequence[str]) -> None:
        self._hidden = Hidden(hide_tags)
        self._pieces: list[str] = []

    def feed(self, delta: str) -> bool:
        """Take more of it; whether more can be seen."""
        shown = self._hidden.feed(delta)
        if shown:
            self._pieces.append(shown)
        return bool(shown)

    @property
    def shown(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def whole(self) -> str:
        """All of it, if it ends here; empty if nothing of that can be seen."""
        whole = self.shown + self._hidden.rest
        return "" if is_blank(whole) else whole

    @property
    def is_silent(self) -> bool:
        return self._hidden.is_silent


class Coalescer:
    """``hide_tags`` are those of `Hidden`."""

    def __init__(self, hide_tags: Sequence[str] = ()) -> None:
        self._hide_tags = hide_tags
        self._before: tuple[str, ...] = ()
        self._segment = _Segment(hide_tags)
        self._tools: dict[str, str] = {}
        self._revision = 0
        self.finished: Finished | None = None
        self.usage: UsageReported | None = None

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def text(self) -> str:
        """The whole answer, segment after segment, if it has ended."""
        frame = self.finish()
        return "\n\n".join(filter(None, (*frame.before, frame.text)))

    @property
    def is_silent(self) -> bool:
        """Whether the answer, if it has ended, is the model's wish to say nothing; its text is empty then."""
        return self._segment.is_silent and not self._before

    def receive(self, batch: TurnBatch) -> None:
        for event in batch:
            self._take(event)

    def _take(self, event: TurnEvent) -> None:
        if isinstance(event, TextDelta):
            self._revision += self._segment.feed(event.text)
        elif isinstance(event, TextCompleted):
            self._segment = _Segment(self._hide_tags)
            self._segment.feed(event.text)
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
        whole = self._segment.whole
        if whole:
            self._tools = {}
        if whole and not self._repeats(whole):
            self._before = (*self._before, whole)
        self._segment = _Segment(self._hide_tags)

    def _end_tool(self, call_id: str) -> None:
        if call_id in self._tools:
            self._tools[call_id] = self._tools[call_id].replace("⏳", "✓", 1)
            self._revision += 1

    def _repeats(self, text: str) -> bool:
        return bool(self._before) and text.strip() == self._before[-1].strip()

    def take_frame(self) -> Frame:
        shown = self._segment.shown
        if self._before and self._before[-1].strip().startswith(shown.strip()):
            shown = ""  # so far it only repeats what is said already
        return Frame(shown, self._revision, self._before, " · ".join(self._tools.values()))

    def finish(self) -> Frame:
        """The answer, if it has ended."""
        whole = self._segment.whole
        return Frame("" if self._repeats(whole) else whole, self._revision, self._before)

    @property
    def ending(self) -> Ending:
        """How the stream ended, if it has ended by itself."""
        if self.finished is None:
            return Ending.FAILED
        return _ENDINGS.get(self.finished.reason, Ending.COMPLETE)
