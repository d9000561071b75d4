"""A source that grows, shown again and again: what nothing can change any more is read once.

It shows what `tail.mended` and `markdown.compose` make of the whole source, but for a block that merges back into the
one before the last, and is shown as it was for a frame. Rule 1: what is kept are blocks that are in
no other, or items of a list that is in no other, each with all of its lines, so that what follows looks as it would at
the beginning of a source. Rule 2: the last two are read anew: the first line of the last may be half, and it decides
where the one before ends.
"""

from __future__ import annotations

from typing import Final

import attrs

from triolet.core.markup.markdown import MAX_SOURCE, compose
from triolet.core.markup.syntax import Event, clean, parse
from triolet.core.markup.tail import Mended, glyph_end, mended, mended_text
from triolet.core.markup.writer import Writer
from triolet.core.text import FormattedText


@attrs.frozen
class _Kept:
    """The beginning of a clean source, and the writer that has written it."""

    text: str
    writer: Writer


_NOTHING: Final = _Kept("", Writer(""))


class Growing:
    """Call it with the source as it stands; any other source will do, but costs more."""

    def __init__(self) -> None:
        self._kept = _NOTHING
        self._last = ""

    @property
    def kept(self) -> int:
        """How many characters are not read again."""
        return len(self._kept.text)

    def __call__(self, source: str) -> tuple[Mended, FormattedText]:
        """What of the source can be shown now, and how it looks."""
        if len(source) > MAX_SOURCE:
            shown = mended(source)
            return shown, compose(shown.source)
        if not source.startswith(self._last):
            self._kept = _NOTHING
        self._last, kept = source, self._kept
        start = len(kept.text)
        rest = clean(source[start : glyph_end(source)])
        events = parse(rest)
        shown = mended_text(rest, events)
        whole = kept.text + shown.source
        moved = _moved(events, start) if shown.source == rest else parse(whole, start)
        content = kept.writer.resumed(whole).write(moved).message()
        self._keep(rest, events)
        return Mended(whole, start + shown.upto), content

    def _keep(self, rest: str, events: list[Event]) -> None:
        """Keep what of the rest nothing can change."""
        count, end = _decided(rest, events)
        if not end:
            return
        kept, start = self._kept, len(self._kept.text)
        text = kept.text + rest[:end]
        writer = kept.writer.resumed(text)
        writer.write(_moved(events[:count], start))
        self._kept = _Kept(text, writer)


def _moved(events: list[Event], by: int) -> list[Event]:
    """The events of what stands so much further on."""
    return [Event(e.kind, e.name, e.value, e.start + by, e.end + by, e.title) for e in events] if by else events


def _decided(text: str, events: list[Event]) -> tuple[int, int]:
    """How many events come before the last block or item but one, and where its line begins."""
    depth, is_list, starts = 0, False, [0, 0]
    for index, event in enumerate(events):
        is_next_item = is_list and depth == 1 and event.kind == "start" and events[index - 1].kind != "start"
        if not depth:
            is_list = event.name == "List"
        if not depth or is_next_item:
            starts = [starts[-1], index]
        depth += {"start": 1, "end": -1}.get(event.kind, 0)
    place = events[starts[0]].start if starts[0] else 0
    line = text.rfind("\n", 0, place) + 1
    return (starts[0], line) if line == place else (0, 0)
