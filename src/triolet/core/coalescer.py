"""The coalescer's machine: it alone holds the answer's text, and says what of it a screen may show.

Rules:

1. Batches are taken in order; nothing of the answer is ever dropped or changed once taken.
2. Taking a frame empties nothing: any number of frames may be skipped, and the newest is always whole.
3. Reasoning and tool calls are not text. A terminal event without a failure makes the answer complete;
   a stream that ends without one was cut off.
"""

from __future__ import annotations

import attrs

from triolet.core.conversation import Ending
from triolet.core.events import Batch, Finished, FinishReason, TextDelta, UsageReported

_ENDINGS: dict[FinishReason, Ending] = {"length": Ending.LENGTH, "content_filter": Ending.FILTERED}


@attrs.frozen
class Frame:
    """The answer as it stands; ``revision`` grows with every change of the text."""

    text: str
    revision: int


class Coalescer:
    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._revision = 0
        self.finished: Finished | None = None
        self.usage: UsageReported | None = None

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def receive(self, batch: Batch) -> None:
        for event in batch:
            if isinstance(event, TextDelta):
                self._pieces.append(event.text)
                self._revision += 1
            elif isinstance(event, UsageReported):
                self.usage = event
            elif isinstance(event, Finished):
                self.finished = event

    def take_frame(self) -> Frame:
        return Frame(self.text, self._revision)

    @property
    def ending(self) -> Ending:
        """How the stream ended, if it has ended by itself."""
        if self.finished is None:
            return Ending.FAILED
        return _ENDINGS.get(self.finished.reason, Ending.COMPLETE)
