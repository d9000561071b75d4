"""An answer as messages: what of it is whole is committed, what is live is shown, in one bubble after the other.

Both windows of an answer look at the same `GrowingAnswer`, so that a fallback goes on where the other one stopped.
"""

from __future__ import annotations

from triolet.config import StreamingSettings
from triolet.core.calls import Bubble, Place
from triolet.core.coalescer import Frame
from triolet.core.content import blank, marked
from triolet.core.forms import FormatName
from triolet.core.layout import Layout, plainer
from triolet.core.text import Content, FormattedText, RichText, italic
from triolet.telegram.outbox import Outbox


class GrowingAnswer:
    """``bubble`` is the message that grows now."""

    def __init__(self, outbox: Outbox, place: Place, settings: StreamingSettings) -> None:
        self._outbox = outbox
        self._place = place
        self._settings = settings
        self._form: FormatName = settings.format
        self._layout = self._open_layout()
        self._segments = 0
        self._draft_ids: set[int] = set()
        self._bubbles: list[Bubble] = []
        self._sealed: tuple[Bubble, Content] | None = None
        self._plain = False
        self._status_shown = False
        self.bubble = self._open_bubble(silent=settings.notify == "final")

    def take(self, frame: Frame) -> Content:
        """What the bubble shows of the answer as it stands. What is whole is committed on the way."""
        self._finish_segments(frame)
        if frame.status and frame.is_blank:
            self._status_shown = True
            return italic(frame.status)
        if self._status_shown:
            self._leave_status()
        for part in self._layout.advance(frame.text):
            self._seal(part.content)
        content = self._layout.live.content
        return content.plain if self._plain and isinstance(content, FormattedText) else content

    def grow_plainer(self, content: Content) -> bool:
        """The screen refused the content as it was formatted: show plainer ones; False if there are none."""
        if isinstance(content, RichText):
            self._form = "entities"
            self._layout.become(self._form)
            return True
        if self._plain or not plainer(content):
            return False
        self._plain = True
        return True

    def commit(self, frame: Frame, mark: str) -> None:
        """Make what there is lasting, with the mark of how it ended; takes away what only was a sign of life."""
        self._finish_segments(frame)
        for part in self._layout.advance(frame.text, complete=True):
            self._seal(part.content)
        content = marked(self._layout.live.content, mark)
        anew = self._settings.notify == "final"
        if not blank(content):
            self._outbox.commit(self.bubble, content, anew=anew)
            return
        self._outbox.remove(self.bubble)
        if self._sealed is not None and anew:  # nothing came after it, so it is what has to ring
            self._outbox.commit(*self._sealed, anew=True)

    def has_draft(self, draft_id: int) -> bool:
        return draft_id in self._draft_ids

    def has_message(self, message_id: int) -> bool:
        """Whether it may be one of the answer's: of a message on its way, nobody knows the id yet."""
        return any(bubble.shown_id in {None, message_id} for bubble in self._bubbles)

    def _finish_segments(self, frame: Frame) -> None:
        for segment in frame.before[self._segments :]:
            for part in self._layout.advance(segment, complete=True):
                self._seal(part.content)
            if not blank(self._layout.live.content):
                self._seal(self._layout.live.content)
            self._layout = self._open_layout()
            self._segments += 1

    def _seal(self, content: Content) -> None:
        self._outbox.commit(self.bubble, content)
        self._sealed = (self.bubble, content)
        self.bubble = self._open_bubble(silent=True, replies=False)
        self._status_shown = False

    def _leave_status(self) -> None:
        """A text's draft is not that of the tool line before it; a message is the same, edited."""
        self._status_shown = False
        self.bubble.draft_id = self._outbox.draw_draft_id()
        self._draft_ids.add(self.bubble.draft_id)

    def _open_layout(self) -> Layout:
        return Layout(self._form, reserve=len(self._settings.cursor))

    def _open_bubble(self, *, silent: bool, replies: bool = True) -> Bubble:
        bubble = self._outbox.open_bubble(self._place, silent=silent, replies=replies)
        self._draft_ids.add(bubble.draft_id)
        self._bubbles.append(bubble)
        return bubble
