"""Where a broken answer and its continuation meet: nothing is shown twice.

Some models go on exactly where the text ends; others, asked to go on, repeat its last words, or begin anew. Rules:

1. What goes on exactly is taken as it is, but for white space on both sides of the seam: servers strip the first.
2. Else hidden text is taken out first: a model thinks again before it goes on, and where it is put, its tag would be a
   mention. The rest is held back for as long as it stands in the answer already, word for word.
3. Of the rest, the beginning that is the answer's end is left out, if it is `LEAST` characters or more: fewer may be
   chance. White space on both sides of the seam makes no difference, and is there once. Without such a beginning, a
   word is set off by a space from the one before.
4. What repeats the beginning of the answer, `ANEW` characters of it, and then differs, is another answer: it has
   `diverged`, and nothing of it counts, its end included.
"""

from __future__ import annotations

from collections.abc import Sequence

from triolet.core.events import Batch, Finished, StreamEvent, TextCompleted, TextDelta
from triolet.core.hidden import Hidden
from triolet.core.text import is_blank

LEAST = 8
ANEW = 40


class Seam:
    """Sews what comes next to the text that is ``shown``; ``hide_tags`` are those of `Hidden`."""

    def __init__(self, shown: str, *, exact: bool = False, hide_tags: Sequence[str] = ()) -> None:
        self._shown = shown
        self._exact = exact
        self._hide_tags = hide_tags
        self._hidden = Hidden(() if exact else hide_tags)
        self._held = ""
        self._sewn = False
        self.diverged = False

    def sew(self, batch: Batch) -> Batch:
        """What of the continuation's events belongs to the answer."""
        return tuple(sewn for event in batch for sewn in self._sewn_event(event))

    def _sewn_event(self, event: StreamEvent) -> list[StreamEvent]:
        if isinstance(event, TextDelta):
            return _delta(self._feed(event.text if self._exact else self._hidden.feed(event.text)))
        if isinstance(event, TextCompleted):
            whole = Seam(self._shown, exact=self._exact, hide_tags=self._hide_tags)
            rest = whole.sew((TextDelta(event.text), Finished("stop")))
            self._sewn, self.diverged, self._hidden = True, whole.diverged, Hidden()
            return [TextCompleted(self._shown + "".join(new.text for new in rest if isinstance(new, TextDelta)))]
        if isinstance(event, Finished):
            last = self._feed("" if self._exact else self._hidden.rest) + self._end()
            return [] if self.diverged else [*_delta(last), event]
        return [event]

    def _feed(self, text: str) -> str:
        if self._sewn:
            return "" if self.diverged else text
        self._held += text
        if self._exact:
            return self._join()
        if self._held in self._shown or self._words in self._shown:
            return ""
        return self._overlay()

    @property
    def _words(self) -> str:
        return self._held.lstrip()

    def _end(self) -> str:
        """What is held back is new after all, unless it only repeats."""
        if self._sewn:
            return ""
        only_repeats = len(self._words) >= LEAST and self._shown.startswith(self._words)
        new = "" if only_repeats else self._overlay()
        self._sewn = True
        return new

    def _join(self) -> str:
        new = self._held.lstrip() if self._shown[-1:].isspace() else self._held
        self._sewn = bool(new)
        return new

    def _overlay(self) -> str:
        self._sewn = True
        if overlap := _overlap(self._shown, self._held):
            return self._held[overlap:]
        bare = self._shown.rstrip()
        if overlap := _overlap(bare, self._words):
            new = self._after(self._shown[len(bare) :], self._words[overlap:])
            self._sewn = bool(new)
            return new
        if len(self._words) > ANEW and self._shown.startswith(self._words[:ANEW]):
            self.diverged = True
            return ""
        return f" {self._held}" if self._shown[-1:].isalnum() and self._held[:1].isalnum() else self._held

    def _after(self, space: str, new: str) -> str:
        """What is new behind the answer's last ``space``; nothing as long as that is but more of it."""
        begins_a_line = "\n" in new[: len(new) - len(new.lstrip())] and "\n" not in space
        return "" if is_blank(new) else new if begins_a_line or not space else new.lstrip()


def _overlap(shown: str, text: str) -> int:
    """How many characters at the text's beginning are the end of what is shown; 0 for fewer than `LEAST`."""
    longest = min(len(shown), len(text))
    return next((count for count in range(longest, LEAST - 1, -1) if shown.endswith(text[:count])), 0)


def _delta(text: str) -> list[StreamEvent]:
    return [TextDelta(text)] if text else []
