"""An answer as messages: what of it is whole is committed, what is live is shown, in one bubble after the other.

Both windows of an answer look at the same `GrowingAnswer`, so that a fallback goes on where the other one stopped.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from triolet.config import StreamingSettings
from triolet.core.calls import Bubble, Keyboard, Place
from triolet.core.coalescer import Frame, Prompt, Reasoning
from triolet.core.content import blank, marked
from triolet.core.events import Verdict
from triolet.core.markup.forms import FormatName
from triolet.core.markup.layout import Layout, Unsealed, plainer
from triolet.core.text import MESSAGE_LIMIT, Content, FormattedText, RichText, italic, join
from triolet.telegram.outbox import Outbox


class GrowingAnswer:
    """``bubble`` is the message that grows now; ``sealed`` is called when the one before it has been committed."""

    def __init__(
        self,
        outbox: Outbox,
        place: Place,
        settings: StreamingSettings,
        turn: int | None = None,
        sealed: Callable[[], object] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._place = place
        self._turn = turn
        self._tell_sealed = sealed
        self._settings = settings
        self._form: FormatName = settings.format
        self._layout = self._open_layout(self._form)
        self._quotes = False
        self._segments = 0
        self._prompts: dict[str, tuple[Bubble, Prompt]] = {}
        self._last: Content | None = None
        self._draft_ids: set[int] = set()
        self._bubbles: list[Bubble] = []
        self._sealed: tuple[Bubble, Content] | None = None
        self._plain = False
        self._status_shown = False
        self.bubble = self._open_bubble(silent=settings.notify == "final")

    def take(self, frame: Frame) -> Content:
        """What the bubble shows of the answer as it stands. What is whole is committed on the way."""
        self.finish_segments(frame)
        if frame.is_blank and (status := " · ".join(filter(None, (frame.status, frame.note)))):
            self._status_shown = True
            return self._as_taken(italic(status))
        if self._status_shown:
            self._leave_status()
        self._lay_out(quotation=bool(frame.reasoning))
        parts = self._layout.advance(frame.reasoning or frame.text)
        for part in parts:
            self._seal(part.content)
        if parts:
            self._tell_sealed()
        return self._as_taken(_noted(self._layout.live.content, frame.note))

    def snapshot(self, frame: Frame) -> Unsealed | None:
        """What of the answer is in no message that was committed; None for nothing."""
        self.finish_segments(frame)
        if frame.is_blank:
            return None
        self._lay_out(quotation=bool(frame.reasoning))
        unsealed = self._layout.unsealed(frame.reasoning or frame.text)
        return attrs.evolve(unsealed, form="plain") if self._plain else unsealed

    def uncommitted(self, frame: Frame) -> str:
        """The text that is in no message, of an answer that is not shown while it grows."""
        texts = [each for each in frame.before[self._segments :] if isinstance(each, str)]
        return "\n\n".join(filter(None, (text.strip() for text in (*texts, frame.text))))

    def _as_taken(self, content: Content) -> Content:
        """As formatted as the screen has let pass so far."""
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

    def commit(self, frame: Frame, mark: str, keyboard: Keyboard = (), *, quiet: bool = False) -> None:
        """Make what there is lasting, with the mark of how it ended; takes away what only was a sign of life."""
        self.finish_segments(frame)
        self._tell_sealed = _nobody  # a button below may keep this object for days, and need not keep who asked for it
        if frame.reasoning:
            self._finish_segment(Reasoning(frame.reasoning))
        self._lay_out(quotation=False)
        for part in self._layout.advance(frame.text, complete=True):
            self._seal(part.content)
        content = marked(self._layout.live.content, mark)
        anew = self._settings.notify == "final" and not quiet
        if not blank(content):
            self._outbox.commit(self.bubble, content, anew=anew, keyboard=keyboard)
            self._last = content if keyboard else None
            return
        self._outbox.remove(self.bubble)
        if self._sealed is not None and anew:  # nothing came after it, so it is what has to ring
            self._outbox.commit(*self._sealed, anew=True)

    def drop_keyboard(self) -> None:
        """Take the buttons away that were committed."""
        if self._last is not None:
            self._outbox.commit(self.bubble, self._last)
            self._last = None

    def has_draft(self, draft_id: int) -> bool:
        return draft_id in self._draft_ids

    def has_message(self, message_id: int) -> bool:
        """Whether it may be one of the answer's: of a message on its way, nobody knows the id yet."""
        return any(bubble.shown_id in {None, message_id} for bubble in self._bubbles)

    def finish_segments(self, frame: Frame) -> None:
        """Commit the segments that are whole: that needs no slot, and a question must not wait for one."""
        for number, segment in enumerate(frame.before):
            if isinstance(segment, Prompt):
                self._follow_prompt(segment)
            elif number >= self._segments:
                self._finish_segment(segment)
        if self._segments != len(frame.before):
            self._segments = len(frame.before)
            self._tell_sealed()

    def _finish_segment(self, segment: str | Reasoning) -> None:
        self._lay_out(quotation=isinstance(segment, Reasoning))
        text = segment.text if isinstance(segment, Reasoning) else segment
        for part in self._layout.advance(text, complete=True):
            self._seal(part.content)
        if not blank(self._layout.live.content):
            self._seal(self._layout.live.content)
        self._layout = self._open_layout(self._form)
        self._quotes = False

    def _follow_prompt(self, prompt: Prompt) -> None:
        """A question is a message of its own, which rings; when it is answered, its buttons go."""
        known = self._prompts.get(prompt.allow)
        if known is None:
            self._sealed = None  # what stands above a question has no need to ring
            keyboard = (("✅ Allow", prompt.allow), ("🚫 Deny", prompt.deny)) if prompt.verdict is None else ()
            self._outbox.commit(self.bubble, _asked(prompt), anew=True, keyboard=keyboard)
            self._prompts[prompt.allow] = (self.bubble, prompt)
            self._open_next()
        elif known[1].verdict != prompt.verdict:
            self._outbox.commit(known[0], _asked(prompt))
            self._prompts[prompt.allow] = (known[0], prompt)

    def _seal(self, content: Content) -> None:
        self._outbox.commit(self.bubble, content)
        self._sealed = (self.bubble, content)
        self._open_next()

    def _open_next(self) -> None:
        self.bubble = self._open_bubble(silent=True, replies=False)
        self._status_shown = False

    def _leave_status(self) -> None:
        """A text's draft is not that of the tool line before it; a message is the same, edited."""
        self._status_shown = False
        self.bubble.draft_id = self._outbox.draw_draft_id()
        self._draft_ids.add(self.bubble.draft_id)

    def _lay_out(self, *, quotation: bool) -> None:
        """Have a layout of that kind; one of the other kind is blank by now."""
        if self._quotes != quotation:
            self._layout = self._open_layout("quotation" if quotation else self._form)
            self._quotes = quotation

    def _open_layout(self, form: FormatName) -> Layout:
        return Layout(form, reserve=len(self._settings.cursor))

    def _open_bubble(self, *, silent: bool, replies: bool = True) -> Bubble:
        bubble = self._outbox.open_bubble(self._place, silent=silent, replies=replies, turn=self._turn)
        self._draft_ids.add(bubble.draft_id)
        self._bubbles.append(bubble)
        return bubble


def _nobody() -> None:
    """Whom the commit tells."""


def _noted(content: Content, note: str) -> Content:
    """The content with the note below it, if there is room for both."""
    has_room = isinstance(content, RichText) or len(content.text) + len(note) + 2 <= MESSAGE_LIMIT
    return marked(content, note) if has_room else content


VERDICTS: dict[Verdict, str] = {
    "allowed": "✅ allowed",
    "denied": "🚫 denied",
    "unanswered": "🚫 not answered, so not done",
}
"""What stands under a question that nobody is asked any more."""


def _asked(prompt: Prompt) -> FormattedText:
    verdict = italic(VERDICTS[prompt.verdict]) if prompt.verdict is not None else FormattedText("")
    return join([FormattedText(prompt.text), verdict])
