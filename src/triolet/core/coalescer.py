"""The coalescer's machine: it alone holds the answer's text, and says what of it a screen may show.

Rules:

1. Batches are taken in order; nothing of the answer is ever dropped or changed once taken.
2. Taking a frame empties nothing: any number of frames may be skipped, and the newest is always whole.
3. Reasoning and tool calls are not text, and what `Hidden` takes out of a text was never there. A frame lacks what
   may still turn out to be hidden; the text has it, as if the answer ended now, so a frame is a beginning of it.
4. A terminal event without a failure makes the answer complete; a stream that ends without one was cut off.
"""

from __future__ import annotations

import attrs

from triolet.core.conversation import Ending
from triolet.core.events import Batch, Finished, FinishReason, TextDelta, UsageReported
from triolet.core.hidden import Hidden

_ENDINGS: dict[FinishReason, Ending] = {"length": Ending.LENGTH, "content_filter": Ending.FILTERED}


@attrs.frozen
class Frame:
    """What can be shown of the answer; ``revision`` grows with every change of the text."""

    text: str
    revision: int


class Coalescer:
    def __init__(self, hidden: Hidden | None = None) -> None:
        self._hidden = hidden or Hidden()
        self._pieces: list[str] = []
        self._revision = 0
        self.finished: Finished | None = None
        self.usage: UsageReported | None = None

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def text(self) -> str:
        """The whole answer, if it has ended: what a frame has, and what was withheld until now."""
        return self._shown + self._hidden.rest

    @property
    def is_silent(self) -> bool:
        """Whether the answer, if it has ended, is the model's wish to say nothing; its text is empty then."""
        return self._hidden.is_silent

    @property
    def _shown(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def receive(self, batch: Batch) -> None:
        for event in batch:
            if isinstance(event, TextDelta):
                self._show(self._hidden.feed(event.text))
            elif isinstance(event, UsageReported):
                self.usage = event
            elif isinstance(event, Finished):
                self.finished = event

    def _show(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._revision += 1

    def take_frame(self) -> Frame:
        return Frame(self._shown, self._revision)

    @property
    def ending(self) -> Ending:
        """How the stream ended, if it has ended by itself."""
        if self.finished is None:
            return Ending.FAILED
        return _ENDINGS.get(self.finished.reason, Ending.COMPLETE)
