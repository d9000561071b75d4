"""Where a broken answer and its continuation meet: nothing is shown twice.

Some models go on exactly where the text ends; others, asked to go on, repeat its last words, or begin anew. Rules:

1. What goes on exactly is taken as it is, but for white space on both sides of the seam: servers strip the first.
2. Else text is held back for as long as it stands in the answer already, word for word.
3. Of the rest, the beginning that is the answer's end is left out, if it is `LEAST` characters or more: fewer may be
   chance. Without it, a word is set off by a space from the one before.
4. What repeats the beginning of the answer, `ANEW` characters of it, and then differs, is another answer: it has
   `diverged`, and nothing of it counts, its end included.
"""

from __future__ import annotations

from triolet.core.events import Batch, Finished, StreamEvent, TextCompleted, TextDelta

LEAST = 8
ANEW = 40


class Seam:
    """Sews what comes next to the text that is ``shown``."""

    def __init__(self, shown: str, *, exact: bool = False) -> None:
        self._shown = shown
        self._exact = exact
        self._held = ""
        self._sewn = False
        self.diverged = False

    def sew(self, batch: Batch) -> Batch:
        """What of the continuation's events belongs to the answer."""
        return tuple(sewn for event in batch for sewn in self._sewn_event(event))

    def _sewn_event(self, event: StreamEvent) -> list[StreamEvent]:
        if isinstance(event, TextDelta):
            return _delta(self._feed(event.text))
        if isinstance(event, TextCompleted):
            whole = Seam(self._shown, exact=self._exact)
            rest = whole.sew((TextDelta(event.text), Finished("stop")))
            self._sewn, self.diverged = True, whole.diverged
            return [TextCompleted(self._shown + "".join(new.text for new in rest if isinstance(new, TextDelta)))]
        if isinstance(event, Finished):
            last = _delta("" if self._sewn else self._end())
            return [] if self.diverged else [*last, event]
        return [event]

    def _feed(self, text: str) -> str:
        if self._sewn:
            return "" if self.diverged else text
        self._held += text
        if self._exact:
            return self._join()
        return "" if self._held in self._shown else self._overlay()

    def _end(self) -> str:
        """What is held back is new after all, unless it only repeats."""
        self._sewn = True
        only_repeats = len(self._held) >= LEAST and self._shown.startswith(self._held)
        return "" if only_repeats else self._overlay()

    def _join(self) -> str:
        new = self._held.lstrip() if self._shown[-1:].isspace() else self._held
        self._sewn = bool(new)
        return new

    def _overlay(self) -> str:
        self._sewn = True
        overlap = next((k for k in range(len(self._held), LEAST - 1, -1) if self._shown.endswith(self._held[:k])), 0)
        if not overlap and len(self._held) > ANEW and self._shown.startswith(self._held[:ANEW]):
            self.diverged = True
            return ""
        new = self._held[overlap:]
        return f" {new}" if not overlap and self._shown[-1:].isalnum() and new[:1].isalnum() else new


def _delta(text: str) -> list[StreamEvent]:
    return [TextDelta(text)] if text else []
